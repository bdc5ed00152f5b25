-- A deletion leaves what one DELETE with the schema's own cascades leaves, or raises
-- its error; it ends, and counts what is gone.  One small schema for each way in
-- which many statements could differ from one.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION catalogue;
SELECT plan(60);

CREATE SCHEMA s;
SET LOCAL search_path = s, public;
CREATE TABLE p (id integer PRIMARY KEY, username text UNIQUE);
INSERT INTO p VALUES (1, 'a'), (2, 'b');

-- Attaches the schema as it is now.
CREATE FUNCTION pg_temp.attach(mapping jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM catalogue.attach('s', '{"chapters": null, "lookups": null, "files": [], "also_delete": [],
		"soft_references": [], "professors": {"relation": "p"}}' || mapping);
END
$$;

CREATE FUNCTION pg_temp.contents() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	rows text;
	result text := '';
BEGIN
	FOR relation IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 's'::regnamespace AND c.relkind = 'r'
		AND c.relname NOT IN ('deleted_files', 'professor_purges') ORDER BY c.relname
	LOOP
		EXECUTE format('SELECT string_agg(a_row::text, '' '' ORDER BY a_row::text) FROM ONLY %s AS a_row', relation) INTO rows;
		result := result || format('%s: %s; ', relation, coalesce(rows, 'no rows'));
	END LOOP;
	RETURN result;
END
$$;

-- What a query leaves, or its error.  All is taken back.
CREATE FUNCTION pg_temp.outcome(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	BEGIN
		EXECUTE query;
		SET CONSTRAINTS ALL IMMEDIATE;
		result := pg_temp.contents();
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN NULL;
		WHEN OTHERS THEN result := SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN result;
END
$$;

CREATE FUNCTION pg_temp.as_plain(what text, plain text DEFAULT 'DELETE FROM p WHERE username = ''a''') RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	batch_size integer;
BEGIN
	FOREACH batch_size IN ARRAY ARRAY[1, 1000] LOOP
		RETURN NEXT is(pg_temp.outcome(format('SELECT delete_professor_batch(''a'', %s)', batch_size)),
			pg_temp.outcome(plain), what || ', batch size ' || batch_size);
	END LOOP;
END
$$;

SAVEPOINT schema;

-- Types whose length is part of the type

CREATE TABLE t (p integer REFERENCES p ON DELETE CASCADE, c char(3) UNIQUE, b bit(3) UNIQUE, v bit varying(4) UNIQUE);
INSERT INTO t VALUES (1, 'ABC', '101', '1010'), (2, 'A', '100', '1'), (1, 'AB', '110', '10');
CREATE TABLE of_c (c char(3) REFERENCES t (c) ON DELETE CASCADE);
CREATE TABLE of_long_c (c char(5) REFERENCES t (c) ON DELETE CASCADE);
CREATE TABLE of_b (b bit(3) REFERENCES t (b) ON DELETE CASCADE);
CREATE TABLE of_v (v bit varying(9) REFERENCES t (v) ON DELETE CASCADE);
INSERT INTO of_c SELECT c FROM t;
INSERT INTO of_long_c SELECT c FROM t;
INSERT INTO of_b SELECT b FROM t;
INSERT INTO of_v SELECT v FROM t;
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('keys of type char(n) and bit(n)');
CREATE INDEX ON of_c (c);
CREATE INDEX ON of_long_c (c);
CREATE INDEX ON of_b (b);
CREATE INDEX ON of_v (v);
SELECT pg_temp.as_plain('keys of type char(n) and bit(n), by an index');
ROLLBACK TO schema;

-- Types that no array can hold

CREATE TYPE place AS (x integer, y integer);
CREATE TABLE t (p integer REFERENCES p ON DELETE CASCADE, k place UNIQUE, a integer[] UNIQUE);
INSERT INTO t VALUES (1, (1, 1), '{1}'), (2, (1, 2), '{2}'), (1, (1, 3), NULL);
CREATE TABLE of_k (k place REFERENCES t (k) ON DELETE CASCADE);
CREATE TABLE of_a (a integer[] REFERENCES t (a) ON DELETE SET NULL);
INSERT INTO of_k SELECT k FROM t;
INSERT INTO of_a SELECT a FROM t;
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('keys of a composite and of an array type');
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('of_a', 'set null', 1::bigint), ('of_k', 'delete', 2), ('t', 'delete', 2), ('p', 'delete', 1)$$,
	'... and counts them');
ROLLBACK TO schema;

-- A trigger that is left out was redundant: what the deletion itself does later must
-- not make a row reference what is gone

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE);
CREATE TABLE c (u integer REFERENCES u ON DELETE SET NULL, g integer GENERATED ALWAYS AS (coalesce(u, 1)) STORED,
	FOREIGN KEY (g) REFERENCES t ON DELETE CASCADE);
INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO u VALUES (2, 1);
INSERT INTO c VALUES (2);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a key that is set to null feeds a generated key');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE);
CREATE TABLE m (u integer UNIQUE DEFAULT 1 REFERENCES u ON DELETE SET DEFAULT);
CREATE TABLE c (m integer REFERENCES m (u) ON UPDATE CASCADE REFERENCES t ON DELETE CASCADE);
INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO u VALUES (1, 2), (2, 1);
INSERT INTO m VALUES (2);
INSERT INTO c VALUES (2);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a key that is set travels on by ON UPDATE CASCADE');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE c (t integer DEFAULT 1 REFERENCES t ON DELETE SET DEFAULT);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO c VALUES (1), (2), (3);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a default that is a row that goes');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, path text);
CREATE TABLE c (t integer REFERENCES t ON DELETE CASCADE);
INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y');
INSERT INTO c VALUES (1);
SELECT pg_temp.attach('{"files": [{"relation": "t", "column": "path"}]}');
CREATE FUNCTION add_c() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO s.c VALUES (1); RETURN NULL; END';
CREATE TRIGGER add AFTER INSERT ON deleted_files FOR EACH STATEMENT EXECUTE FUNCTION add_c();
SELECT is(split_part(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'), ';', 1),
	split_part(pg_temp.outcome('DELETE FROM p WHERE username = ''a'''), ';', 1), 'a trigger on the outbox adds a row');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE c (t integer REFERENCES t ON DELETE CASCADE);
CREATE TABLE d (p integer REFERENCES p ON DELETE SET NULL);
INSERT INTO t VALUES (1, 1);
INSERT INTO c VALUES (1);
INSERT INTO d VALUES (1);
CREATE FUNCTION add_c() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO s.c VALUES (1); RETURN NULL; END';
CREATE TRIGGER add AFTER UPDATE ON d FOR EACH ROW EXECUTE FUNCTION add_c();
SELECT pg_temp.attach();
SELECT is((SELECT count(*) FROM c WHERE t NOT IN (SELECT id FROM t)), 0::bigint, 'a trigger on a table that is set, before');
SELECT matches(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'), '^(23503|c: no rows)', '... leaves no orphan');
ROLLBACK TO schema;

-- NO ACTION between rows that all go

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, answers integer REFERENCES t);
INSERT INTO t VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 2), (4, 2, NULL);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('replies that refer to each other');
INSERT INTO t VALUES (5, 2, 3);
SELECT pg_temp.as_plain('replies, one of which stays');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE);
ALTER TABLE t ADD u integer REFERENCES u;
INSERT INTO t VALUES (1, 1, NULL), (2, 1, NULL), (3, 2, NULL);
INSERT INTO u VALUES (1, 1), (2, 2), (3, 3);
UPDATE t SET u = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 3 END;
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('two tables that refer to each other');
ROLLBACK TO schema;

