-- Not under debug_discard_caches: hundreds of calls of the feed.
-- recent_chapters at the edges: values, collations and indexes that must not
-- mislead it, the statistics that it keeps, and the memory that a rescan leaves.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\set chapters 2000
\i test/fixtures/feed.sql
SELECT plan(47);
-- The index that is streamed from, or why none is.
CREATE FUNCTION pg_temp.path(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	path text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		path := coalesce(path, substring(line FROM '(?:Index|Not Streamed): (.*)'));
	END LOOP;
	RETURN path;
END
$$;
CREATE ROLE edges_reader;
SAVEPOINT feed;

-- The plan must not follow the argument: of a filiere that is most of the table
-- a whole page would rather be sorted.

INSERT INTO chapters SELECT 10000 + i, 'crowd', now(), 'x', 'x' FROM generate_series(1, 8000) AS i;
ANALYZE chapters;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('crowd', 8000)$$), 'feed', 'a filiere that is most of the table');
SELECT is((SELECT count(*) FROM recent_chapters('crowd', 8000)), 8000::bigint, '... is read by the index too');
ROLLBACK TO feed;

-- A name that the table and the index hold compressed, and the argument not

INSERT INTO chapters SELECT 10000 + i, repeat('long', 600), NULL, 'x', 'x' FROM generate_series(1, 3) AS i;
SELECT cmp_ok(pg_column_size(filiere), '<', 500, 'a long name is compressed') FROM chapters WHERE id = 10001;
SELECT is((SELECT count(*) FROM recent_chapters(repeat('long', 600), 10)), 3::bigint, '... and compared all the same');
ROLLBACK TO feed;

-- An index on some of the ids must not be asked for any of them.

CREATE UNIQUE INDEX ON chapters (id) WHERE titre = 'chapter 7';
SELECT results_eq($$SELECT id FROM recent_chapters('f7', 2, before_id => 1957)$$,
	$$SELECT id FROM chapters WHERE filiere = 'f7' AND (created_at, id) < (SELECT created_at, id FROM chapters WHERE id = 1957)
	ORDER BY created_at DESC, id DESC LIMIT 2$$, 'a partial unique index on the id');
ROLLBACK TO feed;

-- Nor one by another equality than the column's: an id that is not there finds no
-- other.

