\echo '== 4. Lookup tables, cached in each session, never stale'
\echo
SELECT kind, count(*), min(nom) AS first FROM cached_lookups() GROUP BY kind ORDER BY count(*);

\echo '   One university, its UFRs, their filières: in tree order, by name.'
\echo
SELECT kind, id, code, nom FROM cached_lookups('ucad') LIMIT 4;

\echo '   An application keeps its dictionaries and asks by their version: no row while it holds.'
\echo
SELECT version, left(lookups::text, 60) || ' ...' AS lookups FROM cached_lookups_json();
\set ECHO none
SELECT version FROM cached_lookups_json() \gset
\set ECHO queries
SELECT version FROM cached_lookups_json(known_version => :'version');

\echo '   Another session renames the university; once its COMMIT has returned, we see it.'
\echo
\setenv QUERY 'UPDATE universites SET nom = nom || '' (UCAD)'' WHERE id = ''ucad'''
\! echo "$QUERY;" && psql -X -c "$QUERY"
SELECT nom FROM cached_lookups('ucad') WHERE kind = 'universite';
SELECT version FROM cached_lookups_json(known_version => :'version');

\echo '   What the cache of this session did: its totals, then each entry.'
\echo
SELECT schema_name, scope, row_count AS rows, bytes, hits, misses, invalidations,
	round(hit_rate::numeric, 2) AS hit_rate
FROM catalogue.cache_stats;
