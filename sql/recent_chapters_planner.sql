--
-- Not under debug_discard_caches: dozens of calls of the feed.
-- recent_chapters: what the planner knows of a call, that is order, rows and statistics
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS catalogue;
CREATE SCHEMA feed_planner;
SET search_path = feed_planner, public;
SET datestyle = 'ISO, MDY';
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE matieres (id integer PRIMARY KEY, nom text NOT NULL);
INSERT INTO matieres SELECT i, 'matiere ' || i FROM generate_series(1, 1000) AS i;
CREATE TABLE chapters (
	id integer PRIMARY KEY,
	filiere varchar(20) NOT NULL,
	matiere_id integer NOT NULL REFERENCES matieres,
	created_at timestamp,
	niveau text NOT NULL,
	texte text NOT NULL
);
-- A third of the chapters are of one filiere, the rest of 400; half are of one level.
INSERT INTO chapters
SELECT i, CASE WHEN i % 3 = 0 THEN 'crowd' ELSE 'f' || i % 400 END, i % 1000 + 1,
	CASE WHEN i % 10 > 0 THEN timestamp '2024-01-01' + i / 4 * interval '1 hour' END,
	CASE WHEN i % 2 = 0 THEN 'L1' ELSE 'N' || i END, repeat(md5(i::text), 20)
FROM generate_series(1, 12000) AS i;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
VACUUM ANALYZE chapters, matieres;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_planner',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');

/* The plan of a statement, without what differs from one server version to the next. */
CREATE FUNCTION plan_of(statement text, options text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF%s) %s', options, statement) LOOP
		CONTINUE WHEN line ~ '^ *(Index Searches|Heap Fetches|Storage|Window|Buffers|Disabled|Planning|Execution)';
		RETURN NEXT regexp_replace(line, 'rows=(\d+)\.\d+', 'rows=\1');
	END LOOP;
END
$$;
CREATE FUNCTION estimate_of(statement text) RETURNS TABLE (rows bigint, width bigint) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
	RETURN QUERY SELECT (plan #>> '{0,Plan,Plan Rows}')::bigint, (plan #>> '{0,Plan,Plan Width}')::bigint;
END
$$;

--
-- Order: what repeats the feed's costs nothing
--
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST, id DESC $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST $$);
SELECT plan_of($$ SELECT id FROM recent_chapters_any('{f1,f2}', 20) ORDER BY created_at DESC NULLS LAST, id DESC $$);
SELECT plan_of($$ SELECT row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) FROM recent_chapters('f1', 20) $$);
SELECT plan_of($$ SELECT DISTINCT ON (created_at) id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST, id DESC $$);
-- A LIMIT above ends the work.
SELECT plan_of($$ SELECT id FROM recent_chapters('f2', NULL) ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5 $$,
	', ANALYZE, TIMING OFF, SUMMARY OFF');
-- A longer order sorts within equal values, another one sorts all.
SELECT plan_of($$ SELECT id FROM recent_chapters('crowd', NULL) ORDER BY created_at DESC NULLS LAST, id DESC, niveau $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY id DESC $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST, niveau $$);
-- One time alone: the rest of the order is the ids'.
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) WHERE created_at = '2024-01-01 01:00' ORDER BY id DESC $$);
-- Joins keep it.
SET enable_hashjoin = off;
SET enable_material = off;
SELECT plan_of($$ SELECT c.id, m.nom FROM recent_chapters('f1', 20) AS c JOIN matieres AS m ON m.id = c.matiere_id
	ORDER BY created_at DESC NULLS LAST, c.id DESC LIMIT 5 $$);
