-- Files of partitioned tables and of inheritance children: those of a row that
-- is moved stay.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SET LOCAL search_path = app, public;
SELECT plan(34);
CREATE TABLE profs (id integer PRIMARY KEY, login text UNIQUE);
CREATE TABLE lessons (id integer, part integer, path text, other text) PARTITION BY LIST (part);
CREATE TABLE lessons_1 PARTITION OF lessons FOR VALUES IN (1);
CREATE TABLE lessons_2 (other text, path text, gone text, part integer, id integer);
ALTER TABLE lessons_2 DROP COLUMN gone;
ALTER TABLE lessons ATTACH PARTITION lessons_2 FOR VALUES IN (2);
CREATE TABLE lessons_3 PARTITION OF lessons FOR VALUES IN (3, 4) PARTITION BY LIST (part);
CREATE TABLE lessons_3_3 PARTITION OF lessons_3 FOR VALUES IN (3);
CREATE TABLE notes (id integer, path text);
CREATE TABLE notes_old (extra text) INHERITS (notes);
\set mapping '{"professors": {"relation": "profs", "username": "login"}, "chapters": null, "lookups": null, "also_delete": null, "soft_references": null, "files": [{"relation": "lessons", "column": "path"}, {"relation": "lessons", "column": "other", "replaced": false}, {"relation": "notes", "column": "path"}]}'
SELECT catalogue.attach('app', :'mapping') \g /dev/null
INSERT INTO lessons SELECT i, 1 + i % 3, 'p' || i, 'o' || i FROM generate_series(1, 9) AS i;
INSERT INTO notes SELECT i, 'n' || i FROM generate_series(1, 3) AS i;
INSERT INTO notes_old SELECT i, 'n' || i FROM generate_series(4, 6) AS i;
PREPARE queued AS SELECT path FROM deleted_files;
PREPARE nothing AS SELECT NULL::text WHERE false;
SELECT set_eq('SELECT status FROM catalogue.doctor() WHERE "check" LIKE ''deleted files%''', ARRAY['ok'], 'attached');
SAVEPOINT start;

-- Deletions

DELETE FROM lessons WHERE id <= 3;
SELECT bag_eq('queued', $$VALUES ('p1'), ('o1'), ('p2'), ('o2'), ('p3'), ('o3')$$, 'DELETE from the partitioned table');
SELECT set_eq('SELECT relation::text FROM deleted_files', ARRAY['lessons'], '... which the files are said to come from');
ROLLBACK TO start;
DELETE FROM lessons_2 WHERE id = 1;
DELETE FROM lessons_3_3 WHERE id = 2;
SELECT bag_eq('queued', $$VALUES ('p1'), ('o1'), ('p2'), ('o2')$$, 'DELETE from a partition');
ROLLBACK TO start;
DELETE FROM notes WHERE id IN (1, 4);
DELETE FROM notes_old WHERE id = 5;
SELECT bag_eq('queued', $$VALUES ('n1'), ('n4'), ('n5')$$, 'an inheritance child''s rows');
ROLLBACK TO start;
UPDATE notes SET path = 'new' || id WHERE id IN (1, 4);
UPDATE notes_old SET path = NULL WHERE id = 5;
SELECT bag_eq('queued', $$VALUES ('n1'), ('n4'), ('n5')$$, '... and what is replaced in them');
ROLLBACK TO start;
CREATE TABLE notes_new () INHERITS (notes);
SELECT set_eq('SELECT detail FROM catalogue.doctor() WHERE status = ''warning'' AND detail LIKE ''%deleted on%''', ARRAY[
	'run attach() again, trigger catalogue_files_deleted on app.notes_new is missing or disabled'], 'a new child lacks triggers');
SELECT catalogue.attach('app') \g /dev/null
INSERT INTO notes_new VALUES (7, 'n7');
DELETE FROM notes WHERE id = 7;
SELECT bag_eq('queued', 'VALUES (''n7'')', '... until attach() runs again');
ALTER TABLE notes_new NO INHERIT notes;
INSERT INTO notes_new VALUES (8, 'n8');
DELETE FROM notes_new;
SELECT bag_eq('queued', 'VALUES (''n7'')', 'a table that is no child any more queues nothing');
ROLLBACK TO start;

