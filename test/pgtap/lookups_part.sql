-- One kind, or one row, that is read from its table while reading all is not worth it:
-- the same rows, in the same order, as a call that reads all.  Needs a database with
-- pgTAP in it and without the extension.

SET client_min_messages = warning;
SET debug_discard_caches = 0;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN code AS varchar(20);
CREATE TYPE level AS ENUM ('L1', 'L2');
CREATE TABLE universites (id uuid PRIMARY KEY, code text, nom text);
CREATE TABLE ufrs (id bigint PRIMARY KEY, code text, nom text, universite_id uuid);
CREATE TABLE filieres (id code COLLATE "C" PRIMARY KEY, code text, nom text, ufr_id bigint);
CREATE TABLE folded (id text COLLATE any_case PRIMARY KEY, code text, nom text, filiere_id code);
CREATE TABLE levels (id level PRIMARY KEY, code text, nom text, folded_id text);
CREATE TABLE numbers (id int PRIMARY KEY, code text, nom text, level_id level);
CREATE TABLE small (id smallint PRIMARY KEY, code text, nom text);
INSERT INTO universites SELECT md5('u' || i)::uuid, i::text, 'nom ' || i FROM generate_series(1, 3) AS i;
INSERT INTO ufrs SELECT i, i::text, 'nom ' || i % 7, md5('u' || 1 + i % 3)::uuid FROM generate_series(-10, 50) AS i;
INSERT INTO filieres SELECT 'l' || i, i::text, 'nom ' || i % 17, i % 50 FROM generate_series(1, 400) AS i;
INSERT INTO folded SELECT 'Nom' || i, i::text, 'nom', 'l' || i FROM generate_series(1, 3) AS i;
INSERT INTO levels VALUES ('L1', '', 'one', 'Nom1'), ('L2', '', 'two', 'Nom2');
INSERT INTO numbers SELECT i, i::text, 'n' || i % 4, 'L1'::level FROM generate_series(1, 20) AS i;
INSERT INTO small SELECT i, i::text, NULL FROM generate_series(1, 5) AS i;
SELECT catalogue.attach('app', '{"chapters": null, "professors": null, "lookups": [
	{"kind": "universite", "relation": "universites"},
	{"kind": "ufr", "relation": "ufrs", "parent": "universite_id"},
	{"kind": "filiere", "relation": "filieres", "parent": "ufr_id"},
	{"kind": "folded", "relation": "folded", "parent": "filiere_id"},
	{"kind": "level", "relation": "levels", "parent": "folded_id"},
	{"kind": "number", "relation": "numbers", "parent": "level_id"},
	{"kind": "small", "relation": "small"}]}') \g /dev/null
SELECT plan(17);

