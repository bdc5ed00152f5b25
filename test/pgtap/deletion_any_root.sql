-- delete_with_dependents() and preview_deletion(): a row of any table as the root.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
\i test/fixtures/professors.sql
SELECT plan(117);

-- What a call reports, and what plain SQL leaves for the same end.  Notifications of
-- deleted chapters are the mapping's addition to the schema.

CREATE FUNCTION pg_temp.contents_of_tables() RETURNS TABLE (relation text, hash text)
LANGUAGE plpgsql AS $$
BEGIN
	FOR relation IN SELECT c.relname FROM pg_class AS c
		WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'r' AND c.relname <> 'deleted_files'
	LOOP
		EXECUTE format('SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) FROM app.%I AS t', relation)
			INTO hash;
		RETURN NEXT;
	END LOOP;
END
$$;

CREATE FUNCTION pg_temp.deletes_as_plain_sql(root text, key text, batch_size integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	what constant text := format('%s %s, batch size %s', root, key, batch_size);
	column_name constant text := (SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a
		ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = root::regclass AND i.indisprimary);
BEGIN
	CREATE TEMP TABLE previewed AS SELECT * FROM preview_deletion(root::regclass, key) WHERE action <> 'no index';
	CREATE TEMP TABLE plain AS SELECT * FROM pg_temp.contents_of_tables() LIMIT 0;
	CREATE TEMP TABLE notified AS SELECT id FROM notifications WHERE chapitre_id IS NOT NULL;
	BEGIN
		EXECUTE format('DELETE FROM %s WHERE %I::text = %L', root, column_name, key);
		DELETE FROM notifications WHERE chapitre_id IS NULL AND id IN (SELECT id FROM notified);
		RAISE EXCEPTION USING ERRCODE = 'UE000',
			MESSAGE = (SELECT json_agg(t) FROM pg_temp.contents_of_tables() AS t)::text;
	EXCEPTION WHEN SQLSTATE 'UE000' THEN
		INSERT INTO plain SELECT * FROM json_populate_recordset(NULL::plain, SQLERRM::json);
	END;
	CREATE TEMP TABLE report AS SELECT * FROM delete_with_dependents(root, key, batch_size);
	RETURN NEXT set_eq('SELECT * FROM pg_temp.contents_of_tables()', 'TABLE plain', what || ': the rows that plain SQL leaves');
	RETURN NEXT bag_eq('TABLE report', 'TABLE previewed', what || ': as previewed');
	RETURN NEXT is((SELECT array_agg(relation) FROM report), (SELECT array_agg(relation) FROM previewed),
		what || ': reported in the order of the preview');
	RETURN NEXT is((SELECT relation FROM report OFFSET (SELECT count(*) - 1 FROM report)), root::regclass,
		what || ': the root''s own table last');
	DROP TABLE previewed, plain, notified, report;
END
$$;

-- A key that says NO ACTION, contents.matiere_id, is in the way of all above a subject.

SELECT throws_ok('SELECT delete_with_dependents(''matieres'', ''m'')', '23503', NULL, 'a row that is in the way');
SELECT results_eq($$SELECT relation::text, row_count FROM preview_deletion('matieres', 'm') WHERE action = 'blocked'$$,
	$$VALUES ('contents', 9::bigint)$$, '... as the preview says');
UPDATE contents SET matiere_id = NULL;
INSERT INTO messages_prof (id, prof_id, contenu, universite_id, ufr_id, filiere_id, matiere_id) VALUES (10, 1, 'c', 'u', 'f', 'l', 'm');

SAVEPOINT root;
SELECT pg_temp.deletes_as_plain_sql('universites', 'u', 1000);
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('universites', 'u', 3);
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('filieres', 'l', 7);
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('matieres', 'm', 1);
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('chapitres_complets', '4', 1000);
SELECT set_eq('SELECT path FROM deleted_files', ARRAY['cours/4', 'a4', '/abs/b4'], '... with the files of the chapter');
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('etudiants', '1', 2);
ROLLBACK TO root;
SELECT pg_temp.deletes_as_plain_sql('commentaires', '5', 2);
ROLLBACK TO root;

-- A professor's soft references, and their chapters, go wherever the professor goes

CREATE TEMP TABLE by_username AS SELECT * FROM preview_professor_deletion('p1');
SELECT set_eq('SELECT * FROM preview_deletion(''professeurs'', ''1'')', 'TABLE by_username',
	'a professor by their primary key is as by their username');
INSERT INTO universites (id, nom, code) VALUES ('v', 'v', 'v');
UPDATE professeurs SET universite_id = 'v' WHERE id = 1;
PREPARE of_university AS SELECT relation, action, row_count FROM delete_with_dependents('universites', 'v', 4);
PREPARE of_professor AS SELECT relation, action, row_count FROM by_username WHERE action <> 'no index'
	UNION ALL VALUES ('universites'::regclass, 'delete', 1::bigint);
SAVEPOINT below;
SELECT set_eq('of_university', 'of_professor', 'a university with a professor takes what is the professor''s');
SELECT is((SELECT count(*) FROM commentaires WHERE auteur_type IN ('prof', 'professeur') AND auteur_id = 1), 0::bigint,
	'... comments on other people''s chapters too');
ROLLBACK TO below;
ALTER TABLE chapitres_complets DROP CONSTRAINT chapitres_complets_created_by_fkey;
SELECT set_eq('of_university', 'of_professor', '... and their chapters where no foreign key says whose they are');
ROLLBACK TO root;

-- Names of a professor, and of a row: a username can be another's id

INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite) VALUES (100, '2', 'x', 'n', 'p', 's');
SELECT delete_professor_batch('2') \g /dev/null
SELECT set_eq('SELECT id FROM professeurs', ARRAY[1, 2, 3], 'by the username');
SELECT delete_with_dependents('professeurs', '2') \g /dev/null
SELECT set_eq('SELECT id FROM professeurs', ARRAY[1, 3], 'by the primary key');
ROLLBACK TO root;

