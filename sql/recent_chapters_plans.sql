--
-- Not under debug_discard_caches: hundreds of calls of the feed.
-- recent_chapters: how a call is run, with locks, rights and plans as plain SQL has them
--
-- What it returns is the business of recent_chapters.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS catalogue;
CREATE SCHEMA feed_plans;
SET search_path = feed_plans, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE TABLE chapters (
	dropped_first integer,
	id integer PRIMARY KEY,
	filiere varchar(20) NOT NULL,
	dropped_later text,
	created_at timestamp,
	titre text NOT NULL,
	texte text
);
ALTER TABLE chapters DROP dropped_first;
-- A hundred filieres of 50 chapters; every tenth chapter of one is undated.
INSERT INTO chapters
SELECT i, 'f' || i % 100, NULL,
	CASE WHEN i % 1000 >= 100 THEN timestamp '2024-01-01' + i / 200 * interval '1 hour' END,
	'chapter ' || i, repeat(md5(i::text), 10)
FROM generate_series(1, 5000) AS i;
ALTER TABLE chapters DROP dropped_later;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE TABLE students (id integer PRIMARY KEY, filiere varchar(20), last_seen integer);
INSERT INTO students VALUES (1, 'f1', NULL), (2, 'f2', 3902), (3, NULL, NULL), (4, 'unknown', NULL), (5, 'f1', 4001);
ANALYZE chapters, students;

