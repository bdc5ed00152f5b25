--
-- recent_chapters: queries that are planned while the reference query is
--
-- The planner evaluates the predicates of indexes, and a function in one may plan
-- queries of its own.  They see the session's settings and every index of their tables.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS catalogue;
CREATE SCHEMA feed_nested;
SET search_path = feed_nested, public;

CREATE TABLE other (id integer PRIMARY KEY);
INSERT INTO other SELECT generate_series(1, 10000);
VACUUM ANALYZE other;

/* Notes which plan two queries get: by an index, and one that reads and sorts all. */
CREATE FUNCTION note_plans() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	by_id json;
	sorted json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) SELECT id FROM feed_nested.other WHERE id = 1' INTO by_id;
	EXECUTE 'EXPLAIN (FORMAT JSON) SELECT id FROM feed_nested.other ORDER BY -id' INTO sorted;
	PERFORM set_config('feed_nested.plans', format('%s, %s%s',
		by_id #>> '{0,Plan,Node Type}', sorted #>> '{0,Plan,Node Type}',
		CASE WHEN (sorted #>> '{0,Plan,Total Cost}')::float8 > 1e9 OR sorted::text ~ '"Disabled": true'
			THEN ' disabled' END), false);
END
$$;
CREATE FUNCTION noted(titre text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM feed_nested.note_plans();
	RETURN titre <> '';
END
$$;

CREATE TABLE chapters (id integer PRIMARY KEY, filiere text NOT NULL, created_at timestamp NOT NULL, titre text);
INSERT INTO chapters
SELECT i, 'f' || i % 10, timestamp '2026-01-01' + i * interval '1 hour', 'chapter ' || i
FROM generate_series(1, 1000) AS i;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE INDEX chapters_noted ON chapters (titre) WHERE noted('a constant');
VACUUM ANALYZE chapters;
SELECT count(*) > 0 AS attached FROM catalogue.attach('feed_nested',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');

-- In a session that has read none of these indexes yet.
\c -
SET search_path = feed_nested, public;
SELECT current_setting('feed_nested.plans', true) AS before;
SELECT id FROM recent_chapters('f1', 3);
SELECT current_setting('feed_nested.plans', true) AS meanwhile;
SELECT name, setting FROM pg_settings WHERE name IN ('enable_seqscan', 'enable_sort') ORDER BY name;
EXPLAIN (COSTS OFF) SELECT id FROM recent_chapters('f1', 3);

SET client_min_messages = warning;
DROP SCHEMA feed_nested CASCADE;
