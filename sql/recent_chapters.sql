--
-- Not under debug_discard_caches: hundreds of calls of the feed.
-- recent_chapters: which rows, in which order, and which errors
--
-- Plans are the business of recent_chapters_plans.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS catalogue;
CREATE SCHEMA feed;
SET search_path = feed, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';

CREATE TABLE chapters (
	id integer PRIMARY KEY,
	filiere varchar(20) NOT NULL,
	created_at timestamp,
	titre text NOT NULL
);

-- Two filieres by hand, with ties in and across them, times one microsecond
-- apart, both infinities, and undated chapters.
INSERT INTO chapters VALUES
	(1, 'a', '2024-01-01 10:00', 'dated'),
	(2, 'a', '2024-01-02 10:00', 'tie'),
	(3, 'a', '2024-01-02 10:00', 'tie'),
	(4, 'a', NULL, 'undated'),
	(5, 'a', '2024-01-02 10:00:00.000001', 'a microsecond later'),
	(6, 'a', NULL, 'undated'),
	(7, 'a', '-infinity', 'older than all'),
	(8, 'a', 'infinity', 'newer than all'),
	(9, 'b', '2024-01-02 10:00', 'tie with a'),
	(10, 'b', NULL, 'undated'),
	(11, 'b', '2024-01-03 10:00', 'dated'),
	(12, 'c', NULL, 'nothing but undated'),
	(13, 'c', NULL, 'nothing but undated'),
	(-5, 'a', '2024-01-02 10:00', 'tie, negative id');
-- Enough others for an index to be worth it.
INSERT INTO chapters
SELECT i, 'other-' || i % 100, timestamp '2020-01-01' + i * interval '1 minute', 'chapter ' || i
FROM generate_series(1001, 6000) AS i;
CREATE INDEX chapters_feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC);
ANALYZE chapters;

SELECT status, object FROM catalogue.attach(mapping =>
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}')
WHERE object LIKE '%recent_chapters%';

-- Signature and defaults.
SELECT pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
	p.provolatile, p.proparallel, p.proisstrict, p.prosecdef
FROM pg_proc p WHERE p.proname LIKE 'recent_chapters%' AND p.pronamespace = 'feed'::regnamespace
ORDER BY 1;

/*
 * The ids that a call returns, in order, in every way it can be run: through
 * the plan node, as a function scan, in a select list, and with no index to
 * read, through the executor.  All must agree with the plain query.
 */
