-- The outbox by which the configuration knows a schema's attachment; NULL
-- where the schema is not attached.
CREATE FUNCTION catalogue.attachment_of(schema name) RETURNS regclass
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.deleted_files
FROM catalogue.attachment a
JOIN pg_class c ON c.oid = a.deleted_files
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = schema AND c.relname = 'deleted_files'
$$;

-- Every table that an attachment is bound to, once for each use of it, with
-- the columns used and a description for people.
CREATE FUNCTION catalogue.bound_tables(attachment regclass)
	RETURNS TABLE (relation regclass, columns name[], description text)
	LANGUAGE sql STABLE ROWS 20
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT b.relation, array_remove(b.columns, NULL),
	format(b.description, (SELECT string_agg(quote_ident(c), ', ' ORDER BY i)
		FROM unnest(b.columns) WITH ORDINALITY AS u (c, i)))
FROM (
	SELECT 1, 0, a.chapters, ARRAY[a.chapters_id, a.chapters_filiere, a.chapters_created_at,
		a.chapters_author], 'chapters: %s'
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.chapters IS NOT NULL
	UNION ALL
	SELECT 2, 0, a.professors, ARRAY[a.professors_id, a.professors_username], 'professors: %s'
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.professors IS NOT NULL
	UNION ALL
	SELECT 3, l.ordinal, l.relation, ARRAY[l.id, l.code, l.nom, l.parent],
		format('lookup "%s": ', replace(l.kind, '%', '%%')) || '%s'
	FROM catalogue.lookup l WHERE l.attachment = bound_tables.attachment
	UNION ALL
	SELECT 4, f.ordinal, f.relation, ARRAY[f."column"],
		'file paths: %s' || coalesce(format(', separated by %L', replace(f.separator, '%', '%%')), '')
	FROM catalogue.file_column f WHERE f.attachment = bound_tables.attachment
	UNION ALL
	SELECT 5, e.ordinal, e.relation, e.columns, 'also deleted, by foreign key: %s'
	FROM catalogue.also_delete e WHERE e.attachment = bound_tables.attachment
	UNION ALL
	SELECT 6, s.ordinal, s.relation, ARRAY[s."column", s.type_column],
		'also deleted, by soft reference: %s' || coalesce(' in (' || replace(
			(SELECT string_agg(quote_literal(v), ', ') FROM unnest(s.type_values) AS v), '%', '%%') || ')', '')
	FROM catalogue.soft_reference s WHERE s.attachment = bound_tables.attachment
) AS b (section, ordinal, relation, columns, description)
ORDER BY b.section, b.ordinal
$$;

-- The functions that an attachment asks for, as the words of CREATE FUNCTION.
CREATE FUNCTION catalogue.wanted_functions(attachment regclass)
	RETURNS TABLE (kind text, name text, types text, arguments text, result text,
		options text, symbol text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH chapters AS (
	SELECT c.reltype::regtype AS row_type, f.filiere, f.name, i.id, d.created_at
	FROM catalogue.attachment a
	JOIN pg_class c ON c.oid = a.chapters
	CROSS JOIN LATERAL (
		SELECT 'filiere', t.oid::regtype FROM pg_type t
		WHERE t.oid = catalogue.argument_type(a.chapters, a.chapters_filiere)
		UNION ALL
		SELECT 'filieres', t.typarray::regtype FROM pg_type t
		WHERE t.oid = catalogue.argument_type(a.chapters, a.chapters_filiere)) AS f (name, filiere)
	CROSS JOIN catalogue.argument_type(a.chapters, a.chapters_id) AS i (id)
	CROSS JOIN catalogue.argument_type(a.chapters, a.chapters_created_at) AS d (created_at)
	WHERE a.deleted_files = attachment
), professors AS (
	SELECT 'TABLE(relation regclass, action text, row_count bigint)' AS report
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.professors IS NOT NULL
), root AS (
	SELECT catalogue.argument_type(l.relation, l.id) AS id
	FROM catalogue.lookup l WHERE l.attachment = wanted_functions.attachment
	ORDER BY l.ordinal LIMIT 1
)
SELECT 'FUNCTION', 'recent_chapters',
	format('%s, integer, %s, %s', c.filiere, c.id, c.created_at),
	format('%s %s, n integer DEFAULT 100, before_id %s DEFAULT NULL, before_at %s DEFAULT NULL',
		c.name, c.filiere, c.id, c.created_at),
	format('SETOF %s', c.row_type),
	'STABLE PARALLEL SAFE ROWS 100 SUPPORT catalogue.tuple_source_support',
	'catalogue_recent_chapters'
FROM chapters c
UNION ALL
SELECT v.*
FROM professors p CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'delete_professor_batch', 'text, integer, boolean',
		'username text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		p.report, 'VOLATILE PARALLEL UNSAFE ROWS 20', 'catalogue_delete_professor_batch'),
	('FUNCTION', 'preview_professor_deletion', 'text', 'username text',
		p.report, 'STABLE PARALLEL RESTRICTED ROWS 20', 'catalogue_preview_professor_deletion'),
	('PROCEDURE', 'purge_professor', 'text, integer, interval',
		'username text, batch_size integer DEFAULT 1000, pause interval DEFAULT ''0''',
		NULL, '', 'catalogue_purge_professor'),
	('FUNCTION', 'take_deleted_files', 'integer', 'max_files integer DEFAULT 100',
		'SETOF text', 'VOLATILE PARALLEL UNSAFE ROWS 100', 'catalogue_take_deleted_files'),
	('FUNCTION', 'retry_deleted_file', 'text, text', 'path text, error text',
		'void', 'VOLATILE PARALLEL UNSAFE', 'catalogue_retry_deleted_file')) AS v
