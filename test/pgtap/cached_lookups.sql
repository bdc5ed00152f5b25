-- cached_lookups() and cached_lookups_json() on a generated catalogue, against
-- plain SQL written here; what a cached entry takes in memory, and that the
-- cache keeps to its bound.  Not in one transaction, on purpose: one that has
-- written a lookup table does not use the cache.  Needs a database with pgTAP
-- in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/generate.sql
SELECT * FROM pg_temp.generate_catalogue('app', 0.01) \g /dev/null
SELECT plan(21);

-- Rows and their order.
CREATE FUNCTION pg_temp.plain_lookups(universite text DEFAULT NULL)
	RETURNS TABLE (kind text, id text, code text, nom text, parent_id text)
LANGUAGE sql STABLE AS $$
	SELECT s.kind, s.id, s.code, s.nom, s.parent_id
	FROM (
		SELECT 1 AS level, 'universite' AS kind, id::text, code::text, nom::text, NULL::text AS parent_id,
			id::text AS root
		FROM app.universites
		UNION ALL
		SELECT 2, 'ufr', id, code, nom, universite_id, universite_id FROM app.ufrs
		UNION ALL
		SELECT 3, 'filiere', f.id, f.code, f.nom, f.ufr_id, u.universite_id
		FROM app.filieres f JOIN app.ufrs u ON u.id = f.ufr_id) AS s
	WHERE universite IS NULL OR s.root = universite
	ORDER BY s.level, s.nom COLLATE "C", s.id COLLATE "C"
$$;
SELECT cmp_ok((SELECT count(*) FROM cached_lookups()), '>', 5::bigint, 'there is something to compare');
SELECT results_eq('SELECT * FROM cached_lookups()', 'SELECT * FROM pg_temp.plain_lookups()', 'all lookups, from the tables');
SELECT results_eq('SELECT * FROM cached_lookups()', 'SELECT * FROM pg_temp.plain_lookups()', 'all lookups, from the cache');
SELECT results_eq(
	'SELECT u.id, l.* FROM universites u, LATERAL cached_lookups(u.id) WITH ORDINALITY l ORDER BY u.id, l.ordinality',
	'SELECT u.id, l.* FROM universites u, LATERAL pg_temp.plain_lookups(u.id) WITH ORDINALITY l ORDER BY u.id, l.ordinality',
	'each university, by the tuplestore');
SELECT results_eq(
	'SELECT u.id, l.* FROM universites u, LATERAL cached_lookups(u.id) l ORDER BY u.id, l.kind, l.id',
	'SELECT u.id, l.* FROM universites u, LATERAL pg_temp.plain_lookups(u.id) l ORDER BY u.id, l.kind, l.id',
	'each university, streamed');
SELECT results_eq($$SELECT * FROM cached_lookups() WHERE kind = 'ufr'$$,
	$$SELECT * FROM pg_temp.plain_lookups() WHERE kind = 'ufr'$$, 'one kind');

