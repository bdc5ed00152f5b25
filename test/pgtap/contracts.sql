-- What others build on: signatures, grants, ownership, dependencies, SQLSTATEs.

CREATE EXTENSION catalogue;

\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on

BEGIN;
SELECT plan(71);

-- The application's owner, a member of that role, and a third role.
CREATE ROLE contracts_owner;
CREATE ROLE contracts_member IN ROLE contracts_owner;
CREATE ROLE contracts_stranger;
CREATE SCHEMA app AUTHORIZATION contracts_owner;
GRANT USAGE ON SCHEMA app TO PUBLIC;
SET ROLE contracts_owner;
SELECT count(*) AS tables FROM catalogue.create_tables('app') \gset
SELECT count(*) AS rows FROM catalogue.attach('app') \gset
RESET ROLE;

--
-- signatures
--
CREATE FUNCTION signatures(schema name)
	RETURNS TABLE (name text, arguments text, result text, volatility text, parallel text, strict boolean)
	LANGUAGE sql
AS $$
SELECT proname::text, pg_get_function_arguments(oid), pg_get_function_result(oid),
	provolatile::text, proparallel::text, proisstrict
FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = schema)
$$;

PREPARE made AS SELECT * FROM signatures('app');
SELECT set_eq('made', $$VALUES
	('recent_chapters', 'filiere text, n bigint DEFAULT ''100''::bigint, before_id bigint DEFAULT NULL::bigint, before_at timestamp without time zone DEFAULT NULL::timestamp without time zone',
		'SETOF app.chapitres_complets', 's', 's', false),
	('recent_chapters_any', 'filieres text[], n bigint DEFAULT ''100''::bigint, before_id bigint DEFAULT NULL::bigint, before_at timestamp without time zone DEFAULT NULL::timestamp without time zone',
		'SETOF app.chapitres_complets', 's', 's', false),
	('delete_professor_batch', 'username text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		'TABLE(relation regclass, action text, row_count bigint)', 'v', 'u', false),
	('delete_with_dependents', 'relation regclass, key text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		'TABLE(relation regclass, action text, row_count bigint)', 'v', 'u', false),
	('preview_deletion', 'relation regclass, key text',
		'TABLE(relation regclass, action text, row_count bigint)', 's', 'r', false),
	('purge_with_dependents', 'IN relation regclass, IN key text, IN batch_size integer DEFAULT 1000, IN pause interval DEFAULT ''00:00:00''::interval',
		NULL, 'v', 'u', false),
	('preview_professor_deletion', 'username text',
		'TABLE(relation regclass, action text, row_count bigint)', 's', 'r', false),
	('purge_professor', 'IN username text, IN batch_size integer DEFAULT 1000, IN pause interval DEFAULT ''00:00:00''::interval',
		NULL, 'v', 'u', false),
	('take_deleted_files', 'max_files integer DEFAULT 100', 'TABLE(path text, relation regclass, column_name name)', 'v', 'u', false),
	('retry_deleted_file', 'path text, error text', 'void', 'v', 'u', false),
	('cached_lookups', 'universite character varying DEFAULT catalogue.everything(NULL::character varying)',
		'TABLE(kind text, id text, code text, nom text, parent_id text)', 's', 'r', false),
	('cached_lookups_json', 'universite character varying DEFAULT catalogue.everything(NULL::character varying), known_version text DEFAULT NULL::text',
		'TABLE(version text, lookups json)', 's', 'r', false),
	('lookups_version', 'universite character varying DEFAULT catalogue.everything(NULL::character varying)', 'text', 's', 'r', false)$$,
	'functions that attach() makes');

PREPARE own AS SELECT * FROM signatures('catalogue') WHERE name IN ('create_tables', 'attach', 'detach',
	'doctor', 'recommended_indexes', 'cache_reset');
SELECT set_eq('own', $$VALUES
	('create_tables', 'schema name DEFAULT "current_schema"()', 'SETOF regclass', 'v', 'u', false),
	('attach', 'schema name DEFAULT "current_schema"(), mapping jsonb DEFAULT NULL::jsonb, create_indexes boolean DEFAULT false, unlink_delay interval DEFAULT NULL::interval',
		'TABLE(status text, object text, detail text)', 'v', 'u', false),
	('detach', 'schema name DEFAULT "current_schema"()', 'TABLE(status text, object text, detail text)', 'v', 'u', false),
	('doctor', 'schema name DEFAULT NULL::name', 'TABLE(schema_name name, "check" text, status text, detail text)', 's', 'u', false),
	('recommended_indexes', 'schema name DEFAULT "current_schema"()', 'TABLE(relation regclass, definition text, reason text)', 's', 'u', false),
	('cache_reset', '', 'void', 'v', 'r', false)$$,
	'the extension''s own functions');

--
-- search_path, grants, members
--
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'catalogue'::regnamespace AND l.lanname <> 'c'
	AND ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE$$,
	'every function that is not in C sets its search path');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p
	WHERE p.pronamespace = 'catalogue'::regnamespace AND p.prosecdef$$,
	'none is SECURITY DEFINER');
