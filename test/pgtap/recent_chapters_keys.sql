-- Not under debug_discard_caches: dozens of calls of the feed.
-- recent_chapters where the columns that it orders by are not what attach() asks for,
-- in a child of the table or since then: no row is lost, and none is out of order.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\set chapters 2000
\i test/fixtures/feed.sql
SELECT plan(13);
-- The index that is streamed from, or why none is.
CREATE FUNCTION pg_temp.path(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	path text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		path := coalesce(path, substring(line FROM '(?:Index|Indexes|Not Streamed): (.*)'));
	END LOOP;
	RETURN path;
END
$$;
SAVEPOINT feed;

-- An id that is NULL, where more filieres are read than index scans are open

CREATE SCHEMA ids;
CREATE TABLE ids.chapters (id text PRIMARY KEY, filiere text NOT NULL, created_at timestamp, titre text);
INSERT INTO ids.chapters SELECT 'c' || i, 'f' || i % 20, '2024-01-01'::timestamp + i * interval '1 hour', i FROM generate_series(1, 1000) AS i;
CREATE INDEX feed ON ids.chapters (filiere, created_at DESC NULLS LAST, id DESC);
SELECT count(*) AS rows FROM catalogue.attach('ids',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
ANALYZE ids.chapters;
SET LOCAL work_mem = '64kB';
CREATE FUNCTION pg_temp.twenty() RETURNS text[] LANGUAGE sql AS $$SELECT ARRAY(SELECT 'f' || i FROM generate_series(0, 19) AS i)$$;
SELECT is(pg_temp.path($$SELECT id FROM ids.recent_chapters_any(pg_temp.twenty(), NULL)$$), 'feed', 'an id that is never NULL');
ALTER TABLE ids.chapters DROP CONSTRAINT chapters_pkey, ALTER id DROP NOT NULL;
INSERT INTO ids.chapters SELECT NULL, 'f' || i % 20, '2024-01-01'::timestamp + i * interval '1 hour', i FROM generate_series(901, 1100) AS i;
SELECT is(pg_temp.path($$SELECT id FROM ids.recent_chapters_any(pg_temp.twenty(), NULL)$$), 'the id may be null', '... and one that may be');
SELECT results_eq($$SELECT id, titre FROM ids.recent_chapters_any(pg_temp.twenty(), NULL)$$,
	$$SELECT id, titre FROM ids.chapters ORDER BY created_at DESC NULLS LAST, id DESC$$, '... has the order of the SQL');
SELECT results_eq($$SELECT id, titre FROM ids.recent_chapters('f7', NULL) ORDER BY created_at DESC NULLS LAST, id DESC NULLS LAST$$,
	$$SELECT id, titre FROM ids.chapters WHERE filiere = 'f7' ORDER BY created_at DESC NULLS LAST, id DESC NULLS LAST$$, '... and no other without a sort');
ROLLBACK TO feed;

-- Children of a table, of which one lets NULL in, and has an id more than once

CREATE TABLE new_chapters () INHERITS (chapters);
DELETE FROM chapters WHERE created_at IS NULL;
ALTER TABLE chapters ALTER created_at SET NOT NULL;
ALTER TABLE chapters ALTER id SET NOT NULL;
SELECT current_setting('server_version_num')::integer >= 180000 AS not_null_is_inherited \gset
\if :not_null_is_inherited
ALTER TABLE new_chapters NO INHERIT chapters;
ALTER TABLE chapters ALTER created_at DROP NOT NULL;
ALTER TABLE chapters ADD CONSTRAINT not_null NOT NULL created_at NO INHERIT;
ALTER TABLE new_chapters ALTER created_at DROP NOT NULL;
ALTER TABLE new_chapters INHERIT chapters;
\else
ALTER TABLE new_chapters ALTER created_at DROP NOT NULL;
\endif
INSERT INTO new_chapters SELECT 3000 + i / 4, 'f' || i / 4 % 50, CASE WHEN i / 4 % 3 > 0 THEN '2024-02-01'::timestamp END, i, 'x'
FROM generate_series(1, 2400) AS i;
CREATE INDEX ON new_chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE chapters;
CREATE FUNCTION pg_temp.fifty() RETURNS text[] LANGUAGE sql AS $$SELECT ARRAY(SELECT 'f' || i FROM generate_series(0, 49) AS i)$$;
SET LOCAL work_mem = '64kB';
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7', NULL)$$), '2', 'a table and its child');
SELECT results_eq($$SELECT count(*) FROM recent_chapters('f7', NULL, before_at => '2025-01-01')$$,
	$$SELECT count(*) FROM chapters WHERE filiere = 'f7'$$, '... which has undated chapters, as the table has not');
SELECT results_eq($$SELECT created_at FROM recent_chapters('f7', NULL) ORDER BY created_at DESC$$,
	$$SELECT created_at FROM chapters WHERE filiere = 'f7' ORDER BY created_at DESC$$, '... that come first where they are wanted first');
SELECT results_eq($$SELECT id FROM recent_chapters_any(pg_temp.fifty(), NULL)$$,
	$$SELECT id FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC$$, '... and ids that are there more than once');
SELECT results_eq($$SELECT titre FROM recent_chapters_any(pg_temp.fifty(), NULL) ORDER BY titre$$,
	'SELECT titre FROM chapters ORDER BY titre', '... each of them');
\if :not_null_is_inherited
SELECT skip('PostgreSQL 18 lets no child drop what it has inherited', 2);
\else
ALTER TABLE new_chapters ALTER id DROP NOT NULL;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7', NULL)$$), 'the id may be null', '... and a child whose ids may be null');
INSERT INTO new_chapters SELECT NULL, 'f7', '2024-02-01', i, 'no id' FROM generate_series(5001, 5002) AS i;
SELECT results_eq($$SELECT id FROM recent_chapters('f7', NULL)$$,
	$$SELECT id FROM chapters WHERE filiere = 'f7' ORDER BY created_at DESC NULLS LAST, id DESC$$, '... which come first among those of their time');
\endif
ROLLBACK TO feed;

-- An index in another order than the filiere's type has

SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'en-x-icu' AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))) AS has_icu \gset
\if :has_icu
DROP INDEX feed;
ALTER TABLE chapters ALTER filiere TYPE text COLLATE "en-x-icu"
	USING CASE WHEN filiere < 'f3' THEN 'F' || substr(filiere, 2) ELSE filiere END;
CREATE INDEX feed ON chapters (filiere text_pattern_ops, created_at DESC NULLS LAST, id DESC);
ANALYZE chapters;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7')$$), 'feed', 'an index for patterns');
SELECT results_eq($$SELECT id FROM recent_chapters_any(ARRAY(SELECT c || i FROM generate_series(0, 99) AS i, unnest('{F,f,G,e}'::text[]) AS c), NULL)$$,
	'SELECT id FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC', '... skips no filiere that has chapters');
\else
SELECT skip('no ICU', 2);
\endif

SELECT * FROM finish();
ROLLBACK;
