-- Not under debug_discard_caches: dozens of calls of everything, after each of which nothing is kept there.
-- What a session caches is dropped, with its plans, once what it was read from
-- has changed or was dropped.
SET client_min_messages = warning;
SELECT plan(16);

CREATE EXTENSION catalogue;
CREATE SCHEMA app;
CREATE SCHEMA other;
SELECT count(*) FROM catalogue.create_tables('app');
SELECT count(*) FROM catalogue.create_tables('other');
SELECT count(*) FROM catalogue.attach('app', create_indexes => true);
SELECT count(*) FROM catalogue.attach('other');
INSERT INTO app.universites VALUES ('u1', 'U1', 'U1');
INSERT INTO app.ufrs VALUES ('r1', 'R1', 'R1', 'u1');
INSERT INTO app.filieres VALUES ('f1', 'F1', 'F1', 'r1');
INSERT INTO app.matieres VALUES ('m1', 'M1', 'M1', 'f1', 'L1', 'S1');
INSERT INTO app.professeurs (id, username, password_hash, nom, prenom, specialite)
	SELECT i, to_char(i, 'fm"p"00'), '', '', '', '' FROM generate_series(1, 50) AS i;
INSERT INTO app.chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
		chapitre, titre, created_by)
	SELECT 'u1', 'r1', 'f1', 'm1', 'L1', 'S1', i::text, i::text, to_char(i, 'fm"p"00') FROM generate_series(1, 50) AS i;

CREATE TABLE app.contexts (change text, n bigint);

-- Makes a change eight times, each in a transaction of its own that ends with
-- every kind of call, and notes how many memory contexts of the extension and saved plans
-- this session has, once it has warmed up.
CREATE PROCEDURE app.repeat(change text) LANGUAGE plpgsql AS $$
DECLARE
	username text;
BEGIN
	FOR i IN 1 .. 8 LOOP
		EXECUTE change;
		COMMIT;
		username := (SELECT min(p.username) FROM app.professeurs p);
		PERFORM id FROM app.recent_chapters('f1', 5);
		PERFORM app.recent_chapters('f1', 5);
		PERFORM id FROM app.recent_chapters_any(ARRAY['f1', 'f2'], 5);
		PERFORM * FROM app.cached_lookups();
		PERFORM * FROM app.preview_professor_deletion(username);
		PERFORM * FROM app.delete_professor_batch(username);
		COMMIT;
		IF i > 3 THEN
			INSERT INTO app.contexts SELECT change, count(*) FROM pg_backend_memory_contexts
			WHERE name IN ('CachedPlanSource', 'SPI Plan') OR name LIKE 'catalogue %';
		END IF;
	END LOOP;
END
$$;
CREATE FUNCTION app.kept(change text) RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN max(n) - min(n) <= 0 THEN 'the same' ELSE format('from %s to %s', min(n), max(n)) END
FROM app.contexts c WHERE c.change = kept.change
$$;

\set nothing 'SELECT 1'
\set elsewhere 'SELECT count(*) FROM catalogue.attach(''other'')'
\set referencing 'ALTER TABLE app.commentaires ALTER texte SET STATISTICS 10'
\set chapters 'ALTER TABLE app.chapitres_complets ALTER titre SET STATISTICS 10'
\set outbox 'ALTER TABLE app.deleted_files ALTER path SET STATISTICS 10'
CALL app.repeat(:'nothing');
CALL app.repeat(:'elsewhere');
CALL app.repeat(:'referencing');
CALL app.repeat(:'chapters');
CALL app.repeat(:'outbox');
SELECT is(app.kept(:'nothing'), 'the same', 'calls alone keep nothing more');
SELECT is(app.kept(:'elsewhere'), 'the same', 'attaching another schema leaves nothing behind');
SELECT is(app.kept(:'referencing'), 'the same', 'nor does a change of a table that a deletion reaches');
SELECT is(app.kept(:'chapters'), 'the same', 'nor one of the chapters');
SELECT is(app.kept(:'outbox'), 'the same', 'nor one of the outbox, on which an attachment depends and a graph does not');