CREATE SCHEMA ids;
CREATE TABLE ids.chapters (id text COLLATE "C" PRIMARY KEY, filiere text NOT NULL, created_at timestamp);
INSERT INTO ids.chapters SELECT 'c' || i, 'f' || i % 5, '2024-01-01'::timestamp + i * interval '1 day' FROM generate_series(1, 500) AS i;
CREATE INDEX feed ON ids.chapters (filiere, created_at DESC NULLS LAST, id DESC);
SELECT count(*) AS rows FROM catalogue.attach('ids',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
-- Equal is whatever has the same length.
CREATE FUNCTION ids.similar_order(text, text) RETURNS integer LANGUAGE sql IMMUTABLE AS
	$$SELECT btint4cmp(length($1), length($2))$$;
CREATE FUNCTION ids.similar_less(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) < length($2)';
CREATE FUNCTION ids.similar(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) = length($2)';
CREATE OPERATOR ids.<# (LEFTARG = text, RIGHTARG = text, FUNCTION = ids.similar_less);
CREATE OPERATOR ids.=# (LEFTARG = text, RIGHTARG = text, FUNCTION = ids.similar);
CREATE OPERATOR CLASS ids.similar_ops FOR TYPE text USING btree AS
	OPERATOR 1 ids.<#, OPERATOR 3 ids.=#, FUNCTION 1 ids.similar_order(text, text);
DELETE FROM ids.chapters WHERE id NOT IN ('c1', 'c16', 'c106');
CREATE UNIQUE INDEX zz_similar ON ids.chapters (id ids.similar_ops);
ANALYZE ids.chapters;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT is(pg_temp.path($$SELECT id FROM ids.recent_chapters('f1')$$), 'feed', 'a unique index by another equality');
SELECT throws_ok($$SELECT id FROM ids.recent_chapters('f1', 2, before_id => 'c9')$$, 'P0002', NULL, '... does not find another id');
SELECT results_eq($$SELECT id COLLATE "default" FROM ids.recent_chapters('f1', 2, before_id => 'c106')$$, $$VALUES ('c16'), ('c1')$$, '... nor hide one');
ROLLBACK TO feed;

-- A policy that calls the feed itself, for other columns, while the plan that it
-- is evaluated in runs

DROP INDEX feed;
GRANT SELECT ON chapters TO edges_reader;
CREATE FUNCTION newest_titre(text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
	RETURN (SELECT titre FROM recent_chapters($1, 1));
END
$$;
CREATE POLICY not_the_newest ON chapters FOR SELECT TO edges_reader USING (titre <> newest_titre(filiere));
ALTER TABLE chapters ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE edges_reader;
SELECT is((SELECT count(*) FROM (SELECT id FROM recent_chapters('f7', 1000)) AS ids), 39::bigint,
	'a policy that calls the feed');
SELECT is((SELECT count(*) FROM (SELECT padding FROM recent_chapters_any(ARRAY['f7', 'f8'], 1000)) AS paddings), 78::bigint,
	'... of several filieres');
RESET ROLE;
ROLLBACK TO feed;

-- A column that has the name of its type, where the executor reads the table and the
-- column is not looked at

CREATE SCHEMA dates;
CREATE TABLE dates.chapters (id integer PRIMARY KEY, filiere text NOT NULL, date date);
INSERT INTO dates.chapters SELECT i, 'f' || i % 5, '2024-01-01'::date + i * 7 % 31 FROM generate_series(1, 200) AS i;
SELECT count(*) AS rows FROM catalogue.attach('dates',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "created_at": "date", "author": null}}') \gset
SELECT results_eq($$SELECT id FROM dates.recent_chapters('f1', 20)$$,
	$$SELECT id FROM dates.chapters WHERE filiere = 'f1' ORDER BY date DESC, id DESC LIMIT 20$$, 'a column "date" of type date');
SELECT results_eq($$SELECT id FROM dates.recent_chapters_any('{f1,f2}', 20)$$,
	$$SELECT id FROM dates.chapters WHERE filiere IN ('f1', 'f2') ORDER BY date DESC, id DESC LIMIT 20$$, '... of several filieres');
ROLLBACK TO feed;

-- Where a time is never NULL, an index serves whatever it says of NULLs, forward and
-- backward; and no longer, when it may be.

DROP INDEX feed;
DELETE FROM chapters WHERE created_at IS NULL;
ALTER TABLE chapters ALTER created_at SET NOT NULL;
CREATE FUNCTION pg_temp.path_with(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	path text;
BEGIN
	EXECUTE format('CREATE INDEX feed ON chapters (%s)', columns);
	ANALYZE chapters;
	IF ARRAY(SELECT id FROM recent_chapters('f7', 10, before_id => 1957)) <> ARRAY(SELECT id FROM chapters
		WHERE filiere = 'f7' AND (created_at, id) < (SELECT created_at, id FROM chapters WHERE id = 1957)
		ORDER BY created_at DESC, id DESC LIMIT 10) THEN
		RAISE 'wrong page';
	END IF;
	path := pg_temp.path($p$SELECT id FROM recent_chapters('f7')$p$);
	DROP INDEX feed;
	RETURN path;
END
$$;
SELECT is(pg_temp.path_with(columns), 'feed', columns) FROM unnest(ARRAY[
	'filiere, created_at DESC, id DESC', 'filiere, created_at, id', 'filiere DESC, created_at DESC NULLS LAST, id DESC NULLS LAST',
	'filiere, created_at NULLS FIRST, id NULLS FIRST', 'filiere, created_at DESC, id DESC, titre']) AS columns;
SELECT is(pg_temp.path_with('filiere, created_at, id DESC'), 'no index has the order (filiere, created_at DESC NULLS LAST, id DESC)',
	'an index in two directions');
CREATE INDEX feed ON chapters (filiere, created_at DESC, id DESC);
SELECT is((SELECT count(*) FROM catalogue.recommended_indexes() WHERE reason LIKE 'recent_chapters%'), 0::bigint, 'no other index is advised');
ALTER TABLE chapters ALTER created_at DROP NOT NULL;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7')$$), 'no index has the order (filiere, created_at DESC NULLS LAST, id DESC)',
	'an index with undated chapters first');
ROLLBACK TO feed;

-- Where the executor reads several filieres, it reads the page of each; where it
-- cannot do that by an index, the table once.

GRANT SELECT ON chapters TO edges_reader;
CREATE POLICY most ON chapters FOR SELECT TO edges_reader USING (titre <> 'chapter 1957');
ALTER TABLE chapters ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION pg_temp.reads(relation regclass, OUT ids integer[], OUT reads bigint) LANGUAGE plpgsql AS $$
BEGIN
	reads := pg_stat_get_xact_tuples_returned(relation) + pg_stat_get_xact_numscans(relation);
	SELECT array_agg(id) INTO ids FROM recent_chapters_any(ARRAY['f7', 'f8', NULL, 'f9', 'f7'], 5);
	reads := pg_stat_get_xact_tuples_returned(relation) + pg_stat_get_xact_numscans(relation) - reads;
END
$$;
CREATE TEMP TABLE wanted AS SELECT array_agg(id) AS ids FROM (SELECT id FROM chapters
	WHERE filiere IN ('f7', 'f8', 'f9') AND titre <> 'chapter 1957' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5) AS page;
GRANT SELECT ON wanted TO edges_reader;
SET LOCAL ROLE edges_reader;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters_any('{f7,f8}')$$), 'row-level security applies', 'several filieres under a policy');
SELECT ok(w.ids = r.ids AND reads BETWEEN 15 AND 30, '... are read a page of each') FROM wanted AS w, pg_temp.reads('feed') AS r;
RESET ROLE;
DROP INDEX feed;
SET LOCAL ROLE edges_reader;
SELECT ok(w.ids = r.ids AND reads BETWEEN 2000 AND 2010, '... without an index are read in one scan') FROM wanted AS w, pg_temp.reads('chapters') AS r;
RESET ROLE;
ROLLBACK TO feed;

