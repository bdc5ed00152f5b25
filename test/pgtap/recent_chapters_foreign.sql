/*
 * recent_chapters over a foreign table: what plain SQL gives, by the foreign
 * data wrapper's own plan.  The other server is this one, through
 * postgres_fdw; without that module there is nothing to test.
 */
SET client_min_messages = warning;

SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw') AS has_postgres_fdw \gset
\if :has_postgres_fdw
\else
SELECT plan(1);
SELECT skip('postgres_fdw is not installed', 1);
SELECT * FROM finish();
\quit
\endif

-- The foreign session sees what is committed, so there is no transaction
-- around all this: the database is the test's own.
SELECT plan(18);
CREATE EXTENSION catalogue;
CREATE EXTENSION postgres_fdw;
CREATE TABLE public.chapters (id integer PRIMARY KEY, filiere varchar(20) NOT NULL, created_at timestamp, titre text);
INSERT INTO public.chapters
SELECT i, 'f' || i % 20, CASE WHEN i % 7 > 0 THEN timestamp '2024-01-01' + i / 60 * interval '1 hour' END, 'chapter ' || i
FROM generate_series(1, 2000) AS i;
CREATE INDEX ON public.chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE public.chapters;
SELECT format('CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
	trim(split_part(current_setting('unix_socket_directories'), ',', 1)), current_setting('port'), current_database()) \gexec
SELECT format('CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user %L)', current_user) \gexec
CREATE SCHEMA far;
CREATE FOREIGN TABLE far.chapters (id integer NOT NULL, filiere varchar(20) NOT NULL, created_at timestamp, titre text)
	SERVER other OPTIONS (schema_name 'public');
SELECT count(*) AS attached FROM catalogue.attach('far', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset

CREATE FUNCTION pg_temp.ids(calls text) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
	ids integer[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM far.%s(%s)',
		CASE WHEN calls LIKE '%ARRAY%' THEN 'recent_chapters_any' ELSE 'recent_chapters' END, calls) INTO ids;
	RETURN ids;
END
$$;

CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement;
END
$$;
SELECT is((SELECT string_agg(l, E'\n') FROM pg_temp.plan_of($$ SELECT id FROM far.recent_chapters('f7') $$) AS l),
	E'Custom Scan (Catalogue Stream)\n  Function: recent_chapters\n  Not Streamed: the table is foreign',
	'EXPLAIN says that the table is foreign');
SELECT is(pg_temp.ids($$ 'f7', 1000 $$),
	(SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM public.chapters WHERE filiere = 'f7'), 'a filiere');
SELECT is(pg_temp.ids($$ 'f7', 5 $$),
	(SELECT array_agg(id) FROM (SELECT id FROM public.chapters WHERE filiere = 'f7' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5) AS p),
	'a page');
SELECT is(pg_temp.ids($$ 'f7', 1000, before_id => 1007 $$),
	(SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM public.chapters
	WHERE filiere = 'f7' AND ((created_at, id) < (SELECT created_at, id FROM public.chapters WHERE id = 1007) OR created_at IS NULL)),
	'after a dated chapter');
SELECT is(pg_temp.ids($$ 'f7', 1000, before_id => 987 $$),
	(SELECT array_agg(id ORDER BY id DESC) FROM public.chapters WHERE filiere = 'f7' AND created_at IS NULL AND id < 987),
	'after an undated chapter');
SELECT is(pg_temp.ids($$ ARRAY['f7', 'f8', NULL, 'f7'], 1000 $$),
	(SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC) FROM public.chapters WHERE filiere IN ('f7', 'f8')),
	'several filieres');
SELECT is((SELECT array_agg((r).id) FROM (SELECT far.recent_chapters('f7', 3) AS r) AS s), pg_temp.ids($$ 'f7', 3 $$),
	'in a select list');
SELECT is((SELECT titre FROM far.recent_chapters('f7', 1)), (SELECT titre FROM public.chapters WHERE id = (pg_temp.ids($$ 'f7', 1 $$))[1]),
	'other columns');
SELECT throws_ok($$ SELECT * FROM far.recent_chapters('f7', before_id => -1) $$, 'P0002', NULL, 'a chapter that is not there');
SELECT is((SELECT count(*) FROM far.recent_chapters('f7', 10) JOIN public.chapters USING (id)), 10::bigint, 'joined with a local table');