CREATE TABLE q (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE t (id integer PRIMARY KEY, q integer REFERENCES q ON DELETE CASCADE);
CREATE TABLE u (id integer PRIMARY KEY, q integer REFERENCES q ON DELETE CASCADE, t integer REFERENCES t);
INSERT INTO q VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO u VALUES (1, 1, 2), (2, 2, 1), (3, 3, 3);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('rows of different batches');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE u (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, t integer REFERENCES t ON DELETE RESTRICT);
INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO u VALUES (1, 1, 1);
SELECT pg_temp.attach();
SELECT isnt(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'), NULL, 'RESTRICT: the referencing rows go first or the server decides');
ROLLBACK TO schema;

-- A deletion ends

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE elsewhere AS SELECT generate_series(1, 1000) AS n;
INSERT INTO t VALUES (1, 1), (2, 1);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM s.elsewhere WHERE n = (SELECT max(n) FROM s.elsewhere);
	RETURN NULL;
END
$$;
CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION keep();
SELECT pg_temp.attach();
CREATE FUNCTION pg_temp.rows_elsewhere(query text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		EXECUTE query;
		RAISE EXCEPTION USING MESSAGE = (SELECT count(*) FROM s.elsewhere), ERRCODE = 'UNDO0';
	EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
		RETURN SQLERRM;
	END;
END
$$;
SELECT cmp_ok(pg_temp.rows_elsewhere('SELECT delete_professor_batch(''a'', 1)'), '>', 990::bigint,
	'a trigger that keeps its row and deletes elsewhere is called a few times');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE c (t integer DEFAULT 1 REFERENCES t ON DELETE SET DEFAULT);
INSERT INTO t VALUES (1, 1);
INSERT INTO c SELECT 1 FROM generate_series(1, 10);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a default that is the deleted key');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 1);
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.id = 1 THEN
		RETURN NULL;
	END IF;
	INSERT INTO s.t VALUES (OLD.id + 10, OLD.p);
	RETURN OLD;
END
$$;
CREATE TRIGGER again BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION again();
SELECT pg_temp.attach();
SELECT matches(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'), '^23503',
	'a trigger that keeps one row and replaces the others');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE,
	t integer DEFAULT 1 REFERENCES t ON DELETE SET DEFAULT);
INSERT INTO t VALUES (1, 1, NULL), (2, 1, NULL), (3, 1, 2), (4, 2, NULL);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a default that goes, in a row that goes');
ROLLBACK TO schema;

-- Statements whose rules, partitions or keys only the server itself gets right

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE) PARTITION BY HASH (id);
CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE log (what text, n bigint);
INSERT INTO t SELECT i, 1 + i % 2 FROM generate_series(1, 10) AS i;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO s.log SELECT TG_TABLE_NAME || ' ' || TG_WHEN, 1;
	RETURN NULL;
END
$$;
CREATE TRIGGER above BEFORE DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER after_above AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER below AFTER DELETE ON t0 FOR EACH STATEMENT EXECUTE FUNCTION note();
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('triggers for each statement of a partitioned table');
DROP TRIGGER above ON t;
DROP TRIGGER after_above ON t;
DROP TRIGGER below ON t0;
CREATE RULE also AS ON DELETE TO t DO ALSO INSERT INTO log VALUES ('rule', OLD.id);
SELECT pg_temp.as_plain('a rule on a partitioned table');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE log (id integer);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 2);
CREATE RULE also AS ON DELETE TO t DO ALSO INSERT INTO log VALUES (OLD.id);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('a rule');
DROP RULE also ON t;
CREATE TABLE u (p integer REFERENCES p ON DELETE SET NULL);
INSERT INTO u VALUES (1), (2);
CREATE RULE also AS ON UPDATE TO u DO ALSO INSERT INTO log VALUES (OLD.p);
SELECT pg_temp.as_plain('a rule on a table that is set');
ROLLBACK TO schema;

CREATE TABLE t (rid integer, p integer REFERENCES p ON DELETE SET NULL) PARTITION BY LIST (p);
CREATE TABLE t_null PARTITION OF t FOR VALUES IN (NULL);
CREATE TABLE t_rest PARTITION OF t DEFAULT;
INSERT INTO t VALUES (1, 1), (2, 2), (3, 1);
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('rows that move to another partition');
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('t', 'set null', 2::bigint), ('p', 'delete', 1)$$, '... count as set');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer);
INSERT INTO t VALUES (1, 1), (2, 2);
SAVEPOINT two_keys;
ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE SET NULL;
ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE;
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('two keys on one column, SET NULL first');
SELECT results_eq('SELECT relation::text, action, row_count FROM preview_professor_deletion(''a'') WHERE action <> ''no index''',
	'SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')', '... as previewed');
ROLLBACK TO two_keys;
ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE;
ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE SET NULL;
SELECT pg_temp.attach();
SELECT pg_temp.as_plain('two keys on one column, CASCADE first');
SELECT results_eq('SELECT relation::text, action, row_count FROM preview_professor_deletion(''a'') WHERE action <> ''no index''',
	'SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')', '... as previewed');
ROLLBACK TO schema;

-- What the mapping adds, on rows that the server's own cascade deletes

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, answers integer REFERENCES t ON DELETE CASCADE);
CREATE TABLE c (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE SET NULL);
INSERT INTO t VALUES (1, 1, NULL), (2, 2, 1), (3, NULL, 2), (4, 2, NULL);
INSERT INTO c VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, NULL);
SELECT pg_temp.attach('{"also_delete": [{"relation": "c", "columns": ["t"]}]}');
SELECT is(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'),
	'c: (4,4) (5,); p: (2,b); t: (4,2,); ', 'what the mapping adds below a cycle');
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('c', 'delete', 3::bigint), ('t', 'delete', 3), ('p', 'delete', 1)$$, '... is counted');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, answers integer REFERENCES t ON DELETE SET NULL,
	quotes integer REFERENCES t);
INSERT INTO t VALUES (1, 1, NULL, NULL), (2, 2, 1, 1), (3, NULL, 2, 2), (4, 2, NULL, NULL), (5, 2, 3, 1);
SELECT pg_temp.attach('{"also_delete": [{"relation": "t", "columns": ["answers"]}]}');
SELECT is(pg_temp.outcome('SELECT delete_professor_batch(''a'', 1)'), 'p: (2,b); t: (4,2,,); ',
	'a cycle of the mapping''s making, batch size 1');
