-- Cached lookups at the edges: where a stale or wrong entry would be served if
-- one of the rules that keep it out were missing, and the errors that say so.
-- Not in one transaction, as what is committed is what is cached.  Needs a
-- database with pgTAP in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql

-- Before there is a cache, and without a trigger

\c -
SET client_min_messages = warning;
SET search_path = app, public;
SELECT plan(44);
SELECT results_eq('SELECT row_count, hits FROM catalogue.cache_stats', 'VALUES (0::bigint, 0::bigint)', 'nothing yet');
SELECT throws_ok('SELECT catalogue.lookup_changed()', '39P01', NULL, 'no trigger calls');
SELECT throws_ok('SELECT catalogue.config_changed()', '39P01', NULL, 'nor one on the configuration');

-- Two writes in a transaction, with a load between

SELECT results_eq('SELECT nom FROM cached_lookups(''u'') WHERE kind = ''ufr''', $$VALUES ('f')$$, 'a load');
BEGIN;
UPDATE ufrs SET nom = 'first';
SELECT count(*) FROM cached_lookups() \g /dev/null
UPDATE ufrs SET nom = 'second';
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''ufr''', $$VALUES ('second')$$,
	'own second write, after a load that saw the first');
ROLLBACK;
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''ufr''', $$VALUES ('f')$$, 'undone');

-- A load in a subtransaction that rolls back, before the extension's trigger has fired

CREATE FUNCTION read_then_fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM app.cached_lookups();
	RAISE EXCEPTION 'no';
END
$$;
CREATE TRIGGER a_first AFTER INSERT ON filieres FOR EACH ROW EXECUTE FUNCTION read_then_fail();
SELECT catalogue.cache_reset() \g /dev/null
BEGIN;
SELECT throws_ok($$INSERT INTO filieres (id, nom, code, ufr_id) VALUES ('never', 'x', 'x', 'f')$$, 'P0001', NULL,
	'a trigger reads what is rolled back');
SELECT is_empty('SELECT FROM cached_lookups() WHERE id = ''never''', 'no other call does');
COMMIT;
DROP TRIGGER a_first ON filieres;

-- Attached again to another column, with the triggers as they were

SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''universite''', $$VALUES ('u')$$, 'by the first mapping');
ALTER TABLE universites ADD title text DEFAULT 'Title';
SELECT count(*) FROM cached_lookups() \g /dev/null
CREATE FUNCTION pg_temp.map_nom(title text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM catalogue.attach('app', jsonb_build_object('lookups', jsonb_build_array(
		jsonb_build_object('kind', 'universite', 'relation', 'universites', 'nom', title),
		'{"kind": "ufr", "relation": "ufrs", "parent": "universite_id"}'::jsonb,
		'{"kind": "filiere", "relation": "filieres", "parent": "ufr_id"}'::jsonb)))
$$;
SELECT pg_temp.map_nom('title') \g /dev/null
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''universite''', $$VALUES ('Title')$$, 'by the second');
SELECT pg_temp.map_nom('nom') \g /dev/null

-- A setting of zero empties the cache

SELECT count(*) FROM cached_lookups() \g /dev/null
SET catalogue.lookup_ttl = 0;
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is((SELECT count(*) FROM catalogue.cache_stats WHERE schema_name IS NOT NULL), 0::bigint, 'lookup_ttl = 0 leaves no entry');
RESET catalogue.lookup_ttl;

-- Kinds that are asked for

SELECT results_eq('SELECT id FROM cached_lookups() WHERE ''ufr'' = kind', $$VALUES ('f')$$, 'the constant in front');
SELECT is_empty('SELECT FROM cached_lookups() WHERE kind = ''campus''', 'a kind that there is not');
SELECT results_eq('SELECT id FROM cached_lookups() WHERE kind = ''ufr'' AND kind = ''ufr''', $$VALUES ('f')$$, 'twice');
SELECT results_eq('SELECT id FROM cached_lookups() WHERE kind = ''ufr'' AND nom = ''f''', $$VALUES ('f')$$, 'with another condition');

-- A version that comes from a table, compressed

