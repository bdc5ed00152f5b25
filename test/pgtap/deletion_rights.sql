-- As whom a deletion reads, plans and deletes: each table's owner, and nobody
-- else, runs the code that is attached to the table.  Another role than the
-- professors' owns tables that reference them, in a schema that neither the
-- professors' owner nor the caller may use, and whatever of it runs (an index
-- predicate, a policy, a trigger) notes as whom.
-- Needs a database with pgTAP in it and without the extension.

-- There is no transaction around all: a purge commits.
SET client_min_messages = warning;
SELECT plan(23);

CREATE EXTENSION catalogue;
CREATE ROLE catalogue_test_school;
CREATE ROLE catalogue_test_club;
CREATE ROLE catalogue_test_registrar;
CREATE SCHEMA school AUTHORIZATION catalogue_test_school;
CREATE SCHEMA club AUTHORIZATION catalogue_test_club;
GRANT USAGE ON SCHEMA catalogue TO catalogue_test_school;

SET ROLE catalogue_test_school;
CREATE TABLE school.professors (id integer PRIMARY KEY, login text NOT NULL UNIQUE);
CREATE TABLE school.lessons (id integer PRIMARY KEY, prof integer REFERENCES school.professors ON DELETE CASCADE);
CREATE INDEX ON school.lessons (prof);
INSERT INTO school.professors SELECT i, 'p' || i FROM generate_series(1, 9) AS i;
INSERT INTO school.lessons SELECT i, 1 + i % 9 FROM generate_series(1, 36) AS i;
SELECT catalogue.attach('school', '{"professors": {"relation": "professors", "username": "login"}, "chapters": null,
	"lookups": null, "also_delete": null, "soft_references": null, "files": null}') \g /dev/null
GRANT USAGE ON SCHEMA school TO catalogue_test_registrar, catalogue_test_club;
GRANT SELECT, DELETE ON school.professors TO catalogue_test_registrar;
GRANT REFERENCES, SELECT ON school.professors, school.lessons TO catalogue_test_club;

SET ROLE catalogue_test_club;
CREATE FUNCTION club.notes(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM set_config('test.seen', current_setting('test.seen', true) || ',' || what || ' as ' || current_user, false);
	RETURN true;
END
$$;
CREATE FUNCTION club.notes_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM club.notes('trigger of ' || TG_TABLE_NAME);
	RETURN OLD;
END
$$;
CREATE TABLE club.members (id integer PRIMARY KEY, prof integer REFERENCES school.professors ON DELETE CASCADE);
CREATE TABLE club.badges (member integer REFERENCES club.members ON DELETE CASCADE,
	lesson integer REFERENCES school.lessons ON DELETE SET NULL);
CREATE TABLE club.stars (lesson integer REFERENCES school.lessons ON DELETE CASCADE);
INSERT INTO club.members SELECT i, 1 + i % 9 FROM generate_series(1, 18) AS i;
INSERT INTO club.badges SELECT 1 + i % 18, 1 + (i + 1) % 36 FROM generate_series(1, 72) AS i;
INSERT INTO club.stars SELECT 1 + i % 36 FROM generate_series(1, 72) AS i;
CREATE INDEX ON club.members (prof) WHERE club.notes('predicate of members');
CREATE INDEX ON club.badges (member) WHERE club.notes('predicate of badges');
CREATE INDEX ON club.badges (lesson) WHERE club.notes('predicate of badges');
CREATE INDEX ON club.stars (lesson);
CREATE TRIGGER notes BEFORE DELETE ON club.members FOR EACH ROW EXECUTE FUNCTION club.notes_row();
CREATE POLICY notes ON club.members USING (club.notes('policy of members'));
CREATE POLICY notes ON club.badges USING (club.notes('policy of badges'));
CREATE POLICY notes ON club.stars USING (club.notes('policy of stars'));
ALTER TABLE club.members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE club.badges ENABLE ROW LEVEL SECURITY;
ALTER TABLE club.stars ENABLE ROW LEVEL SECURITY;
RESET ROLE;

-- What was noted since the last call.  Everything about the tables is read anew
-- after it, since a predicate is evaluated once for all that use the index, and
-- forgotten what the tests themselves have read.
CREATE FUNCTION pg_temp.forget() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE club.members SET (fillfactor = 90);
	ALTER TABLE club.badges SET (fillfactor = 90);
	SET test.seen = '';
END
$$;
CREATE FUNCTION pg_temp.seen() RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT DISTINCT w FROM regexp_split_to_table(current_setting('test.seen'), ',') AS w WHERE w <> '' ORDER BY w;
	PERFORM pg_temp.forget();
END
$$;
CREATE FUNCTION pg_temp.left_of(who integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint := (SELECT count(*) FROM school.lessons WHERE prof = who)
		+ (SELECT count(*) FROM club.members WHERE prof = who)
		+ (SELECT count(*) FROM club.badges WHERE 1 + member % 9 = who)
		+ (SELECT count(*) FROM club.stars WHERE 1 + lesson % 9 = who);
BEGIN
	PERFORM pg_temp.forget();
	RETURN n;
END
$$;

-- Each as the registrar, who may delete professors and nothing else, and as a
-- superuser.  What the server's own cascade does is what there is to be seen.

SELECT is(pg_temp.left_of(1), 22::bigint, 'a professor has lessons, and members of a club');
SET ROLE catalogue_test_registrar;
SELECT lives_ok('DELETE FROM school.professors WHERE id = 5', 'plain DELETE');
RESET ROLE;
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club',
	'trigger of members as catalogue_test_club'], '... runs code of an owner as that owner');

