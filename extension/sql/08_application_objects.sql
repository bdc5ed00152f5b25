/*
 * 08_application_objects.sql
 *		Tables, views and triggers that attach() makes besides the functions.
 *
 * Everything here runs as the caller.  Tables and views are the application's:
 * they belong to the owner of its tables, and are dumped and kept like any
 * other.  The triggers go with the extension.
 */

-- Creates the outbox: paths of deleted files that wait to be unlinked.  Each row
-- costs the deletion that queues it, so one index serves identity and order; the
-- other one's rows are those that are taken.  Where a path came from is not known
-- of rows that were put in by hand.
CREATE FUNCTION catalogue.create_outbox(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	outbox constant text := format('%I.deleted_files', schema);
BEGIN
	status := 'found';
	object := format('table %s', outbox);
	detail := 'files to unlink';
	IF to_regclass(outbox) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			id bigint GENERATED ALWAYS AS IDENTITY (CACHE 100),
			path text NOT NULL,
			state text NOT NULL DEFAULT ''queued'' CHECK (state = ANY (''{queued,taken,dead}'')),
			attempts integer NOT NULL DEFAULT 0,
			due_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			deleted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			taken_by xid8,
			last_error text,
			relation regclass,
			column_name name,
			PRIMARY KEY (due_at, id))', outbox);
		EXECUTE format('CREATE INDEX ON %s (path) WHERE state = ''taken''', outbox);
		status := 'created';
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'deleted_files', 'the outbox of files'),
			catalogue.mapped_column(to_regclass(outbox), c)
		FROM unnest(ARRAY['id', 'path', 'state', 'attempts', 'due_at', 'deleted_at',
			'taken_by', 'last_error']) AS c;
		IF (SELECT c.relkind FROM pg_class c WHERE c.oid = to_regclass(outbox)) <> 'r' THEN
			RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
				MESSAGE = '"deleted_files" is not an ordinary table';
		END IF;
		IF (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = to_regclass(outbox)
			AND a.attname IN ('relation', 'column_name') AND NOT a.attisdropped) < 2 THEN
			EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS relation regclass,
				ADD COLUMN IF NOT EXISTS column_name name', outbox);
			detail := 'files to unlink; added the columns relation and column_name';
		END IF;
	END IF;
	RETURN NEXT;
END
$$;

-- Creates the table of purges: a row for each one that has begun.  The professor's
-- username stands there, or the key of a row of another relation.
CREATE FUNCTION catalogue.create_purges(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	purges constant text := format('%I.professor_purges', schema);
BEGIN
	status := 'found';
	object := format('table %s', purges);
	detail := 'progress of purges';
	IF to_regclass(purges) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			relation regclass NOT NULL,
			username text NOT NULL,
			started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			resumed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			phase text NOT NULL,
			rows_done bigint NOT NULL DEFAULT 0,
			rows_before bigint NOT NULL DEFAULT 0,
			rows_expected bigint,
			last_batch_at timestamptz,
			finished_at timestamptz,
			pid integer,
			PRIMARY KEY (relation, username))', purges);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', purges);
		status := 'created';
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'professor_purges', 'the progress of purges'),
			catalogue.mapped_column(to_regclass(purges), c)
		FROM unnest(ARRAY['relation', 'username', 'started_at', 'resumed_at', 'phase', 'rows_done',
			'rows_before', 'rows_expected', 'last_batch_at', 'finished_at', 'pid']) AS c;
	END IF;
	RETURN NEXT;
END
$$;

-- Creates the view of the outbox for monitoring: how many files wait, and since
-- when.  It names nothing of the extension, so it outlives it.
CREATE FUNCTION catalogue.create_backlog_view(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	backlog constant text := format('%I.deleted_files_backlog', schema);
BEGIN
	status := 'found';
	object := format('view %s', backlog);
	detail := 'files that wait to be unlinked';
	IF to_regclass(backlog) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT count(*) FILTER (WHERE state = ''queued'') AS queued,
				count(*) FILTER (WHERE state = ''queued'' AND due_at <= now()) AS due,
				count(*) FILTER (WHERE state = ''dead'') AS dead,
				max(now() - deleted_at) FILTER (WHERE state = ''queued'') AS oldest_age
			FROM %I.deleted_files', backlog, schema);
		status := 'created';
	END IF;
	RETURN NEXT;
END
$$;

-- Creates the view of purges: how far each is, and when it is likely to end.  It
-- outlives the extension too.
CREATE FUNCTION catalogue.create_progress_view(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	progress constant text := format('%I.professor_purge_progress', schema);
BEGIN
	status := 'found';
	object := format('view %s', progress);
	detail := 'how far each purge is';
	IF to_regclass(progress) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT p.relation, p.username, p.phase, p.started_at, p.rows_done, p.rows_expected,
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
			FROM %I.professor_purges AS p', progress, schema);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', progress);
		status := 'created';
	END IF;
	RETURN NEXT;
END
$$;

-- Which of these a schema has: what attach() made there and detach() leaves.
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

-- Creates those that are missing, and gives them to an owner.
CREATE FUNCTION catalogue.create_deletion_tables(schema name, owner regrole)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	before constant text[] := ARRAY(SELECT r.name FROM catalogue.kept_relations(schema) AS r);
	made text;
BEGIN
	RETURN QUERY SELECT * FROM catalogue.create_outbox(schema);
	RETURN QUERY SELECT * FROM catalogue.create_purges(schema);
	RETURN QUERY SELECT * FROM catalogue.create_backlog_view(schema);
	RETURN QUERY SELECT * FROM catalogue.create_progress_view(schema);

	FOR made IN SELECT r.name FROM catalogue.kept_relations(schema) AS r
		WHERE r.name <> ALL (before)
	LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO %s', made, owner);
	END LOOP;
END
$$;

-- The triggers that invalidate cached lookups when a lookup table changes.  The
-- row trigger does not fire for a statement that changed no row, reaches
-- partitions, and enabled ALWAYS fires for rows that replication applies.
CREATE FUNCTION catalogue.create_lookup_triggers(relation regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	-- Whoever is writing now does so under the earlier bindings.
	EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', relation);
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
		detail := 'invalidates cached lookups in every session';
		RETURN NEXT;
	END LOOP;
END
$$;

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

-- Creates the triggers on the lookup tables of a binding, and drops those that an
-- earlier binding of the schema has on others.
CREATE FUNCTION catalogue.replace_lookup_triggers(schema name, lookups jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass;
BEGIN
	RETURN QUERY SELECT * FROM catalogue.drop_lookup_triggers(schema,
		ARRAY(SELECT (item ->> 'relation')::oid FROM jsonb_array_elements(lookups) AS item));
	FOR relation IN
		SELECT (item ->> 'relation')::oid::regclass
		FROM jsonb_array_elements(lookups) WITH ORDINALITY AS l (item, i)
		GROUP BY 1 ORDER BY min(i)
	LOOP
		IF (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) = 'f' THEN
			RETURN QUERY VALUES ('advice', format('table %s', relation),
				'changes of a foreign table are not covered by triggers: cached lookups follow after catalogue.lookup_ttl');
		ELSE
			RETURN QUERY SELECT * FROM catalogue.create_lookup_triggers(relation);
		END IF;
	END LOOP;
END
$$;