-- Keys of many types

CREATE DOMAIN small AS integer CHECK (VALUE < 100);
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN warm AS colour CHECK (VALUE <> 'green');
CREATE TABLE by_domain (id small PRIMARY KEY);
CREATE TABLE by_warm (id warm PRIMARY KEY);
CREATE TABLE by_enum (id colour PRIMARY KEY);
CREATE TABLE by_char (id character(3) PRIMARY KEY);
CREATE TABLE by_array (id integer[] PRIMARY KEY);
CREATE TABLE by_numeric (id numeric(10, 2) PRIMARY KEY);
CREATE TABLE "By ""Name""" ("The Key" text COLLATE "C" PRIMARY KEY);
INSERT INTO by_domain VALUES (7), (8);
INSERT INTO by_warm VALUES ('red'), ('blue');
INSERT INTO by_enum VALUES ('red'), ('green');
INSERT INTO by_char VALUES ('a'), ('ab');
INSERT INTO by_array VALUES ('{1,2}'), ('{1}');
INSERT INTO by_numeric VALUES (1.5), (15);
INSERT INTO "By ""Name""" VALUES ('it''s'), ('$1');
SELECT results_eq(format('SELECT row_count FROM delete_with_dependents(%L, %L)', root, key), 'VALUES (1::bigint)', root || ' ' || key)
FROM (VALUES ('by_domain', ' 7'), ('by_enum', 'green'), ('by_warm', 'blue'), ('by_char', 'a'), ('by_array', '{1, 2}'), ('by_numeric', '1.50'),
	('"By ""Name"""', '$1')) AS k (root, key);
SELECT results_eq('SELECT count(*) FROM ' || root, 'VALUES (1::bigint)', 'and no other of ' || root)
FROM unnest(ARRAY['by_domain', 'by_enum', 'by_warm', 'by_char', 'by_array', 'by_numeric', '"By ""Name"""']) AS root;
SELECT throws_ok('SELECT delete_with_dependents(''by_domain'', ''1000'')', 'P0002', NULL, 'a key that the domain does not allow is nobody''s');
SELECT throws_ok('SELECT delete_with_dependents(''by_enum'', ''pink'')', '22P02', NULL, 'one that the type does not know is an error');
ROLLBACK TO root;

-- Errors

