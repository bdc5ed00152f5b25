-- lookups_version(): the version of the lookups without the document, which is kept
-- where that is not.  Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
INSERT INTO universites (id, nom, code) VALUES ('v', 'v', 'v');
SELECT plan(20);

SELECT is(lookups_version(), (SELECT version FROM cached_lookups_json()), 'the version of all');
SELECT is(lookups_version('u'), (SELECT version FROM cached_lookups_json('u')), '... of a university');
SELECT isnt(lookups_version(NULL), lookups_version(), '... but not of NULL, which is nobody''s');
SELECT is(lookups_version(NULL), lookups_version('no such one'), '... as little as one that there is not');
SELECT isnt(lookups_version('u'), lookups_version('v'), '... differs from another''s');
SELECT is(lookups_version('none'), lookups_version('nobody'), '... of one that is not there');
SELECT catalogue.cache_reset() \g /dev/null
SELECT is(lookups_version('u'), (SELECT version FROM cached_lookups_json('u')), 'asked for before the document');
SELECT results_eq('SELECT id, lookups_version(id) FROM universites ORDER BY id',
	'SELECT u.id, d.version FROM universites AS u, LATERAL cached_lookups_json(u.id) AS d ORDER BY id', 'for each row');

CREATE TEMP TABLE before AS SELECT lookups_version() AS "all", lookups_version('u') AS u, lookups_version('v') AS v;
UPDATE filieres SET nom = nom || '!';
SELECT results_eq('SELECT lookups_version() = "all", lookups_version(''u'') = u, lookups_version(''v'') = v FROM before',
	$$VALUES (false, false, true)$$, 'a change renews the versions of what it is in');
CREATE FUNCTION pg_temp.versions() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	seen text[] := '{}';
BEGIN
	FOR i IN 1 .. 3 LOOP
		seen := seen || app.lookups_version();
		UPDATE app.ufrs SET nom = nom || i;
	END LOOP;
	RETURN (SELECT count(DISTINCT v) FROM unnest(seen) AS v);
END
$$;
SELECT is(pg_temp.versions(), 3, 'own changes, in an expression that is evaluated again');

-- Kept without the document, or the rows
SET debug_discard_caches = 0;
INSERT INTO ufrs (id, nom, code, universite_id) SELECT 'x' || i, repeat('x', 100), 'c', 'u' FROM generate_series(1, 2000) AS i;
SET catalogue.cache_size = '128kB';
SELECT catalogue.cache_reset() \g /dev/null
SELECT lookups_version() AS version \gset
SELECT count(*) FROM cached_lookups_json(known_version => :'version') \g /dev/null
SELECT lookups_version() \g /dev/null
SELECT results_eq('SELECT form, hits FROM catalogue.cache_stats WHERE schema_name IS NOT NULL', $$VALUES ('version', 2::bigint)$$,
	'a version is kept where its document is too large');
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(*) FROM cached_lookups_json(known_version => :'version') \g /dev/null
SELECT count(*) FROM cached_lookups_json(known_version => :'version') \g /dev/null
SELECT results_eq('SELECT form, hits FROM catalogue.cache_stats WHERE schema_name IS NOT NULL', $$VALUES ('version', 1::bigint)$$,
	'... and where a document was asked for');
SELECT is((SELECT version FROM cached_lookups_json(known_version => 'another')), :'version', 'a document for who knows another version');
RESET catalogue.cache_size;
SELECT count(*) FROM cached_lookups_json() \g /dev/null
SELECT is(d.version, lookups_version(), 'a version and its document') FROM cached_lookups_json() AS d;
RESET debug_discard_caches;

-- Rights
CREATE ROLE regress_lookup_reader;
GRANT USAGE ON SCHEMA app TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT throws_ok('SELECT app.lookups_version()', '42501', 'permission denied for table universites', 'a role without rights');
RESET ROLE;
GRANT SELECT ON universites, ufrs, filieres TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT lives_ok('SELECT app.lookups_version()', 'a role with rights');
RESET ROLE;
ALTER TABLE universites ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON universites TO regress_lookup_reader USING (id = 'u');
CREATE TEMP TABLE owners AS SELECT lookups_version();
GRANT SELECT ON owners TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT isnt(app.lookups_version(), o.lookups_version, 'a version of what a policy shows') FROM owners AS o;
SELECT is(app.lookups_version(), (SELECT version FROM app.cached_lookups_json()), '... is that of its document');
RESET ROLE;
SELECT is(lookups_version(), o.lookups_version, '... and nobody else''s') FROM owners AS o;
DROP OWNED BY regress_lookup_reader;
DROP ROLE regress_lookup_reader;
SELECT catalogue.detach('app') \g /dev/null
SELECT hasnt_function('app', 'lookups_version', 'detached');

SELECT * FROM finish();