SELECT set_eq($$SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = 'catalogue'::regnamespace
	AND NOT has_function_privilege('contracts_stranger', p.oid, 'EXECUTE')$$,
	ARRAY['bind_for', 'check_owner', 'check_unbind', 'check_bound', 'delete_configuration',
		'insert_configuration', 'drop_functions', 'create_functions', 'config_changed',
		'sentinel_round_trip', 'cache_selftest'],
	'functions that not everyone may execute');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'app'::regnamespace
	AND NOT has_function_privilege('contracts_stranger', p.oid, 'EXECUTE')$$,
	'everyone may execute what attach() makes, and needs privileges on the tables');
SELECT is_empty($$SELECT c.oid::regclass, t FROM pg_class c,
		unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS t
	WHERE c.relnamespace = 'catalogue'::regnamespace AND c.relkind IN ('r', 'v')
	AND has_table_privilege('contracts_stranger', c.oid, t)$$,
	'nobody else may change the configuration');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c
	WHERE c.relnamespace = 'catalogue'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'lookup_sentinel'
	AND NOT has_table_privilege('contracts_stranger', c.oid, 'SELECT')$$,
	'everyone may read the configuration');
SELECT ok(NOT has_schema_privilege('contracts_stranger', 'catalogue', 'CREATE'), 'nobody else may create in schema catalogue');
SELECT set_eq($$SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = 'catalogue'$$,
	ARRAY['catalogue.attachment', 'catalogue.lookup', 'catalogue.file_column', 'catalogue.also_delete',
		'catalogue.soft_reference'],
	'configuration tables are dumped with their rows');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute
	WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'catalogue'::regnamespace)
	AND atttypid IN ('regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype,
		'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype)$$,
	'no column is of a type that pg_upgrade refuses');

--
-- what attach() makes: the owner's, and depending on the extension without
-- being its member
--
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'app'::regnamespace
	AND p.proowner <> 'contracts_owner'::regrole$$,
	'functions belong to the owner of the tables');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'app'::regnamespace
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
		AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x')$$,
	'functions depend on the extension');
SELECT is((SELECT count(*) FROM pg_trigger t JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
	WHERE t.tgfoid = 'catalogue.lookup_changed'::regproc AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'),
	6::bigint, 'triggers depend on the extension');
SELECT is_empty($$SELECT t.tgname FROM pg_trigger t WHERE t.tgfoid = 'catalogue.queue_deleted_files'::regproc
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
		AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x')$$, '... those on tables with files too');
SELECT is_empty($$SELECT d.* FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	WHERE c.relnamespace = 'app'::regnamespace AND d.refclassid = 'pg_extension'::regclass$$,
	'tables have nothing to do with the extension');
SELECT is_empty($$SELECT d.* FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
	WHERE p.pronamespace = 'app'::regnamespace AND d.deptype = 'e'$$,
	'functions are no members');
SELECT relation_owner_is('app', t, 'contracts_owner', t || ' belongs to the owner of the tables')
FROM unnest(ARRAY['deleted_files', 'deleted_files_backlog', 'professor_purges', 'professor_purge_progress']) AS t;

--
-- who may
--
SET ROLE contracts_stranger;
SELECT throws_ok($$SELECT * FROM catalogue.attach('app')$$, '42501', 'must be owner of table chapitres_complets',
	'a stranger cannot attach');
SELECT throws_ok($$SELECT * FROM catalogue.detach('app')$$, '42501', NULL, 'nor detach');
SELECT throws_ok($$SELECT * FROM catalogue.bind('app', 'null')$$, '42501', 'must be owner of table chapitres_complets',
	'nor by the inner step');
SELECT throws_ok($$SELECT * FROM catalogue.bind_for('contracts_owner'::regrole, 'app', 'null')$$, '42501',
	'permission denied for function bind_for', 'nor in another''s name');
SELECT lives_ok($$SELECT * FROM catalogue.doctor()$$, 'everyone may ask the doctor');
RESET ROLE;

-- Privileges on the schema are not ownership of what is in it.
GRANT CREATE ON SCHEMA app TO contracts_stranger;
SET ROLE contracts_stranger;
SELECT throws_ok($$SELECT * FROM catalogue.bind('app', 'null')$$, '42501', NULL, 'CREATE on the schema is not enough');
CREATE TABLE app.mine (id int PRIMARY KEY, username text UNIQUE);
SELECT throws_ok($$SELECT * FROM catalogue.attach('app', '{"professors": {"relation": "mine"}, "chapters": null, "lookups": null}')$$,
	'42501', NULL, 'nor to attach other tables');
RESET ROLE;
SAVEPOINT without_outbox;
DROP TABLE app.deleted_files, app.professor_purges CASCADE;
SET ROLE contracts_stranger;
SELECT throws_ok($$SELECT * FROM catalogue.attach('app', '{"professors": {"relation": "mine"}, "chapters": null, "lookups": null}')$$,
	'42501', NULL, 'nor where the outbox was dropped: the functions are another''s');
RESET ROLE;
ROLLBACK TO without_outbox;

-- A schema of the stranger's own, and bindings that attach() would not have made.
CREATE SCHEMA theirs AUTHORIZATION contracts_stranger;
SET ROLE contracts_stranger;
CREATE TABLE theirs.professeurs (id int PRIMARY KEY, username text UNIQUE);
CREATE VIEW theirs.vue AS SELECT * FROM theirs.professeurs;
SELECT count(*) AS rows FROM catalogue.attach('theirs') \gset
SELECT throws_ok(format($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "professors": {"relation": %s, "id": "id", "username": "username"}}')$$,
	'app.professeurs'::regclass::oid), '42501', 'must be owner of table professeurs', 'a forged binding to another''s table');
SELECT throws_ok(format($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "files": [{"relation": %s, "column": "x"}]}')$$,
	'pg_catalog.pg_authid'::regclass::oid), '42501', NULL, 'and to a system catalog');