CREATE TABLE known AS SELECT repeat('0', 10000) AS version UNION ALL SELECT version FROM cached_lookups_json();
SELECT is((SELECT count(*) FROM known AS k, LATERAL cached_lookups_json(known_version => k.version)), 1::bigint, 'long versions are compared too');

-- A load that asks for the same lookups, through a cast: one entry in the end

CREATE TYPE reading AS (value text);
CREATE FUNCTION as_text(reading) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_setting('app.nested', true) IS DISTINCT FROM 'yes' THEN
		PERFORM set_config('app.nested', 'yes', false);
		PERFORM count(*) FROM app.cached_lookups();
		PERFORM set_config('app.nested', 'no', false);
	END IF;
	RETURN $1.value;
END
$$;
CREATE CAST (reading AS text) WITH FUNCTION as_text(reading);
ALTER TABLE ufrs ADD name reading DEFAULT ROW('read');
SELECT count(*) FROM catalogue.attach('app', '{"lookups": [{"kind": "universite", "relation": "universites"},
	{"kind": "ufr", "relation": "ufrs", "parent": "universite_id", "nom": "name"}]}') \g /dev/null
SET debug_discard_caches = 0;
SELECT catalogue.cache_reset() \g /dev/null
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''ufr''', $$VALUES ('read')$$, 'a load within a load');
SELECT is((SELECT count(*) FROM catalogue.cache_stats WHERE schema_name IS NOT NULL), 1::bigint, 'one entry of both');
SELECT results_eq('SELECT nom FROM cached_lookups() WHERE kind = ''ufr''', $$VALUES ('read')$$, '... which is found');
RESET debug_discard_caches;
SELECT pg_temp.map_nom('nom') \g /dev/null

-- Two tables that exchange their names

SELECT count(*) FROM cached_lookups() \g /dev/null
ALTER TABLE filieres RENAME TO programmes;
SELECT is_empty('SELECT * FROM catalogue.cache_selftest() WHERE NOT ok', 'a table that is renamed is followed');
CREATE TABLE filieres (LIKE programmes INCLUDING ALL);
INSERT INTO filieres (id, nom, code, ufr_id) VALUES ('new', 'new', 'n', 'f');
SELECT results_eq('SELECT schema_name, detail FROM catalogue.cache_selftest() WHERE NOT ok',
	$$VALUES ('app'::name, 'app.programmes is bound, app.filieres is another table; run catalogue.attach() again')$$,
	'the self-test tells where another takes its name');
SELECT results_eq('SELECT "check", status, detail FROM catalogue.doctor(''app'') WHERE status IN (''error'', ''warning'')',
	$$VALUES ('tables exist', 'error', 'run attach() again, lookup "filiere" is bound to app.programmes, and app.filieres is another table')$$,
	'so does the doctor');
SELECT pg_temp.map_nom('nom') \g /dev/null
SELECT results_eq('SELECT id FROM cached_lookups() WHERE kind = ''filiere''', $$VALUES ('new')$$, 'attached again, the new one is read');
SELECT is_empty('SELECT * FROM catalogue.cache_selftest() WHERE NOT ok', '... and all is well');
UPDATE filieres SET id = 'newer';
SELECT results_eq('SELECT id FROM cached_lookups() WHERE kind = ''filiere''', $$VALUES ('newer')$$, '... and followed');
DROP TABLE filieres;
ALTER TABLE programmes RENAME TO filieres;
SELECT pg_temp.map_nom('nom') \g /dev/null

-- Partitions: changed by themselves, in a way that no trigger covers; more than a few

CREATE SCHEMA parts;
CREATE TABLE parts.faculty (id integer PRIMARY KEY, code text, nom text) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE parts.faculty_%s PARTITION OF parts.faculty FOR VALUES FROM (%1$s) TO (%s)', i, i + 1)
FROM generate_series(1, 40) AS i \gexec
CREATE TABLE parts.campus (id integer PRIMARY KEY, code text, nom text, faculty_id integer);
CREATE TABLE parts.country (id integer PRIMARY KEY, code text, nom text);
INSERT INTO parts.faculty SELECT i, i, 'faculty ' || i FROM generate_series(1, 40) AS i;
INSERT INTO parts.country VALUES (1, 'SN', 'Sénégal');
SELECT count(*) FROM catalogue.attach('parts', '{"chapters": null, "professors": null, "lookups": [{"kind": "faculty", "relation": "faculty"},
	{"kind": "campus", "relation": "campus", "parent": "faculty_id"}, {"kind": "country", "relation": "country"}]}') \g /dev/null
