-- Rights on the lookup tables count at each call, hit or miss, whatever way they are
-- given and taken.  Needs a database with pgTAP in it and without the extension.

SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
CREATE ROLE regress_lookup_group;
CREATE ROLE regress_lookup_member;
GRANT USAGE ON SCHEMA app TO regress_lookup_group, regress_lookup_member;
GRANT SELECT ON universites, ufrs, filieres TO regress_lookup_group;
SELECT plan(18);

-- may_read(): whether the member may, after a call in which everything is as it was
CREATE FUNCTION pg_temp.may_read() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM app.lookups_version();
	SET LOCAL ROLE regress_lookup_member;
	PERFORM app.lookups_version();
	PERFORM count(*) FROM app.cached_lookups();
	RESET ROLE;
	RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
	RETURN false;
END
$$;
SELECT ok(NOT pg_temp.may_read(), 'nothing granted');
GRANT regress_lookup_group TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'a member of a role that may');
REVOKE regress_lookup_group FROM regress_lookup_member;
SELECT ok(NOT pg_temp.may_read(), '... no longer');
GRANT pg_read_all_data TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'a predefined role');
REVOKE pg_read_all_data FROM regress_lookup_member;
SELECT ok(NOT pg_temp.may_read(), '... no longer');
ALTER ROLE regress_lookup_member SUPERUSER;
SELECT ok(pg_temp.may_read(), 'a superuser');
ALTER ROLE regress_lookup_member NOSUPERUSER;
SELECT ok(NOT pg_temp.may_read(), '... no longer');
GRANT SELECT ON universites, ufrs, filieres TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'granted');
REVOKE SELECT ON ufrs FROM regress_lookup_member;
SELECT ok(NOT pg_temp.may_read(), 'a table less');
GRANT SELECT (id, code, nom, universite_id) ON ufrs TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'its columns');
REVOKE SELECT (nom) ON ufrs FROM regress_lookup_member;
SELECT ok(NOT pg_temp.may_read(), 'a column less');
ALTER TABLE ufrs OWNER TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'an owner');
ALTER TABLE ufrs OWNER TO CURRENT_USER;
SELECT ok(NOT pg_temp.may_read(), '... no longer');
GRANT SELECT ON ufrs TO regress_lookup_member;
REVOKE USAGE ON SCHEMA app FROM regress_lookup_member;
CREATE VIEW public.lookups AS SELECT * FROM cached_lookups();
GRANT SELECT ON public.lookups TO regress_lookup_member;
PREPARE read AS SELECT count(*) FROM app.cached_lookups();
GRANT USAGE ON SCHEMA app TO regress_lookup_member;
SET ROLE regress_lookup_member;
SELECT lives_ok('EXECUTE read', 'USAGE of the schema');
RESET ROLE;
REVOKE USAGE ON SCHEMA app FROM regress_lookup_member;
SET ROLE regress_lookup_member;
SELECT throws_ok('EXECUTE read', '42501', 'permission denied for schema app', '... no longer');
RESET ROLE;
GRANT USAGE ON SCHEMA app TO regress_lookup_member;
SELECT ok(pg_temp.may_read(), 'all that is needed');
BEGIN;
REVOKE SELECT ON ufrs FROM regress_lookup_member;
SELECT ok(NOT pg_temp.may_read(), 'taken by the transaction itself');
ROLLBACK;
SELECT ok(pg_temp.may_read(), '... which rolls back');

SELECT * FROM finish();
DROP OWNED BY regress_lookup_group, regress_lookup_member;
DROP ROLE regress_lookup_group, regress_lookup_member;
