--
-- attach() and detach() as a session sees them
--
\set SHOW_CONTEXT never
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SELECT count(*) FROM catalogue.create_tables('app');

-- the report; a second run finds everything and does nothing
SELECT * FROM catalogue.attach('app');
SELECT status, count(*) FROM catalogue.attach('app') GROUP BY status ORDER BY status;
SELECT * FROM catalogue.doctor();

-- without an argument: the current schema
SET search_path = app;
SELECT DISTINCT status FROM catalogue.attach() ORDER BY status;
SET search_path = nowhere;
SELECT * FROM catalogue.attach();
SELECT * FROM catalogue.detach();
RESET search_path;
SELECT * FROM catalogue.attach('nowhere');
SELECT * FROM catalogue.attach('pg_catalog');
SELECT * FROM catalogue.attach('catalogue');
SELECT * FROM catalogue.doctor('nowhere');

-- indexes are made once
SELECT * FROM catalogue.attach('app', create_indexes => true) WHERE status <> 'found';
SELECT * FROM catalogue.attach('app', create_indexes => true) WHERE status <> 'found';
SELECT * FROM catalogue.recommended_indexes('app');
SELECT * FROM catalogue.doctor();

-- indexes that will not do: partial, of another kind, in another order, or
-- with the column among those that are only included
DROP INDEX app.commentaires_chapitre_id_idx, app.commentaires_auteur_id_auteur_type_idx,
	app.chapitres_complets_filiere_id_created_at_id_idx;
CREATE INDEX ON app.commentaires (chapitre_id) WHERE chapitre_id > 0;
CREATE INDEX ON app.commentaires USING brin (chapitre_id);
CREATE INDEX ON app.commentaires (id) INCLUDE (chapitre_id);
CREATE INDEX ON app.commentaires USING hash (auteur_id);
CREATE INDEX ON app.chapitres_complets (filiere_id, created_at DESC, id DESC);
SELECT definition FROM catalogue.recommended_indexes('app');
-- the same order, to be read backward
CREATE INDEX ON app.chapitres_complets (filiere_id, created_at NULLS FIRST, id);
SELECT definition FROM catalogue.recommended_indexes('app');

-- what the administrator changed in the functions stays: name, settings, grants
ALTER FUNCTION app.preview_professor_deletion RENAME TO apercu;
ALTER FUNCTION app.delete_professor_batch SET work_mem = '8MB';
REVOKE ALL ON FUNCTION app.delete_professor_batch FROM PUBLIC;
SELECT DISTINCT status FROM catalogue.attach('app') ORDER BY status;
SELECT proname, proconfig, proacl IS NULL AS default_acl FROM pg_proc
WHERE pronamespace = 'app'::regnamespace AND proname IN ('apercu', 'preview_professor_deletion',
	'delete_professor_batch')
ORDER BY proname;

-- a trigger that was disabled or dropped
ALTER TABLE app.ufrs DISABLE TRIGGER catalogue_lookup_changed;
DROP TRIGGER catalogue_lookup_truncated ON app.ufrs;
SELECT status, detail FROM catalogue.doctor() WHERE status NOT IN ('ok', 'advice');
SELECT * FROM catalogue.attach('app') WHERE status NOT IN ('found', 'advice');
SELECT status, detail FROM catalogue.doctor() WHERE status NOT IN ('ok', 'advice');

-- a column of another type takes another function
CREATE VIEW app.tableau AS SELECT titre FROM app.recent_chapters('info-l1');
ALTER TABLE app.chapitres_complets ALTER COLUMN created_at TYPE timestamptz;
SELECT detail FROM catalogue.doctor() WHERE "check" = 'functions fit the tables';
SELECT * FROM app.recent_chapters('info-l1');
SELECT * FROM catalogue.attach('app') WHERE status NOT IN ('found', 'advice');
DROP VIEW app.tableau;
SELECT * FROM catalogue.attach('app') WHERE status NOT IN ('found', 'advice');
SELECT count(*) FROM app.recent_chapters('info-l1');

-- a table and a schema that are renamed keep their attachment
ALTER TABLE app.chapitres_complets RENAME TO chapitres;
SELECT count(*) FROM app.recent_chapters('info-l1');
ALTER TABLE app.chapitres RENAME TO chapitres_complets;
ALTER SCHEMA app RENAME TO appli;
SELECT count(*) FROM appli.recent_chapters('info-l1');
SELECT schema_name, "check", status FROM catalogue.doctor() WHERE status <> 'advice';
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;

