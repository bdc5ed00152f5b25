-- The outbox: attempts, back-off, the dead, and the backlog.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
\i test/fixtures/app.sql
SELECT plan(16);

INSERT INTO deleted_files (path, due_at) VALUES
	('a', now() - interval '3 hours'), ('b', now() - interval '2 hours'), ('c', now() + interval '1 hour');

SELECT results_eq('SELECT path FROM take_deleted_files(0)', 'SELECT NULL::text WHERE false', 'none asked for');
SELECT results_eq('SELECT path FROM take_deleted_files()', $$VALUES ('a'), ('b')$$, 'what is due, the oldest first');
SELECT is_empty('SELECT take_deleted_files()', 'not the same again');
SELECT lives_ok($$SELECT retry_deleted_file('a', 'busy')$$, 'one cannot be unlinked');
SELECT results_eq('SELECT state, attempts, due_at - now(), last_error FROM deleted_files WHERE path = ''a''',
	$$VALUES ('queued', 1, interval '1 minute', 'busy')$$, 'it is due in a minute');
SELECT results_eq('SELECT queued, due, dead FROM deleted_files_backlog', $$VALUES (2::bigint, 0::bigint, 0::bigint)$$,
	'the backlog');

-- As if a committed taker had tried nine times more.
CREATE TEMP TABLE tries (attempt integer, wait interval, state text);
DO $$
BEGIN
	FOR attempt IN 2 .. 10 LOOP
		UPDATE deleted_files SET due_at = now() WHERE path = 'a';
		PERFORM take_deleted_files();
		PERFORM retry_deleted_file('a', 'busy again');
		INSERT INTO tries SELECT attempts, due_at - now(), state FROM deleted_files WHERE path = 'a';
	END LOOP;
END
$$;
SELECT results_eq('SELECT wait FROM tries WHERE attempt < 10 ORDER BY attempt',
	$$SELECT make_interval(mins => 1 << i) FROM generate_series(1, 8) AS i$$, 'twice as long each time');
SELECT results_eq('SELECT state, wait > interval ''100 years'' FROM tries WHERE attempt = 10', $$VALUES ('dead', true)$$,
	'the tenth attempt was the last');
SELECT is_empty('SELECT path FROM take_deleted_files() EXCEPT SELECT ''b''', 'the dead are not handed out');
UPDATE deleted_files SET state = 'taken', attempts = 8, taken_by = '3' WHERE path = 'c';
SELECT retry_deleted_file('c', NULL) \g /dev/null
SELECT results_eq('SELECT state, attempts FROM deleted_files WHERE path = ''c''', $$VALUES ('queued', 9)$$,
	'taken by a transaction that is over: attempts survive');
SELECT retry_deleted_file('absent', 'late') \g /dev/null
SELECT results_eq('SELECT state, attempts FROM deleted_files WHERE path = ''absent''', $$VALUES ('queued', 1)$$,
	'a path that the outbox does not have is not lost');
UPDATE deleted_files SET state = 'taken', taken_by = '3' WHERE path = 'absent';
SELECT take_deleted_files() \g /dev/null
SELECT is_empty('SELECT FROM deleted_files WHERE path = ''absent''', 'what a committed taker took is removed');

-- A worker's rights: SELECT, UPDATE and DELETE
CREATE ROLE catalogue_test_worker;
GRANT USAGE ON SCHEMA app TO catalogue_test_worker;
GRANT SELECT, DELETE ON deleted_files TO catalogue_test_worker;
SET LOCAL ROLE catalogue_test_worker;
SELECT throws_ok($$SELECT retry_deleted_file('unknown', 'busy')$$, '42501', 'permission denied for table deleted_files',
	'to put back takes UPDATE');
RESET ROLE;
GRANT UPDATE ON deleted_files TO catalogue_test_worker;
SET LOCAL ROLE catalogue_test_worker;
SELECT lives_ok($$SELECT retry_deleted_file('unknown', 'busy')$$, '... and no INSERT, also for a path that the outbox does not have');
RESET ROLE;
SELECT results_eq('SELECT state, attempts FROM deleted_files WHERE path = ''unknown''', $$VALUES ('queued', 1)$$,
	'... which is queued');
ALTER TABLE deleted_files ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON deleted_files USING (true) WITH CHECK (path <> 'forbidden');
SET LOCAL ROLE catalogue_test_worker;
SELECT throws_ok($$SELECT retry_deleted_file('forbidden', 'busy')$$, '42501', NULL, 'policies keep their say');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
