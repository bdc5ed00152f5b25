-- Lookups by id, which the source finds by itself: the same rows as by a condition
-- that it does not know.  Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE universites (id text PRIMARY KEY, code text, nom text);
CREATE TABLE ufrs (id text PRIMARY KEY, code text, nom text, universite_id text);
CREATE TABLE filieres (id text PRIMARY KEY, code text, nom text, ufr_id text);
INSERT INTO universites SELECT 'u' || i, i::text, 'nom ' || i FROM generate_series(1, 3) AS i UNION ALL SELECT 'same', '', '';
INSERT INTO ufrs SELECT 'f' || i, i::text, 'nom ' || i, 'u' || i % 4 FROM generate_series(1, 100) AS i UNION ALL SELECT 'same', '', '', 'same';
INSERT INTO filieres SELECT 'l' || i, i::text, 'nom ' || i, 'f' || i % 100 FROM generate_series(1, 1000) AS i
	UNION ALL SELECT 'same', '', '', 'same' UNION ALL SELECT repeat('long', 100), '', '', 'same' UNION ALL SELECT '', '', '', '';
SELECT catalogue.attach('app', '{"chapters": null, "professors": null}') \g /dev/null
SELECT plan(18);

-- node(query): the lines that the scan adds to EXPLAIN
CREATE FUNCTION pg_temp.node(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN format('kind %s, id %s, filter %s', plan #>> '{0,Plan,Kind}', plan #>> '{0,Plan,Id}', plan #>> '{0,Plan,Filter}');
END
$$;
SELECT is(pg_temp.node('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''f1'''), 'kind ''ufr''::text, id ''f1''::text, filter ', 'both');
SELECT is(pg_temp.node('SELECT * FROM cached_lookups() WHERE ''f1'' = id'), 'kind , id ''f1''::text, filter ', 'the value in front');
SELECT is(pg_temp.node('SELECT * FROM cached_lookups() WHERE id = nom'), 'kind , id , filter (id = nom)', 'a column is no value');
SELECT is(pg_temp.node('SELECT * FROM cached_lookups() WHERE id = random()::text'), 'kind , id , filter (id = (random())::text)', 'nor is what changes from row to row');

PREPARE of_kind(text, text) AS SELECT * FROM cached_lookups() WHERE kind = $1 AND id = $2;
PREPARE with_id(text) AS SELECT * FROM cached_lookups() WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE of_kind(''filiere'', ''l7'')', $$VALUES ('filiere', 'l7', '7', 'nom 7', 'f7')$$, 'by parameters');
SELECT is_empty('EXECUTE of_kind(''ufr'', ''l7'')', 'of another kind');
SELECT is_empty('EXECUTE of_kind(NULL, ''l7'')', 'of a NULL kind');
SELECT is_empty('EXECUTE of_kind(''filiere'', NULL)', 'with a NULL id');
SELECT is_empty('EXECUTE with_id(''none'')', 'with one that is not there');
SELECT results_eq('EXECUTE with_id(''same'')', $$SELECT * FROM cached_lookups() WHERE id || ' ' = 'same '$$, 'in several kinds, in their order');
SELECT results_eq('EXECUTE with_id('''')', $$VALUES ('filiere', '', '', '', '')$$, 'an empty one');
SELECT results_eq('EXECUTE with_id(repeat(''long'', 100))', $$VALUES ('filiere', repeat('long', 100), '', '', 'same')$$, 'a long one');
RESET plan_cache_mode;
SELECT is_empty('SELECT * FROM cached_lookups(''u1'') WHERE id = ''u2''', 'not of this university');
SELECT results_eq('SELECT f.id, l.nom FROM filieres AS f, LATERAL (SELECT l.nom FROM cached_lookups() AS l WHERE l.id = f.id OFFSET 0) AS l ORDER BY 1, 2',
	'SELECT f.id, l.nom FROM filieres AS f, LATERAL (SELECT l.nom FROM cached_lookups() AS l WHERE l.id || '''' = f.id OFFSET 0) AS l ORDER BY 1, 2',
	'one after the other, from another table');
SELECT results_eq('SELECT * FROM cached_lookups() WHERE id = ANY (''{l7,same}'')', $$SELECT * FROM cached_lookups() WHERE id IN ('same', 'l7')$$, 'a list is filtered');
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE id = (SELECT max(code) || '''' FROM universites WHERE code = '''')', $$VALUES ('')$$, 'a sub-select');
UPDATE filieres SET id = 'l7!' WHERE id = 'l7';
SELECT results_eq('EXECUTE with_id(''l7!'')', $$VALUES ('filiere', 'l7!', '7', 'nom 7', 'f7')$$, 'one that has changed');
SELECT results_eq('SELECT count(*) FROM generate_series(1, 1000) AS i, LATERAL (SELECT FROM cached_lookups() WHERE id = ''l'' || i OFFSET 0) AS l', 'VALUES (999::bigint)', 'all but that');

SELECT * FROM finish();
