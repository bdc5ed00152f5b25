\echo '== 2. The newest chapters of a filière'
\echo
SELECT id, created_at::timestamp(0), left(titre, 44) AS titre
FROM recent_chapters('info-l1', 5);

\echo '   The next page: the server looks the last row up at full precision, so that'
\echo '   no chapter is repeated or skipped, not even among equal dates.'
\echo
\set ECHO none
SELECT id AS last_id FROM recent_chapters('info-l1', 5) OFFSET 4 \gset
\set ECHO queries
SELECT id, created_at::timestamp(0), left(titre, 44) AS titre
FROM recent_chapters('info-l1', 5, before_id => :last_id);

\echo '   The rows are the table''s own: join them, filter them, map them by an ORM.'
\echo '   The plan streams them from the index that the planner itself chose.'
\echo
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
SELECT c.id, c.titre, m.nom FROM recent_chapters('info-l1', 20) AS c
JOIN matieres AS m ON m.id = c.matiere_id;

\echo '   Several filières at once: one ordered scan each, merged. PostgreSQL''s own'
\echo '   plan for IN (...) ORDER BY ... LIMIT reads every chapter of all of them.'
\echo
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
SELECT id, titre FROM recent_chapters_any(ARRAY['info-l1', 'math-l1'], 20);
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
SELECT id, titre FROM chapitres_complets WHERE filiere_id IN ('info-l1', 'math-l1')
ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 20;
