-- Cached lookups within a statement: a call sees what a plain SELECT in its place
-- would see.  Its own transaction's writes count from the first row on, whatever
-- triggers have fired; and all calls of one statement answer as of its snapshot.
-- Needs a database with pgTAP in it and without the extension; what another
-- session commits in the middle of a statement is done through dblink.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
CREATE EXTENSION dblink SCHEMA public;
SELECT plan(23);

-- plain() and cached(): the UFR's name by a SELECT and by the cache, each in a statement of its own
CREATE FUNCTION plain() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT string_agg(nom, ',' ORDER BY nom) FROM app.ufrs);
END
$$;
CREATE FUNCTION cached() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT string_agg(nom, ',' ORDER BY nom) FROM app.cached_lookups() WHERE kind = 'ufr');
END
$$;
CREATE TABLE seen (i serial, at text, plain text, cached text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.seen (at, plain, cached) VALUES (tg_argv[0], app.plain(), app.cached());
	RETURN new;
END
$$;

-- Own writes, while the statement runs

CREATE TRIGGER a_before BEFORE UPDATE OR INSERT ON ufrs FOR EACH ROW EXECUTE FUNCTION note('before row');
CREATE TRIGGER a_after AFTER UPDATE OR INSERT ON ufrs FOR EACH ROW EXECUTE FUNCTION note('after row');
INSERT INTO ufrs (id, nom, code, universite_id) VALUES ('g', 'g', 'g', 'u');
SELECT cached() \g /dev/null
UPDATE ufrs SET nom = nom || '!' WHERE id IN ('f', 'g');
SELECT is(count(*), 6::bigint, 'triggers that sort before ours') FROM seen;
SELECT is_empty('SELECT * FROM seen WHERE plain IS DISTINCT FROM cached', '... see what a SELECT sees');
DROP TRIGGER a_before ON ufrs;
DROP TRIGGER a_after ON ufrs;

SELECT cached() \g /dev/null
CREATE TABLE returned (plain text, cached text);
WITH w AS (UPDATE ufrs SET nom = 'h' WHERE id = 'g' RETURNING plain() AS plain, cached() AS cached)
INSERT INTO returned SELECT * FROM w;
SELECT results_eq('SELECT * FROM returned', $$VALUES ('f!,h', 'f!,h')$$, 'RETURNING a function that reads');
SELECT cached() \g /dev/null
WITH w AS (UPDATE ufrs SET nom = 'i' WHERE id = 'g'
	RETURNING (SELECT max(l.nom) FROM cached_lookups() AS l WHERE l.kind = 'ufr') AS cached,
		(SELECT max(u.nom) FROM ufrs AS u) AS plain)
SELECT is(w.cached, w.plain, 'RETURNING a sub-select: as of before the statement') FROM w;

ALTER TABLE ufrs DISABLE TRIGGER catalogue_lookup_changed;
SELECT cached() \g /dev/null
BEGIN;
UPDATE ufrs SET nom = 'unannounced' WHERE id = 'f';
SELECT is(cached(), plain(), 'own writes without a trigger');
ROLLBACK;
SELECT is(cached(), plain(), '... rolled back');
UPDATE ufrs SET nom = 'unannounced' WHERE id = 'f';
SELECT is(cached(), plain(), 'a change while a trigger is disabled');
ALTER TABLE ufrs ENABLE TRIGGER catalogue_lookup_changed;
SELECT cached() \g /dev/null
SET session_replication_role = replica;
UPDATE ufrs SET nom = 'replicated' WHERE id = 'f';
RESET session_replication_role;
SELECT is(cached(), plain(), 'a replicated change while a trigger is not enabled ALWAYS, as pg_restore --disable-triggers leaves it');
SELECT count(*) FROM catalogue.attach('app') \g /dev/null

-- One statement, one moment

SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'),
	current_setting('port'), current_database(), current_user)) \g /dev/null
CREATE FUNCTION commit_elsewhere(name text) RETURNS text LANGUAGE sql VOLATILE AS
	$$SELECT public.dblink_exec('other', format('UPDATE app.ufrs SET nom = %L', name))$$;

SELECT cached() \g /dev/null
CREATE TEMP TABLE moments AS
SELECT i, CASE WHEN i = 2 THEN commit_elsewhere('two') END AS done,
	(SELECT min(l.nom) FROM cached_lookups(left('u', i)) AS l WHERE l.kind = 'ufr') AS cached,
	(SELECT min(u.nom) FROM ufrs AS u WHERE i > 0) AS plain
FROM generate_series(1, 4) AS i;
SELECT is_empty('SELECT * FROM moments WHERE plain <> cached', 'a correlated sub-select, kept before the statement');
SELECT is(cached(), 'two,two', 'the next statement');

SELECT catalogue.cache_reset() \g /dev/null
CREATE TEMP TABLE moments_2 AS
SELECT i, CASE WHEN i = 2 THEN commit_elsewhere('three') END AS done,
	(SELECT min(l.nom) FROM cached_lookups(left('u', i)) AS l WHERE l.kind = 'ufr') AS cached,
	(SELECT min(l.nom) FROM cached_lookups() AS l WHERE l.kind = 'ufr' AND i > 0) AS cached_2,
	(SELECT min(u.nom) FROM ufrs AS u WHERE i > 0) AS plain
