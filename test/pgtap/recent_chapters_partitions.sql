-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * recent_chapters over partitions: streamed from the index of each that can have
 * the filiere, merged, whatever their columns' order; every page is what the plain
 * query gives.
 */
SET client_min_messages = warning;
SET jit = off;

BEGIN;
CREATE EXTENSION catalogue;
CREATE TABLE public.all_chapters (id integer, filiere integer, created_at timestamp, titre text);
INSERT INTO all_chapters
SELECT i, i % 20, CASE WHEN i % 7 > 0 THEN timestamp '2024-01-01' + i / 30 * interval '1 hour' END, 'chapter ' || i
FROM generate_series(1, 4000) AS i;

/* A schema with the chapters in a table that is partitioned so. */
CREATE FUNCTION pg_temp.make(schema text, key text, partitions text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	partition text;
	by_time constant boolean := key || array_to_string(partitions, ' ') ~ 'BY RANGE .created_at';
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('SET LOCAL search_path = %I, public', schema);
	EXECUTE 'CREATE TABLE chapters (gone text, id integer NOT NULL, filiere integer NOT NULL, created_at timestamp, titre text) '
		|| key;
	ALTER TABLE chapters DROP gone;
	FOREACH partition IN ARRAY partitions LOOP
		EXECUTE partition;
	END LOOP;
	CREATE INDEX ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
	-- A key has the partition key in it, and a time in a primary key is not NULL.
	INSERT INTO chapters SELECT * FROM all_chapters WHERE created_at IS NOT NULL OR NOT by_time;
	EXECUTE format('ALTER TABLE chapters ADD PRIMARY KEY (id, filiere%s)', CASE WHEN by_time THEN ', created_at' END);
	ANALYZE chapters;
	SET LOCAL search_path = public;
END
$$;
CREATE FUNCTION pg_temp.attach(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM catalogue.attach(schema, '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
END
$$;

/* Compares every page of one filiere, and of three, with the plain query's. */
CREATE FUNCTION pg_temp.check_pages(schema text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	call text;
	got integer[];
	page integer[];
	titles text;
	want integer[];
BEGIN
	FOREACH call IN ARRAY ARRAY['recent_chapters(7', 'recent_chapters_any(ARRAY[3, 7, 5000000000, 8, 3, NULL]'] LOOP
		got := '{}';
		LOOP
			EXECUTE format('SELECT array_agg(id), string_agg(titre, '','') FROM %I.%s, 37, before_id => %L)', schema, call, got[cardinality(got)])
			INTO page, titles;
			EXIT WHEN page IS NULL;
			got := got || page;
			IF titles IS DISTINCT FROM (SELECT string_agg('chapter ' || id, ',' ORDER BY i) FROM unnest(page) WITH ORDINALITY AS u (id, i)) THEN
				RETURN NEXT fail(format('%s, %s: titles', schema, call));
			END IF;
		END LOOP;
		EXECUTE format('SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM %I.chapters
			WHERE filiere = ANY (%L)', schema, CASE WHEN call LIKE '%any%' THEN '{3,7,8}' ELSE '{7}' END)
		INTO want;
		RETURN NEXT cmp_ok(cardinality(want), '>', 100, format('%s, %s: has chapters', schema, call));
		RETURN NEXT is(got, want, format('%s, %s: pages', schema, call));
	END LOOP;
END
$$;

/* What EXPLAIN says of a call: why it is not streamed, or of how many indexes how many scans. */
CREATE FUNCTION pg_temp.path(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT id FROM ' || call INTO plan;
	plan := plan #> '{0,Plan}';
	RETURN coalesce(plan ->> 'Not Streamed', concat_ws(', ', plan ->> 'Index', (plan ->> 'Indexes') || ' indexes', (plan ->> 'Merged Scans') || ' scans'));
END
$$;

SELECT * FROM no_plan();

SELECT pg_temp.make('by_hash', 'PARTITION BY HASH (filiere)', ARRAY[
	'CREATE TABLE h0 PARTITION OF chapters FOR VALUES WITH (MODULUS 4, REMAINDER 0)',
	'CREATE TABLE h1 (titre text, created_at timestamp, id integer NOT NULL, filiere integer NOT NULL)',
	'ALTER TABLE chapters ATTACH PARTITION h1 FOR VALUES WITH (MODULUS 4, REMAINDER 1)',
	'CREATE TABLE h2 (filiere integer NOT NULL, x integer, titre text, y integer, id integer NOT NULL, created_at timestamp)',
	'ALTER TABLE h2 DROP x, DROP y',
	'ALTER TABLE chapters ATTACH PARTITION h2 FOR VALUES WITH (MODULUS 4, REMAINDER 2)',
	'CREATE TABLE h3 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 3)',
	'CREATE TABLE h7 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 7)']);
SELECT pg_temp.make('by_list', 'PARTITION BY LIST (filiere)', ARRAY[
	'CREATE TABLE l1 PARTITION OF chapters FOR VALUES IN (1, 3, 7)',
	'CREATE TABLE l2 PARTITION OF chapters FOR VALUES IN (2, 4, 9)',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT']);
SELECT pg_temp.make('by_range', 'PARTITION BY RANGE (filiere)', ARRAY[
	'CREATE TABLE r1 PARTITION OF chapters FOR VALUES FROM (MINVALUE) TO (7)',
	'CREATE TABLE r2 (titre text, id integer NOT NULL, filiere integer NOT NULL, created_at timestamp)',
	'ALTER TABLE chapters ATTACH PARTITION r2 FOR VALUES FROM (7) TO (8)',
	'CREATE TABLE r3 PARTITION OF chapters FOR VALUES FROM (10) TO (12)',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT']);
SELECT pg_temp.make('by_time', 'PARTITION BY RANGE (created_at)', ARRAY[
	'CREATE TABLE t1 PARTITION OF chapters FOR VALUES FROM (MINVALUE) TO (''2024-01-02'')',
	'CREATE TABLE t2 PARTITION OF chapters FOR VALUES FROM (''2024-01-02'') TO (''2024-01-04'')',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT']);
SELECT pg_temp.make('by_both', 'PARTITION BY LIST (filiere)', ARRAY[
	'CREATE TABLE l1 PARTITION OF chapters FOR VALUES IN (1, 3, 7) PARTITION BY RANGE (created_at)',
	'CREATE TABLE l1_old PARTITION OF l1 FOR VALUES FROM (MINVALUE) TO (''2024-01-03'')',
	'CREATE TABLE l1_rest PARTITION OF l1 DEFAULT',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT PARTITION BY HASH (filiere)',
	'CREATE TABLE rest_0 PARTITION OF rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
	'CREATE TABLE rest_1 PARTITION OF rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)']);
SELECT pg_temp.make('by_two', 'PARTITION BY RANGE (filiere, id)', ARRAY[
	'CREATE TABLE p1 PARTITION OF chapters FOR VALUES FROM (MINVALUE, MINVALUE) TO (7, 2000)',
	'CREATE TABLE p2 PARTITION OF chapters FOR VALUES FROM (7, 2000) TO (MAXVALUE, MAXVALUE)']);
-- Inheritance: the children's rows are the parent's.
CREATE SCHEMA inherited;
CREATE TABLE inherited.chapters (id integer PRIMARY KEY, filiere integer NOT NULL, created_at timestamp, titre text);
CREATE TABLE inherited.child (more text, PRIMARY KEY (id)) INHERITS (inherited.chapters);
INSERT INTO inherited.chapters SELECT * FROM all_chapters WHERE id % 3 = 0;
INSERT INTO inherited.child SELECT *, 'more' FROM all_chapters WHERE id % 3 > 0;
CREATE INDEX ON inherited.chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE INDEX ON inherited.child (filiere, created_at NULLS FIRST, id);
ANALYZE inherited.chapters, inherited.child;

SELECT pg_temp.attach(s) FROM unnest(ARRAY['by_hash', 'by_list', 'by_range', 'by_time', 'by_both', 'by_two', 'inherited']) AS s;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_sort = off;
SELECT is(pg_temp.path('by_hash.recent_chapters(7)'), '5 indexes, 1 scans', 'hash: one partition is read');
SELECT matches(pg_temp.path('by_hash.recent_chapters_any(ARRAY[3, 7, 8])'), '^5 indexes, 3 scans$', 'hash: one for each filiere');
SELECT is(pg_temp.path('by_hash.recent_chapters(5000000000)'), '5 indexes, 0 scans', 'hash: none for what the column cannot hold');
SELECT is(pg_temp.path('by_list.recent_chapters(7)'), '3 indexes, 1 scans', 'list: one partition is read');
SELECT is(pg_temp.path('by_list.recent_chapters(8)'), '3 indexes, 1 scans', 'list: the default one');
SELECT is(pg_temp.path('by_range.recent_chapters(7)'), '4 indexes, 1 scans', 'range: one partition is read');
SELECT is(pg_temp.path('by_range.recent_chapters(9)'), '4 indexes, 1 scans', 'range: the default one');
SELECT is(pg_temp.path('by_two.recent_chapters(7)'), '2 indexes, 2 scans', 'a key of two columns: all partitions are read');
SELECT is(pg_temp.path('inherited.recent_chapters(7)'), '2 indexes, 2 scans', 'children: all are read');
SELECT is(pg_temp.path('by_time.recent_chapters(7)'), '3 indexes, 2 scans', 'by time: the ranges are one scan, the default partition another');
SELECT is(pg_temp.path('by_both.recent_chapters(7)'), '4 indexes, 2 scans', 'two levels: those of the filiere');
SELECT is(pg_temp.path('by_both.recent_chapters(8)'), '4 indexes, 1 scans', 'two levels: the one of the filiere');
SELECT pg_temp.check_pages(s) FROM unnest(ARRAY['by_hash', 'by_list', 'by_range', 'by_time', 'by_both', 'by_two', 'inherited']) AS s;
-- The planner expects a filiere's chapters, 200 or 171 of them dated, and not as many of each partition.
CREATE FUNCTION pg_temp.estimate(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN (plan #>> '{0,Plan,Plan Rows}')::numeric;
END $$;
SELECT ok(pg_temp.estimate(format('SELECT id FROM %I.recent_chapters(7, NULL)', s)) BETWEEN 160 AND 210, format('%s: rows of a filiere', s))
FROM unnest(ARRAY['by_hash', 'by_list', 'by_range', 'by_time', 'by_both', 'by_two']) AS s;
PREPARE expected(integer) AS SELECT id FROM by_hash.recent_chapters($1, NULL);
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT cmp_ok(pg_temp.estimate('EXECUTE expected(7)'), '=', 200::numeric, 'rows of any filiere');
SELECT cmp_ok(pg_temp.estimate('SELECT id FROM by_hash.recent_chapters_any(ARRAY[7, 8], NULL)'), '=', 400::numeric, 'rows of two filieres');
RESET plan_cache_mode;
-- With two scans open at a time.
SET LOCAL work_mem = '64kB';
SELECT pg_temp.check_pages(s) FROM unnest(ARRAY['by_hash', 'by_time', 'by_both', 'by_two', 'inherited']) AS s;
RESET work_mem;
-- A row as a whole, in which the parent's dropped column has its place.
SELECT results_eq('SELECT (r).id, (r).filiere, (r).titre FROM (SELECT by_hash.recent_chapters(f, 3) AS r FROM generate_series(1, 8) AS f) AS rows',
	'SELECT c.id, c.filiere, c.titre FROM generate_series(1, 8) AS f, LATERAL (
	SELECT * FROM all_chapters WHERE filiere = f ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 3) AS c', 'whole rows');
-- A privilege on the parent is enough, as for a query; none on the partitions is.
CREATE ROLE partitions_reader;
GRANT USAGE ON SCHEMA by_hash TO partitions_reader;
SET LOCAL ROLE partitions_reader;
SELECT throws_ok('SELECT id FROM by_hash.recent_chapters(7)', '42501', NULL, 'no right to read the parent');
RESET ROLE;
GRANT SELECT ON by_hash.chapters TO partitions_reader;
SET LOCAL ROLE partitions_reader;
SELECT lives_ok('SELECT id FROM by_hash.recent_chapters(7)', 'a right to read the parent');
RESET ROLE;
-- Partitions that come and go in a session that has its plans.
CREATE TABLE by_list.l5 PARTITION OF by_list.chapters FOR VALUES IN (100);
INSERT INTO by_list.chapters VALUES (100000, 100, '2024-01-01', 'chapter 100000');
SELECT is((SELECT id FROM by_list.recent_chapters(100)), 100000, 'a new partition');
ALTER TABLE by_list.chapters DETACH PARTITION by_list.l5;
SELECT is((SELECT count(*) FROM by_list.recent_chapters(100)), 0::bigint, 'a detached one');
ALTER TABLE by_list.l5 ADD extra integer;
ALTER TABLE by_list.chapters ADD extra integer;
ALTER TABLE by_list.chapters ATTACH PARTITION by_list.l5 FOR VALUES IN (100);
UPDATE by_list.chapters SET extra = id;
SELECT is((SELECT extra FROM by_list.recent_chapters(100)), 100000, 'attached again, with another column');
SELECT pg_temp.check_pages('by_list');
-- Virtual columns: in a query of the table a partition's own expression does not count.
SELECT current_setting('server_version_num')::integer >= 180000 AS has_virtual_columns \gset
\if :has_virtual_columns
ALTER TABLE by_hash.chapters ADD shout text GENERATED ALWAYS AS (upper(titre)) VIRTUAL;
ALTER TABLE by_hash.h1 ALTER shout SET EXPRESSION AS (lower(titre));
ALTER TABLE by_hash.h2 ALTER shout SET EXPRESSION AS (id::text);
SELECT results_eq('SELECT shout FROM by_hash.recent_chapters_any(ARRAY[1, 2, 3, 4, 5, 6, 7], 50)',
	'SELECT upper(titre) FROM by_hash.recent_chapters_any(ARRAY[1, 2, 3, 4, 5, 6, 7], 50)', 'a virtual column');
\else
SELECT skip('PostgreSQL 18 has virtual columns');
\endif
-- A partition without the index: the executor reads all of them.
DROP INDEX by_range.chapters_filiere_created_at_id_idx;
SELECT isnt(pg_temp.path('by_range.recent_chapters(7)'), '4 indexes, 1 scans', 'without an index');
SELECT pg_temp.check_pages('by_range');
SELECT * FROM finish();
ROLLBACK;
