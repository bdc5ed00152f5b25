-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * recent_chapters over partitions of which some have no index that serves: those that
 * have one stream, the executor reads the others, and every page is what the plain
 * query gives.  What may be read is what the table says, not its partitions.
 */
SET client_min_messages = warning;
SET jit = off;

BEGIN;
CREATE EXTENSION catalogue;
CREATE TABLE public.all_chapters (id integer, filiere text COLLATE "C", created_at timestamp, titre text);
INSERT INTO all_chapters
SELECT i, CASE WHEN i % 50 > 0 THEN 'f' || i % 20 END,
	CASE WHEN i % 7 > 0 THEN timestamp '2024-01-01' + i / 30 * interval '1 hour' END, 'chapter ' || i
FROM generate_series(1, 4000) AS i;

SELECT current_setting('server_version_num')::integer >= 180000 AS has_virtual_columns \gset
\if :has_virtual_columns
\set shout 'shout text GENERATED ALWAYS AS (upper(titre)) VIRTUAL'
\else
\set shout 'shout text GENERATED ALWAYS AS (upper(titre)) STORED'
\endif
SET catalogue_test.shout = :'shout';

/* A schema with the chapters in a table that is partitioned so. */
CREATE FUNCTION pg_temp.make(schema text, key text, statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('SET LOCAL search_path = %I, public', schema);
	EXECUTE format('CREATE TABLE chapters (gone text, id integer, filiere text COLLATE "C", created_at timestamp, titre text, %s) %s',
		current_setting('catalogue_test.shout'), key);
	ALTER TABLE chapters DROP gone;
	-- A primary key has the partition key in it, and no undated chapters: only attach() sees it.
	EXECUTE format('ALTER TABLE chapters ADD PRIMARY KEY (id%s)', (SELECT string_agg(', ' || attname, '')
		FROM pg_partitioned_table, pg_attribute
		WHERE partrelid = 'chapters'::regclass AND attrelid = partrelid AND attnum = ANY (partattrs) AND attname <> 'id'));
	PERFORM catalogue.attach(schema, '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
	ALTER TABLE chapters DROP CONSTRAINT chapters_pkey;
	ALTER TABLE chapters ALTER filiere DROP NOT NULL, ALTER created_at DROP NOT NULL;
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	INSERT INTO chapters (id, filiere, created_at, titre) SELECT * FROM all_chapters;
	ANALYZE chapters;
	SET LOCAL search_path = public;
END
$$;

/* Compares every page of some filieres with the plain query's. */
CREATE FUNCTION pg_temp.check_pages(schema text, more text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	call text;
	got integer[];
	page integer[];
	titles text;
	want integer[];
	limits text;
BEGIN
	FOREACH call IN ARRAY ARRAY['recent_chapters(''f7''', 'recent_chapters_any(''{f3,f7,none,f8,f3,NULL}''', 'recent_chapters_any(''{f7}'''] LOOP
		FOREACH limits IN ARRAY ARRAY['', ' LIMIT 11'] LOOP
			got := '{}';
			LOOP
				EXECUTE format('SELECT array_agg(id), string_agg(shout, '','') FROM (SELECT id, shout FROM %I.%s, %s, before_id => %L)%s) AS p',
					schema, call, CASE WHEN limits = '' THEN '37' ELSE 'NULL' END, got[cardinality(got)], limits)
				INTO page, titles;
				EXIT WHEN page IS NULL OR cardinality(got) > 4000;
				got := got || page;
				IF titles IS DISTINCT FROM (SELECT string_agg('CHAPTER ' || id, ',' ORDER BY i) FROM unnest(page) WITH ORDINALITY AS u (id, i)) THEN
					RETURN NEXT fail(format('%s, %s: titles', schema, call));
				END IF;
			END LOOP;
			EXECUTE format('SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM %I.chapters
				WHERE filiere = ANY (%L)', schema, CASE WHEN call LIKE '%f3%' THEN '{f3,f7,f8}' ELSE '{f7}' END)
			INTO want;
			RETURN NEXT cmp_ok(cardinality(want), '>', 100, format('%s, %s%s%s: has chapters', schema, call, limits, more));
			RETURN NEXT is(got, want, format('%s, %s%s%s: pages', schema, call, limits, more));
		END LOOP;
	END LOOP;
END
$$;

/* What EXPLAIN says of a call: why it is not streamed, or of how many indexes. */
CREATE FUNCTION pg_temp.path(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) SELECT id FROM ' || call INTO plan;
	plan := plan #> '{0,Plan}';
	RETURN coalesce(plan ->> 'Not Streamed', concat_ws(', ', (plan ->> 'Indexes') || ' indexes', (plan ->> 'Partitions Without Index') || ' without'));
END
$$;

SELECT * FROM no_plan();

SELECT pg_temp.make('by_time', 'PARTITION BY RANGE (created_at)', ARRAY[
	'CREATE TABLE t1 PARTITION OF chapters FOR VALUES FROM (MINVALUE) TO (''2024-01-02'')',
	'CREATE TABLE t2 PARTITION OF chapters FOR VALUES FROM (''2024-01-02'') TO (''2024-01-03'')',
	'CREATE TABLE t3 PARTITION OF chapters FOR VALUES FROM (''2024-01-03'') TO (''2024-01-04'')',
	'CREATE TABLE t4 PARTITION OF chapters FOR VALUES FROM (''2024-01-04'') TO (''2024-01-05'')',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT',
	'CREATE INDEX ON t1 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON t3 (filiere, created_at NULLS FIRST, id)',
	'CREATE INDEX ON t4 (filiere, created_at)',
	'CREATE INDEX ON rest (filiere, created_at DESC NULLS LAST, id DESC)']);
-- Each with its own idea of the index: other operator classes and collations, other
-- places of NULL, invalid, partial, hash, none.
SELECT pg_temp.make('by_id', 'PARTITION BY HASH (id)', ARRAY[
	'CREATE TABLE i0 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 0)',
	'CREATE TABLE i1 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 1)',
	'CREATE TABLE i2 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 2)',
	'CREATE TABLE i3 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 3)',
	'CREATE TABLE i4 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 4)',
	'CREATE TABLE i5 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 5)',
	'CREATE TABLE i6 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 6)',
	'CREATE TABLE i7 PARTITION OF chapters FOR VALUES WITH (MODULUS 8, REMAINDER 7)',
	'CREATE INDEX ON i0 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON i1 (filiere COLLATE "POSIX", created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON i2 (filiere text_pattern_ops, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON i3 (filiere, created_at DESC, id DESC)',
	'CREATE INDEX ON i4 (filiere, created_at DESC NULLS LAST, id DESC) WHERE created_at IS NOT NULL',
	'CREATE INDEX bad ON i5 (filiere, created_at DESC NULLS LAST, id DESC)',
	'UPDATE pg_index SET indisvalid = false WHERE indexrelid = ''bad''::regclass',
	'CREATE INDEX ON i6 USING hash (filiere)']);
SELECT pg_temp.make('by_list', 'PARTITION BY LIST (filiere)', ARRAY[
	'CREATE TABLE l1 PARTITION OF chapters FOR VALUES IN (NULL, ''f1'', ''f3'')',
	'CREATE TABLE l2 PARTITION OF chapters FOR VALUES IN (''f7'') PARTITION BY RANGE (created_at)',
	'CREATE TABLE l2_old PARTITION OF l2 FOR VALUES FROM (MINVALUE) TO (''2024-01-03'')',
	'CREATE TABLE l2_new PARTITION OF l2 FOR VALUES FROM (''2024-01-03'') TO (MAXVALUE)',
	'CREATE TABLE l2_rest PARTITION OF l2 DEFAULT',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT',
	'CREATE INDEX ON l2_new (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON rest (filiere, created_at DESC NULLS LAST, id DESC)']);
SELECT pg_temp.make('by_time_and_id', 'PARTITION BY RANGE (created_at, id)', ARRAY[
	'CREATE TABLE p1 PARTITION OF chapters FOR VALUES FROM (MINVALUE, MINVALUE) TO (''2024-01-02 10:00'', 1030)',
	'CREATE TABLE p2 PARTITION OF chapters FOR VALUES FROM (''2024-01-02 10:00'', 1030) TO (''2024-01-02 10:00'', 1040)',
	'CREATE TABLE p3 PARTITION OF chapters FOR VALUES FROM (''2024-01-02 10:00'', 1040) TO (''2024-01-03'', MINVALUE)',
	'CREATE TABLE p4 PARTITION OF chapters FOR VALUES FROM (''2024-01-03'', MAXVALUE) TO (''2024-01-04'', 0)',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT',
	'CREATE INDEX ON p1 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON p3 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON rest (filiere, created_at DESC NULLS LAST, id DESC)']);
SELECT pg_temp.make('by_expression', 'PARTITION BY RANGE (id)', ARRAY[
	'CREATE TABLE e PARTITION OF chapters FOR VALUES FROM (MINVALUE) TO (3000) PARTITION BY RANGE (date_trunc(''day'', created_at))',
	'CREATE TABLE e1 PARTITION OF e FOR VALUES FROM (MINVALUE) TO (''2024-01-03'')',
	'CREATE TABLE e2 PARTITION OF e DEFAULT',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT PARTITION BY HASH (filiere)',
	'CREATE TABLE r0 PARTITION OF rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
	'CREATE TABLE r1 PARTITION OF rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
	'CREATE INDEX ON e1 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON r0 (filiere, created_at DESC NULLS LAST, id DESC)']);
-- Time first, and below it the filiere, an id, or time again.
SELECT pg_temp.make('time_first', 'PARTITION BY RANGE (created_at)', ARRAY[
	'CREATE TABLE t1 PARTITION OF chapters FOR VALUES FROM (MINVALUE) TO (''2024-01-02'') PARTITION BY HASH (filiere)',
	'CREATE TABLE t1_0 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
	'CREATE TABLE t1_1 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
	'CREATE TABLE t2 PARTITION OF chapters FOR VALUES FROM (''2024-01-02'') TO (''2024-01-03'') PARTITION BY HASH (id)',
	'CREATE TABLE t2_0 PARTITION OF t2 FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
	'CREATE TABLE t2_1 PARTITION OF t2 FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
	'CREATE TABLE t3 PARTITION OF chapters FOR VALUES FROM (''2024-01-03'') TO (''2024-01-04'') PARTITION BY RANGE (created_at)',
	'CREATE TABLE t3_0 PARTITION OF t3 FOR VALUES FROM (''2024-01-03'') TO (''2024-01-03 12:00'')',
	'CREATE TABLE t3_1 PARTITION OF t3 DEFAULT',
	'CREATE TABLE t4 PARTITION OF chapters FOR VALUES FROM (''2024-01-04'') TO (''2024-01-05'')',
	'CREATE TABLE rest PARTITION OF chapters DEFAULT',
	'CREATE INDEX ON t1 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON t2_0 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON t3 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON t4 (filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON rest (filiere, created_at DESC NULLS LAST, id DESC)']);

SELECT is(pg_temp.path('by_time.recent_chapters(''f7'')'), '3 indexes, 2 without', 'by time: three partitions of five');
SELECT is(pg_temp.path('by_id.recent_chapters(''f7'')'), '2 indexes, 6 without', 'by id: two partitions of eight, of which one has text_pattern_ops');
SELECT is(pg_temp.path('by_list.recent_chapters(''f7'')'), '2 indexes, 3 without', 'by list: two of five');
SELECT is(pg_temp.path('by_time_and_id.recent_chapters(''f7'')'), '3 indexes, 2 without', 'by two columns: three of five');
SELECT is(pg_temp.path('by_expression.recent_chapters(''f7'')'), '2 indexes, 2 without', 'by an expression: two of four');
SELECT is(pg_temp.path('time_first.recent_chapters(''f7'')'), '7 indexes, 1 without', 'time first: seven of eight');
SELECT pg_temp.check_pages(s) FROM unnest(ARRAY['by_time', 'by_id', 'by_list', 'by_time_and_id', 'by_expression', 'time_first']) AS s;
-- With two scans open at a time.
SET LOCAL work_mem = '64kB';
SELECT pg_temp.check_pages(s, ', two open scans') FROM unnest(ARRAY['by_time', 'by_id', 'by_list', 'by_time_and_id', 'by_expression', 'time_first']) AS s;
RESET work_mem;
-- A page whose chapter has gone, at times in every partition and at their bounds.
SELECT results_eq(format('SELECT f, at, id FROM unnest(ARRAY[''by_time'']) AS s, unnest(ARRAY[''f7'', ''f3'']) AS f, generate_series(timestamp ''2023-12-31 18:00'', ''2024-01-07'', ''6 hours'') AS at,
		LATERAL (SELECT id FROM %I.recent_chapters(f, 3, before_at => at)) AS c', s),
	format('SELECT f, at, id FROM unnest(ARRAY[''by_time'']) AS s, unnest(ARRAY[''f7'', ''f3'']) AS f, generate_series(timestamp ''2023-12-31 18:00'', ''2024-01-07'', ''6 hours'') AS at,
		LATERAL (SELECT id FROM %I.chapters WHERE filiere = f AND (created_at < at OR created_at IS NULL) ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 3) AS c', s),
	s || ': before a time')
FROM unnest(ARRAY['by_time', 'by_id', 'by_list', 'by_time_and_id', 'by_expression', 'time_first']) AS s;

-- A right to read the table is enough, with or without its partitions' policies; one to
-- read some columns is for those.
CREATE ROLE mixed_reader;
GRANT USAGE ON SCHEMA by_time, by_id TO mixed_reader;
ALTER TABLE by_time.t2 ENABLE ROW LEVEL SECURITY;
GRANT SELECT (id, filiere, created_at) ON by_time.chapters TO mixed_reader;
SET LOCAL ROLE mixed_reader;
SELECT is((SELECT count(*) FROM (SELECT id FROM by_time.recent_chapters('f7', NULL)) AS c), 200::bigint, 'the table''s rights are enough');
SELECT is((SELECT count(*) FROM (SELECT id FROM by_time.recent_chapters_any('{f7,f8}', NULL)) AS c), 400::bigint, 'and for several filieres');
SELECT throws_ok('SELECT titre FROM by_time.recent_chapters(''f7'')', '42501', NULL, 'another column');
SELECT throws_ok('SELECT id FROM by_id.recent_chapters(''f7'')', '42501', NULL, 'no right to read the table');
SELECT throws_ok('SELECT id FROM by_time.t2', '42501', NULL, 'no right to read the partition');
RESET ROLE;
-- The table's own policies apply to all partitions: the executor reads them.
CREATE POLICY even ON by_time.chapters USING (id % 2 = 0);
ALTER TABLE by_time.chapters ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE mixed_reader;
SELECT is(pg_temp.path('by_time.recent_chapters(''f8'')'), 'row-level security applies', 'policies are the executor''s');
SELECT is((SELECT count(*) FROM by_time.recent_chapters_any('{f7,f8}', NULL)), 200::bigint, 'half of the chapters');
RESET ROLE;
ALTER TABLE by_time.chapters DISABLE ROW LEVEL SECURITY;

-- In a session that has its plans: an index that goes, an index that comes.
PREPARE page AS SELECT id FROM by_time.recent_chapters('f7', 150);
SET LOCAL plan_cache_mode = force_generic_plan;
CREATE TEMP TABLE before AS EXECUTE page;
DROP INDEX by_time.t1_filiere_created_at_id_idx;
SELECT is(pg_temp.path('by_time.recent_chapters(''f7'')'), '2 indexes, 3 without', 'an index was dropped');
SELECT results_eq('EXECUTE page', 'SELECT id FROM before', 'the prepared statement goes on');
CREATE INDEX ON by_time.t2 (filiere, created_at DESC NULLS LAST, id DESC);
SELECT is(pg_temp.path('by_time.recent_chapters(''f7'')'), '3 indexes, 2 without', 'an index was created');
SELECT results_eq('EXECUTE page', 'SELECT id FROM before', 'and on');
ALTER TABLE by_time.chapters DETACH PARTITION by_time.t1;
SELECT results_eq('EXECUTE page', 'SELECT id FROM by_time.chapters WHERE filiere = ''f7'' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 150',
	'a partition without an index is detached');
ALTER TABLE by_time.chapters ATTACH PARTITION by_time.t1 FOR VALUES FROM (MINVALUE) TO ('2024-01-02');
SELECT results_eq('EXECUTE page', 'SELECT id FROM before', 'and attached');
-- Other columns than before, in turn, and whole rows.
SELECT results_eq('SELECT titre, id FROM by_time.recent_chapters(''f7'', 60)',
	'SELECT titre, id FROM by_time.chapters WHERE filiere = ''f7'' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 60', 'other columns');
SELECT results_eq('SELECT (r).id, (r).filiere, (r).shout FROM (SELECT by_id.recent_chapters(f, 3) AS r FROM unnest(ARRAY[''f1'', ''f2'', ''f3'']) AS f) AS rows',
	'SELECT c.id, c.filiere, c.shout FROM unnest(ARRAY[''f1'', ''f2'', ''f3'']) AS f, LATERAL (
	SELECT * FROM by_id.chapters WHERE filiere = f ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 3) AS c', 'whole rows');
-- A partition that computes the column in another way: in a query of the table its own counts.
\if :has_virtual_columns
ALTER TABLE by_time.chapters DETACH PARTITION by_time.t4;
ALTER TABLE by_time.t4 DROP shout;
ALTER TABLE by_time.t4 ADD shout text GENERATED ALWAYS AS (lower(titre)) VIRTUAL;
ALTER TABLE by_time.chapters ATTACH PARTITION by_time.t4 FOR VALUES FROM ('2024-01-04') TO ('2024-01-05');
SELECT is(pg_temp.path('by_time.recent_chapters(''f7'')'), '3 indexes, 2 without', 'the executor reads that partition');
SELECT results_eq('SELECT id, shout FROM by_time.recent_chapters(''f7'', NULL)',
	'SELECT id, shout FROM by_time.chapters WHERE filiere = ''f7'' ORDER BY created_at DESC NULLS LAST, id DESC', 'another expression of a partition');
\else
SELECT skip('PostgreSQL 18 has virtual columns', 2);
\endif
-- A cursor that is closed before its end.
DECLARE page_cursor CURSOR FOR SELECT id FROM by_id.recent_chapters_any('{f1,f2}', NULL);
MOVE 5 FROM page_cursor;
CLOSE page_cursor;
-- A partition without an index that is dropped before a cursor comes to it, in a session that has its plan.
SELECT is((SELECT count(*) FROM (SELECT id FROM by_time.recent_chapters('f7', NULL) OFFSET 0) AS c WHERE id > 0), 200::bigint, 'all partitions');
DECLARE late_cursor CURSOR FOR SELECT id FROM by_time.recent_chapters('f7', NULL);
MOVE 1 FROM late_cursor;
DROP TABLE by_time.t1;
SELECT throws_ok('MOVE ALL FROM late_cursor', '55000', 'a partition of table "chapters", or its index, has been dropped since the query began', 'it is dropped before it is read');
SELECT * FROM finish();
ROLLBACK;
