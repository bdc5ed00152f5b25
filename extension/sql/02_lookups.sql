/*
 * 02_lookups.sql
 *		Coherence, statistics and self-test of the lookup cache.
 */

-- An empty table whose only use is to be invalidated, for all attachments at once.
-- No plan depends on it, so its invalidation messages replan nothing.
CREATE TABLE catalogue.lookup_sentinel ();
COMMENT ON TABLE catalogue.lookup_sentinel IS 'always empty: its invalidation messages tell sessions to invalidate cached lookups';

CREATE FUNCTION catalogue.lookup_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'catalogue_lookup_changed';
COMMENT ON FUNCTION catalogue.lookup_changed() IS 'invalidates cached lookups of the schemas bound to the table, in every session at commit';

CREATE FUNCTION catalogue.cache_stats()
	RETURNS TABLE (schema_name name, scope text, form text, row_count bigint, bytes bigint,
		age interval, expires_in interval, hits bigint, misses bigint, invalidations bigint,
		expiries bigint, evictions bigint, bypasses bigint, discarded_loads bigint,
		hit_rate double precision)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'catalogue_cache_stats';

-- The totals of the backend are the row without a schema; an entry has no
-- misses and the like.
CREATE VIEW catalogue.cache_stats AS SELECT * FROM catalogue.cache_stats();
COMMENT ON VIEW catalogue.cache_stats IS 'lookup cache of this session: its totals, then a row for each entry';
COMMENT ON FUNCTION catalogue.cache_stats() IS 'rows of the view catalogue.cache_stats';
GRANT SELECT ON catalogue.cache_stats TO PUBLIC;

-- One row; before PostgreSQL 17, an error that says so.
CREATE FUNCTION catalogue.cache_stats_all()
	RETURNS TABLE (hits bigint, misses bigint, invalidations bigint, expiries bigint, evictions bigint,
		bypasses bigint, discarded_loads bigint, hit_rate double precision, since timestamptz)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'catalogue_cache_stats_all';
COMMENT ON FUNCTION catalogue.cache_stats_all() IS 'row of the view catalogue.cache_stats_all';
CREATE VIEW catalogue.cache_stats_all AS SELECT * FROM catalogue.cache_stats_all();
COMMENT ON VIEW catalogue.cache_stats_all IS 'lookup caches of all sessions of the server: their totals since it started (PostgreSQL 17 and later)';
GRANT SELECT ON catalogue.cache_stats_all TO PUBLIC;

CREATE FUNCTION catalogue.cache_reset() RETURNS void
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'catalogue_cache_reset';
COMMENT ON FUNCTION catalogue.cache_reset() IS 'empties the lookup cache of this session and sets its totals to zero';

CREATE FUNCTION catalogue.sentinel_round_trip() RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'catalogue_sentinel_round_trip';
COMMENT ON FUNCTION catalogue.sentinel_round_trip() IS 'makes every session invalidate its cached lookups; true if the message came back here';
REVOKE ALL ON FUNCTION catalogue.sentinel_round_trip() FROM PUBLIC;

-- Lookups that are bound to another table than the one that has its name in the
-- mapping now: as after ALTER TABLE ... RENAME of two tables, one to the other's
-- name.  A binding follows the table, so attach() has to bind the new one.
CREATE FUNCTION catalogue.swapped_lookups()
	RETURNS TABLE (attachment regclass, kind text, bound regclass, named regclass)
	LANGUAGE plpgsql STABLE ROWS 1
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT l.attachment, l.kind, l.relation, c.oid::regclass
	FROM catalogue.attachment a
	JOIN pg_class outbox ON outbox.oid = a.deleted_files
	JOIN catalogue.lookup l ON l.attachment = a.deleted_files
	JOIN jsonb_array_elements(catalogue.mapping_items(a.mapping, 'lookups', true)) AS item
		ON item ->> 'kind' = l.kind
	CROSS JOIN LATERAL parse_ident(item ->> 'relation') AS parts
	JOIN pg_class c ON c.relname = parts[cardinality(parts)] AND c.oid <> l.relation
	JOIN pg_namespace n ON n.oid = c.relnamespace
		AND CASE cardinality(parts) WHEN 1 THEN n.oid = outbox.relnamespace ELSE n.nspname = parts[1] END
	WHERE c.relkind IN ('r', 'p', 'f')
	AND EXISTS (SELECT FROM pg_class b WHERE b.oid = l.relation);
END
$$;
COMMENT ON FUNCTION catalogue.swapped_lookups() IS 'lookups whose table has been exchanged by renaming';

-- For monitoring: does coherence work here?  Everything is fine when no row
-- says otherwise.
CREATE FUNCTION catalogue.cache_selftest()
	RETURNS TABLE (schema_name name, "check" text, ok boolean, detail text)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT NULL::name, 'invalidation messages come back', catalogue.sentinel_round_trip(), NULL::text
UNION ALL
SELECT n.nspname, 'changes are covered by triggers', coalesce(g.tgenabled = 'A', false),
	CASE WHEN g.tgenabled = 'A' THEN format('%s: trigger %I', l.relation, t.name)
		WHEN g.tgenabled IS NULL THEN format('%s: trigger %I is missing; run catalogue.attach() again', l.relation, t.name)
		ELSE format('%s: trigger %I is not enabled as ALWAYS; run catalogue.attach() again', l.relation, t.name) END
FROM catalogue.lookup l
JOIN pg_class c ON c.oid = l.attachment
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (VALUES ('catalogue_lookup_changed'), ('catalogue_lookup_truncated')) AS t (name)
LEFT JOIN pg_trigger g ON g.tgrelid = l.relation AND g.tgname = t.name
	AND g.tgfoid = 'catalogue.lookup_changed()'::regprocedure
UNION ALL
SELECT n.nspname, 'tables are those that the mapping names', s.named IS NULL,
	CASE WHEN s.named IS NULL THEN l.relation::text
		ELSE format('%s is bound, %s is another table; run catalogue.attach() again', s.bound, s.named) END
FROM catalogue.lookup l
JOIN pg_class c ON c.oid = l.attachment
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN catalogue.swapped_lookups() AS s ON s.attachment = l.attachment AND s.kind = l.kind
$$;
COMMENT ON FUNCTION catalogue.cache_selftest() IS 'whether cached lookups are kept coherent here: triggers, and a message through the server''s queue';
REVOKE ALL ON FUNCTION catalogue.cache_selftest() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION catalogue.sentinel_round_trip(), catalogue.cache_selftest() TO pg_monitor;