CREATE FUNCTION attach_plans() RETURNS void LANGUAGE sql AS $$
	SELECT catalogue.attach('feed_plans',
		'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
$$;
SELECT attach_plans();

/*
 * The plan of a statement, without what differs from one server version to the
 * next: 17 renamed subplans, 18 counts rows with decimals and shows index
 * searches, disabled nodes and a materialization's memory.
 */
CREATE FUNCTION plan_of(statement text, options text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF%s) %s', options, statement) LOOP
		CONTINUE WHEN line ~ '^ *(Index Searches|Storage|Memory|Buffers|Disabled|Window|Heap Fetches|Heap Blocks|Planning|Execution|Query Identifier|Buckets|Sort Method|Cache Mode|Hits|Batches):?';
		line := regexp_replace(line, 'rows=(\d+)\.\d+', 'rows=\1');
		-- an average, which the versions round differently
		line := regexp_replace(line, 'rows=\d+ loops=(?!1\))', 'loops=');
		RETURN NEXT line;
	END LOOP;
END
$$;

/* The same of an execution. */
CREATE FUNCTION run_of(statement text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT plan_of(statement, ', ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF');
$$;

/* The path alone: the node with its index, the reason against it, or neither. */
CREATE FUNCTION path_of(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(trim(l, ' ->'), ', ') FROM plan_of(statement) AS l
	WHERE l ~ '(Catalogue Stream|^ *Index(es)?:|Scan Direction|Not Streamed|Function Scan on|ProjectSet)';
$$;

/* The error that a statement raises, with its SQLSTATE. */
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN code || ': ' || message;
END
$$;

--
-- What EXPLAIN says
--
SELECT plan_of($$ SELECT id, titre FROM recent_chapters('f7') $$);
SELECT plan_of($$ SELECT id, titre FROM recent_chapters('f7', 20, before_id => 4007) $$);
SELECT plan_of($$ SELECT id, titre FROM recent_chapters('f7', 20, 4007, '2024-01-01') $$);
SELECT plan_of($$ SELECT id, titre FROM recent_chapters('f7', before_at => '2024-01-01') $$);
SELECT plan_of($$ SELECT id, titre FROM recent_chapters_any(ARRAY['f7', 'f8'], 20) $$);
SELECT plan_of($$ SELECT titre FROM recent_chapters('f7') AS r (a, b, c) $$, ', VERBOSE');
SELECT plan_of($$ SELECT id FROM recent_chapters('f7', before_id => nullif(length(current_setting('search_path')), 0)) $$);
-- Executed: n rows cost n reads; merging k filieres costs k - 1 more.
SELECT run_of($$ SELECT id FROM recent_chapters('f7', 20) $$);
SELECT run_of($$ SELECT id FROM recent_chapters('f7', 1000) $$);
SELECT run_of($$ SELECT id FROM recent_chapters('f7', 20, before_id => 4007) $$);
SELECT run_of($$ SELECT id FROM recent_chapters('f7', 0) $$);
SELECT run_of($$ SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8', 'f9'], 20) $$);
SELECT run_of($$ SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8', 'f7', NULL, 'unknown'], 20) $$);
SELECT run_of($$ SELECT id FROM recent_chapters_any('{}'::varchar[], 20) $$);
-- Not executed for what is never asked for.
SELECT run_of($$ SELECT id FROM recent_chapters('f7') LIMIT 0 $$);
-- Other formats.
SELECT json_path FROM (SELECT plan_of($$ SELECT id FROM recent_chapters('f7', 20, before_id => 4007) $$, ', FORMAT JSON') AS p) AS e,
	jsonb_path_query(p::jsonb, '$[0].Plan') AS plan,
	LATERAL (SELECT plan ->> 'Node Type' || ', ' || (plan ->> 'Custom Plan Provider') || ', ' || (plan ->> 'Index') || ', '
		|| (plan ->> 'Index Cond') || ', ' || (plan ->> 'Page After') AS json_path) AS j;

-- Row estimates: n where it is known, and never more than there are.
CREATE FUNCTION estimate_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
	RETURN plan #>> '{0,Plan,Plan Rows}';
END
$$;
SELECT n, estimate_of(format('SELECT id FROM recent_chapters(''f7'', %s)', n)) AS one,
	estimate_of(format('SELECT id FROM recent_chapters_any(ARRAY[''f7'', ''f8'', ''f9''], %s)', n)) AS three,
	estimate_of(format('SELECT id FROM recent_chapters(''f7'', %s) WHERE length(titre) > 0', n)) < n AS filtered
FROM unnest(ARRAY[1, 20, 40, 1000]) AS n;
SET catalogue.enable_stream = off;
SELECT n, estimate_of(format('SELECT id FROM recent_chapters(''f7'', %s)', n)) AS one
FROM unnest(ARRAY[1, 20, 1000]) AS n;
RESET catalogue.enable_stream;

--
-- Shapes of plans around it
--
-- Filters, joins, aggregates, LIMIT, OFFSET, sorting above.
SELECT run_of($$ SELECT id, titre FROM recent_chapters('f7', 20) WHERE id % 2 = 1 AND titre LIKE 'chapter%' LIMIT 3 $$);
SELECT plan_of($$ SELECT count(*), max(created_at) FROM recent_chapters('f7', 20) $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f7', 20) ORDER BY titre LIMIT 3 $$);
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_memoize = off;
SELECT plan_of($$ SELECT r.id, s.id FROM recent_chapters('f1', 20) AS r JOIN students AS s USING (filiere) $$);
SELECT r.id, s.id FROM recent_chapters('f1', 2) AS r JOIN students AS s USING (filiere) ORDER BY 1 DESC, 2;
SELECT plan_of($$ SELECT r.id FROM recent_chapters('f1', 20) AS r LEFT JOIN students AS s ON s.last_seen = r.id WHERE coalesce(s.id, 0) = 0 $$);
SELECT count(*) FROM recent_chapters('f1', 20) AS r LEFT JOIN students AS s ON s.last_seen = r.id WHERE coalesce(s.id, 0) = 0;
-- Of two calls each has a node of its own.
SELECT path_of($$ SELECT count(*) FROM recent_chapters('f1') AS a, recent_chapters_any(ARRAY['f1', 'f2']) AS b $$);
SELECT count(*), count(DISTINCT (a.id, b.id)) FROM recent_chapters('f1', 7) AS a, recent_chapters_any(ARRAY['f1', 'f2'], 9) AS b;
-- LATERAL, with rescans; the page of each student, then of none.
SELECT run_of($$ SELECT s.id, r.id FROM students AS s, LATERAL recent_chapters(s.filiere, 2, before_id => s.last_seen) AS r $$);
SELECT s.id, r.id, r.created_at FROM students AS s LEFT JOIN LATERAL recent_chapters(s.filiere, 2, before_id => s.last_seen) AS r ON true
ORDER BY s.id, r.created_at DESC, r.id DESC;
SELECT s.id, r.id FROM students AS s, LATERAL recent_chapters(s.filiere, 20) AS r WHERE r.id % 1000 = 900 + s.id ORDER BY s.id, r.id;
SELECT s.id, r.id FROM students AS s, LATERAL recent_chapters_any(ARRAY[s.filiere, 'f3'], s.id) AS r
WHERE s.id <= 3 ORDER BY s.id, r.created_at DESC, r.id DESC;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_memoize;
-- Subqueries: correlated, as an argument, and in a recursive query over all pages.
SELECT s.id, (SELECT count(*) FROM recent_chapters(s.filiere, 5)) FROM students AS s ORDER BY s.id;
SELECT path_of($$ SELECT s.id, (SELECT count(*) FROM recent_chapters(s.filiere, 5)) FROM students AS s $$);
SELECT id FROM recent_chapters((SELECT filiere FROM students WHERE id = 1), (SELECT 2));
SELECT id FROM recent_chapters_any((SELECT array_agg(filiere) FROM students), 3);
WITH RECURSIVE pages AS (
	SELECT 1 AS page, array_agg(id) AS ids FROM recent_chapters('f7', 7)
	UNION ALL
	SELECT page + 1, (SELECT array_agg(r.id) FROM recent_chapters('f7', 7, before_id => ids[cardinality(ids)]) AS r)
	FROM pages WHERE ids IS NOT NULL
)
SELECT count(DISTINCT page), count(*), array_agg(id ORDER BY page, i) = (
	SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM chapters WHERE filiere = 'f7') AS same
FROM pages, unnest(ids) WITH ORDINALITY AS u (id, i);
-- UNION ALL, CTEs, subquery pulled up.
SELECT path_of($$ SELECT id FROM recent_chapters('f1') UNION ALL SELECT id FROM recent_chapters('f2') $$);
SELECT path_of($$ WITH page AS MATERIALIZED (SELECT * FROM recent_chapters('f1')) SELECT id FROM page $$);
SELECT path_of($$ SELECT id FROM (SELECT id, upper(titre) AS t FROM recent_chapters('f1')) AS s WHERE t <> '' $$);
-- What the node cannot do goes through the function.
SELECT plan_of($$ SELECT id, ordinality FROM recent_chapters('f1', 3) WITH ORDINALITY $$);
SELECT id, ordinality FROM recent_chapters('f1', 3) WITH ORDINALITY;
SELECT plan_of($$ SELECT * FROM ROWS FROM (recent_chapters('f1', 3), generate_series(1, 2)) AS r $$);
SELECT id, titre, n FROM ROWS FROM (recent_chapters('f1', 3), generate_series(1, 2)) AS r (id, filiere, created_at, titre, texte, n);
SELECT path_of($$ SELECT r FROM recent_chapters('f1', 3) AS r $$);
SELECT (r).id, r IS NULL AS is_null FROM recent_chapters('f1', 1) AS r;
SELECT plan_of($$ SELECT recent_chapters('f1', 3) $$);
SELECT (recent_chapters('f1', 2)).id;
SET catalogue.enable_stream = off;
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 3) $$);
SELECT id FROM recent_chapters('f1', 3);
RESET catalogue.enable_stream;
-- All columns, those after the dropped ones included.
SELECT id, filiere, created_at, titre, left(texte, 8) AS texte FROM recent_chapters('f7', 2);
SELECT path_of($$ SELECT * FROM recent_chapters('f7', 2) $$);
-- Row locks and data-modifying statements.
SELECT error_of($$ SELECT id FROM recent_chapters('f1') AS r FOR UPDATE OF r $$);
SELECT path_of($$ SELECT id FROM recent_chapters('f1') FOR UPDATE $$);
SELECT path_of($$ SELECT c.id FROM chapters AS c JOIN recent_chapters('f1', 2) AS r USING (id) FOR UPDATE OF c $$);
BEGIN;
UPDATE chapters SET titre = 'read: ' || r.titre FROM recent_chapters('f1', 2) AS r WHERE r.id = chapters.id;
DELETE FROM chapters USING recent_chapters('f1', 1, before_id => 4901) AS r WHERE r.id = chapters.id;
SELECT id, titre FROM recent_chapters('f1', 3);
-- An INSERT that reads what it writes sees only what was there.
INSERT INTO chapters SELECT id + 100000, filiere, created_at + interval '1 year', titre, texte FROM recent_chapters('f1');
SELECT count(*), max(id) FROM recent_chapters('f1', 1000);
CREATE TABLE page AS SELECT * FROM recent_chapters('f1', 2);
SELECT id FROM page ORDER BY id DESC;
ROLLBACK;

--
-- Prepared statements
--
PREPARE page(varchar, integer, integer) AS SELECT id FROM recent_chapters($1, $2, before_id => $3);
SET plan_cache_mode = force_generic_plan;
SELECT plan_of($$ EXECUTE page('f7', 3, NULL) $$);
EXECUTE page('f7', 3, NULL);
EXECUTE page('f7', 3, 4807);
EXECUTE page(NULL, 3, NULL);
SELECT count(*) FROM (SELECT FROM recent_chapters('f7', NULL)) AS every;
EXECUTE page('f7', 3, 424242);
EXECUTE page('f8', 1, NULL);
SET plan_cache_mode = force_custom_plan;
SELECT plan_of($$ EXECUTE page('f7', 3, NULL) $$);
SELECT plan_of($$ EXECUTE page('f7', 3, 4807) $$);
EXECUTE page('f7', 3, 4807);
SET plan_cache_mode = force_generic_plan;
PREPARE merged(varchar[], integer) AS SELECT id FROM recent_chapters_any($1, $2);
SELECT run_of($$ EXECUTE merged('{f7,f8}', 3) $$);
EXECUTE merged('{f7,f8}', 3);
EXECUTE merged('{}', 3);
EXECUTE merged('{f9}', 1);

--
-- Cursors
--
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM recent_chapters('f7', 5);
FETCH 2 FROM c;
FETCH ALL FROM c;
FETCH 1 FROM c;
SELECT error_of('FETCH BACKWARD 1 FROM c');
ROLLBACK;
BEGIN;
SELECT plan_of($$ DECLARE c SCROLL CURSOR FOR SELECT id FROM recent_chapters('f7', 5) $$);
DECLARE c SCROLL CURSOR FOR SELECT id FROM recent_chapters('f7', 5);
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH LAST FROM c;
FETCH FIRST FROM c;
FETCH ABSOLUTE 4 FROM c;
-- A savepoint comes and goes, and with it an error.
SAVEPOINT s;
FETCH NEXT FROM c;
SELECT 1 / 0;
ROLLBACK TO s;
FETCH RELATIVE 0 FROM c;
COMMIT;
BEGIN;
DECLARE merged CURSOR FOR SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 6);
SAVEPOINT s;
FETCH 2 FROM merged;	-- opened in the subtransaction
ROLLBACK TO s;
FETCH 2 FROM merged;
-- A schema attached again does not disturb what runs.
SELECT attach_plans();
FETCH ALL FROM merged;
-- Neither do changes of the table in the same transaction.
DECLARE stable CURSOR WITH HOLD FOR SELECT id, titre FROM recent_chapters('f7', 3);
FETCH 1 FROM stable;
DELETE FROM chapters WHERE filiere = 'f7' AND id < 4900;
FETCH 1 FROM stable;
SELECT id FROM recent_chapters('f7', 3);
ROLLBACK;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM recent_chapters('f7', 3);
FETCH 1 FROM held;
COMMIT;
FETCH ALL FROM held;
CLOSE held;

--
-- Views, SQL functions, PL/pgSQL
--
CREATE VIEW newest AS SELECT id, titre FROM recent_chapters('f7', 3);
SELECT * FROM newest;
SELECT path_of('SELECT titre FROM newest WHERE id > 0');
CREATE MATERIALIZED VIEW newest_kept AS SELECT * FROM newest;
REFRESH MATERIALIZED VIEW newest_kept;
SELECT count(*) FROM newest_kept;
CREATE FUNCTION page_of_student(student integer, n integer) RETURNS SETOF chapters
LANGUAGE sql STABLE AS $$
	SELECT r.* FROM students AS s, LATERAL recent_chapters(s.filiere, n) AS r WHERE s.id = student
$$;
SELECT path_of('SELECT id FROM page_of_student(1, 3)');
SELECT id FROM page_of_student(1, 3);
CREATE FUNCTION page_of(f varchar, n integer) RETURNS SETOF chapters
LANGUAGE sql STABLE AS 'SELECT * FROM recent_chapters(f, n)';
SELECT path_of($$ SELECT id FROM page_of('f7', 3) $$);
CREATE FUNCTION page_plpgsql(f varchar, n integer) RETURNS TABLE (way text, chapter integer)
LANGUAGE plpgsql STABLE AS $$
BEGIN
	way := 'loop';
	FOR chapter IN SELECT id FROM recent_chapters(f, n) LOOP
		RETURN NEXT;
	END LOOP;
	RETURN QUERY SELECT 'query', id FROM recent_chapters(f, n);
	way := 'expression';
	chapter := (SELECT min(id) FROM recent_chapters(f, n));
	RETURN NEXT;
	way := 'into';
	SELECT id INTO chapter FROM recent_chapters(f, n);
	RETURN NEXT;
	way := 'caught';
	BEGIN
		SELECT id INTO STRICT chapter FROM recent_chapters(f, n, before_id => 424242);
	EXCEPTION WHEN no_data_found THEN
		chapter := -1;
	END;
	RETURN NEXT;
END
$$;
SELECT * FROM page_plpgsql('f7', 2);
SELECT * FROM page_plpgsql('f8', 1);
-- A loop that commits while the scan is open.
DO $$
DECLARE
	r record;
	seen integer[];
BEGIN
	FOR r IN SELECT id FROM recent_chapters('f7', 4) LOOP
		seen := seen || r.id;
		COMMIT;
	END LOOP;
	RAISE WARNING 'seen %', seen;
END
$$;
-- A trigger sees the row that fired it.
CREATE FUNCTION newest_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'newest is %', (SELECT id FROM recent_chapters(NEW.filiere, 1));
	RETURN NULL;
END
$$;
CREATE TRIGGER newest AFTER INSERT ON chapters FOR EACH ROW EXECUTE FUNCTION newest_after_insert();
BEGIN;
INSERT INTO chapters VALUES (9000, 'f7', '2030-01-01', 'just inserted');
-- This transaction's own chapters, and those of a subtransaction undone.
SELECT id FROM recent_chapters('f7', 2);
SAVEPOINT s;
INSERT INTO chapters VALUES (9001, 'f7', '2030-01-02', 'undone');
SELECT id FROM recent_chapters('f7', 2);
DELETE FROM chapters WHERE id = 9000;
SELECT id FROM recent_chapters('f7', 2);
ROLLBACK TO s;
SELECT id FROM recent_chapters('f7', 2);
SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 2);
ROLLBACK;
DROP TRIGGER newest ON chapters;

--
-- Prepared statements outlive changes
--
EXECUTE page('f7', 2, NULL);
-- the index dropped,
DROP INDEX chapters_feed;
SELECT plan_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
EXECUTE merged('{f7,f8}', 3);
SELECT id FROM recent_chapters('f7', 2, before_at => '2024-01-01');
-- with dropped columns in the rows that the executor returns,
SELECT id, filiere, created_at, titre, left(texte, 8) AS texte FROM recent_chapters('f7', 2);
SELECT left(texte, 8) AS texte FROM (SELECT (recent_chapters('f7', 2)).*) AS r;
-- recreated, in the opposite direction,
CREATE INDEX chapters_feed ON chapters (filiere, created_at NULLS FIRST, id);
SELECT plan_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
EXECUTE page('f7', 100, 1307);
EXECUTE merged('{f7,f8}', 3);
SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 3, before_at => '2024-01-01 06:00');
-- in an order that does not help,
DROP INDEX chapters_feed;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC, id DESC);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
DROP INDEX chapters_feed;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
DROP INDEX chapters_feed;
-- on part of the rows, or on expressions,
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC) WHERE created_at IS NOT NULL;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
DROP INDEX chapters_feed;
CREATE INDEX chapters_feed ON chapters (lower(filiere), created_at DESC NULLS LAST, id DESC);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
DROP INDEX chapters_feed;
-- with columns before, behind, and included.
CREATE INDEX chapters_feed ON chapters (titre, filiere, created_at DESC NULLS LAST, id DESC);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
DROP INDEX chapters_feed;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC, titre) INCLUDE (texte);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
-- Two that fit: whichever the planner takes.
CREATE INDEX chapters_feed_2 ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
SELECT replace(path_of($$ EXECUTE page('f7', 2, NULL) $$), '_2', '') AS path_of;
DROP INDEX chapters_feed;
ALTER INDEX chapters_feed_2 RENAME TO chapters_feed;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
REINDEX INDEX chapters_feed;
EXECUTE page('f7', 2, NULL);
REINDEX INDEX CONCURRENTLY chapters_feed;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
DROP INDEX CONCURRENTLY chapters_feed;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
CREATE INDEX CONCURRENTLY chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
CLUSTER chapters USING chapters_feed;
EXECUTE page('f7', 2, NULL);
VACUUM FULL chapters;
EXECUTE page('f7', 2, NULL);
-- Columns that come, go, and change their names.
ALTER TABLE chapters ADD niveau text DEFAULT 'L1';
EXECUTE page('f7', 2, NULL);
SELECT id, niveau FROM recent_chapters('f7', 2);
PREPARE whole AS SELECT * FROM recent_chapters('f7', 1);
ALTER TABLE chapters DROP texte;
EXECUTE page('f7', 2, NULL);
EXECUTE merged('{f7,f8}', 3);
-- What names a dropped column fails as it does with a function scan.
SELECT error_of('EXECUTE whole');
SET catalogue.enable_stream = off;
DISCARD PLANS;
SELECT error_of('EXECUTE whole');
RESET catalogue.enable_stream;
DISCARD PLANS;
SELECT * FROM recent_chapters('f7', 1);
SELECT recent_chapters('f7', 1);
ALTER TABLE chapters RENAME titre TO title;
EXECUTE page('f7', 2, NULL);
SELECT id, title FROM recent_chapters('f7', 1);
DROP VIEW newest CASCADE;
PREPARE title AS SELECT id, title FROM recent_chapters('f7', 1);
EXECUTE title;
ALTER TABLE chapters ALTER title TYPE varchar(500);
SELECT error_of('EXECUTE title');
SELECT id, title FROM recent_chapters('f7', 1);
ALTER TABLE chapters ALTER created_at SET NOT NULL;	-- refused: some are undated
BEGIN;
DELETE FROM chapters WHERE created_at IS NULL;
ALTER TABLE chapters ALTER created_at SET NOT NULL;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT count(*) FROM recent_chapters('f7');
SELECT run_of($$ SELECT id FROM recent_chapters('f7', 2, before_at => '-infinity') $$);
ROLLBACK;
-- The table itself renamed: the attachment is to the table, not to its name.
ALTER TABLE chapters RENAME TO lessons;
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
EXECUTE merged('{f7,f8}', 3);
DROP INDEX chapters_feed;
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
CREATE INDEX chapters_feed ON lessons (filiere, created_at DESC NULLS LAST, id DESC);
ALTER TABLE lessons RENAME TO chapters;
EXECUTE page('f7', 2, NULL);
-- A bound column changed or dropped, in a session that has its plans.
BEGIN;
ALTER TABLE chapters RENAME created_at TO published_at;
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 2) $$);
ROLLBACK;
-- (a timestamp read as a timestamptz would be five hours off here)
BEGIN;
SET LOCAL timezone = 'America/New_York';
ALTER TABLE chapters ALTER created_at TYPE timestamptz;
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2, 9999, '2024-01-01 12:30') $$);
SELECT error_of($$ SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 2, before_at => '2024-01-01 12:30') $$);
ROLLBACK;
BEGIN;
ALTER TABLE chapters ALTER id TYPE text;
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2, 4807, '2024-01-01') $$);
ROLLBACK;
EXECUTE page('f7', 2, 4807);
BEGIN;
DROP TABLE chapters CASCADE;
SELECT left(error_of($$ EXECUTE page('f7', 2, NULL) $$), 5);
ROLLBACK;
EXECUTE page('f7', 2, NULL);

