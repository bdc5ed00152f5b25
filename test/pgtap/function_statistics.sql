-- Calls that are streamed count in pg_stat_user_functions as calls of a function do.
-- Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
SELECT plan(10);

CREATE FUNCTION pg_temp.calls(name text) RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(sum(pg_stat_get_xact_function_calls(oid)), 0)::bigint
	FROM pg_proc WHERE proname = name AND pronamespace = 'app'::regnamespace
$$;

BEGIN;
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is(pg_temp.calls('cached_lookups'), 0::bigint, 'nothing is tracked unless asked for');
SET LOCAL track_functions = 'pl';
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is(pg_temp.calls('cached_lookups'), 0::bigint, '... nor functions in C');
SET LOCAL track_functions = 'all';
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is(pg_temp.calls('cached_lookups'), 2::bigint, 'two calls, whatever rows they have');
SELECT count(*) FROM cached_lookups_json() \g /dev/null
SELECT is(pg_temp.calls('cached_lookups_json'), 1::bigint, 'a document');
SELECT lookups_version() \g /dev/null
SELECT is(pg_temp.calls('lookups_version'), 1::bigint, 'a version');
SELECT count(*) FROM recent_chapters('l', 10) \g /dev/null
SELECT is(pg_temp.calls('recent_chapters'), 1::bigint, 'the feed');
SELECT count(*) FROM filieres f, generate_series(1, 3), LATERAL recent_chapters(f.id, generate_series) \g /dev/null
SELECT is(pg_temp.calls('recent_chapters'), 4::bigint, 'each rescan with other arguments is one');
EXPLAIN SELECT * FROM recent_chapters('l', 10) \g /dev/null
SELECT is(pg_temp.calls('recent_chapters'), 4::bigint, 'EXPLAIN calls nothing');
SET LOCAL catalogue.enable_stream = off;
SELECT count(*) FROM recent_chapters('l', 10) \g /dev/null
SELECT is(pg_temp.calls('recent_chapters'), 5::bigint, 'without the node alike');
SELECT cmp_ok((SELECT sum(pg_stat_get_xact_function_total_time(oid)) FROM pg_proc
	WHERE pronamespace = 'app'::regnamespace AND proname = 'cached_lookups'), '>', 0::float8, 'with their time');
COMMIT;

SELECT * FROM finish();