SELECT is((SELECT count(*) FROM parts.cached_lookups()), 41::bigint, 'all');
TRUNCATE parts.faculty_40;
SELECT is((SELECT count(*) FROM parts.cached_lookups()), 40::bigint, 'a partition emptied');
CREATE TABLE parts.campus_more () INHERITS (parts.campus);
INSERT INTO parts.campus_more VALUES (1, 'c', 'more', 1);
SELECT count(*) FROM parts.cached_lookups() \g /dev/null
UPDATE parts.campus_more SET nom = 'less';
SELECT results_eq('SELECT nom FROM parts.cached_lookups() WHERE kind = ''campus''', $$VALUES ('less')$$,
	'a child by inheritance, whose triggers are its own');
SELECT set_eq('SELECT kind, id FROM parts.cached_lookups(1)', $$VALUES ('faculty', '1'), ('campus', '1')$$,
	'what has no parent belongs to no university');

-- Errors

CREATE ROLE catalogue_test_reader;
GRANT USAGE ON SCHEMA app TO catalogue_test_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA app, parts TO catalogue_test_reader;
SELECT count(*) FROM catalogue.attach('app', '{"lookups": [{"kind": "country", "relation": "parts.country"}]}') \g /dev/null
SET ROLE catalogue_test_reader;
SELECT throws_ok('SELECT * FROM app.cached_lookups()', '42501', 'permission denied for schema parts', 'a lookup table elsewhere');
RESET ROLE;
SELECT pg_temp.map_nom('nom') \g /dev/null
DROP OWNED BY catalogue_test_reader;
DROP ROLE catalogue_test_reader;
BEGIN;
DELETE FROM catalogue.lookup WHERE attachment = 'app.deleted_files'::regclass;
SELECT throws_ok('SELECT * FROM cached_lookups()', '55000', 'schema "app" is attached without lookup tables', 'no lookup tables');
ROLLBACK;
BEGIN;
ALTER TABLE universites RENAME id TO key;
SELECT throws_ok('SELECT * FROM cached_lookups(''u'')', '42703', 'column "id" of relation "universites" does not exist',
	'an id column that was dropped');
ROLLBACK;
BEGIN;
DROP TABLE filieres CASCADE;
SELECT throws_ok('SELECT * FROM cached_lookups()', '42P01', NULL, 'a table that was dropped');
ROLLBACK;

-- Two schemas exchange their names: the tables that are bound are read, also by a kept plan

CREATE SCHEMA lists;
CREATE SCHEMA lists_new;
CREATE TABLE lists.places (id text PRIMARY KEY, code text, nom text);
CREATE TABLE lists_new.places (LIKE lists.places);
INSERT INTO lists.places VALUES ('p', 'p', 'bound');
INSERT INTO lists_new.places VALUES ('p', 'p', 'other');
CREATE SCHEMA reader;
SELECT count(*) FROM catalogue.attach('reader', '{"chapters": null, "professors": null,
	"lookups": [{"kind": "place", "relation": "lists.places"}]}') \g /dev/null
SELECT is(nom, 'bound', 'lookups in another schema') FROM reader.cached_lookups();
ALTER SCHEMA lists RENAME TO lists_old;
ALTER SCHEMA lists_new RENAME TO lists;
UPDATE lists_old.places SET nom = 'bound, and changed';
SELECT is(nom, 'bound, and changed', '... that has exchanged its name') FROM reader.cached_lookups();
DROP SCHEMA lists CASCADE;
UPDATE lists_old.places SET nom = 'changed again';
SELECT is(nom, 'changed again', '... with one that was dropped') FROM reader.cached_lookups('p');

-- The order of rows, whatever that in the table: NULL, what begins alike, and ids that are not unique

