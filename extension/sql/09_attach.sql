-- Tables of an attached schema that the extension's functions write to.
-- They are the application's: created by the caller, owned by the caller,
-- dumped and kept like any other table.
CREATE FUNCTION catalogue.create_deletion_tables(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	outbox text := format('%I.deleted_files', schema);
	purges text := format('%I.professor_purges', schema);
	backlog text := format('%I.deleted_files_backlog', schema);
	progress text := format('%I.professor_purge_progress', schema);
BEGIN
	IF to_regclass(outbox) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			path text NOT NULL,
			state text NOT NULL DEFAULT ''queued'' CHECK (state IN (''queued'', ''taken'', ''dead'')),
			attempts integer NOT NULL DEFAULT 0,
			due_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			deleted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			taken_by xid8,
			last_error text)', outbox);
		EXECUTE format('CREATE INDEX ON %s (due_at, id) WHERE state = ''queued''', outbox);
		EXECUTE format('CREATE INDEX ON %s (path) WHERE state = ''taken''', outbox);
		RETURN QUERY VALUES ('created', format('table %s', outbox), 'files to unlink');
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'deleted_files', 'the outbox of files'),
			catalogue.mapped_column(to_regclass(outbox), c)
		FROM unnest(ARRAY['id', 'path', 'state', 'attempts', 'due_at', 'deleted_at',
			'taken_by', 'last_error']) AS c;
		RETURN QUERY VALUES ('found', format('table %s', outbox), 'files to unlink');
	END IF;

	IF to_regclass(purges) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			username text PRIMARY KEY,
			started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			resumed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			phase text NOT NULL,
			rows_done bigint NOT NULL DEFAULT 0,
			rows_before bigint NOT NULL DEFAULT 0,
			rows_expected bigint,
			last_batch_at timestamptz,
			finished_at timestamptz,
			pid integer)', purges);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', purges);
		RETURN QUERY VALUES ('created', format('table %s', purges), 'progress of purge_professor');
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'professor_purges', 'the progress of purges'),
			catalogue.mapped_column(to_regclass(purges), c)
		FROM unnest(ARRAY['username', 'started_at', 'resumed_at', 'phase', 'rows_done',
			'rows_before', 'rows_expected', 'last_batch_at', 'finished_at', 'pid']) AS c;
		RETURN QUERY VALUES ('found', format('table %s', purges), 'progress of purge_professor');
	END IF;

	-- The views name nothing of the extension, so they outlive it.
	IF to_regclass(backlog) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT count(*) FILTER (WHERE state = ''queued'') AS queued,
				count(*) FILTER (WHERE state = ''queued'' AND due_at <= now()) AS due,
				count(*) FILTER (WHERE state = ''dead'') AS dead,
				max(now() - deleted_at) FILTER (WHERE state = ''queued'') AS oldest_age
			FROM %s', backlog, outbox);
		RETURN QUERY VALUES ('created', format('view %s', backlog), 'files that wait to be unlinked');
	ELSE
		RETURN QUERY VALUES ('found', format('view %s', backlog), 'files that wait to be unlinked');
	END IF;

	IF to_regclass(progress) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT p.username, p.phase, p.started_at, p.rows_done, p.rows_expected,
				CASE WHEN p.finished_at IS NOT NULL THEN 100.0
					ELSE round(least(100.0 * p.rows_done / nullif(p.rows_expected, 0), 100), 1)
				END AS percent,
				p.finished_at IS NULL
					AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = p.pid) AS running,
				p.last_batch_at,
				CASE WHEN p.finished_at IS NOT NULL THEN p.finished_at
					ELSE p.last_batch_at + (p.last_batch_at - p.resumed_at)
						* (greatest(p.rows_expected - p.rows_done, 0)
							/ nullif(p.rows_done - p.rows_before, 0)::double precision)
				END AS estimated_end
			FROM %s AS p', progress, purges);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', progress);
		RETURN QUERY VALUES ('created', format('view %s', progress), 'how far each purge is');
	ELSE
		RETURN QUERY VALUES ('found', format('view %s', progress), 'how far each purge is');
	END IF;
END
$$;

-- The triggers through which sessions hear of a changed lookup table.  The
-- row trigger stays silent for a statement that changed no row, reaches
-- partitions, and ALWAYS covers rows that replication applies.
CREATE FUNCTION catalogue.create_lookup_triggers(relation regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	FOR trigger IN
		SELECT * FROM (VALUES
			('catalogue_lookup_changed', 'INSERT OR UPDATE OR DELETE', 'ROW'),
			('catalogue_lookup_truncated', 'TRUNCATE', 'STATEMENT')) AS t (name, events, level)
	LOOP
		IF EXISTS (SELECT FROM pg_trigger t
			WHERE t.tgrelid = relation AND t.tgname = trigger.name
			AND t.tgfoid = 'catalogue.lookup_changed()'::regprocedure AND t.tgenabled = 'A') THEN
			status := 'found';
		ELSE
			EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION catalogue.lookup_changed()',
				trigger.name, trigger.events, relation, trigger.level);
			EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, trigger.name);
			EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION catalogue', trigger.name, relation);
			status := 'created';
		END IF;
		object := format('trigger %I on %s', trigger.name, relation);
		detail := 'tells sessions to forget cached lookups';
		RETURN NEXT;
	END LOOP;