-- what a call was: a hit, a miss or a bypass
CREATE FUNCTION pg_temp.cache(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	RETURN plan #>> '{0,Plan,Cache}';
END
$$;
-- other_answers(condition): the calls of one kind, or one row, without a university and
-- with one, whose answer is not what a call says that reads all; and how many there were
CREATE FUNCTION pg_temp.other_answers(by_id boolean, OUT calls bigint, OUT wrong text) LANGUAGE plpgsql AS $$
DECLARE
	c record;
	got text[];
	expected text[];
BEGIN
	calls := 0;
	FOR c IN
		SELECT calls.call, k.kind, k.id FROM (VALUES ('cached_lookups()'), ('cached_lookups(md5(''u2'')::uuid)'), ('cached_lookups(md5(''none'')::uuid)')) AS calls (call),
			(SELECT DISTINCT kind, CASE WHEN by_id THEN id END AS id FROM cached_lookups()
				UNION SELECT kind, other FROM cached_lookups(), unnest('{07,-0,+1," 1","1 ",1e0,99999999999999999999,9223372036854775808,32768,NOM1,l1 ,"",L3}'::text[]) AS other
					WHERE by_id
				UNION SELECT 'universite', upper(id) FROM cached_lookups() WHERE by_id AND kind = 'universite'
				UNION SELECT 'universite', '{' || id || '}' FROM cached_lookups() WHERE by_id AND kind = 'universite'
				UNION SELECT 'universite', replace(id, '-', '') FROM cached_lookups() WHERE by_id AND kind = 'universite'
				UNION SELECT 'other', CASE WHEN by_id THEN '1' END) AS k
	LOOP
		EXECUTE format('SELECT array_agg(l::text) FROM %s AS l WHERE kind = $1 %s', c.call, CASE WHEN by_id THEN 'AND id = $2' END)
			INTO got USING c.kind, c.id;
		EXECUTE format('SELECT array_agg(l::text) FROM %s AS l WHERE kind || '''' = $1 %s', c.call, CASE WHEN by_id THEN 'AND id || '''' = $2' END)
			INTO expected USING c.kind, c.id;
		calls := calls + 1;
		IF got IS DISTINCT FROM expected THEN
			wrong := concat_ws(E'\n', wrong, format('%s of kind %s, id %s: %s, not %s', c.call, c.kind, c.id, got, expected));
		END IF;
	END LOOP;
END
$$;

-- A transaction that keeps its snapshot has nothing cached.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''7'''), 'bypass', 'one row is read');
SELECT results_eq('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''7''', $$SELECT 'ufr', id::text, code, nom, universite_id::text FROM ufrs WHERE id = 7$$, '... the right one');
SELECT cmp_ok(calls, '>', 1500::bigint, 'rows by id, and such as are not there') FROM pg_temp.other_answers(true);
SELECT is(wrong, NULL::text, '... each as from all rows') FROM pg_temp.other_answers(true);
SELECT is(calls, 24::bigint, 'kinds, one of which does not exist') FROM pg_temp.other_answers(false);
SELECT is(wrong, NULL::text, '... in the same order') FROM pg_temp.other_answers(false);
UPDATE ufrs SET nom = 'own' WHERE id = 7;
SELECT is(nom, 'own', 'an own write') FROM cached_lookups() WHERE kind = 'ufr' AND id = '7';
SELECT is((SELECT count(*) FROM generate_series(-10, 50) AS i, LATERAL (SELECT FROM cached_lookups() WHERE kind = 'ufr' AND id = i::text OFFSET 0) AS l), 61::bigint,
	'one after the other');
ROLLBACK;

-- After a change one row is read from its table until that has cost what a load does.
SELECT count(*) AS rows FROM cached_lookups() \gset
UPDATE ufrs SET nom = 'new' WHERE id = 7;
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''7'''), 'bypass', 'after a change, a part is enough');
SELECT is(nom, 'new', '... and new') FROM cached_lookups() WHERE kind = 'ufr' AND id = '7';
SELECT string_agg(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''' || i || ''''), ' ') AS seen FROM generate_series(1, 20) AS i \gset
SELECT matches(:'seen'::text, '^bypass( bypass)+ miss( hit)+$', 'until it has been asked for often enough');
UPDATE ufrs SET nom = 'newer' WHERE id = 7;
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''folded'' AND id = ''Nom1'''), 'miss', 'an id that its table cannot be searched by');
UPDATE ufrs SET nom = 'newest' WHERE id = 7;
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE id = ''7'''), 'miss', 'an id of any kind');
UPDATE ufrs SET nom = 'last' WHERE id = 7;
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''universite'''), 'bypass', 'a kind');
SELECT is(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''other'''), NULL::text, 'a kind that does not exist needs nothing');

-- what does not fit is never loaded for one row
SET catalogue.cache_size = 0;
SELECT is(string_agg(pg_temp.cache('SELECT * FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''' || i || ''''), ' ' ORDER BY i),
	repeat('bypass ', 39) || 'bypass', 'what would not be kept is not loaded') FROM generate_series(1, 40) AS i;
RESET catalogue.cache_size;

-- an id's type changes, and its plan with it
ALTER TABLE ufrs ALTER id TYPE numeric;
UPDATE ufrs SET id = 7.00 WHERE id = 7;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT results_eq('SELECT id FROM cached_lookups() WHERE kind = ''ufr'' AND id = ''7.00'' OR kind = ''ufr'' AND id = ''7''', $$VALUES ('7.00')$$, 'another type, with several texts of a value');
COMMIT;

SELECT * FROM finish();
