-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * Arguments of recent_chapters as clients send them: lists without a type, lists longer
 * than any that a person would write, and ids that an index other than the column's own
 * would take for others.
 */
BEGIN;
SET LOCAL client_min_messages = warning;
\set chapters 2000
\i test/fixtures/feed.sql
SELECT no_plan();

-- Without a type, a list is a list by the function's name, and a string is one filiere.
PREPARE any_list AS SELECT id FROM recent_chapters_any($1, 5);
SELECT is((SELECT parameter_types FROM pg_prepared_statements WHERE name = 'any_list'), '{text[]}'::regtype[], 'a parameter without a type is a list');
SELECT results_eq($$EXECUTE any_list('{f7,f8}')$$, $$SELECT id FROM chapters WHERE filiere IN ('f7', 'f8')
	ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5$$, '... whose chapters come');
SELECT results_eq($$SELECT id FROM recent_chapters_any('{f7,f8}', 5)$$, $$EXECUTE any_list('{f7,f8}')$$, '... as those of a literal');
PREPARE one_filiere AS SELECT id FROM recent_chapters($1, 5);
SELECT is((SELECT parameter_types FROM pg_prepared_statements WHERE name = 'one_filiere'), '{text}'::regtype[], 'a filiere is no list');
SELECT throws_ok($$SELECT id FROM recent_chapters(ARRAY['f7', 'f8'], 5)$$, '42883', NULL, '... and a list none');
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'recent_chapters%' AND pronamespace = 'public'::regnamespace), 2::bigint,
	'no function is there under the same name');
DEALLOCATE any_list;
DEALLOCATE one_filiere;

-- More filieres than 16 bits count.
SELECT results_eq(format($$SELECT id FROM recent_chapters_any(ARRAY(SELECT %s || i FROM generate_series(%s) AS i), 1000)$$, prefix, series),
	$$SELECT id FROM chapters WHERE filiere ~ '^f(7|8|9|49)$' ORDER BY created_at DESC NULLS LAST, id DESC$$, series || ' filieres')
FROM (VALUES ($$CASE WHEN i IN (7, 8, 9, 49) THEN 'f' ELSE 'g' END$$, '1, 65536'),
	($$CASE WHEN i IN (7, 8, 9, 49) THEN 'f' ELSE 'g' END$$, '0, 70000'),
	($$CASE WHEN i IN (7, 8, 9, 49) THEN 'f' ELSE 'a' END$$, '-70000, 70000')) AS v (prefix, series);
INSERT INTO chapters SELECT 10000 + i, 'h' || i, '2025-01-01', 'x', 'x' FROM generate_series(1, 66000) AS i;
SELECT is((SELECT array_agg(id) FROM recent_chapters_any(ARRAY(SELECT 'h' || i FROM generate_series(1, 66000) AS i), NULL)),
	(SELECT array_agg(id ORDER BY id DESC) FROM chapters WHERE id > 10000), '66000 filieres that have chapters');

-- A unique index by another collation than the column's: an absent id finds no other, and
-- one that is equal is found in any spelling.
CREATE FUNCTION pg_temp.has_icu() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	RETURN true;
EXCEPTION WHEN feature_not_supported THEN
	RETURN false;
END
$$;
SELECT pg_temp.has_icu() AS has_icu \gset
\if :has_icu
CREATE FUNCTION pg_temp.make(schema text, collation_of_id text, collation_of_index text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SCHEMA %1$I; CREATE TABLE %1$I.chapters (id text COLLATE %2$I PRIMARY KEY, filiere text NOT NULL, created_at timestamp);
		INSERT INTO %1$I.chapters SELECT ''c'' || i, ''f'', ''2024-01-01''::timestamp + i * interval ''1 day'' FROM generate_series(1, 9) AS i;
		CREATE UNIQUE INDEX zz ON %1$I.chapters (id COLLATE %3$I);
		CREATE INDEX feed ON %1$I.chapters (filiere, created_at DESC NULLS LAST, id DESC);
		ANALYZE %1$I.chapters', schema, collation_of_id, collation_of_index);
	PERFORM FROM catalogue.attach(schema::name, '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
END $$;
SELECT pg_temp.make('exact', 'C', 'any_case');
SELECT pg_temp.make('equal', 'any_case', 'C');
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT throws_ok($$SELECT id FROM exact.recent_chapters('f', 2, before_id => 'C5')$$, 'P0002', NULL, 'an id in another spelling is another id');
SELECT results_eq($$SELECT id COLLATE "default" FROM exact.recent_chapters('f', 2, before_id => 'c5')$$, $$VALUES ('c4'), ('c3')$$, '... its own is found');
SELECT results_eq($$SELECT id COLLATE "default" FROM equal.recent_chapters('f', 2, before_id => 'C5')$$, $$VALUES ('c4'), ('c3')$$,
	'an id that is equal in another spelling is found');
SELECT throws_ok($$SELECT id FROM equal.recent_chapters('f', 2, before_id => 'd5')$$, 'P0002', NULL, '... and no other');
\else
SELECT skip('no ICU', 4);
\endif

SELECT * FROM finish();
ROLLBACK;