-- A partition that was made after attach()

CREATE TABLE lessons_3_4 PARTITION OF lessons_3 FOR VALUES IN (4);
INSERT INTO lessons VALUES (10, 4, 'p10', 'o10');
DELETE FROM lessons_3_4;
SELECT bag_eq('SELECT path FROM take_deleted_files()', $$VALUES ('p10'), ('o10')$$, 'a row of a new partition is not missed');
INSERT INTO lessons VALUES (10, 4, 'p10', 'o10');
TRUNCATE lessons_3;
SELECT bag_eq($$SELECT path FROM deleted_files WHERE state = 'queued'$$,
	$$VALUES ('p2'), ('o2'), ('p5'), ('o5'), ('p8'), ('o8'), ('p10'), ('o10')$$, 'nor one of TRUNCATE');
ROLLBACK TO start;
CREATE TABLE lessons_3_4 PARTITION OF lessons_3 FOR VALUES IN (4);
INSERT INTO lessons VALUES (10, 4, 'p10', 'o10');
TRUNCATE lessons;
SELECT bag_eq('queued', $$SELECT c || i FROM unnest(ARRAY['p', 'o']) AS c, generate_series(1, 10) AS i$$,
	'... of the whole table, once each');
ROLLBACK TO start;
TRUNCATE notes;
SELECT bag_eq('queued', $$SELECT 'n' || i FROM generate_series(1, 6) AS i$$, 'TRUNCATE with children');
ROLLBACK TO start;
TRUNCATE ONLY notes;
SELECT bag_eq('queued', $$SELECT 'n' || i FROM generate_series(1, 3) AS i$$, '... and without');
ROLLBACK TO start;
ALTER TABLE lessons DETACH PARTITION lessons_1;
DELETE FROM lessons_1;
SELECT bag_eq('queued', 'nothing', 'a partition that was detached queues nothing');
SELECT lives_ok('ALTER TABLE lessons ATTACH PARTITION lessons_1 FOR VALUES IN (1)', '... and can be attached again');
ROLLBACK TO start;

-- Rows that move

UPDATE lessons SET part = 2 WHERE id = 2;
UPDATE lessons SET part = 1 + part % 3;
SELECT bag_eq('queued', 'nothing', 'rows that move keep their files');
UPDATE lessons SET part = 1 + part % 3, path = CASE WHEN id < 3 THEN 'new' || id WHEN id = 3 THEN NULL ELSE path END,
	other = CASE WHEN id = 4 THEN 'new' ELSE other END;
SELECT bag_eq('queued', $$VALUES ('p1'), ('p2'), ('p3')$$, '... but for what is replaced meanwhile');
ROLLBACK TO start;
UPDATE lessons SET part = 2, other = path, path = other WHERE part = 1;
SELECT bag_eq('queued', 'nothing', '... and the row does not name in another column');
ROLLBACK TO start;
UPDATE lessons SET part = 2, path = NULL, other = NULL WHERE part = 1;
SELECT bag_eq('queued', $$VALUES ('p3'), ('p6'), ('p9')$$, 'rows that name no file any more');
ROLLBACK TO start;
MERGE INTO lessons AS l USING generate_series(1, 12) AS i ON l.id = i
WHEN MATCHED AND i < 5 THEN UPDATE SET part = 1 + part % 3, path = CASE i WHEN 1 THEN 'new' ELSE path END
WHEN MATCHED AND i < 8 THEN DELETE
WHEN NOT MATCHED THEN INSERT VALUES (i, 1, 'p' || i);
SELECT bag_eq('queued', $$VALUES ('p1'), ('p5'), ('o5'), ('p6'), ('o6'), ('p7'), ('o7')$$, 'MERGE that moves, deletes and inserts');
ROLLBACK TO start;

-- Triggers between the two halves of a move

CREATE FUNCTION delete_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM notes WHERE id = OLD.id;
	BEGIN
		DELETE FROM notes;
		RAISE 'no';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	UPDATE lessons SET part = 1 + part % 3 WHERE id = 10 - OLD.id AND OLD.id < 4;
	RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER DELETE ON lessons FOR EACH ROW EXECUTE FUNCTION delete_note();
