/*
 * 04_mapping.sql
 *		The mapping that attach() takes, and the binding it is resolved to.
 *
 * A mapping says in names, of the application's choice, what a binding says in
 * OIDs, complete and checked.  Everything here runs as the caller and only
 * reads: what bind_for() does with a binding does not rely on it.
 */

-- The reference schema's names: what attach() takes for everything that its
-- mapping does not say.
CREATE FUNCTION catalogue.default_mapping() RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT '{
	"chapters": {"relation": "chapitres_complets", "id": "id", "filiere": "filiere_id",
		"created_at": "created_at", "author": "created_by"},
	"professors": {"relation": "professeurs", "id": "id", "username": "username"},
	"lookups": [
		{"kind": "universite", "relation": "universites", "id": "id", "code": "code", "nom": "nom"},
		{"kind": "ufr", "relation": "ufrs", "id": "id", "code": "code", "nom": "nom",
			"parent": "universite_id"},
		{"kind": "filiere", "relation": "filieres", "id": "id", "code": "code", "nom": "nom",
			"parent": "ufr_id"}],
	"files": [
		{"relation": "chapitres_complets", "column": "cours_fichier_path", "separator": "|||"},
		{"relation": "chapitres_complets", "column": "exercice_fichier_path", "separator": "|||"},
		{"relation": "chapitres_complets", "column": "solution_fichier_path", "separator": "|||"},
		{"relation": "contents", "column": "fichier_path", "separator": "|||"},
		{"relation": "messages_prof", "column": "audio_file", "separator": "|||"}],
	"also_delete": [
		{"relation": "notifications", "columns": ["chapitre_id"]}],
	"soft_references": [
		{"relation": "commentaires", "column": "auteur_id",
			"type_column": "auteur_type", "type_values": ["prof", "professeur"]},
		{"relation": "notifications", "column": "destinataire_id",
			"type_column": "destinataire_type", "type_values": ["prof", "professeur"]}]
}'::jsonb
$$;
COMMENT ON FUNCTION catalogue.default_mapping() IS 'the mapping of the reference schema';

-- The sections of a mapping, in the order in which they are resolved: whether
-- a section is a list of items or one item, the keys of an item, what an item
-- is completed from, and whether only a professor's deletion has a use for it.
-- An item of a list has defaults only for the columns that every lookup has.
CREATE FUNCTION catalogue.mapping_sections()
	RETURNS TABLE (ordinal integer, name text, is_list boolean, required text[], optional text[],
		defaults jsonb, needs_professors boolean)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 6
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT s.* FROM (VALUES
	(1, 'chapters', false, '{relation,id,filiere,created_at}'::text[], '{author}'::text[],
		catalogue.default_mapping() -> 'chapters', false),
	(2, 'professors', false, '{relation,id,username}', '{}',
		catalogue.default_mapping() -> 'professors', false),
	(3, 'lookups', true, '{kind,relation,id,code,nom}', '{parent}',
		'{"id": "id", "code": "code", "nom": "nom"}', false),
	(4, 'files', true, '{relation,column}', '{separator,prefix,replaced,shared}', '{}', true),
	(5, 'also_delete', true, '{relation,columns}', '{}', '{}', true),
	(6, 'soft_references', true, '{relation,column}', '{type_column,type_values}', '{}', true)) AS s
$$;

-- Checks the form of a mapping as a whole.
CREATE FUNCTION catalogue.check_mapping(mapping jsonb) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sections constant text[] := ARRAY(
		SELECT s.name FROM catalogue.mapping_sections() AS s ORDER BY s.ordinal);
	wrong text;
BEGIN
	IF jsonb_typeof(mapping) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'the mapping must be a JSON object';
	END IF;
	SELECT key INTO wrong FROM jsonb_object_keys(mapping) AS key
	WHERE key <> ALL (sections) ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in the mapping', wrong),
			HINT = format('Valid keys are: %s.', array_to_string(sections, ', '));
	END IF;
END
$$;

-- The items of a section as an array: the mapping's, or the reference schema's
-- where the mapping does not have the section.  Empty when the section is taken
-- out, or needs professors and there are none.
CREATE FUNCTION catalogue.mapping_items(mapping jsonb, section text, with_professors boolean)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	items jsonb := coalesce(mapping -> section, catalogue.default_mapping() -> section);
	form record;
BEGIN
	SELECT s.* INTO STRICT form FROM catalogue.mapping_sections() AS s WHERE s.name = section;

	IF jsonb_typeof(items) = 'null' THEN
		RETURN '[]';
	END IF;
	IF form.needs_professors AND NOT with_professors THEN
		IF mapping ? section AND items <> '[]' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping needs "professors"', section);
		END IF;
		RETURN '[]';
	END IF;
	IF NOT form.is_list THEN
		RETURN jsonb_build_array(items);
	END IF;
	IF jsonb_typeof(items) <> 'array' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in the mapping must be a JSON array', section);
	END IF;
	RETURN items;
