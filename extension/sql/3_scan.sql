---------------------------------------------------------------------------
-- What planners and monitors call.
---------------------------------------------------------------------------

CREATE FUNCTION catalogue.recent_chapters_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_recent_chapters_support';
COMMENT ON FUNCTION catalogue.recent_chapters_support(internal) IS 'planner support: row estimates';

CREATE FUNCTION catalogue.cached_lookups_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_cached_lookups_support';
COMMENT ON FUNCTION catalogue.cached_lookups_support(internal) IS 'planner support: row estimates';
