-- The contract of the deletion: errors, rights, triggers, the actions of keys,
-- files, and that a skipped RI trigger was redundant.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
\i test/fixtures/professors.sql
SELECT plan(59);

-- Errors

SELECT throws_ok('SELECT delete_professor_batch(NULL)', '22004', 'username must not be null', 'no username');
SELECT throws_ok('SELECT preview_professor_deletion(NULL)', '22004', 'username must not be null',
				 'no username to preview');
SELECT throws_ok('SELECT delete_professor_batch(''p1'', 0)', '22023', 'batch size must be greater than zero',
				 'a batch size of zero');
SELECT throws_ok('SELECT delete_professor_batch(''p1'', NULL)', '22004', 'batch size must not be null',
				 'no batch size');
SELECT throws_ok('SELECT delete_professor_batch(''p1'', 10, NULL)', '22004', 'missing_ok must not be null',
				 'no missing_ok');
SELECT throws_ok('SELECT delete_professor_batch(''nobody'')', 'P0002', 'professor "nobody" does not exist',
				 'an unknown professor');
SELECT throws_ok('SELECT preview_professor_deletion(''nobody'')', 'P0002', 'professor "nobody" does not exist',
				 'an unknown professor to preview');
SELECT is_empty('SELECT * FROM delete_professor_batch(''nobody'', missing_ok => true)', 'missing_ok: no rows');
SELECT throws_ok('CALL purge_professor(''p1'')', '2D000', NULL, 'a purge inside a transaction block');
SELECT throws_ok('SELECT take_deleted_files(NULL)', '22004', NULL, 'no number of files');
SELECT throws_ok('SELECT take_deleted_files(-1)', '22023', NULL, 'a negative number of files');
SELECT throws_ok('SELECT retry_deleted_file(NULL, ''e'')', '22004', NULL, 'no path');
SAVEPOINT reading;
SET TRANSACTION READ ONLY;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '25006', NULL, 'a read-only transaction');
SELECT lives_ok('SELECT preview_professor_deletion(''p1'')', 'the preview only reads');
ROLLBACK TO reading;

-- Rights

CREATE ROLE catalogue_test_secretary;
GRANT USAGE ON SCHEMA app TO catalogue_test_secretary;
SAVEPOINT rights;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42501', 'permission denied for table professeurs',
				 'without rights');
RESET ROLE;
GRANT SELECT (username), DELETE ON professeurs TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42501', 'permission denied for table chapitres_complets',
				 'without rights on the chapters');
RESET ROLE;
GRANT DELETE ON chapitres_complets TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42501', NULL,
				 'what the mapping adds to the schema''s cascades needs rights of its own');
RESET ROLE;
GRANT DELETE ON commentaires, notifications TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT lives_ok('SELECT delete_professor_batch(''p1'')', 'cascades have the rights of the tables'' owner');
SELECT throws_ok('SELECT take_deleted_files()', '42501', 'permission denied for table deleted_files',
				 'files need rights on the outbox');
RESET ROLE;
SELECT is((SELECT count(*) FROM messages_etudiant_statut), 6::bigint, '... three levels down');
ROLLBACK TO rights;

-- Without the mapping's additions, rights on professors and chapters are enough.
SELECT catalogue.attach('app', '{"also_delete": [], "soft_references": []}') \g /dev/null
GRANT SELECT (username), DELETE ON professeurs TO catalogue_test_secretary;
GRANT DELETE ON chapitres_complets TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''p1'', 4)',
	$$VALUES ('commentaires', 'delete', 100::bigint), ('notifications', 'set null', 97),
		('chapitres_complets', 'delete', 10), ('contents', 'delete', 3), ('messages_etudiant_statut', 'delete', 3),
		('messages_prof', 'delete', 3), ('professeurs', 'delete', 1)$$,
	'rights on professors and chapters only; SET NULL stays what the schema says');
RESET ROLE;
SELECT is((SELECT count(*) FROM notifications WHERE chapitre_id IS NULL), 106::bigint, 'keys set to null');
ROLLBACK TO rights;