END
$$;

-- An item of a section with its defaults filled in and its keys with null
-- taken out; an error when it is not of the section's form.
CREATE FUNCTION catalogue.complete_mapping_item(section text, item jsonb) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	form record;
	completed jsonb;
BEGIN
	SELECT s.* INTO STRICT form FROM catalogue.mapping_sections() AS s WHERE s.name = section;

	IF jsonb_typeof(item) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format(CASE WHEN form.is_list
				THEN '"%s" in the mapping must hold JSON objects'
				ELSE '"%s" in the mapping must be a JSON object' END, section);
	END IF;
	completed := jsonb_strip_nulls(form.defaults || item);
	PERFORM catalogue.check_mapping_item(section, completed, form.required, form.optional);
	RETURN completed;
END
$$;

-- Checks the form of one object of the mapping: no key that it must not have,
-- so that a misspelt one is not silently a default, none missing, and each
-- value of its type.  Keys with null have been taken out before.
CREATE FUNCTION catalogue.check_mapping_item(section text, item jsonb, required text[], optional text[])
	RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lists constant text[] := ARRAY['columns', 'type_values'];
	flags constant text[] := ARRAY['replaced', 'shared'];
	wrong text;
BEGIN
	SELECT key INTO wrong FROM jsonb_object_keys(item) AS key
	WHERE key <> ALL (required || optional) ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in "%s" of the mapping', wrong, section),
			HINT = format('Valid keys are: %s.', array_to_string(required || optional, ', '));
	END IF;

	SELECT key INTO wrong FROM unnest(required) AS key WHERE NOT item ? key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('key "%s" is missing in "%s" of the mapping', wrong, section);
	END IF;

	SELECT key INTO wrong FROM jsonb_each(item) AS pair (key, value)
	WHERE key <> ALL (lists || flags) AND (jsonb_typeof(value) <> 'string' OR value = '""')
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be a string, and not an empty one',
				wrong, section);
	END IF;

	SELECT key INTO wrong FROM jsonb_each(item) AS pair (key, value)
	WHERE key = ANY (flags) AND jsonb_typeof(value) <> 'boolean'
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be true or false', wrong, section);
	END IF;

	SELECT key INTO wrong FROM jsonb_each(item) AS pair (key, value)
	WHERE key = ANY (lists)
	AND (jsonb_typeof(value) <> 'array' OR value = '[]'
		OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")'))
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be an array of strings, and not an empty one',
				wrong, section);
	END IF;

	IF (item ? 'type_column') <> (item ? 'type_values') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"type_column" and "type_values" in "%s" of the mapping need each other',
				section);
	END IF;
END
$$;

