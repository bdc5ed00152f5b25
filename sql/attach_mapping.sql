--
-- attach() with a mapping: other names, other types, and what it refuses
--
\set SHOW_CONTEXT never
CREATE EXTENSION catalogue;

-- an application with other names, quoted ones, and other types
CREATE SCHEMA "Été 'x'";
SET search_path = "Été 'x'";
CREATE DOMAIN cle AS bigint NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN cle_de_cours AS cle;
CREATE TABLE "Écoles" ("N°" uuid PRIMARY KEY, sigle text NOT NULL, "Nom complet" text NOT NULL);
CREATE TABLE "Départements" (id uuid PRIMARY KEY, sigle text NOT NULL, nom text NOT NULL,
	ecole uuid NOT NULL REFERENCES "Écoles");
CREATE TABLE "Profs ""B""" (no int PRIMARY KEY, login name UNIQUE);
CREATE TABLE cours ("Id" cle_de_cours PRIMARY KEY, "dép.%s" uuid REFERENCES "Départements",
	"publié le" date, prof name REFERENCES "Profs ""B""" (login) ON DELETE CASCADE,
	pdf text, titre text);
CREATE TABLE avis (id int PRIMARY KEY, cours bigint REFERENCES cours ON DELETE SET NULL, de int);
\set mapping '{"chapters": {"relation": "cours", "id": "Id", "filiere": "dép.%s", "created_at": "publié le", "author": "prof"}, "professors": {"relation": "\\"Profs \\"\\"B\\"\\"\\"", "id": "no", "username": "login"}, "lookups": [{"kind": "école %s", "relation": "\\"Écoles\\"", "id": "N°", "code": "sigle", "nom": "Nom complet"}, {"kind": "département", "relation": "\\"Été ''x''\\".\\"Départements\\"", "code": "sigle", "parent": "ecole"}], "files": [{"relation": "cours", "column": "pdf", "separator": "%|"}], "also_delete": [{"relation": "avis", "columns": ["cours"]}], "soft_references": [{"relation": "avis", "column": "de"}]}'
SELECT * FROM catalogue.attach(mapping => :'mapping', create_indexes => true);
SELECT * FROM catalogue.doctor();

-- without one the next time: what the schema was attached with
SELECT DISTINCT status FROM catalogue.attach() ORDER BY status;
SELECT object, detail = :'mapping'::jsonb::text AS same FROM catalogue.attach() WHERE object = 'mapping';

INSERT INTO "Écoles" VALUES ('00000000-0000-0000-0000-000000000001', 'E1', 'École 1');
INSERT INTO "Départements" VALUES ('00000000-0000-0000-0000-000000000002', 'D1', 'Dép. 1', '00000000-0000-0000-0000-000000000001');
INSERT INTO "Profs ""B""" VALUES (1, 'dupont');
INSERT INTO cours SELECT i, '00000000-0000-0000-0000-000000000002', date '2026-01-01' + i, 'dupont', NULL, 'cours ' || i
FROM generate_series(1, 5) AS i;
SELECT "Id", titre FROM recent_chapters(uuid '00000000-0000-0000-0000-000000000002', 2);
SELECT "Id", titre FROM recent_chapters(filiere => '00000000-0000-0000-0000-000000000002', n => 2, before_id => 4);
SELECT "Id" FROM recent_chapters_any(ARRAY['00000000-0000-0000-0000-000000000002']::uuid[], 2, 4::cle_de_cours);
SELECT * FROM cached_lookups();
SELECT nom FROM cached_lookups('00000000-0000-0000-0000-000000000001');

-- null takes a section out, an empty list too
SELECT status, object, detail FROM catalogue.attach(mapping => '{"chapters": null, "professors": null, "lookups": [{"kind": "école", "relation": "\"Écoles\"", "id": "N°", "code": "sigle", "nom": "Nom complet"}]}')
WHERE status <> 'found';
SELECT status, object, detail FROM catalogue.attach(mapping => '{"professors": {"relation": "\"Profs \"\"B\"\"\"", "id": "no", "username": "login"}, "chapters": null, "files": [], "lookups": [], "also_delete": [], "soft_references": []}')
WHERE status <> 'found';
-- a renamed column
ALTER TABLE "Profs ""B""" RENAME login TO compte;
SELECT "check", detail FROM catalogue.doctor() WHERE status <> 'ok';
SELECT * FROM catalogue.attach();
SELECT status, object FROM catalogue.detach() WHERE object NOT LIKE '%deleted%' AND object NOT LIKE '%purge%' ORDER BY object;
SET client_min_messages = warning;
DROP SCHEMA "Été 'x'" CASCADE;
RESET client_min_messages;

