/*
 * The tables that test/bench/feed measures on.  psql variables: chapters and
 * big, the numbers of chapters in the two schemas.
 *
 * bench		the reference schema with :chapters chapters of 5 KB (texts of 2 +
 *				1 + 1 KB that do not compress), 500 in each filiere, scattered over
 *				the table as they are where everybody writes at once
 * bench_big	the same table with short texts: one filiere of :big chapters, and
 *				20 of 500, all in random physical order, so that the newest hundred
 *				lie on as many pages in the one as in the others
 *
 * bench_hash	the chapters of "bench" without their long texts, dated all, in 16
 * bench_time	partitions, by the filiere's hash and by time
 *
 * One chapter in 49 is undated, of every filiere, and times repeat.  Keys are not
 * checked while loading.
 */
SET client_min_messages = warning;
SET synchronous_commit = off;
SET session_replication_role = replica;

CREATE EXTENSION catalogue;
CREATE SCHEMA bench;
CREATE SCHEMA bench_big;
SELECT count(*) AS tables FROM catalogue.create_tables('bench') \gset
SELECT count(*) AS tables FROM catalogue.create_tables('bench_big') \gset

-- Indexes that the measurements do not read would only make loading slower.
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index
WHERE indrelid IN ('bench.chapitres_complets'::regclass, 'bench_big.chapitres_complets'::regclass) AND NOT indisprimary
\gexec

-- A filiere's id is a UUID as text, as in the application.
CREATE FUNCTION bench.filiere(i bigint) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	$$ SELECT md5('filiere ' || i)::uuid::varchar $$;

INSERT INTO bench.chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
	chapitre, titre, cours_texte, cours_fichier_nom, cours_fichier_path, exercice_texte, solution_texte,
	created_by, created_at)
SELECT i, md5('universite')::uuid, md5('ufr ' || i % 8)::uuid, bench.filiere(i % (:chapters / 500)),
	md5('matiere ' || i % 100)::uuid, 'L1', 'S' || 1 + i % 2,
	'Chapitre ' || i % 12, 'Introduction, partie ' || i,
	texts[1 + i % 50] || texts[1 + i % 51], 'cours.pdf', 'uploads/cours/' || i || '.pdf',
	texts[1 + i % 52], texts[1 + i % 53],
	'professeur' || i % 100, CASE WHEN i % 49 > 0 THEN timestamp '2020-01-01' + i / 10 * interval '1 minute' END
FROM generate_series(1, :chapters) AS i,
	(SELECT array_agg(text) AS texts FROM (
		SELECT string_agg(md5(j::text), '') AS text FROM generate_series(0, 32 * 53 - 1) AS j GROUP BY j / 32) AS t) AS t;

INSERT INTO bench_big.chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
	chapitre, titre, created_by, created_at)
SELECT i, md5('universite')::uuid, md5('ufr')::uuid,
	CASE WHEN i > 10000 THEN 'big' ELSE bench.filiere(i % 20) END,
	md5('matiere')::uuid, 'L1', 'S1', 'Chapitre ' || i % 12, 'Introduction, partie ' || i,
	'professeur' || i % 100, CASE WHEN i % 49 > 0 THEN timestamp '2020-01-01' + i / 10 * interval '1 minute' END
FROM generate_series(1, 10000 + :big) AS i
ORDER BY md5(i::text);

-- Arrays of filieres most of which have no chapters.
CREATE TABLE bench.many_filieres (size integer PRIMARY KEY, names varchar[]);
ALTER TABLE bench.many_filieres ALTER names SET STORAGE EXTERNAL;
INSERT INTO bench.many_filieres
SELECT size, ARRAY(SELECT bench.filiere(i) FROM generate_series(1, size) AS i) FROM unnest('{1000,30000}'::integer[]) AS size;

CREATE TABLE bench.subjects (id varchar PRIMARY KEY, nom text);
INSERT INTO bench.subjects SELECT md5('matiere ' || i)::uuid::varchar, 'Matiere ' || i FROM generate_series(0, 999) AS i;

CREATE SCHEMA bench_hash;
CREATE SCHEMA bench_time;
CREATE TABLE bench_hash.chapters (id bigint, filiere_id varchar NOT NULL, titre text, created_at timestamp NOT NULL,
	PRIMARY KEY (id, filiere_id)) PARTITION BY HASH (filiere_id);
CREATE TABLE bench_time.chapters (id bigint, filiere_id varchar NOT NULL, titre text, created_at timestamp NOT NULL,
	PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
SELECT format('CREATE TABLE bench_hash.p%1$s PARTITION OF bench_hash.chapters FOR VALUES WITH (MODULUS 16, REMAINDER %1$s)', i)
FROM generate_series(0, 15) AS i
\gexec
SELECT format('CREATE TABLE bench_time.p%s PARTITION OF bench_time.chapters FOR VALUES FROM (%s) TO (%s)', i,
	CASE WHEN i = 0 THEN 'MINVALUE' ELSE quote_literal(timestamp '2020-01-01' + i * :chapters / 160 * interval '1 minute') END,
	CASE WHEN i = 15 THEN 'MAXVALUE' ELSE quote_literal(timestamp '2020-01-01' + (i + 1) * :chapters / 160 * interval '1 minute') END)
FROM generate_series(0, 15) AS i
\gexec
INSERT INTO bench_hash.chapters
SELECT id, filiere_id, titre, created_at FROM bench.chapitres_complets WHERE created_at IS NOT NULL;
INSERT INTO bench_time.chapters SELECT * FROM bench_hash.chapters;
CREATE INDEX ON bench_hash.chapters (filiere_id, created_at DESC NULLS LAST, id DESC);
CREATE INDEX ON bench_time.chapters (filiere_id, created_at DESC NULLS LAST, id DESC);
SELECT count(*) AS done FROM unnest(ARRAY['bench_hash', 'bench_time']) AS s,
	catalogue.attach(s, '{"chapters": {"relation": "chapters", "filiere": "filiere_id", "author": null}}') \gset

SELECT count(*) AS done FROM catalogue.attach('bench', '{"professors": null, "lookups": null, "files": null, "also_delete": null, "soft_references": null}') \gset
SELECT count(*) AS done FROM catalogue.attach('bench_big', '{"professors": null, "lookups": null, "files": null, "also_delete": null, "soft_references": null}') \gset
CREATE INDEX ON bench.chapitres_complets (filiere_id, created_at DESC NULLS LAST, id DESC);
CREATE INDEX ON bench_big.chapitres_complets (filiere_id, created_at DESC NULLS LAST, id DESC);
ALTER TABLE bench.chapitres_complets SET (autovacuum_enabled = off);
ALTER TABLE bench_big.chapitres_complets SET (autovacuum_enabled = off);
VACUUM (ANALYZE) bench.chapitres_complets, bench_big.chapitres_complets, bench.subjects, bench.many_filieres,
	bench_hash.chapters, bench_time.chapters;
CHECKPOINT;