--
-- The function itself altered: no node where a call would not reach the extension's code
--
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SECURITY DEFINER;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SECURITY INVOKER;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SET work_mem = '1MB';
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) RESET ALL;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
-- A function of another kind in its place, with its name and support function.
BEGIN;
CREATE OR REPLACE FUNCTION recent_chapters(filiere text, n bigint DEFAULT 100, before_id bigint DEFAULT NULL,
	before_at timestamp DEFAULT NULL) RETURNS SETOF chapters
LANGUAGE plpgsql STABLE SUPPORT catalogue.tuple_source_support AS $$
BEGIN
	RETURN QUERY SELECT * FROM chapters AS c WHERE c.id = n;
END
$$;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
ROLLBACK;
BEGIN;
DROP FUNCTION recent_chapters(text, bigint, bigint, timestamp) CASCADE;
SELECT left(error_of($$ EXECUTE page('f7', 2, NULL) $$), 5);
ROLLBACK;
EXECUTE page('f7', 2, NULL);
-- Another name, another schema.
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) RENAME TO newest_chapters;
SELECT id FROM newest_chapters('f7', 2);
SELECT path_of($$ SELECT id FROM newest_chapters('f7', 2) $$);
ALTER FUNCTION newest_chapters(text, bigint, bigint, timestamp) RENAME TO recent_chapters;
BEGIN;
CREATE SCHEMA elsewhere;
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SET SCHEMA elsewhere;
SELECT error_of($$ SELECT id FROM elsewhere.recent_chapters('f7', 2) $$);
ROLLBACK;
-- STRICT, as a DBA might want it: a NULL argument then means no rows.
BEGIN;
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) STRICT;
SELECT count(*) FROM recent_chapters('f7', 2, 4807, NULL);
SELECT count(*) FROM recent_chapters('f7', 2, 4807, '2024-01-02');
SET LOCAL catalogue.enable_stream = off;
SELECT count(*) FROM recent_chapters('f7', 2, 4807, NULL);
ROLLBACK;

