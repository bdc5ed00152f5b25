---------------------------------------------------------------------------
-- attach(): from the mapping to a binding, then to functions.
---------------------------------------------------------------------------

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

-- Refuses a column that does not hold strings: paths and user names do.
CREATE FUNCTION catalogue.check_string_column(relation regclass, "column" text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	type constant regtype := catalogue.mapped_column(relation, "column");
BEGIN
	IF (SELECT t.typcategory FROM pg_type t WHERE t.oid = type) <> 'S' THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('column "%s" of relation "%s" is of type %s', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation), type),
			DETAIL = 'The column must be of a string type.';
	END IF;
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
	WHERE key <> ALL (lists) AND (jsonb_typeof(value) <> 'string' OR value = '""')
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be a string, and not an empty one',
				wrong, section);
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

-- The mapping with its defaults filled in and every relation resolved: what
-- bind() takes.  Relations are OIDs, columns are checked to exist, and what
-- the mapping does not ask for and is not there is left out and named under
-- "absent".
CREATE FUNCTION catalogue.resolve_mapping(schema name, mapping jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defaults constant jsonb := catalogue.default_mapping();
	sections constant text[] := ARRAY['chapters', 'professors', 'lookups', 'files', 'also_delete',
		'soft_references'];
	of_deletion constant text[] := ARRAY['files', 'also_delete', 'soft_references'];
	binding jsonb := '{"absent": []}';
	section text;
	asked boolean;
	listed boolean;
	items jsonb;
	item jsonb;
	missing jsonb;
	name text;
	relid regclass;
BEGIN
	IF jsonb_typeof(mapping) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'the mapping must be a JSON object';
	END IF;
	SELECT key INTO name FROM jsonb_object_keys(mapping) AS key
	WHERE key <> ALL (sections) ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in the mapping', name),
			HINT = format('Valid keys are: %s.', array_to_string(sections, ', '));
	END IF;

	FOREACH section IN ARRAY sections LOOP
		asked := mapping ? section;
		listed := jsonb_typeof(defaults -> section) = 'array';
		items := coalesce(mapping -> section, defaults -> section);
		CONTINUE WHEN jsonb_typeof(items) = 'null';

		-- Only a professor's deletion has a use for these.
		IF section = ANY (of_deletion) AND NOT binding ? 'professors' THEN
			CONTINUE WHEN NOT asked OR items = '[]';
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping needs "professors"', section);
		END IF;

		IF NOT listed THEN
			items := jsonb_build_array(items);
		ELSIF jsonb_typeof(items) <> 'array' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping must be a JSON array', section);
		END IF;

		FOR item IN SELECT * FROM jsonb_array_elements(items) LOOP
			IF jsonb_typeof(item) <> 'object' THEN
				RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
					MESSAGE = format(CASE WHEN listed
						THEN '"%s" in the mapping must hold JSON objects'
						ELSE '"%s" in the mapping must be a JSON object' END, section);
			END IF;
			-- What a section leaves out has the reference schema's name;
			-- in lists only the columns that every lookup has.
			CASE section
				WHEN 'chapters' THEN
					item := jsonb_strip_nulls((defaults -> section) || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'id', 'filiere', 'created_at'], ARRAY['author']);
				WHEN 'professors' THEN
					item := jsonb_strip_nulls((defaults -> section) || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'id', 'username'], '{}');
				WHEN 'lookups' THEN
					item := jsonb_strip_nulls('{"id": "id", "code": "code", "nom": "nom"}' || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['kind', 'relation', 'id', 'code', 'nom'], ARRAY['parent']);
				WHEN 'files' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'column'], ARRAY['separator']);
				WHEN 'also_delete' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'columns'], '{}');
				WHEN 'soft_references' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'column'], ARRAY['type_column', 'type_values']);
			END CASE;

			relid := catalogue.mapped_relation(schema, item ->> 'relation',
				format('"%s"', section));
			IF relid IS NULL AND asked THEN
				RAISE EXCEPTION USING ERRCODE = 'undefined_table',
					MESSAGE = format('relation "%s" does not exist', item ->> 'relation'),
					DETAIL = format('The mapping names it in "%s", for schema "%s".', section, schema);
			ELSIF relid IS NULL THEN
				missing := jsonb_build_object('section', section, 'relation', item -> 'relation');
				IF NOT binding -> 'absent' @> jsonb_build_array(missing) THEN
					binding := jsonb_insert(binding, '{absent,-1}', missing, true);
				END IF;
				CONTINUE;
			END IF;

			PERFORM catalogue.mapped_column(relid, value #>> '{}')
			FROM jsonb_each(item - '{relation,kind,separator,columns,type_values}'::text[]);
			PERFORM catalogue.mapped_column(relid, value)
			FROM jsonb_array_elements_text(item -> 'columns') AS value;

			IF section = 'also_delete' AND NOT EXISTS (SELECT FROM catalogue.foreign_keys(relid) AS k
				WHERE k.columns::text[] = ARRAY(SELECT jsonb_array_elements_text(item -> 'columns'))) THEN
				CONTINUE WHEN NOT asked;
				RAISE EXCEPTION USING ERRCODE = 'undefined_object',
					MESSAGE = format('table "%s" has no foreign key on (%s)',
						(SELECT c.relname FROM pg_class c WHERE c.oid = relid),
						(SELECT string_agg(quote_ident(value), ', ')
							FROM jsonb_array_elements_text(item -> 'columns') AS value)),
					DETAIL = 'The mapping names it in "also_delete".',
					HINT = 'Name the columns in the order of the foreign key; what refers to a professor without one belongs in "soft_references".';
			END IF;

			item := item || jsonb_build_object('relation', relid::oid::bigint);
			IF listed THEN
				IF EXISTS (
					SELECT FROM jsonb_array_elements(binding -> section) AS other
					WHERE other ->> 'kind' = item ->> 'kind'
					OR section <> 'lookups' AND other - '{separator,type_values}'::text[]
						= item - '{separator,type_values}'::text[]) THEN
					RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
						MESSAGE = format('duplicate entry in "%s" of the mapping', section),
						DETAIL = CASE section
							WHEN 'lookups' THEN format('The kind "%s" is there twice.', item ->> 'kind')
							ELSE format('The same columns of table "%s" are there twice.', (
								SELECT c.relname FROM pg_class c WHERE c.oid = relid)) END;
				END IF;
				binding := jsonb_set(binding, ARRAY[section],
					coalesce(binding -> section, '[]') || item);
			ELSE
				binding := jsonb_set(binding, ARRAY[section], item);
			END IF;
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

-- Refuses tables on which the functions cannot be right: paging needs a
-- unique id in an order, and a deletion one professor for a username.
CREATE FUNCTION catalogue.check_keys(binding jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item jsonb;
	role text;
	roles text[];
	target pg_class;
	attribute pg_attribute;
BEGIN
	IF binding ? 'chapters' THEN
		item := binding -> 'chapters';
		-- The server's own words for a column that has no order.
		EXECUTE format('SELECT FROM %s ORDER BY %I, %I DESC, %I DESC LIMIT 0',
			(item ->> 'relation')::oid::regclass, item ->> 'filiere', item ->> 'created_at',
			item ->> 'id');
		SELECT t.oid::regtype::text INTO role FROM pg_type t
		WHERE t.oid = catalogue.argument_type((item ->> 'relation')::oid::regclass, item ->> 'filiere')
		AND t.typarray = 0;
		IF FOUND THEN
			RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
				MESSAGE = format('column "%s" of relation "%s" is of type %s', item ->> 'filiere',
					(SELECT c.relname FROM pg_class c WHERE c.oid = (item ->> 'relation')::oid), role),
				DETAIL = 'There are no arrays of this type, which recent_chapters() takes.';
		END IF;
	END IF;

	IF binding ? 'professors' THEN
		PERFORM catalogue.check_string_column((p ->> 'relation')::oid::regclass, p ->> 'username')
		FROM (VALUES (binding -> 'professors')) AS v (p);
	END IF;
	PERFORM catalogue.check_string_column((f ->> 'relation')::oid::regclass, f ->> 'column')
	FROM jsonb_array_elements(binding -> 'files') AS f;

	IF binding #> '{lookups,0}' ? 'parent' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('lookup "%s" comes first in the mapping and has a parent',
				binding #>> '{lookups,0,kind}'),
			HINT = 'List the root of the tree first, and parents before their children.';
	END IF;

	FOR item, roles IN
		SELECT binding -> 'chapters', ARRAY['id']
		UNION ALL
		SELECT binding -> 'professors', ARRAY['id', 'username']
		UNION ALL
		SELECT l, ARRAY['id'] FROM jsonb_array_elements(binding -> 'lookups') AS l
	LOOP
		SELECT c.* INTO target FROM pg_class c WHERE c.oid = (item ->> 'relation')::oid;
		-- Foreign tables have no keys that this server knows of.
		CONTINUE WHEN NOT FOUND OR target.relkind = 'f';

		IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = target.oid AND c.contype = 'p') THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('table "%s" has no primary key', target.relname),
				HINT = format('Run ALTER TABLE %s ADD PRIMARY KEY (%I).', target.oid::regclass,
					item ->> 'id');
		END IF;

		FOREACH role IN ARRAY roles LOOP
			SELECT a.* INTO attribute FROM pg_attribute a
			WHERE a.attrelid = target.oid AND a.attname = item ->> role AND NOT a.attisdropped;
			IF NOT EXISTS (
				SELECT FROM pg_index i
				WHERE i.indrelid = target.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
				AND i.indpred IS NULL
				AND (i.indkey[0] = attribute.attnum AND i.indnkeyatts = 1
					-- keys of a partitioned table have the partition key in them
					OR target.relkind = 'p' AND attribute.attnum = ANY (i.indkey))) THEN
				RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
					MESSAGE = format('column "%s" of table "%s" has no unique constraint',
						attribute.attname, target.relname),
					DETAIL = 'It must be unique by itself, and the constraint not deferrable.',
					HINT = 'Add the constraint, or name another column in the mapping.';
			END IF;
			IF role = 'id' AND NOT attribute.attnotnull THEN
				RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
					MESSAGE = format('column "%s" of table "%s" may be null', attribute.attname,
						target.relname),
					HINT = format('Run ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.',
						target.oid::regclass, attribute.attname);
			END IF;
		END LOOP;
	END LOOP;
END
$$;

-- Foreign keys of a table, each with its columns in the constraint's order.
CREATE FUNCTION catalogue.foreign_keys(relation regclass)
	RETURNS TABLE (constraint_name name, referenced regclass, columns name[], attnums smallint[], on_delete "char")
	LANGUAGE sql STABLE ROWS 5
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT k.conname, k.confrelid::regclass,
	ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, i)
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.i),
	k.conkey, k.confdeltype
FROM pg_constraint k
WHERE k.conrelid = relation AND k.contype = 'f' AND k.conparentid = 0
$$;

-- Type of the argument that takes a column's values: the column's own, and a
-- domain's base type, since most arguments may be NULL and a domain need not
-- allow it.  NULL when there is no such column.
CREATE FUNCTION catalogue.argument_type(relation regclass, "column" name) RETURNS regtype
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE type(oid, base) AS (
	SELECT t.oid, t.typbasetype FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE a.attrelid = relation AND a.attname = "column" AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT t.oid, t.typbasetype FROM type JOIN pg_type t ON t.oid = type.base
)
SELECT oid::regtype FROM type WHERE base = 0
$$;