-- What PostgreSQL 18 added: columns that are computed when they are read, and
-- constraints that old rows need not meet

SELECT current_setting('server_version_num')::integer >= 180000 AS has_virtual_columns \gset
\if :has_virtual_columns
ALTER TABLE chapters ADD shout text GENERATED ALWAYS AS (upper(titre)) VIRTUAL;
SELECT is(pg_temp.path($$SELECT shout FROM recent_chapters('f7')$$), 'feed', 'a virtual column is streamed');
SELECT results_eq($$SELECT shout, id FROM recent_chapters('f7', 3)$$, $$SELECT upper(titre), id FROM recent_chapters('f7', 3)$$,
	'... and computed');
SELECT results_eq($$SELECT (r).shout FROM (SELECT recent_chapters('f7', 3) AS r) AS rows$$,
	$$SELECT upper(titre) FROM recent_chapters('f7', 3)$$, '... in a row too');
ROLLBACK TO feed;
ALTER TABLE chapters ADD NOT NULL created_at NOT VALID;
SELECT is((SELECT count(*) FROM recent_chapters('f7', 1000, before_at => '2024-01-01 10:00') WHERE created_at IS NULL),
	(SELECT count(*) FROM chapters WHERE filiere = 'f7' AND created_at IS NULL), 'NOT NULL that is not valid hides no undated chapter');
\else
SELECT skip('PostgreSQL 18 has virtual columns, and NOT NULL that is not valid', 4);
\endif
ROLLBACK TO feed;

-- An index that has the order but not all rows, or not these columns

DROP INDEX feed;
CREATE INDEX feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC) WHERE id > 0;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7')$$),
	'no index has the order (filiere, created_at DESC NULLS LAST, id DESC)', 'a partial index is none');