-- A relation that the mapping names: "lessons", or "app.lessons" in another
-- schema.  NULL when it does not exist; an error when it cannot be bound.
CREATE FUNCTION catalogue.mapped_relation(schema name, relation text, role text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parts text[] := parse_ident(relation);
	target record;
BEGIN
	IF cardinality(parts) > 2 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('invalid relation name "%s" in the mapping', relation),
			HINT = 'Give a table name, or schema.table.';
	END IF;
	IF cardinality(parts) = 1 THEN
		parts := ARRAY[schema::text, parts[1]];
	END IF;

	SELECT c.oid::regclass AS relid, c.relname, c.relkind, c.relowner, c.relpersistence INTO target
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = parts[1] AND c.relname = parts[2];

	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF target.relkind NOT IN ('r', 'p', 'f') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is not a table', target.relname),
			DETAIL = format('The mapping names it as %s.', role),
			HINT = 'Attach the tables below it: invalidation, foreign keys and row locks need a table.';
	END IF;
	IF target.relpersistence = 't' THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is a temporary table', target.relname),
			DETAIL = format('The mapping names it as %s.', role);
	END IF;
	IF NOT pg_has_role(current_user, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relname);
	END IF;
	RETURN target.relid;
END
$$;

-- Type of a column that the mapping names; an error when there is none.
CREATE FUNCTION catalogue.mapped_column(relation regclass, "column" text) RETURNS regtype
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	type regtype;
BEGIN
	SELECT a.atttypid INTO type FROM pg_attribute a
	WHERE a.attrelid = relation AND a.attname = "column" AND a.attnum > 0 AND NOT a.attisdropped;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation "%s" does not exist', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation)),
			HINT = 'Name the column in the mapping.';
	END IF;
	RETURN type;
END
$$;

-- Refuses a completed item that names a column its relation does not have.
CREATE FUNCTION catalogue.check_mapped_columns(relation regclass, item jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM catalogue.mapped_column(relation, pair.value #>> '{}')
	FROM jsonb_each(item
		- '{relation,kind,separator,prefix,replaced,shared,columns,type_values}'::text[]) AS pair;
	PERFORM catalogue.mapped_column(relation, value)
	FROM jsonb_array_elements_text(item -> 'columns') AS value;
END
$$;

-- Whether an item of "also_delete" names the columns of a foreign key of its
-- relation, in the key's order; an error when the mapping asked for it.
CREATE FUNCTION catalogue.has_mapped_key(relation regclass, item jsonb, asked boolean) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted constant text[] := ARRAY(SELECT jsonb_array_elements_text(item -> 'columns'));
	is_there constant boolean := EXISTS (
		SELECT FROM catalogue.foreign_keys(relation) AS k WHERE k.columns::text[] = wanted);
BEGIN
	IF asked AND NOT is_there THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('table "%s" has no foreign key on (%s)',
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation),
				(SELECT string_agg(quote_ident(name), ', ' ORDER BY i)
					FROM unnest(wanted) WITH ORDINALITY AS u (name, i))),
			DETAIL = 'The mapping names it in "also_delete".',
			HINT = 'Name the columns in the order of the foreign key; what refers to a professor without one belongs in "soft_references".';
	END IF;
	RETURN is_there;
END
$$;

-- Refuses a resolved item that the section's other items make superfluous or
-- ambiguous: the same columns twice, or two lookups of one kind.
CREATE FUNCTION catalogue.check_duplicate(section text, others jsonb, item jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	besides constant text[] := '{separator,prefix,replaced,shared,type_values}';
BEGIN
	IF EXISTS (SELECT FROM jsonb_array_elements(others) AS other
		WHERE other ->> 'kind' = item ->> 'kind'
		OR section <> 'lookups' AND other - besides = item - besides) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('duplicate entry in "%s" of the mapping', section),
			DETAIL = CASE section
				WHEN 'lookups' THEN format('The kind "%s" is there twice.', item ->> 'kind')
				ELSE format('The same columns of table "%s" are there twice.', (
					SELECT c.relname FROM pg_class c WHERE c.oid = (item ->> 'relation')::oid)) END;
	END IF;
END
$$;

-- The binding that a mapping asks for: its defaults filled in, each relation an
-- OID, each column there.  What only the default mapping names and the schema
-- does not have is left out; a relation is then listed under "absent".  Items
-- are resolved one after the other, so the first mistake is the one reported.
CREATE FUNCTION catalogue.resolve_mapping(schema name, mapping jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	binding jsonb := '{"absent": []}';
	section record;
	asked boolean;
	item jsonb;
	missing jsonb;
	relation regclass;
BEGIN
	PERFORM catalogue.check_mapping(mapping);

	FOR section IN SELECT * FROM catalogue.mapping_sections() AS s ORDER BY s.ordinal LOOP
		asked := mapping ? section.name;
		FOR item IN SELECT * FROM jsonb_array_elements(
			catalogue.mapping_items(mapping, section.name, binding ? 'professors'))
		LOOP
			item := catalogue.complete_mapping_item(section.name, item);
			relation := catalogue.mapped_relation(schema, item ->> 'relation',
				format('"%s"', section.name));
			IF relation IS NULL AND asked THEN
				RAISE EXCEPTION USING ERRCODE = 'undefined_table',
					MESSAGE = format('relation "%s" does not exist', item ->> 'relation'),
					DETAIL = format('The mapping names it in "%s", for schema "%s".',
						section.name, schema);
			ELSIF relation IS NULL THEN
				missing := jsonb_build_object('section', section.name, 'relation', item -> 'relation');
				IF NOT binding -> 'absent' @> jsonb_build_array(missing) THEN
					binding := jsonb_insert(binding, '{absent,-1}', missing, true);
				END IF;
				CONTINUE;
			END IF;

			PERFORM catalogue.check_mapped_columns(relation, item);
			CONTINUE WHEN section.name = 'also_delete'
				AND NOT catalogue.has_mapped_key(relation, item, asked);
			item := item || jsonb_build_object('relation', relation::oid::bigint);
			IF section.is_list THEN
				PERFORM catalogue.check_duplicate(section.name, binding -> section.name, item);
				item := coalesce(binding -> section.name, '[]') || item;
			END IF;
			binding := binding || jsonb_build_object(section.name, item);
		END LOOP;
	END LOOP;

	IF NOT binding ?| ARRAY['chapters', 'professors', 'lookups'] THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = format('schema "%s" has no table to attach', schema),
			HINT = 'Run catalogue.create_tables() for a new application, or give a mapping with the names of your tables.';
	END IF;
	RETURN binding;
END
$$;
