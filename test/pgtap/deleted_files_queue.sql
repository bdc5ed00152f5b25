-- Who queues files: whatever deletes a row or replaces a path in it, in its own
-- (sub)transaction.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
\i test/fixtures/professors.sql
SELECT plan(60);
-- What a case has queued.
PREPARE queued AS SELECT path FROM deleted_files;
PREPARE nothing AS SELECT NULL::text WHERE false;
CREATE FUNCTION files(lowest integer, highest integer) RETURNS SETOF text LANGUAGE sql AS $$
SELECT unnest(ARRAY['cours/' || i, 'a' || i, '/abs/b' || i]) FROM generate_series(lowest, highest) AS i
$$;
-- Deletes two files, of which one comes back.
CREATE FUNCTION delete_contents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		DELETE FROM contents WHERE fichier_path = 'contents/' || OLD.id;
		RAISE 'no';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	BEGIN
		DELETE FROM contents WHERE fichier_path = 'contents/' || OLD.id + 1;
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	RETURN OLD;
END
$$;
SAVEPOINT start;

-- Statements

DELETE FROM chapitres_complets WHERE id <= 3;
SELECT bag_eq('queued', 'SELECT files(1, 3)', 'DELETE');
SELECT set_eq('SELECT relation, column_name::text, state, due_at FROM deleted_files WHERE path = ''a1''',
	$$VALUES ('chapitres_complets'::regclass, 'exercice_fichier_path', 'queued', now())$$, '... from which table and column, due at once');
ROLLBACK TO start;
DELETE FROM contents;
DELETE FROM deleted_files;
DELETE FROM filieres WHERE id = 'l';
SELECT bag_eq('queued', 'SELECT files(1, 30)', 'a filière whose chapters its keys delete');
ROLLBACK TO start;
WITH gone AS (DELETE FROM chapitres_complets WHERE id <= 2 RETURNING id) SELECT count(*) FROM gone \g /dev/null
SELECT bag_eq('queued', 'SELECT files(1, 2)', 'a statement in a WITH clause');
ROLLBACK TO start;
MERGE INTO chapitres_complets AS c USING generate_series(1, 3) AS i ON c.id = i
WHEN MATCHED AND i = 3 THEN DO NOTHING WHEN MATCHED THEN DELETE;
SELECT bag_eq('queued', 'SELECT files(1, 2)', 'MERGE');
ROLLBACK TO start;
SELECT delete_professor_batch('p1', 2) \g /dev/null
SELECT bag_eq('SELECT path FROM deleted_files WHERE relation = ''chapitres_complets''::regclass',
	'SELECT files(id, id) FROM generate_series(3, 30, 3) AS id', 'the deletion of a professor');
ROLLBACK TO start;
TRUNCATE messages_etudiant_statut, messages_prof;
SELECT bag_eq('queued', 'SELECT ''audio/'' || i FROM generate_series(1, 9) AS i', 'TRUNCATE');
ROLLBACK TO start;
SELECT bag_eq('queued', 'nothing', '... and nothing where that is rolled back');
TRUNCATE universites CASCADE;
SELECT is((SELECT count(*) FROM deleted_files), 108::bigint, 'TRUNCATE ... CASCADE');
ROLLBACK TO start;

-- UPDATE

UPDATE chapitres_complets SET titre = 'new', cours_fichier_path = cours_fichier_path;
SELECT bag_eq('queued', 'nothing', 'an UPDATE that replaces no path');
UPDATE chapitres_complets SET cours_fichier_path = 'new' WHERE id = 1;
UPDATE chapitres_complets SET cours_fichier_path = NULL WHERE id = 2;
UPDATE chapitres_complets SET solution_fichier_path = 'a3', exercice_fichier_path = '/abs/b3|||c3' WHERE id = 3;
UPDATE chapitres_complets SET exercice_fichier_path = '/abs/b4' WHERE id = 4;
SELECT bag_eq('queued', 'VALUES (''cours/1''), (''cours/2''), (''a4'')', 'replaced paths, but for those that the row still names');
ROLLBACK TO start;
CREATE FUNCTION rename_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.cours_fichier_path := 'renamed';
	RETURN NEW;