SELECT throws_ok($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "professors": {"relation": 1, "id": "id", "username": "username"}}')$$,
	'42809', 'only tables can be bound', 'and to a table that is not there yet');
SELECT throws_ok(format($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "professors": {"relation": %s, "id": "id", "username": "username"}}')$$,
	'theirs.vue'::regclass::oid), '42809', 'only tables can be bound', 'and to a view');
SELECT throws_ok(format($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "%s": {"relation": %s, "id": "id"}}')$$,
	section, 'theirs.professeurs'::regclass::oid), '23514', NULL, section || ' without all of their columns')
FROM unnest(ARRAY['chapters', 'professors']) AS section;
SELECT throws_ok($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "unlink_delay": "-1 day"}')$$, '23514', NULL,
	'and with a negative delay');
SELECT throws_ok($$SELECT * FROM catalogue.bind('theirs', '[]')$$, '23502', NULL, 'and of another form');
SELECT throws_ok($$SELECT * FROM catalogue.bind('theirs', '{"mapping": {}, "lookups": {"relation": 1}}')$$, '22023', NULL,
	'and of another form below');
SELECT is((SELECT count(*) FROM catalogue.attachment), 2::bigint, 'none of which changed anything');

-- Objects planted in the temporary schema are not found.
SAVEPOINT planted;
CREATE TEMP TABLE pg_class (oid oid, relname name, relnamespace oid, relkind "char", relowner oid, relpersistence "char");
CREATE TEMP TABLE pg_proc (oid oid);
CREATE DOMAIN pg_temp.regclass AS text;
CREATE DOMAIN pg_temp.integer AS text;
CREATE FUNCTION pg_temp.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''planted''; END';
CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''planted''; END';
SELECT set_eq($$SELECT DISTINCT status FROM catalogue.attach('theirs')$$, ARRAY['found', 'advice'],
	'planted temporary objects are not found');
SELECT lives_ok($$SELECT * FROM catalogue.detach('theirs')$$, 'nor when detaching');
SELECT lives_ok($$SELECT * FROM catalogue.attach('theirs')$$, 'nor when attaching again');
ROLLBACK TO planted;
SET ROLE contracts_owner;
SELECT set_eq($$SELECT schema_name::text FROM catalogue.doctor() WHERE status = 'ok'$$, ARRAY['app', 'theirs'], 'both are ok');
RESET ROLE;

-- The owner without CREATE on the schema.
SAVEPOINT no_create;
ALTER SCHEMA app OWNER TO CURRENT_USER;
SET ROLE contracts_owner;
SELECT throws_ok($$SELECT * FROM catalogue.attach('app')$$, '42501', 'permission denied for schema app',
	'attach() needs CREATE on the schema');
SELECT lives_ok($$SELECT * FROM catalogue.detach('app')$$, 'detach() does not');
ROLLBACK TO no_create;