-- The old chapters are far away, the new ones are here: these stream, and those are
-- asked for only when they are needed, and in order.
CREATE SCHEMA archive;
CREATE TABLE archive.chapters (id integer, filiere varchar(20) NOT NULL, created_at timestamp NOT NULL, titre text,
	PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
SELECT count(*) AS attached FROM catalogue.attach('archive', '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}') \gset
ALTER TABLE archive.chapters DROP CONSTRAINT chapters_pkey;
CREATE TABLE public.old_chapters AS SELECT * FROM public.chapters WHERE created_at < '2024-01-02';
CREATE FOREIGN TABLE archive.old PARTITION OF archive.chapters FOR VALUES FROM (MINVALUE) TO ('2024-01-02')
	SERVER other OPTIONS (schema_name 'public', table_name 'old_chapters');
CREATE TABLE archive.new PARTITION OF archive.chapters FOR VALUES FROM ('2024-01-02') TO (MAXVALUE);
INSERT INTO archive.new SELECT * FROM public.chapters WHERE created_at >= '2024-01-02';
CREATE INDEX ON archive.new (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE archive.new;
SELECT is((SELECT string_agg(l, E'\n') FROM pg_temp.plan_of($$ SELECT id FROM archive.recent_chapters('f7') $$) AS l),
	E'Custom Scan (Catalogue Stream)\n  Function: recent_chapters\n  Indexes: 1\n  Partitions Without Index: 1\n  Index Cond: (filiere = ''f7''::text)',
	'EXPLAIN says that one partition streams');
CREATE FUNCTION pg_temp.archived(filieres text[], cursor_id integer DEFAULT NULL) RETURNS integer[] LANGUAGE sql AS $$
	SELECT array_agg(id ORDER BY created_at DESC, id DESC) FROM public.chapters
	WHERE filiere = ANY (filieres) AND created_at IS NOT NULL
		AND (cursor_id IS NULL OR (created_at, id) < (SELECT created_at, id FROM public.chapters WHERE id = cursor_id))
$$;
SELECT is((SELECT array_agg(id) FROM archive.recent_chapters('f7', NULL)), pg_temp.archived('{f7}'), 'here and there');
SELECT is((SELECT array_agg(id) FROM archive.recent_chapters('f7', NULL, before_id => 1007)), pg_temp.archived('{f7}', 1007), 'behind a chapter that is there');
SELECT is((SELECT array_agg(id) FROM archive.recent_chapters('f7', NULL, before_id => 1907)), pg_temp.archived('{f7}', 1907), 'behind one that is here');
SELECT is((SELECT array_agg(id) FROM archive.recent_chapters_any('{f7,f8,f7}', NULL)), pg_temp.archived('{f7,f8}'), 'several filieres');
-- What is there is read as the role that opened the cursor, whoever comes to it.
BEGIN;
CREATE ROLE archive_reader;
CREATE ROLE archive_other;
GRANT USAGE ON SCHEMA archive TO archive_reader;
GRANT SELECT ON archive.chapters TO archive_reader;
SELECT format('CREATE USER MAPPING FOR archive_reader SERVER other OPTIONS (user %L, password_required %L)', current_user, 'false') \gexec
SET LOCAL ROLE archive_reader;
DECLARE reader CURSOR FOR SELECT id FROM archive.recent_chapters('f7', NULL);
SET LOCAL ROLE archive_other;
DO $$
DECLARE
	reader refcursor := 'reader';
	moved integer;
BEGIN
	MOVE ALL FROM reader;
	GET DIAGNOSTICS moved = ROW_COUNT;
	PERFORM set_config('catalogue_test.moved', moved::text, true);
EXCEPTION WHEN OTHERS THEN
	PERFORM set_config('catalogue_test.moved', SQLERRM, true);
END
$$;
RESET ROLE;
SELECT current_setting('catalogue_test.moved') AS moved \gset
ROLLBACK;
SELECT is(:'moved', cardinality(pg_temp.archived('{f7}'))::text, 'a cursor goes on there as the role that opened it');
DROP TABLE public.old_chapters;
SELECT is((SELECT count(*) FROM archive.recent_chapters('f7', 10)), 10::bigint, 'a page of what is here asks for nothing there');
SELECT throws_ok($$ SELECT count(*) FROM archive.recent_chapters('f7', NULL) $$, '42P01', NULL, 'what is there has gone');
SELECT * FROM finish();
