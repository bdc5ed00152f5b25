/*
 * 06_functions.sql
 *		The functions that attach() creates in the application's schema.
 *
 * An attachment's configuration says which functions are wanted, the catalogs
 * say which are present.  drop_functions() and create_functions() make the one
 * the other.  They run inside bind_for(), as the extension's owner, and trust
 * what it has checked: nobody else may execute them.
 */

-- Planner support of the functions that return rows.
CREATE FUNCTION catalogue.tuple_source_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_tuple_source_support';
COMMENT ON FUNCTION catalogue.tuple_source_support(internal) IS 'planner support: row estimates';

-- What cached_lookups() and the like are asked for where the university is left out.  A
-- NULL asks for nothing, so it cannot be their default.
CREATE FUNCTION catalogue.everything(anyelement) RETURNS anyelement
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'catalogue_everything';
COMMENT ON FUNCTION catalogue.everything(anyelement) IS 'default of an argument that is left out to ask for all';
GRANT EXECUTE ON FUNCTION catalogue.everything(anyelement) TO PUBLIC;

-- The functions that an attachment asks for, as the parts of CREATE FUNCTION.
-- A default is parsed by every call that leaves its argument out, twice: as a literal
-- it is a constant of the argument's type, where 100 would be a conversion besides.
CREATE FUNCTION catalogue.wanted_functions(attachment regclass)
	RETURNS TABLE (kind text, name text, types text, arguments text, result text,
		options text, symbol text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH chapters AS (
	SELECT c.reltype::regtype AS row_type, f.function, f.filiere, f.name, i.id, d.created_at
	FROM catalogue.attachment a
	JOIN pg_class c ON c.oid = a.chapters
	JOIN pg_type t ON t.oid = catalogue.widest_type(catalogue.argument_type(a.chapters, a.chapters_filiere))
	CROSS JOIN LATERAL (VALUES
		('recent_chapters', 'filiere', t.oid::regtype),
		('recent_chapters_any', 'filieres', t.typarray::regtype)) AS f (function, name, filiere)
	CROSS JOIN catalogue.widest_type(catalogue.argument_type(a.chapters, a.chapters_id)) AS i (id)
	CROSS JOIN catalogue.widest_type(catalogue.argument_type(a.chapters, a.chapters_created_at)) AS d (created_at)
	WHERE a.deleted_files = attachment
), deletions AS (
	SELECT 'TABLE(relation regclass, action text, row_count bigint)' AS report, a.professors
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment
), root AS (
	SELECT catalogue.argument_type(l.relation, l.id) AS id
	FROM catalogue.lookup l WHERE l.attachment = wanted_functions.attachment
	ORDER BY l.ordinal LIMIT 1
)
SELECT 'FUNCTION', c.function,
	format('%s, bigint, %s, %s', c.filiere, c.id, c.created_at),
	format('%s %s, n bigint DEFAULT ''100'', before_id %s DEFAULT NULL, before_at %s DEFAULT NULL',
		c.name, c.filiere, c.id, c.created_at),
	format('SETOF %s', c.row_type),
	'STABLE PARALLEL SAFE ROWS 100 SUPPORT catalogue.tuple_source_support',
	'catalogue_recent_chapters'
FROM chapters c
UNION ALL
SELECT v.*
FROM deletions d CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'delete_with_dependents', 'regclass, text, integer, boolean',
		'relation regclass, key text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		d.report, 'VOLATILE PARALLEL UNSAFE ROWS 20', 'catalogue_delete_with_dependents'),
	('FUNCTION', 'preview_deletion', 'regclass, text', 'relation regclass, key text',
		d.report, 'STABLE PARALLEL RESTRICTED ROWS 20', 'catalogue_preview_deletion'),
	('PROCEDURE', 'purge_with_dependents', 'regclass, text, integer, interval',
		'relation regclass, key text, batch_size integer DEFAULT 1000, pause interval DEFAULT ''0''',
		NULL, '', 'catalogue_purge_with_dependents')) AS v
UNION ALL
SELECT v.*
FROM deletions d CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'delete_professor_batch', 'text, integer, boolean',
		'username text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		d.report, 'VOLATILE PARALLEL UNSAFE ROWS 20', 'catalogue_delete_professor_batch'),
	('FUNCTION', 'preview_professor_deletion', 'text', 'username text',
		d.report, 'STABLE PARALLEL RESTRICTED ROWS 20', 'catalogue_preview_professor_deletion'),
	('PROCEDURE', 'purge_professor', 'text, integer, interval',
		'username text, batch_size integer DEFAULT 1000, pause interval DEFAULT ''0''',
		NULL, '', 'catalogue_purge_professor'),
	('FUNCTION', 'take_deleted_files', 'integer', 'max_files integer DEFAULT 100',
		'TABLE(path text, relation regclass, column_name name)', 'VOLATILE PARALLEL UNSAFE ROWS 100',
		'catalogue_take_deleted_files'),
	('FUNCTION', 'retry_deleted_file', 'text, text', 'path text, error text',
		'void', 'VOLATILE PARALLEL UNSAFE', 'catalogue_retry_deleted_file')) AS v
