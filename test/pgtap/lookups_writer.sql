-- A hot writer: the cache steps aside where it is invalidated before it is asked again,
-- and comes back by itself.  Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
SELECT plan(12);

-- One change and one call; what the call was.
CREATE FUNCTION pg_temp.what(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before record;
	after record;
BEGIN
	SELECT hits, misses, bypasses INTO before FROM catalogue.cache_stats WHERE schema_name IS NULL;
	EXECUTE call;
	SELECT hits, misses, bypasses INTO after FROM catalogue.cache_stats WHERE schema_name IS NULL;
	RETURN CASE WHEN after.hits > before.hits THEN 'hit' WHEN after.misses > before.misses THEN 'miss'
		WHEN after.bypasses > before.bypasses THEN 'bypass' END;
END
$$;
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE PROCEDURE pg_temp.write_and_call(call text, times int, calls int DEFAULT 1) LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE seen;
	FOR i IN 1 .. times LOOP
		UPDATE app.filieres SET nom = nom || '.' WHERE id = 'l';
		COMMIT;
		FOR j IN 1 .. calls LOOP
			INSERT INTO seen (what) SELECT pg_temp.what(call);
			COMMIT;
		END LOOP;
	END LOOP;
END
$$;
CREATE FUNCTION pg_temp.seen() RETURNS text LANGUAGE sql AS $$SELECT string_agg(what, ' ' ORDER BY n) FROM seen$$;

CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups()', 7);
SELECT is(pg_temp.seen(), 'miss miss miss miss bypass bypass bypass', 'a change before each call: the cache steps aside');
SELECT is((SELECT nom FROM app.cached_lookups() WHERE id = 'l'), (SELECT nom::text FROM filieres WHERE id = 'l'), '... and answers right');
SELECT is(pg_temp.what('SELECT count(*) FROM app.cached_lookups()'), 'hit', 'what it had read after two calls without a change is kept');
SELECT is((SELECT nom FROM app.cached_lookups() WHERE id = 'l'), (SELECT nom::text FROM filieres WHERE id = 'l'), '... and right');
CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups()', 3);
SELECT is(pg_temp.seen(), 'miss miss miss', 'after a hit, it does not at once');

CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups(''u'')', 6);
SELECT is(pg_temp.seen(), 'miss miss miss miss bypass bypass', 'a university has a history of its own');
CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups(''v'')', 5, 2);
SELECT is(pg_temp.seen(), 'miss hit miss hit miss hit miss hit miss hit', 'what is asked for twice is kept');
CALL pg_temp.write_and_call('SELECT app.lookups_version(''w'')', 6);
SELECT is(pg_temp.seen(), 'miss miss miss miss bypass bypass', 'versions');
SELECT is(pg_temp.what('SELECT app.lookups_version(''w'')'), 'miss', '... come back');
SELECT is(pg_temp.what('SELECT app.lookups_version(''w'')'), 'hit', '... and stay');

-- a document is kept for the sake of its version
SELECT app.lookups_version('x') AS version \gset
CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups_json(''x'', ''' || :'version' || ''')', 5, 2);
SELECT is(pg_temp.seen(), 'miss hit miss hit miss hit miss hit miss hit', 'a version that is asked for keeps its document');
CALL pg_temp.write_and_call('SELECT count(*) FROM app.cached_lookups_json(''x'')', 6);
SELECT is(pg_temp.seen(), 'miss miss miss miss bypass bypass', 'documents');

SELECT * FROM finish();
