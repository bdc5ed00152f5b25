---------------------------------------------------------------------------
-- What planners call.
---------------------------------------------------------------------------

CREATE FUNCTION catalogue.tuple_source_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_tuple_source_support';
COMMENT ON FUNCTION catalogue.tuple_source_support(internal) IS 'planner support: row estimates';
