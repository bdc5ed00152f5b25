\echo '== 5. A professor is deleted, with everything they made'
\echo
\echo '   First a look: what would be deleted or set to null, nothing changed.'
\echo
SELECT * FROM preview_professor_deletion('dupont');

\echo '   In one transaction, referencing rows first; RI triggers that can find nothing'
\echo '   are skipped.'
\echo
\timing on
SELECT * FROM delete_professor_batch('dupont');
\timing off
SELECT count(*) AS chapters_left FROM chapitres_complets WHERE created_by = 'dupont';

\echo '   A commit a batch, for one who owns much: it can be cancelled at any moment,'
\echo '   and continues where it stopped when it is called again.'
\echo
\set ECHO none
SELECT username AS other FROM professeurs JOIN chapitres_complets ON created_by = username
GROUP BY username ORDER BY count(*) DESC, username LIMIT 1 \gset
\set ECHO queries
\timing on
CALL purge_professor(:'other', batch_size => 1000);
\timing off
SELECT username, phase, rows_done, rows_expected, finished_at - started_at AS took
FROM professor_purges;

\echo '== 6. Their files: queued in the same transaction, unlinked by the application'
\echo
SELECT count(*) AS files FROM deleted_files;

\echo '   It takes some, unlinks them, commits. A rollback or a crash gives them back.'
\echo
BEGIN;
SELECT * FROM take_deleted_files(3);
ROLLBACK;
SELECT count(*) AS files FROM deleted_files;

\echo '   One that cannot be unlinked goes back, to be due again later.'
\echo
BEGIN;
\set ECHO none
SELECT path FROM take_deleted_files(1) \gset
\set ECHO queries
SELECT retry_deleted_file(:'path', 'permission denied');
COMMIT;
SELECT path, state, attempts, date_trunc('second', due_at - now()) AS due_in, last_error
FROM deleted_files WHERE attempts > 0;