RESET enable_hashjoin;
RESET enable_material;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT plan_of($$ SELECT a.id FROM recent_chapters('f1', 20) AS a JOIN recent_chapters('f2', 20) AS b USING (created_at) $$);
SELECT count(*), array_agg(created_at ORDER BY created_at DESC) = array_agg(created_at) AS ordered
FROM recent_chapters('f1', 20) AS a JOIN recent_chapters('f2', 20) AS b USING (created_at);
RESET enable_hashjoin;
RESET enable_nestloop;
-- In a generic plan, and for the pages of others' rows.
PREPARE ordered(text) AS SELECT id FROM recent_chapters($1, 20) ORDER BY created_at DESC NULLS LAST, id DESC;
SET plan_cache_mode = force_generic_plan;
SELECT plan_of($$ EXECUTE ordered('f1') $$);
RESET plan_cache_mode;
SELECT plan_of($$ SELECT r.id FROM (VALUES ('f1')) AS s (f), LATERAL (
	SELECT * FROM recent_chapters(s.f, 20) ORDER BY created_at DESC NULLS LAST LIMIT 3) AS r $$);
-- Where the executor reads the table too.
BEGIN;
DROP INDEX chapters_feed;
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST, id DESC $$);
ROLLBACK;
-- Where a time is never NULL, NULLs are first and last; and no longer, when it may be.
BEGIN;
DELETE FROM chapters WHERE created_at IS NULL;
ALTER TABLE chapters ALTER created_at SET NOT NULL;
PREPARE nulls_first AS SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC, id DESC;
SELECT plan_of($$ EXECUTE nulls_first $$);
SELECT plan_of($$ SELECT id FROM recent_chapters('f1', 20) ORDER BY created_at DESC NULLS LAST, id DESC NULLS LAST $$);
ALTER TABLE chapters ALTER created_at DROP NOT NULL;
SELECT plan_of($$ EXECUTE nulls_first $$);
ROLLBACK;
DEALLOCATE ALL;
-- Rows that come in the order that is promised.
SELECT count(*), array_agg(id) = array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) AS ordered
FROM recent_chapters_any('{f1,f2,crowd}', NULL);

--
-- Rows: those of the filiere that is named
--
CREATE FUNCTION is_about(estimate bigint, actual bigint) RETURNS boolean LANGUAGE sql AS $$
	SELECT estimate BETWEEN 0.7 * actual - 5 AND 1.4 * actual + 5
$$;
SELECT f AS filiere, is_about(e.rows, count(*)) AS about
FROM unnest(ARRAY['crowd', 'f1', 'f2']) AS f
JOIN chapters AS c ON c.filiere = f,
LATERAL estimate_of(format('SELECT id FROM recent_chapters(%L, NULL)', f)) AS e
GROUP BY f, e.rows ORDER BY f;
SELECT is_about(rows, 4000 + 30) AS an_array FROM estimate_of($$ SELECT id FROM recent_chapters_any('{crowd,f1}', NULL) $$);
SELECT rows FROM estimate_of($$ SELECT id FROM recent_chapters('crowd', 50) $$);
SELECT rows FROM estimate_of($$ SELECT id FROM recent_chapters_any(NULL, NULL) $$);
-- Widths: the columns' own.
SELECT p.rows = f.rows AS rows, p.width = f.width AS width
FROM estimate_of('SELECT id, texte FROM (SELECT * FROM chapters WHERE filiere = ''f1''
	ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 20) AS c') AS p,