-- Nor does a call that fails, again and again.
CREATE SCHEMA private;
ALTER TABLE app.chapitres_complets SET SCHEMA private;
CREATE ROLE visitor;
GRANT USAGE ON SCHEMA app TO visitor;
CREATE FUNCTION app.feed_bytes() RETURNS numeric LANGUAGE sql AS
	$$SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name = 'catalogue chapter feed'$$;
CREATE FUNCTION app.fail(times integer) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	bytes numeric;
BEGIN
	FOR i IN 0 .. times LOOP
		BEGIN
			SET ROLE visitor;
			PERFORM id FROM app.recent_chapters('f1', 5);
		EXCEPTION WHEN insufficient_privilege THEN
			bytes := coalesce(bytes, app.feed_bytes());
		END;
	END LOOP;
	RETURN app.feed_bytes() - bytes;
END
$$;
SELECT is(app.fail(100), 0::numeric, 'a call that cannot be prepared leaves nothing behind');
ALTER TABLE private.chapitres_complets SET SCHEMA app;
DROP OWNED BY visitor;
DROP ROLE visitor;

-- Names are part of what was read.
ALTER SCHEMA app RENAME TO renamed;
SELECT is((SELECT count(*) FROM renamed.recent_chapters('f1', 3)), 3::bigint, 'the feed follows a renamed schema');
SELECT is((SELECT count(*) FROM renamed.recent_chapters_any(ARRAY['f1'], 3)), 3::bigint, '... of several filières');
SELECT is((SELECT count(*) FROM renamed.cached_lookups()), 3::bigint, 'cached lookups follow it');
SELECT is((SELECT sum(row_count) FROM renamed.delete_professor_batch('p41')), 2::numeric, 'a deletion follows it');
ALTER SCHEMA renamed RENAME TO app;

-- A dropped function takes its feed along, one that is kept till then.
CREATE TEMPORARY TABLE before AS SELECT count(*) AS n FROM pg_backend_memory_contexts WHERE name = 'catalogue chapter feed';
DROP FUNCTION app.recent_chapters_any(text[], bigint, bigint, timestamp);
ALTER TABLE app.chapitres_complets ALTER titre SET STATISTICS 20;
SELECT count(*) FROM app.recent_chapters('f1', 1);
SELECT is((SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'catalogue chapter feed'),
	(SELECT n - 1 FROM before), 'the feed of a dropped function is dropped');
SELECT count(*) FROM catalogue.attach('app');

-- What the configuration names can have been dropped.
BEGIN;
SAVEPOINT dropped;
DROP TABLE app.professor_purges CASCADE;
SELECT is((SELECT sum(row_count) FROM app.delete_professor_batch('p42')), 2::numeric,
	'a deletion does not need the table of purges');
ROLLBACK TO dropped;
DROP TABLE app.deleted_files CASCADE;
SELECT throws_ok($$SELECT * FROM app.delete_professor_batch('p43')$$, '55000',
	'schema "app" is not attached', 'a schema without its outbox is not attached');
SELECT throws_ok($$SELECT * FROM app.recent_chapters('f1')$$, '55000',
	'schema "app" is not attached', '... for the feed');
ROLLBACK TO dropped;
ALTER TABLE app.commentaires RENAME TO gone;
DROP TABLE app.gone CASCADE;
SELECT throws_ok($$SELECT * FROM app.delete_professor_batch('p43')$$, '42P01', NULL,
	'a table of the mapping that was dropped is named as such');
ROLLBACK TO dropped;
DROP TABLE app.professeurs CASCADE;
SELECT throws_ok($$SELECT * FROM app.delete_professor_batch('p43')$$, '42P01', NULL,
	'so is the professors table');

SELECT finish();
ROLLBACK;
