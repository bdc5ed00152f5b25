-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * A condition above recent_chapters: of a page it is a filter, of all chapters a
 * search, for which an index with its column beside the filiere is used.
 */
SET client_min_messages = warning;
SET jit = off;

BEGIN;
CREATE EXTENSION catalogue;
SELECT no_plan();
CREATE TYPE rank AS ENUM ('low', 'high');
CREATE TABLE public.model (id integer, filiere text NOT NULL, niveau varchar(4), year integer, rank rank,
	created_at timestamp, titre text);
INSERT INTO model
SELECT i, 'f' || i % 5, (ARRAY['L1', 'L2', 'M1', NULL])[1 + i / 5 % 4], 2020 + i % 3,
	(ARRAY['low', 'high'])[1 + i / 7 % 2]::rank,
	CASE WHEN i % 9 > 0 THEN timestamp '2024-01-01' + i / 20 * interval '1 hour' END, 'chapter ' || i
FROM generate_series(1, 4000) AS i;

/* A schema with these chapters, in a table that is partitioned so or not at all. */
CREATE FUNCTION pg_temp.make(schema text, key text, VARIADIC statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('SET LOCAL search_path = %I, public', schema);
	EXECUTE 'CREATE TABLE chapters (LIKE model, PRIMARY KEY (id)) ' || key;
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	INSERT INTO chapters SELECT * FROM model;
	CREATE INDEX feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
	ANALYZE chapters;
	PERFORM FROM catalogue.attach(schema::name, jsonb_build_object('chapters', jsonb_build_object(
		'relation', schema || '.chapters', 'filiere', 'filiere', 'author', NULL)));
END $$;
SELECT pg_temp.make('plain', '', 'CREATE INDEX level ON chapters (filiere, niveau, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON chapters (year, filiere, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX ON chapters (filiere, rank, created_at NULLS FIRST, id)');
SELECT pg_temp.make('parts', 'PARTITION BY HASH (id)',
	'CREATE TABLE one PARTITION OF chapters FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
	'CREATE TABLE two (titre text, gone text, created_at timestamp, rank rank, year integer, niveau varchar(4), filiere text NOT NULL, id integer NOT NULL)',
	'ALTER TABLE two DROP gone',
	'ALTER TABLE chapters ATTACH PARTITION two FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
	'CREATE INDEX ON chapters (filiere, niveau, created_at DESC NULLS LAST, id DESC)');
SELECT pg_temp.make('without', '', 'SELECT');

CREATE FUNCTION pg_temp.explained(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		plan := plan || trim(line) || E'\n';
	END LOOP;
	RETURN plan;
END $$;
CREATE FUNCTION pg_temp.rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(c::text, '' '') FROM (%s) AS c', query) INTO result;
	RETURN result;
END $$;

/* "all" is a call for all chapters; by an index with the column, no other row is read. */
CREATE FUNCTION pg_temp.search(schema text, filieres text, condition text, indexed boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	call constant text := format('%I.recent_chapters%s(%s, NULL)', schema, CASE WHEN filieres ~ 'ARRAY' THEN '_any' ELSE '' END, filieres);
	chapters constant text := format('%I.chapters WHERE filiere = ANY (ARRAY[%s])', schema, filieres);
	sorted constant text := 'ORDER BY created_at DESC NULLS LAST, id DESC';
	query text;
	plan text;
BEGIN
	FOREACH query IN ARRAY ARRAY['', ' LIMIT 10'] LOOP
		RETURN NEXT is(pg_temp.rows_of(format('SELECT id, titre FROM %s AS c WHERE %s %s', call, condition, query)),
			pg_temp.rows_of(format('SELECT id, titre FROM %s AND (%s) %s %s', chapters, condition, sorted, query)),
			format('%s, %s where %s%s: the rows', schema, filieres, condition, query));
	END LOOP;
	plan := pg_temp.explained(format('SELECT id, titre FROM %s WHERE %s LIMIT 10', call, condition));
	RETURN NEXT matches(plan, CASE WHEN indexed THEN 'Index Cond: \(\(filiere .* AND \(' ELSE 'Index Cond: \(filiere' END,
		format('%s where %s: the plan', schema, condition));
	RETURN NEXT matches(plan, CASE WHEN indexed THEN 'Rows Read: 1\d\M' ELSE 'Rows Read: [2-9]\d|\d{3}' END, '... and what it reads');
END $$;

SELECT pg_temp.search('plain', $$'f1'$$, $$niveau = 'L2'$$, true);
SELECT pg_temp.search('plain', $$'f1'$$, $$year = 2021$$, true);
SELECT pg_temp.search('plain', $$'f1'$$, $$rank = 'high'$$, true);
SELECT pg_temp.search('plain', $$'f1'$$, $$niveau = 'L2' AND titre LIKE 'chapter%'$$, true);
SELECT pg_temp.search('plain', $$ARRAY['f1', 'f3', 'none']$$, $$niveau = 'L2'$$, true);
SELECT pg_temp.search('parts', $$'f1'$$, $$niveau = 'L2'$$, true);
SELECT pg_temp.search('without', $$'f1'$$, $$niveau = 'L2'$$, false);
SELECT pg_temp.search('plain', $$'f1'$$, $$niveau > 'L2'$$, false);
SELECT pg_temp.search('plain', $$'f1'$$, $$niveau IS NULL$$, false);
SELECT pg_temp.search('plain', $$'f1'$$, $$niveau = 'L2' COLLATE "C"$$, false);
SELECT pg_temp.search('plain', $$'f1'$$, $$niveau = left(titre, 2)$$, false);

-- Of a page it is a filter.
SELECT is(pg_temp.rows_of($$SELECT id FROM plain.recent_chapters('f1', 100) WHERE niveau = 'L2'$$),
	pg_temp.rows_of($$SELECT id FROM (SELECT * FROM plain.chapters WHERE filiere = 'f1'
		ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 100) AS page WHERE niveau = 'L2'$$), 'a page is filtered');
SELECT matches(pg_temp.explained($$SELECT id FROM plain.recent_chapters('f1', 100) WHERE niveau = 'L2'$$),
	'Index Cond: \(filiere = .*Rows Read: 100\M', '... all of it is read');
PREPARE any_n(bigint) AS SELECT id FROM plain.recent_chapters('f1', $1) WHERE niveau = 'L2' LIMIT 1000;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT unalike(pg_temp.explained('EXECUTE any_n(NULL)'), '%AND%', 'as where n is not known to the planner');

-- After a chapter, dated and not.
SELECT is(pg_temp.rows_of(format($$SELECT id FROM plain.recent_chapters('f1', NULL, %s) WHERE niveau = 'L2' LIMIT 20$$, id)),
	pg_temp.rows_of(format($$SELECT id FROM plain.chapters WHERE filiere = 'f1' AND niveau = 'L2'
		AND (coalesce(created_at, '-infinity'), id) < (SELECT coalesce(created_at, '-infinity'), id FROM plain.chapters WHERE id = %s)
		ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 20$$, id)), format('after chapter %s', id))
FROM unnest(ARRAY[3991, 2001, 26, 1341, 2691, 9]) AS id;

-- Values of parameters, of outer rows, and NULL.
PREPARE level(text) AS SELECT id FROM plain.recent_chapters('f1', NULL) WHERE niveau = $1 LIMIT 5;
SELECT matches(pg_temp.explained($$EXECUTE level('L2')$$), 'AND \(niveau = \$1\).*Rows Read: 5\M', 'a parameter');
SELECT matches(pg_temp.explained('EXECUTE level(NULL)'), 'Rows Read: 0\M', 'NULL equals nothing');
SELECT is(pg_temp.rows_of($$SELECT n, (SELECT max(id) FROM plain.recent_chapters('f1', NULL) AS c WHERE c.niveau = o.n) FROM (VALUES ('L1'), ('L2'), ('M1')) AS o(n)$$),
	pg_temp.rows_of($$SELECT n, (SELECT max(id) FROM plain.chapters AS c WHERE filiere = 'f1' AND c.niveau = o.n) FROM (VALUES ('L1'), ('L2'), ('M1')) AS o(n)$$),
	'values of outer rows');

-- What the planner saw may be gone.
CREATE TABLE before AS SELECT pg_temp.rows_of($$SELECT id FROM plain.recent_chapters('f1', NULL) WHERE niveau = 'L2' LIMIT 5$$) AS ids;
DROP INDEX plain.level;
SELECT is(pg_temp.rows_of($$SELECT id FROM plain.recent_chapters('f1', NULL) WHERE niveau = 'L2' LIMIT 5$$), ids, 'without the index') FROM before;
SELECT matches(pg_temp.explained($$EXECUTE level('L2')$$), 'Index Cond: \(filiere = ', 'a prepared statement is planned again');

-- In a view, it is the view's.
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM plain.recent_chapters('f1', NULL) WHERE year = 2021;
SELECT matches(pg_temp.explained($$SELECT id FROM barrier WHERE titre = 'chapter 1'$$), 'Index Cond: .* AND \(year = 2021\)', 'of a view');

SELECT * FROM finish();
ROLLBACK;