-- two schemas that do not see each other, also when they change names
CREATE SCHEMA neuf;
SELECT count(*) FROM catalogue.create_tables('neuf');
SELECT DISTINCT status FROM catalogue.attach('neuf') ORDER BY status;
INSERT INTO neuf.universites (id, nom, code) VALUES ('u', 'Neuf', 'N');
SELECT 'appli' AS schema, nom FROM appli.cached_lookups() UNION ALL
SELECT 'neuf', nom FROM neuf.cached_lookups();
ALTER SCHEMA appli RENAME TO vieux;
ALTER SCHEMA neuf RENAME TO appli;
SELECT nom FROM appli.cached_lookups();
SELECT nom FROM vieux.cached_lookups();
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;
SELECT nom FROM appli.cached_lookups();
SELECT nom FROM vieux.cached_lookups();

-- a lookup table of two schemas keeps its triggers while one is bound to it
SELECT status, object FROM catalogue.attach('vieux', '{"lookups": [{"kind": "universite", "relation": "appli.universites"}]}')
WHERE status NOT IN ('found', 'advice');
SELECT status, object FROM catalogue.detach('vieux') WHERE object LIKE 'trigger%';
SELECT DISTINCT status FROM catalogue.doctor('appli') ORDER BY status;

-- detach leaves the tables; twice is an error
SELECT * FROM catalogue.detach('appli');
SELECT * FROM catalogue.detach('appli');
SELECT * FROM catalogue.detach('vieux');
SELECT * FROM catalogue.doctor();
SELECT count(*) FROM catalogue.attachment;

-- tables that were dropped
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;
SET client_min_messages = warning;
DROP TABLE appli.chapitres_complets CASCADE;
RESET client_min_messages;
SELECT detail FROM catalogue.doctor() WHERE status = 'error';
SELECT status, object, detail FROM catalogue.attach('appli') WHERE status NOT IN ('found')
AND object NOT LIKE 'CREATE INDEX%';
SET client_min_messages = warning;
DROP TABLE appli.professor_purges CASCADE;
RESET client_min_messages;
SELECT detail FROM catalogue.doctor() WHERE status = 'error';
SELECT status, object FROM catalogue.detach('appli') WHERE status IN ('kept', 'dropped');

-- a schema that was dropped: the next attach() or detach() removes its attachment
SELECT DISTINCT status FROM catalogue.attach('vieux') ORDER BY status;
SET client_min_messages = warning;
DROP SCHEMA vieux CASCADE;
RESET client_min_messages;
SELECT * FROM catalogue.doctor();
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;
SELECT count(*) FROM catalogue.attachment;

-- what the functions say where there is no attachment
CREATE SCHEMA ailleurs;
ALTER FUNCTION appli.cached_lookups SET SCHEMA ailleurs;
SELECT * FROM ailleurs.cached_lookups();
SELECT status, object FROM catalogue.attach('appli') WHERE status NOT IN ('found', 'advice');
DROP FUNCTION ailleurs.cached_lookups;

-- a function of the application's own with a signature of the extension's
SELECT DISTINCT status FROM catalogue.detach('appli') ORDER BY status;
CREATE FUNCTION appli.take_deleted_files(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n';
SELECT * FROM catalogue.attach('appli');
SELECT count(*) FROM catalogue.attachment;
DROP FUNCTION appli.take_deleted_files;

-- DROP EXTENSION takes the functions and triggers, and leaves tables and rows
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;
INSERT INTO appli.deleted_files (path) VALUES ('uploads/cours/a.pdf');
INSERT INTO appli.professor_purges (relation, username, phase) VALUES ('appli.professeurs', 'dupont', 'chapters');
DROP EXTENSION catalogue;
SELECT count(*) AS routines FROM pg_proc WHERE pronamespace = 'appli'::regnamespace;
SELECT count(*) AS triggers FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'appli'::regnamespace AND NOT t.tgisinternal;
SELECT nom FROM appli.universites;
SELECT path FROM appli.deleted_files;
SELECT username FROM appli.professor_purges;
CREATE EXTENSION catalogue;
SELECT DISTINCT status FROM catalogue.attach('appli') ORDER BY status;
SELECT nom FROM appli.cached_lookups();
SELECT path FROM appli.deleted_files;

DROP EXTENSION catalogue;
SET client_min_messages = warning;
DROP SCHEMA appli, ailleurs CASCADE;
