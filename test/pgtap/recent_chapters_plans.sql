/*
 * recent_chapters where the planner, asked for any filiere and any n, would not read
 * the feed's index, though it is the best for a page: what it streams from must not
 * depend on that.
 */
SET client_min_messages = warning;
SET jit = off;

BEGIN;
CREATE EXTENSION catalogue;
SELECT no_plan();

/* A schema with chapters. */
CREATE FUNCTION pg_temp.make(schema text, VARIADIC statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('SET LOCAL search_path = %I, public', schema);
	EXECUTE 'CREATE TABLE chapters (id integer PRIMARY KEY, filiere text NOT NULL, niveau text, year integer,
		created_at timestamp, titre text)';
	CREATE INDEX feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	PERFORM FROM catalogue.attach(schema::name, jsonb_build_object('chapters', jsonb_build_object(
		'relation', schema || '.chapters', 'filiere', 'filiere', 'author', NULL)));
END $$;
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
CREATE FUNCTION pg_temp.ids(query text) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
	result integer[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (%s) AS c', query) INTO result;
	RETURN result;
END $$;

-- Few chapters, and statistics that say so: to sort them is cheaper.  The plan would stay when there are more.
SELECT pg_temp.make('few', $$INSERT INTO chapters SELECT i, 'f1', 'L1', 2024, '2024-01-01', 'chapter ' || i FROM generate_series(1, 10) AS i$$,
	'ANALYZE chapters');
SELECT matches(pg_temp.explained($$SELECT id FROM few.chapters WHERE filiere = 'f1' ORDER BY created_at DESC NULLS LAST, id DESC$$), 'Sort', 'few chapters: plain SQL sorts them');
SELECT matches(pg_temp.explained($$SELECT id FROM few.recent_chapters('f1', 5)$$), 'Index: feed\n.*Rows Read: 5\M', 'few chapters are streamed');

-- An index for the newest chapters of all filieres: the planner expects those of any of four behind a few others.
SELECT pg_temp.make('site', $$INSERT INTO chapters SELECT i, CASE WHEN i % 1000 > 0 THEN 'f' || i % 4 ELSE 'rare' END, 'L1', 2024,
		timestamp '2024-01-01' + i * interval '1 minute', repeat('x', 200) FROM generate_series(1, 20000) AS i$$,
	'CREATE INDEX site ON chapters (created_at DESC NULLS LAST, id DESC)', 'ANALYZE chapters');
SELECT matches(pg_temp.explained($$SELECT id FROM site.chapters WHERE filiere = 'f1' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 10$$),
	'using site on', 'an index of the site: plain SQL filters it for a filiere that is frequent');
SELECT matches(pg_temp.explained($$SELECT id FROM site.recent_chapters('rare', 10)$$), 'Index: feed\n.*Rows Read: 10\M', 'the feed does not depend on that');
SELECT is(pg_temp.ids($$SELECT id FROM site.recent_chapters('rare', 10)$$),
	pg_temp.ids($$SELECT id FROM site.chapters WHERE filiere = 'rare' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 10$$), '... and its rows are right');

-- The settings are as they were, and plain SQL's plans too.
SELECT is(current_setting('enable_seqscan') || current_setting('enable_sort'), 'onon', 'settings of the planner are left alone');
DROP INDEX few.feed;
SELECT matches(pg_temp.explained($$SELECT id FROM few.recent_chapters('f1', 5)$$), 'Not Streamed: no index has the order', 'without the index it is not streamed');
CREATE FUNCTION pg_temp.first_line(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	EXECUTE 'EXPLAIN ' || query INTO line;
	RETURN line;
END $$;
SELECT matches(pg_temp.first_line($$SELECT id FROM few.recent_chapters('f1', 5)$$), 'cost=\d{1,3}\..*rows=5 ', '... at the cost that plain SQL has');

-- Two conditions that have an index: that one is used which fewer chapters meet, in whatever order they are written.
SELECT pg_temp.make('levels', $$INSERT INTO chapters SELECT i, 'f' || i % 2, 'L' || (i % 100 > 0)::int, 2000 + i / 2 % 25,
		timestamp '2024-01-01' + i * interval '1 minute', 'chapter ' || i FROM generate_series(1, 10000) AS i$$,
	'CREATE INDEX by_level ON chapters (filiere, niveau, created_at DESC NULLS LAST, id DESC)',
	'CREATE INDEX by_year ON chapters (filiere, year, created_at DESC NULLS LAST, id DESC)', 'ANALYZE chapters');
SELECT matches(pg_temp.explained($$SELECT id FROM levels.recent_chapters('f1', NULL) WHERE $$ || condition), index, condition)
FROM (VALUES ($$niveau = 'L1' AND year = 2003$$, 'Index: by_year'), ($$year = 2003 AND niveau = 'L1'$$, 'Index: by_year'),
	($$niveau = 'L0' AND year = 2003$$, 'Index: by_level'), ($$year = 2003 AND niveau = 'L0'$$, 'Index: by_level')) AS c (condition, index);

-- A prepared page is planned as often as plain SQL's: where n is less than what is expected of any, not for each call.
SELECT pg_temp.make('small', $$INSERT INTO chapters SELECT i, 'f' || i % 100, 'L1', 2024,
		timestamp '2024-01-01' + i * interval '1 minute', 'chapter ' || i FROM generate_series(1, 10000) AS i ORDER BY md5(i::text)$$, 'ANALYZE chapters');
PREPARE page(text, bigint) AS SELECT id, titre FROM small.recent_chapters($1, $2);
PREPARE plain(text, bigint) AS SELECT id, titre FROM small.chapters WHERE filiere = $1 ORDER BY created_at DESC NULLS LAST, id DESC LIMIT $2;
DO $$ BEGIN FOR i IN 1 .. 7 LOOP EXECUTE 'EXECUTE page(''f1'', 10)'; EXECUTE 'EXECUTE plain(''f1'', 10)'; END LOOP; END $$;
SELECT is(generic_plans, 2::bigint, name || ' is planned five times') FROM pg_prepared_statements WHERE name IN ('page', 'plain') ORDER BY name;

-- More filieres than scans can be open.
SELECT array_agg('f' || i) AS many FROM generate_series(0, 99) AS i \gset
SELECT matches(pg_temp.explained(format('SELECT id, titre FROM small.recent_chapters_any(%L, 100)', :'many')), 'Merged Scans: 100\n.*Rows Read: 1\d\d\M',
	'a page of many filieres is merged');
SELECT matches(pg_temp.explained(format('SELECT id, titre FROM small.recent_chapters_any(%L, NULL) LIMIT 100', :'many')), 'Merged Scans: 100\n.*Rows Read: 1\d\d\M',
	'... with a LIMIT above');
SELECT is(pg_temp.ids(format('SELECT id FROM small.recent_chapters_any(%L, %s)', :'many', arguments)),
	pg_temp.ids(format('SELECT id FROM small.chapters WHERE %s ORDER BY created_at DESC NULLS LAST, id DESC LIMIT %s', condition, split_part(arguments, ',', 1))),
	format('the rows of (%s)', arguments))
FROM (VALUES ('NULL', 'true'), ('9000', 'true'), ('NULL, 7000', 'id < 7000'), ('8000, 9500', 'id < 9500')) AS v (arguments, condition);

-- A lower bound of created_at ends the scan, in whatever type and from whatever row; no other condition does.
UPDATE levels.chapters SET created_at = NULL WHERE id % 9 = 0;
SELECT matches(pg_temp.explained($$SELECT id FROM levels.recent_chapters('f1', NULL) WHERE $$ || condition), 'Rows Read: ' || rows_read || '\M', 'rows read for ' || condition)
FROM (VALUES ($$created_at > '2024-01-07 20:40'$$, '54'), ($$date '2024-01-08' <= created_at$$, '\d'), ($$created_at > '2024-01-07 20:40' AND titre LIKE '%1'$$, '54'),
	($$created_at BETWEEN '2024-01-07 20:40' AND '2024-01-07 21:40'$$, '54'), ($$created_at < '2024-01-07 20:40'$$, '5000'), ($$created_at IS NULL$$, '5000')) AS v (condition, rows_read);
SELECT is(pg_temp.ids(format('SELECT id FROM levels.recent_chapters%s WHERE %s', call, condition)),
	pg_temp.ids(format($$SELECT id FROM (SELECT * FROM levels.chapters WHERE filiere IN (%s) ORDER BY created_at DESC NULLS LAST, id DESC LIMIT %s) AS c WHERE %s$$, filieres, n, condition)),
	format('recent_chapters%s where %s', call, condition))
FROM (VALUES ($$('f1', NULL)$$, $$'f1'$$, 'NULL'), ($$('f1', 100)$$, $$'f1'$$, '100'), ($$_any('{f0,f1}', NULL)$$, $$'f0', 'f1'$$, 'NULL')) AS c (call, filieres, n),
	(VALUES ($$created_at > '2024-01-07'$$), ($$created_at >= date '2024-01-07'$$), ($$created_at > '-infinity'$$), ($$created_at > 'infinity'$$),
		($$created_at = '2024-01-07 21:01'$$), ($$created_at <> '2024-01-07 21:01'$$), ($$created_at > NULL$$), ($$created_at > '2024-01-07' OR niveau = 'L0'$$)) AS v (condition);
SELECT is((SELECT array_agg((SELECT count(*) FROM levels.recent_chapters('f1', NULL) AS c WHERE c.created_at > since) ORDER BY since) FROM generate_series(timestamp '2024-01-02', '2024-01-06', '1 day') AS since),
	(SELECT array_agg((SELECT count(*) FROM levels.chapters AS c WHERE filiere = 'f1' AND c.created_at > since) ORDER BY since) FROM generate_series(timestamp '2024-01-02', '2024-01-06', '1 day') AS since),
	'a bound of outer rows');

SELECT * FROM finish();
ROLLBACK;
