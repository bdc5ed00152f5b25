/*
 * 01_config.sql
 *		The schema catalogue, and the tables that say what is attached.
 *
 * First of the pieces that make joins into the install script, in the order of
 * their names.  What they create are the extension's own members, all in the
 * schema catalogue; tables of the application never are.  In each piece every
 * name is qualified, or resolved with a search path that the function sets, so
 * that nothing planted in another schema can be captured.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION catalogue" to load this file. \quit

-- Without IF NOT EXISTS, on purpose: a schema that was there before can hold
-- objects that capture even qualified calls.
CREATE SCHEMA catalogue;
GRANT USAGE ON SCHEMA catalogue TO PUBLIC;

-- Configuration: which tables each schema's functions are bound to.  Written by
-- bind_for() alone, readable by everyone, dumped with its rows.
--
-- An attachment is known by its outbox, the table deleted_files in the attached
-- schema: so it follows a schema that is renamed, and two schemas that exchange
-- names keep their own.  One whose outbox has been dropped is dead; it is not
-- dumped, and the next attach() or detach() removes it.
--
-- The other tables' column attachment is that outbox too.  There is no foreign
-- key: pg_restore loads tables in parallel and in any order.
CREATE TABLE catalogue.attachment (
	deleted_files regclass NOT NULL,
	professor_purges regclass NOT NULL,
	mapping jsonb NOT NULL,
	chapters regclass,
	chapters_id name,
	chapters_filiere name,
	chapters_created_at name,
	chapters_author name,
	professors regclass,
	professors_id name,
	professors_username name,
	unlink_delay interval NOT NULL DEFAULT '0',
	CONSTRAINT attachment_pkey PRIMARY KEY (deleted_files),
	-- A table is bound with its columns: the functions rely on it.
	CONSTRAINT attachment_chapters CHECK (chapters IS NULL
		OR pg_catalog.num_nulls(chapters_id, chapters_filiere, chapters_created_at) = 0),
	CONSTRAINT attachment_professors CHECK (professors IS NULL
		OR pg_catalog.num_nulls(professors_id, professors_username) = 0),
	CONSTRAINT attachment_unlink_delay CHECK (unlink_delay >= '0' AND pg_catalog.isfinite(unlink_delay))
);
COMMENT ON TABLE catalogue.attachment IS 'one row for each schema that is attached: the schema of deleted_files';

CREATE TABLE catalogue.lookup (
	attachment regclass NOT NULL,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	kind text NOT NULL,
	id name NOT NULL,
	code name NOT NULL,
	nom name NOT NULL,
	parent name,
	CONSTRAINT lookup_pkey PRIMARY KEY (attachment, ordinal)
);
COMMENT ON TABLE catalogue.lookup IS 'lookup tables of an attached schema, in tree order';

CREATE TABLE catalogue.file_column (
	attachment regclass NOT NULL,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	"column" name NOT NULL,
	separator text,
	prefix text,
	replaced boolean NOT NULL DEFAULT true,
	shared boolean NOT NULL DEFAULT false,
	CONSTRAINT file_column_pkey PRIMARY KEY (attachment, ordinal)
);
COMMENT ON TABLE catalogue.file_column IS 'columns that hold paths of files to unlink when their row is deleted';
-- A trigger knows its table, and not whose attachments are bound to it.
CREATE INDEX file_column_relation_idx ON catalogue.file_column (relation);

CREATE TABLE catalogue.also_delete (
	attachment regclass NOT NULL,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	columns name[] NOT NULL,
	CONSTRAINT also_delete_pkey PRIMARY KEY (attachment, ordinal)
);
COMMENT ON TABLE catalogue.also_delete IS 'foreign keys whose rows are deleted whatever their ON DELETE action is';

CREATE TABLE catalogue.soft_reference (
	attachment regclass NOT NULL,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	"column" name NOT NULL,
	type_column name,
	type_values text[],
	CONSTRAINT soft_reference_pkey PRIMARY KEY (attachment, ordinal)
);
COMMENT ON TABLE catalogue.soft_reference IS 'columns that name a professor without a foreign key';

GRANT SELECT ON catalogue.attachment, catalogue.lookup, catalogue.file_column,
	catalogue.also_delete, catalogue.soft_reference TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('catalogue.attachment',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) deleted_files)');
SELECT pg_catalog.pg_extension_config_dump('catalogue.lookup',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) attachment)');
SELECT pg_catalog.pg_extension_config_dump('catalogue.file_column',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) attachment)');
SELECT pg_catalog.pg_extension_config_dump('catalogue.also_delete',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) attachment)');
SELECT pg_catalog.pg_extension_config_dump('catalogue.soft_reference',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) attachment)');

CREATE FUNCTION catalogue.config_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'catalogue_config_changed';
COMMENT ON FUNCTION catalogue.config_changed() IS 'invalidates the configuration that sessions have cached';
REVOKE ALL ON FUNCTION catalogue.config_changed() FROM PUBLIC;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalogue.attachment
	FOR EACH STATEMENT EXECUTE FUNCTION catalogue.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalogue.lookup
	FOR EACH STATEMENT EXECUTE FUNCTION catalogue.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalogue.file_column
	FOR EACH STATEMENT EXECUTE FUNCTION catalogue.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalogue.also_delete
	FOR EACH STATEMENT EXECUTE FUNCTION catalogue.config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalogue.soft_reference
	FOR EACH STATEMENT EXECUTE FUNCTION catalogue.config_changed();