SELECT is(pg_temp.outcome('SELECT delete_professor_batch(''a'')'), 'p: (2,b); t: (4,2,,); ',
	'a cycle of the mapping''s making');
ROLLBACK TO schema;

-- Counts: what a rollback took back does not count, whatever deletes does

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE other (id integer PRIMARY KEY);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO other SELECT generate_series(1, 20);
CREATE FUNCTION try() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		DELETE FROM s.other;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
	WITH gone AS (DELETE FROM s.other WHERE id = OLD.id RETURNING id)
	SELECT id INTO OLD.id FROM gone;
	MERGE INTO s.other USING (SELECT OLD.id + 10 AS id) AS m ON m.id = other.id WHEN MATCHED THEN DELETE;
	RETURN OLD;
END
$$;
CREATE TRIGGER try BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION try();
SELECT pg_temp.attach();
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'', 1)',
	$$VALUES ('t', 'delete', 2::bigint), ('other', 'delete', 4), ('p', 'delete', 1)$$,
	'WITH and MERGE count, what a block took back does not');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE c (id integer, t integer REFERENCES t ON DELETE CASCADE, u integer REFERENCES t ON DELETE SET NULL);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO c VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO c (id, u) VALUES (4, 1), (5, 3);
SELECT pg_temp.attach();
SELECT * FROM delete_professor_batch('b') \g /dev/null
SAVEPOINT before;
DELETE FROM c WHERE id = 1;
ROLLBACK TO before;
SET LOCAL track_counts = off;
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('c', 'delete', 2::bigint), ('c', 'set null', 1), ('t', 'delete', 2), ('p', 'delete', 1)$$,
	'without track_counts');
SELECT is(current_setting('track_counts'), 'off', '... which stays off');
ROLLBACK TO schema;

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, t integer REFERENCES t ON DELETE CASCADE);
CREATE TABLE u (t integer REFERENCES t ON DELETE SET NULL);
INSERT INTO t VALUES (1, 1, NULL), (2, 1, 1), (3, NULL, 1);
INSERT INTO u VALUES (1), (2), (3);
SELECT pg_temp.attach();
SAVEPOINT sets;
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('u', 'set null', 3::bigint), ('t', 'delete', 3), ('p', 'delete', 1)$$, 'rows that the server sets count');
ROLLBACK TO sets;
ALTER TABLE u ADD n integer DEFAULT 0;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE s.u SET n = n + 1; RETURN OLD; END';
CREATE TRIGGER touch BEFORE DELETE ON p FOR EACH ROW EXECUTE FUNCTION touch();
SELECT results_eq('SELECT relation::text, action, row_count FROM delete_professor_batch(''a'')',
	$$VALUES ('u', 'set null', 3::bigint), ('t', 'delete', 3), ('p', 'delete', 1)$$, '... where a trigger updates too');
ROLLBACK TO schema;

-- What references a row that a trigger keeps is neither deleted nor set

CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE u (id integer, t integer REFERENCES t ON DELETE SET NULL);
CREATE TABLE v (id integer, t integer REFERENCES t ON DELETE CASCADE);
INSERT INTO t VALUES (1, 1), (2, 1);
INSERT INTO u VALUES (1, 1), (2, 2);
INSERT INTO v VALUES (1, 1), (2, 2);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN OLD.id = 1 THEN OLD END; END';
CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep();
SELECT pg_temp.attach();
SELECT delete_professor_batch('a') \g /dev/null
SELECT results_eq('SELECT u.t, v.t, t.id FROM u LEFT JOIN v USING (id) LEFT JOIN t USING (id) ORDER BY u.id',
	'VALUES (NULL::integer, NULL::integer, NULL::integer), (2, 2, 2)', 'rows below one that a trigger keeps stay as they are');
ROLLBACK TO schema;

-- A statement that is not what was asked for is refused before it touches a row

CREATE TABLE t (id integer PRIMARY KEY, prof integer);
INSERT INTO t VALUES (1, 1), (2, 2);
CREATE RULE instead AS ON DELETE TO t DO INSTEAD UPDATE t SET prof = NULL WHERE id = OLD.id;
SELECT pg_temp.attach('{"soft_references": [{"relation": "t", "column": "prof"}]}');
SELECT throws_ok('SELECT delete_professor_batch(''a'')', '0A000', 'cannot delete from "t"', 'a rule on what the mapping adds');
DROP RULE instead ON t;
CREATE RULE instead AS ON DELETE TO p DO INSTEAD NOTHING;
SELECT throws_ok('SELECT delete_professor_batch(''a'')', '0A000', 'cannot delete from "p"', 'a rule on the root''s table');
ROLLBACK TO schema;

-- No finish(): it would count what the savepoints have taken back.
ROLLBACK;
