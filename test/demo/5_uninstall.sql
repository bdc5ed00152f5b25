\echo '== 7. Uninstall: functions and triggers are dropped, every table and row stays'
\echo
SELECT count(*) AS chapters FROM chapitres_complets;
SET client_min_messages = warning;
DROP EXTENSION catalogue;
SELECT count(*) AS chapters FROM chapitres_complets;
SELECT count(*) AS functions_left FROM pg_proc WHERE pronamespace = 'app'::regnamespace;