--
-- Privileges
--
CREATE ROLE regress_feed_reader;
GRANT USAGE ON SCHEMA feed_plans TO regress_feed_reader;
GRANT SELECT ON students TO regress_feed_reader;
REVOKE EXECUTE ON FUNCTION recent_chapters(text, bigint, bigint, timestamp) FROM PUBLIC;
SET ROLE regress_feed_reader;
-- EXECUTE first, also to see a plan.
EXECUTE page('f7', 2, NULL);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT recent_chapters('f7', 2) $$);
SELECT error_of($$ EXPLAIN SELECT id FROM recent_chapters('f7', 2) $$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION recent_chapters(text, bigint, bigint, timestamp) TO regress_feed_reader;
SET ROLE regress_feed_reader;
EXECUTE page('f7', 2, NULL);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 2) $$);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2, before_id => 4807) $$);
SELECT error_of($$ EXPLAIN SELECT id FROM recent_chapters('f7', 2) $$);
-- A view gives no rights that its function has not.
RESET ROLE;
CREATE VIEW newest_for_all AS SELECT id, title FROM recent_chapters('f7', 3);
GRANT SELECT ON newest_for_all TO regress_feed_reader;
SET ROLE regress_feed_reader;
SELECT error_of('SELECT id FROM newest_for_all');
RESET ROLE;
-- Columns: those that name the page, and each that the query reads.
GRANT SELECT (id, filiere, created_at) ON chapters TO regress_feed_reader;
SET ROLE regress_feed_reader;
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4807);
SELECT count(*) FROM recent_chapters('f7', 2);
SELECT id, created_at FROM recent_chapters_any(ARRAY['f7', 'f8'], 2);
SELECT error_of($$ SELECT title FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT r FROM recent_chapters('f7', 2) AS r $$);
SELECT error_of($$ SELECT recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) WHERE title <> '' $$);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) ORDER BY title $$);
SELECT error_of($$ SELECT s.id FROM students AS s JOIN recent_chapters('f7', 2) AS r ON s.filiere = r.title $$);
SELECT error_of($$ SELECT count(*) FROM students AS s, LATERAL recent_chapters(s.filiere) AS r WHERE r.title > s.filiere $$);
SELECT error_of('SELECT title FROM newest_for_all');
SELECT count(*) FROM newest_for_all;
RESET ROLE;
REVOKE SELECT (created_at) ON chapters FROM regress_feed_reader;
SET ROLE regress_feed_reader;
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
RESET ROLE;
GRANT SELECT (created_at) ON chapters TO regress_feed_reader;
-- The same rights where the executor does the work.
BEGIN;
DROP INDEX chapters_feed;
SET LOCAL ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
SELECT error_of($$ SELECT title FROM recent_chapters('f7', 2) $$);
ROLLBACK;
-- SECURITY DEFINER lends its owner's rights.
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SECURITY DEFINER;
SET ROLE regress_feed_reader;
SELECT id, title FROM recent_chapters('f7', 2);
RESET ROLE;
ALTER FUNCTION recent_chapters(text, bigint, bigint, timestamp) SECURITY INVOKER;
-- The rights of a function that runs as another: its own.
CREATE FUNCTION page_as_owner() RETURNS SETOF integer LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = feed_plans AS $$
BEGIN
	RETURN QUERY SELECT id FROM recent_chapters('f7', 2) WHERE title <> '';