-- the form of a mapping
CREATE SCHEMA app;
SET search_path = app;
SELECT count(*) FROM catalogue.create_tables();
SELECT * FROM catalogue.attach(mapping => '[]');
SELECT * FROM catalogue.attach(mapping => 'null');
SELECT * FROM catalogue.attach(mapping => '{"chapter": {}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": []}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"table": "lessons"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"id": 5}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"id": ""}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"id": null}}');
SELECT * FROM catalogue.attach(mapping => '{"lookups": {}}');
SELECT * FROM catalogue.attach(mapping => '{"lookups": ["ufrs"]}');
SELECT * FROM catalogue.attach(mapping => '{"lookups": [{"relation": "ufrs"}]}');
SELECT * FROM catalogue.attach(mapping => '{"lookups": [{"kind": "a", "relation": "ufrs"}, {"kind": "a", "relation": "filieres"}]}');
SELECT * FROM catalogue.attach(mapping => '{"lookups": [{"kind": "ufr", "relation": "ufrs", "parent": "universite_id"}]}');
SELECT * FROM catalogue.attach(mapping => '{"files": [{"relation": "contents", "column": "fichier_path"}, {"relation": "app.contents", "column": "fichier_path", "separator": ";"}]}');
SELECT * FROM catalogue.attach(mapping => '{"also_delete": [{"relation": "notifications", "columns": []}]}');
SELECT * FROM catalogue.attach(mapping => '{"also_delete": [{"relation": "notifications", "columns": "chapitre_id"}]}');
SELECT * FROM catalogue.attach(mapping => '{"also_delete": [{"relation": "notifications", "columns": [null]}]}');
SELECT * FROM catalogue.attach(mapping => '{"also_delete": [{"relation": "notifications", "columns": ["destinataire_id"]}]}');
SELECT * FROM catalogue.attach(mapping => '{"soft_references": [{"relation": "commentaires", "column": "auteur_id", "type_values": ["prof"]}]}');
SELECT * FROM catalogue.attach(mapping => '{"professors": null, "files": [{"relation": "contents", "column": "fichier_path"}]}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": null, "professors": null, "lookups": null}');

-- relations and columns
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "lessons"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "a.b.c"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "Été ''x''"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"filiere": "Filiere_id"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"filiere": "ctid"}}');
SELECT * FROM catalogue.attach(mapping => '{"files": [{"relation": "contents", "column": "matiere_id; --"}]}');
SELECT * FROM catalogue.attach(mapping => '{"files": [{"relation": "contents", "column": "id"}]}');
SELECT * FROM catalogue.attach(mapping => '{"professors": {"username": "id"}}');
CREATE VIEW vue AS SELECT * FROM chapitres_complets;
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "vue"}}');
CREATE TEMP TABLE brouillon (LIKE chapitres_complets INCLUDING ALL);
SELECT catalogue.attach(mapping => jsonb_build_object('chapters', jsonb_build_object('relation',
	(SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()) || '.brouillon')));
CREATE TABLE sans_cle (id int NOT NULL, filiere_id int, created_at timestamp, created_by text, liste int[], doc json);
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle"}}');
ALTER TABLE sans_cle ADD no int UNIQUE, ADD tard int UNIQUE DEFERRABLE, ADD PRIMARY KEY (id, no);
ALTER TABLE sans_cle ADD nul int UNIQUE;
CREATE UNIQUE INDEX ON sans_cle (filiere_id) WHERE filiere_id > 0;
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle", "id": "tard"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle", "id": "nul"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle", "id": "no", "filiere": "doc"}}');
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "sans_cle", "id": "no", "filiere": "liste"}}');
-- none of these errors has changed anything
SELECT count(*) FROM catalogue.attachment;
SELECT to_regclass('deleted_files');

-- partitioned and foreign tables
CREATE TABLE par_an (id bigint, filiere_id text, created_at date, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE an_2026 PARTITION OF par_an FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FOREIGN DATA WRAPPER nulle_part;
CREATE SERVER loin FOREIGN DATA WRAPPER nulle_part;
CREATE FOREIGN TABLE campus (id int, code text, nom text) SERVER loin;
SELECT * FROM catalogue.attach(mapping => '{"chapters": {"relation": "par_an", "author": null}, "professors": null, "lookups": [{"kind": "campus", "relation": "campus"}]}', create_indexes => true);
SELECT * FROM catalogue.doctor();
SELECT * FROM recent_chapters('info-l1');
SELECT DISTINCT status FROM catalogue.detach() ORDER BY status;

-- an enum, and a type of an extension's kind in another schema
CREATE SCHEMA types;
CREATE TYPE types.niveau AS ENUM ('L1', 'L2');
CREATE TABLE lecons (id uuid PRIMARY KEY, filiere_id types.niveau, created_at timestamptz);
SELECT status, object FROM catalogue.attach(mapping => '{"chapters": {"relation": "lecons", "author": null}, "professors": null, "lookups": null}');
INSERT INTO lecons VALUES ('00000000-0000-0000-0000-000000000001', 'L2', NULL);
SELECT id FROM recent_chapters('L2'::types.niveau);
SELECT id FROM recent_chapters_any('{L1,L2}'::types.niveau[]);

RESET search_path;
SET client_min_messages = warning;
DROP EXTENSION catalogue;
DROP SCHEMA app, types CASCADE;
DROP FOREIGN DATA WRAPPER nulle_part CASCADE;
