-- delete.sql: the data of the benchmark "delete", in the current database.
--
-- psql variables: professors, chapters, comments, notifications.  The chapters
-- have 4 KB of text and a file each, and the first professor wrote one
-- :professors-th of them; their comments and notifications are written while they
-- are new.
\set ON_ERROR_STOP 1
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
ALTER DATABASE :DBNAME SET search_path = app, public;
SET search_path = app, public;
SELECT catalogue.create_tables() \g /dev/null
INSERT INTO universites (id, nom, code) VALUES ('u', 'u', 'u');
INSERT INTO ufrs (id, nom, code, universite_id) VALUES ('f', 'f', 'f', 'u');
INSERT INTO filieres (id, nom, code, ufr_id) SELECT 'l' || i, 'l', 'l', 'f' FROM generate_series(0, 99) AS i;
INSERT INTO matieres (id, nom, code, filiere_id, niveau, semestre)
SELECT 'm' || i, 'm', 'm', 'l' || i, 'L1', 'S1' FROM generate_series(0, 99) AS i;
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite)
SELECT i, 'prof' || i, 'x', 'n', 'p', 's' FROM generate_series(1, :professors) AS i;
INSERT INTO chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
	chapitre, titre, cours_texte, cours_fichier_path, exercice_texte, solution_texte, created_by, created_at)
SELECT 'u', 'f', 'l' || i % 100, 'm' || i % 100, 'L1', 'S1', 'Chapitre ' || i, 'Titre ' || i,
	t.words, 'uploads/cours/' || i || '.pdf', left(t.words, 1000), right(t.words, 1000),
	'prof' || 1 + i % :professors, now()::timestamp - i * interval '1 minute'
FROM generate_series(1, :chapters) AS i
CROSS JOIN LATERAL (SELECT string_agg(md5(i::text || j) || ' une fonction continue sur un intervalle', ' ') AS words
	FROM generate_series(1, 28) AS j) AS t;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom, created_at)
SELECT repeat(md5(i::text), 8), 1 + (i::bigint * :chapters / :comments + i % 97 * 7) % :chapters, 'etudiant', i % 1000, 'Nom', now()::timestamp
FROM generate_series(1, :comments) AS i;
INSERT INTO notifications (type, message, destinataire_type, destinataire_id, lue, created_at, chapitre_id)
SELECT 'chapitre', 'Nouveau chapitre', 'etudiant', i % 12000, false, now()::timestamp,
	1 + (i::bigint * :chapters / :notifications + i % 89 * 11) % :chapters
FROM generate_series(1, :notifications) AS i;
SELECT count(*) FROM catalogue.attach('app') \g /dev/null