-- Whoever attaches, what is made belongs to the owner of the tables.
PREPARE owners AS
	SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'app'::regnamespace
	UNION SELECT relowner::regrole::text FROM pg_class WHERE oid IN (to_regclass('app.deleted_files'),
		to_regclass('app.professor_purges'), to_regclass('app.deleted_files_backlog'), to_regclass('app.professor_purge_progress'));
SAVEPOINT attacher;
SELECT count(*) AS rows FROM catalogue.detach('app') \gset
DROP TABLE app.deleted_files, app.professor_purges CASCADE;
SELECT count(*) AS rows FROM catalogue.attach('app') \gset
SELECT set_eq('owners', ARRAY['contracts_owner'], 'a superuser attaches for the owner');
SET ROLE contracts_owner;
SELECT set_eq($$SELECT DISTINCT status FROM catalogue.attach('app')$$, ARRAY['found', 'advice'], 'who may attach again');
RESET ROLE;
ROLLBACK TO attacher;
SET ROLE contracts_member;
SELECT count(*) AS rows FROM catalogue.detach('app') \gset
DROP TABLE app.deleted_files, app.professor_purges CASCADE;
SELECT count(*) AS rows FROM catalogue.attach('app') \gset
SELECT set_eq('owners', ARRAY['contracts_owner'], 'so does a member of that role');
RESET ROLE;

--
-- SQLSTATEs
--
SET ROLE contracts_owner;
CREATE VIEW app.vue AS SELECT * FROM app.chapitres_complets;
CREATE TABLE app.sans_cle AS SELECT * FROM app.chapitres_complets;
SELECT throws_ok(format('SELECT * FROM catalogue.attach(%s)', arguments), code, NULL, code || ': ' || what)
FROM (VALUES
	('NULL', '3F000', 'no schema'),
	('''nowhere''', '3F000', 'a schema that does not exist'),
	('''pg_catalog''', '42939', 'a schema of the server'),
	('''public''', '42P01', 'a schema without tables'),
	('''app'', ''[]''', '22023', 'a mapping that is no object'),
	('''app'', ''{"nope": 1}''', '22023', 'an unrecognized key'),
	('''app'', ''{"chapters": {"relation": "nope"}}''', '42P01', 'a table that does not exist'),
	('''app'', ''{"chapters": {"relation": "a b"}}''', '22023', 'an invalid name'),
	('''app'', ''{"files": [{"relation": "contents", "column": "fichier_path", "shared": 1}]}''', '22023', 'a flag that is neither true nor false'),
	('''app'', ''{"files": [{"relation": "contents", "column": "fichier_path", "prefix": ""}]}''', '22023', 'an empty prefix'),
	('''app'', ''{"files": [{"relation": "contents", "column": "id"}]}''', '42804', 'a path of a wrong type'),
	('''app'', unlink_delay => ''-1 s''', '22023', 'a negative delay'),
	('''app'', ''{"chapters": {"id": "nope"}}''', '42703', 'a column that does not exist'),
	('''app'', ''{"chapters": {"id": "niveau"}}''', '55000', 'a column that is not unique'),
	('''app'', ''{"professors": {"username": "id"}}''', '42804', 'a column of a wrong type'),
	('''app'', ''{"also_delete": [{"relation": "commentaires", "columns": ["auteur_id"]}]}''', '42704', 'no foreign key'),
	('''app'', ''{"chapters": {"relation": "vue"}}''', '42809', 'a view'),
	('''app'', ''{"chapters": {"relation": "sans_cle"}}''', '55000', 'no primary key')) AS e (arguments, code, what);
SELECT throws_ok($$SELECT * FROM catalogue.detach('public')$$, '55000', 'schema "public" is not attached', '55000: not attached');
SELECT throws_ok($$SELECT * FROM catalogue.detach('nowhere')$$, '3F000', NULL, '3F000: nowhere to detach from');
SAVEPOINT own_function;
SELECT count(*) AS rows FROM catalogue.detach('app') \gset
CREATE FUNCTION app.cached_lookups(varchar) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT throws_ok($$SELECT * FROM catalogue.attach('app')$$, '42723', NULL, '42723: a function of the application''s own');
ROLLBACK TO own_function;
CREATE VIEW app.dependent AS SELECT * FROM app.cached_lookups();
SELECT throws_ok($$SELECT * FROM catalogue.detach('app')$$, '2BP01', NULL, '2BP01: a view depends on a function');
RESET ROLE;

--
-- a role whose name needs quotes
--
CREATE ROLE "Contracts Owner";
CREATE SCHEMA quoted AUTHORIZATION "Contracts Owner";
SET ROLE "Contracts Owner";
SELECT count(*) AS tables FROM catalogue.create_tables('quoted') \gset
SELECT lives_ok($$SELECT * FROM catalogue.attach('quoted')$$, 'attaches like any other');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
