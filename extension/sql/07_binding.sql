/*
 * 07_binding.sql
 *		What a schema is attached to: the configuration, read and written.
 *
 * bind() is the one step of attach() and detach() that runs with more than the
 * caller's rights: it calls bind_for() as the extension's owner, in whose hands
 * the configuration and the functions are.  What bind_for() is made of either
 * only reads, or may be executed by nobody else.
 */

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
		'file paths: %s' || coalesce(', separated by ' || quote_literal(replace(f.separator, '%', '%%')), '')
			|| coalesce(', below ' || quote_literal(replace(f.prefix, '%', '%%')), '')
			|| CASE WHEN f.replaced THEN '' ELSE ', not when replaced' END
			|| CASE WHEN f.shared THEN ', shared' ELSE '' END
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

-- What bound_tables() returns, kept while the configuration is rewritten.
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

-- Refuses a role that does not have the rights of a relation's owner.  A
-- relation that is gone has no owner, and nothing to protect.
CREATE FUNCTION catalogue.check_owner(role oid, relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target pg_class;
BEGIN
	SELECT c.* INTO target FROM pg_class c WHERE c.oid = relation;
	IF FOUND AND NOT pg_has_role(role, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relname);
	END IF;
END
$$;
REVOKE ALL ON FUNCTION catalogue.check_owner(oid, regclass) FROM PUBLIC;

-- Refuses a role that may not take away what a schema is bound to.  That takes
-- the rights of the owner of every table, and those of the owner of every
-- function or of the schema.
CREATE FUNCTION catalogue.check_unbind(role oid, schema name, outbox regclass, purges regclass)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present record;
BEGIN
	PERFORM catalogue.check_owner(role, b.relation) FROM catalogue.bound_tables(outbox) AS b;
	PERFORM catalogue.check_owner(role, outbox), catalogue.check_owner(role, purges);
	FOR present IN SELECT * FROM catalogue.present_functions(schema) LOOP
		IF NOT pg_has_role(role, present.owner, 'USAGE')
			AND NOT pg_has_role(role, (SELECT n.nspowner FROM pg_namespace n
				WHERE n.nspname = schema), 'USAGE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('must be owner of routine %s', present.routine);
		END IF;
	END LOOP;
END
$$;
REVOKE ALL ON FUNCTION catalogue.check_unbind(oid, name, regclass, regclass) FROM PUBLIC;

-- Refuses a role that does not own everything that has been bound, and a
-- binding to what is not a table.
CREATE FUNCTION catalogue.check_bound(role oid, outbox regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM catalogue.check_owner(role, b.relation) FROM catalogue.bound_tables(outbox) AS b;
	IF EXISTS (SELECT FROM catalogue.bound_tables(outbox) AS b
		WHERE NOT EXISTS (SELECT FROM pg_class c
			WHERE c.oid = b.relation AND c.relkind IN ('r', 'p', 'f'))) THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = 'only tables can be bound';
	END IF;
END
$$;
REVOKE ALL ON FUNCTION catalogue.check_bound(oid, regclass) FROM PUBLIC;

-- Deletes the configuration that is known by an outbox, and that of attachments
-- whose own is gone: they died with it or with their schema, and are nobody's.
CREATE FUNCTION catalogue.delete_configuration(outbox regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	gone regclass;
BEGIN
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
END
$$;
REVOKE ALL ON FUNCTION catalogue.delete_configuration(regclass) FROM PUBLIC;

-- Writes a binding into the configuration, unchecked.
CREATE FUNCTION catalogue.insert_configuration(outbox regclass, purges regclass, binding jsonb)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO catalogue.attachment (deleted_files, professor_purges, mapping,
		chapters, chapters_id, chapters_filiere, chapters_created_at, chapters_author,
		professors, professors_id, professors_username, unlink_delay)
	SELECT outbox, purges, binding -> 'mapping',
		(c ->> 'relation')::oid::regclass, c ->> 'id', c ->> 'filiere', c ->> 'created_at',
		c ->> 'author',
		(p ->> 'relation')::oid::regclass, p ->> 'id', p ->> 'username',
		coalesce((binding ->> 'unlink_delay')::interval, '0')
	FROM (VALUES (binding -> 'chapters', binding -> 'professors')) AS v (c, p);

	INSERT INTO catalogue.lookup (attachment, ordinal, relation, kind, id, code, nom, parent)
	SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'kind', item ->> 'id',
		item ->> 'code', item ->> 'nom', item ->> 'parent'
	FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i);

	INSERT INTO catalogue.file_column (attachment, ordinal, relation, "column", separator, prefix,
		replaced, shared)
	SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
		item ->> 'separator', item ->> 'prefix', coalesce((item ->> 'replaced')::boolean, true),
		coalesce((item ->> 'shared')::boolean, false)
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
END
$$;
REVOKE ALL ON FUNCTION catalogue.insert_configuration(regclass, regclass, jsonb) FROM PUBLIC;

-- The report of a change of the configuration, from what bound_tables_json()
-- returned before and after it: first the tables that are bound now.
CREATE FUNCTION catalogue.report_bound_tables(before jsonb, after jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE sql IMMUTABLE ROWS 20
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE WHEN NOT bool_or(b.is_bound) THEN 'unbound'
		WHEN bool_or(b.was_bound) THEN 'found' ELSE 'bound' END,
	format('table %s', b.item ->> 'relation'), b.item ->> 'description'
FROM (
	SELECT n.item, n.i, true, false FROM jsonb_array_elements(after) WITH ORDINALITY AS n (item, i)
	UNION ALL
	SELECT o.item, o.i, false, true FROM jsonb_array_elements(before) WITH ORDINALITY AS o (item, i)
) AS b (item, i, is_bound, was_bound)
GROUP BY b.item
ORDER BY bool_or(b.is_bound) DESC, min(b.i)
$$;

-- Writes a schema's configuration and makes its functions, with the rights of
-- the extension's owner, for a caller whose own rights are checked here.  A
-- binding of JSON null takes both away.  Reached through catalogue.bind()
-- alone, which passes the true caller.
--
-- Nothing that the caller says is trusted: relations and columns may be any, so
-- what was bound and what is bound now must be the caller's own tables, and what
-- text is executed is made of catalog entries, types and fixed words.  No code
-- of the caller's runs here: neither table contents nor operators, defaults or
-- triggers of their tables are touched.
CREATE FUNCTION catalogue.bind_for(caller oid, schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	outbox constant regclass := to_regclass(format('%I.deleted_files', schema));
	purges constant regclass := to_regclass(format('%I.professor_purges', schema));
	before jsonb;
BEGIN
	PERFORM catalogue.check_unbind(caller, schema, outbox, purges);
	before := catalogue.bound_tables_json(outbox);
	PERFORM catalogue.delete_configuration(outbox);

	IF binding <> 'null' THEN
		IF NOT has_schema_privilege(caller, schema, 'CREATE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('permission denied for schema %s', schema);
		END IF;
		PERFORM catalogue.insert_configuration(outbox, purges, binding);
		PERFORM catalogue.check_bound(caller, outbox);
	END IF;

	RETURN QUERY SELECT * FROM catalogue.report_bound_tables(before,
		catalogue.bound_tables_json(outbox));
	RETURN QUERY SELECT * FROM catalogue.drop_functions(schema, outbox);
	RETURN QUERY SELECT * FROM catalogue.create_functions(schema, outbox);
END
$$;
REVOKE ALL ON FUNCTION catalogue.bind_for(oid, name, jsonb) FROM PUBLIC;

CREATE FUNCTION catalogue.bind(schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'catalogue_bind';
COMMENT ON FUNCTION catalogue.bind(name, jsonb) IS 'the step of attach() and detach() that needs the extension owner''s rights';

CREATE FUNCTION catalogue.lock_configuration() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'catalogue_lock_configuration';
COMMENT ON FUNCTION catalogue.lock_configuration() IS 'makes attach() and detach() wait for each other';
