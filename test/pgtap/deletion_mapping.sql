-- What a deletion reaches by the mapping and not by a foreign key, what it
-- refuses, and what user triggers and other modules do meanwhile.
-- Needs a database with pgTAP in it and without the extension.

-- A module that was loaded before the extension and hooks the executor too.
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_triggers = on;

BEGIN;
SET LOCAL client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
\i test/fixtures/professors.sql
SELECT plan(28);
-- p1's deletion leaves these.
CREATE TEMP TABLE staying AS SELECT id FROM commentaires WHERE (auteur_type = 'etudiant' OR auteur_id <> 1)
	AND chapitre_id NOT IN (SELECT id FROM chapitres_complets WHERE created_by = 'p1');
SAVEPOINT deletion;

-- Chapters whose author is no foreign key

ALTER TABLE chapitres_complets DROP CONSTRAINT chapitres_complets_created_by_fkey;
SELECT results_eq('SELECT row_count FROM delete_professor_batch(''p1'', 4) WHERE relation = ''chapitres_complets''::regclass',
	'VALUES (10::bigint)', 'an author''s chapters go without a foreign key');
SELECT results_eq('SELECT created_by::text, count(*) FROM chapitres_complets GROUP BY 1 ORDER BY 1',
	$$VALUES ('p2', 10::bigint), ('p3', 10)$$, '... and no others');
ROLLBACK TO deletion;

-- Soft references whose type is not that of the professor's id

SAVEPOINT types;
ALTER TABLE commentaires ALTER auteur_id TYPE bigint;
SELECT delete_professor_batch('p1', 7) \g /dev/null
SELECT set_eq('SELECT id FROM commentaires', 'TABLE staying', 'comments by an id of type bigint');
ROLLBACK TO types;
ALTER TABLE commentaires ALTER auteur_id TYPE text;
SELECT delete_professor_batch('p1', 7) \g /dev/null
SELECT set_eq('SELECT id FROM commentaires', 'TABLE staying', 'comments by an id of type text');
ROLLBACK TO deletion;

-- Columns that the mapping names were renamed

ALTER TABLE commentaires RENAME auteur_id TO author;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42703', 'column "auteur_id" of relation "commentaires" does not exist',
	'the column of a soft reference');
ROLLBACK TO deletion;
ALTER TABLE professeurs RENAME id TO number;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42703', 'column "id" of relation "professeurs" does not exist',
	'the professor''s id');
ROLLBACK TO deletion;
SELECT catalogue.attach('app', '{"soft_references": []}') \g /dev/null
ALTER TABLE professeurs RENAME username TO login;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42703', 'column "username" of relation "professeurs" does not exist',
	'the professor''s name');
ROLLBACK TO deletion;
ALTER TABLE contents RENAME fichier_path TO path;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42703', 'column "fichier_path" of relation "contents" does not exist',
	'the column of a file');
ROLLBACK TO deletion;

-- A cycle of the mapping's making: answers to answers, wherever they are

ALTER TABLE commentaires ADD answers integer REFERENCES commentaires ON DELETE SET NULL;
SELECT catalogue.attach('app', '{"also_delete": [{"relation": "commentaires", "columns": ["answers"]}]}') \g /dev/null
UPDATE commentaires AS c SET answers = s.before
FROM (SELECT id, lag(id) OVER (ORDER BY id) AS before FROM staying) AS s WHERE c.id = s.id AND s.before IS NOT NULL;
UPDATE commentaires SET answers = (SELECT id FROM commentaires WHERE id NOT IN (TABLE staying) ORDER BY id LIMIT 1)
WHERE id = (SELECT id FROM staying ORDER BY id OFFSET 5 LIMIT 1);
SELECT delete_professor_batch('p1', 7) \g /dev/null
SELECT set_eq('SELECT id FROM commentaires', '(TABLE staying ORDER BY id LIMIT 5)', 'a cycle of the mapping''s making');
ROLLBACK TO deletion;

-- What cannot be deleted from

CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE TABLE likes (id integer, prof integer) PARTITION BY LIST (id);
CREATE FOREIGN TABLE likes_far PARTITION OF likes DEFAULT SERVER nowhere;
SELECT catalogue.attach('app', '{"soft_references": [{"relation": "likes", "column": "prof"}]}') \g /dev/null
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '0A000', 'cannot delete from "likes_far"', 'a foreign partition');
ROLLBACK TO deletion;
UPDATE catalogue.attachment SET professors = NULL;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '55000', 'schema "app" is attached without a professors table',
	'no professors table');
ROLLBACK TO deletion;

-- Professors in partitions, of which there may be none

CREATE SCHEMA parts;
CREATE TABLE parts.profs (login text PRIMARY KEY) PARTITION BY LIST (login);
CREATE TABLE parts.lessons (login text REFERENCES parts.profs ON DELETE CASCADE, path text);
SELECT catalogue.attach('parts', '{"professors": {"relation": "profs", "id": "login", "username": "login"}, "chapters": null,
	"lookups": null, "also_delete": null, "soft_references": null, "files": [{"relation": "lessons", "column": "path"}]}') \g /dev/null
SELECT throws_ok('SELECT parts.delete_professor_batch(''a'')', '0A000', 'cannot delete from "profs"', 'no partition');
CREATE TABLE parts.profs_a PARTITION OF parts.profs FOR VALUES IN ('a');
CREATE TABLE parts.profs_b PARTITION OF parts.profs FOR VALUES IN ('b', 'c');
INSERT INTO parts.profs VALUES ('a'), ('b'), ('c');
INSERT INTO parts.lessons SELECT login, login || i FROM parts.profs, generate_series(1, 3) AS i;
CREATE TEMP TABLE gone (relation text, action text, row_count bigint);
INSERT INTO gone VALUES ('parts.lessons', 'delete', 3), ('parts.profs', 'delete', 1);
SELECT bag_eq('SELECT relation::text, action, row_count FROM parts.preview_professor_deletion(''b'') WHERE action <> ''no index''',
	'TABLE gone', 'one of a partition, previewed');
SELECT bag_eq('SELECT relation::text, action, row_count FROM parts.delete_professor_batch(''b'', 2)',
	'TABLE gone', '... and deleted');
SELECT set_eq('SELECT login FROM parts.profs', ARRAY['a', 'c'], '... and no other');
SELECT set_eq('SELECT path FROM parts.deleted_files', ARRAY['b1', 'b2', 'b3'], '... with the files');
ROLLBACK TO deletion;

-- Keys of two columns, which an index finds

CREATE TABLE lessons (prof integer REFERENCES professeurs ON DELETE CASCADE, nr integer, PRIMARY KEY (prof, nr));
INSERT INTO lessons SELECT p, i FROM generate_series(1, 3) AS p, generate_series(0, 9) AS i;
CREATE TABLE visits (id integer, prof integer, nr integer, FOREIGN KEY (prof, nr) REFERENCES lessons ON DELETE CASCADE);
CREATE INDEX ON visits (nr, prof);
INSERT INTO visits SELECT i, 1 + i % 3, i % 10 FROM generate_series(1, 60) AS i;
SELECT results_eq($$SELECT row_count FROM delete_professor_batch('p1', 3) WHERE relation = 'visits'::regclass$$,
	'VALUES (20::bigint)', 'rows of a key of two columns');
SELECT is((SELECT count(*) FROM visits WHERE prof = 1), 0::bigint, '... all of them');
ROLLBACK TO deletion;

-- A trigger that deletes elsewhere: counted, though no key leads there

CREATE TABLE drafts (chapitre integer);
INSERT INTO drafts SELECT i FROM generate_series(1, 30) AS i;
CREATE FUNCTION drop_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM drafts WHERE chapitre = OLD.id;
	RETURN NULL;
END
$$;
CREATE TRIGGER draft AFTER DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION drop_draft();
SELECT results_eq($$SELECT action, row_count FROM delete_professor_batch('p1', 3) WHERE relation = 'drafts'::regclass$$,
	$$VALUES ('delete', 10::bigint)$$, 'what a trigger deletes elsewhere is reported');
ROLLBACK TO deletion;

