-- Which changes of which tables make which cached lookups be dropped: those of bound
-- columns, in the schemas that are bound to the table, and no others.
-- Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
SET debug_discard_caches = 0;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
CREATE SCHEMA tenant;
SELECT catalogue.create_tables('app') \g /dev/null
SELECT catalogue.create_tables('tenant') \g /dev/null
ALTER TABLE app.filieres ALTER nom TYPE text, ADD credits numeric, ADD motto text;
SELECT catalogue.attach('app', '{"lookups": [{"kind": "universite", "relation": "universites"},
	{"kind": "ufr", "relation": "ufrs", "parent": "universite_id"},
	{"kind": "filiere", "relation": "filieres", "parent": "ufr_id", "code": "credits"}]}') \g /dev/null
SELECT catalogue.attach('tenant') \g /dev/null
INSERT INTO app.universites (id, nom, code) VALUES ('u', 'u', 'u');
INSERT INTO app.ufrs (id, nom, code, universite_id) VALUES ('f', 'f', 'f', 'u');
INSERT INTO app.filieres (id, nom, code, credits, ufr_id) VALUES ('l', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) AS i), 'l', 1.0, 'f');
INSERT INTO tenant.universites (id, nom, code) VALUES ('t', 't', 't');
SELECT plan(24);

-- dropped(change): of which schemas a change drops the entries, here and as every session is told
CREATE FUNCTION pg_temp.fill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM app.cached_lookups();
	PERFORM count(*) FROM tenant.cached_lookups();
END
$$;
CREATE PROCEDURE pg_temp.change(change text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.fill();
	COMMIT;
	EXECUTE change;
	COMMIT;
END
$$;
CREATE FUNCTION pg_temp.dropped() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(schema_name, ',' ORDER BY schema_name), 'none')
	FROM catalogue.cache_stats WHERE schema_name IS NOT NULL AND expires_in <= '0'
$$;

CALL pg_temp.change('UPDATE app.filieres SET nom = ''other'' WHERE id = ''none''');
SELECT is(pg_temp.dropped(), 'none', 'a statement that changes no row');
CALL pg_temp.change('UPDATE app.filieres SET motto = ''Scientia''');
SELECT is(pg_temp.dropped(), 'none', 'a column that is not bound');
CALL pg_temp.change('UPDATE app.universites SET logo_data = ''\x00''');
SELECT is(pg_temp.dropped(), 'none', '... another');
CALL pg_temp.change('UPDATE app.filieres SET code = ''not bound''');
SELECT is(pg_temp.dropped(), 'none', '... one that is bound by default');
CALL pg_temp.change('UPDATE app.filieres SET nom = nom || '''', credits = credits, id = id');
SELECT is(pg_temp.dropped(), 'none', 'the same values, one of them compressed or out of line');
CALL pg_temp.change('UPDATE app.filieres SET credits = 1.00');
SELECT is(pg_temp.dropped(), 'app', 'an equal value with another text');
CALL pg_temp.change('UPDATE app.filieres SET credits = NULL');
SELECT is(pg_temp.dropped(), 'app', 'a value that goes');
CALL pg_temp.change('UPDATE app.filieres SET nom = ''short''');
SELECT is(pg_temp.dropped(), 'app', 'a value that changes');
CALL pg_temp.change('UPDATE tenant.universites SET nom = ''T''');
SELECT is(pg_temp.dropped(), 'tenant', 'another schema');
CALL pg_temp.change('INSERT INTO tenant.ufrs (id, nom, code, universite_id) VALUES (''g'', ''g'', ''g'', ''t'')');
SELECT is(pg_temp.dropped(), 'tenant', 'a row that comes');
CALL pg_temp.change('DELETE FROM tenant.ufrs');
SELECT is(pg_temp.dropped(), 'tenant', '... and goes');
CALL pg_temp.change('TRUNCATE tenant.ufrs CASCADE');
SELECT is(pg_temp.dropped(), 'tenant', 'TRUNCATE');
CALL pg_temp.change('ALTER TABLE tenant.ufrs ALTER nom SET STATISTICS 10');
SELECT is(pg_temp.dropped(), 'tenant', 'DDL');

-- A trigger BEFORE ours changes a column that the statement does not name
CREATE FUNCTION app.rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	new.nom := new.nom || '!';
	RETURN new;
END
$$;
CREATE TRIGGER rename BEFORE UPDATE ON app.filieres FOR EACH ROW EXECUTE FUNCTION app.rename();
CALL pg_temp.change('UPDATE app.filieres SET motto = ''Veritas''');
SELECT is(pg_temp.dropped(), 'app', 'a column that a trigger changes');
DROP TRIGGER rename ON app.filieres;