ALTER TABLE professeurs ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON professeurs FOR SELECT USING (true);
CREATE POLICY own ON professeurs FOR DELETE USING (username <> 'p1');
GRANT SELECT, DELETE ON professeurs, chapitres_complets, commentaires, notifications TO catalogue_test_secretary;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '42501', NULL, 'a policy that keeps the professor');
SELECT lives_ok('SELECT delete_professor_batch(''p2'')', 'a policy that does not keep the professor');
RESET ROLE;
ALTER TABLE commentaires ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE catalogue_test_secretary;
SELECT throws_ok('SELECT delete_professor_batch(''p3'')', '42501',
	'deletion would be affected by row-level security policy for table "commentaires"', 'a policy on what the mapping adds');
RESET ROLE;
ROLLBACK TO rights;

-- Counts and files, whatever the batch

CREATE TEMP TABLE expected AS SELECT * FROM preview_professor_deletion('p1');
SELECT results_eq(
	'SELECT relation::text, row_count FROM preview_professor_deletion(''p1'') WHERE action = ''delete''',
	$$VALUES ('commentaires', (SELECT count(*) FROM commentaires WHERE
			auteur_type IN ('prof', 'professeur') AND auteur_id = 1
			OR chapitre_id IN (SELECT id FROM chapitres_complets WHERE created_by = 'p1'))),
		('notifications', (SELECT count(*) FROM notifications WHERE
			destinataire_type IN ('prof', 'professeur') AND destinataire_id = 1
			OR chapitre_id IN (SELECT id FROM chapitres_complets WHERE created_by = 'p1'))),
		('chapitres_complets', 10), ('contents', 3), ('messages_etudiant_statut', 3),
		('messages_prof', 3), ('professeurs', 1)$$, 'the preview counts what plain SQL counts');
SELECT bag_eq('SELECT relation::text, action FROM expected WHERE action = ''no index''',
	$$VALUES ('commentaires', 'no index'), ('notifications', 'no index')$$, 'and names keys without an index');

