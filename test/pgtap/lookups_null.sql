-- A university that is NULL: that of somebody who has none, to whom nothing is shown.
-- All are asked for by leaving it out.  Needs a database with pgTAP in it and without
-- the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
CREATE TABLE admins (nom text PRIMARY KEY, universite_id varchar);
INSERT INTO admins VALUES ('theirs', 'u'), ('nobody', NULL);
SELECT plan(27);

SELECT cmp_ok((SELECT count(*) FROM cached_lookups()), '>', 0::bigint, 'left out: all');
SELECT is_empty('SELECT * FROM cached_lookups(NULL)', 'NULL: no rows');
SELECT is_empty('SELECT * FROM cached_lookups(universite => NULL)', '... named');
SELECT is_empty('SELECT cached_lookups(NULL)', '... in a select list');
SELECT is_empty('SELECT * FROM cached_lookups(NULL) WITH ORDINALITY', '... where no node can stand');
SELECT is_empty('SELECT * FROM cached_lookups(lower(NULL::text))', '... that the planner computes');
SELECT is_empty('SELECT * FROM cached_lookups((SELECT universite_id FROM admins WHERE nom = ''nobody''))', '... of a sub-select');
SELECT is_empty('SELECT * FROM cached_lookups(NULL) WHERE kind = ''filiere'' AND id = ''l''', '... by id');
SELECT results_eq('SELECT DISTINCT a.nom FROM admins a, cached_lookups(a.universite_id)', $$VALUES ('theirs')$$, '... of a row');

-- prepared, with either kind of plan
PREPARE lookups(text) AS SELECT * FROM cached_lookups($1);
PREPARE version(text) AS SELECT lookups_version($1);
SET plan_cache_mode = force_custom_plan;
SELECT is_empty('EXECUTE lookups(NULL)', 'a parameter');
SELECT isnt_empty('EXECUTE lookups(''u'')', '... with a university');
SELECT results_ne('EXECUTE version(NULL)', 'SELECT lookups_version()', '... for the version');
SET plan_cache_mode = force_generic_plan;
SELECT is_empty('EXECUTE lookups(NULL)', 'a parameter of a generic plan');
SELECT isnt_empty('EXECUTE lookups(''u'')', '... with a university');
SELECT results_ne('EXECUTE version(NULL)', 'SELECT lookups_version()', '... for the version');
RESET plan_cache_mode;

-- documents: one without lookups, which has a version of its own
SELECT results_eq('SELECT lookups::text FROM cached_lookups_json(NULL)', $$VALUES ('{"universites": {}, "ufrs": {}, "filieres": {}}')$$,
	'NULL: a document of nothing');
SELECT results_eq('SELECT version FROM cached_lookups_json(NULL)', 'SELECT lookups_version(NULL)', '... with its version');
SELECT is_empty('SELECT * FROM cached_lookups_json(NULL, lookups_version(NULL))', '... which holds');
SELECT results_eq('SELECT version FROM cached_lookups_json(NULL, lookups_version())', 'SELECT lookups_version(NULL)',
	'... whoever knows the version of all');
SELECT is_empty('SELECT * FROM cached_lookups_json(known_version => lookups_version())', 'left out: all, by their version');
SELECT results_eq('SELECT lookups ->> ''ufrs'' = ''{}'' FROM admins a, cached_lookups_json(a.universite_id) ORDER BY nom',
	'VALUES (true), (false)', 'of rows');

-- all, in other places where defaults are put in
CREATE VIEW everything AS SELECT * FROM cached_lookups();
CREATE FUNCTION pg_temp.everything() RETURNS bigint LANGUAGE plpgsql AS
	$$BEGIN RETURN (SELECT count(*) FROM cached_lookups()); END$$;
SELECT results_eq('SELECT count(*) FROM everything', 'SELECT pg_temp.everything()', 'a view and PL/pgSQL: all');
SELECT results_eq('SELECT count(*) FROM everything', 'SELECT count(*) FROM (SELECT cached_lookups()) AS l', '... a select list');
SET catalogue.enable_stream = off;
SELECT results_eq('SELECT count(*) FROM everything', 'SELECT count(*) FROM cached_lookups()', '... without the node');
SELECT is_empty('SELECT * FROM cached_lookups(NULL)', '... NULL: none');
RESET catalogue.enable_stream;

-- rights come first
CREATE ROLE lookups_null_stranger;
GRANT USAGE ON SCHEMA app TO lookups_null_stranger;
SET ROLE lookups_null_stranger;
SELECT throws_ok('SELECT * FROM app.cached_lookups(NULL)', '42501', NULL, 'who may not read the tables learns nothing');
SELECT throws_ok('SELECT app.lookups_version(NULL)', '42501', NULL, '... nor their kinds');
RESET ROLE;
DROP OWNED BY lookups_null_stranger;
DROP ROLE lookups_null_stranger;

SELECT * FROM finish();