-- Several changes in a transaction, some of them rolled back
CALL pg_temp.change($$DO $do$
BEGIN
	BEGIN
		UPDATE app.filieres SET nom = 'lost';
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN
		UPDATE app.filieres SET nom = 'kept';
	END;
END $do$ $$);
SELECT is(pg_temp.dropped(), 'app', 'a change after one that was rolled back');
SELECT pg_temp.fill() \g /dev/null
BEGIN;
UPDATE app.filieres SET motto = 'first';
UPDATE app.filieres SET nom = 'second';
COMMIT;
SELECT is(pg_temp.dropped(), 'app', 'a bound column after one that is not');

-- A table that two schemas are bound to, by different columns
CREATE SCHEMA shared;
SELECT catalogue.attach('shared', '{"chapters": null, "professors": null, "lookups":
	[{"kind": "filiere", "relation": "app.filieres", "nom": "motto"}]}') \g /dev/null
SELECT count(*) FROM shared.cached_lookups() \g /dev/null
CALL pg_temp.change('UPDATE app.filieres SET motto = ''shared''');
SELECT is(pg_temp.dropped(), 'shared', 'a column that one of them is bound to');
SELECT count(*) FROM shared.cached_lookups() \g /dev/null
CALL pg_temp.change('UPDATE app.filieres SET id = ''m''');
SELECT is(pg_temp.dropped(), 'app,shared', '... that both are');
SELECT count(*) FROM shared.cached_lookups() \g /dev/null
DROP TABLE shared.professor_purges CASCADE;
SELECT count(*) FROM shared.cached_lookups() \g /dev/null
CALL pg_temp.change('UPDATE app.filieres SET motto = ''again''');
SELECT matches(pg_temp.dropped(), 'shared', '... where an attachment has lost a table of its own');
SELECT catalogue.detach('shared') \g /dev/null
SELECT catalogue.cache_reset() \g /dev/null

-- Partitions whose columns are in another order
CREATE TABLE tenant.kinds (note text, id integer PRIMARY KEY, code text, nom text) PARTITION BY RANGE (id);
CREATE TABLE tenant.kinds_1 (nom text, code text, gone text, note text, id integer NOT NULL);
ALTER TABLE tenant.kinds_1 DROP gone;
ALTER TABLE tenant.kinds ATTACH PARTITION tenant.kinds_1 FOR VALUES FROM (1) TO (10);
INSERT INTO tenant.kinds VALUES ('n', 1, 'c', 'k');
SELECT catalogue.attach('tenant', '{"lookups": [{"kind": "kind", "relation": "kinds"}]}') \g /dev/null
CALL pg_temp.change('UPDATE tenant.kinds SET note = ''o''');
SELECT is(pg_temp.dropped(), 'none', 'a partition''s column that is not bound');
CALL pg_temp.change('UPDATE tenant.kinds_1 SET nom = ''changed''');
SELECT is(pg_temp.dropped(), 'tenant', '... that is');

-- A role that calls the trigger function for a table of its own reaches nobody
CREATE ROLE regress_lookup_noise;
CREATE SCHEMA noise AUTHORIZATION regress_lookup_noise;
SET ROLE regress_lookup_noise;
CREATE TABLE noise.own (id integer);
CREATE TRIGGER flush AFTER INSERT OR TRUNCATE ON noise.own FOR EACH STATEMENT EXECUTE FUNCTION catalogue.lookup_changed();
CREATE TRIGGER flush_row AFTER INSERT ON noise.own FOR EACH ROW EXECUTE FUNCTION catalogue.lookup_changed();
RESET ROLE;
CALL pg_temp.change('SET ROLE regress_lookup_noise; INSERT INTO noise.own VALUES (1); TRUNCATE noise.own; RESET ROLE');
SELECT is(pg_temp.dropped(), 'none', 'a table of somebody''s own');
DROP SCHEMA noise CASCADE;
DROP ROLE regress_lookup_noise;

-- A table that another one has been attached in the place of
SELECT pg_temp.fill() \g /dev/null
SELECT count(*) FROM catalogue.attach('tenant', '{"lookups": [{"kind": "universite", "relation": "universites"}]}') \g /dev/null
CALL pg_temp.change('UPDATE tenant.universites SET nom = ''follows''');
SELECT is(pg_temp.dropped(), 'tenant', 'a binding that has changed');
SELECT is((SELECT nom FROM tenant.cached_lookups()), 'follows', '... is read');

SELECT * FROM finish();