END
$$;
CREATE TRIGGER rename BEFORE UPDATE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION rename_file();
UPDATE chapitres_complets SET titre = 'new' WHERE id = 1;
SELECT bag_eq('queued', 'VALUES (''cours/1'')', 'a path that a BEFORE trigger replaces');
ROLLBACK TO start;
INSERT INTO chapitres_complets SELECT * FROM chapitres_complets WHERE id = 1
ON CONFLICT (id) DO UPDATE SET cours_fichier_path = 'new';
SELECT bag_eq('queued', 'VALUES (''cours/1'')', 'ON CONFLICT DO UPDATE');
ROLLBACK TO start;
SELECT catalogue.attach('app', '{"files": [{"relation": "contents", "column": "fichier_path", "replaced": false}]}') \g /dev/null
UPDATE contents SET fichier_path = 'new' WHERE fichier_path = 'contents/1';
SELECT bag_eq('queued', 'nothing', '"replaced": false');
DELETE FROM contents WHERE fichier_path IN ('new', 'contents/2');
SELECT bag_eq('queued', 'VALUES (''new''), (''contents/2'')', '... is not about rows that are deleted');
SELECT is_empty($$SELECT FROM pg_trigger WHERE tgrelid = 'chapitres_complets'::regclass AND NOT tgisinternal$$,
	'tables that are not mapped any more have no triggers');
ROLLBACK TO start;

-- Values that a collation calls equal, arrays, domains, padded values

CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN path_list AS text[];
CREATE TABLE odd (id integer, loose text COLLATE ignore_case, padded character(20), many path_list, tag name);
INSERT INTO odd VALUES (1, 'A', 'p', '{x,"",y,NULL}', 'n'), (2, NULL, NULL, NULL, NULL), (3, '', '', '{}', '');
SELECT catalogue.attach('app', '{"files": [{"relation": "odd", "column": "loose"}, {"relation": "odd", "column": "padded"},
	{"relation": "odd", "column": "many"}, {"relation": "odd", "column": "tag"}]}') \g /dev/null
UPDATE odd SET loose = 'a', many = '{y,z}' WHERE id = 1;
SELECT bag_eq('queued', 'VALUES (''A''), (''x'')', 'paths that differ in case alone, and elements of an array');
DELETE FROM odd;
SELECT bag_eq('queued', $$VALUES ('A'), ('x'), ('a'), ('p'), ('y'), ('z'), ('n')$$, 'blanks that only pad are no part of a path');
SELECT lives_ok('ALTER TABLE odd ALTER loose TYPE varchar(100), DROP COLUMN tag', 'columns can be altered and dropped');
INSERT INTO odd VALUES (4, 'late');
SELECT throws_ok('DELETE FROM odd', '42703', 'column "tag" of relation "odd" does not exist', '... which a deletion says');
ROLLBACK TO start;

-- Rows that stay

CREATE FUNCTION keep_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zz_keep BEFORE DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION keep_row();
DELETE FROM chapitres_complets;
SELECT bag_eq('queued', 'nothing', 'a BEFORE trigger that keeps its row');
ROLLBACK TO start;

-- Subtransactions

CREATE TRIGGER contents BEFORE DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION delete_contents();
DELETE FROM chapitres_complets WHERE id <= 8;
SELECT bag_eq('queued', 'SELECT files(1, 8) UNION ALL SELECT ''contents/'' || i FROM generate_series(2, 9) AS i',
	'a subtransaction of a BEFORE trigger takes only its own files with it');
SELECT set_eq('SELECT fichier_path FROM contents', ARRAY['contents/1'], '... whose rows come back');
ROLLBACK TO start;
CREATE TRIGGER contents AFTER DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION delete_contents();
DELETE FROM chapitres_complets WHERE id <= 8;
SELECT bag_eq('queued', 'SELECT files(1, 8) UNION ALL SELECT ''contents/'' || i FROM generate_series(2, 9) AS i',
	'... and that of an AFTER trigger');