CREATE TRIGGER a_note AFTER DELETE ON lessons FOR EACH ROW EXECUTE FUNCTION delete_note();
UPDATE lessons SET part = 1 + part % 3 WHERE id <= 3;
SELECT bag_eq('queued', $$VALUES ('n1'), ('n2'), ('n3')$$, 'what triggers delete and move meanwhile');
ROLLBACK TO start;
CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER vanish BEFORE INSERT ON lessons_1 FOR EACH ROW EXECUTE FUNCTION vanish();
UPDATE lessons SET part = 1 WHERE id = 1;
SELECT is((SELECT count(*) FROM lessons WHERE id = 1), 0::bigint, 'a row that a trigger does not let in is gone');
SELECT bag_eq('queued', 'VALUES (''p1'')', '... and its replaced files with it');
ROLLBACK TO start;

-- Rows that move to where no trigger sees them keep their files

ALTER TABLE lessons_1 DISABLE TRIGGER catalogue_files_moved;
UPDATE lessons SET part = 1 + part % 3;
SELECT bag_eq('queued', 'nothing', 'into a partition whose trigger is disabled');
ALTER TABLE lessons_1 ENABLE ALWAYS TRIGGER catalogue_files_moved, DISABLE TRIGGER catalogue_files_deleted;
UPDATE lessons SET part = 1 + part % 3, path = 'new' WHERE id = 1;
SELECT bag_eq('queued', 'VALUES (''p1'')', '... until it is enabled');
ALTER TABLE lessons_1 ENABLE TRIGGER catalogue_files_deleted;
ALTER TABLE lessons_2 ENABLE ALWAYS TRIGGER catalogue_files_deleted;
SET LOCAL session_replication_role = replica;
UPDATE lessons SET part = 3 WHERE part = 2;
SET LOCAL session_replication_role = origin;
SELECT bag_eq('queued', 'VALUES (''p1'')', 'where what is replicated fires one trigger and not the other');
ROLLBACK TO start;

-- A partition that is bound by itself: a row that leaves it takes its files along

SELECT catalogue.attach('app', replace(:'mapping', '"relation": "lessons"', '"relation": "lessons_2"')::jsonb) \g /dev/null
UPDATE lessons SET part = 1 WHERE id = 1;
UPDATE lessons SET part = 2 WHERE id = 2;
SELECT bag_eq('queued', 'nothing', 'in and out of a bound partition');
DELETE FROM lessons WHERE id IN (1, 2);
SELECT bag_eq('SELECT path FROM take_deleted_files()', $$VALUES ('p2'), ('o2')$$, '... which is what queues');
SELECT catalogue.attach('app', :'mapping') \g /dev/null
DELETE FROM lessons WHERE id IN (3, 4);
SELECT bag_eq('queued', $$VALUES ('p2'), ('o2'), ('p3'), ('o3'), ('p4'), ('o4')$$, 'bound as a whole again');
ROLLBACK TO start;
CREATE SCHEMA other;
CREATE TABLE other.profs (id integer PRIMARY KEY, login text UNIQUE);
SELECT catalogue.attach('other', replace(:'mapping', '"relation": "lessons"', '"relation": "app.lessons_2"')::jsonb
	|| '{"files": [{"relation": "app.lessons_2", "column": "path"}]}') \g /dev/null
DELETE FROM lessons WHERE id IN (1, 2);
SELECT bag_eq('queued', $$VALUES ('p1'), ('o1'), ('p2'), ('o2')$$, 'bound as a whole and in part');
SELECT bag_eq('SELECT path FROM other.deleted_files', $$VALUES ('p1')$$, '... by two');
SELECT set_eq('SELECT DISTINCT status FROM catalogue.attach(''other'')', ARRAY['found'], '... who find their triggers');
SELECT catalogue.detach('app') \g /dev/null
SELECT catalogue.attach('other') \g /dev/null
DELETE FROM lessons_2 WHERE id = 4;
SELECT bag_eq('SELECT path FROM other.deleted_files', $$VALUES ('p1'), ('p4')$$, '... and one alone');
ROLLBACK TO start;

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
