-- cached_lookups() and cached_lookups_json(): rows, order, versions, access,
-- and what the cache does about changes within one session
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS catalogue;
CREATE SCHEMA lookups_app;
SET search_path = lookups_app;
SELECT count(*) FROM catalogue.create_tables();
SELECT count(*) > 0 FROM catalogue.attach();

-- nothing there yet
SELECT * FROM cached_lookups();
SELECT lookups FROM cached_lookups_json();

INSERT INTO universites (id, nom, code) VALUES
	('ucad', 'Université Cheikh Anta Diop', 'UCAD'), ('esp', E'École "sup"\n', 'ESP'), ('b', 'Même nom', 'B'),
	('a', 'Même nom', 'A');
INSERT INTO ufrs (id, nom, code, universite_id) VALUES
	('u1', 'Sciences', 'SCI', 'ucad'), ('u2', 'Lettres', 'LET', 'ucad'), ('u3', 'génie', 'GEN', 'esp');
INSERT INTO filieres (id, nom, code, ufr_id) VALUES
	('f1', 'Informatique', 'INF', 'u1'), ('f2', 'Mathématiques', 'MAT', 'u1'), ('f3', 'Mécanique', 'MEC', 'u3'),
	('f4', repeat('très ', 40), 'LONG', 'u2');

-- order: kinds in tree order, then nom, then id, by bytes
SELECT kind, id, code, left(nom, 30) AS nom, parent_id FROM cached_lookups();
SELECT kind, id FROM cached_lookups('ucad');
SELECT kind, id FROM cached_lookups('nowhere');
SELECT * FROM cached_lookups('') LIMIT 1;

-- the same in a select list, in PL/pgSQL, with ordinality, and with the node off
SELECT (cached_lookups('esp')).id;
DO $$
DECLARE
	n bigint;
BEGIN
	n := (SELECT count(*) FROM cached_lookups());
	RAISE WARNING '% lookups', n;
END
$$;
SELECT id, ordinality FROM cached_lookups('esp') WITH ORDINALITY;
SET catalogue.enable_stream = off;
SELECT id FROM cached_lookups('esp');
RESET catalogue.enable_stream;
EXPLAIN (COSTS OFF) SELECT id FROM cached_lookups('esp') WHERE kind = 'ufr';

-- LATERAL: new arguments for each outer row
SELECT u.id, count(*) FROM universites u, LATERAL cached_lookups(u.id) GROUP BY u.id ORDER BY u.id;

-- the document: a dictionary for each kind; no row while the version holds
SELECT lookups FROM cached_lookups_json('esp');
SELECT version AS v1 FROM cached_lookups_json() \gset
SELECT count(*) FROM cached_lookups_json(known_version => :'v1');
SELECT count(*) FROM cached_lookups_json('esp', :'v1');
SELECT count(*) FROM cached_lookups_json(known_version => 'another');
SELECT :'v1' ~ '^[0-9a-f]{32}$' AS is_128_bit_hash;
SELECT json_object_agg(k, n ORDER BY k) FROM (
	SELECT k, (SELECT count(*) FROM json_object_keys(v)) AS n
	FROM cached_lookups_json(), json_each(lookups) AS d (k, v)) AS s;

-- the version is the content's: a change and its opposite give the same one
UPDATE ufrs SET code = 'SCI2' WHERE id = 'u1';
SELECT version <> :'v1' AS differs, lookups -> 'ufrs' -> 'u1' ->> 'code' AS code FROM cached_lookups_json(known_version => :'v1');
UPDATE ufrs SET code = 'SCI' WHERE id = 'u1';
SELECT version = :'v1' AS same FROM cached_lookups_json();
\c -
SET search_path = lookups_app;
SET client_min_messages = warning;
SELECT version = :'v1' AS same_in_another_session FROM cached_lookups_json();

-- hits and misses; where caches are discarded there are no hits
SET debug_discard_caches = 0;
CREATE FUNCTION cache_totals() RETURNS TABLE (hits bigint, misses bigint, invalidations bigint,
	evictions bigint, bypasses bigint, discarded_loads bigint, entries bigint)
	LANGUAGE sql AS $$
	SELECT t.hits, t.misses, t.invalidations, t.evictions, t.bypasses, t.discarded_loads,
		(SELECT count(*) FROM catalogue.cache_stats WHERE schema_name IS NOT NULL)
	FROM catalogue.cache_stats t WHERE t.schema_name IS NULL