END
$$;

-- The schema that attach() and its kin work on, checked.
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

-- Tables and views that attach() has made in a schema and detach() leaves.
CREATE FUNCTION catalogue.kept_relations(schema name) RETURNS TABLE (kind text, name text)
	LANGUAGE sql STABLE ROWS 4
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = schema AND c.relkind IN ('r', 'v')
AND c.relname IN ('deleted_files', 'deleted_files_backlog', 'professor_purges',
	'professor_purge_progress')
ORDER BY c.relname
$$;

/*
 * catalogue.attach(schema name DEFAULT current_schema(), mapping jsonb
 *		DEFAULT NULL, create_indexes boolean DEFAULT false)
 *
 * Binds the extension to the tables of a schema and creates its functions
 * there.  Without a mapping it takes the one that the schema was attached
 * with, and for a new one the reference schema's names.  Returns a row for
 * each thing that it did, found or advises; a second run changes nothing.
 *
 * Needs ownership of the tables and CREATE on the schema.  What it makes
 * belongs to the owner of the tables.
 */
CREATE FUNCTION catalogue.attach(schema name DEFAULT pg_catalog.current_schema(),
	mapping jsonb DEFAULT NULL, create_indexes boolean DEFAULT false)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	binding jsonb;
	there text[];
	made text;
	owner regrole;
	recommended record;
	relation regclass;
BEGIN
	PERFORM catalogue.check_schema(schema);
	IF schema ~ '^pg_' OR schema IN ('information_schema', 'catalogue') THEN
		RAISE EXCEPTION USING ERRCODE = 'reserved_name',
			MESSAGE = format('cannot attach schema "%s"', schema),
			DETAIL = 'It belongs to the server or to the extension.';
	END IF;
	PERFORM catalogue.lock_configuration();

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

	there := ARRAY(SELECT r.name FROM catalogue.kept_relations(schema) AS r);
	RETURN QUERY SELECT * FROM catalogue.create_deletion_tables(schema);
	IF owner <> current_user::regrole THEN
		FOR made IN SELECT r.name FROM catalogue.kept_relations(schema) AS r
			WHERE r.name <> ALL (there)
		LOOP
			EXECUTE format('ALTER TABLE %s OWNER TO %s', made, owner);
		END LOOP;
	END IF;

	-- An earlier mapping's tables need no trigger any more.
	RETURN QUERY SELECT * FROM catalogue.drop_lookup_triggers(schema,
		ARRAY(SELECT (item ->> 'relation')::oid
			FROM jsonb_array_elements(binding -> 'lookups') AS item));
	FOR relation IN
		SELECT (item ->> 'relation')::oid::regclass
		FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i)
		GROUP BY 1 ORDER BY min(i)
	LOOP
		IF (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) = 'f' THEN
			RETURN QUERY VALUES ('advice', format('table %s', relation),
				'changes of a foreign table are not announced: cached lookups follow after catalogue.lookup_ttl');
		ELSE
			RETURN QUERY SELECT * FROM catalogue.create_lookup_triggers(relation);
		END IF;
	END LOOP;

	RETURN QUERY SELECT * FROM catalogue.bind(schema,
		binding || jsonb_build_object('mapping', mapping));

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
COMMENT ON FUNCTION catalogue.attach(name, jsonb, boolean) IS 'binds the extension to the tables of a schema and creates its functions there';

-- Drops the triggers on the lookup tables that a schema is bound to, less
-- those on the tables to keep and those that another schema is bound to.
CREATE FUNCTION catalogue.drop_lookup_triggers(schema name, keep oid[])
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	FOR trigger IN
		SELECT DISTINCT t.tgname AS name, t.tgrelid::regclass AS relation
		FROM pg_trigger t JOIN catalogue.lookup l ON l.relation = t.tgrelid
		WHERE l.attachment = catalogue.attachment_of(schema) AND l.relation <> ALL (keep)
		AND t.tgparentid = 0 AND t.tgfoid = 'catalogue.lookup_changed()'::regprocedure
		AND NOT EXISTS (SELECT FROM catalogue.lookup other
			WHERE other.relation = l.relation AND other.attachment <> l.attachment)
		ORDER BY relation, name
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger.name, trigger.relation);
		RETURN QUERY VALUES ('dropped', format('trigger %I on %s', trigger.name, trigger.relation),
			NULL::text);
	END LOOP;
END
$$;

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
	RETURN QUERY SELECT 'kept', format('%s %s', r.kind, r.name), 'the application''s own'
		FROM catalogue.kept_relations(schema) AS r;
END
$$;
COMMENT ON FUNCTION catalogue.detach(name) IS 'drops the functions and triggers that attach() made; tables and rows stay';
