-- integrity(): "sound", or which foreign key is violated.  Asks of each key what
-- VALIDATE CONSTRAINT would, and compares every B-tree of the schema app with
-- its table, by the extension amcheck; that raises an error.
--
-- Specs cannot include a file, so those of the deletion repeat this function.
CREATE FUNCTION integrity() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	key record;
	broken boolean;
BEGIN
	FOR key IN SELECT k.conname, k.conrelid::regclass AS child, k.confrelid::regclass AS parent,
			string_agg(format('c.%I IS NOT NULL', c.attname), ' AND ') AS given,
			string_agg(format('p.%I = c.%I', p.attname, c.attname), ' AND ') AS match
		FROM pg_constraint AS k CROSS JOIN unnest(k.conkey, k.confkey) AS u (child, parent)
		JOIN pg_attribute AS c ON c.attrelid = k.conrelid AND c.attnum = u.child
		JOIN pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = u.parent
		WHERE k.contype = 'f' GROUP BY k.oid
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s))',
			key.child, key.given, key.parent, key.match) INTO broken;
		IF broken THEN
			RETURN key.conname || ' is violated';
		END IF;
	END LOOP;
	PERFORM bt_index_check(c.oid, true) FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
	WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relnamespace = 'app'::regnamespace;
	RETURN 'sound';
END $$;