ROLLBACK TO start;
SAVEPOINT inner_one;
DELETE FROM chapitres_complets WHERE id = 1;
ROLLBACK TO inner_one;
DELETE FROM chapitres_complets WHERE id = 2;
RELEASE inner_one;
SELECT bag_eq('queued', 'SELECT files(2, 2)', 'ROLLBACK TO and RELEASE');
ROLLBACK TO start;
CREATE FUNCTION app.fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''outbox''; END';
CREATE TRIGGER fails BEFORE INSERT ON deleted_files FOR EACH ROW WHEN (NEW.path = 'cours/5') EXECUTE FUNCTION fails();
DO $$
BEGIN
	DELETE FROM chapitres_complets WHERE id <= 2;
	BEGIN
		DELETE FROM chapitres_complets WHERE id = 5;
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
END
$$;
SELECT bag_eq('queued', 'SELECT files(1, 2)', 'an error while files are written takes the rows back');
SELECT is((SELECT count(*) FROM chapitres_complets WHERE id = 5), 1::bigint, '... which the files stay with');
ROLLBACK TO start;

-- A trigger of the outbox that deletes more files; more than are written at once

CREATE FUNCTION delete_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM contents WHERE fichier_path = replace(NEW.path, 'cours', 'contents');
	RETURN NULL;
END
$$;
CREATE TRIGGER more AFTER INSERT ON deleted_files FOR EACH ROW EXECUTE FUNCTION delete_more();
INSERT INTO chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre,
	cours_fichier_path, created_by)
SELECT i, 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'more/' || i, 'p1' FROM generate_series(31, 2530) AS i;
DELETE FROM chapitres_complets;
SELECT bag_eq('queued', $$SELECT files(1, 30) UNION ALL SELECT 'contents/' || i FROM generate_series(1, 9) AS i
	UNION ALL SELECT 'more/' || i FROM generate_series(31, 2530) AS i$$, 'a trigger of the outbox that deletes files, and thousands of them');
ROLLBACK TO start;

-- Rights: whoever may delete the row need know nothing of the outbox

CREATE ROLE catalogue_test_clerk;
GRANT USAGE ON SCHEMA app TO catalogue_test_clerk;
GRANT SELECT, DELETE, UPDATE ON contents TO catalogue_test_clerk;
REVOKE ALL ON SCHEMA catalogue FROM PUBLIC;
ALTER TABLE deleted_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE deleted_files FORCE ROW LEVEL SECURITY;
SET LOCAL ROLE catalogue_test_clerk;
DELETE FROM contents WHERE fichier_path = 'contents/1';
UPDATE contents SET fichier_path = 'new' WHERE fichier_path = 'contents/2';
SELECT throws_ok('SELECT FROM deleted_files', '42501', NULL, 'who deletes has no rights on the outbox');
RESET ROLE;
SELECT bag_eq('queued', 'VALUES (''contents/1''), (''contents/2'')', '... and queues files');
ROLLBACK TO start;

-- Prefixes

SELECT catalogue.attach('app', '{"files": [{"relation": "messages_prof", "column": "audio_file", "prefix": "uploads/audio/"}]}') \g /dev/null
TRUNCATE messages_etudiant_statut, messages_prof;
INSERT INTO messages_prof (id, prof_id, contenu, audio_file, universite_id)
SELECT i, 1, 'c', f, 'u' FROM unnest(ARRAY['a.mp3', 'uploads/audio/b.mp3', '/srv/c.mp3', 's3://bucket/d.mp3', 'x/http://e.mp3'])
	WITH ORDINALITY AS u (f, i);
DELETE FROM deleted_files;
DELETE FROM messages_prof;
SELECT results_eq('SELECT * FROM take_deleted_files() ORDER BY path', $$VALUES
	('/srv/c.mp3', 'messages_prof'::regclass, 'audio_file'::name),
	('s3://bucket/d.mp3', 'messages_prof', 'audio_file'),
	('uploads/audio/a.mp3', 'messages_prof', 'audio_file'),
	('uploads/audio/b.mp3', 'messages_prof', 'audio_file'),
	('uploads/audio/x/http://e.mp3', 'messages_prof', 'audio_file')$$,
	'a prefix is put before what is relative and does not have it');
