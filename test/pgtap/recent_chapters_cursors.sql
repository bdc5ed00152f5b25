-- Not under debug_discard_caches: dozens of calls of the feed.
-- recent_chapters in a cursor, of which the first row is fetched long after it was
-- opened: by another role, or when the session has dropped what it reads.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\set chapters 2000
\i test/fixtures/feed.sql
SELECT plan(14);
CREATE ROLE cursors_reader;
CREATE ROLE cursors_stranger;
GRANT SELECT ON chapters TO cursors_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
SAVEPOINT feed;

-- The rows are those of the role that opened the cursor, whoever fetches the first.

ALTER TABLE chapters ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON chapters TO cursors_reader USING (id < 1000);
CREATE FUNCTION fetch_as_owner(page refcursor) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	id integer;
BEGIN
	FETCH page INTO id;
	RETURN id;
END
$$;
SELECT max(id) FILTER (WHERE id < 1000) AS newest, max(id) AS hidden FROM chapters WHERE filiere = 'f7' AND created_at IS NOT NULL \gset
SET ROLE cursors_reader;
DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3);
SELECT is(fetch_as_owner('page'), :newest, 'a row that the reader''s policy hides is not fetched by another role');
CLOSE page;
DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3, before_id => :hidden);
SELECT throws_ok($$SELECT fetch_as_owner('page')$$, 'P0002', NULL, '... nor does its id tell that it is there');
CLOSE page;
SELECT is(current_user::text, 'cursors_reader', '... and the role is as before');
RESET ROLE;
DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3);
SET ROLE cursors_stranger;
SELECT lives_ok('FETCH 1 FROM page', 'who may read nothing fetches from a cursor of one who may');
SELECT is(current_user::text, 'cursors_stranger', '... as any query''s');
SELECT throws_ok($$SELECT id FROM recent_chapters('f7', 3)$$, '42501', NULL, '... and has no cursor of their own');
RESET ROLE;
ROLLBACK TO feed;

-- What a cursor reads is in use from when it was opened, as any query's is.

DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3);
SELECT throws_ok('DROP INDEX feed', '55006', NULL, 'the index of a cursor is in use before the first row');
ROLLBACK TO feed;
CREATE UNIQUE INDEX ids ON chapters (id);
ALTER TABLE chapters DROP CONSTRAINT chapters_pkey;
SELECT max(id) AS id FROM chapters WHERE filiere = 'f7' AND created_at IS NOT NULL \gset
SELECT id AS next FROM recent_chapters('f7', 1, before_id => :id) \gset
DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3, before_id => :id);
DROP INDEX ids;
CREATE FUNCTION pg_temp.fetch_one() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	page refcursor := 'page';
	id integer;
BEGIN
	FETCH page INTO id;
	RETURN id;
END
$$;
SELECT is(pg_temp.fetch_one(), :next, 'where the index of the ids is dropped, the next page''s place is found without');
ROLLBACK TO feed;

-- Partitions are opened when they are read.

CREATE SCHEMA parts;
CREATE TABLE parts.chapters (id integer, filiere text, created_at timestamp, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE parts.old PARTITION OF parts.chapters FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE parts.new PARTITION OF parts.chapters FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
INSERT INTO parts.chapters SELECT i, 'f' || i % 50, '2024-01-01'::timestamp + (i - 1000) * interval '1 hour' FROM generate_series(1, 2000) AS i;
CREATE INDEX feed ON parts.chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE parts.chapters;
SELECT count(*) AS rows FROM catalogue.attach('parts',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
SAVEPOINT parts;
SELECT is((SELECT count(*) FROM parts.recent_chapters('f7', NULL)), 40::bigint, 'partitions');
DECLARE page CURSOR FOR SELECT id FROM parts.recent_chapters('f7', 3);
DROP INDEX parts.feed;
FETCH 1 FROM page \gset without_index_
SELECT is(:without_index_id, 1957, '... of which the index was dropped: the executor reads them');
ROLLBACK TO parts;
DECLARE page CURSOR FOR SELECT id FROM parts.recent_chapters('f7', NULL);
MOVE 1 FROM page;
DROP TABLE parts.old;
SELECT throws_ok('MOVE ALL FROM page', '55000', NULL, '... of which one was dropped before it was read');
ROLLBACK TO parts;
DECLARE page CURSOR FOR SELECT id FROM parts.recent_chapters('f7', 3);
MOVE 1 FROM page;
SELECT throws_ok('TRUNCATE parts.new', '55006', NULL, '... which cannot be emptied once they are read');
CLOSE page;

-- A subtransaction that fetched the first row leaves the cursor where it was.

ROLLBACK TO feed;
DECLARE page CURSOR FOR SELECT id FROM recent_chapters('f7', 3);
SAVEPOINT first_row;
SELECT is(pg_temp_fetch, :id, 'the first row in a subtransaction') FROM (SELECT max(id) AS pg_temp_fetch FROM chapters WHERE filiere = 'f7' AND created_at IS NOT NULL) AS c;
MOVE 1 FROM page;
ROLLBACK TO first_row;
CREATE FUNCTION pg_temp.fetch_one() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	page refcursor := 'page';
	id integer;
BEGIN
	FETCH page INTO id;
	RETURN id;
END
$$;
SELECT is(pg_temp.fetch_one(), :next, '... which is rolled back, and the second');

SELECT * FROM finish();
ROLLBACK;
