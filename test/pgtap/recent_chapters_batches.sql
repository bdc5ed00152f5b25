-- Filieres that are more than may be open are merged by batches of index entries: the
-- index is not descended for each row, and entries of versions that nobody sees
-- change neither rows nor order.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION catalogue;
SELECT plan(9);
SET LOCAL work_mem = '64kB';
SET LOCAL enable_seqscan = off;

CREATE TABLE chapters (id uuid PRIMARY KEY, filiere text NOT NULL, created_at timestamp, titre text);
INSERT INTO chapters
SELECT md5(i::text)::uuid, 'f' || i % 20, CASE WHEN i % 10 > 0 THEN timestamp '2024-01-01' + i / 500 * interval '1 hour' END,
	'chapter ' || i
FROM generate_series(1, 4000) AS i;
CREATE INDEX feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE INDEX ON chapters (titre);
UPDATE chapters SET titre = titre || ', revised' WHERE md5(titre) < '8';
DELETE FROM chapters WHERE md5(titre) < '2';
ANALYZE chapters;
SELECT FROM catalogue.attach(mapping => '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');

-- The same, in an index that is read backward, where versions without created_at come first.
CREATE SCHEMA backward;
CREATE TABLE backward.chapters AS SELECT * FROM chapters;
ALTER TABLE backward.chapters ADD PRIMARY KEY (id);
CREATE INDEX ON backward.chapters (filiere, created_at, id);
UPDATE backward.chapters SET created_at = '2023-01-01' WHERE created_at IS NULL;
ALTER TABLE backward.chapters ALTER created_at SET NOT NULL;
ANALYZE backward.chapters;
SELECT FROM catalogue.attach('backward',
	'{"chapters": {"relation": "backward.chapters", "filiere": "filiere", "author": null}}');

CREATE FUNCTION pg_temp.all_filieres() RETURNS text[] IMMUTABLE LANGUAGE sql AS
	$$ SELECT array_agg('f' || i) || NULL || '{f1,f1,none}'::text[] FROM generate_series(0, 19) AS i $$;
CREATE FUNCTION pg_temp.explained(query text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
	RETURN plan->0->'Plan';
END $$;

-- One descent for each row would be three blocks a row more.
SELECT pg_temp.explained('SELECT titre FROM recent_chapters_any(pg_temp.all_filieres(), NULL)') AS plan \gset
SELECT is((:'plan'::json->>'Rows Read')::int, (SELECT count(*) FROM chapters)::int, 'every row is fetched once');
SELECT cmp_ok((plan->>'Shared Hit Blocks')::int + (plan->>'Shared Read Blocks')::int, '<', 2 * (plan->>'Rows Read')::int,
		'and the index is not descended for each')
FROM (SELECT :'plan'::json AS plan) AS p;
SELECT is((plan->>'Rows Read')::int, 5, 'no row is fetched that is not returned')
FROM pg_temp.explained('SELECT titre FROM recent_chapters_any(pg_temp.all_filieres(), 5)') AS plan;

SELECT results_eq(
	'SELECT * FROM recent_chapters_any(pg_temp.all_filieres(), NULL)',
	'SELECT * FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC',
	'every row, in order');
SELECT results_eq(
	'SELECT * FROM backward.recent_chapters_any(pg_temp.all_filieres(), NULL)',
	'SELECT * FROM backward.chapters ORDER BY created_at DESC NULLS LAST, id DESC',
	'... backward');
SELECT results_eq(
	format('SELECT * FROM recent_chapters_any(pg_temp.all_filieres(), 700, %L)', id),
	format('SELECT * FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 700 OFFSET 100'),
	'... behind a chapter')
FROM (SELECT id FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC OFFSET 99 LIMIT 1) AS c;
SELECT results_eq(
	format('SELECT * FROM recent_chapters_any(pg_temp.all_filieres(), NULL, %L)', id),
	format('SELECT * FROM chapters WHERE created_at IS NULL AND id < %L ORDER BY id DESC', id),
	'... behind one without created_at')
FROM (SELECT id FROM chapters WHERE created_at IS NULL ORDER BY id DESC OFFSET 50 LIMIT 1) AS c;

-- A cursor goes back and forth over rows that were fetched.
DECLARE page SCROLL CURSOR FOR SELECT id FROM recent_chapters_any(pg_temp.all_filieres(), NULL);
MOVE 300 FROM page;
SELECT results_eq('FETCH BACKWARD 3 FROM page',
	'SELECT id FROM (SELECT id, row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) AS n FROM chapters) AS c
		WHERE n BETWEEN 297 AND 299 ORDER BY n DESC',
	'a cursor, backward');
SELECT results_eq('FETCH 2 FROM page',
	'SELECT id FROM (SELECT id, row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) AS n FROM chapters) AS c
		WHERE n BETWEEN 298 AND 299 ORDER BY n',
	'... and forward');

SELECT * FROM finish();
ROLLBACK;