ROLLBACK TO feed;

-- A domain that refuses NULL, in a column that is not asked for, without an index

CREATE DOMAIN given AS text NOT NULL;
ALTER TABLE chapters ADD remark given DEFAULT 'none';
DROP INDEX feed;
SELECT count(*) AS rows FROM catalogue.attach(mapping =>
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
SELECT lives_ok($$SELECT id FROM recent_chapters('f7', 2)$$, 'a domain that refuses NULL');
ROLLBACK TO feed;

-- An id whose "less than" is another schema's than the time's, through the executor

CREATE EXTENSION citext;
CREATE SCHEMA ci;
CREATE TABLE ci.chapters (id citext PRIMARY KEY, filiere text NOT NULL, created_at timestamp);
INSERT INTO ci.chapters SELECT chr(97 + i) || 'X', 'f', '2024-01-01'::timestamp + i / 4 * interval '1 day' FROM generate_series(0, 19) AS i;
SELECT count(*) AS rows FROM catalogue.attach('ci',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
SELECT results_eq($$SELECT id::text FROM ci.recent_chapters('f', 3, before_id => 'jx')$$,
	$$VALUES ('iX'), ('hX'), ('gX')$$, 'a position by two operators');
SELECT is(pg_temp.path($$SELECT id FROM ci.recent_chapters('f')$$), 'no index has the order (filiere, created_at DESC NULLS LAST, id DESC)',
	'... by the executor');
ROLLBACK TO feed;

-- A time that is never NULL: the dated chapters are all there are, and the
-- index is asked once.

ALTER TABLE chapters ALTER created_at TYPE timestamp USING coalesce(created_at, '2024-01-01'), ALTER created_at SET NOT NULL;
ANALYZE chapters;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('f7')$$), 'feed', 'a time that is never NULL');
CREATE FUNCTION pg_temp.index_scans(OUT scans bigint, OUT fetched bigint) LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_numscans('feed'::regclass), pg_stat_get_xact_tuples_fetched('feed'::regclass)
$$;
SELECT scans, fetched FROM pg_temp.index_scans() \gset before_
SELECT count(*) AS rows FROM recent_chapters('f7', 1000, before_at => '2024-01-01 05:00') \gset
SELECT cmp_ok(:rows, '>', 3, '... has a page');
SELECT is(scans - :before_scans, 1::bigint, '... of one scan') FROM pg_temp.index_scans();
SELECT is(fetched - :before_fetched, :rows::bigint, '... whose rows are counted') FROM pg_temp.index_scans();
ROLLBACK TO feed;

-- A saved plan is replanned when the table's statistics change.

CREATE FUNCTION pg_temp.rows_expected() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) EXECUTE saved' INTO plan;
	RETURN plan #>> '{0,Plan,Plan Rows}';
END
$$;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE saved AS SELECT id FROM recent_chapters('f7', 1000);
SELECT pg_temp.rows_expected() AS rows \gset
INSERT INTO chapters SELECT 10000 + i, 'f' || i % 50, NULL, 'x', 'x' FROM generate_series(1, 8000) AS i;
ANALYZE chapters;
SELECT cmp_ok(pg_temp.rows_expected(), '>', 3 * :rows::bigint, 'a saved plan follows the statistics');
-- Nor does it pass over settings that the function was given since, though
-- the statement names another function, which was inlined.
CREATE FUNCTION newest(text) RETURNS SETOF chapters LANGUAGE sql STABLE AS 'SELECT * FROM recent_chapters($1, 2)';
PREPARE inlined AS SELECT id FROM newest('f7');
SELECT is(pg_temp.path('EXECUTE inlined'), 'feed', 'a plan of an inlined function');
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SET work_mem = '4MB';
SELECT is(pg_temp.path('EXECUTE inlined'), NULL, '... follows the function within it');
DEALLOCATE inlined;
DEALLOCATE saved;
ROLLBACK TO feed;

-- What a call leaves behind when it is made again and again in a query

