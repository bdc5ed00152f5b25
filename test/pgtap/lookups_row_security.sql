-- Row-level security and the lookup cache where one role opens a cursor and
-- another fetches from it, as with a SECURITY DEFINER function that returns a
-- refcursor: the rows are those of the role that opened it, as plain SQL has it,
-- and what one role may see is not kept for another.  Needs a database with
-- pgTAP in it and without the extension.

SET client_min_messages = warning;
CREATE EXTENSION catalogue;
CREATE SCHEMA app;
SELECT catalogue.create_tables('app') \g /dev/null
SELECT catalogue.attach('app') \g /dev/null
INSERT INTO app.universites (id, code, nom) VALUES ('un', 'UN', 'Un'), ('deux', 'DEUX', 'Deux');
CREATE ROLE regress_lookup_restricted;
GRANT USAGE ON SCHEMA app TO regress_lookup_restricted;
GRANT SELECT ON app.universites, app.ufrs, app.filieres TO regress_lookup_restricted;
ALTER TABLE app.universites ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON app.universites TO regress_lookup_restricted USING (code = 'UN');
CREATE ROLE regress_lookup_stranger;
SELECT plan(12);

-- fetched(opener, fetcher): the codes that a cursor over all lookups gives
CREATE FUNCTION pg_temp.fetched(query text, opener name, fetcher name) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	code text;
	codes text[] := '{}';
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', opener);
	OPEN c FOR EXECUTE query;
	EXECUTE format('SET LOCAL ROLE %I', fetcher);
	LOOP
		FETCH c INTO code;
		EXIT WHEN NOT found;
		codes := codes || code;
	END LOOP;
	CLOSE c;
	RESET ROLE;
	RETURN codes;
END
$$;
\set plain '\'SELECT code FROM app.universites ORDER BY nom COLLATE "C"\''
\set cached '\'SELECT code FROM app.cached_lookups()\''

SELECT catalogue.cache_reset() \g /dev/null
SELECT is(pg_temp.fetched(:cached, current_user, 'regress_lookup_restricted'),
	pg_temp.fetched(:plain, current_user, 'regress_lookup_restricted'), 'opened by the owner, from the tables');
SELECT is((SELECT array_agg(code) FROM app.cached_lookups()), '{DEUX,UN}', 'the owner sees all rows thereafter');
SELECT is(pg_temp.fetched(:cached, current_user, 'regress_lookup_restricted'), '{DEUX,UN}', 'opened by the owner, from the cache');
SELECT is(pg_temp.fetched(:cached, 'regress_lookup_restricted', current_user),
	pg_temp.fetched(:plain, 'regress_lookup_restricted', current_user), 'opened by the restricted role');
SELECT is(pg_temp.fetched(:cached, 'regress_lookup_restricted', current_user), '{UN}', 'which sees its own row');

-- Row-level security that is enabled between a cursor's opening and its first row.
ALTER TABLE app.universites DISABLE ROW LEVEL SECURITY;
BEGIN;
SET LOCAL ROLE regress_lookup_restricted;
DECLARE early CURSOR FOR SELECT code FROM app.cached_lookups();
RESET ROLE;
ALTER TABLE app.universites ENABLE ROW LEVEL SECURITY;
FETCH ALL FROM early \g /dev/null
SELECT is((SELECT array_agg(code) FROM app.cached_lookups()), '{DEUX,UN}', 'the owner sees all rows after a cursor that was opened before the policies applied');
COMMIT;

REVOKE SELECT ON app.ufrs FROM regress_lookup_restricted;
SELECT throws_ok($$SELECT pg_temp.fetched('SELECT code FROM app.cached_lookups()', 'regress_lookup_restricted', current_user)$$,
	'42501', 'permission denied for table ufrs', 'the rights are those of the role that opens it');

-- A role that may read nothing: neither a hit nor a miss is its own.
GRANT SELECT ON app.ufrs TO regress_lookup_restricted;
SELECT catalogue.cache_reset() \g /dev/null
SELECT is(pg_temp.fetched(:cached, current_user, 'regress_lookup_stranger'), '{DEUX,UN}', 'fetched by a role without rights, from the tables');
SELECT is(pg_temp.fetched(:cached, current_user, 'regress_lookup_stranger'), '{DEUX,UN}', '... from the cache');
SELECT is(pg_temp.fetched(:cached, 'regress_lookup_restricted', 'regress_lookup_stranger'), '{UN}', '... under the opener''s policies');

CREATE FUNCTION app.opened_by_definer() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER SET search_path = app AS $$
DECLARE
	c refcursor := 'definers';
BEGIN
	OPEN c FOR SELECT code FROM cached_lookups();
	RETURN c;
END
$$;
GRANT USAGE ON SCHEMA app TO regress_lookup_stranger;
SELECT catalogue.cache_reset() \g /dev/null
BEGIN;
SET LOCAL ROLE regress_lookup_stranger;
SELECT app.opened_by_definer() \g /dev/null
FETCH definers \g /dev/null
SELECT throws_ok('SELECT * FROM app.cached_lookups()', '42501', NULL, 'what a definer''s cursor has loaded opens nothing');
ROLLBACK;
SELECT is((SELECT array_agg(code) FROM app.cached_lookups()), '{DEUX,UN}', '... and is whole for its owner');
SELECT * FROM finish();
DROP OWNED BY regress_lookup_stranger;
DROP ROLE regress_lookup_stranger;
DROP OWNED BY regress_lookup_restricted;
DROP ROLE regress_lookup_restricted;
