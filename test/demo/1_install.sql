\echo '== 1. Install: one statement, nothing to preload, no restart'
\echo
CREATE EXTENSION catalogue;

\echo
\echo '   A new application takes the reference tables; one that is there keeps its own.'
\echo
CREATE SCHEMA app;
ALTER DATABASE :"DBNAME" SET search_path = app;
SET search_path = app;
SELECT count(*) AS tables FROM catalogue.create_tables();

\echo '   A platform of today, made up: 20,000 chapters of 4 KB (some ten seconds).'
\echo
\set ECHO none
\o /dev/null
\i test/fixtures/generate.sql
\o
\set ECHO queries
SELECT relation, row_count FROM pg_temp.generate_catalogue('app', 1) WHERE row_count >= 2000;

\echo '   attach() binds the extension to the tables, and says what it did.'
\echo
SELECT status, regexp_replace(object, '\(.*', '') AS object
FROM catalogue.attach(create_indexes => true);

\echo '   doctor() says whether it still fits, at any time.'
\echo
SELECT * FROM catalogue.doctor();