DECLARE calls CURSOR FOR SELECT r.id FROM generate_series(1, 5000) AS i,
	LATERAL recent_chapters_any(ARRAY['f' || i % 50, 'f' || i % 49], 1) AS r;
MOVE 4999 FROM calls;
SELECT cmp_ok((SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'catalogue chapter%'), '<',
	256 * 1024::numeric, 'thousands of rescans take no more memory than one');
CLOSE calls;

-- Thousands of filieres: a bounded number of scans is open, and those that do not
-- exist are not searched for one by one.

INSERT INTO chapters SELECT 10000 + i, 'g' || i % 2000, '2024-01-01'::timestamp + i % 7 * interval '1 day', 'x', 'x'
FROM generate_series(1, 6000) AS i;
ANALYZE chapters;
SELECT results_eq($$SELECT id FROM recent_chapters_any(ARRAY(SELECT 'g' || i FROM generate_series(0, 1999) AS i), 100)$$,
	$$SELECT id FROM chapters WHERE filiere LIKE 'g%' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 100$$,
	'thousands of filieres');
SELECT results_eq($$SELECT id FROM recent_chapters_any(ARRAY(SELECT 'g' || i FROM generate_series(0, 1999) AS i), NULL, 12000)$$,
	$$SELECT id FROM chapters WHERE filiere LIKE 'g%' AND (created_at, id) < (SELECT created_at, id FROM chapters WHERE id = 12000)
	ORDER BY created_at DESC NULLS LAST, id DESC$$,
	'... and the rest after a page');
DECLARE many CURSOR FOR SELECT id FROM recent_chapters_any(ARRAY(SELECT 'g' || i FROM generate_series(0, 1999) AS i), 5000);
MOVE 4000 FROM many;
SELECT cmp_ok((SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'catalogue %'), '<',
	8 * 1024 * 1024::numeric, '... take little memory');
CLOSE many;
CREATE FUNCTION pg_temp.scans_of(filieres text[], n bigint, before_at timestamp, OUT rows bigint, OUT scans bigint) LANGUAGE plpgsql AS $$
BEGIN
	scans := pg_stat_get_xact_numscans('feed'::regclass);
	SELECT count(*) INTO rows FROM recent_chapters_any(filieres, n, before_at => before_at);
	scans := pg_stat_get_xact_numscans('feed'::regclass) - scans;
END
$$;
SELECT ok(rows = 120 AND scans < 30, 'filieres that do not exist are skipped')
FROM pg_temp.scans_of(ARRAY(SELECT 'f7/' || i FROM generate_series(1, 5000) AS i) || '{f7,f8,f9}'::text[], NULL, NULL);
SELECT ok(rows = 0 AND scans < 20, '... and where none exists')
FROM pg_temp.scans_of(ARRAY(SELECT i::text FROM generate_series(1, 2000) AS i)
	|| ARRAY(SELECT 'z' || i FROM generate_series(1, 2000) AS i), NULL, NULL);
SELECT ok(rows = 0 AND scans BETWEEN 4000 AND 4100, '... while those that have no older chapters cost one search a range')
FROM pg_temp.scans_of(ARRAY(SELECT 'g' || i FROM generate_series(0, 1999) AS i), NULL, '2023-01-01');
ROLLBACK TO feed;

-- Collations by which unequal bytes can be equal, where the server has them

CREATE FUNCTION pg_temp.has_icu() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	RETURN true;
EXCEPTION WHEN feature_not_supported THEN
	RETURN false;
END
$$;
SELECT pg_temp.has_icu() AS has_icu \gset
\if :has_icu
ALTER TABLE chapters ALTER filiere TYPE text COLLATE any_case;
ANALYZE chapters;
SELECT is(pg_temp.path($$SELECT id FROM recent_chapters('F7')$$), 'feed', 'a collation without case');
SELECT is((SELECT count(*) FROM recent_chapters('F7', 1000)), 40::bigint, '... finds names in any case');
\else
SELECT skip('no ICU', 2);
\endif

SELECT * FROM finish();
ROLLBACK;
