/*
 * 05_keys.sql
 *		What a table must have for the functions to be right on it.
 *
 * Reads the catalogs for columns, keys and types, as the caller.
 */

-- Foreign keys of a table, each with its columns in the constraint's order.
CREATE FUNCTION catalogue.foreign_keys(relation regclass)
	RETURNS TABLE (constraint_name name, columns name[], on_delete "char")
	LANGUAGE sql STABLE ROWS 5
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT k.conname,
	ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, i)
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.i),
	k.confdeltype
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

-- The type in which drivers send what belongs to a type's family: an argument of
-- a function takes it whole, and is compared with the column as it is.
CREATE FUNCTION catalogue.widest_type(type regtype) RETURNS regtype
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE
	WHEN type IN ('smallint'::regtype, 'integer'::regtype) THEN 'bigint'::regtype
	WHEN type = 'varchar'::regtype THEN 'text'::regtype
	ELSE type
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

-- Refuses a column that does not hold paths: strings or arrays of them, which
-- are in the row (a virtual generated column's values are not).
CREATE FUNCTION catalogue.check_path_column(relation regclass, "column" text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	type constant regtype := catalogue.mapped_column(relation, "column");
	element constant oid := (SELECT e.oid FROM pg_type t JOIN pg_type e ON e.typarray = t.oid
		WHERE t.oid = catalogue.argument_type(relation, "column"));
BEGIN
	IF (SELECT t.typcategory FROM pg_type t WHERE t.oid = coalesce(element, type)) <> 'S' THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('column "%s" of relation "%s" is of type %s', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation), type),
			DETAIL = 'The column must be of a string type, or of an array of one.';
	END IF;
	IF EXISTS (SELECT FROM pg_attribute a
		WHERE a.attrelid = relation AND a.attname = "column" AND a.attgenerated = 'v') THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('column "%s" of relation "%s" is a virtual generated column', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation)),
			DETAIL = 'Paths must be stored in their rows.';
	END IF;
END
$$;

-- Refuses a column whose values cannot be told apart: no unique constraint that
-- holds at any moment.
CREATE FUNCTION catalogue.check_unique(relation regclass, "column" name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = "column"
		JOIN pg_index i ON i.indrelid = c.oid
		WHERE c.oid = relation AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL
		AND (i.indkey[0] = a.attnum AND i.indnkeyatts = 1
			-- keys of a partitioned table have the partition key in them
			OR c.relkind = 'p' AND a.attnum = ANY (i.indkey))) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('column "%s" of table "%s" has no unique constraint', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation)),
			DETAIL = 'It must be unique by itself, and the constraint not deferrable.',
			HINT = 'Add the constraint, or name another column in the mapping.';
	END IF;
END
$$;

-- Refuses a column that does not identify a row: the table needs a primary
-- key, and the column a value of its own in each row.
CREATE FUNCTION catalogue.check_id(relation regclass, "column" name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	table_name constant name := (SELECT c.relname FROM pg_class c WHERE c.oid = relation);
BEGIN
	IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = relation AND c.contype = 'p') THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table "%s" has no primary key', table_name),
			HINT = format('Run ALTER TABLE %s ADD PRIMARY KEY (%I).', relation, "column");
	END IF;

	PERFORM catalogue.check_unique(relation, "column");

	IF NOT (SELECT a.attnotnull FROM pg_attribute a
		WHERE a.attrelid = relation AND a.attname = "column") THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('column "%s" of table "%s" may be null', "column", table_name),
			HINT = format('Run ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', relation, "column");
	END IF;
END
$$;

-- Refuses chapters that cannot be paged through: the columns need an order,
-- and there must be arrays of the filière's type.
CREATE FUNCTION catalogue.check_chapters(chapters jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation constant regclass := (chapters ->> 'relation')::oid;
	filiere constant name := chapters ->> 'filiere';
	type constant regtype := catalogue.argument_type(relation, filiere);
BEGIN
	-- Raises the server's own error for a column that has no order.
	EXECUTE format('SELECT FROM %s ORDER BY %I, %I DESC, %I DESC LIMIT 0', relation, filiere,
		chapters ->> 'created_at', chapters ->> 'id');

	IF (SELECT t.typarray FROM pg_type t WHERE t.oid = type) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('column "%s" of relation "%s" is of type %s', filiere,
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation), type),
			DETAIL = 'There are no arrays of this type, which recent_chapters_any() takes.';
	END IF;
END
$$;

-- Refuses columns whose types the functions cannot work with: pages need an
-- order, and user names and paths are strings.
CREATE FUNCTION catalogue.check_types(binding jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF binding ? 'chapters' THEN
		PERFORM catalogue.check_chapters(binding -> 'chapters');
	END IF;
	IF binding ? 'professors' THEN
		PERFORM catalogue.check_string_column((binding #>> '{professors,relation}')::oid,
			binding #>> '{professors,username}');
	END IF;
	PERFORM catalogue.check_path_column((f ->> 'relation')::oid, f ->> 'column')
	FROM jsonb_array_elements(binding -> 'files') AS f;
END
$$;

-- Refuses tables on which the functions cannot be right: the lookups' tree
-- needs a root, paging a unique id, and a deletion one professor for a username.
CREATE FUNCTION catalogue.check_keys(binding jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass;
	id name;
	username name;
BEGIN
	IF binding #> '{lookups,0}' ? 'parent' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('lookup "%s" comes first in the mapping and has a parent',
				binding #>> '{lookups,0,kind}'),
			HINT = 'List the root of the tree first, and parents before their children.';
	END IF;

	FOR relation, id, username IN
		SELECT (t.item ->> 'relation')::oid, t.item ->> 'id', t.item ->> 'username'
		FROM (VALUES (1, binding -> 'chapters'), (2, binding -> 'professors')
			UNION ALL
			SELECT 2 + l.i, l.item
			FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i)
		) AS t (i, item)
		ORDER BY t.i
	LOOP
		-- Foreign tables have no keys that this server knows of.
		CONTINUE WHEN NOT EXISTS (
			SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind <> 'f');
		PERFORM catalogue.check_id(relation, id);
		IF username IS NOT NULL THEN
			PERFORM catalogue.check_unique(relation, username);
		END IF;
	END LOOP;
END
$$;