CREATE SCHEMA ordered;
CREATE TABLE ordered.names (id text PRIMARY KEY, code text, nom text);
SELECT count(*) FROM catalogue.attach('ordered', '{"chapters": null, "professors": null,
	"lookups": [{"kind": "name", "relation": "ordered.names"}]}') \g /dev/null
ALTER TABLE ordered.names DROP CONSTRAINT names_pkey, ALTER id DROP NOT NULL;
INSERT INTO ordered.names
SELECT CASE WHEN i % 50 <> 0 THEN (i % 40)::text END, 'c' || i,
	CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'same beginning ' || i % 90
		WHEN 3 THEN repeat('é', i % 9) WHEN 4 THEN repeat('x', 200) || i % 11 ELSE md5(i::text) END
FROM generate_series(1, 700) AS i;
SELECT results_eq('SELECT id, code, nom FROM ordered.cached_lookups()',
	'SELECT * FROM ordered.names ORDER BY nom COLLATE "C", id COLLATE "C", code COLLATE "C"', 'by nom and id');
SELECT ordered.lookups_version() AS version \gset
CREATE TEMP TABLE names AS TABLE ordered.names;
TRUNCATE ordered.names;
INSERT INTO ordered.names SELECT * FROM names ORDER BY md5(code);
SELECT results_eq('SELECT id, code, nom FROM ordered.cached_lookups()',
	'SELECT * FROM ordered.names ORDER BY nom COLLATE "C", id COLLATE "C", code COLLATE "C"', '... after they were inserted in another order');
SELECT is(ordered.lookups_version(), :'version', '... which gives the same version');

-- Memory: what was pinned when an error was raised is released

SET debug_discard_caches = 0;
CREATE FUNCTION pg_temp.fail(times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		BEGIN
			PERFORM 1 / (length(kind) - length(kind)) FROM app.cached_lookups();
		EXCEPTION WHEN division_by_zero THEN
			PERFORM catalogue.cache_reset();
		END;
	END LOOP;
END
$$;
SELECT pg_temp.fail(50) \g /dev/null
CREATE TEMP TABLE failed AS SELECT sum(total_bytes) AS bytes FROM pg_backend_memory_contexts WHERE name LIKE 'catalogue lookup%';
SELECT pg_temp.fail(200) \g /dev/null
SELECT cmp_ok((SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'catalogue lookup%'), '<=',
	(SELECT bytes FROM failed), 'errors leave nothing pinned');

-- The least recently used is evicted, and what is in use stays

INSERT INTO ufrs (id, nom, code, universite_id) SELECT 'f' || i, repeat('x', 100), 'c', 'u' FROM generate_series(1, 50) AS i;
SET catalogue.cache_size = '128kB';
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(*) FROM generate_series(1, 600) AS i, LATERAL cached_lookups(CASE WHEN i % 3 = 0 THEN 'u' ELSE 'x' || i END) \g /dev/null
SELECT cmp_ok(evictions, '>', 200::bigint, 'the cache could not hold all') FROM catalogue.cache_stats WHERE schema_name IS NULL;
SELECT is((SELECT hits FROM catalogue.cache_stats WHERE scope = 'u'), 199::bigint, 'the one in use was never evicted');
RESET debug_discard_caches;

-- What the planner believes: the share of a kind, and that ids are unique

RESET catalogue.cache_size;
INSERT INTO ufrs (id, nom, code, universite_id) SELECT 'g' || i, 'g', 'c', 'u' FROM generate_series(1, 1000) AS i;
ANALYZE universites, ufrs, filieres;
CREATE FUNCTION pg_temp.rows_expected(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan #>> '{0,Plan,Plan Rows}';
END
$$;
SELECT is(pg_temp.rows_expected('SELECT FROM cached_lookups() WHERE kind IN (''ufr'', ''none'')'), 1051::bigint, 'rows of a kind');
SELECT cmp_ok(pg_temp.rows_expected('SELECT FROM cached_lookups() AS a JOIN cached_lookups() AS b USING (id)'), '<', 1100::bigint,
	'a join by id multiplies nothing');

SELECT * FROM finish();