FROM generate_series(1, 4) AS i;
SELECT is_empty('SELECT * FROM moments_2 WHERE plain <> cached OR plain <> cached_2', '... from the tables, by two calls');

CREATE TEMP TABLE moments_3 AS
SELECT i, CASE WHEN i = 2 THEN commit_elsewhere('four') END AS done,
	(SELECT max(d.lookups ->> 'ufrs') FROM cached_lookups_json(left('u', i)) AS d) AS cached
FROM generate_series(1, 4) AS i;
SELECT is((SELECT count(DISTINCT cached) FROM moments_3), 1::bigint, '... of documents');

-- ... and not many readings of the tables for it
SET debug_discard_caches = 0;
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(CASE WHEN i = 2 THEN commit_elsewhere('again') END),
	count((SELECT max(l.nom) FROM cached_lookups() AS l WHERE l.id = left('f', i)))
FROM generate_series(1, 100) AS i \g /dev/null
SELECT cmp_ok(misses + bypasses, '<', 3::bigint, 'a sub-select keeps what it reads') FROM catalogue.cache_stats WHERE schema_name IS NULL;
SELECT commit_elsewhere('four') \g /dev/null
RESET debug_discard_caches;

BEGIN;
DECLARE c CURSOR FOR SELECT l.nom FROM cached_lookups() AS l WHERE l.kind = 'ufr';
SELECT commit_elsewhere('five') \g /dev/null
SELECT is(cached(), 'five,five', 'another statement of the transaction sees a later commit');
CREATE TEMP TABLE fetched (nom text);
CREATE FUNCTION pg_temp.fetch() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'c';
	nom text;
BEGIN
	FETCH c INTO nom;
	RETURN nom;
END
$$;
SELECT is(pg_temp.fetch(), 'four', 'a cursor answers as of when it was opened');
COMMIT;

-- DDL that rewrites a table counts at once: no snapshot is left that fits it
BEGIN;
DECLARE c CURSOR FOR SELECT l.nom FROM cached_lookups() AS l WHERE l.kind = 'ufr';
SELECT dblink_exec('other', 'ALTER TABLE app.ufrs ALTER nom TYPE text USING nom || ''-''') \g /dev/null
SELECT is(pg_temp.fetch(), 'five-', 'a cursor opened before a table was rewritten');
COMMIT;

-- ... and no other DDL does, whoever runs it
SELECT cached() \g /dev/null
BEGIN;
DECLARE c CURSOR FOR SELECT l.nom FROM cached_lookups() AS l WHERE l.kind = 'ufr';
SELECT dblink_exec('other', 'GRANT SELECT ON app.ufrs TO PUBLIC') \g /dev/null
SELECT commit_elsewhere('six') \g /dev/null
SELECT is(pg_temp.fetch(), 'five-', 'a cursor opened before a grant');
COMMIT;
SELECT cached() \g /dev/null
BEGIN;
REVOKE SELECT ON ufrs FROM PUBLIC;
DECLARE c CURSOR FOR SELECT l.nom FROM cached_lookups() AS l WHERE l.kind = 'ufr';
SELECT commit_elsewhere('seven') \g /dev/null
SELECT is(pg_temp.fetch(), 'six', 'a cursor opened after a grant of its own transaction');
ROLLBACK;
BEGIN;
ALTER TABLE ufrs ALTER nom TYPE text USING nom || '-';
SELECT is(cached(), plain(), 'a table rewritten by the transaction itself');
ROLLBACK;
SELECT dblink_disconnect('other') \g /dev/null

-- In a query with parallel workers, whose leader may take no snapshot

CREATE TABLE many AS SELECT 'u'::text AS id FROM generate_series(1, 20000);
ANALYZE many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION pg_temp.is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN jsonb_path_exists(plan, '$.** ? (@."Node Type" == "Gather")');
END
$$;
PREPARE parallel AS SELECT count(*), (SELECT min(l.nom) FROM cached_lookups() AS l WHERE l.kind = 'ufr') FROM many;
PREPARE parallel_version AS SELECT count(*), lookups_version() <> '' FROM many;
SELECT ok(pg_temp.is_parallel('EXECUTE parallel') AND pg_temp.is_parallel('EXECUTE parallel_version'), 'parallel plans');
UPDATE ufrs SET nom = 'eight';
SELECT results_eq('EXECUTE parallel', $$VALUES (20000::bigint, 'eight')$$, '... of what has changed');
SELECT catalogue.cache_reset() \g /dev/null
UPDATE ufrs SET nom = 'nine';
SELECT results_eq('EXECUTE parallel_version', 'VALUES (20000::bigint, true)', '... of its version');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- The bound: scopes that are not there leave nothing behind

SET debug_discard_caches = 0;
SET catalogue.cache_size = '64MB';
SELECT count(*) FROM generate_series(1, 10000) AS i, LATERAL cached_lookups('x' || i) \g /dev/null
SET catalogue.cache_size = '64kB';
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(*) FROM generate_series(1, 200) AS i, LATERAL cached_lookups('x' || (i % 2)) \g /dev/null
SELECT is((SELECT hits FROM catalogue.cache_stats WHERE schema_name IS NULL), 198::bigint,
	'two scopes fit where ten thousand have been');

SELECT * FROM finish();