ROLLBACK TO start;
SELECT catalogue.attach('app', '{"files": [{"relation": "messages_prof", "column": "audio_file", "prefix": "up/"}]}') \g /dev/null
UPDATE messages_prof SET audio_file = 'up/' || audio_file;
SELECT bag_eq('queued', 'nothing', 'the same file with its prefix is not replaced');
ROLLBACK TO start;

-- Several attachments

CREATE SCHEMA other;
CREATE TABLE other.professeurs (id integer PRIMARY KEY, username text UNIQUE);
SELECT catalogue.attach('other', '{"files": [{"relation": "app.contents", "column": "fichier_path", "prefix": "other/"}]}') \g /dev/null
UPDATE contents SET fichier_path = 'new' WHERE fichier_path = 'contents/1';
DELETE FROM contents WHERE fichier_path = 'contents/2';
SELECT bag_eq('queued', 'VALUES (''contents/1''), (''contents/2'')', 'two attachments of a table: one''s outbox');
SELECT bag_eq('SELECT path FROM other.deleted_files', 'VALUES (''other/contents/1''), (''other/contents/2'')', '... and the other''s');
SELECT catalogue.detach('app') \g /dev/null
DELETE FROM contents WHERE fichier_path = 'contents/3';
SELECT is((SELECT count(*) FROM deleted_files), 2::bigint, 'detached');
SELECT is((SELECT count(*) FROM other.deleted_files), 3::bigint, '... one of them');
SELECT catalogue.detach('other') \g /dev/null
SELECT is_empty($$SELECT FROM pg_trigger WHERE tgfoid = 'catalogue.queue_deleted_files'::regproc$$, '... and both: no triggers');
ROLLBACK TO start;

-- A delay

SELECT catalogue.attach('app', unlink_delay => '2 days') \g /dev/null
DELETE FROM contents;
SELECT results_eq('SELECT DISTINCT due_at - now() FROM deleted_files', $$VALUES (interval '2 days')$$, 'files that wait');
SELECT is_empty('SELECT take_deleted_files()', '... are not handed out');
SELECT catalogue.attach('app', '{}') \g /dev/null
DELETE FROM messages_prof;
SELECT results_eq('SELECT DISTINCT due_at - now() FROM deleted_files', $$VALUES (interval '2 days')$$, 'attach() keeps the delay');
SELECT catalogue.attach('app', unlink_delay => '0') \g /dev/null
DELETE FROM chapitres_complets WHERE id = 1;
SELECT is((SELECT count(*) FROM take_deleted_files()), 3::bigint, '... until it is given another');
SELECT throws_ok($$SELECT catalogue.attach('app', unlink_delay => '-1 s')$$, '22023', NULL, 'a negative delay');
SELECT throws_ok($$SELECT catalogue.attach('app', unlink_delay => '1000000 years')$$, '22008', NULL, 'one beyond all dates');
ROLLBACK TO start;

-- Files that several rows name

CREATE INDEX ON contents (fichier_path);
-- names that the search could have for its own
ALTER TABLE chapitres_complets ADD t text, ADD v text, ADD p text, ADD path text, ADD value text;
SELECT catalogue.attach('app', '{"files": [{"relation": "contents", "column": "fichier_path", "shared": true, "prefix": "up/"},
	{"relation": "chapitres_complets", "column": "exercice_fichier_path", "shared": true, "separator": "|||"},
	{"relation": "chapitres_complets", "column": "cours_fichier_path"}]}') \g /dev/null
UPDATE contents SET fichier_path = 'same' WHERE fichier_path IN ('contents/1', 'contents/2');
UPDATE contents SET fichier_path = 'up/same' WHERE fichier_path = 'contents/3';
UPDATE chapitres_complets SET exercice_fichier_path = 'x|||up/same' WHERE id = 1;
UPDATE chapitres_complets SET cours_fichier_path = 'up/same' WHERE id = 2;
DELETE FROM deleted_files;
DELETE FROM contents WHERE fichier_path = 'same';
SELECT bag_eq('queued', 'VALUES (''up/same''), (''up/same'')', 'a file that other rows name is queued');
SELECT is_empty('SELECT take_deleted_files(1)', '... and not handed out');
SELECT bag_eq('queued', 'nothing', '... but dropped');
DELETE FROM contents WHERE fichier_path = 'up/same';
SELECT is_empty('SELECT take_deleted_files()', '... while a row of another column names it');
UPDATE chapitres_complets SET exercice_fichier_path = 'x' WHERE id = 1;
SELECT bag_eq('SELECT path FROM take_deleted_files()', 'VALUES (''up/same'')',
	'... until the last of the shared columns'' rows is gone; others do not count');