CREATE TABLE keyless (id integer UNIQUE NOT NULL);
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE SEQUENCE a_sequence;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE a_foreign_table (id integer) SERVER nowhere;
SELECT throws_ok(format('SELECT %s(%L::regclass, ''9'')', f, root), code, message, f || ': ' || what)
FROM unnest(ARRAY['delete_with_dependents', 'preview_deletion']) AS f, (VALUES
	('etudiants', 'P0002', 'row "9" of table "etudiants" does not exist', 'no such row'),
	('professeur_ufrs', '0A000', 'table "professeur_ufrs" has no primary key of exactly one column', 'a key of two columns'),
	('keyless', '0A000', 'table "keyless" has no primary key of exactly one column', 'no primary key'),
	('a_view', '42809', '"a_view" is not a table', 'a view'),
	('a_foreign_table', '42809', '"a_foreign_table" is not a table', 'a foreign table'),
	('pg_catalog.pg_authid', '42809', 'cannot delete from "pg_authid"', 'a system catalog'),
	('deleted_files', '42809', 'cannot delete from "deleted_files"', 'the outbox'),
	('1', '42P01', 'relation with OID 1 does not exist', 'no relation')) AS e (root, code, message, what);
CREATE FUNCTION hint_of(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE call;
	RETURN 'no error';
EXCEPTION WHEN undefined_table THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN hint;
END
$$;
SELECT is(hint_of('SELECT delete_with_dependents(1, ''1'')'), '', 'no hint to the mapping, which did not name it');
SAVEPOINT professors;
DROP TABLE professeurs CASCADE;
SELECT isnt(hint_of('SELECT delete_professor_batch(''p1'')'), '', '... but where it did');
ROLLBACK TO professors;
SELECT throws_ok(format('SELECT delete_with_dependents(%L, ''1'')', root), '42809', NULL, 'not from ' || root)
FROM unnest(ARRAY['a_matview', 'a_sequence', 'etudiants_pkey', 'professor_purges', 'catalogue.attachment',
	'information_schema.sql_features']) AS root;
SELECT throws_ok(format('SELECT delete_with_dependents(%s)', arguments), code, message, message)
FROM (VALUES
	('NULL, ''1''', '22004', 'relation must not be null'),
	('''etudiants'', NULL', '22004', 'key must not be null'),
	('''etudiants'', ''1'', NULL', '22004', 'batch size must not be null'),
	('''etudiants'', ''1'', 1, NULL', '22004', 'missing_ok must not be null'),
	('''etudiants'', ''1'', 0', '22023', 'batch size must be greater than zero'),
	('''etudiants'', ''one''', '22P02', 'invalid input syntax for type integer: "one"')) AS e (arguments, code, message);
SELECT is_empty('SELECT * FROM delete_with_dependents(''etudiants'', ''9'', missing_ok => true)', 'missing_ok: no rows');
SELECT throws_ok('CALL purge_with_dependents(''etudiants'', ''1'')', '2D000', NULL, 'a purge inside a transaction block');
ROLLBACK TO root;

-- Rights

CREATE ROLE catalogue_test_secretary;
GRANT USAGE ON SCHEMA app TO catalogue_test_secretary;
SAVEPOINT rights;
GRANT SELECT (id) ON etudiants, chapitres_complets TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_with_dependents(''etudiants'', ''1'')', '42501', 'permission denied for table etudiants',
	'the root needs DELETE');
SELECT throws_ok('SELECT preview_deletion(''etudiants'', ''1'')', '42501', 'permission denied for table etudiants',
	'... to be previewed, too');
RESET ROLE;
GRANT DELETE ON etudiants, chapitres_complets TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT lives_ok('SELECT delete_with_dependents(''etudiants'', ''1'')', '... and what the schema''s keys delete needs nothing');
SELECT throws_ok('SELECT delete_with_dependents(''chapitres_complets'', ''1'')', '42501', 'permission denied for table notifications',
	'what the mapping adds needs DELETE');
RESET ROLE;
GRANT DELETE ON notifications TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT lives_ok('SELECT delete_with_dependents(''chapitres_complets'', ''1'')',
	'... but no soft reference that a chapter does not lead to');
RESET ROLE;
REVOKE SELECT (id) ON chapitres_complets FROM catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_with_dependents(''chapitres_complets'', ''2'')', '42501', 'permission denied for table chapitres_complets',
	'the key needs SELECT');
RESET ROLE;
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.rows (id integer PRIMARY KEY);
GRANT SELECT, DELETE ON elsewhere.rows TO catalogue_test_secretary;
SELECT format('SELECT app.delete_with_dependents(%s, ''1'', missing_ok => true)', 'elsewhere.rows'::regclass::oid) AS call \gset
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok(:'call', '42501', 'permission denied for schema elsewhere',
	'the table''s schema needs USAGE, be there a row or not');
RESET ROLE;
ROLLBACK TO rights;

GRANT SELECT, DELETE ON chapitres_complets, notifications TO catalogue_test_secretary;
ALTER TABLE chapitres_complets ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON chapitres_complets FOR SELECT USING (id <> 1);
CREATE POLICY deletable ON chapitres_complets FOR DELETE USING (id <> 2);
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_with_dependents(''chapitres_complets'', ''1'')', 'P0002',
	'row "1" of table "chapitres_complets" does not exist', 'a row that a policy hides');
