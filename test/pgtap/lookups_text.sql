-- The text of a lookup's columns where it depends on more than the stored value:
-- on settings of the session, on the labels of an enum, or on whatever a cast to
-- text looks at.  Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SET search_path = app, public;
SELECT plan(16);

-- attached(): binds one lookup table, with what is in it
CREATE FUNCTION attached() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM catalogue.attach('app', '{"chapters": null, "professors": null, "lookups": [
		{"kind": "term", "relation": "terms"}, {"kind": "course", "relation": "courses", "parent": "term_id"}]}')
$$;
CREATE TYPE status AS ENUM ('open', 'closed');
CREATE DOMAIN course_status AS status;
CREATE TABLE terms (id date PRIMARY KEY, code timestamptz, nom text);
CREATE TABLE courses (id integer PRIMARY KEY, code course_status, nom double precision, term_id date);
INSERT INTO terms VALUES ('2020-01-02', '2020-01-02 12:00+00', 'January'), ('2020-02-01', '2020-02-01 12:00+00', 'February');
INSERT INTO courses VALUES (1, 'open', 0.1, '2020-01-02'), (2, 'closed', 1e-5, '2020-02-01');
SELECT attached() \g /dev/null

-- Settings of the session: a scope is its value, and texts are the same for all

SET TimeZone = 'Africa/Dakar';
SET DateStyle = 'SQL, MDY';
SELECT results_eq($$SELECT nom FROM cached_lookups('2020-01-02') WHERE kind = 'term'$$, $$VALUES ('January')$$, 'a date as scope');
SET DateStyle = 'SQL, DMY';
SELECT results_eq($$SELECT nom FROM cached_lookups('2020-02-01') WHERE kind = 'term'$$, $$VALUES ('February')$$,
	'another one, which is the same text under another DateStyle');
CREATE TEMP TABLE versions AS SELECT current_setting('DateStyle') AS settings, version FROM cached_lookups_json();
SELECT catalogue.cache_reset() \g /dev/null
SET DateStyle = 'German';
SET TimeZone = 'Asia/Tokyo';
SET extra_float_digits = -10;
INSERT INTO versions SELECT current_setting('DateStyle'), version FROM cached_lookups_json();
SELECT is(count(DISTINCT version), 1::bigint, 'the version does not depend on settings') FROM versions;
SELECT results_eq('SELECT id, code FROM cached_lookups() WHERE kind = ''term''',
	$$VALUES ('2020-02-01', '2020-02-01 12:00:00+00'), ('2020-01-02', '2020-01-02 12:00:00+00')$$, 'dates are in ISO format, times in UTC');
SELECT is(current_setting('DateStyle') || current_setting('TimeZone') || current_setting('extra_float_digits'),
	'German, DMYAsia/Tokyo-10', 'the session''s settings are as they were');
SELECT throws_ok('SELECT * FROM cached_lookups(''nonsense'')', '22007', NULL, 'also after an error');
RESET DateStyle;
RESET TimeZone;
RESET extra_float_digits;

-- Labels of an enum

SELECT results_eq('SELECT code FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('open'), ('closed')$$, 'labels');
ALTER TYPE status RENAME VALUE 'open' TO 'ouvert';
SELECT results_eq('SELECT code FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('ouvert'), ('closed')$$, 'a label that is renamed');
SET debug_discard_caches = 0;
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT catalogue.cache_reset() \g /dev/null
SELECT count(*) FROM cached_lookups(), generate_series(1, 2) \g /dev/null
SELECT count(*) FROM cached_lookups() \g /dev/null
SELECT is(hits, 1::bigint, 'labels are kept') FROM catalogue.cache_stats WHERE schema_name IS NULL;
BEGIN;
ALTER TYPE status RENAME VALUE 'ouvert' TO 'undone';
SELECT results_eq('SELECT code FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('undone'), ('closed')$$, 'an own renaming');
ROLLBACK;
SELECT results_eq('SELECT code FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('ouvert'), ('closed')$$, '... undone');

-- Whatever a cast looks at

CREATE TABLE texts (id integer PRIMARY KEY, value text);
INSERT INTO texts VALUES (1, 'one');
CREATE TYPE reference AS (id integer);
CREATE FUNCTION as_text(reference) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT t.value FROM app.texts AS t WHERE t.id = $1.id);
END
$$;
CREATE CAST (reference AS text) WITH FUNCTION as_text(reference);
ALTER TABLE courses ALTER nom TYPE reference USING ROW(1)::reference;
SELECT results_eq('SELECT DISTINCT nom FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('one')$$, 'a cast that reads a table');
UPDATE texts SET value = 'two';
SELECT results_eq('SELECT DISTINCT nom FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('two')$$, '... which changes');
ALTER TABLE courses ALTER nom TYPE regclass USING 'texts'::regclass;
SELECT results_eq('SELECT DISTINCT nom FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('texts')$$, 'the name of a table');
ALTER TABLE texts RENAME TO renamed;
SELECT results_eq('SELECT DISTINCT nom FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('renamed')$$, '... which is renamed');

-- A cast that is declared to look at its value alone, and is replaced
CREATE FUNCTION label(status) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'first'$$;
ALTER TABLE courses ALTER nom TYPE text USING '';
ALTER TABLE courses ALTER code TYPE status;
SELECT count(*) FROM cached_lookups() \g /dev/null
CREATE CAST (status AS text) WITH FUNCTION label(status);
SELECT results_eq('SELECT DISTINCT code FROM cached_lookups() WHERE kind = ''course''', $$VALUES ('first')$$, 'a cast that is made');

SELECT * FROM finish();