CREATE FUNCTION ids(call text, plain text) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
	way text;
	got integer[];
	want integer[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (%s) AS p', plain) INTO want;
	FOREACH way IN ARRAY ARRAY['stream', 'function scan', 'select list', 'executor'] LOOP
		PERFORM set_config('catalogue.enable_stream',
			CASE WHEN way IN ('stream', 'executor') THEN 'on' ELSE 'off' END, true);
		IF way = 'executor' THEN
			SET LOCAL enable_indexscan = off;
			DISCARD PLANS;
		END IF;
		IF way = 'select list' THEN
			EXECUTE format('SELECT array_agg((c).id) FROM (SELECT %s AS c) AS p', call) INTO got;
		ELSE
			EXECUTE format('SELECT array_agg(id) FROM %s', call) INTO got;
		END IF;
		IF got IS DISTINCT FROM want THEN
			RAISE EXCEPTION '% as %: % instead of %', call, way, got, want;
		END IF;
	END LOOP;
	SET LOCAL enable_indexscan = on;
	DISCARD PLANS;
	RETURN want;
END
$$;

/* The error that a statement raises, with its SQLSTATE, detail and hint. */
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', code || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;

--
-- One filiere
--
SELECT * FROM recent_chapters('a');
SELECT ids($$ recent_chapters('a') $$,
	$$ SELECT id FROM chapters WHERE filiere = 'a' ORDER BY created_at DESC NULLS LAST, id DESC $$);
SELECT ids($$ recent_chapters('a', 3) $$,
	$$ SELECT id FROM chapters WHERE filiere = 'a' ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 3 $$);
SELECT ids($$ recent_chapters('c') $$, $$ SELECT unnest(ARRAY[13, 12]) AS id $$);
-- More than there are, and the greatest n.
SELECT ids($$ recent_chapters('b', 1000) $$, $$ SELECT unnest(ARRAY[11, 9, 10]) AS id $$);
SELECT ids($$ recent_chapters('b', 2147483647) $$, $$ SELECT unnest(ARRAY[11, 9, 10]) AS id $$);
-- All of them.
SELECT ids($$ recent_chapters('b', NULL) $$, $$ SELECT unnest(ARRAY[11, 9, 10]) AS id $$);
SELECT ids($$ recent_chapters('a', n => NULL, before_id => 2) $$, $$ SELECT unnest(ARRAY[-5, 1, 7, 6, 4]) AS id $$);
SELECT ids($$ recent_chapters_any(ARRAY['b', 'c'], NULL) $$, $$ SELECT unnest(ARRAY[11, 9, 13, 12, 10]) AS id $$);
SELECT ids($$ recent_chapters('b', 9223372036854775807) $$, $$ SELECT unnest(ARRAY[11, 9, 10]) AS id $$);
-- The default of n is 100; there are 50.
SELECT count(*) FROM recent_chapters('other-7');
-- Nothing.
SELECT ids($$ recent_chapters('a', 0) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters('unknown') $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters(NULL::varchar) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters('') $$, $$ SELECT 1 AS id WHERE false $$);
-- A longer value than the column takes is one it does not hold.
SELECT ids($$ recent_chapters(repeat('a', 100)) $$, $$ SELECT 1 AS id WHERE false $$);

--
-- The next page
--
-- After each chapter of the filiere in turn: two more, as the plain order says.
SELECT c.id AS before_id, ids(format('recent_chapters(''a'', 2, before_id => %s)', c.id), format(
	'SELECT id FROM (SELECT *, row_number() OVER w AS place FROM chapters WHERE filiere = ''a''
		WINDOW w AS (ORDER BY created_at DESC NULLS LAST, id DESC)) AS ordered
	WHERE place > %s ORDER BY place LIMIT 2', c.place))
FROM (SELECT *, row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) AS place
	FROM chapters WHERE filiere = 'a') AS c
ORDER BY c.place;
-- The same by position, for the dated ones; NULL stands for no position at all.
SELECT c.id, c.created_at, ids(format('recent_chapters(''a'', 2, %s, %L)', c.id, c.created_at), format(
	'SELECT id FROM (SELECT *, row_number() OVER w AS place FROM chapters WHERE filiere = ''a''
		WINDOW w AS (ORDER BY created_at DESC NULLS LAST, id DESC)) AS ordered
	WHERE place > %s ORDER BY place LIMIT 2', c.place))
FROM (SELECT *, row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) AS place
	FROM chapters WHERE filiere = 'a') AS c
WHERE c.created_at IS NOT NULL ORDER BY c.place;

-- From dated to undated within a page, and deep in the undated tail.
SELECT ids($$ recent_chapters('a', 4, before_id => 2) $$,
	$$ SELECT unnest(ARRAY[-5, 1, 7, 6]) AS id $$);
SELECT ids($$ recent_chapters('a', 100, before_id => 7) $$, $$ SELECT unnest(ARRAY[6, 4]) AS id $$);
SELECT ids($$ recent_chapters('a', 100, before_id => 6) $$, $$ SELECT unnest(ARRAY[4]) AS id $$);
SELECT ids($$ recent_chapters('a', 100, before_id => 4) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters('c', 100, before_id => 13) $$, $$ SELECT unnest(ARRAY[12]) AS id $$);

-- before_at alone: what is strictly older, ties left out, undated ones last.
SELECT ids($$ recent_chapters('a', before_at => '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[1, 7, 6, 4]) AS id $$);
SELECT ids($$ recent_chapters('a', before_at => '2024-01-02 10:00:00.000001') $$,
	$$ SELECT unnest(ARRAY[3, 2, -5, 1, 7, 6, 4]) AS id $$);
SELECT ids($$ recent_chapters('a', before_at => 'infinity') $$,
	$$ SELECT unnest(ARRAY[5, 3, 2, -5, 1, 7, 6, 4]) AS id $$);
SELECT ids($$ recent_chapters('a', before_at => '-infinity') $$,
	$$ SELECT unnest(ARRAY[6, 4]) AS id $$);
SELECT ids($$ recent_chapters('c', before_at => '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[13, 12]) AS id $$);
SELECT ids($$ recent_chapters('a', 0, before_at => 'infinity') $$, $$ SELECT 1 AS id WHERE false $$);

-- With both, the chapter before_id decides while it exists: its time at full
-- precision, whatever became of it in the client.
SELECT ids($$ recent_chapters('a', 3, 5, '2024-01-02 10:00') $$, $$ SELECT unnest(ARRAY[3, 2, -5]) AS id $$);
SELECT ids($$ recent_chapters('a', 3, 5, '2020-01-01') $$, $$ SELECT unnest(ARRAY[3, 2, -5]) AS id $$);
SELECT ids($$ recent_chapters('a', 3, 6, '2020-01-01') $$, $$ SELECT unnest(ARRAY[4]) AS id $$);
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b'], 3, 5, '2024-01-02 10:00') $$, $$ SELECT unnest(ARRAY[9, 3, 2]) AS id $$);

-- A position that no chapter has, or one of another filiere, is a position.
SELECT ids($$ recent_chapters('a', 3, before_id => 1000000, before_at => '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[3, 2, -5]) AS id $$);
SELECT ids($$ recent_chapters('a', 3, before_id => 9) $$, $$ SELECT unnest(ARRAY[3, 2, -5]) AS id $$);
SELECT ids($$ recent_chapters('a', 3, before_id => 10) $$, $$ SELECT unnest(ARRAY[6, 4]) AS id $$);

-- A deleted chapter: by its id alone an error, by its position a page.
BEGIN;
DELETE FROM chapters WHERE id = 3;
SELECT error_of($$ SELECT * FROM recent_chapters('a', 2, before_id => 3) $$);
SELECT ids($$ recent_chapters('a', 2, before_id => 3, before_at => '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[2, -5]) AS id $$);
ROLLBACK;

--
-- Several filieres
--
SELECT id, filiere, created_at FROM recent_chapters_any(ARRAY['a', 'b', 'c']);
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b', 'c']::varchar[], 5) $$, $$ SELECT id FROM chapters
	WHERE filiere IN ('a', 'b', 'c') ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5 $$);
SELECT ids($$ recent_chapters_any(ARRAY['b']::varchar[]) $$, $$ SELECT unnest(ARRAY[11, 9, 10]) AS id $$);
-- Duplicates, NULLs and unknown ones change nothing.
SELECT ids($$ recent_chapters_any(ARRAY['b', NULL, 'b', 'unknown', 'c', 'b', NULL]::varchar[]) $$,
	$$ SELECT unnest(ARRAY[11, 9, 13, 12, 10]) AS id $$);
SELECT ids($$ recent_chapters_any(ARRAY[['c', 'b'], ['b', NULL]]::varchar[]) $$,
	$$ SELECT unnest(ARRAY[11, 9, 13, 12, 10]) AS id $$);
SELECT ids($$ recent_chapters_any('[5:6]={b,c}'::varchar[]) $$,
	$$ SELECT unnest(ARRAY[11, 9, 13, 12, 10]) AS id $$);
SELECT ids($$ recent_chapters_any('{}'::varchar[]) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters_any(NULL::varchar[]) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters_any(ARRAY[NULL]::varchar[]) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters_any(ARRAY['unknown', 'none']::varchar[]) $$, $$ SELECT 1 AS id WHERE false $$);
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b']::varchar[], 0) $$, $$ SELECT 1 AS id WHERE false $$);
-- All of them; what no filiere has between.
SELECT ids($$ recent_chapters_any((SELECT array_agg(DISTINCT filiere) FROM chapters), 6000) $$,
	$$ SELECT id FROM chapters ORDER BY created_at DESC NULLS LAST, id DESC $$) IS NOT NULL AS all_alike;
-- Pages: after each chapter in turn, two more.
SELECT c.id AS before_id, ids(format('recent_chapters_any(ARRAY[''c'', ''a'', ''b'']::varchar[], 2, before_id => %s)', c.id),
	format('SELECT id FROM (SELECT *, row_number() OVER w AS place FROM chapters WHERE filiere IN (''a'', ''b'', ''c'')
		WINDOW w AS (ORDER BY created_at DESC NULLS LAST, id DESC)) AS ordered
	WHERE place > %s ORDER BY place LIMIT 2', c.place))
FROM (SELECT *, row_number() OVER (ORDER BY created_at DESC NULLS LAST, id DESC) AS place
	FROM chapters WHERE filiere IN ('a', 'b', 'c')) AS c
ORDER BY c.place;
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b', 'c']::varchar[], before_at => '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[1, 7, 13, 12, 10, 6, 4]) AS id $$);
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b', 'c']::varchar[], 4, 9, '2024-01-02 10:00') $$,
	$$ SELECT unnest(ARRAY[3, 2, -5, 1]) AS id $$);

--
-- How it may be called
--
SELECT id FROM recent_chapters(n => 2, filiere => 'a');
SELECT id FROM recent_chapters_any(filieres => ARRAY['b', 'c'], n => 2, before_id => 11);
SELECT id FROM recent_chapters(before_at => '2024-01-01', filiere => 'a');
SELECT (recent_chapters('b', 2)).titre;
SELECT recent_chapters('b', 2);
SELECT r, r.titre FROM recent_chapters('b', 2) AS r;
SELECT a, d FROM recent_chapters('b', 1) AS r (a, b, c, d);
SELECT count(*) FROM recent_chapters('a');
SELECT EXISTS (SELECT FROM recent_chapters('a')) AS any, EXISTS (SELECT FROM recent_chapters('unknown')) AS none;
SELECT tableoid FROM recent_chapters('a', 1);	-- a row type has no system columns

-- From drivers: a list of no known type, and whole numbers as they come.
PREPARE untyped AS SELECT id FROM recent_chapters_any($1, 2);
EXECUTE untyped('{b,c}');
PREPARE as_bigint(text, bigint, bigint) AS SELECT id FROM recent_chapters($1, $2, before_id => $3);
EXECUTE as_bigint('a', 2, 2);
EXECUTE as_bigint('a', 2, -5);
PREPARE as_smallint(text, smallint, smallint) AS SELECT id FROM recent_chapters($1, $2, before_id => $3);
EXECUTE as_smallint('a', 2, 2);
-- An id beyond those of the column's type is one that no chapter has.
SELECT ids($$ recent_chapters('a', 3, 5000000000, '2024-01-02 10:00') $$, $$ SELECT unnest(ARRAY[3, 2, -5]) AS id $$);
SELECT ids($$ recent_chapters('a', 3, -5000000000, '2024-01-02 10:00') $$, $$ SELECT unnest(ARRAY[1, 7, 6]) AS id $$);
SELECT ids($$ recent_chapters_any(ARRAY['a', 'b'], 3, 5000000000, '2024-01-02 10:00') $$, $$ SELECT unnest(ARRAY[9, 3, 2]) AS id $$);

--
-- Errors
--
SELECT error_of($$ SELECT * FROM recent_chapters('a', before_id => 5000000000) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('a', -1) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('a', -2147483648) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('a', before_id => 424242) $$);
SELECT error_of($$ SELECT * FROM recent_chapters_any(ARRAY['a', 'b'], -1) $$);
SELECT error_of($$ SELECT * FROM recent_chapters_any(ARRAY['a', 'b'], before_id => 424242) $$);
-- The arguments are wrong whatever else they say.
SELECT error_of($$ SELECT * FROM recent_chapters(NULL::varchar, -1) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('unknown', -1) $$);
SELECT error_of($$ SELECT * FROM recent_chapters_any('{}'::varchar[], -1) $$);
-- The same from the other ways to run a call.
SELECT error_of($$ SELECT recent_chapters('a', -1) $$);
SELECT error_of($$ SELECT recent_chapters('a', before_id => 424242) $$);
SET catalogue.enable_stream = off;
SELECT error_of($$ SELECT * FROM recent_chapters('a', -1) $$);
SELECT error_of($$ SELECT * FROM recent_chapters('a', before_id => 424242) $$);
RESET catalogue.enable_stream;
-- A statement that failed leaves nothing behind that disturbs the next.
SELECT id FROM recent_chapters('a', 2) WHERE 1 / (id - 8) > 0;
SELECT id FROM recent_chapters('a', 2);
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM recent_chapters('a');
FETCH 2 FROM c;
SELECT 1 / 0;
ROLLBACK;
SELECT id FROM recent_chapters_any(ARRAY['a', 'b'], 2);

-- Not attached.
SELECT count(*) FROM recent_chapters('a');
BEGIN;
DELETE FROM catalogue.attachment WHERE deleted_files = 'feed.deleted_files'::regclass;
SELECT error_of($$ SELECT * FROM recent_chapters('a') $$);
SELECT error_of($$ SELECT recent_chapters_any(ARRAY['a']) $$);
ROLLBACK;
SELECT count(*) FROM recent_chapters('a');
SELECT count(*) > 0 AS detached FROM catalogue.detach();
SELECT split_part(error_of($$ SELECT * FROM recent_chapters('a') $$), E'\n', 1) AS error;
SELECT count(*) > 0 AS attached FROM catalogue.attach(mapping =>
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT count(*) FROM recent_chapters('a');
-- Attached without chapters, while the functions are still there.
BEGIN;
UPDATE catalogue.attachment SET chapters = NULL WHERE deleted_files = 'feed.deleted_files'::regclass;
SELECT error_of($$ SELECT * FROM recent_chapters('a') $$);
ROLLBACK;
-- A column that the mapping names was dropped, or has another type.
BEGIN;
ALTER TABLE chapters RENAME created_at TO published_at;
SELECT error_of($$ SELECT * FROM recent_chapters('a') $$);
ROLLBACK;
BEGIN;
ALTER TABLE chapters ALTER id TYPE numeric;
SELECT error_of($$ SELECT * FROM recent_chapters('a') $$);
ROLLBACK;
-- The functions fit a column that was made wider.
BEGIN;
ALTER TABLE chapters ALTER id TYPE bigint;
SELECT id FROM recent_chapters('a', 2, before_id => 2);
ROLLBACK;
SELECT count(*) FROM recent_chapters('a');

--
-- Types of columns
--
/* A schema of its own, attached, with chapters whose columns have these types. */
CREATE FUNCTION make_typed(schema text, id text, filiere text, created_at text, make_id text, make_filiere text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	EXECUTE format('CREATE TABLE %I.chapters (titre text, created_at %s, filiere %s, id %s PRIMARY KEY)',
		schema, created_at, filiere, id);
	EXECUTE format(
		'INSERT INTO %I.chapters
		SELECT ''chapter '' || i,
			CASE WHEN i %% 10 > 0 THEN timestamp ''2020-01-01'' + i / 3 * interval ''1 day'' END, %s, %s
		FROM generate_series(1, 3000) AS i', schema, make_filiere, make_id);
	EXECUTE format('CREATE INDEX ON %I.chapters (filiere, created_at DESC NULLS LAST, id DESC)', schema);
	EXECUTE format('ANALYZE %I.chapters', schema);
	PERFORM catalogue.attach(schema,
		'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
END
$$;

/*
 * Reads one filiere, and two of them, page by page, and says whether all pages
 * together are the plain query, and whether a page was streamed.
 */
CREATE FUNCTION read_pages(schema text) RETURNS TABLE (filieres text, pages integer, rows integer, same boolean, streamed boolean)
LANGUAGE plpgsql AS $$
DECLARE
	type text;
	function text;
	argument text;
	got text[];
	page text[];
	want text[];
	line text;
BEGIN
	SELECT t.typname INTO type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE a.attrelid = format('%I.chapters', schema)::regclass AND a.attname = 'filiere';

	FOR filieres, function, argument IN EXECUTE format(
		'SELECT ''one'', ''recent_chapters'', format(''%%L::%2$s'', min(filiere::text)) FROM %1$I.chapters
		UNION ALL
		SELECT ''two'', ''recent_chapters_any'', format(''%%L::%2$s[]'', ARRAY[min(filiere::text), max(filiere::text)]) FROM %1$I.chapters',
		schema, type)
	LOOP
		got := '{}';
		pages := 0;
		LOOP
			EXECUTE format('SELECT array_agg(id::text) FROM %I.%I(%s, 7, before_id => %L)',
				schema, function, argument, got[cardinality(got)])
			INTO page;
			EXIT WHEN page IS NULL;
			got := got || page;
			pages := pages + 1;
		END LOOP;
		EXECUTE format('SELECT array_agg(id::text ORDER BY created_at DESC NULLS LAST, id DESC) FROM %I.chapters
			WHERE filiere = ANY (ARRAY[]::%s[] || %s)', schema, type, argument)
		INTO want;
		rows := cardinality(got);
		same := got = want;
		streamed := false;
		FOR line IN EXECUTE format('EXPLAIN SELECT id FROM %I.%I(%s, 7)', schema, function, argument) LOOP
			streamed := streamed OR line LIKE '%Index Cond%';
		END LOOP;
		RETURN NEXT;
	END LOOP;
END
$$;

SELECT make_typed('typed_bigint', 'bigint', 'integer', 'timestamptz', 'i * 10000000000', 'i % 50');
SELECT * FROM read_pages('typed_bigint');
SELECT make_typed('typed_uuid', 'uuid', 'uuid', 'timestamp', 'md5(i::text)::uuid', 'md5((i % 50)::text)::uuid');
SELECT * FROM read_pages('typed_uuid');
SELECT make_typed('typed_text', 'text', 'text', 'date', '''chapter '' || md5(i::text)', '''filiere '' || i % 50');
SELECT * FROM read_pages('typed_text');
SELECT make_typed('typed_varchar', 'varchar(40)', 'varchar(36)', 'timestamp(0)', 'md5(i::text)', '''filiere '' || i % 50');
SELECT * FROM read_pages('typed_varchar');
SELECT make_typed('typed_smallint', 'numeric', 'smallint', 'timestamptz(3)', 'i / 7.0', 'i % 50');
SELECT * FROM read_pages('typed_smallint');
-- Whole numbers for a time too; the widest of each takes any.
SELECT make_typed('typed_numbers', 'smallint', 'smallint', 'timestamp', 'i', 'i % 50');
ALTER TABLE typed_numbers.chapters ALTER created_at TYPE integer USING extract(epoch FROM created_at) / 86400;
SELECT count(*) > 0 AS attached FROM catalogue.attach('typed_numbers',
	'{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
SELECT pg_get_function_identity_arguments(p.oid) AS arguments FROM pg_proc p
WHERE p.proname LIKE 'recent_chapters%' AND p.pronamespace = 'typed_numbers'::regnamespace ORDER BY 1;
SELECT * FROM read_pages('typed_numbers');
SELECT count(*) AS of_a_filiere_beyond FROM typed_numbers.recent_chapters(5000000000);
SELECT count(*) AS of_one_beyond FROM typed_numbers.recent_chapters_any(ARRAY[7, 5000000000, 7]);
SELECT count(*) AS older_than_a_time_beyond FROM typed_numbers.recent_chapters(7, before_at => 5000000000);
SELECT make_typed('typed_char', 'integer', 'char(12)', 'timestamp', 'i', '''f'' || i % 50');
SELECT * FROM read_pages('typed_char');
SELECT make_typed('typed_collate', 'text COLLATE "POSIX"', 'text COLLATE "POSIX"', 'timestamp', 'md5(i::text)', '''f'' || i % 50');
SELECT * FROM read_pages('typed_collate');

-- A domain, and an enum.
CREATE DOMAIN code AS varchar(20) CHECK (VALUE <> '');
CREATE TYPE level AS ENUM ('L1', 'L2', 'L3');
SELECT make_typed('typed_domain', 'integer', 'feed.code', 'timestamp', 'i', '''f'' || i % 50');
SELECT count(*), array_agg(id) = (SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC)
	FROM typed_domain.chapters WHERE filiere = 'f7') AS same
FROM typed_domain.recent_chapters('f7'::feed.code);
SELECT count(*) FROM typed_domain.recent_chapters_any(ARRAY['f7', 'f8']::feed.code[]);
SELECT make_typed('typed_enum', 'integer', 'feed.level', 'timestamp', 'i', '(ARRAY[''L1'', ''L2'', ''L3''])[1 + i % 3]::feed.level');
SELECT count(*), array_agg(id) = (SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC)
	FROM typed_enum.chapters WHERE filiere = 'L2') AS same
FROM typed_enum.recent_chapters('L2'::feed.level, 10000);
SELECT count(*), array_agg(id) = (SELECT array_agg(id ORDER BY created_at DESC NULLS LAST, id DESC)
	FROM typed_enum.chapters WHERE filiere IN ('L1', 'L3')) AS same
FROM typed_enum.recent_chapters_any(ARRAY['L1', 'L3']::feed.level[], 10000);

-- Names that need quotes.
CREATE SCHEMA "Été";
CREATE TABLE "Été"."Les ""chapitres""" ("N°" integer PRIMARY KEY, "Filière" text, "créé le" timestamp, "select" text);
INSERT INTO "Été"."Les ""chapitres"""
SELECT i, 'f' || i % 50, timestamp '2020-01-01' + i * interval '1 day', 'x' FROM generate_series(1, 3000) AS i;
CREATE INDEX ON "Été"."Les ""chapitres""" ("Filière", "créé le" DESC NULLS LAST, "N°" DESC);
ANALYZE "Été"."Les ""chapitres""";
SELECT status, object FROM catalogue.attach('Été', '{"chapters": {"relation": "\"Les \"\"chapitres\"\"\"",
	"id": "N°", "filiere": "Filière", "created_at": "créé le", "author": null}}')
WHERE object LIKE '%recent_chapters%';
SELECT * FROM "Été".recent_chapters('f7', 2, before_id => 2907);
SELECT "N°" FROM "Été".recent_chapters_any(ARRAY['f7', 'f8'], 3);

--
-- Two schemas of one database do not see each other.
--
SELECT array_agg(id) FROM typed_text.recent_chapters('a');
SELECT count(*) FROM typed_bigint.recent_chapters(7) AS t, recent_chapters('a') AS f;

DROP SCHEMA "Été", typed_bigint, typed_uuid, typed_text, typed_varchar, typed_smallint, typed_numbers, typed_char,
	typed_collate, typed_domain, typed_enum CASCADE;
DROP SCHEMA feed CASCADE;
