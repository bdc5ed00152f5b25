-- preview_professor_deletion(): which rows a deletion reaches, where they can be
-- reached twice, over and over, or by keys that no array can hold.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
SELECT plan(14);

CREATE EXTENSION catalogue;
CREATE SCHEMA school;
SET LOCAL search_path = school, public;
CREATE TABLE professors (id integer PRIMARY KEY, login text NOT NULL UNIQUE);
INSERT INTO professors VALUES (1, 'p1'), (2, 'p2');
SELECT catalogue.attach('school', '{"professors": {"relation": "professors", "username": "login"}, "chapters": null,
	"lookups": null, "also_delete": null, "soft_references": null, "files": null}') \g /dev/null

-- What a preview of p1's deletion says but for keys without an index, and what it
-- must say.
CREATE FUNCTION pg_temp.previews(what text, VARIADIC wanted text[]) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT bag_eq('SELECT relation || '' '' || action || '' '' || row_count FROM preview_professor_deletion(''p1'')
		WHERE action <> ''no index''', wanted, what)
$$;
CREATE FUNCTION pg_temp.deletes_as_previewed(what text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE previewed AS SELECT * FROM preview_professor_deletion('p1') WHERE action <> 'no index';
	RETURN NEXT results_eq('SELECT * FROM delete_professor_batch(''p1'', 1000)', 'TABLE previewed', what);
END
$$;
SAVEPOINT kinds;

SELECT pg_temp.previews('nothing but the professor', 'professors delete 1');

-- A chain of rows, as long as it may be

CREATE TABLE notes (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE,
	reply_to integer REFERENCES notes ON DELETE CASCADE);
CREATE INDEX ON notes (prof);
CREATE INDEX ON notes (reply_to);
SELECT CASE current_setting('debug_discard_caches') WHEN '0' THEN 100000 ELSE 20 END AS many \gset
INSERT INTO notes SELECT i, CASE WHEN i = 1 THEN 1 END, nullif(i - 1, 0) FROM generate_series(1, :many) AS i;
INSERT INTO notes VALUES (0, 2, NULL);
SELECT pg_temp.previews('replies to replies', format('notes delete %s', :many), 'professors delete 1');

-- More rows at once than go into a statement

TRUNCATE notes;
INSERT INTO notes SELECT i, 1, NULL FROM generate_series(1, :many) AS i;
INSERT INTO notes SELECT -i, NULL, i FROM generate_series(1, :many) AS i;
SELECT pg_temp.previews('many notes with a reply each', format('notes delete %s', 2 * :many), 'professors delete 1');
ROLLBACK TO kinds;

-- Rows that are reached in two ways, or by two keys, are one

CREATE TABLE lessons (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE,
	deputy integer REFERENCES professors ON DELETE CASCADE);
CREATE TABLE rooms (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE);
CREATE TABLE bookings (lesson integer REFERENCES lessons ON DELETE CASCADE, room integer REFERENCES rooms ON DELETE CASCADE);
CREATE TABLE keys (booking_room integer REFERENCES rooms ON DELETE CASCADE);
CREATE INDEX ON bookings (room);
INSERT INTO lessons VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2);
INSERT INTO rooms VALUES (1, 1), (2, 2);
INSERT INTO bookings SELECT l, r FROM generate_series(1, 4) AS l, generate_series(1, 2) AS r;
INSERT INTO keys VALUES (1), (2), (NULL);
SELECT pg_temp.previews('rows that are reached twice count once', 'keys delete 1', 'bookings delete 7', 'rooms delete 1',
	'lessons delete 3', 'professors delete 1');
SELECT pg_temp.deletes_as_previewed('... and are deleted so');
ROLLBACK TO kinds;

-- What is deleted is neither set nor in the way

CREATE TABLE lessons (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE,
	after integer REFERENCES lessons ON DELETE SET NULL, instead_of integer REFERENCES lessons ON DELETE RESTRICT,
	room integer DEFAULT 0 REFERENCES lessons ON DELETE SET DEFAULT);
INSERT INTO lessons VALUES (0, 2, NULL, NULL, NULL), (1, 1, NULL, NULL, NULL), (2, 1, 1, 1, 1), (3, 2, 1, 1, 2), (4, 2, 2, NULL, 1),
	(5, 2, 3, 3, 3);
SELECT pg_temp.previews('rows that go are not set, nor in the way', 'lessons delete 2', 'lessons set null 2', 'lessons set default 2',
	'lessons blocked 1', 'professors delete 1');
ROLLBACK TO kinds;

-- Cycles: of keys that delete, also where a soft reference leads into it; and of
-- one that blocks, with tables that are named as if they were the preview's own

CREATE TABLE lessons (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE, author text);
CREATE TABLE plans (id integer PRIMARY KEY, lesson integer REFERENCES lessons ON DELETE CASCADE);
ALTER TABLE lessons ADD plan integer REFERENCES plans ON DELETE CASCADE;
INSERT INTO lessons VALUES (1, 1, 'p2'), (2, 2, '1'), (3, 2, '2'), (4, 2, '2');
INSERT INTO plans VALUES (1, 1), (2, 2), (3, 3);
UPDATE lessons SET plan = 1 WHERE id = 3;
SAVEPOINT cycle;
SELECT pg_temp.previews('a cycle of deletions', 'plans delete 2', 'lessons delete 2', 'professors delete 1');
SELECT pg_temp.deletes_as_previewed('... which deletes as much');
ROLLBACK TO cycle;
SELECT catalogue.attach('school', '{"professors": {"relation": "professors", "username": "login"}, "chapters": null,
	"lookups": null, "also_delete": null, "files": null,
	"soft_references": [{"relation": "lessons", "column": "author"}]}') \g /dev/null
SELECT pg_temp.previews('a soft reference into a cycle', 'plans delete 3', 'lessons delete 3', 'professors delete 1');
ROLLBACK TO kinds;
CREATE TABLE t0 (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE);
CREATE TABLE t1 (id integer PRIMARY KEY, prof integer REFERENCES professors ON DELETE CASCADE, t0 integer REFERENCES t0);
ALTER TABLE t0 ADD t1 integer REFERENCES t1 ON DELETE CASCADE;
INSERT INTO t0 VALUES (1, 1), (2, 2), (3, 2);
INSERT INTO t1 VALUES (1, 1, NULL), (2, 2, 1), (3, 2, 2);
UPDATE t0 SET t1 = 1 WHERE id = 3;
SELECT pg_temp.previews('a cycle with a key that blocks', 't1 delete 1', 't1 blocked 1', 't0 delete 2', 'professors delete 1');
ROLLBACK TO kinds;

-- Keys of two columns, and of types that no array can hold or that an array would
-- take apart or cut

CREATE TYPE place AS (house integer, floor integer);
CREATE TABLE lessons (prof integer REFERENCES professors ON DELETE CASCADE, nr integer, PRIMARY KEY (prof, nr),
	seats integer[] UNIQUE, place place UNIQUE, code bit(4) UNIQUE, short char(5) UNIQUE);
CREATE TABLE by_two (prof integer, nr integer, FOREIGN KEY (prof, nr) REFERENCES lessons ON DELETE CASCADE);
CREATE TABLE by_array (k integer[] REFERENCES lessons (seats) ON DELETE CASCADE);
CREATE TABLE by_row (k place REFERENCES lessons (place) ON DELETE CASCADE);
CREATE TABLE by_bit (k bit(4) REFERENCES lessons (code) ON DELETE CASCADE);
CREATE TABLE by_char (k char(5) REFERENCES lessons (short) ON DELETE CASCADE);
INSERT INTO lessons SELECT 1 + i % 3 % 2, i, ARRAY[i, i], ROW (1, i)::place, i::bit(4), 'ab' || i FROM generate_series(1, 9) AS i;
INSERT INTO by_two SELECT prof, nr FROM lessons, generate_series(1, 2) UNION ALL VALUES (1, NULL::integer);
INSERT INTO by_array SELECT seats FROM lessons, generate_series(1, 2);
INSERT INTO by_row SELECT place FROM lessons, generate_series(1, 2);
INSERT INTO by_bit SELECT code FROM lessons, generate_series(1, 2);
INSERT INTO by_char SELECT short FROM lessons, generate_series(1, 2);
INSERT INTO lessons (prof, nr) VALUES (1, 0);
CREATE FUNCTION pg_temp.previews_keys(what text) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT bag_eq('SELECT relation::text, row_count FROM preview_professor_deletion(''p1'') WHERE action = ''delete''',
		'VALUES (''by_two'', 12::bigint), (''by_array'', 12), (''by_row'', 12), (''by_bit'', 12), (''by_char'', 12),
			(''lessons'', 7), (''professors'', 1)', what)
$$;
SELECT pg_temp.previews_keys('keys of all kinds');
CREATE INDEX ON by_two (nr, prof);
CREATE INDEX ON by_array (k);
CREATE INDEX ON by_row (k);
CREATE INDEX ON by_bit (k);
CREATE INDEX ON by_char (k);
SELECT pg_temp.previews_keys('... by an index');
SELECT is_empty('SELECT * FROM preview_professor_deletion(''p1'') WHERE action = ''no index'' AND relation <> ''lessons''::regclass',
	'... which it knows of');
ROLLBACK TO kinds;

-- It is the query's snapshot that it reads by: rows that the query itself makes
-- are not there yet.

CREATE TABLE lessons (prof integer REFERENCES professors ON DELETE CASCADE);
WITH made AS (INSERT INTO lessons VALUES (1), (1) RETURNING prof)
SELECT is(sum(p.row_count), 1::numeric, 'the snapshot of the query')
FROM preview_professor_deletion('p1') AS p, (SELECT count(*) FROM made) AS m WHERE p.action = 'delete';

SELECT * FROM finish();
ROLLBACK;
