/*
 * 09_attach.sql
 *		attach() and detach(), step by step.
 *
 * Both run as the caller, except for the step that bind() takes, and one at a
 * time: they lock the configuration.
 */

-- Refuses a schema that is not there.
CREATE FUNCTION catalogue.check_schema(schema name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF schema IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
			MESSAGE = 'no schema has been selected',
			HINT = 'Name the schema of the application''s tables, or set search_path.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
			MESSAGE = format('schema "%s" does not exist', schema);
	END IF;
END
$$;

-- Refuses a delay that is over before it begins, or never.
CREATE FUNCTION catalogue.check_unlink_delay(delay interval) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF delay < '0' OR NOT isfinite(delay) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'unlink_delay must be finite and not negative',
			DETAIL = format('The call asked for %s.', delay);
	END IF;
	-- One that no date can be given for would fail in every DELETE.
	PERFORM now() + delay;
END
$$;

/*
 * catalogue.attach(schema name DEFAULT current_schema(), mapping jsonb
 *		DEFAULT NULL, create_indexes boolean DEFAULT false, unlink_delay interval
 *		DEFAULT NULL)
 *
 * Binds the extension to the tables of a schema and creates its functions
 * there.  Without a mapping it takes the one that the schema was attached
 * with, and for a new one the reference schema's names; without a delay, by
 * which files wait in the outbox before they are due, the one that it has, and
 * at first none.  Returns a row for each thing that it did, found or advises; a
 * second run changes nothing.
 *
 * Needs ownership of the tables and CREATE on the schema.  What it makes
 * belongs to the owner of the tables.
 */
CREATE FUNCTION catalogue.attach(schema name DEFAULT pg_catalog.current_schema(),
	mapping jsonb DEFAULT NULL, create_indexes boolean DEFAULT false,
	unlink_delay interval DEFAULT NULL)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	binding jsonb;
	owner regrole;
	recommended record;
BEGIN
	PERFORM catalogue.check_schema(schema);
	IF schema ~ '^pg_' OR schema IN ('information_schema', 'catalogue') THEN
		RAISE EXCEPTION USING ERRCODE = 'reserved_name',
			MESSAGE = format('cannot attach schema "%s"', schema),
			DETAIL = 'It belongs to the server or to the extension.';
	END IF;
	PERFORM catalogue.check_unlink_delay(unlink_delay);
	PERFORM catalogue.lock_configuration();

	unlink_delay := coalesce(unlink_delay, (SELECT a.unlink_delay FROM catalogue.attachment a
		WHERE a.deleted_files = catalogue.attachment_of(schema)), '0');
	IF mapping IS NULL THEN
		SELECT a.mapping INTO mapping FROM catalogue.attachment a
		WHERE a.deleted_files = catalogue.attachment_of(schema);
		IF mapping <> '{}' THEN
			RETURN QUERY VALUES ('found', 'mapping', mapping::text);
		END IF;
	END IF;
	mapping := coalesce(mapping, '{}');
	binding := catalogue.resolve_mapping(schema, mapping);
	PERFORM catalogue.check_types(binding);
	PERFORM catalogue.check_keys(binding);
	SELECT c.relowner INTO owner FROM pg_class c
	WHERE c.oid = coalesce(binding #>> '{chapters,relation}', binding #>> '{professors,relation}',
		binding #>> '{lookups,0,relation}')::oid;

	RETURN QUERY SELECT * FROM catalogue.create_deletion_tables(schema, owner);
	RETURN QUERY SELECT * FROM catalogue.replace_lookup_triggers(schema, binding -> 'lookups');
	RETURN QUERY SELECT * FROM catalogue.bind(schema,
		binding || jsonb_build_object('mapping', mapping, 'unlink_delay', unlink_delay));
	RETURN QUERY SELECT * FROM catalogue.replace_file_triggers(catalogue.attachment_of(schema));

	FOR recommended IN SELECT * FROM catalogue.recommended_indexes(schema) LOOP
		IF create_indexes THEN
			EXECUTE recommended.definition;
			RETURN QUERY VALUES ('created', format('index on %s', recommended.relation),
				recommended.reason);
		ELSE
			RETURN QUERY VALUES ('advice', recommended.definition, recommended.reason);
		END IF;
	END LOOP;

	RETURN QUERY SELECT 'advice', format('table %I.%s', schema, item ->> 'relation'),
			format('does not exist and is not bound: "%s" of the mapping', item ->> 'section')
		FROM jsonb_array_elements(binding -> 'absent') AS item;
END
$$;
COMMENT ON FUNCTION catalogue.attach(name, jsonb, boolean, interval) IS 'binds the extension to the tables of a schema and creates its functions there';

/*
 * catalogue.detach(schema name DEFAULT current_schema())
 *
 * Takes away what attach() made in the schema, except its tables and views,
 * which are the application's own.  Needs ownership of the tables.
 */
CREATE FUNCTION catalogue.detach(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM catalogue.check_schema(schema);
	PERFORM catalogue.lock_configuration();
	IF catalogue.attachment_of(schema) IS NULL
		AND NOT EXISTS (SELECT FROM catalogue.present_functions(schema)) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('schema "%s" is not attached', schema);
	END IF;

	RETURN QUERY SELECT * FROM catalogue.drop_lookup_triggers(schema, '{}');
	RETURN QUERY SELECT * FROM catalogue.bind(schema, 'null');
	RETURN QUERY SELECT * FROM catalogue.drop_file_triggers();
	RETURN QUERY SELECT 'kept', format('%s %s', r.kind, r.name), 'the application''s own'
		FROM catalogue.kept_relations(schema) AS r;
END
$$;
COMMENT ON FUNCTION catalogue.detach(name) IS 'drops the functions and triggers that attach() made; tables and rows stay';
