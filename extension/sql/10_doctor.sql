/*
 * 10_doctor.sql
 *		What attached schemas lack: recommended_indexes() and doctor().
 *
 * Both only read, whoever calls.
 */

-- Indexes that an attached schema lacks: the feed's, one for every reference
-- that a professor's deletion must look through, and those of shared files.
CREATE FUNCTION catalogue.recommended_indexes(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (relation regclass, definition text, reason text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE attached AS (
	SELECT a.* FROM catalogue.attachment a
	WHERE a.deleted_files = catalogue.attachment_of(schema)
), deleted(relid) AS (
	-- Delete targets: along the CASCADE keys and the mapping's edges.
	SELECT a.professors FROM attached a WHERE a.professors IS NOT NULL
	UNION
	SELECT k.conrelid::regclass FROM deleted d
	JOIN pg_constraint k ON k.confrelid = d.relid AND k.contype = 'f' AND k.conparentid = 0
	JOIN catalogue.foreign_keys(k.conrelid) AS f ON f.constraint_name = k.conname
	WHERE f.on_delete = 'c'
		OR EXISTS (SELECT FROM catalogue.also_delete e JOIN attached a ON a.deleted_files = e.attachment
			WHERE e.relation = k.conrelid AND e.columns = f.columns)
), keys(relid, attnums, more, reason) AS (
	-- An index serves that begins with attnums; one that is made has more columns.
	SELECT k.conrelid::regclass, k.conkey, '{}'::smallint[],
		format('foreign key %I: each deletion from %s looks here', k.conname, k.confrelid::regclass)
	FROM deleted d JOIN pg_constraint k ON k.confrelid = d.relid
	WHERE k.contype = 'f' AND k.conparentid = 0
	UNION ALL
	SELECT s.relation, ARRAY[at.attnum], ARRAY(SELECT t.attnum FROM pg_attribute t
			WHERE t.attrelid = s.relation AND t.attname = s.type_column),
		'soft reference of the mapping: a professor''s deletion looks here'
	FROM catalogue.soft_reference s
	JOIN attached a ON a.deleted_files = s.attachment
	JOIN pg_attribute at ON at.attrelid = s.relation AND at.attname = s."column"
	UNION ALL
	SELECT f.relation, ARRAY[at.attnum], '{}', 'shared files of the mapping: take_deleted_files() looks here'
	FROM catalogue.file_column f
	JOIN attached a ON a.deleted_files = f.attachment
	JOIN pg_attribute at ON at.attrelid = f.relation AND at.attname = f."column"
	JOIN pg_type t ON t.oid = at.atttypid AND t.typcategory = 'S'
	WHERE f.shared AND f.separator IS NULL
), usable AS (
	SELECT i.*, am.amname
	FROM pg_index i
	JOIN pg_class c ON c.oid = i.indexrelid
	JOIN pg_am am ON am.oid = c.relam
	WHERE i.indisvalid AND i.indpred IS NULL
)
SELECT a.chapters AS relation,
	format('CREATE INDEX ON %s (%I, %I DESC NULLS LAST, %I DESC)', a.chapters,
		a.chapters_filiere, a.chapters_created_at, a.chapters_id) AS definition,
	'recent_chapters: a page is one descent of this index' AS reason
FROM attached a JOIN pg_class c ON c.oid = a.chapters
WHERE c.relkind IN ('r', 'p')
AND NOT EXISTS (
	SELECT FROM usable i
	WHERE i.indrelid = a.chapters AND i.amname = 'btree' AND i.indnkeyatts >= 3
	AND pg_get_indexdef(i.indexrelid, 1, true) = quote_ident(a.chapters_filiere)
	AND pg_get_indexdef(i.indexrelid, 2, true) = quote_ident(a.chapters_created_at)
	AND pg_get_indexdef(i.indexrelid, 3, true) = quote_ident(a.chapters_id)
	-- indoption: 1 is DESC, 2 is NULLS FIRST.  What is read backward is the same
	-- order, and where there are no NULLs they are first and last.
	AND i.indoption[1] & 1 = i.indoption[2] & 1
	AND (i.indoption[1] IN (1, 2) OR EXISTS (
		SELECT FROM pg_attribute at
		WHERE at.attrelid = a.chapters AND at.attname = a.chapters_created_at AND at.attnotnull
		AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.chapters AND k.contype = 'n'
			AND k.conkey = ARRAY[at.attnum] AND NOT k.convalidated))))
UNION ALL
SELECT k.relid, format('CREATE INDEX ON %s (%s)', k.relid, (
		SELECT string_agg(quote_ident(at.attname), ', ' ORDER BY u.i)
		FROM unnest(k.attnums || k.more) WITH ORDINALITY AS u (attnum, i)
		JOIN pg_attribute at ON at.attrelid = k.relid AND at.attnum = u.attnum)),
	min(k.reason)
FROM keys k JOIN pg_class c ON c.oid = k.relid
WHERE c.relkind IN ('r', 'p')
AND NOT EXISTS (
	SELECT FROM usable i
	WHERE i.indrelid = k.relid AND i.indnkeyatts >= cardinality(k.attnums)
	AND (i.amname = 'btree' OR i.amname = 'hash' AND cardinality(k.attnums) = 1)
	AND (i.indkey::smallint[])[0:cardinality(k.attnums) - 1] @> k.attnums)
GROUP BY k.relid, k.attnums, k.more
ORDER BY relation, definition
$$;
COMMENT ON FUNCTION catalogue.recommended_indexes(name) IS 'indexes that an attached schema lacks, as the commands that make them';

/*
 * catalogue.doctor(schema name DEFAULT NULL)
 *
 * What is wrong or missing in the attached schemas, or in one, and what to do
 * about it: a row for each finding, and one with "ok" for each check that has
 * none.  Status is "ok", "advice", "warning" or "error".
 */
CREATE FUNCTION catalogue.doctor(schema name DEFAULT NULL)
	RETURNS TABLE (schema_name name, "check" text, status text, detail text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH attached AS (
	SELECT n.nspname AS name, a.deleted_files AS attachment, a.professor_purges
	FROM catalogue.attachment a
	JOIN pg_class c ON c.oid = a.deleted_files
	JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE catalogue.attachment_of(n.nspname) = a.deleted_files
	AND (doctor.schema IS NULL OR n.nspname = doctor.schema)
), findings(attachment, i, finding) AS (
	SELECT a.attachment, 1, format('give attach() a mapping, this table was dropped: %s', b.description)
	FROM attached a, catalogue.bound_tables(a.attachment) AS b
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = b.relation)
	UNION ALL
	SELECT a.attachment, 1, format('run attach() again, this table was dropped: %I.professor_purges', a.name)
	FROM attached a
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.professor_purges)
	UNION ALL
	SELECT a.attachment, 1, format('run attach() again, lookup "%s" is bound to %s, and %s is another table', s.kind, s.bound,
		s.named)
	FROM attached a JOIN catalogue.swapped_lookups() AS s ON s.attachment = a.attachment
	UNION ALL
	SELECT a.attachment, 2, format('give attach() a mapping with the new name of column %I of table %s', u.name,
		b.relation)
	FROM attached a, catalogue.bound_tables(a.attachment) AS b, unnest(b.columns) AS u (name)
	WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = b.relation)
	AND NOT EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = b.relation
		AND t.attname = u.name AND t.attnum > 0 AND NOT t.attisdropped)
	UNION ALL
	SELECT a.attachment, 3, format('run attach() again, this is missing: %s %I(%s)', lower(w.kind), w.name, w.types)
	FROM attached a, catalogue.wanted_functions(a.attachment) AS w
	WHERE NOT EXISTS (SELECT FROM catalogue.present_functions(a.name) AS p
		WHERE p.symbol = w.symbol AND p.types = w.types AND p.result IS NOT DISTINCT FROM w.result)
	UNION ALL
	SELECT a.attachment, 3, format('run attach() again, this does not fit the tables: %s', p.routine)
	FROM attached a, catalogue.present_functions(a.name) AS p
	WHERE NOT EXISTS (SELECT FROM catalogue.wanted_functions(a.attachment) AS w
		WHERE p.symbol = w.symbol AND p.types = w.types AND p.result IS NOT DISTINCT FROM w.result)
	UNION ALL
	SELECT a.attachment, 4, format('run attach() again, trigger %I on %s is missing or not enabled ALWAYS',
		t.name, l.relation)
	FROM attached a
	JOIN catalogue.lookup l ON l.attachment = a.attachment
	JOIN pg_class c ON c.oid = l.relation AND c.relkind <> 'f'
	CROSS JOIN (VALUES ('catalogue_lookup_changed'), ('catalogue_lookup_truncated')) AS t (name)
	WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = l.relation AND g.tgname = t.name
		AND g.tgfoid = 'catalogue.lookup_changed()'::regprocedure AND g.tgenabled = 'A')
	UNION ALL
	SELECT a.attachment, 5, format('run attach() again, trigger %I on %s is missing or disabled',
		w.name, w.relation)
	FROM attached a
	JOIN catalogue.wanted_file_triggers() AS w ON w.attachment = a.attachment
	WHERE NOT EXISTS (SELECT FROM catalogue.present_file_triggers() AS p
		WHERE p.relation = w.relation AND p.name = w.name AND p.enabled)
	UNION ALL
	SELECT a.attachment, 6, format('run: %s', r.definition)
	FROM attached a, catalogue.recommended_indexes(a.name) AS r
), checks(i, name, severity) AS (
	VALUES (1, 'tables exist', 'error'),
		(2, 'columns exist', 'error'),
		(3, 'functions fit the tables', 'error'),
		(4, 'lookup changes are covered by triggers', 'warning'),
		(5, 'deleted files are covered by triggers', 'warning'),
		(6, 'indexes', 'advice')
)
SELECT a.name, c.name, CASE WHEN f.finding IS NULL THEN 'ok' ELSE c.severity END, f.finding
FROM attached a
CROSS JOIN checks c
LEFT JOIN findings f ON f.attachment = a.attachment AND f.i = c.i
UNION ALL
SELECT doctor.schema, 'attached', 'error', 'run attach()'
WHERE doctor.schema IS NOT NULL AND NOT EXISTS (SELECT FROM attached)
ORDER BY 1, 2, 4
$$;
COMMENT ON FUNCTION catalogue.doctor(name) IS 'what is wrong or missing in the attached schemas, and what to do about it';