SELECT throws_ok('SELECT delete_with_dependents(''chapitres_complets'', ''2'')', '42501',
	'row-level security policy for table "chapitres_complets" keeps row "2" of table "chapitres_complets"', 'one that a policy keeps');
SELECT lives_ok('SELECT delete_with_dependents(''chapitres_complets'', ''3'')', 'one that no policy keeps');
RESET ROLE;
SELECT set_eq('SELECT id FROM chapitres_complets WHERE id < 5', ARRAY[1, 2, 4], '... alone is gone');
ROLLBACK TO root;

-- Inheritance children: of the root, with keys of their own, and of soft references

CREATE ROLE catalogue_test_secretary;
GRANT USAGE ON SCHEMA app TO catalogue_test_secretary;
CREATE TABLE guests (badge integer UNIQUE, PRIMARY KEY (id)) INHERITS (professeurs);
CREATE TABLE visits (badge integer REFERENCES guests (badge) ON DELETE CASCADE);
CREATE TABLE old_comments () INHERITS (commentaires);
INSERT INTO guests (id, username, password_hash, nom, prenom, specialite, badge)
SELECT i, 'g' || i, 'x', 'n', 'p', 's', 10 * i FROM generate_series(50, 51) AS i;
INSERT INTO visits VALUES (500), (500), (510);
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) VALUES ('t', 1, 'prof', 50, 'n');
INSERT INTO old_comments (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) VALUES ('t', 1, 'prof', 50, 'n'), ('t', 1, 'prof', 51, 'n');
GRANT SELECT, DELETE ON professeurs, chapitres_complets, commentaires, notifications TO catalogue_test_secretary;
CREATE TEMP TABLE guest (relation text, action text, row_count bigint);
INSERT INTO guest VALUES ('visits', 'delete', 2), ('commentaires', 'delete', 1), ('old_comments', 'delete', 1), ('guests', 'delete', 1);
PREPARE guest_preview AS SELECT relation::text, action, row_count FROM preview_professor_deletion('g50') WHERE action <> 'no index';
PREPARE guest_deletion AS SELECT relation::text, action, row_count FROM delete_professor_batch('g50', 1);
PREPARE guest_by_key AS SELECT relation::text, action, row_count FROM delete_with_dependents('professeurs', '50', 1);
SAVEPOINT guests;
SET LOCAL ROLE catalogue_test_secretary;
PREPARE as_secretary AS SELECT relation::text, action, row_count FROM delete_professor_batch('g50', 1);
RESET ROLE;
GRANT SELECT ON guest TO catalogue_test_secretary;
SELECT set_eq('guest_preview', 'TABLE guest', 'a professor of an inheritance child, previewed');
SET LOCAL ROLE catalogue_test_secretary;
SELECT set_eq('as_secretary', 'TABLE guest', '... and deleted, with rights on what is inherited from');
RESET ROLE;
SELECT results_eq('SELECT badge FROM visits', ARRAY[510], '... and nobody else''s rows');
SELECT results_eq('SELECT auteur_id FROM old_comments', ARRAY[51], '... in any child');
ROLLBACK TO guests;
SELECT set_eq('guest_by_key', 'TABLE guest', '... and by their primary key');
SELECT lives_ok('SELECT delete_with_dependents(''guests'', ''51'')', 'the child itself as the root');
SELECT is_empty('SELECT FROM old_comments', '... with the soft references of its rows');
ROLLBACK TO guests;
CREATE TABLE late_guests (PRIMARY KEY (id)) INHERITS (professeurs);
INSERT INTO late_guests (id, username, password_hash, nom, prenom, specialite)
VALUES (60, 'g60', 'x', 'n', 'p', 's'), (1, 'other', 'x', 'n', 'p', 's');
SELECT lives_ok('SELECT delete_professor_batch(''g60'')', 'a child that is younger than the graph');
SELECT throws_ok('SELECT delete_with_dependents(''professeurs'', ''1'')', '21000',
	'more than one row of table "professeurs" has the key "1"', 'a key that two tables have');