CREATE FUNCTION pg_temp.deletes_alike(batch_size integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE report AS SELECT * FROM delete_professor_batch('p1', batch_size);
	RETURN NEXT results_eq('SELECT relation, action, row_count FROM report',
		'SELECT relation, action, row_count FROM expected WHERE action <> ''no index''',
		'the deletion is as previewed, batch size ' || batch_size);
	RETURN NEXT results_eq('SELECT path FROM deleted_files ORDER BY path', $q$
		SELECT unnest(ARRAY['cours/' || i, 'a' || i, '/abs/b' || i]) AS path FROM generate_series(3, 30, 3) AS i
		UNION ALL SELECT 'contents/' || i FROM generate_series(3, 9, 3) AS i
		UNION ALL SELECT 'audio/' || i FROM generate_series(3, 9, 3) AS i ORDER BY path$q$,
		'its files, as they were written, batch size ' || batch_size);
END
$$;

SAVEPOINT deletion;
SELECT pg_temp.deletes_alike(1);
ROLLBACK TO deletion;
SELECT pg_temp.deletes_alike(3);
ROLLBACK TO deletion;
SET LOCAL catalogue.skip_redundant_ri_triggers = off;
SELECT pg_temp.deletes_alike(1000);
ROLLBACK TO deletion;
CREATE INDEX ON commentaires (chapitre_id);
CREATE INDEX ON notifications (chapitre_id);
SELECT pg_temp.deletes_alike(5);
ROLLBACK TO deletion;

-- Statements: none deletes more than a batch, also where it asks an index for the
-- rows that reference several chapters, or one that has many

INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', 3, 'etudiant', i, 'n' FROM generate_series(1, 40) AS i;
CREATE TABLE statements (relation name, deleted bigint);
CREATE FUNCTION note_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO statements SELECT TG_TABLE_NAME, count(*) FROM gone;
	RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER DELETE ON commentaires REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION note_statement();
CREATE TRIGGER note AFTER DELETE ON chapitres_complets REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION note_statement();
CREATE TEMP TABLE full_batches AS VALUES ('chapitres_complets'::name, 7::bigint), ('commentaires', 7);
SAVEPOINT statements;
SELECT delete_professor_batch('p1', 7) \g /dev/null
SELECT results_eq('SELECT relation, max(deleted) FROM statements GROUP BY relation ORDER BY relation', 'TABLE full_batches',
	'no statement deletes more than a batch, from lists');
ROLLBACK TO statements;
CREATE INDEX ON commentaires (chapitre_id);
SELECT delete_professor_batch('p1', 7) \g /dev/null
SELECT results_eq('SELECT relation, max(deleted) FROM statements GROUP BY relation ORDER BY relation', 'TABLE full_batches',
	'no statement deletes more than a batch, by an index');
ROLLBACK TO deletion;

-- Plans: by an index or by TIDs, also where the planner, which is shown no keys,
-- would rather read so small a table whole, as it does for the professor

SELECT catalogue.attach('app', '{"also_delete": [], "soft_references": []}') \g /dev/null
CREATE INDEX ON commentaires (chapitre_id);
CREATE INDEX ON notifications (chapitre_id);
ANALYZE;
CREATE TEMP TABLE scans AS SELECT relid, seq_scan FROM pg_stat_xact_user_tables;
SELECT delete_professor_batch('p1', 4) \g /dev/null
SELECT is_empty('SELECT s.relname FROM pg_stat_xact_user_tables AS s JOIN scans USING (relid)
	WHERE s.schemaname = ''app'' AND s.relname <> ''professeurs'' AND s.seq_scan > scans.seq_scan',
	'no table is read whole where there is an index');
ROLLBACK TO deletion;

-- The RI trigger that is skipped would look for each chapter's comments once more,
-- and have to read the whole table for it

CREATE FUNCTION pg_temp.reads(skip text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pg_stat_get_xact_numscans('commentaires'::regclass);
BEGIN
	PERFORM set_config('catalogue.skip_redundant_ri_triggers', skip, true);
	PERFORM delete_professor_batch('p1', 1000);
	RETURN pg_stat_get_xact_numscans('commentaires'::regclass) - before;
END
$$;
SAVEPOINT checks;
SELECT pg_temp.reads('on') AS reads \gset
ROLLBACK TO checks;
SELECT is(pg_temp.reads('off') - :reads, 10::bigint, 'ten chapters, ten RI triggers skipped');
ROLLBACK TO deletion;

-- Triggers

CREATE TABLE audit (relation name, actor name, id integer);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO app.audit VALUES (TG_TABLE_NAME, session_user, OLD.id);
	RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER DELETE ON commentaires FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER audit AFTER DELETE ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION audit();
SELECT pg_temp.deletes_alike(4);
SELECT results_eq('SELECT relation, count(*), count(DISTINCT id) FROM audit GROUP BY 1 ORDER BY 1',
	$$SELECT c.relname, e.row_count, e.row_count FROM expected AS e JOIN pg_class c ON c.oid = e.relation
	WHERE e.action = 'delete' AND c.relname IN ('commentaires', 'chapitres_complets') ORDER BY 1$$,
	'an audit trigger fires once a row');
ROLLBACK TO deletion;

-- A trigger that adds a comment to the chapter whose comments are deleted.
CREATE FUNCTION comment_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.texte = 't' THEN
		INSERT INTO app.commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
		VALUES ('again', OLD.chapitre_id, 'etudiant', 1, 'n');
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER again AFTER DELETE ON commentaires FOR EACH ROW EXECUTE FUNCTION comment_again();
SELECT lives_ok('SELECT delete_professor_batch(''p1'', 4)', 'a trigger that adds referencing rows');
SELECT is((SELECT count(*) FROM commentaires WHERE chapitre_id NOT IN (SELECT id FROM chapitres_complets)),
		  0::bigint, '... leaves no orphan: the RI trigger is not redundant');
ROLLBACK TO deletion;

-- A trigger that keeps count on the chapters: their rows move during the deletion.
ALTER TABLE chapitres_complets ADD comments integer DEFAULT 0;
CREATE FUNCTION count_comments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE app.chapitres_complets SET comments = comments - 1 WHERE id = OLD.chapitre_id;
	RETURN NULL;
END
$$;
CREATE TRIGGER counts AFTER DELETE ON commentaires FOR EACH ROW EXECUTE FUNCTION count_comments();
SELECT pg_temp.deletes_alike(4);
ROLLBACK TO deletion;

-- A trigger that keeps the professor: nothing may be deleted.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE DELETE ON professeurs FOR EACH ROW EXECUTE FUNCTION keep();
SELECT throws_ok('SELECT delete_professor_batch(''p1'')', '27000', NULL, 'a trigger that keeps the professor');
ROLLBACK TO deletion;

-- Keys that block

CREATE TABLE favourites (chapitre_id integer REFERENCES chapitres_complets);
INSERT INTO favourites VALUES (3), (4);
SELECT results_eq('SELECT relation::text, row_count FROM preview_professor_deletion(''p1'') WHERE action = ''blocked''',
	$$VALUES ('favourites', 1::bigint)$$, 'the preview says what blocks');
SELECT throws_ok('SELECT delete_professor_batch(''p1'', 2)', '23503', NULL, 'a NO ACTION key blocks');
SELECT is((SELECT count(*) FROM commentaires) + (SELECT count(*) FROM deleted_files), 300::bigint,
		  '... and nothing is deleted');
ROLLBACK TO deletion;

-- Partitions, keys of two columns and a SET DEFAULT key

CREATE TABLE lessons (prof integer REFERENCES professeurs ON DELETE CASCADE, nr integer, PRIMARY KEY (prof, nr));
INSERT INTO lessons SELECT p, i FROM generate_series(1, 3) AS p, generate_series(0, 9) AS i;
CREATE TABLE visits (prof integer DEFAULT 2, nr integer, year integer,
	FOREIGN KEY (prof, nr) REFERENCES lessons ON DELETE CASCADE) PARTITION BY LIST (year);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES IN (2);
INSERT INTO visits SELECT p, i, 1 + i % 2 FROM generate_series(1, 3) AS p, generate_series(0, 9) AS i;
CREATE TABLE marks (prof integer DEFAULT 2 REFERENCES professeurs ON DELETE SET DEFAULT);
INSERT INTO marks SELECT 1 + i % 3 FROM generate_series(1, 9) AS i;
SELECT results_eq($$SELECT relation::text, action, row_count FROM delete_professor_batch('p1', 3)
	WHERE relation::text IN ('visits', 'lessons', 'marks')$$,
	$$VALUES ('visits', 'delete', 10::bigint), ('lessons', 'delete', 10), ('marks', 'set default', 3)$$,
	'partitions count as their table');
ROLLBACK TO deletion;

-- A partitioned table that is referenced, and one of its partitions by itself

CREATE TABLE lessons (prof integer REFERENCES professeurs ON DELETE CASCADE, nr integer, PRIMARY KEY (prof, nr))
	PARTITION BY LIST (prof);
CREATE TABLE lessons_1 PARTITION OF lessons FOR VALUES IN (1);
CREATE TABLE lessons_2 PARTITION OF lessons FOR VALUES IN (2, 3);
INSERT INTO lessons SELECT p, i FROM generate_series(1, 3) AS p, generate_series(0, 9) AS i;
CREATE TABLE visits (prof integer, nr integer, FOREIGN KEY (prof, nr) REFERENCES lessons ON DELETE CASCADE);
INSERT INTO visits SELECT prof, nr FROM lessons;
CREATE TABLE notes (prof integer, nr integer, FOREIGN KEY (prof, nr) REFERENCES lessons_1 ON DELETE CASCADE);
INSERT INTO notes SELECT prof, nr FROM lessons_1;
SELECT results_eq($$SELECT relation::text, action, row_count FROM delete_professor_batch('p1', 3)
	WHERE relation::text IN ('notes', 'visits', 'lessons')$$,
	$$VALUES ('notes', 'delete', 10::bigint), ('visits', 'delete', 10), ('lessons', 'delete', 10)$$,
	'keys to a partitioned table and to a partition');
SELECT results_eq('SELECT (SELECT count(*) FROM lessons), (SELECT count(*) FROM visits), (SELECT count(*) FROM notes)',
	'VALUES (20::bigint, 20::bigint, 0::bigint)', '... and no other rows');
ROLLBACK TO deletion;

-- Keys of many types: one that another type refers to, an enum, a domain, two
-- collations, an array (whose values no array can hold) and one that may be null

CREATE TYPE term AS ENUM ('autumn', 'spring', 'summer');
CREATE DOMAIN code AS text;
CREATE TABLE courses (prof integer REFERENCES professeurs ON DELETE CASCADE, i integer UNIQUE, e term UNIQUE,
	d code UNIQUE, c text COLLATE "C" UNIQUE, a integer[] UNIQUE, n varchar(9) UNIQUE);
INSERT INTO courses VALUES (1, 1, 'autumn', 'x', 'x', '{1}', 'x'), (1, 2, 'spring', 'y', 'y', '{2}', NULL),
	(2, 3, 'summer', 'z', 'z', '{3}', 'z');
CREATE TABLE of_i (k bigint REFERENCES courses (i) ON DELETE CASCADE);
CREATE TABLE of_e (k term REFERENCES courses (e) ON DELETE CASCADE);
CREATE TABLE of_d (k code REFERENCES courses (d) ON DELETE CASCADE);
CREATE TABLE of_c (k text REFERENCES courses (c) ON DELETE CASCADE);
CREATE TABLE of_a (k integer[] REFERENCES courses (a) ON DELETE CASCADE);
CREATE TABLE of_n (k text REFERENCES courses (n) ON DELETE SET NULL);
INSERT INTO of_i SELECT i FROM courses, generate_series(1, 4);
INSERT INTO of_e SELECT e FROM courses, generate_series(1, 4);
INSERT INTO of_d SELECT d FROM courses, generate_series(1, 4);
INSERT INTO of_c SELECT c FROM courses, generate_series(1, 4);
INSERT INTO of_a SELECT a FROM courses, generate_series(1, 4);
INSERT INTO of_n SELECT n FROM courses, generate_series(1, 4);
CREATE TABLE lost_of_each_type AS SELECT * FROM (VALUES ('of_i', 'delete', 8::bigint), ('of_e', 'delete', 8),
	('of_d', 'delete', 8), ('of_c', 'delete', 8), ('of_a', 'delete', 8), ('of_n', 'set null', 4)) AS v;
CREATE FUNCTION pg_temp.deletes_each_type(what text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT bag_eq($q$SELECT relation::text, action, row_count FROM preview_professor_deletion('p1')
		WHERE relation::text LIKE 'of__' AND action <> 'no index'$q$,
		'SELECT * FROM lost_of_each_type', 'keys of many types, previewed, ' || what);
	RETURN NEXT bag_eq($q$SELECT relation::text, action, row_count FROM delete_professor_batch('p1', 3)
		WHERE relation::text LIKE 'of__'$q$,
		'SELECT * FROM lost_of_each_type', '... deleted');
	RETURN NEXT results_eq($q$SELECT (SELECT count(*) FROM of_i WHERE k = 3),
		(SELECT count(*) FROM of_e WHERE k = 'summer'), (SELECT count(*) FROM of_d WHERE k = 'z'),
		(SELECT count(*) FROM of_c WHERE k = 'z'), (SELECT count(*) FROM of_a WHERE k = '{3}'),
		(SELECT count(*) FROM of_n WHERE k = 'z')$q$,
		'VALUES (4::bigint, 4::bigint, 4::bigint, 4::bigint, 4::bigint, 4::bigint)', '... and no others');
END
$$;
SAVEPOINT types;
SELECT pg_temp.deletes_each_type('without an index');
ROLLBACK TO types;
CREATE INDEX ON of_i (k);
CREATE INDEX ON of_e (k);
CREATE INDEX ON of_d (k);
CREATE INDEX ON of_c (k);
CREATE INDEX ON of_a (k);
CREATE INDEX ON of_n (k);
SELECT pg_temp.deletes_each_type('with an index');
ROLLBACK TO deletion;

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