END
$$;
SET ROLE regress_feed_reader;
SELECT * FROM page_as_owner();
RESET ROLE;
GRANT SELECT ON chapters TO regress_feed_reader;
SET ROLE regress_feed_reader;
SELECT id, title FROM recent_chapters('f7', 2);
SELECT recent_chapters('f7', 1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION recent_chapters(text, bigint, bigint, timestamp) TO PUBLIC;

--
-- Row-level security
--
CREATE POLICY odd ON chapters FOR SELECT TO regress_feed_reader USING (id / 100 % 2 = 1);
EXECUTE page('f7', 2, NULL);
ALTER TABLE chapters ENABLE ROW LEVEL SECURITY;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
SET ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
EXECUTE page('f7', 2, 4707);
SELECT error_of($$ EXECUTE page('f7', 2, 4807) $$);	-- a chapter that they do not see
EXECUTE merged('{f7,f8}', 3);
SELECT (recent_chapters('f7', 2)).id;
SELECT count(*) = (SELECT count(*) FROM chapters WHERE filiere = 'f7') AS same FROM recent_chapters('f7', 1000);
SET row_security = off;
SELECT error_of($$ EXECUTE page('f7', 2, NULL) $$);
RESET row_security;
RESET ROLE;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
EXECUTE page('f7', 2, NULL);
ALTER TABLE chapters FORCE ROW LEVEL SECURITY;	-- a superuser is still above it
EXECUTE page('f7', 2, NULL);
-- Policies that the planner turns into something else than a filter.
DROP POLICY odd ON chapters;
SET ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT count(*) FROM recent_chapters('f7');
RESET ROLE;
CREATE POLICY own_filiere ON chapters FOR SELECT TO regress_feed_reader USING (filiere = 'f7');
SET ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT count(*) FROM recent_chapters('f7');
SELECT count(*) FROM recent_chapters('f8');
SELECT count(*) FROM recent_chapters_any(ARRAY['f7', 'f8']);
RESET ROLE;
DROP POLICY own_filiere ON chapters;
CREATE POLICY recent ON chapters FOR SELECT TO regress_feed_reader USING (created_at >= timestamp '2024-01-02' AND id > 4000);
SET ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT count(*), min(id) FROM recent_chapters('f7');
RESET ROLE;
DROP POLICY recent ON chapters;
CREATE POLICY everything ON chapters FOR SELECT TO regress_feed_reader USING (true);
SET ROLE regress_feed_reader;
SELECT path_of($$ EXECUTE page('f7', 2, NULL) $$);
SELECT count(*) FROM recent_chapters('f7');
RESET ROLE;
-- A policy changed between executions.
ALTER POLICY everything ON chapters USING (id < 2000);
SET ROLE regress_feed_reader;
EXECUTE page('f7', 2, NULL);
RESET ROLE;
DROP POLICY everything ON chapters;
ALTER TABLE chapters DISABLE ROW LEVEL SECURITY;
SET ROLE regress_feed_reader;
EXECUTE page('f7', 2, NULL);
RESET ROLE;

--
-- SERIALIZABLE: the locks of an index scan
--
CREATE FUNCTION predicate_locks() RETURNS TABLE (locktype text, relation text, locks bigint) LANGUAGE sql AS $$
	SELECT l.locktype, l.relation::regclass::text, count(*) FROM pg_locks AS l
	WHERE l.mode = 'SIReadLock' AND l.pid = pg_backend_pid() AND l.relation::regclass::text ~ '^chapters'
	GROUP BY 1, 2 ORDER BY 1, 2
$$;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM recent_chapters('f7', 5);
SELECT * FROM predicate_locks();
COMMIT;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM (SELECT id, title FROM chapters WHERE filiere = 'f7' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5) AS plain;
SELECT * FROM predicate_locks();
COMMIT;
-- What is not there is locked too.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM recent_chapters('unknown');
SELECT * FROM predicate_locks();
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM (SELECT title FROM chapters WHERE filiere = 'unknown' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 100) AS plain;
SELECT * FROM predicate_locks();
COMMIT;
RESET enable_seqscan;
RESET enable_bitmapscan;
BEGIN READ ONLY;
EXECUTE page('f7', 2, 4807);
COMMIT;
-- Locks that last to the end of the transaction, as a query's do.
BEGIN;
EXECUTE page('f7', 2, NULL);
SELECT relation::regclass, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND relation::regclass::text ~ '^chapters' AND mode <> 'SIReadLock' ORDER BY 1, 2;
COMMIT;

--
-- Parallel plans around it
--
-- The setting that forces them was renamed in 16.
SELECT set_config(name, 'on', false) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT path_of($$ SELECT id FROM recent_chapters('f7', 2) $$);
SELECT count(*) FILTER (WHERE l LIKE '%Gather%') AS gathers FROM plan_of($$ SELECT id FROM recent_chapters('f7', 2) $$) AS l;
SELECT id FROM recent_chapters('f7', 2);
SELECT id FROM recent_chapters('f7', 2, before_id => 4807);
SELECT id FROM recent_chapters_any(ARRAY['f7', 'f8'], 3);
SELECT count(*) FROM recent_chapters('f7') AS r JOIN chapters USING (id);
EXECUTE page('f7', 2, 4807);
SELECT error_of($$ SELECT id FROM recent_chapters('f7', -1) $$);
SET catalogue.enable_stream = off;
SELECT id FROM recent_chapters('f7', 2);
RESET catalogue.enable_stream;
SELECT set_config(name, 'off', false) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

--
-- Other kinds of tables: what plain SQL gives
--
DEALLOCATE ALL;
CREATE FUNCTION same_as_plain(schema text) RETURNS TABLE (call text, path text, rows bigint, same boolean) LANGUAGE plpgsql AS $$
DECLARE
	condition text;
BEGIN
	FOR call, condition IN VALUES
		('''f7'', 1000', 'filiere = ''f7'''),
		('''f7'', 1000, before_id => 4207',
			'filiere = ''f7'' AND ((created_at, id) < (SELECT created_at, id FROM %1$I.chapters WHERE id = 4207) OR created_at IS NULL)'),
		('''f7'', 1000, before_id => 4007', 'filiere = ''f7'' AND created_at IS NULL AND id < 4007'),
		('''f7'', 1000, before_at => ''2024-01-01 12:00''', 'filiere = ''f7'' AND (created_at < ''2024-01-01 12:00'' OR created_at IS NULL)'),
		('ARRAY[''f7'', ''f8''], 1000', 'filiere IN (''f7'', ''f8'')')
	LOOP
		call := CASE WHEN call LIKE 'ARRAY%' THEN 'recent_chapters_any(' ELSE 'recent_chapters(' END || call || ')';
		EXECUTE format('SELECT count(*), array_agg(id) IS NOT DISTINCT FROM (
				SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM %1$I.chapters WHERE ' || condition || ')
			FROM %1$I.%2$s', schema, call) INTO rows, same;
		path := path_of(format('SELECT id FROM %I.%s', schema, call));
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT * FROM same_as_plain('feed_plans');

CREATE SCHEMA feed_partitioned;
CREATE TABLE feed_partitioned.chapters (LIKE chapters, PRIMARY KEY (id, filiere)) PARTITION BY LIST (filiere);
CREATE TABLE feed_partitioned.one PARTITION OF feed_partitioned.chapters FOR VALUES IN ('f7');
CREATE TABLE feed_partitioned.rest PARTITION OF feed_partitioned.chapters DEFAULT;
INSERT INTO feed_partitioned.chapters SELECT * FROM chapters;
CREATE INDEX ON feed_partitioned.chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE feed_partitioned.chapters;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_partitioned', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT * FROM same_as_plain('feed_partitioned');
-- A single partition: the planner may do without its parent.
DROP TABLE feed_partitioned.rest;
SELECT rows, same FROM same_as_plain('feed_partitioned');
DROP TABLE feed_partitioned.one;
SELECT id FROM feed_partitioned.recent_chapters('f7');
SELECT error_of($$ SELECT id FROM feed_partitioned.recent_chapters('f7', before_id => 4007) $$);

CREATE SCHEMA feed_inherited;
CREATE TABLE feed_inherited.chapters (LIKE chapters INCLUDING INDEXES);
INSERT INTO feed_inherited.chapters SELECT * FROM chapters WHERE id % 3 > 0;
ANALYZE feed_inherited.chapters;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_inherited', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT * FROM same_as_plain('feed_inherited');
-- A child is added, whose rows are the parent's too; then it is dropped.
CREATE TABLE feed_inherited.child (extra text) INHERITS (feed_inherited.chapters);
INSERT INTO feed_inherited.child SELECT *, 'x' FROM chapters WHERE id % 3 = 0;
CREATE INDEX ON feed_inherited.child (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE feed_inherited.child;
SELECT * FROM same_as_plain('feed_inherited');
DROP TABLE feed_inherited.child;
SELECT * FROM same_as_plain('feed_inherited') LIMIT 1;
-- The child itself attached, its columns in an order of its own.
CREATE SCHEMA feed_child;
CREATE TABLE feed_child.parent (id integer, title text, filiere varchar(20));
CREATE TABLE feed_child.chapters (created_at timestamp, filiere varchar(20), PRIMARY KEY (id)) INHERITS (feed_child.parent);
INSERT INTO feed_child.chapters (id, title, filiere, created_at) SELECT id, title, filiere, created_at FROM chapters;
CREATE INDEX ON feed_child.chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE feed_child.chapters;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_child', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT * FROM same_as_plain('feed_child');
-- An unlogged table.
CREATE SCHEMA feed_unlogged;
CREATE UNLOGGED TABLE feed_unlogged.chapters (LIKE chapters INCLUDING INDEXES);
INSERT INTO feed_unlogged.chapters SELECT * FROM chapters;
ANALYZE feed_unlogged.chapters;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_unlogged', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT rows, same FROM same_as_plain('feed_unlogged');
-- Without rows.
TRUNCATE feed_unlogged.chapters;
SELECT id FROM feed_unlogged.recent_chapters('f7', before_at => '2024-01-01');
SELECT error_of($$ SELECT * FROM feed_unlogged.recent_chapters('f7', before_id => 1) $$);
-- Without statistics, and with a single row: a sequential scan is as good.
CREATE SCHEMA feed_small;
CREATE TABLE feed_small.chapters (LIKE chapters INCLUDING INDEXES);
INSERT INTO feed_small.chapters SELECT * FROM chapters WHERE id = 4007;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_small', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT id FROM feed_small.recent_chapters('f7');
ANALYZE feed_small.chapters;
SELECT id FROM feed_small.recent_chapters('f7');
SELECT id FROM feed_small.recent_chapters_any(ARRAY['f7', 'f8'], before_at => '2030-01-01');

DROP SCHEMA feed_partitioned, feed_inherited, feed_child, feed_unlogged, feed_small CASCADE;
DROP OWNED BY regress_feed_reader;
DROP ROLE regress_feed_reader;
DROP SCHEMA feed_plans CASCADE;