-- The document.
CREATE FUNCTION pg_temp.plain_document(universite text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_object_agg(k.kind || 's', coalesce((
		SELECT jsonb_object_agg(l.id, to_jsonb(l) - 'kind')
		FROM pg_temp.plain_lookups(universite) l WHERE l.kind = k.kind), '{}'))
	FROM (VALUES ('universite'), ('ufr'), ('filiere')) AS k (kind)
$$;
SELECT is((SELECT lookups::jsonb FROM cached_lookups_json()), pg_temp.plain_document(), 'the document');
SELECT results_eq('SELECT u.id, d.lookups::jsonb FROM universites u, LATERAL cached_lookups_json(u.id) d ORDER BY 1',
	'SELECT u.id, pg_temp.plain_document(u.id) FROM universites u ORDER BY 1', 'each university''s document');
SELECT is_empty($$SELECT d.* FROM universites u, LATERAL cached_lookups_json(u.id) k,
	LATERAL cached_lookups_json(u.id, k.version) d$$, 'no row while a version holds');

-- What a change does to versions: its own university's and that of all.
CREATE TEMP TABLE before AS
	SELECT u.id, d.version FROM universites u, LATERAL cached_lookups_json(u.id) d
	UNION ALL SELECT NULL, version FROM cached_lookups_json();
UPDATE filieres SET nom = nom || '!' WHERE id = 'info-l1';
SELECT set_eq($$SELECT b.id FROM before b, LATERAL cached_lookups_json(b.id, b.version)$$,
	$$SELECT u.universite_id::text FROM filieres f JOIN ufrs u ON u.id = f.ufr_id WHERE f.id = 'info-l1'
	UNION ALL SELECT NULL$$, 'a change renews the versions of what it is in');

-- Errors.
CREATE ROLE regress_lookup_stranger;
GRANT USAGE ON SCHEMA app TO regress_lookup_stranger;
SET ROLE regress_lookup_stranger;
SELECT throws_ok('SELECT * FROM app.cached_lookups()', '42501', 'permission denied for table universites');
SELECT throws_ok('SELECT (app.cached_lookups_json()).version', '42501', 'permission denied for table universites');
SELECT throws_ok('SELECT catalogue.sentinel_round_trip()', '42501', NULL, 'the round trip is for monitors');
SELECT lives_ok('SELECT * FROM catalogue.cache_stats', 'cache_stats is for everyone');
RESET ROLE;
REVOKE USAGE ON SCHEMA app FROM regress_lookup_stranger;
DROP ROLE regress_lookup_stranger;

-- ANALYZE, here by chance, has all be read again.
ALTER TABLE universites SET (autovacuum_enabled = off);
ALTER TABLE ufrs SET (autovacuum_enabled = off);
ALTER TABLE filieres SET (autovacuum_enabled = off);

-- Memory: of an entry, against the bytes of its rows' values; where caches are
-- discarded there is none.
SET debug_discard_caches = 0;
INSERT INTO ufrs (id, nom, code, universite_id)
	SELECT md5('ufr' || i)::uuid, 'UFR des sciences et techniques ' || i, 'UFR' || i,
		(SELECT min(id) FROM universites) FROM generate_series(1, 200) i;
INSERT INTO filieres (id, nom, code, ufr_id)
	SELECT md5('filiere' || i)::uuid, 'Licence de la spécialité ' || i, 'LIC' || i, md5('ufr' || 1 + i % 200)::uuid
	FROM generate_series(1, 2000) i;
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT cmp_ok((
	SELECT sum(pg_column_size(kind) + pg_column_size(id) + pg_column_size(code) + pg_column_size(nom)
		+ coalesce(pg_column_size(parent_id), 0)) FROM pg_temp.plain_lookups()) * 1.4,
	'>=', (SELECT bytes::numeric FROM catalogue.cache_stats WHERE form = 'rows' AND scope IS NULL),
	'an entry takes at most 1.4 of its values');

-- Memory of the backend: nothing is left by loads and invalidations.
CREATE FUNCTION pg_temp.load(times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		PERFORM FROM cached_lookups('ucad');
		PERFORM FROM cached_lookups_json('ucad');
		IF i % 2 = 0 THEN
			PERFORM catalogue.cache_reset();
		ELSE
			PERFORM catalogue.sentinel_round_trip();
		END IF;
	END LOOP;
END
$$;
CREATE FUNCTION pg_temp.memory(pattern text) RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(sum(total_bytes), 0)::bigint FROM pg_backend_memory_contexts WHERE name LIKE pattern
$$;
SELECT pg_temp.load(50) \g /dev/null
CREATE TEMP TABLE loads AS SELECT pg_temp.memory('%') AS bytes, pg_temp.memory('catalogue lookup%') AS cache;
SELECT pg_temp.load(2000) \g /dev/null
SELECT cmp_ok(pg_temp.memory('catalogue lookup%'), '<=', (SELECT cache FROM loads), 'loads leave nothing in the cache''s memory');
SELECT cmp_ok(pg_temp.memory('%'), '<', (SELECT bytes FROM loads) + 256 * 1024, 'nor elsewhere in the backend');

-- The bound holds for a thousand scopes, in bytes truly allocated.
SET catalogue.cache_size = '256kB';
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(*) FROM generate_series(1, 1000) i, LATERAL cached_lookups(CASE WHEN i % 50 = 0 THEN 'ucad' ELSE 'u' || i END) \g /dev/null
SELECT cmp_ok(pg_temp.memory('catalogue lookup%'), '<=', 256 * 1024::bigint, '1,000 scopes stay within cache_size');
SELECT ok(evictions > 500 AND bytes <= 256 * 1024, 'the least recently used went')
FROM catalogue.cache_stats WHERE schema_name IS NULL;
SELECT is((SELECT count(*) FROM catalogue.cache_stats WHERE scope = 'u999'), 1::bigint, 'the last one is there');
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is((SELECT count(*) FROM catalogue.cache_stats WHERE form = 'rows' AND scope IS NULL), 0::bigint, 'an entry of more than half is not kept');

SELECT * FROM finish();
