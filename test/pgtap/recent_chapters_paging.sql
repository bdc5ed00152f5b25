-- Not under debug_discard_caches: hundreds of calls of the feed.
/*
 * The property that paging relies on: for any data, the pages of a feed one
 * after the other are the plain ordered query, nothing repeated and nothing
 * left out, whatever the page size and however a call is run.
 *
 * Data: few distinct times, so that ties are long and reach over pages; a
 * fifth undated; dead rows of deletions; two tenants that share their
 * filieres' names, one of them with its columns in another order, other types,
 * and an index read backward.  All is drawn from a seed, which the test's name
 * shows.
 */
SET client_min_messages = warning;
SET jit = off;	-- a disabled scan looks too costly not to compile

BEGIN;
CREATE EXTENSION catalogue;
CREATE SCHEMA first_tenant;
CREATE SCHEMA second_tenant;
CREATE TABLE first_tenant.chapters (id integer PRIMARY KEY, filiere varchar(20) NOT NULL, created_at timestamp, titre text);
CREATE TABLE second_tenant.chapters (titre text, created_at timestamptz, dropped integer, id text COLLATE "C" PRIMARY KEY, filiere text NOT NULL);
ALTER TABLE second_tenant.chapters DROP dropped;

-- One of 0 .. n - 1, the same for the same key.
CREATE FUNCTION pg_temp.draw(key text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
	SELECT mod(('x' || left(md5(key), 7))::bit(28)::integer, n);
$$;

/* Fills both tenants from a seed; the filieres asked for are a, b and c of many. */
CREATE FUNCTION pg_temp.fill(seed integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP INDEX IF EXISTS first_tenant.feed, second_tenant.feed;
	DELETE FROM first_tenant.chapters;
	DELETE FROM second_tenant.chapters;
	INSERT INTO first_tenant.chapters
	SELECT i, chr(ascii('a') + pg_temp.draw(seed || 'filiere' || i, 12)),
		CASE WHEN pg_temp.draw(seed || 'undated' || i, 5) > 0
			THEN timestamp '2024-03-30 22:00' + pg_temp.draw(seed || 'at' || i, 12) * interval '10 minutes'
				+ pg_temp.draw(seed || 'microseconds' || i, 2) * interval '1 microsecond' END,
		'chapter ' || i
	FROM generate_series(-400, 400) AS i
	ORDER BY md5(seed || 'order' || i);
	INSERT INTO second_tenant.chapters (id, filiere, created_at, titre)
	SELECT md5(seed || 'id' || i), chr(ascii('a') + pg_temp.draw(seed || 'second filiere' || i, 12)),
		CASE WHEN pg_temp.draw(seed || 'second undated' || i, 5) > 0
			THEN timestamptz '2024-03-30 22:00+00' + pg_temp.draw(seed || 'second at' || i, 12) * interval '10 minutes' END,
		'chapter ' || i
	FROM generate_series(1, 800) AS i;
	DELETE FROM first_tenant.chapters WHERE pg_temp.draw(seed || 'deleted' || id, 4) = 0;
	DELETE FROM second_tenant.chapters WHERE pg_temp.draw(seed || 'deleted' || id, 4) = 0;
	CREATE INDEX feed ON first_tenant.chapters (filiere, created_at DESC NULLS LAST, id DESC);
	CREATE INDEX feed ON second_tenant.chapters (filiere, created_at NULLS FIRST, id);
	ANALYZE first_tenant.chapters, second_tenant.chapters;
END
$$;

/* The function that takes an argument: a filiere, or an array of them. */
CREATE FUNCTION pg_temp.function(filieres text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN filieres LIKE '''{%' THEN 'recent_chapters_any' ELSE 'recent_chapters' END;
$$;

/*
 * All pages of a feed, one after the other.  Each begins after the last
 * chapter of the one before, by its id, or by its id and time in every other
 * page where it has one.  2,000 pages are enough: beyond, they repeat themselves.
 */
CREATE FUNCTION pg_temp.pages(tenant text, filieres text, page_size integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	ids text[] := '{}';
	page text[];
	last_at text;
	at_argument text;
BEGIN
	FOR i IN 1 .. 2000 LOOP
		at_argument := CASE WHEN i % 2 = 0 AND last_at IS NOT NULL THEN format(', before_at => %L', last_at) ELSE '' END;
		EXECUTE format('SELECT array_agg(id::text), (array_agg(created_at::text))[count(*)]
			FROM %I.%I(%s, %s, before_id => %L%s)',
			tenant, pg_temp.function(filieres), filieres, page_size, ids[cardinality(ids)], at_argument)
		INTO page, last_at;
		EXIT WHEN page IS NULL;
		ids := ids || page;
		EXIT WHEN cardinality(page) < page_size;
	END LOOP;
	RETURN ids;
END
$$;

/* The plain query. */
CREATE FUNCTION pg_temp.ordered(tenant text, filieres text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	ids text[];
BEGIN
	EXECUTE format('SELECT array_agg(id::text ORDER BY created_at DESC NULLS LAST, id DESC) FROM %I.chapters WHERE filiere = ANY ($1)', tenant)
	INTO ids USING filieres;
	RETURN ids;
END
$$;

/* How a call is run, by EXPLAIN. */
CREATE FUNCTION pg_temp.path(tenant text, filieres text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	path text := '';
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id, created_at FROM %I.%I(%s, 7)', tenant, pg_temp.function(filieres), filieres) LOOP
		path := path || line || E'\n';
	END LOOP;
	RETURN CASE WHEN path ~ 'Catalogue Stream.*Index Cond' THEN 'stream'
		WHEN path ~ 'Not Streamed' THEN 'executor'
		WHEN path ~ 'Function Scan' THEN 'function scan' END;
END
$$;

/* Has calls run in one of the ways; "few scans" is a stream that has to put filieres off. */
CREATE FUNCTION pg_temp.run_as(way text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('catalogue.enable_stream', CASE way WHEN 'function scan' THEN 'off' ELSE 'on' END, true);
	PERFORM set_config('enable_indexscan', CASE way WHEN 'executor' THEN 'off' ELSE 'on' END, true);
	PERFORM set_config('work_mem', CASE way WHEN 'few scans' THEN '64kB' ELSE '4MB' END, true);
	PERFORM set_config('enable_bitmapscan', 'off', true);
	PERFORM set_config('enable_seqscan', CASE way WHEN 'executor' THEN 'on' ELSE 'off' END, true);
	DISCARD PLANS;
END
$$;

SELECT * FROM no_plan();
SELECT count(*) AS attached FROM catalogue.attach('first_tenant', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
SELECT count(*) AS attached FROM catalogue.attach('second_tenant', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset

/* Every combination for one seed and some ways to run a call. */
CREATE FUNCTION pg_temp.properties(seed integer, ways text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	way text;
	tenant text;
	filieres text[];
	argument text;
	want text[];
	page_size integer;
BEGIN
	PERFORM pg_temp.fill(seed);
	FOREACH way IN ARRAY ways LOOP
		PERFORM pg_temp.run_as(way);
		FOREACH tenant IN ARRAY ARRAY['first_tenant', 'second_tenant'] LOOP
			FOR filieres, argument IN VALUES
				(ARRAY['a'], '''a'''),
				(ARRAY['a', 'b', 'c'], '''{c,a,NULL,b,a,unknown}''')
			LOOP
				RETURN NEXT is(pg_temp.path(tenant, argument), CASE way WHEN 'few scans' THEN 'stream' ELSE way END,
					format('seed %s, %s, %s: runs by %s', seed, tenant, filieres, way));
				want := pg_temp.ordered(tenant, filieres);
				RETURN NEXT cmp_ok(cardinality(want), '>', 20, format('seed %s, %s, %s: has chapters', seed, tenant, filieres));
				FOREACH page_size IN ARRAY ARRAY[1, 7, 100] LOOP
					RETURN NEXT is(pg_temp.pages(tenant, argument, page_size), want,
						format('seed %s, %s, %s, %s: pages of %s', seed, tenant, filieres, way, page_size));
				END LOOP;
			END LOOP;
		END LOOP;
	END LOOP;
	PERFORM pg_temp.run_as('stream');
END
$$;

SELECT pg_temp.properties(1, '{stream,few scans,function scan,executor}');
SELECT pg_temp.properties(2, '{stream,few scans,function scan,executor}');

/*
 * A reader whose chapters are deleted once they are read, the last one of each
 * page with them, continues by position and still gets every chapter once.
 */
CREATE FUNCTION pg_temp.pages_deleting(page_size integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	ids text[] := '{}';
	page text[];
	at timestamp;
	last integer;
BEGIN
	-- Up to the undated tail, where a position has no time to name.
	LOOP
		SELECT array_agg(id::text ORDER BY i), (array_agg(id ORDER BY i))[count(*)], (array_agg(created_at ORDER BY i))[count(*)]
		INTO page, last, at
		FROM (SELECT id, created_at, row_number() OVER () AS i
			FROM first_tenant.recent_chapters('a', page_size, last, at)) AS p
		WHERE created_at IS NOT NULL;
		EXIT WHEN page IS NULL;
		ids := ids || page;
		DELETE FROM first_tenant.chapters WHERE id::text = ANY (page);
	END LOOP;
	RETURN ids;
END
$$;
SAVEPOINT before_deletions;
CREATE TEMP TABLE dated AS
SELECT array_agg(id::text ORDER BY created_at DESC, id DESC) AS ids FROM first_tenant.chapters WHERE filiere = 'a' AND created_at IS NOT NULL;
SELECT is(pg_temp.pages_deleting(7), ids, 'pages deleted as they are read: none repeated, none skipped') FROM dated;
SELECT is((SELECT count(*) FROM first_tenant.recent_chapters('a', 1000) WHERE created_at IS NOT NULL), 0::bigint,
	'and nothing dated is left');
ROLLBACK TO before_deletions;

-- Chapters of the two tenants never meet.
SELECT is((SELECT count(*) FROM first_tenant.recent_chapters('a', 10000) AS r WHERE NOT EXISTS (
	SELECT FROM first_tenant.chapters AS c WHERE c.id = r.id AND c.filiere = 'a')), 0::bigint, 'first tenant: its own chapters');
SELECT is((SELECT count(*) FROM second_tenant.recent_chapters('a', 10000) AS r WHERE NOT EXISTS (
	SELECT FROM second_tenant.chapters AS c WHERE c.id = r.id AND c.filiere = 'a')), 0::bigint, 'second tenant: its own chapters');

SELECT * FROM finish();
ROLLBACK;
