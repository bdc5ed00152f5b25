-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * Where the index has all columns that are looked at, rows of pages that are
 * all-visible are not read from the heap: whatever was written since, they are those of
 * plain SQL.  VACUUM is needed, so the statements are no single transaction.
 */
SET client_min_messages = warning;
SET jit = off;
CREATE EXTENSION catalogue;
SELECT no_plan();

CREATE TABLE public.model (id integer, filiere text NOT NULL, niveau varchar(4), created_at timestamp, titre text);
INSERT INTO model
SELECT i, 'f' || i % 5, (ARRAY['L1', 'L2', NULL])[1 + i / 5 % 3],
	CASE WHEN i % 9 > 0 THEN timestamp '2024-01-01' + i / 20 * interval '1 hour' END, 'chapter ' || i
FROM generate_series(1, 4000) AS i;

/* A schema with these chapters and this index, in a table that is made by some statements. */
CREATE FUNCTION pg_temp.make(schema text, index text, VARIADIC statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('SET LOCAL search_path = %I, public', schema);
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	INSERT INTO chapters (id, filiere, niveau, created_at, titre)
	SELECT id, filiere, niveau, CASE WHEN schema = 'backward' THEN coalesce(created_at, '2023-01-01') ELSE created_at END, titre FROM model;
	EXECUTE 'CREATE INDEX feed ON chapters ' || index;
	PERFORM FROM catalogue.attach(schema::name, jsonb_build_object('chapters', jsonb_build_object(
		'relation', schema || '.chapters', 'filiere', 'filiere', 'author', NULL)));
END $$;
SELECT pg_temp.make('plain', '(filiere, created_at DESC NULLS LAST, id DESC) INCLUDE (niveau)',
	'CREATE TABLE chapters (LIKE model, PRIMARY KEY (id)) WITH (autovacuum_enabled = off)');
SELECT pg_temp.make('backward', '(filiere, created_at, id) INCLUDE (niveau)',
	'CREATE TABLE chapters (LIKE model, PRIMARY KEY (id)) WITH (autovacuum_enabled = off)',
	'ALTER TABLE chapters ALTER created_at SET NOT NULL');
SELECT pg_temp.make('parts', '(filiere, created_at DESC NULLS LAST, id DESC) INCLUDE (niveau)',
	'CREATE TABLE chapters (LIKE model, PRIMARY KEY (id)) PARTITION BY HASH (id)',
	'CREATE TABLE one PARTITION OF chapters FOR VALUES WITH (MODULUS 2, REMAINDER 0) WITH (autovacuum_enabled = off)',
	'CREATE TABLE two (titre text, gone text, created_at timestamp, niveau varchar(4), filiere text NOT NULL, id integer NOT NULL) WITH (autovacuum_enabled = off)',
	'ALTER TABLE two DROP gone',
	'ALTER TABLE chapters ATTACH PARTITION two FOR VALUES WITH (MODULUS 2, REMAINDER 1)');
-- A name is a cstring in an index, but not where it is included; an expression is no column.
SELECT pg_temp.make('names', '(filiere, created_at DESC NULLS LAST, id DESC, lower(titre)) INCLUDE (niveau)',
	'CREATE TABLE chapters (id integer PRIMARY KEY, filiere name NOT NULL, niveau name, created_at timestamp, titre text) WITH (autovacuum_enabled = off)');
SELECT pg_temp.make('named', '(filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE TABLE chapters (id name PRIMARY KEY, filiere text NOT NULL, niveau text, created_at timestamp, titre text) WITH (autovacuum_enabled = off)');

CREATE FUNCTION pg_temp.rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(c::text, '' '') FROM (%s) AS c', query) INTO result;
	RETURN result;
END $$;

/* All column sets of all pages, by our function and by plain SQL. */
CREATE FUNCTION pg_temp.same_rows(state text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	sorted constant text := 'ORDER BY created_at DESC NULLS LAST, id DESC';
	columns text;
	schema text;
	page record;
	different text[];
BEGIN
	FOREACH schema IN ARRAY '{plain,backward,parts,names,named}'::text[] LOOP
		different := NULL;
		FOREACH columns IN ARRAY ARRAY['id, created_at', 'created_at', 'id, niveau', 'filiere, id', 'id, lower(titre)', '1'] LOOP
			FOR page IN
				SELECT call, condition, rows
				FROM (VALUES ($v$recent_chapters('f1', %s)$v$, $v$filiere = 'f1'$v$),
					($v$recent_chapters_any('{f1,f3,f3,none}', %s)$v$, $v$filiere IN ('f1', 'f3')$v$),
					($v$recent_chapters('f1', %s, (SELECT id FROM $v$ || schema || $v$.chapters WHERE filiere = 'f1'
						ORDER BY created_at DESC NULLS LAST, id DESC OFFSET 30 LIMIT 1))$v$, $v$filiere = 'f1' OFFSET 31$v$)) AS v (call, condition),
					unnest(ARRAY['7', '700', 'NULL']) AS rows
			LOOP
				IF pg_temp.rows_of(format('SELECT %s FROM %I.', columns, schema) || format(page.call, page.rows))
					IS DISTINCT FROM pg_temp.rows_of(format('SELECT %s FROM (SELECT * FROM %I.chapters WHERE %s %s LIMIT %s) AS c',
						columns, schema, split_part(page.condition, ' OFFSET', 1),
						sorted || CASE WHEN page.condition ~ 'OFFSET' THEN ' OFFSET 31' ELSE '' END, page.rows)) THEN
					different := different || format('%s of %s', columns, format(page.call, page.rows));
				END IF;
			END LOOP;
		END LOOP;
		RETURN NEXT is(different, NULL, format('%s, %s: the rows are those of plain SQL', state, schema));
	END LOOP;
END $$;

/* What EXPLAIN says of a page: NULL where it is not read from the index alone. */
CREATE FUNCTION pg_temp.heap_fetches(columns text, call text, setting text DEFAULT '4MB') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	PERFORM set_config('work_mem', setting, true);
	EXECUTE format('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) SELECT %s FROM %s', columns, call) INTO plan;
	RETURN plan->0->'Plan'->>'Heap Fetches';
END $$;

-- Nothing is all-visible yet; from 19 on, reading a page may make it so.
SELECT cmp_ok(pg_temp.heap_fetches('id, created_at', $$plain.recent_chapters('f1', 100)$$), '>', 0, 'before VACUUM rows are looked for in the heap');
SELECT pg_temp.same_rows('never vacuumed');

\ir ../fixtures/all_visible.sql
SELECT pg_temp.same_rows('all-visible');
SELECT is(pg_temp.heap_fetches(columns, call), fetches, format('%s of %s', columns, call))
FROM (VALUES
	('id, created_at', $$plain.recent_chapters('f1', 100)$$, 0),
	('filiere, niveau', $$plain.recent_chapters('f1', 100)$$, 0),
	('1', $$plain.recent_chapters('f1', NULL)$$, 0),
	('id', $$plain.recent_chapters('f1', 100, 2001)$$, 0),
	('id, created_at', $$plain.recent_chapters_any('{f1,f2}', 100)$$, 0),
	('id, titre', $$plain.recent_chapters('f1', 100)$$, NULL),
	('c', $$plain.recent_chapters('f1', 100) AS c$$, NULL),
	('id, niveau', $$backward.recent_chapters('f1', 100)$$, 0),
	('id, niveau', $$parts.recent_chapters('f1', 100)$$, 0),
	('1', $$parts.recent_chapters_any('{f1,f2}', 100)$$, 0),
	('id, niveau', $$names.recent_chapters('f1', 100)$$, 0),
	('filiere, id', $$names.recent_chapters('f1', 100)$$, NULL),
	('id, lower(titre)', $$names.recent_chapters('f1', 100)$$, NULL),
	('created_at', $$named.recent_chapters_any('{f1,f2}', 100)$$, NULL)) AS v (columns, call, fetches);
SELECT is(pg_temp.heap_fetches('1', $$plain.recent_chapters_any('{f1,f2,f3,f4,f0}', 100)$$, '64kB'), NULL, 'a merge of batches fetches its rows');

-- Some blocks are not, any more.
SELECT format('UPDATE %I.chapters SET titre = ''updated'' WHERE id::text::integer BETWEEN 3900 AND 3999', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SELECT format('UPDATE %I.chapters SET created_at = ''2024-02-01'', niveau = ''new'' WHERE id::text::integer BETWEEN 990 AND 999', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SELECT format('DELETE FROM %I.chapters WHERE id::text::integer BETWEEN 2000 AND 2020', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SELECT pg_temp.same_rows('partly updated');
SELECT cmp_ok(pg_temp.heap_fetches('id', $$plain.recent_chapters('f1', NULL)$$), '>', 20, 'the heap is read for rows on blocks that were written to');
SELECT cmp_ok(pg_temp.heap_fetches('id', $$plain.recent_chapters('f1', NULL)$$), '<', 600, '... and for no others');

-- A transaction's own writes.
BEGIN;
SELECT format('INSERT INTO %I.chapters (id, filiere, created_at, niveau) VALUES (9999, ''f1'', ''2030-01-01'', ''own'')', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SELECT format('UPDATE %I.chapters SET created_at = created_at + interval ''1 hour'', niveau = ''own'' WHERE id::text::integer BETWEEN 3000 AND 3100', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SAVEPOINT s;
SELECT format('DELETE FROM %I.chapters WHERE filiere = ''f3'' AND id::text::integer %% 2 = 0', schema)
FROM unnest('{plain,backward,parts,names,named}'::text[]) AS schema \gexec
SELECT pg_temp.same_rows('own writes');
ROLLBACK TO s;
SELECT pg_temp.same_rows('own writes, partly rolled back');
ROLLBACK;
SELECT pg_temp.same_rows('rolled back');

-- Cursors: a row holds until the next one, in a merge too.
\ir ../fixtures/all_visible.sql
BEGIN;
DECLARE c CURSOR FOR SELECT id, niveau FROM plain.recent_chapters_any('{f1,f2,f3}', NULL);
MOVE 500 IN c;
UPDATE plain.chapters SET niveau = 'late', created_at = '2031-01-01' WHERE id % 2 = 0;
SELECT results_eq('FETCH ALL FROM c', $$SELECT c.id, m.niveau FROM plain.chapters AS c JOIN (SELECT id, filiere,
	CASE WHEN id BETWEEN 990 AND 999 THEN 'new' ELSE niveau END AS niveau,
	CASE WHEN id BETWEEN 990 AND 999 THEN '2024-02-01' ELSE created_at END AS created_at FROM model) AS m USING (id)
	WHERE c.filiere IN ('f1', 'f2', 'f3') ORDER BY m.created_at DESC NULLS LAST, c.id DESC OFFSET 500$$,
	'a cursor sees what its snapshot saw');
ROLLBACK;

-- A serializable transaction has read the pages that it left alone.
\ir ../fixtures/all_visible.sql
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(pg_temp.heap_fetches('id', $$plain.recent_chapters('f1', 10)$$), 0, 'a serializable transaction reads the index alone');
SELECT results_eq($$SELECT DISTINCT locktype FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid()
	AND relation = 'plain.chapters'::regclass$$, $$VALUES ('page')$$, '... and has predicate locks on the pages of the heap');
ROLLBACK;

-- A filiere that no partition can have leaves one scan, which is merged all the same.
CREATE SCHEMA lists;
CREATE TABLE lists.chapters (id integer, filiere text NOT NULL, created_at timestamp, PRIMARY KEY (id, filiere)) PARTITION BY LIST (filiere);
CREATE TABLE lists.one PARTITION OF lists.chapters FOR VALUES IN ('f1');
CREATE TABLE lists.two PARTITION OF lists.chapters FOR VALUES IN ('f2');
CREATE INDEX ON lists.chapters (filiere, created_at DESC NULLS LAST, id DESC);
INSERT INTO lists.chapters SELECT i, 'f' || 1 + i % 2, timestamp '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 20) AS i;
SELECT count(*) AS attached FROM catalogue.attach('lists', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
SELECT is((SELECT count(*) FROM lists.recent_chapters_any('{f1,f9}', 100)), 10::bigint, 'no column of a merge of one scan');

-- Rights are those on the columns, wherever they are read from.
CREATE ROLE index_only_reader;
GRANT USAGE ON SCHEMA plain TO index_only_reader;
GRANT SELECT (id, filiere, created_at) ON plain.chapters TO index_only_reader;
SET ROLE index_only_reader;
SELECT lives_ok($$SELECT id, created_at FROM plain.recent_chapters('f1', 10)$$, 'columns that may be read');
SELECT throws_ok($$SELECT id, niveau FROM plain.recent_chapters('f1', 10)$$, '42501', NULL, 'one that may not');
RESET ROLE;
DROP OWNED BY index_only_reader;
DROP ROLE index_only_reader;

SELECT finish();