estimate_of('SELECT id, texte FROM recent_chapters(''f1'', 20)') AS f;
-- Columns: the table's statistics, in filters and groups.
SELECT p.rows = f.rows AS same
FROM unnest(ARRAY['niveau = ''L1''', 'niveau = ''N1''', 'niveau > ''M''', 'created_at IS NULL', 'matiere_id < 100']) AS condition,
LATERAL estimate_of(format('SELECT id FROM (SELECT * FROM chapters WHERE filiere = ''crowd''
	ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1000) AS c WHERE %s', condition)) AS p,
LATERAL estimate_of(format('SELECT id FROM recent_chapters(''crowd'', 1000) WHERE %s', condition)) AS f;

--
-- Joins get the plan that they get with the page by hand.
--
/* A plan's nodes, the page itself as one. */
CREATE FUNCTION shape(plan jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN plan ->> 'Node Type' = 'Custom Scan'
		OR plan ->> 'Node Type' IN ('Limit', 'Subquery Scan') AND plan #>> '{Plans,0,Node Type}' IN ('Limit', 'Index Scan')
		THEN 'page'
	ELSE concat(plan ->> 'Node Type', ' ', plan ->> 'Index Name', '(' || (
		SELECT string_agg(shape(child), ', ' ORDER BY i)
		FROM jsonb_array_elements(plan -> 'Plans') WITH ORDINALITY AS children (child, i)) || ')')
	END
$$;
CREATE FUNCTION shape_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
	RETURN shape(plan #> '{0,Plan}');
END
$$;
CREATE TABLE shapes AS
SELECT f.filiere, n.n, q.i, shape_of(format(q.query, format('recent_chapters(%L, %s)', filiere, n))) AS ours,
	shape_of(format(q.query, format('(SELECT * FROM chapters WHERE filiere = %L
		ORDER BY created_at DESC NULLS LAST, id DESC LIMIT %s)', filiere, n))) AS by_hand
FROM unnest(ARRAY['f1', 'f2']) AS f (filiere), unnest(ARRAY[1, 5, 20, 100]) AS n (n), unnest(ARRAY[
	'SELECT c.id, m.nom FROM %s AS c JOIN matieres AS m ON m.id = c.matiere_id',
	'SELECT c.id, m.nom FROM %s AS c LEFT JOIN matieres AS m ON m.id = c.matiere_id WHERE c.niveau = ''L1''',
	'SELECT m.nom, count(*) FROM %s AS c JOIN matieres AS m ON m.id = c.matiere_id GROUP BY m.nom',
	'SELECT c.id, d.id FROM %s AS c JOIN chapters AS d ON d.matiere_id = c.matiere_id',
	'SELECT m.nom FROM matieres AS m WHERE EXISTS (SELECT FROM %s AS c WHERE c.matiere_id = m.id)'
]) WITH ORDINALITY AS q (query, i);
SELECT count(*) FILTER (WHERE ours = by_hand) AS alike, count(*) FILTER (WHERE ours <> by_hand) AS different,
	count(DISTINCT ours) >= 5 AS various FROM shapes;
SELECT * FROM shapes WHERE ours <> by_hand;

DROP SCHEMA feed_planner CASCADE;

-- Planning may run a function that calls the feed of another schema: the planner goes
-- on with the indexes of the first.  The function is the predicate's of an index, which
-- a session evaluates once: so a new one.
CREATE SCHEMA feed_called;
CREATE TABLE feed_called.chapters (id integer PRIMARY KEY, filiere text NOT NULL, created_at timestamp NOT NULL);
CREATE INDEX feed ON feed_called.chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE SCHEMA feed_nested;
CREATE TABLE feed_nested.chapters (id integer PRIMARY KEY, filiere text NOT NULL, created_at timestamp NOT NULL, texte text);
INSERT INTO feed_nested.chapters SELECT i, 'f' || i * 7919 % 1009 % 3, timestamp '2024-01-01' + i * interval '1 minute', repeat('x', 200)
FROM generate_series(1, 20000) AS i;
CREATE INDEX feed ON feed_nested.chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE INDEX newest ON feed_nested.chapters (created_at DESC NULLS LAST, id DESC);
SELECT FROM unnest(ARRAY['feed_called', 'feed_nested']) AS s,
	catalogue.attach(s::name, jsonb_build_object('chapters', jsonb_build_object('relation', s || '.chapters', 'filiere', 'filiere', 'author', NULL)));
CREATE FUNCTION feed_nested.three() RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM feed_called.recent_chapters('f1');
	RETURN 3;
END $$;
CREATE INDEX partial ON feed_nested.chapters (id) WHERE id > feed_nested.three();
ANALYZE feed_nested.chapters;
\c -
EXPLAIN (COSTS OFF) SELECT id FROM feed_nested.recent_chapters('f1', 3);
SET client_min_messages = warning;
DROP SCHEMA feed_called, feed_nested CASCADE;
