-- The numbers of all sessions (PostgreSQL 17 and later).  Needs a database with pgTAP in
-- it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
SELECT current_setting('server_version_num')::int >= 170000 AS has_shared_counts \gset
\if :has_shared_counts
	SELECT hits AS hits_before, misses AS misses_before FROM catalogue.cache_stats_all \gset
	SELECT count(*) FROM app.cached_lookups() \g /dev/null
	SELECT count(*) FROM app.cached_lookups() \g /dev/null
	SELECT catalogue.cache_reset() \g /dev/null
	SELECT count(*) FROM app.cached_lookups() \g /dev/null
	SELECT count(*) FROM app.cached_lookups() \g /dev/null

	\connect -
	SELECT plan(4);
	SELECT is((SELECT hits + misses FROM catalogue.cache_stats WHERE schema_name IS NULL), 0::bigint, 'a session without calls');
	SELECT is((SELECT hits FROM catalogue.cache_stats_all), :hits_before + 2::bigint, 'shows another one''s hits, also those before its reset');
	SELECT is((SELECT misses FROM catalogue.cache_stats_all), :misses_before + 2::bigint, '... and misses');
	SELECT ok(since <= now() AND hit_rate BETWEEN 0 AND 1, 'since the first use') FROM catalogue.cache_stats_all;
\else
	SELECT plan(1);
	SELECT throws_ok('SELECT * FROM catalogue.cache_stats_all', '0A000', 'numbers of all sessions need PostgreSQL 17 or later',
		'older servers say so');
\endif

SELECT * FROM finish();