$$;
SELECT catalogue.cache_reset();
SELECT * FROM cache_totals();
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups('ucad');
SELECT count(*) FROM cached_lookups_json('ucad');
SELECT * FROM cache_totals();
SELECT schema_name, scope, form, row_count, bytes > 0 AS has_bytes, age >= '0' AS has_age,
	expires_in BETWEEN '9 min' AND '10 min' AS expires, hits
FROM catalogue.cache_stats WHERE schema_name IS NOT NULL ORDER BY form, scope NULLS FIRST;
CREATE FUNCTION cache_line(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	RETURN plan #>> '{0,Plan,Cache}';
END
$$;
SELECT cache_line('SELECT * FROM cached_lookups()');
SELECT cache_line('SELECT * FROM cached_lookups_json()');

-- a statement that changes no row sends nothing; neither does one on other tables
UPDATE ufrs SET nom = 'x' WHERE id = 'none';
DELETE FROM filieres WHERE false;
INSERT INTO universites (id, nom, code) VALUES ('ucad', '', '') ON CONFLICT DO NOTHING;
INSERT INTO matieres (id, nom, code, filiere_id, niveau, semestre) VALUES ('m1', 'm', 'm', 'f1', 'L1', 'S1');
SELECT count(*) FROM cached_lookups();
SELECT * FROM cache_totals();
RESET debug_discard_caches;

-- own changes are seen at once, and no longer after a rollback
BEGIN;
SELECT count(*) FROM cached_lookups();
INSERT INTO ufrs (id, nom, code, universite_id) VALUES ('u4', 'Droit', 'DRO', 'ucad');
SELECT count(*) FROM cached_lookups();
ROLLBACK;
SELECT count(*) FROM cached_lookups();
BEGIN;
SAVEPOINT s;
DELETE FROM ufrs WHERE id = 'u1';
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;
ROLLBACK TO s;
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;
SAVEPOINT s2;
INSERT INTO ufrs (id, nom, code, universite_id) VALUES ('u5', 'Médecine', 'MED', 'b');
RELEASE s2;
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;
COMMIT;
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;

-- also before the extension's trigger has fired: a trigger that fires first
-- reads uncommitted rows, then the statement fails
CREATE FUNCTION read_then_fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM cached_lookups();
	RAISE EXCEPTION 'after % lookups', (SELECT count(*) FROM cached_lookups());
END
$$;
CREATE TRIGGER a_first AFTER INSERT ON filieres FOR EACH ROW EXECUTE FUNCTION read_then_fail();
SELECT catalogue.cache_reset();
INSERT INTO filieres (id, nom, code, ufr_id) VALUES ('f9', 'Jamais', 'JAM', 'u1');
SELECT count(*), count(*) FILTER (WHERE id = 'f9') AS uncommitted FROM cached_lookups();
DROP TRIGGER a_first ON filieres;

-- what was read in a transaction that wrote other tables is kept at its end ...
SET debug_discard_caches = 0;
SELECT catalogue.cache_reset();
BEGIN;
UPDATE matieres SET nom = 'Algèbre';
SELECT count(*) FROM cached_lookups();
COMMIT;
SELECT count(*) FROM cached_lookups();
SELECT hits, misses, entries FROM cache_totals();
-- ... but not if it rolls back
SELECT catalogue.cache_reset();
BEGIN;
UPDATE matieres SET nom = 'Analyse';
SELECT count(*) FROM cached_lookups();
ROLLBACK;
SELECT hits, misses, entries FROM cache_totals();
RESET debug_discard_caches;

-- TRUNCATE, COPY, a cascade, DDL, and replicated changes
BEGIN;
TRUNCATE filieres CASCADE;
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;
ROLLBACK;
SELECT kind, count(*) FROM cached_lookups() GROUP BY kind ORDER BY kind;
COPY filieres (id, nom, code, ufr_id) FROM stdin;
f5	Physique	PHY	u1
\.
SELECT kind, id FROM cached_lookups() WHERE id = 'f5';
DELETE FROM universites WHERE id = 'esp';
SELECT kind, id FROM cached_lookups();
ALTER TABLE filieres ALTER code TYPE text USING code || '!';
SELECT DISTINCT right(code, 1) FROM cached_lookups() WHERE kind = 'filiere';
SET session_replication_role = replica;
UPDATE filieres SET nom = 'Répliquée' WHERE id = 'f5';
RESET session_replication_role;
SELECT nom FROM cached_lookups() WHERE id = 'f5';
ALTER TABLE filieres RENAME TO programmes;
SELECT nom FROM cached_lookups() WHERE id = 'f5';
UPDATE programmes SET nom = 'Renommée' WHERE id = 'f5';
SELECT nom FROM cached_lookups() WHERE id = 'f5';
ALTER TABLE programmes RENAME TO filieres;

-- a snapshot of the transaction's own: neither served from the cache nor kept
SET debug_discard_caches = 0;
SELECT catalogue.cache_reset();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups();
COMMIT;
SELECT hits, misses, bypasses, entries FROM cache_totals();

-- off
SET catalogue.lookup_ttl = 0;
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups();
SELECT hits, misses, bypasses, entries FROM cache_totals();
RESET catalogue.lookup_ttl;

-- an entry larger than the cache
SET catalogue.cache_size = 1;
SELECT count(*) FROM cached_lookups();
SELECT hits, misses, entries FROM cache_totals();
RESET catalogue.cache_size;
RESET debug_discard_caches;

-- access: SELECT on the table, or on the columns that are read
CREATE ROLE regress_lookup_reader;
GRANT USAGE ON SCHEMA lookups_app TO regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
SET ROLE regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups_json();
RESET ROLE;
GRANT SELECT ON universites, ufrs TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
RESET ROLE;
GRANT SELECT (id, code, nom) ON filieres TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
RESET ROLE;
GRANT SELECT (ufr_id) ON filieres TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
RESET ROLE;
REVOKE SELECT ON ufrs FROM regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT count(*) FROM cached_lookups();
RESET ROLE;
-- through a definer's function the definer's rights count, through a view the caller's
CREATE FUNCTION definer_count() RETURNS bigint LANGUAGE sql SECURITY DEFINER
	SET search_path = lookups_app AS 'SELECT count(*) FROM cached_lookups()';
CREATE VIEW lookup_view AS SELECT * FROM cached_lookups();
GRANT SELECT ON lookup_view TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT definer_count();
SELECT count(*) FROM lookup_view;
RESET ROLE;
REVOKE USAGE ON SCHEMA lookups_app FROM regress_lookup_reader;
GRANT SELECT ON ufrs TO regress_lookup_reader;
PREPARE prepared_count AS SELECT count(*) FROM lookups_app.cached_lookups();
SET ROLE regress_lookup_reader;
EXECUTE prepared_count;
RESET ROLE;
GRANT USAGE ON SCHEMA lookups_app TO regress_lookup_reader;

-- row-level security: each role sees its own rows, and the cache is bypassed
SET debug_discard_caches = 0;
SELECT catalogue.cache_reset();
ALTER TABLE universites ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON universites TO regress_lookup_reader USING (id = 'a');
SELECT count(*) FROM cached_lookups() WHERE kind = 'universite';
SET ROLE regress_lookup_reader;
SELECT kind, id FROM cached_lookups() WHERE kind = 'universite';
SELECT lookups -> 'universites' FROM cached_lookups_json();
SET row_security = off;
\set VERBOSITY terse
SELECT count(*) FROM cached_lookups();
\set VERBOSITY default
RESET row_security;
RESET ROLE;
SELECT count(*) FROM cached_lookups() WHERE kind = 'universite';
SELECT hits, misses, bypasses, entries FROM cache_totals();
ALTER TABLE universites DISABLE ROW LEVEL SECURITY;
RESET debug_discard_caches;

-- an error in the middle of a load leaves nothing behind
ALTER TABLE filieres RENAME nom TO libelle;
\set VERBOSITY terse
SELECT count(*) FROM cached_lookups();
SELECT entries FROM cache_totals();
\set VERBOSITY default
ALTER TABLE filieres RENAME libelle TO nom;
SELECT count(*) FROM cached_lookups();

-- an open cursor keeps what it reads through invalidation and eviction
BEGIN;
DECLARE c CURSOR FOR SELECT kind, id FROM cached_lookups();
FETCH 2 FROM c;
DELETE FROM ufrs;
SELECT count(*) FROM cached_lookups();
SELECT catalogue.cache_reset();
FETCH ALL FROM c;
COMMIT;

-- partitions and inheritance
CREATE SCHEMA lookups_parts;
SET search_path = lookups_parts;
CREATE TABLE faculty (id integer PRIMARY KEY, code text NOT NULL, name text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE faculty_1 PARTITION OF faculty FOR VALUES FROM (1) TO (10);
CREATE TABLE campus (key uuid PRIMARY KEY, short text, title text, faculty_id bigint);
CREATE TABLE campus_more () INHERITS (campus);
SELECT count(*) > 0 FROM catalogue.attach('lookups_parts', '{"chapters": null, "professors": null,
	"lookups": [{"kind": "faculty", "relation": "faculty", "nom": "name"},
		{"kind": "campus", "relation": "campus", "id": "key", "code": "short", "nom": "title", "parent": "faculty_id"}],
	"files": null, "also_delete": null, "soft_references": null}');
INSERT INTO faculty VALUES (1, 'SCI', 'Science'), (2, 'ART', 'Arts');
INSERT INTO campus VALUES ('00000000-0000-0000-0000-000000000001', 'N', NULL, 1);
SELECT * FROM cached_lookups();
-- a child by inheritance is not covered by triggers, so nothing is kept
INSERT INTO campus_more VALUES ('00000000-0000-0000-0000-000000000002', 'S', 'South', 2);
SELECT * FROM cached_lookups(2);
SELECT lookups FROM cached_lookups_json(2);
DROP TABLE campus_more;
ANALYZE campus;
SELECT count(*) FROM cached_lookups();
SELECT count(*) FROM cached_lookups();
CREATE TABLE faculty_2 (LIKE faculty INCLUDING ALL);
INSERT INTO faculty_2 VALUES (11, 'LAW', 'Law');
ALTER TABLE faculty ATTACH PARTITION faculty_2 FOR VALUES FROM (10) TO (20);
SELECT kind, id FROM cached_lookups();
UPDATE faculty_2 SET name = 'Laws';
SELECT id, nom FROM cached_lookups(11);
TRUNCATE faculty_1;
SELECT kind, id FROM cached_lookups();
SET debug_discard_caches = 0;
ALTER TABLE faculty DETACH PARTITION faculty_2;
SELECT kind, id FROM cached_lookups();

-- two attached schemas do not see each other
SELECT count(*) FROM lookups_app.cached_lookups();
SELECT DISTINCT schema_name FROM catalogue.cache_stats ORDER BY 1;

-- the self-test
SELECT bool_and(ok) FROM catalogue.cache_selftest();
ALTER TABLE lookups_app.ufrs DISABLE TRIGGER catalogue_lookup_changed;
SELECT schema_name, "check", detail FROM catalogue.cache_selftest() WHERE NOT ok;
DROP TRIGGER catalogue_lookup_truncated ON lookups_app.ufrs;
SELECT schema_name, "check", detail FROM catalogue.cache_selftest() WHERE NOT ok ORDER BY detail;
SET ROLE regress_lookup_reader;
SELECT * FROM catalogue.cache_selftest();
RESET ROLE;
SELECT count(*) FROM catalogue.attach('lookups_app') WHERE status = 'created';
SELECT bool_and(ok) FROM catalogue.cache_selftest();

-- not attached, or without lookup tables
SELECT count(*) > 0 FROM catalogue.detach('lookups_parts');
SELECT count(*) FROM pg_proc WHERE pronamespace = 'lookups_parts'::regnamespace;

DROP OWNED BY regress_lookup_reader;
DROP ROLE regress_lookup_reader;
DROP SCHEMA lookups_parts, lookups_app CASCADE;
DROP EXTENSION catalogue;
