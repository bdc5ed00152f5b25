/*
 * 08_file_triggers.sql
 *		The triggers by which whatever deletes a row queues its files.
 *
 * Row triggers queue the paths of a row that is deleted, replaced, or moved to
 * another partition; the server clones them to partitions, and attach() puts
 * them on inheritance children.  Statement triggers, which are not cloned, write
 * what is queued and look at what TRUNCATE takes away; attach() puts them on the
 * partitions that are there.  All fire for the origin of a change alone: what
 * replication applies, its publisher has queued.
 *
 * None has a WHEN clause: that would make ALTER COLUMN ... TYPE of a file column
 * fail, and DROP COLUMN drop the triggers for the table's other columns.
 *
 * Everything here runs as the caller.  The triggers go with the extension.
 */

CREATE FUNCTION catalogue.queue_deleted_files() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'catalogue_queue_deleted_files';
COMMENT ON FUNCTION catalogue.queue_deleted_files() IS 'puts paths of files whose row is deleted, or that it does not name any more, into the outbox';

-- The triggers that tables with file columns need, whoever is attached to them.
-- One that is cloned comes with that of the partitioned table.
CREATE FUNCTION catalogue.wanted_file_triggers()
	RETURNS TABLE (attachment regclass, relation regclass, name name, definition text, cloned boolean)
	LANGUAGE sql STABLE ROWS 50
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE tree(attachment, relation) AS (
	SELECT f.attachment, f.relation::oid FROM catalogue.file_column f
	UNION
	SELECT t.attachment, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.relation
), replaced(relation) AS (
	SELECT coalesce(pg_partition_root(f.relation), f.relation)::oid
	FROM catalogue.file_column f WHERE f.replaced
	UNION
	SELECT i.inhrelid FROM replaced r JOIN pg_inherits i ON i.inhparent = r.relation
)
SELECT t.attachment, c.oid, w.name, format('%s ON %s FOR EACH %s', w.events, c.oid::regclass, w.level),
	w.level = 'ROW' AND s.is_clone
FROM tree t
JOIN pg_class c ON c.oid = t.relation
CROSS JOIN LATERAL (SELECT
	c.relispartition AND EXISTS (SELECT FROM pg_inherits i JOIN tree p ON p.relation = i.inhparent
		WHERE i.inhrelid = c.oid),
	EXISTS (SELECT FROM replaced r WHERE r.relation = c.oid)) AS s (is_clone, is_replaced)
CROSS JOIN LATERAL (VALUES
	('catalogue_files_deleted'::name, 'AFTER DELETE', 'ROW', true),
	('catalogue_files_replaced', 'AFTER UPDATE', 'ROW', s.is_replaced),
	('catalogue_files_moved', 'AFTER INSERT', 'ROW', s.is_replaced AND (s.is_clone OR c.relkind = 'p')),
	('catalogue_files_written', 'AFTER DELETE OR UPDATE', 'STATEMENT', true),
	('catalogue_files_truncated', 'BEFORE TRUNCATE', 'STATEMENT', c.relkind <> 'f')
) AS w (name, events, level, is_wanted)
WHERE w.is_wanted
$$;

-- Those that are there and fire for the origin of a change.
CREATE FUNCTION catalogue.present_file_triggers()
	RETURNS TABLE (relation regclass, name name, cloned boolean, enabled boolean)
	LANGUAGE sql STABLE ROWS 50
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT g.tgrelid, g.tgname, g.tgparentid <> 0, g.tgenabled IN ('O', 'A')
FROM pg_trigger g
WHERE g.tgfoid = 'catalogue.queue_deleted_files()'::regprocedure AND g.tgname LIKE 'catalogue\_files\_%'
$$;

-- Drops those of the caller's tables that are not wanted any more: by this
-- attachment, one that is dead, or since a table has become another's partition.
CREATE FUNCTION catalogue.drop_file_triggers()
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	FOR trigger IN
		SELECT p.relation, p.name
		FROM catalogue.present_file_triggers() AS p JOIN pg_class c ON c.oid = p.relation
		WHERE NOT p.cloned AND pg_has_role(current_user, c.relowner, 'USAGE')
		AND NOT EXISTS (SELECT FROM catalogue.wanted_file_triggers() AS w
			WHERE w.relation = p.relation AND w.name = p.name AND NOT w.cloned)
		ORDER BY p.relation::text, p.name
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger.name, trigger.relation);
		RETURN QUERY VALUES ('dropped', format('trigger %I on %s', trigger.name, trigger.relation),
			NULL::text);
	END LOOP;
END
$$;

-- Creates those that an attachment lacks, partitioned tables before their
-- partitions.  Partitions and children of other owners are left to these.
CREATE FUNCTION catalogue.create_file_triggers(attachment regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted record;
BEGIN
	FOR wanted IN
		SELECT w.relation, w.name, w.definition, p.enabled,
			pg_has_role(current_user, c.relowner, 'USAGE') AS owned
		FROM catalogue.wanted_file_triggers() AS w
		JOIN pg_class c ON c.oid = w.relation
		LEFT JOIN catalogue.present_file_triggers() AS p
			ON p.relation = w.relation AND p.name = w.name AND NOT p.cloned
		WHERE w.attachment = create_file_triggers.attachment AND NOT w.cloned
		ORDER BY c.relispartition, w.relation::text, w.name
	LOOP
		status := 'found';
		object := format('trigger %I on %s', wanted.name, wanted.relation);
		detail := 'queues files for the outbox';
		IF wanted.enabled IS DISTINCT FROM true AND NOT wanted.owned THEN
			status := 'advice';
			detail := 'is missing: let the owner of the table run attach(), or become its member';
		ELSIF wanted.enabled IS DISTINCT FROM true THEN
			EXECUTE format('CREATE OR REPLACE TRIGGER %I %s EXECUTE FUNCTION catalogue.queue_deleted_files()',
				wanted.name, wanted.definition);
			EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION catalogue', wanted.name,
				wanted.relation);
			status := 'created';
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;

-- Makes those of an attachment that has just been bound what it wants.
CREATE FUNCTION catalogue.replace_file_triggers(attachment regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM catalogue.drop_file_triggers();
	RETURN QUERY SELECT * FROM catalogue.create_file_triggers(attachment);
END
$$;