WHERE d.professors IS NOT NULL
UNION ALL
SELECT v.*
FROM root r CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'cached_lookups', r.id::text, format('universite %1$s DEFAULT catalogue.everything(NULL::%1$s)', r.id),
		'TABLE(kind text, id text, code text, nom text, parent_id text)',
		'STABLE PARALLEL RESTRICTED ROWS 1000 SUPPORT catalogue.tuple_source_support',
		'catalogue_cached_lookups'),
	('FUNCTION', 'cached_lookups_json', format('%s, text', r.id),
		format('universite %1$s DEFAULT catalogue.everything(NULL::%1$s), known_version text DEFAULT NULL', r.id),
		'TABLE(version text, lookups json)',
		'STABLE PARALLEL RESTRICTED ROWS 1 SUPPORT catalogue.tuple_source_support',
		'catalogue_cached_lookups_json'),
	('FUNCTION', 'lookups_version', r.id::text, format('universite %1$s DEFAULT catalogue.everything(NULL::%1$s)', r.id),
		'text', 'STABLE PARALLEL RESTRICTED', 'catalogue_lookups_version')) AS v
WHERE r.id IS NOT NULL
$$;

-- The extension's functions that are in a schema, as wanted_functions() names
-- them: by symbol, argument types and result, so that one that was renamed
-- there is still known.
CREATE FUNCTION catalogue.present_functions(schema name)
	RETURNS TABLE (routine regprocedure, owner oid, types text, result text, symbol text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT p.oid, p.proowner, oidvectortypes(p.proargtypes), pg_get_function_result(p.oid), p.prosrc
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_proc bind ON bind.oid = 'catalogue.bind(name, jsonb)'::regprocedure AND bind.probin = p.probin
WHERE n.nspname = schema AND n.nspname <> 'catalogue'
$$;

-- Drops the extension's functions in a schema that an attachment does not ask
-- for, such as those of a column type that has changed; all of them where there
-- is no attachment.
CREATE FUNCTION catalogue.drop_functions(schema name, attachment regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present record;
BEGIN
	FOR present IN
		SELECT p.routine FROM catalogue.present_functions(schema) AS p
		WHERE NOT EXISTS (SELECT FROM catalogue.wanted_functions(attachment) AS w
			WHERE w.symbol = p.symbol AND w.types = p.types
			AND w.result IS NOT DISTINCT FROM p.result)
		ORDER BY p.routine::text
	LOOP
		status := 'dropped';
		object := format('routine %s', present.routine);
		EXECUTE format('DROP ROUTINE %s', present.routine);
		RETURN NEXT;
	END LOOP;
END
$$;
REVOKE ALL ON FUNCTION catalogue.drop_functions(name, regclass) FROM PUBLIC;

-- Creates the functions that an attachment asks for and its schema does not
-- have.  They belong to the owner of the tables, whoever attaches.
CREATE FUNCTION catalogue.create_functions(schema name, attachment regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	library constant text := (SELECT p.probin FROM pg_proc p
		WHERE p.oid = 'catalogue.bind(name, jsonb)'::regprocedure);
	owner constant regrole := (SELECT c.relowner
		FROM catalogue.bound_tables(attachment) WITH ORDINALITY AS b (relation, columns, description, i)
		JOIN pg_class c ON c.oid = b.relation
		ORDER BY b.i LIMIT 1);
	wanted record;
BEGIN
	FOR wanted IN
		SELECT w.*, p.routine, format('%I.%I(%s)', schema, w.name, w.types) AS signature
		FROM catalogue.wanted_functions(attachment) AS w
		LEFT JOIN catalogue.present_functions(schema) AS p
			ON p.symbol = w.symbol AND p.types = w.types
		ORDER BY w.name, w.types
	LOOP
		status := 'found';
		object := format('%s %s', lower(wanted.kind), coalesce(wanted.routine::text, wanted.signature));
		IF wanted.routine IS NULL THEN
			IF to_regprocedure(wanted.signature) IS NOT NULL THEN
				RAISE EXCEPTION USING ERRCODE = 'duplicate_function',
					MESSAGE = format('%s already exists and is not one of the extension''s', object),
					HINT = 'Rename it, or attach tables of another schema.';
			END IF;
			EXECUTE format('CREATE %s %I.%I(%s) %s LANGUAGE c %s AS %L, %L', wanted.kind, schema,
				wanted.name, wanted.arguments, 'RETURNS ' || wanted.result, wanted.options,
				library, wanted.symbol);
			EXECUTE format('ALTER ROUTINE %s OWNER TO %s', wanted.signature, owner);
			EXECUTE format('ALTER ROUTINE %s DEPENDS ON EXTENSION catalogue', wanted.signature);
			status := 'created';
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;
REVOKE ALL ON FUNCTION catalogue.create_functions(name, regclass) FROM PUBLIC;