SET ROLE catalogue_test_registrar;
SELECT set_eq('SELECT relation::text, action, row_count FROM school.preview_professor_deletion(''p1'') WHERE action <> ''no index''',
	$$VALUES ('club.badges', 'delete', 8::bigint), ('club.badges', 'set null', 8), ('club.members', 'delete', 2), ('club.stars', 'delete', 8),
		('school.lessons', 'delete', 4), ('school.professors', 'delete', 1)$$, 'the preview reads tables of another owner');
RESET ROLE;
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club'],
	'... as that owner');
SELECT set_eq('SELECT relation::text, action, row_count FROM school.preview_professor_deletion(''p1'') WHERE action <> ''no index''',
	$$VALUES ('club.badges', 'delete', 8::bigint), ('club.badges', 'set null', 8), ('club.members', 'delete', 2), ('club.stars', 'delete', 8),
		('school.lessons', 'delete', 4), ('school.professors', 'delete', 1)$$, 'a preview by a superuser');
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club'],
	'... runs nothing as one');

SET ROLE catalogue_test_registrar;
SELECT lives_ok('SELECT school.delete_professor_batch(''p1'', 3)', 'the deletion deletes from tables of another owner');
RESET ROLE;
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club',
	'trigger of members as catalogue_test_club'], '... as that owner');
SELECT is(pg_temp.left_of(1), 0::bigint, '... and nothing is left');
SELECT lives_ok('SELECT school.delete_professor_batch(''p2'', 3)', 'a deletion by a superuser');
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club',
	'trigger of members as catalogue_test_club'], '... runs nothing as one');
SELECT is(pg_temp.left_of(2), 0::bigint, '... and leaves nothing');

SET ROLE catalogue_test_registrar;
CALL school.purge_professor('p3', 3);
RESET ROLE;
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club',
	'trigger of members as catalogue_test_club'], 'a purge does the same');
SELECT is(pg_temp.left_of(3), 0::bigint, '... and leaves nothing');
CALL school.purge_professor('p4', 3);
SELECT set_eq('SELECT pg_temp.seen()', ARRAY['predicate of badges as catalogue_test_club', 'predicate of members as catalogue_test_club',
	'trigger of members as catalogue_test_club'], 'a purge by a superuser runs nothing as one');
SELECT is(pg_temp.left_of(4), 0::bigint, '... and leaves nothing');

-- AFTER triggers fire when a statement is over, those of the tables that the server's
-- triggers have come to meanwhile as well.  Plain DELETE runs them as its caller,
-- or from PostgreSQL 18 on as the owner.

CREATE FUNCTION club.notes_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('test.seen', current_setting('test.seen', true) || ',trigger of ' || TG_TABLE_NAME || ' as ' || current_user, false);
	RETURN NULL;
END
$$;
DROP TRIGGER notes ON club.members;
CREATE TRIGGER notes AFTER UPDATE OR DELETE ON club.badges EXECUTE FUNCTION club.notes_statement();
CREATE TRIGGER notes AFTER UPDATE OR DELETE ON club.stars EXECUTE FUNCTION club.notes_statement();
SELECT pg_temp.forget();
SET ROLE catalogue_test_registrar;
SELECT school.delete_professor_batch('p6', 3) \g /dev/null
CALL school.purge_professor('p7', 3);
RESET ROLE;
SELECT set_eq($$SELECT DISTINCT regexp_replace(s, ' as .*', '') FROM pg_temp.seen() AS s WHERE s LIKE 'trigger%'$$,
	ARRAY['trigger of badges', 'trigger of stars'], 'AFTER triggers for each statement of another owner fire');
SET ROLE catalogue_test_registrar;
SELECT school.delete_professor_batch('p8', 3) \g /dev/null
RESET ROLE;
SELECT is_empty($$SELECT * FROM pg_temp.seen() AS s WHERE s LIKE 'trigger%' AND s !~ ' as catalogue_test_(club|registrar)$'$$,
	'... as nobody but that owner and the caller');

-- So do those of a table that follows the keys that are set.

SET ROLE catalogue_test_school;
CREATE TABLE school.desks (prof integer UNIQUE REFERENCES school.professors ON DELETE SET NULL);
INSERT INTO school.professors VALUES (10, 'p10');
INSERT INTO school.desks VALUES (10);
GRANT REFERENCES, SELECT ON school.desks TO catalogue_test_club;
SET ROLE catalogue_test_club;
CREATE TABLE club.lockers (desk integer REFERENCES school.desks (prof) ON UPDATE CASCADE);
INSERT INTO club.lockers VALUES (10);
CREATE TRIGGER notes AFTER UPDATE ON club.lockers EXECUTE FUNCTION club.notes_statement();
RESET ROLE;
SELECT pg_temp.forget();
SET ROLE catalogue_test_registrar;
SELECT school.delete_professor_batch('p10', 3) \g /dev/null
RESET ROLE;
CREATE TEMP TABLE noted AS SELECT * FROM pg_temp.seen() AS s WHERE s LIKE 'trigger of lockers%';
SELECT isnt_empty('TABLE noted', 'AFTER triggers fire where another owner''s key follows one that is set');
SELECT is_empty($$SELECT * FROM noted WHERE s !~ ' as catalogue_test_(club|registrar)$'$$,
	'... as nobody but that owner and the caller');

-- Others are as they were

SELECT is(pg_temp.left_of(9), 22::bigint, 'another professor''s rows are there');
SET ROLE catalogue_test_registrar;
SELECT throws_ok('TABLE club.members', '42501', NULL, 'the caller has no more rights than before');
RESET ROLE;

SELECT * FROM finish();
SELECT catalogue.detach('school') \g /dev/null
DROP SCHEMA school, club CASCADE;
DROP EXTENSION catalogue;
DROP ROLE catalogue_test_school, catalogue_test_club, catalogue_test_registrar;