ROLLBACK TO guests;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far_guests () INHERITS (professeurs) SERVER nowhere;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '0A000', 'cannot delete from "far_guests"', 'a foreign child');
ROLLBACK TO root;

-- A partitioned root, and one of its partitions

CREATE TABLE groups (id integer, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE groups_1 PARTITION OF groups FOR VALUES FROM (0) TO (10);
CREATE TABLE groups_2 (id integer PRIMARY KEY);
CREATE TABLE groups_2_notes (id integer REFERENCES groups_2 ON DELETE CASCADE);
ALTER TABLE groups ATTACH PARTITION groups_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE members (group_id integer REFERENCES groups ON DELETE CASCADE, id integer);
INSERT INTO groups SELECT i FROM generate_series(0, 19) AS i;
INSERT INTO members SELECT g, i FROM generate_series(0, 19) AS g, generate_series(1, 3) AS i;
INSERT INTO groups_2_notes SELECT i FROM generate_series(10, 19) AS i;
SELECT bag_eq('SELECT relation::text, row_count FROM delete_with_dependents(''groups'', ''11'', 2)',
	$$VALUES ('groups_2_notes', 1::bigint), ('members', 3), ('groups', 1)$$, 'a row of a partition');
SELECT bag_eq('SELECT relation::text, row_count FROM delete_with_dependents(''groups_2'', ''12'', 2)',
	$$VALUES ('members', 3::bigint), ('groups_2_notes', 1), ('groups', 1)$$, '... by the partition');
SELECT throws_ok('SELECT delete_with_dependents(''groups_2'', ''1'')', 'P0002', NULL, '... which does not have the others');
SELECT results_eq('SELECT count(*), (SELECT count(*) FROM members), (SELECT count(*) FROM groups_2_notes) FROM groups',
	'VALUES (18::bigint, 54::bigint, 8::bigint)', '... which all stay');

-- The primary key is looked up again when the table has changed

ALTER TABLE members ADD PRIMARY KEY (group_id, id);
SELECT throws_ok('SELECT delete_with_dependents(''members'', ''1'')', '0A000', NULL, 'a key of two columns');
ALTER TABLE members DROP CONSTRAINT members_pkey, ADD nr integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY;
SELECT lives_ok('SELECT delete_with_dependents(''members'', ''1'')', '... until another takes its place');
ALTER TABLE members RENAME nr TO number;
SELECT lives_ok('SELECT delete_with_dependents(''members'', ''2'')', '... and is renamed');
SELECT is((SELECT count(*) FROM members WHERE number < 3), 0::bigint, '... each time the row that it names');
ROLLBACK TO root;

-- A deletion in a trigger of another

CREATE FUNCTION delete_student() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM app.delete_with_dependents('app.etudiants', '1');
	RETURN NULL;
END
$$;
CREATE TRIGGER student AFTER DELETE ON chapitres_complets FOR EACH STATEMENT EXECUTE FUNCTION delete_student();
SELECT throws_ok('SELECT delete_with_dependents(''chapitres_complets'', ''1''), delete_with_dependents(''chapitres_complets'', ''2'')',
	'P0002', 'row "1" of table "etudiants" does not exist', 'one deletion within another');
ROLLBACK TO root;

-- A schema with nothing but lookup tables

SELECT catalogue.attach('app', '{"chapters": null, "professors": null, "files": null, "also_delete": null, "soft_references": null}') \g /dev/null
SELECT hasnt_function('app', 'delete_professor_batch', 'no professors');
SELECT results_eq($$SELECT count(*) FROM delete_with_dependents('universites', 'u') WHERE relation = 'universites'::regclass$$,
	'VALUES (1::bigint)', '... but universities');

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