UNION ALL
SELECT v.*
FROM root r CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'cached_lookups', r.id::text, format('universite %s DEFAULT NULL', r.id),
		'TABLE(kind text, id text, code text, nom text, parent_id text)',
		'STABLE PARALLEL RESTRICTED ROWS 1000 SUPPORT catalogue.tuple_source_support',
		'catalogue_cached_lookups'),
	('FUNCTION', 'cached_lookups_json', format('%s, text', r.id),
		format('universite %s DEFAULT NULL, known_version text DEFAULT NULL', r.id),
		'TABLE(version text, lookups json)',
		'STABLE PARALLEL RESTRICTED ROWS 1 SUPPORT catalogue.tuple_source_support',
		'catalogue_cached_lookups_json')) AS v
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

-- Writes a schema's configuration and makes its functions, with the rights of
-- the extension's owner, for a caller whose own rights are checked here.  A
-- binding of JSON null takes both away.  Reached through catalogue.bind()
-- alone, which passes the true caller.
--
-- Nothing that the caller says is trusted: relations and columns may be any,
-- so that what was bound and what is bound now must be tables of his, and
-- what text is executed is made of catalog entries, types and fixed words.
-- No code of his runs here: neither table contents nor operators, defaults or
-- triggers of his tables are touched.
CREATE FUNCTION catalogue.bind_for(caller oid, schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	library constant text := (SELECT p.probin FROM pg_proc p
		WHERE p.oid = 'catalogue.bind(name, jsonb)'::regprocedure);
	outbox constant regclass := to_regclass(format('%I.deleted_files', schema));
	purges constant regclass := to_regclass(format('%I.professor_purges', schema));
	attaching constant boolean := binding <> 'null';
	bound_before jsonb;
	bound_now jsonb;
	gone regclass;
	present record;
	wanted record;
	owner regrole;
BEGIN
	PERFORM catalogue.check_owner(caller, b.relation) FROM catalogue.bound_tables(outbox) AS b;
	PERFORM catalogue.check_owner(caller, outbox), catalogue.check_owner(caller, purges);
	FOR present IN SELECT * FROM catalogue.present_functions(schema) LOOP
		IF NOT pg_has_role(caller, present.owner, 'USAGE')
			AND NOT pg_has_role(caller, (SELECT n.nspowner FROM pg_namespace n
				WHERE n.nspname = schema), 'USAGE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('must be owner of routine %s', present.routine);
		END IF;
	END LOOP;

	bound_before := catalogue.bound_tables_json(outbox);
	-- Attachments that died with their schema or outbox are nobody's.
	FOR gone IN
		SELECT a.deleted_files FROM catalogue.attachment a
		WHERE a.deleted_files = outbox
			OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.deleted_files)
	LOOP
		DELETE FROM catalogue.soft_reference s WHERE s.attachment = gone;
		DELETE FROM catalogue.also_delete e WHERE e.attachment = gone;
		DELETE FROM catalogue.file_column f WHERE f.attachment = gone;
		DELETE FROM catalogue.lookup l WHERE l.attachment = gone;
		DELETE FROM catalogue.attachment a WHERE a.deleted_files = gone;
	END LOOP;

	IF attaching THEN
		IF NOT has_schema_privilege(caller, schema, 'CREATE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('permission denied for schema %s', schema);
		END IF;

		INSERT INTO catalogue.attachment (deleted_files, professor_purges, mapping,
			chapters, chapters_id, chapters_filiere, chapters_created_at, chapters_author,
			professors, professors_id, professors_username)
		SELECT outbox, purges, binding -> 'mapping',
			(c ->> 'relation')::oid::regclass, c ->> 'id', c ->> 'filiere', c ->> 'created_at',
			c ->> 'author',
			(p ->> 'relation')::oid::regclass, p ->> 'id', p ->> 'username'
		FROM (VALUES (binding -> 'chapters', binding -> 'professors')) AS v (c, p);

		INSERT INTO catalogue.lookup (attachment, ordinal, relation, kind, id, code, nom, parent)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'kind', item ->> 'id',
			item ->> 'code', item ->> 'nom', item ->> 'parent'
		FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.file_column (attachment, ordinal, relation, "column", separator)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'separator'
		FROM jsonb_array_elements(binding -> 'files') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.also_delete (attachment, ordinal, relation, columns)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass,
			ARRAY(SELECT jsonb_array_elements_text(item -> 'columns')::name)
		FROM jsonb_array_elements(binding -> 'also_delete') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.soft_reference (attachment, ordinal, relation, "column", type_column,
			type_values)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'type_column',
			CASE WHEN item ? 'type_values'
				THEN ARRAY(SELECT jsonb_array_elements_text(item -> 'type_values')) END
		FROM jsonb_array_elements(binding -> 'soft_references') WITH ORDINALITY AS l (item, i);

		PERFORM catalogue.check_owner(caller, b.relation) FROM catalogue.bound_tables(outbox) AS b;
		IF EXISTS (SELECT FROM catalogue.bound_tables(outbox) AS b
			WHERE NOT EXISTS (SELECT FROM pg_class c
				WHERE c.oid = b.relation AND c.relkind IN ('r', 'p', 'f'))) THEN
			RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
				MESSAGE = 'only tables can be bound';
		END IF;
	END IF;

	bound_now := catalogue.bound_tables_json(outbox);
	RETURN QUERY
		SELECT CASE bool_or(b.now)::text || bool_or(b.before)::text
				WHEN 'truetrue' THEN 'found' WHEN 'truefalse' THEN 'bound' ELSE 'unbound' END,
			format('table %s', b.item ->> 'relation'), b.item ->> 'description'
		FROM (
			SELECT item, i, true, false FROM jsonb_array_elements(bound_now) WITH ORDINALITY AS n (item, i)
			UNION ALL
			SELECT item, i, false, true FROM jsonb_array_elements(bound_before) WITH ORDINALITY AS o (item, i)
			) AS b (item, i, now, before)
		GROUP BY b.item ORDER BY bool_or(b.now) DESC, min(b.i);

	-- First those that this binding does not ask for, such as those of a
	-- column type that has changed.
	FOR present IN
		SELECT p.routine FROM catalogue.present_functions(schema) AS p
		WHERE NOT EXISTS (SELECT FROM catalogue.wanted_functions(outbox) AS w
			WHERE w.symbol = p.symbol AND w.types = p.types
			AND w.result IS NOT DISTINCT FROM p.result)
		ORDER BY p.routine::text
	LOOP
		status := 'dropped';
		object := format('routine %s', present.routine);
		detail := NULL;
		EXECUTE format('DROP ROUTINE %s', present.routine);
		RETURN NEXT;
	END LOOP;

	-- What is made belongs to the owner of the tables, whoever attaches.
	SELECT c.relowner INTO owner
	FROM catalogue.bound_tables(outbox) WITH ORDINALITY AS b (relation, columns, description, i)
	JOIN pg_class c ON c.oid = b.relation
	ORDER BY b.i LIMIT 1;

	FOR wanted IN
		SELECT w.*, p.routine, format('%I.%I(%s)', schema, w.name, w.types) AS signature
		FROM catalogue.wanted_functions(outbox) AS w
		LEFT JOIN catalogue.present_functions(schema) AS p
			ON p.symbol = w.symbol AND p.types = w.types
		ORDER BY w.name, w.types
	LOOP
		status := 'found';
		object := format('%s %s', lower(wanted.kind), coalesce(wanted.routine::text, wanted.signature));
		detail := NULL;
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
REVOKE ALL ON FUNCTION catalogue.bind_for(oid, name, jsonb) FROM PUBLIC;

-- What bound_tables() says, kept while the configuration is written anew.
CREATE FUNCTION catalogue.bound_tables_json(attachment regclass) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(jsonb_agg(jsonb_build_object(
	'relation', CASE WHEN c.oid IS NULL THEN '(dropped)' ELSE b.relation::text END,
	'description', b.description) ORDER BY b.i), '[]')
FROM catalogue.bound_tables(attachment) WITH ORDINALITY AS b (relation, columns, description, i)
LEFT JOIN pg_class c ON c.oid = b.relation
$$;

CREATE FUNCTION catalogue.check_owner(role oid, relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target pg_class;
BEGIN
	-- A relation that is gone has no owner, and nothing to protect.
	SELECT c.* INTO target FROM pg_class c WHERE c.oid = relation;
	IF FOUND AND NOT pg_has_role(role, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relname);
	END IF;
END
$$;

REVOKE ALL ON FUNCTION catalogue.check_owner(oid, regclass) FROM PUBLIC;

CREATE FUNCTION catalogue.bind(schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'catalogue_bind';
COMMENT ON FUNCTION catalogue.bind(name, jsonb) IS 'the step of attach() and detach() that needs the extension owner''s rights';

CREATE FUNCTION catalogue.lock_configuration() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'catalogue_lock_configuration';
COMMENT ON FUNCTION catalogue.lock_configuration() IS 'makes attach() and detach() wait for each other';