INSERT INTO deleted_files (path, due_at) SELECT 'up/contents/' || i, now() - i * interval '1 hour' FROM generate_series(4, 8) AS i;
INSERT INTO deleted_files (path) VALUES ('free/1'), ('free/2');
SELECT bag_eq('SELECT path FROM take_deleted_files(1)', 'VALUES (''free/1'')', 'what is dropped makes room for others');
SELECT ok('index on contents (fichier_path)' <> ALL (ARRAY(SELECT object FROM catalogue.attach('app'))), 'the index is there');
DROP INDEX contents_fichier_path_idx;
SELECT set_eq('SELECT definition FROM catalogue.recommended_indexes(''app'') WHERE definition LIKE ''%fichier_path%''',
	ARRAY['CREATE INDEX ON app.contents (fichier_path)'], '... or advised');
ROLLBACK TO start;

-- The outbox is gone, or of an earlier form

DELETE FROM contents WHERE fichier_path = 'contents/1';
DROP TABLE deleted_files CASCADE;
SELECT throws_like('DELETE FROM contents', 'relation with OID % does not exist', 'a deletion without an outbox');
SELECT throws_ok('DELETE FROM contents', '42P01', NULL, '... each time');
CREATE TABLE deleted_files (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL,
	state text NOT NULL DEFAULT 'queued', attempts integer NOT NULL DEFAULT 0, due_at timestamptz NOT NULL DEFAULT now(),
	deleted_at timestamptz NOT NULL DEFAULT now(), taken_by xid8, last_error text);
INSERT INTO deleted_files (path) VALUES ('old');
SELECT throws_ok('DELETE FROM contents', '42P01', NULL, '... and where another has its name');
SELECT catalogue.attach('app') \g /dev/null
DELETE FROM contents WHERE fichier_path = 'contents/2';
SELECT set_eq('SELECT path, relation FROM take_deleted_files()', $$VALUES ('old', NULL::regclass), ('contents/2', 'contents')$$,
	'attach() takes one of an earlier form over');
ROLLBACK TO start;
DROP TABLE deleted_files CASCADE;
SELECT catalogue.detach('app') \g /dev/null
SELECT lives_ok('DELETE FROM contents', 'detach() where the outbox is gone');
ROLLBACK TO start;

-- Disabled, and replicated

SET LOCAL session_replication_role = replica;
DELETE FROM contents;
TRUNCATE messages_etudiant_statut, messages_prof;
SET LOCAL session_replication_role = origin;
SELECT bag_eq('queued', 'nothing', 'what is replicated queues nothing');
ROLLBACK TO start;
ALTER TABLE contents DISABLE TRIGGER catalogue_files_deleted;
DROP TRIGGER catalogue_files_truncated ON contents;
SELECT set_eq('SELECT detail FROM catalogue.doctor() WHERE status = ''warning''', ARRAY[
	'run attach() again, trigger catalogue_files_deleted on app.contents is missing or disabled',
	'run attach() again, trigger catalogue_files_truncated on app.contents is missing or disabled'], 'the doctor misses triggers');
SELECT set_eq('SELECT object FROM catalogue.attach(''app'') WHERE status = ''created''', ARRAY[
	'trigger catalogue_files_deleted on app.contents', 'trigger catalogue_files_truncated on app.contents'], 'attach() makes them');
ROLLBACK TO start;
SELECT throws_ok('CREATE TRIGGER x BEFORE DELETE ON commentaires FOR EACH ROW EXECUTE FUNCTION catalogue.queue_deleted_files();
	DELETE FROM commentaires', '39P01', NULL, 'a trigger of another kind');
ROLLBACK TO start;

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