-- What the server's own triggers set, where a cycle leaves it to them, is counted

ALTER TABLE commentaires ADD answers integer REFERENCES commentaires ON DELETE SET NULL;
UPDATE commentaires SET answers = (SELECT min(id) FROM commentaires WHERE chapitre_id = 3)
WHERE id IN (SELECT id FROM staying ORDER BY id LIMIT 5);
SELECT results_eq($$SELECT action, row_count FROM delete_professor_batch('p1', 1000)
	WHERE relation = 'commentaires'::regclass AND action <> 'delete'$$, $$VALUES ('set null', 5::bigint)$$,
	'answers that lost their comment');
ROLLBACK TO deletion;

-- A default that is the very key that is deleted; a row that is added just before
-- its chapter is deleted: no RI trigger is skipped

CREATE TABLE marks (prof integer DEFAULT 1 REFERENCES professeurs ON DELETE SET DEFAULT);
INSERT INTO marks VALUES (1);
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '23503', NULL, 'a default that is deleted');
ROLLBACK TO deletion;
CREATE FUNCTION comment_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) VALUES ('late', OLD.id, 'etudiant', 1, 'n');
	RETURN OLD;
END
$$;
CREATE TRIGGER late BEFORE DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION comment_late();
SELECT delete_professor_batch('p1', 1000) \g /dev/null
SELECT is((SELECT count(*) FROM commentaires WHERE texte = 'late'), 0::bigint, 'comments made by a BEFORE trigger go too');
ROLLBACK TO deletion;

-- Indexes that cannot find every row are none

SELECT catalogue.attach('app', '{"also_delete": [], "soft_references": []}') \g /dev/null
CREATE INDEX ON commentaires (chapitre_id) WHERE auteur_id = 1;
CREATE INDEX ON notifications (chapitre_id);
SELECT results_eq($$SELECT relation::text FROM preview_professor_deletion('p1') WHERE action = 'no index'$$, $$VALUES ('commentaires')$$,
	'a partial index is none');
ROLLBACK TO deletion;

-- A schema that is renamed between two calls

SELECT preview_professor_deletion('p1') \g /dev/null
ALTER SCHEMA app RENAME TO renamed;
SELECT lives_ok('SELECT renamed.delete_professor_batch(''p1'')', 'a schema that was renamed');
ROLLBACK TO deletion;

-- Files of rows that a trigger deletes in a subtransaction: kept with it, lost with it

CREATE FUNCTION delete_contents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		DELETE FROM contents WHERE fichier_path = 'contents/1';
		RAISE 'no';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	BEGIN
		DELETE FROM contents WHERE fichier_path = 'contents/2';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	RETURN NULL;
END
$$;
CREATE TRIGGER contents AFTER DELETE ON chapitres_complets FOR EACH STATEMENT EXECUTE FUNCTION delete_contents();
SELECT delete_professor_batch('p1', 1000) \g /dev/null
SELECT set_eq('SELECT path FROM deleted_files WHERE path LIKE ''contents/%''',
	ARRAY['contents/2', 'contents/3', 'contents/6', 'contents/9'], 'a file is deleted with its row, and kept with it');
SELECT is((SELECT count(*) FROM contents WHERE fichier_path = 'contents/1'), 1::bigint, '... which came back');
SELECT is((SELECT count(*) FROM deleted_files WHERE path LIKE 'cours/%'), 10::bigint, '... as the chapters'' files are');
ROLLBACK TO deletion;

-- More files than are written at once

CREATE TABLE attachments (prof integer REFERENCES professeurs ON DELETE CASCADE, path text);
INSERT INTO attachments SELECT 1, 'attachments/' || i FROM generate_series(1, 2500) AS i;
SELECT catalogue.attach('app', '{"files": [{"relation": "attachments", "column": "path"}]}') \g /dev/null
SELECT delete_professor_batch('p1', 10000) \g /dev/null
SELECT results_eq('SELECT count(*), count(DISTINCT path) FROM deleted_files', 'VALUES (2500::bigint, 2500::bigint)',
	'thousands of files of one statement');
ROLLBACK TO deletion;

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
