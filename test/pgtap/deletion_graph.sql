-- delete_professor_batch() on graphs made up by chance: five levels of tables,
-- each with keys to tables above it, to itself and back down (cycles), CASCADE,
-- SET NULL and SET DEFAULT, some indexed.  Each is built twice from the same
-- rows; one professor goes by the function here and by plain DELETE there.
-- Afterwards the two must hold the same rows, and the report and the preview
-- must be what the tables have lost.

-- Each graph is two transactions: all in one would hold too many locks, and the
-- server checks all keys of a row that it updates when the same transaction has
-- made it.
SET client_min_messages = warning;
CREATE EXTENSION catalogue;
-- What discards caches takes a hundred times as long: a few will have to do,
-- and what makes and reads the tables is spared.
SELECT CASE current_setting('debug_discard_caches') WHEN '0' THEN 50 ELSE 4 END AS graphs \gset
SELECT plan(4 * :graphs);

CREATE TEMP TABLE before (relation text, line text);
CREATE TEMP TABLE report (relation text, action text, n bigint);
CREATE TEMP TABLE preview (relation text, action text, n bigint);

-- One of 0 .. n - 1, the same one for the same key.
CREATE FUNCTION pg_temp.draw(key text, n integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT mod(('x' || left(md5(key), 7))::bit(28)::integer, n);
$$;

CREATE FUNCTION pg_temp.build(schema text, seed text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	target text;
	action text;
BEGIN
	EXECUTE format('CREATE SCHEMA %1$I; SET LOCAL search_path = %1$I, public', schema);
	CREATE TABLE t0 (id integer PRIMARY KEY, username text NOT NULL UNIQUE, r3 integer);
	INSERT INTO t0 SELECT i, 'p' || i FROM generate_series(0, 3) AS i;
	FOR k IN 1 .. 9 LOOP
		EXECUTE format('CREATE TABLE t%s (id integer PRIMARY KEY, r1 integer, r2 integer,
			r3 integer DEFAULT 0, path text)', k);
		EXECUTE format('INSERT INTO t%1$s SELECT i, pg_temp.draw(%2$L || %1$s || ''a'' || i, 4 * %3$s),
				pg_temp.draw(%2$L || %1$s || ''b'' || i, 30), pg_temp.draw(%2$L || %1$s || ''c'' || i, 30),
				%1$s || ''/'' || i
			FROM generate_series(1, 29) AS i
			UNION ALL SELECT 0, NULL, NULL, NULL, %1$s || ''/0''',
			k, seed, 2 + pg_temp.draw(seed || 's' || k, 5));
	END LOOP;
	FOR k IN 1 .. 9 LOOP
		-- upwards, one level or more
		target := 't' || greatest(0, (k - 1) / 2 * 2 - pg_temp.draw(seed || k, 3));
		EXECUTE format('UPDATE t%s SET r1 = NULL WHERE r1 NOT IN (SELECT id FROM %s)', k, target);
		EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (r1) REFERENCES %s ON DELETE CASCADE', k, target);
		-- anywhere, itself and below too; r3 alone is ever set, as its
		-- row would count as made by the transaction the second time
		FOR n IN 2 .. 3 LOOP
			CONTINUE WHEN pg_temp.draw(seed || k || n || 'some', 3) = 0;
			target := 't' || pg_temp.draw(seed || k || n || 'to', 10);
			action := (ARRAY['CASCADE', 'SET NULL', 'SET DEFAULT'])[1 + pg_temp.draw(seed || k || 'do', 2 * n - 3)];
			EXECUTE format('UPDATE t%s SET r%s = NULL WHERE r%2$s NOT IN (SELECT id FROM %s)
				OR id %% 3 = 0', k, n, target);
			EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (r%s) REFERENCES %s ON DELETE %s',
				k, n, target, action);
			IF pg_temp.draw(seed || k || n || 'index', 2) = 0 THEN
				EXECUTE format('CREATE INDEX ON t%s (r%s)', k, n);
			END IF;
		END LOOP;
	END LOOP;
END
$$;

CREATE FUNCTION pg_temp.content(schema text) RETURNS TABLE (relation text, line text)
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
BEGIN
	FOR relation IN SELECT 't' || i FROM generate_series(0, 9) AS i LOOP
		RETURN QUERY EXECUTE format('SELECT %L, t::text FROM %I.%I AS t', relation, schema, relation);
	END LOOP;
END
$$;

CREATE FUNCTION pg_temp.lost(schema text) RETURNS TABLE (relation text, n bigint)
LANGUAGE sql AS $$
	SELECT b.relation, count(*) FROM before AS b
	WHERE NOT EXISTS (SELECT FROM pg_temp.content(schema) AS c
		WHERE c.relation = b.relation AND split_part(c.line, ',', 1) = split_part(b.line, ',', 1))
	GROUP BY b.relation
$$;

CREATE FUNCTION pg_temp.build_twice(seed text) RETURNS void
LANGUAGE plpgsql SET debug_discard_caches = 0 AS $$
BEGIN
	PERFORM pg_temp.build('plain', seed);
	PERFORM pg_temp.build('ours', seed);
	PERFORM catalogue.attach('ours', '{"professors": {"relation": "t0"}, "chapters": null,
		"lookups": null, "also_delete": [], "soft_references": [],
		"files": [{"relation": "t3", "column": "path"}, {"relation": "t8", "column": "path"}]}');
END
$$;

CREATE FUNCTION pg_temp.compare(seed text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE before, report, preview;
	INSERT INTO before SELECT * FROM pg_temp.content('ours');

	-- Rows 0, to which defaults point, depend on nobody.
	DELETE FROM plain.t0 WHERE username = 'p1';
	INSERT INTO preview SELECT split_part(p.relation::text, '.', -1), action, row_count
		FROM ours.preview_professor_deletion('p1') AS p;
	INSERT INTO report SELECT split_part(r.relation::text, '.', -1), action, row_count
		FROM ours.delete_professor_batch('p1', 1 + pg_temp.draw(seed, 20)) AS r;

	RETURN NEXT bag_eq('SELECT * FROM pg_temp.content(''ours'')',
		'SELECT * FROM pg_temp.content(''plain'')', seed || ': the same rows as after plain DELETE');
	RETURN NEXT bag_eq('SELECT relation, n FROM report WHERE action = ''delete''',
		'SELECT * FROM pg_temp.lost(''ours'')', seed || ': the report is what the tables lost');
	RETURN NEXT bag_eq('SELECT relation, n FROM preview WHERE action = ''delete''',
		'SELECT relation, n FROM report WHERE action = ''delete''', seed || ': as the preview said');
	RETURN NEXT bag_eq(
		'SELECT path FROM ours.deleted_files',
		$q$SELECT b.relation[1] || '/' || b.id FROM (
			SELECT regexp_match(relation, '\d+') AS relation, substr(split_part(line, ',', 1), 2) AS id
			FROM before WHERE relation IN ('t3', 't8')
			EXCEPT
			SELECT regexp_match(relation, '\d+'), substr(split_part(line, ',', 1), 2)
			FROM pg_temp.content('ours') WHERE relation IN ('t3', 't8')) AS b$q$,
		seed || ': the files of the lost rows');
	DROP SCHEMA plain CASCADE;
	PERFORM catalogue.detach('ours');
	DROP SCHEMA ours CASCADE;
END
$$;

SELECT format('SELECT pg_temp.build_twice(%L)', 'graph ' || i),
	format('SELECT pg_temp.compare(%L)', 'graph ' || i)
FROM generate_series(1, :graphs) AS i
\gexec

SELECT * FROM finish();
DROP EXTENSION catalogue;
