/*
 * catalogue--1.0.sql
 *		The extension's own members, all in the schema catalogue.
 *
 * Every name is qualified, and every function that is not in C sets its
 * search path, so that nothing planted in another schema can be captured.
 * Tables of the application are never members: what create_tables() and
 * attach() make stays when the extension goes.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION catalogue" to load this file. \quit

-- Without IF NOT EXISTS, on purpose: a schema that was there before can hold
-- objects that capture even qualified calls.
CREATE SCHEMA catalogue;
GRANT USAGE ON SCHEMA catalogue TO PUBLIC;

---------------------------------------------------------------------------
-- Configuration: which tables each schema's functions are bound to.
-- Written by bind_for() alone, readable by everyone, dumped with its rows.
--
-- An attachment is known by its outbox, the table deleted_files in the
-- attached schema: so it follows a schema that is renamed, and two schemas
-- that change names keep their own.  One whose outbox has been dropped is
-- dead; it is not dumped, and the next attach() or detach() removes it.
--
-- The other tables' column attachment is that outbox too.  There is no foreign
-- key: pg_restore loads tables in parallel and in any order.
---------------------------------------------------------------------------

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
	CONSTRAINT attachment_pkey PRIMARY KEY (deleted_files)
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
	CONSTRAINT file_column_pkey PRIMARY KEY (attachment, ordinal)
);
COMMENT ON TABLE catalogue.file_column IS 'columns that hold paths of files to unlink when their row is deleted';

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
COMMENT ON FUNCTION catalogue.config_changed() IS 'makes every session read the configuration again';
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

---------------------------------------------------------------------------
-- Lookup coherence: an empty table whose only use is to be invalidated.
-- No plan depends on it, so its messages replan nothing.
---------------------------------------------------------------------------

CREATE TABLE catalogue.lookup_sentinel ();
COMMENT ON TABLE catalogue.lookup_sentinel IS 'always empty: its invalidation messages tell sessions to forget cached lookups';

CREATE FUNCTION catalogue.lookup_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'catalogue_lookup_changed';
COMMENT ON FUNCTION catalogue.lookup_changed() IS 'invalidates cached lookups in every session at commit';

CREATE FUNCTION catalogue.cache_stats()
	RETURNS TABLE (schema_name name, scope text, form text, row_count bigint, bytes bigint,
		age interval, expires_in interval, hits bigint, misses bigint, invalidations bigint,
		expiries bigint, evictions bigint, bypasses bigint, late_fills bigint,
		hit_rate double precision)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'catalogue_cache_stats';

-- The totals of the backend are the row without a schema; an entry has no
-- misses and the like.
CREATE VIEW catalogue.cache_stats AS SELECT * FROM catalogue.cache_stats();
COMMENT ON VIEW catalogue.cache_stats IS 'lookup cache of this session: its totals, then a row for each entry';
GRANT SELECT ON catalogue.cache_stats TO PUBLIC;

CREATE FUNCTION catalogue.cache_reset() RETURNS void
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'catalogue_cache_reset';
COMMENT ON FUNCTION catalogue.cache_reset() IS 'empties the lookup cache of this session and sets its totals to zero';

CREATE FUNCTION catalogue.sentinel_round_trip() RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'catalogue_sentinel_round_trip';
COMMENT ON FUNCTION catalogue.sentinel_round_trip() IS 'makes every session forget its cached lookups; true if the message came back here';
REVOKE ALL ON FUNCTION catalogue.sentinel_round_trip() FROM PUBLIC;

-- For monitoring: does coherence work here?  Everything is fine when no row
-- says otherwise.
CREATE FUNCTION catalogue.cache_selftest()
	RETURNS TABLE (schema_name name, "check" text, ok boolean, detail text)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT NULL::name, 'a message of change comes back', catalogue.sentinel_round_trip(), NULL::text
UNION ALL
SELECT n.nspname, 'changes are announced', coalesce(g.tgenabled = 'A', false),
	CASE WHEN g.tgenabled = 'A' THEN format('%s: trigger %I', l.relation, t.name)
		WHEN g.tgenabled IS NULL THEN format('%s: trigger %I is missing; run catalogue.attach() again', l.relation, t.name)
		ELSE format('%s: trigger %I is not enabled as ALWAYS; run catalogue.attach() again', l.relation, t.name) END
FROM catalogue.lookup l
JOIN pg_class c ON c.oid = l.attachment
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (VALUES ('catalogue_lookup_changed'), ('catalogue_lookup_truncated')) AS t (name)
LEFT JOIN pg_trigger g ON g.tgrelid = l.relation AND g.tgname = t.name
	AND g.tgfoid = 'catalogue.lookup_changed()'::regprocedure
$$;
COMMENT ON FUNCTION catalogue.cache_selftest() IS 'whether cached lookups are kept coherent here: triggers, and a message through the server''s queue';
REVOKE ALL ON FUNCTION catalogue.cache_selftest() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION catalogue.sentinel_round_trip(), catalogue.cache_selftest() TO pg_monitor;

---------------------------------------------------------------------------
-- What planners and monitors call.
---------------------------------------------------------------------------

CREATE FUNCTION catalogue.recent_chapters_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_recent_chapters_support';
COMMENT ON FUNCTION catalogue.recent_chapters_support(internal) IS 'planner support: row estimates';

CREATE FUNCTION catalogue.cached_lookups_support(internal) RETURNS internal
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'catalogue_cached_lookups_support';
COMMENT ON FUNCTION catalogue.cached_lookups_support(internal) IS 'planner support: row estimates';

---------------------------------------------------------------------------
-- create_tables(): the reference schema, for a new application.
---------------------------------------------------------------------------

/*
 * catalogue.create_tables(schema name DEFAULT current_schema()) -> SETOF regclass
 *
 * Makes the sixteen tables of the reference schema, with their keys and
 * indexes, in a schema that exists, and returns them in the order in which
 * they were made.  The tables are the caller's and not members of the
 * extension: DROP EXTENSION leaves them and pg_dump dumps their rows.
 *
 * The schema is the one that live applications have, made by an ORM, and it
 * keeps their warts on purpose, so that what works here works there: nothing
 * but the serial ids has a default, created_at is nullable and has no time
 * zone, commentaires.chapitre_id and notifications.chapitre_id have no index,
 * notifications.chapitre_id is ON DELETE SET NULL, messages_prof
 * (date_creation) is indexed twice, and authors and addressees are pairs
 * without a foreign key.  What these cost is attach()'s and doctor()'s to say.
 *
 * Constraints have the server's default names and indexes the ORM's,
 * ix_<table>_<columns>; the second index on messages_prof(date_creation),
 * which needs another one, begins with idx.
 *
 * Errors: 3F000 without a schema or where it does not exist, 42501 without
 * CREATE on it, 42P07 where a table or index of one of the names exists.  One
 * statement makes everything or nothing.
 */
CREATE FUNCTION catalogue.create_tables(schema name DEFAULT pg_catalog.current_schema())
RETURNS SETOF regclass
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	PERFORM catalogue.check_schema(schema);

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.universites (
			id varchar PRIMARY KEY,
			nom varchar(255) NOT NULL,
			code varchar(50) NOT NULL,
			logo_url varchar(500),
			logo_data bytea,
			logo_content_type varchar(50),
			created_at timestamp
		);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.universites', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.ufrs (
			id varchar PRIMARY KEY,
			nom varchar(255) NOT NULL,
			code varchar(50) NOT NULL,
			universite_id varchar NOT NULL REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			created_at timestamp
		);
		CREATE INDEX ix_ufrs_universite_id ON %1$I.ufrs (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.ufrs', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.filieres (
			id varchar PRIMARY KEY,
			nom varchar(255) NOT NULL,
			code varchar(50) NOT NULL,
			ufr_id varchar NOT NULL REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			created_at timestamp
		);
		CREATE INDEX ix_filieres_ufr_id ON %1$I.filieres (ufr_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.filieres', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.matieres (
			id varchar PRIMARY KEY,
			nom varchar(255) NOT NULL,
			code varchar(50) NOT NULL,
			filiere_id varchar NOT NULL REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			niveau varchar(10) NOT NULL,
			semestre varchar(10) NOT NULL,
			created_at timestamp
		);
		CREATE INDEX ix_matieres_filiere_id ON %1$I.matieres (filiere_id);
		CREATE INDEX ix_matieres_niveau ON %1$I.matieres (niveau);
		CREATE INDEX ix_matieres_semestre ON %1$I.matieres (semestre);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.matieres', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.administrateurs (
			id serial PRIMARY KEY,
			username varchar(100) NOT NULL UNIQUE,
			password_hash varchar(255) NOT NULL,
			nom varchar(100) NOT NULL,
			prenom varchar(100) NOT NULL,
			is_main_admin boolean,
			actif boolean,
			universite_id varchar REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			created_at timestamp
		);
		CREATE INDEX ix_administrateurs_universite_id ON %1$I.administrateurs (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.administrateurs', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.etudiants (
			id serial PRIMARY KEY,
			username varchar(100) NOT NULL UNIQUE,
			password_hash varchar(255) NOT NULL,
			nom varchar(100) NOT NULL,
			prenom varchar(100) NOT NULL,
			niveau varchar(10) NOT NULL,
			universite_id varchar NOT NULL REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			ufr_id varchar NOT NULL REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			filiere_id varchar NOT NULL REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			statut_passage varchar(20),
			created_at timestamp
		);
		CREATE INDEX ix_etudiants_filiere_id ON %1$I.etudiants (filiere_id);
		CREATE INDEX ix_etudiants_ufr_id ON %1$I.etudiants (ufr_id);
		CREATE INDEX ix_etudiants_universite_id ON %1$I.etudiants (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.etudiants', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.professeurs (
			id serial PRIMARY KEY,
			username varchar(100) NOT NULL UNIQUE,
			password_hash varchar(255) NOT NULL,
			nom varchar(100) NOT NULL,
			prenom varchar(100) NOT NULL,
			specialite varchar(200) NOT NULL,
			actif boolean,
			universite_id varchar REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			ufr_id varchar REFERENCES %1$I.ufrs (id) ON DELETE SET NULL,
			filiere_id varchar REFERENCES %1$I.filieres (id) ON DELETE SET NULL,
			matiere_id varchar REFERENCES %1$I.matieres (id) ON DELETE SET NULL,
			matiere varchar(200),
			created_at timestamp
		);
		CREATE INDEX ix_professeurs_filiere_id ON %1$I.professeurs (filiere_id);
		CREATE INDEX ix_professeurs_matiere_id ON %1$I.professeurs (matiere_id);
		CREATE INDEX ix_professeurs_ufr_id ON %1$I.professeurs (ufr_id);
		CREATE INDEX ix_professeurs_universite_id ON %1$I.professeurs (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.professeurs', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.professeur_ufrs (
			professeur_id integer REFERENCES %1$I.professeurs (id) ON DELETE CASCADE,
			ufr_id varchar REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			created_at timestamp,
			PRIMARY KEY (professeur_id, ufr_id)
		);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.professeur_ufrs', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.professeur_filieres (
			professeur_id integer REFERENCES %1$I.professeurs (id) ON DELETE CASCADE,
			filiere_id varchar REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			created_at timestamp,
			PRIMARY KEY (professeur_id, filiere_id)
		);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.professeur_filieres', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.chapitres_complets (
			id serial PRIMARY KEY,
			universite_id varchar NOT NULL REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			ufr_id varchar NOT NULL REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			filiere_id varchar NOT NULL REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			matiere_id varchar NOT NULL REFERENCES %1$I.matieres (id) ON DELETE CASCADE,
			niveau varchar(10) NOT NULL,
			semestre varchar(10) NOT NULL,
			chapitre varchar(200) NOT NULL,
			titre varchar(500) NOT NULL,
			cours_texte text,
			cours_fichier_nom varchar(500),
			cours_fichier_path varchar(1000),
			exercice_texte text,
			exercice_fichier_nom varchar(500),
			exercice_fichier_path varchar(1000),
			solution_texte text,
			solution_fichier_nom varchar(500),
			solution_fichier_path varchar(1000),
			created_by varchar(100) NOT NULL REFERENCES %1$I.professeurs (username) ON DELETE CASCADE,
			created_at timestamp
		);
		CREATE INDEX ix_chapitres_complets_created_by ON %1$I.chapitres_complets (created_by);
		CREATE INDEX ix_chapitres_complets_filiere_id ON %1$I.chapitres_complets (filiere_id);
		CREATE INDEX ix_chapitres_complets_matiere_id ON %1$I.chapitres_complets (matiere_id);
		CREATE INDEX ix_chapitres_complets_ufr_id ON %1$I.chapitres_complets (ufr_id);
		CREATE INDEX ix_chapitres_complets_universite_id ON %1$I.chapitres_complets (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.chapitres_complets', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.contents (
			id serial PRIMARY KEY,
			niveau varchar(10) NOT NULL,
			semestre varchar(10) NOT NULL,
			chapitre varchar(200) NOT NULL,
			type varchar(50) NOT NULL,
			texte text,
			fichier_nom varchar(500),
			fichier_path varchar(1000),
			matiere_id varchar REFERENCES %1$I.matieres (id),
			created_by varchar(100) NOT NULL REFERENCES %1$I.professeurs (username) ON DELETE CASCADE,
			created_at timestamp
		);
		CREATE INDEX ix_contents_created_by ON %1$I.contents (created_by);
		CREATE INDEX ix_contents_matiere_id ON %1$I.contents (matiere_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.contents', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.commentaires (
			id serial PRIMARY KEY,
			texte text NOT NULL,
			chapitre_id integer NOT NULL REFERENCES %1$I.chapitres_complets (id) ON DELETE CASCADE,
			auteur_type varchar(20) NOT NULL,
			auteur_id integer NOT NULL,
			auteur_nom varchar(200) NOT NULL,
			created_at timestamp
		);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.commentaires', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.notifications (
			id serial PRIMARY KEY,
			type varchar(50) NOT NULL,
			message varchar(500) NOT NULL,
			destinataire_type varchar(20) NOT NULL,
			destinataire_id integer NOT NULL,
			lien varchar(500),
			lue boolean NOT NULL,
			created_at timestamp,
			chapitre_id integer REFERENCES %1$I.chapitres_complets (id) ON DELETE SET NULL,
			universite_id varchar(36) REFERENCES %1$I.universites (id) ON DELETE SET NULL
		);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.notifications', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.messages_prof (
			id serial PRIMARY KEY,
			prof_id integer NOT NULL REFERENCES %1$I.professeurs (id) ON DELETE CASCADE,
			contenu text NOT NULL,
			audio_file varchar(500),
			date_creation timestamp,
			universite_id varchar NOT NULL REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			ufr_id varchar REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			filiere_id varchar REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			niveau varchar(10),
			semestre varchar(10),
			matiere_id varchar REFERENCES %1$I.matieres (id) ON DELETE CASCADE
		);
		CREATE INDEX ix_messages_prof_date_creation ON %1$I.messages_prof (date_creation);
		CREATE INDEX idx_messages_prof_date_creation ON %1$I.messages_prof (date_creation);
		CREATE INDEX ix_messages_prof_filiere_id ON %1$I.messages_prof (filiere_id);
		CREATE INDEX ix_messages_prof_matiere_id ON %1$I.messages_prof (matiere_id);
		CREATE INDEX ix_messages_prof_niveau ON %1$I.messages_prof (niveau);
		CREATE INDEX ix_messages_prof_prof_id ON %1$I.messages_prof (prof_id);
		CREATE INDEX ix_messages_prof_ufr_id ON %1$I.messages_prof (ufr_id);
		CREATE INDEX ix_messages_prof_universite_id ON %1$I.messages_prof (universite_id);
		CREATE INDEX ix_messages_prof_universite_id_ufr_id_filiere_id_niveau
			ON %1$I.messages_prof (universite_id, ufr_id, filiere_id, niveau);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.messages_prof', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.messages_etudiant_statut (
			id serial PRIMARY KEY,
			message_id integer NOT NULL REFERENCES %1$I.messages_prof (id) ON DELETE CASCADE,
			etudiant_id integer NOT NULL REFERENCES %1$I.etudiants (id) ON DELETE CASCADE,
			lu boolean NOT NULL,
			supprime boolean NOT NULL,
			date_lecture timestamp,
			date_suppression timestamp
		);
		CREATE INDEX ix_messages_etudiant_statut_etudiant_id
			ON %1$I.messages_etudiant_statut (etudiant_id);
		CREATE INDEX ix_messages_etudiant_statut_etudiant_id_message_id
			ON %1$I.messages_etudiant_statut (etudiant_id, message_id);
		CREATE INDEX ix_messages_etudiant_statut_etudiant_id_supprime
			ON %1$I.messages_etudiant_statut (etudiant_id, supprime);
		CREATE INDEX ix_messages_etudiant_statut_message_id
			ON %1$I.messages_etudiant_statut (message_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.messages_etudiant_statut', schema)::regclass;

	EXECUTE pg_catalog.format($ddl$
		CREATE TABLE %1$I.scheduled_courses (
			id serial PRIMARY KEY,
			prof_id integer NOT NULL REFERENCES %1$I.professeurs (id) ON DELETE CASCADE,
			universite_id varchar NOT NULL REFERENCES %1$I.universites (id) ON DELETE CASCADE,
			ufr_id varchar REFERENCES %1$I.ufrs (id) ON DELETE CASCADE,
			filiere_id varchar REFERENCES %1$I.filieres (id) ON DELETE CASCADE,
			matiere_id varchar REFERENCES %1$I.matieres (id) ON DELETE CASCADE,
			filiere varchar(100) NOT NULL,
			niveau varchar(10) NOT NULL,
			semestre varchar(10) NOT NULL,
			matiere varchar(200) NOT NULL,
			cours_date varchar(10) NOT NULL,
			cours_heure varchar(5) NOT NULL,
			duree_minutes integer NOT NULL,
			jitsi_link varchar(500) NOT NULL,
			notification_24h_sent boolean NOT NULL,
			notification_1h_sent boolean NOT NULL,
			notification_debut_sent boolean NOT NULL,
			statut varchar(20) NOT NULL,
			created_at timestamp,
			updated_at timestamp
		);
		CREATE INDEX ix_scheduled_courses_cours_date_cours_heure
			ON %1$I.scheduled_courses (cours_date, cours_heure);
		CREATE INDEX ix_scheduled_courses_filiere_id ON %1$I.scheduled_courses (filiere_id);
		CREATE INDEX ix_scheduled_courses_filiere_id_niveau_semestre
			ON %1$I.scheduled_courses (filiere_id, niveau, semestre);
		CREATE INDEX ix_scheduled_courses_matiere_id ON %1$I.scheduled_courses (matiere_id);
		CREATE INDEX ix_scheduled_courses_prof_id ON %1$I.scheduled_courses (prof_id);
		CREATE INDEX ix_scheduled_courses_prof_id_cours_date
			ON %1$I.scheduled_courses (prof_id, cours_date);
		CREATE INDEX ix_scheduled_courses_ufr_id ON %1$I.scheduled_courses (ufr_id);
		CREATE INDEX ix_scheduled_courses_universite_id ON %1$I.scheduled_courses (universite_id);
	$ddl$, schema);
	RETURN NEXT pg_catalog.format('%I.scheduled_courses', schema)::regclass;
END
$function$;

COMMENT ON FUNCTION catalogue.create_tables(name) IS
'make the tables of the reference schema, with their keys and indexes, in an existing schema';

---------------------------------------------------------------------------
-- attach(): from the mapping to a binding, then to functions.
---------------------------------------------------------------------------

-- The reference schema's names: what attach() takes for everything that its
-- mapping does not say.
CREATE FUNCTION catalogue.default_mapping() RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT '{
	"chapters": {"relation": "chapitres_complets", "id": "id", "filiere": "filiere_id",
		"created_at": "created_at", "author": "created_by"},
	"professors": {"relation": "professeurs", "id": "id", "username": "username"},
	"lookups": [
		{"kind": "universite", "relation": "universites", "id": "id", "code": "code", "nom": "nom"},
		{"kind": "ufr", "relation": "ufrs", "id": "id", "code": "code", "nom": "nom",
			"parent": "universite_id"},
		{"kind": "filiere", "relation": "filieres", "id": "id", "code": "code", "nom": "nom",
			"parent": "ufr_id"}],
	"files": [
		{"relation": "chapitres_complets", "column": "cours_fichier_path", "separator": "|||"},
		{"relation": "chapitres_complets", "column": "exercice_fichier_path", "separator": "|||"},
		{"relation": "chapitres_complets", "column": "solution_fichier_path", "separator": "|||"},
		{"relation": "contents", "column": "fichier_path", "separator": "|||"},
		{"relation": "messages_prof", "column": "audio_file", "separator": "|||"}],
	"also_delete": [
		{"relation": "notifications", "columns": ["chapitre_id"]}],
	"soft_references": [
		{"relation": "commentaires", "column": "auteur_id",
			"type_column": "auteur_type", "type_values": ["prof", "professeur"]},
		{"relation": "notifications", "column": "destinataire_id",
			"type_column": "destinataire_type", "type_values": ["prof", "professeur"]}]
}'::jsonb
$$;
COMMENT ON FUNCTION catalogue.default_mapping() IS 'the mapping of the reference schema';

-- A relation that the mapping names: "lessons", or "app.lessons" in another
-- schema.  NULL when it does not exist; an error when it cannot be bound.
CREATE FUNCTION catalogue.mapped_relation(schema name, relation text, role text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parts text[] := parse_ident(relation);
	target record;
BEGIN
	IF cardinality(parts) > 2 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('invalid relation name "%s" in the mapping', relation),
			HINT = 'Give a table name, or schema.table.';
	END IF;
	IF cardinality(parts) = 1 THEN
		parts := ARRAY[schema::text, parts[1]];
	END IF;

	SELECT c.oid::regclass AS relid, c.relname, c.relkind, c.relowner, c.relpersistence INTO target
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = parts[1] AND c.relname = parts[2];

	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF target.relkind NOT IN ('r', 'p', 'f') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is not a table', target.relname),
			DETAIL = format('The mapping names it as %s.', role),
			HINT = 'Attach the tables below it: invalidation, foreign keys and row locks need a table.';
	END IF;
	IF target.relpersistence = 't' THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is a temporary table', target.relname),
			DETAIL = format('The mapping names it as %s.', role);
	END IF;
	IF NOT pg_has_role(current_user, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relname);
	END IF;
	RETURN target.relid;
END
$$;

-- Type of a column that the mapping names; an error when there is none.
CREATE FUNCTION catalogue.mapped_column(relation regclass, "column" text) RETURNS regtype
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	type regtype;
BEGIN
	SELECT a.atttypid INTO type FROM pg_attribute a
	WHERE a.attrelid = relation AND a.attname = "column" AND a.attnum > 0 AND NOT a.attisdropped;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation "%s" does not exist', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation)),
			HINT = 'Name the column in the mapping.';
	END IF;
	RETURN type;
END
$$;

-- Refuses a column that does not hold strings: paths and user names do.
CREATE FUNCTION catalogue.check_string_column(relation regclass, "column" text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	type constant regtype := catalogue.mapped_column(relation, "column");
BEGIN
	IF (SELECT t.typcategory FROM pg_type t WHERE t.oid = type) <> 'S' THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('column "%s" of relation "%s" is of type %s', "column",
				(SELECT c.relname FROM pg_class c WHERE c.oid = relation), type),
			DETAIL = 'The column must be of a string type.';
	END IF;
END
$$;

-- Checks the form of one object of the mapping: no key that it must not have,
-- so that a misspelt one is not silently a default, none missing, and each
-- value of its type.  Keys with null have been taken out before.
CREATE FUNCTION catalogue.check_mapping_item(section text, item jsonb, required text[], optional text[])
	RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lists constant text[] := ARRAY['columns', 'type_values'];
	wrong text;
BEGIN
	SELECT key INTO wrong FROM jsonb_object_keys(item) AS key
	WHERE key <> ALL (required || optional) ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in "%s" of the mapping', wrong, section),
			HINT = format('Valid keys are: %s.', array_to_string(required || optional, ', '));
	END IF;

	SELECT key INTO wrong FROM unnest(required) AS key WHERE NOT item ? key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('key "%s" is missing in "%s" of the mapping', wrong, section);
	END IF;

	SELECT key INTO wrong FROM jsonb_each(item) AS pair (key, value)
	WHERE key <> ALL (lists) AND (jsonb_typeof(value) <> 'string' OR value = '""')
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be a string, and not an empty one',
				wrong, section);
	END IF;

	SELECT key INTO wrong FROM jsonb_each(item) AS pair (key, value)
	WHERE key = ANY (lists)
	AND (jsonb_typeof(value) <> 'array' OR value = '[]'
		OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")'))
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"%s" in "%s" of the mapping must be an array of strings, and not an empty one',
				wrong, section);
	END IF;

	IF (item ? 'type_column') <> (item ? 'type_values') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('"type_column" and "type_values" in "%s" of the mapping need each other',
				section);
	END IF;
END
$$;

-- The mapping with its defaults filled in and every relation resolved: what
-- bind() takes.  Relations are OIDs, columns are checked to exist, and what
-- the mapping does not ask for and is not there is left out and named under
-- "absent".
CREATE FUNCTION catalogue.resolve_mapping(schema name, mapping jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defaults constant jsonb := catalogue.default_mapping();
	sections constant text[] := ARRAY['chapters', 'professors', 'lookups', 'files', 'also_delete',
		'soft_references'];
	of_deletion constant text[] := ARRAY['files', 'also_delete', 'soft_references'];
	binding jsonb := '{"absent": []}';
	section text;
	asked boolean;
	listed boolean;
	items jsonb;
	item jsonb;
	missing jsonb;
	name text;
	relid regclass;
BEGIN
	IF jsonb_typeof(mapping) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'the mapping must be a JSON object';
	END IF;
	SELECT key INTO name FROM jsonb_object_keys(mapping) AS key
	WHERE key <> ALL (sections) ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in the mapping', name),
			HINT = format('Valid keys are: %s.', array_to_string(sections, ', '));
	END IF;

	FOREACH section IN ARRAY sections LOOP
		asked := mapping ? section;
		listed := jsonb_typeof(defaults -> section) = 'array';
		items := coalesce(mapping -> section, defaults -> section);
		CONTINUE WHEN jsonb_typeof(items) = 'null';

		-- Only a professor's deletion has a use for these.
		IF section = ANY (of_deletion) AND NOT binding ? 'professors' THEN
			CONTINUE WHEN NOT asked OR items = '[]';
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping needs "professors"', section);
		END IF;

		IF NOT listed THEN
			items := jsonb_build_array(items);
		ELSIF jsonb_typeof(items) <> 'array' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping must be a JSON array', section);
		END IF;

		FOR item IN SELECT * FROM jsonb_array_elements(items) LOOP
			IF jsonb_typeof(item) <> 'object' THEN
				RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
					MESSAGE = format(CASE WHEN listed
						THEN '"%s" in the mapping must hold JSON objects'
						ELSE '"%s" in the mapping must be a JSON object' END, section);
			END IF;
			-- What a section leaves out has the reference schema's name;
			-- in lists only the columns that every lookup has.
			CASE section
				WHEN 'chapters' THEN
					item := jsonb_strip_nulls((defaults -> section) || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'id', 'filiere', 'created_at'], ARRAY['author']);
				WHEN 'professors' THEN
					item := jsonb_strip_nulls((defaults -> section) || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'id', 'username'], '{}');
				WHEN 'lookups' THEN
					item := jsonb_strip_nulls('{"id": "id", "code": "code", "nom": "nom"}' || item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['kind', 'relation', 'id', 'code', 'nom'], ARRAY['parent']);
				WHEN 'files' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'column'], ARRAY['separator']);
				WHEN 'also_delete' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'columns'], '{}');
				WHEN 'soft_references' THEN
					item := jsonb_strip_nulls(item);
					PERFORM catalogue.check_mapping_item(section, item,
						ARRAY['relation', 'column'], ARRAY['type_column', 'type_values']);
			END CASE;

			relid := catalogue.mapped_relation(schema, item ->> 'relation',
				format('"%s"', section));
			IF relid IS NULL AND asked THEN
				RAISE EXCEPTION USING ERRCODE = 'undefined_table',
					MESSAGE = format('relation "%s" does not exist', item ->> 'relation'),
					DETAIL = format('The mapping names it in "%s", for schema "%s".', section, schema);
			ELSIF relid IS NULL THEN
				missing := jsonb_build_object('section', section, 'relation', item -> 'relation');
				IF NOT binding -> 'absent' @> jsonb_build_array(missing) THEN
					binding := jsonb_insert(binding, '{absent,-1}', missing, true);
				END IF;
				CONTINUE;
			END IF;

			PERFORM catalogue.mapped_column(relid, value #>> '{}')
			FROM jsonb_each(item - '{relation,kind,separator,columns,type_values}'::text[]);
			PERFORM catalogue.mapped_column(relid, value)
			FROM jsonb_array_elements_text(item -> 'columns') AS value;

			IF section = 'also_delete' AND NOT EXISTS (SELECT FROM catalogue.foreign_keys(relid) AS k
				WHERE k.columns::text[] = ARRAY(SELECT jsonb_array_elements_text(item -> 'columns'))) THEN
				CONTINUE WHEN NOT asked;
				RAISE EXCEPTION USING ERRCODE = 'undefined_object',
					MESSAGE = format('table "%s" has no foreign key on (%s)',
						(SELECT c.relname FROM pg_class c WHERE c.oid = relid),
						(SELECT string_agg(quote_ident(value), ', ')
							FROM jsonb_array_elements_text(item -> 'columns') AS value)),
					DETAIL = 'The mapping names it in "also_delete".',
					HINT = 'Name the columns in the order of the foreign key; what refers to a professor without one belongs in "soft_references".';
			END IF;

			item := item || jsonb_build_object('relation', relid::oid::bigint);
			IF listed THEN
				IF EXISTS (
					SELECT FROM jsonb_array_elements(binding -> section) AS other
					WHERE other ->> 'kind' = item ->> 'kind'
					OR section <> 'lookups' AND other - '{separator,type_values}'::text[]
						= item - '{separator,type_values}'::text[]) THEN
					RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
						MESSAGE = format('duplicate entry in "%s" of the mapping', section),
						DETAIL = CASE section
							WHEN 'lookups' THEN format('The kind "%s" is there twice.', item ->> 'kind')
							ELSE format('The same columns of table "%s" are there twice.', (
								SELECT c.relname FROM pg_class c WHERE c.oid = relid)) END;
				END IF;
				binding := jsonb_set(binding, ARRAY[section],
					coalesce(binding -> section, '[]') || item);
			ELSE
				binding := jsonb_set(binding, ARRAY[section], item);
			END IF;
		END LOOP;
	END LOOP;

	IF NOT binding ?| ARRAY['chapters', 'professors', 'lookups'] THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = format('schema "%s" has no table to attach', schema),
			HINT = 'Run catalogue.create_tables() for a new application, or give a mapping with the names of your tables.';
	END IF;
	RETURN binding;
END
$$;

-- Refuses tables on which the functions cannot be right: paging needs a
-- unique id in an order, and a deletion one professor for a username.
CREATE FUNCTION catalogue.check_keys(binding jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item jsonb;
	role text;
	roles text[];
	target pg_class;
	attribute pg_attribute;
BEGIN
	IF binding ? 'chapters' THEN
		item := binding -> 'chapters';
		-- The server's own words for a column that has no order.
		EXECUTE format('SELECT FROM %s ORDER BY %I, %I DESC, %I DESC LIMIT 0',
			(item ->> 'relation')::oid::regclass, item ->> 'filiere', item ->> 'created_at',
			item ->> 'id');
		SELECT t.oid::regtype::text INTO role FROM pg_type t
		WHERE t.oid = catalogue.argument_type((item ->> 'relation')::oid::regclass, item ->> 'filiere')
		AND t.typarray = 0;
		IF FOUND THEN
			RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
				MESSAGE = format('column "%s" of relation "%s" is of type %s', item ->> 'filiere',
					(SELECT c.relname FROM pg_class c WHERE c.oid = (item ->> 'relation')::oid), role),
				DETAIL = 'There are no arrays of this type, which recent_chapters() takes.';
		END IF;
	END IF;

	IF binding ? 'professors' THEN
		PERFORM catalogue.check_string_column((p ->> 'relation')::oid::regclass, p ->> 'username')
		FROM (VALUES (binding -> 'professors')) AS v (p);
	END IF;
	PERFORM catalogue.check_string_column((f ->> 'relation')::oid::regclass, f ->> 'column')
	FROM jsonb_array_elements(binding -> 'files') AS f;

	IF binding #> '{lookups,0}' ? 'parent' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('lookup "%s" comes first in the mapping and has a parent',
				binding #>> '{lookups,0,kind}'),
			HINT = 'List the root of the tree first, and parents before their children.';
	END IF;

	FOR item, roles IN
		SELECT binding -> 'chapters', ARRAY['id']
		UNION ALL
		SELECT binding -> 'professors', ARRAY['id', 'username']
		UNION ALL
		SELECT l, ARRAY['id'] FROM jsonb_array_elements(binding -> 'lookups') AS l
	LOOP
		SELECT c.* INTO target FROM pg_class c WHERE c.oid = (item ->> 'relation')::oid;
		-- Foreign tables have no keys that this server knows of.
		CONTINUE WHEN NOT FOUND OR target.relkind = 'f';

		IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = target.oid AND c.contype = 'p') THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('table "%s" has no primary key', target.relname),
				HINT = format('Run ALTER TABLE %s ADD PRIMARY KEY (%I).', target.oid::regclass,
					item ->> 'id');
		END IF;

		FOREACH role IN ARRAY roles LOOP
			SELECT a.* INTO attribute FROM pg_attribute a
			WHERE a.attrelid = target.oid AND a.attname = item ->> role AND NOT a.attisdropped;
			IF NOT EXISTS (
				SELECT FROM pg_index i
				WHERE i.indrelid = target.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
				AND i.indpred IS NULL
				AND (i.indkey[0] = attribute.attnum AND i.indnkeyatts = 1
					-- keys of a partitioned table have the partition key in them
					OR target.relkind = 'p' AND attribute.attnum = ANY (i.indkey))) THEN
				RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
					MESSAGE = format('column "%s" of table "%s" has no unique constraint',
						attribute.attname, target.relname),
					DETAIL = 'It must be unique by itself, and the constraint not deferrable.',
					HINT = 'Add the constraint, or name another column in the mapping.';
			END IF;
			IF role = 'id' AND NOT attribute.attnotnull THEN
				RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
					MESSAGE = format('column "%s" of table "%s" may be null', attribute.attname,
						target.relname),
					HINT = format('Run ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.',
						target.oid::regclass, attribute.attname);
			END IF;
		END LOOP;
	END LOOP;
END
$$;

-- Foreign keys of a table, each with its columns in the constraint's order.
CREATE FUNCTION catalogue.foreign_keys(relation regclass)
	RETURNS TABLE (constraint_name name, referenced regclass, columns name[], attnums smallint[], on_delete "char")
	LANGUAGE sql STABLE ROWS 5
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT k.conname, k.confrelid::regclass,
	ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, i)
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.i),
	k.conkey, k.confdeltype
FROM pg_constraint k
WHERE k.conrelid = relation AND k.contype = 'f' AND k.conparentid = 0
$$;

-- Type of the argument that takes a column's values: the column's own, and a
-- domain's base type, since most arguments may be NULL and a domain need not
-- allow it.  NULL when there is no such column.
CREATE FUNCTION catalogue.argument_type(relation regclass, "column" name) RETURNS regtype
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE type(oid, base) AS (
	SELECT t.oid, t.typbasetype FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE a.attrelid = relation AND a.attname = "column" AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT t.oid, t.typbasetype FROM type JOIN pg_type t ON t.oid = type.base
)
SELECT oid::regtype FROM type WHERE base = 0
$$;

-- Tables of an attached schema that the extension's functions write to.
-- They are the application's: created by the caller, owned by the caller,
-- dumped and kept like any other table.
CREATE FUNCTION catalogue.create_deletion_tables(schema name)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	outbox text := format('%I.deleted_files', schema);
	purges text := format('%I.professor_purges', schema);
	backlog text := format('%I.deleted_files_backlog', schema);
	progress text := format('%I.professor_purge_progress', schema);
BEGIN
	IF to_regclass(outbox) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			path text NOT NULL,
			state text NOT NULL DEFAULT ''queued'' CHECK (state IN (''queued'', ''taken'', ''dead'')),
			attempts integer NOT NULL DEFAULT 0,
			due_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			deleted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
			taken_by xid8,
			last_error text)', outbox);
		EXECUTE format('CREATE INDEX ON %s (due_at, id) WHERE state = ''queued''', outbox);
		EXECUTE format('CREATE INDEX ON %s (path) WHERE state = ''taken''', outbox);
		RETURN QUERY VALUES ('created', format('table %s', outbox), 'files to unlink');
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'deleted_files', 'the outbox of files'),
			catalogue.mapped_column(to_regclass(outbox), c)
		FROM unnest(ARRAY['id', 'path', 'state', 'attempts', 'due_at', 'deleted_at',
			'taken_by', 'last_error']) AS c;
		RETURN QUERY VALUES ('found', format('table %s', outbox), 'files to unlink');
	END IF;

	IF to_regclass(purges) IS NULL THEN
		EXECUTE format('CREATE TABLE %s (
			username text PRIMARY KEY,
			started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			resumed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			phase text NOT NULL,
			rows_done bigint NOT NULL DEFAULT 0,
			rows_before bigint NOT NULL DEFAULT 0,
			rows_expected bigint,
			last_batch_at timestamptz,
			finished_at timestamptz,
			pid integer)', purges);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', purges);
		RETURN QUERY VALUES ('created', format('table %s', purges), 'progress of purge_professor');
	ELSE
		PERFORM catalogue.mapped_relation(schema, 'professor_purges', 'the progress of purges'),
			catalogue.mapped_column(to_regclass(purges), c)
		FROM unnest(ARRAY['username', 'started_at', 'resumed_at', 'phase', 'rows_done',
			'rows_before', 'rows_expected', 'last_batch_at', 'finished_at', 'pid']) AS c;
		RETURN QUERY VALUES ('found', format('table %s', purges), 'progress of purge_professor');
	END IF;

	-- The views name nothing of the extension, so they outlive it.
	IF to_regclass(backlog) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT count(*) FILTER (WHERE state = ''queued'') AS queued,
				count(*) FILTER (WHERE state = ''queued'' AND due_at <= now()) AS due,
				count(*) FILTER (WHERE state = ''dead'') AS dead,
				max(now() - deleted_at) FILTER (WHERE state = ''queued'') AS oldest_age
			FROM %s', backlog, outbox);
		RETURN QUERY VALUES ('created', format('view %s', backlog), 'files that wait to be unlinked');
	ELSE
		RETURN QUERY VALUES ('found', format('view %s', backlog), 'files that wait to be unlinked');
	END IF;

	IF to_regclass(progress) IS NULL THEN
		EXECUTE format('CREATE VIEW %s AS
			SELECT p.username, p.phase, p.started_at, p.rows_done, p.rows_expected,
				CASE WHEN p.finished_at IS NOT NULL THEN 100.0
					ELSE round(least(100.0 * p.rows_done / nullif(p.rows_expected, 0), 100), 1)
				END AS percent,
				p.finished_at IS NULL
					AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = p.pid) AS running,
				p.last_batch_at,
				CASE WHEN p.finished_at IS NOT NULL THEN p.finished_at
					ELSE p.last_batch_at + (p.last_batch_at - p.resumed_at)
						* (greatest(p.rows_expected - p.rows_done, 0)
							/ nullif(p.rows_done - p.rows_before, 0)::double precision)
				END AS estimated_end
			FROM %s AS p', progress, purges);
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', progress);
		RETURN QUERY VALUES ('created', format('view %s', progress), 'how far each purge is');
	ELSE
		RETURN QUERY VALUES ('found', format('view %s', progress), 'how far each purge is');
	END IF;
END
$$;

-- The triggers through which sessions hear of a changed lookup table.  The
-- row trigger stays silent for a statement that changed no row, reaches
-- partitions, and ALWAYS covers rows that replication applies.
CREATE FUNCTION catalogue.create_lookup_triggers(relation regclass)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	FOR trigger IN
		SELECT * FROM (VALUES
			('catalogue_lookup_changed', 'INSERT OR UPDATE OR DELETE', 'ROW'),
			('catalogue_lookup_truncated', 'TRUNCATE', 'STATEMENT')) AS t (name, events, level)
	LOOP
		IF EXISTS (SELECT FROM pg_trigger t
			WHERE t.tgrelid = relation AND t.tgname = trigger.name
			AND t.tgfoid = 'catalogue.lookup_changed()'::regprocedure AND t.tgenabled = 'A') THEN
			status := 'found';
		ELSE
			EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION catalogue.lookup_changed()',
				trigger.name, trigger.events, relation, trigger.level);
			EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, trigger.name);
			EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION catalogue', trigger.name, relation);
			status := 'created';
		END IF;
		object := format('trigger %I on %s', trigger.name, relation);
		detail := 'tells sessions to forget cached lookups';
		RETURN NEXT;
	END LOOP;
END
$$;

-- The outbox by which the configuration knows a schema's attachment; NULL
-- where the schema is not attached.
CREATE FUNCTION catalogue.attachment_of(schema name) RETURNS regclass
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.deleted_files
FROM catalogue.attachment a
JOIN pg_class c ON c.oid = a.deleted_files
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = schema AND c.relname = 'deleted_files'
$$;

-- Every table that an attachment is bound to, once for each use of it, with
-- the columns used and a description for people.
CREATE FUNCTION catalogue.bound_tables(attachment regclass)
	RETURNS TABLE (relation regclass, columns name[], description text)
	LANGUAGE sql STABLE ROWS 20
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT b.relation, array_remove(b.columns, NULL),
	format(b.description, (SELECT string_agg(quote_ident(c), ', ' ORDER BY i)
		FROM unnest(b.columns) WITH ORDINALITY AS u (c, i)))
FROM (
	SELECT 1, 0, a.chapters, ARRAY[a.chapters_id, a.chapters_filiere, a.chapters_created_at,
		a.chapters_author], 'chapters: %s'
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.chapters IS NOT NULL
	UNION ALL
	SELECT 2, 0, a.professors, ARRAY[a.professors_id, a.professors_username], 'professors: %s'
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.professors IS NOT NULL
	UNION ALL
	SELECT 3, l.ordinal, l.relation, ARRAY[l.id, l.code, l.nom, l.parent],
		format('lookup "%s": ', replace(l.kind, '%', '%%')) || '%s'
	FROM catalogue.lookup l WHERE l.attachment = bound_tables.attachment
	UNION ALL
	SELECT 4, f.ordinal, f.relation, ARRAY[f."column"],
		'file paths: %s' || coalesce(format(', separated by %L', replace(f.separator, '%', '%%')), '')
	FROM catalogue.file_column f WHERE f.attachment = bound_tables.attachment
	UNION ALL
	SELECT 5, e.ordinal, e.relation, e.columns, 'also deleted, by foreign key: %s'
	FROM catalogue.also_delete e WHERE e.attachment = bound_tables.attachment
	UNION ALL
	SELECT 6, s.ordinal, s.relation, ARRAY[s."column", s.type_column],
		'also deleted, by soft reference: %s' || coalesce(' in (' || replace(
			(SELECT string_agg(quote_literal(v), ', ') FROM unnest(s.type_values) AS v), '%', '%%') || ')', '')
	FROM catalogue.soft_reference s WHERE s.attachment = bound_tables.attachment
) AS b (section, ordinal, relation, columns, description)
ORDER BY b.section, b.ordinal
$$;

-- The functions that an attachment asks for, as the words of CREATE FUNCTION.
CREATE FUNCTION catalogue.wanted_functions(attachment regclass)
	RETURNS TABLE (kind text, name text, types text, arguments text, result text,
		options text, symbol text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH chapters AS (
	SELECT c.reltype::regtype AS row_type, f.filiere, f.name, i.id, d.created_at
	FROM catalogue.attachment a
	JOIN pg_class c ON c.oid = a.chapters
	CROSS JOIN LATERAL (
		SELECT 'filiere', t.oid::regtype FROM pg_type t
		WHERE t.oid = catalogue.argument_type(a.chapters, a.chapters_filiere)
		UNION ALL
		SELECT 'filieres', t.typarray::regtype FROM pg_type t
		WHERE t.oid = catalogue.argument_type(a.chapters, a.chapters_filiere)) AS f (name, filiere)
	CROSS JOIN catalogue.argument_type(a.chapters, a.chapters_id) AS i (id)
	CROSS JOIN catalogue.argument_type(a.chapters, a.chapters_created_at) AS d (created_at)
	WHERE a.deleted_files = attachment
), professors AS (
	SELECT 'TABLE(relation regclass, action text, row_count bigint)' AS report
	FROM catalogue.attachment a
	WHERE a.deleted_files = attachment AND a.professors IS NOT NULL
), root AS (
	SELECT catalogue.argument_type(l.relation, l.id) AS id
	FROM catalogue.lookup l WHERE l.attachment = wanted_functions.attachment
	ORDER BY l.ordinal LIMIT 1
)
SELECT 'FUNCTION', 'recent_chapters',
	format('%s, integer, %s, %s', c.filiere, c.id, c.created_at),
	format('%s %s, n integer DEFAULT 100, before_id %s DEFAULT NULL, before_at %s DEFAULT NULL',
		c.name, c.filiere, c.id, c.created_at),
	format('SETOF %s', c.row_type),
	'STABLE PARALLEL SAFE ROWS 100 SUPPORT catalogue.recent_chapters_support',
	'catalogue_recent_chapters'
FROM chapters c
UNION ALL
SELECT v.*
FROM professors p CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'delete_professor_batch', 'text, integer, boolean',
		'username text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
		p.report, 'VOLATILE PARALLEL UNSAFE ROWS 20', 'catalogue_delete_professor_batch'),
	('FUNCTION', 'preview_professor_deletion', 'text', 'username text',
		p.report, 'STABLE PARALLEL RESTRICTED ROWS 20', 'catalogue_preview_professor_deletion'),
	('PROCEDURE', 'purge_professor', 'text, integer, interval',
		'username text, batch_size integer DEFAULT 1000, pause interval DEFAULT ''0''',
		NULL, '', 'catalogue_purge_professor'),
	('FUNCTION', 'take_deleted_files', 'integer', 'max_files integer DEFAULT 100',
		'SETOF text', 'VOLATILE PARALLEL UNSAFE ROWS 100', 'catalogue_take_deleted_files'),
	('FUNCTION', 'retry_deleted_file', 'text, text', 'path text, error text',
		'void', 'VOLATILE PARALLEL UNSAFE', 'catalogue_retry_deleted_file')) AS v
UNION ALL
SELECT v.*
FROM root r CROSS JOIN LATERAL (VALUES
	('FUNCTION', 'cached_lookups', r.id::text, format('universite %s DEFAULT NULL', r.id),
		'TABLE(kind text, id text, code text, nom text, parent_id text)',
		'STABLE PARALLEL RESTRICTED ROWS 1000 SUPPORT catalogue.cached_lookups_support',
		'catalogue_cached_lookups'),
	('FUNCTION', 'cached_lookups_json', format('%s, text', r.id),
		format('universite %s DEFAULT NULL, known_version text DEFAULT NULL', r.id),
		'TABLE(version text, lookups json)',
		'STABLE PARALLEL RESTRICTED ROWS 1 SUPPORT catalogue.cached_lookups_support',
		'catalogue_cached_lookups_json')) AS v
WHERE r.id IS NOT NULL
$$;

-- The extension's functions that are in a schema, as wanted_functions() names
-- them: by symbol, argument types and result, so that one that was renamed
-- there is still known.
CREATE FUNCTION catalogue.present_functions(schema name)
	RETURNS TABLE (routine regprocedure, owner oid, types text, result text, symbol text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT p.oid, p.proowner, oidvectortypes(p.proargtypes), pg_get_function_result(p.oid), p.prosrc
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_proc bind ON bind.oid = 'catalogue.bind(name, jsonb)'::regprocedure AND bind.probin = p.probin
WHERE n.nspname = schema AND n.nspname <> 'catalogue'
$$;

-- Writes a schema's configuration and makes its functions, with the rights of
-- the extension's owner, for a caller whose own rights are checked here.  A
-- binding of JSON null takes both away.  Reached through catalogue.bind()
-- alone, which passes the true caller.
--
-- Nothing that the caller says is trusted: relations and columns may be any,
-- so that what was bound and what is bound now must be tables of his, and
-- what text is executed is made of catalog entries, types and fixed words.
-- No code of his runs here: neither table contents nor operators, defaults or
-- triggers of his tables are touched.
CREATE FUNCTION catalogue.bind_for(caller oid, schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	library constant text := (SELECT p.probin FROM pg_proc p
		WHERE p.oid = 'catalogue.bind(name, jsonb)'::regprocedure);
	outbox constant regclass := to_regclass(format('%I.deleted_files', schema));
	purges constant regclass := to_regclass(format('%I.professor_purges', schema));
	attaching constant boolean := binding <> 'null';
	bound_before jsonb;
	bound_now jsonb;
	gone regclass;
	present record;
	wanted record;
	owner regrole;
BEGIN
	PERFORM catalogue.check_owner(caller, b.relation) FROM catalogue.bound_tables(outbox) AS b;
	PERFORM catalogue.check_owner(caller, outbox), catalogue.check_owner(caller, purges);
	FOR present IN SELECT * FROM catalogue.present_functions(schema) LOOP
		IF NOT pg_has_role(caller, present.owner, 'USAGE')
			AND NOT pg_has_role(caller, (SELECT n.nspowner FROM pg_namespace n
				WHERE n.nspname = schema), 'USAGE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('must be owner of routine %s', present.routine);
		END IF;
	END LOOP;

	bound_before := catalogue.bound_tables_json(outbox);
	-- Attachments that died with their schema or outbox are nobody's.
	FOR gone IN
		SELECT a.deleted_files FROM catalogue.attachment a
		WHERE a.deleted_files = outbox
			OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.deleted_files)
	LOOP
		DELETE FROM catalogue.soft_reference s WHERE s.attachment = gone;
		DELETE FROM catalogue.also_delete e WHERE e.attachment = gone;
		DELETE FROM catalogue.file_column f WHERE f.attachment = gone;
		DELETE FROM catalogue.lookup l WHERE l.attachment = gone;
		DELETE FROM catalogue.attachment a WHERE a.deleted_files = gone;
	END LOOP;

	IF attaching THEN
		IF NOT has_schema_privilege(caller, schema, 'CREATE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('permission denied for schema %s', schema);
		END IF;

		INSERT INTO catalogue.attachment (deleted_files, professor_purges, mapping,
			chapters, chapters_id, chapters_filiere, chapters_created_at, chapters_author,
			professors, professors_id, professors_username)
		SELECT outbox, purges, binding -> 'mapping',
			(c ->> 'relation')::oid::regclass, c ->> 'id', c ->> 'filiere', c ->> 'created_at',
			c ->> 'author',
			(p ->> 'relation')::oid::regclass, p ->> 'id', p ->> 'username'
		FROM (VALUES (binding -> 'chapters', binding -> 'professors')) AS v (c, p);

		INSERT INTO catalogue.lookup (attachment, ordinal, relation, kind, id, code, nom, parent)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'kind', item ->> 'id',
			item ->> 'code', item ->> 'nom', item ->> 'parent'
		FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.file_column (attachment, ordinal, relation, "column", separator)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'separator'
		FROM jsonb_array_elements(binding -> 'files') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.also_delete (attachment, ordinal, relation, columns)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass,
			ARRAY(SELECT jsonb_array_elements_text(item -> 'columns')::name)
		FROM jsonb_array_elements(binding -> 'also_delete') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.soft_reference (attachment, ordinal, relation, "column", type_column,
			type_values)
		SELECT outbox, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'type_column',
			CASE WHEN item ? 'type_values'
				THEN ARRAY(SELECT jsonb_array_elements_text(item -> 'type_values')) END
		FROM jsonb_array_elements(binding -> 'soft_references') WITH ORDINALITY AS l (item, i);

		PERFORM catalogue.check_owner(caller, b.relation) FROM catalogue.bound_tables(outbox) AS b;
		IF EXISTS (SELECT FROM catalogue.bound_tables(outbox) AS b
			WHERE NOT EXISTS (SELECT FROM pg_class c
				WHERE c.oid = b.relation AND c.relkind IN ('r', 'p', 'f'))) THEN
			RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
				MESSAGE = 'only tables can be bound';
		END IF;
	END IF;

	bound_now := catalogue.bound_tables_json(outbox);
	RETURN QUERY
		SELECT CASE bool_or(b.now)::text || bool_or(b.before)::text
				WHEN 'truetrue' THEN 'found' WHEN 'truefalse' THEN 'bound' ELSE 'unbound' END,
			format('table %s', b.item ->> 'relation'), b.item ->> 'description'
		FROM (
			SELECT item, i, true, false FROM jsonb_array_elements(bound_now) WITH ORDINALITY AS n (item, i)
			UNION ALL
			SELECT item, i, false, true FROM jsonb_array_elements(bound_before) WITH ORDINALITY AS o (item, i)
			) AS b (item, i, now, before)
		GROUP BY b.item ORDER BY bool_or(b.now) DESC, min(b.i);

	-- First those that this binding does not ask for, such as those of a
	-- column type that has changed.
	FOR present IN
		SELECT p.routine FROM catalogue.present_functions(schema) AS p
		WHERE NOT EXISTS (SELECT FROM catalogue.wanted_functions(outbox) AS w
			WHERE w.symbol = p.symbol AND w.types = p.types
			AND w.result IS NOT DISTINCT FROM p.result)
		ORDER BY p.routine::text
	LOOP
		status := 'dropped';
		object := format('routine %s', present.routine);
		detail := NULL;
		EXECUTE format('DROP ROUTINE %s', present.routine);
		RETURN NEXT;
	END LOOP;

	-- What is made belongs to the owner of the tables, whoever attaches.
	SELECT c.relowner INTO owner
	FROM catalogue.bound_tables(outbox) WITH ORDINALITY AS b (relation, columns, description, i)
	JOIN pg_class c ON c.oid = b.relation
	ORDER BY b.i LIMIT 1;

	FOR wanted IN
		SELECT w.*, p.routine, format('%I.%I(%s)', schema, w.name, w.types) AS signature
		FROM catalogue.wanted_functions(outbox) AS w
		LEFT JOIN catalogue.present_functions(schema) AS p
			ON p.symbol = w.symbol AND p.types = w.types
		ORDER BY w.name, w.types
	LOOP
		status := 'found';
		object := format('%s %s', lower(wanted.kind), coalesce(wanted.routine::text, wanted.signature));
		detail := NULL;
		IF wanted.routine IS NULL THEN
			IF to_regprocedure(wanted.signature) IS NOT NULL THEN
				RAISE EXCEPTION USING ERRCODE = 'duplicate_function',
					MESSAGE = format('%s already exists and is not one of the extension''s', object),
					HINT = 'Rename it, or attach tables of another schema.';
			END IF;
			EXECUTE format('CREATE %s %I.%I(%s) %s LANGUAGE c %s AS %L, %L', wanted.kind, schema,
				wanted.name, wanted.arguments, 'RETURNS ' || wanted.result, wanted.options,
				library, wanted.symbol);
			EXECUTE format('ALTER ROUTINE %s OWNER TO %s', wanted.signature, owner);
			EXECUTE format('ALTER ROUTINE %s DEPENDS ON EXTENSION catalogue', wanted.signature);
			status := 'created';
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;
REVOKE ALL ON FUNCTION catalogue.bind_for(oid, name, jsonb) FROM PUBLIC;

-- What bound_tables() says, kept while the configuration is written anew.
CREATE FUNCTION catalogue.bound_tables_json(attachment regclass) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(jsonb_agg(jsonb_build_object(
	'relation', CASE WHEN c.oid IS NULL THEN '(dropped)' ELSE b.relation::text END,
	'description', b.description) ORDER BY b.i), '[]')
FROM catalogue.bound_tables(attachment) WITH ORDINALITY AS b (relation, columns, description, i)
LEFT JOIN pg_class c ON c.oid = b.relation
$$;

CREATE FUNCTION catalogue.check_owner(role oid, relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target pg_class;
BEGIN
	-- A relation that is gone has no owner, and nothing to protect.
	SELECT c.* INTO target FROM pg_class c WHERE c.oid = relation;
	IF FOUND AND NOT pg_has_role(role, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relname);
	END IF;
END
$$;

REVOKE ALL ON FUNCTION catalogue.check_owner(oid, regclass) FROM PUBLIC;

CREATE FUNCTION catalogue.bind(schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'catalogue_bind';
COMMENT ON FUNCTION catalogue.bind(name, jsonb) IS 'the step of attach() and detach() that needs the extension owner''s rights';

CREATE FUNCTION catalogue.lock_configuration() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'catalogue_lock_configuration';
COMMENT ON FUNCTION catalogue.lock_configuration() IS 'makes attach() and detach() wait for each other';

-- The schema that attach() and its kin work on, checked.
CREATE FUNCTION catalogue.check_schema(schema name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF schema IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
			MESSAGE = 'no schema has been selected',
			HINT = 'Name the schema of the application''s tables, or set search_path.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
			MESSAGE = format('schema "%s" does not exist', schema);
	END IF;
END
$$;

-- Tables and views that attach() has made in a schema and detach() leaves.
CREATE FUNCTION catalogue.kept_relations(schema name) RETURNS TABLE (kind text, name text)
	LANGUAGE sql STABLE ROWS 4
	SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = schema AND c.relkind IN ('r', 'v')
AND c.relname IN ('deleted_files', 'deleted_files_backlog', 'professor_purges',
	'professor_purge_progress')
ORDER BY c.relname
$$;

/*
 * catalogue.attach(schema name DEFAULT current_schema(), mapping jsonb
 *		DEFAULT NULL, create_indexes boolean DEFAULT false)
 *
 * Binds the extension to the tables of a schema and creates its functions
 * there.  Without a mapping it takes the one that the schema was attached
 * with, and for a new one the reference schema's names.  Returns a row for
 * each thing that it did, found or advises; a second run changes nothing.
 *
 * Needs ownership of the tables and CREATE on the schema.  What it makes
 * belongs to the owner of the tables.
 */
CREATE FUNCTION catalogue.attach(schema name DEFAULT pg_catalog.current_schema(),
	mapping jsonb DEFAULT NULL, create_indexes boolean DEFAULT false)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	binding jsonb;
	there text[];
	made text;
	owner regrole;
	recommended record;
	relation regclass;
BEGIN
	PERFORM catalogue.check_schema(schema);
	IF schema ~ '^pg_' OR schema IN ('information_schema', 'catalogue') THEN
		RAISE EXCEPTION USING ERRCODE = 'reserved_name',
			MESSAGE = format('cannot attach schema "%s"', schema),
			DETAIL = 'It belongs to the server or to the extension.';
	END IF;
	PERFORM catalogue.lock_configuration();

	IF mapping IS NULL THEN
		SELECT a.mapping INTO mapping FROM catalogue.attachment a
		WHERE a.deleted_files = catalogue.attachment_of(schema);
		IF mapping <> '{}' THEN
			RETURN QUERY VALUES ('found', 'mapping', mapping::text);
		END IF;
	END IF;
	mapping := coalesce(mapping, '{}');
	binding := catalogue.resolve_mapping(schema, mapping);
	PERFORM catalogue.check_keys(binding);
	SELECT c.relowner INTO owner FROM pg_class c
	WHERE c.oid = coalesce(binding #>> '{chapters,relation}', binding #>> '{professors,relation}',
		binding #>> '{lookups,0,relation}')::oid;

	there := ARRAY(SELECT r.name FROM catalogue.kept_relations(schema) AS r);
	RETURN QUERY SELECT * FROM catalogue.create_deletion_tables(schema);
	IF owner <> current_user::regrole THEN
		FOR made IN SELECT r.name FROM catalogue.kept_relations(schema) AS r
			WHERE r.name <> ALL (there)
		LOOP
			EXECUTE format('ALTER TABLE %s OWNER TO %s', made, owner);
		END LOOP;
	END IF;

	-- An earlier mapping's tables need no trigger any more.
	RETURN QUERY SELECT * FROM catalogue.drop_lookup_triggers(schema,
		ARRAY(SELECT (item ->> 'relation')::oid
			FROM jsonb_array_elements(binding -> 'lookups') AS item));
	FOR relation IN
		SELECT (item ->> 'relation')::oid::regclass
		FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i)
		GROUP BY 1 ORDER BY min(i)
	LOOP
		IF (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) = 'f' THEN
			RETURN QUERY VALUES ('advice', format('table %s', relation),
				'changes of a foreign table are not announced: cached lookups follow after catalogue.lookup_ttl');
		ELSE
			RETURN QUERY SELECT * FROM catalogue.create_lookup_triggers(relation);
		END IF;
	END LOOP;

	RETURN QUERY SELECT * FROM catalogue.bind(schema,
		binding || jsonb_build_object('mapping', mapping));

	FOR recommended IN SELECT * FROM catalogue.recommended_indexes(schema) LOOP
		IF create_indexes THEN
			EXECUTE recommended.definition;
			RETURN QUERY VALUES ('created', format('index on %s', recommended.relation),
				recommended.reason);
		ELSE
			RETURN QUERY VALUES ('advice', recommended.definition, recommended.reason);
		END IF;
	END LOOP;

	RETURN QUERY SELECT 'advice', format('table %I.%s', schema, item ->> 'relation'),
			format('does not exist and is not bound: "%s" of the mapping', item ->> 'section')
		FROM jsonb_array_elements(binding -> 'absent') AS item;
END
$$;
COMMENT ON FUNCTION catalogue.attach(name, jsonb, boolean) IS 'binds the extension to the tables of a schema and creates its functions there';

-- Drops the triggers on the lookup tables that a schema is bound to, less
-- those on the tables to keep and those that another schema is bound to.
CREATE FUNCTION catalogue.drop_lookup_triggers(schema name, keep oid[])
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	FOR trigger IN
		SELECT DISTINCT t.tgname AS name, t.tgrelid::regclass AS relation
		FROM pg_trigger t JOIN catalogue.lookup l ON l.relation = t.tgrelid
		WHERE l.attachment = catalogue.attachment_of(schema) AND l.relation <> ALL (keep)
		AND t.tgparentid = 0 AND t.tgfoid = 'catalogue.lookup_changed()'::regprocedure
		AND NOT EXISTS (SELECT FROM catalogue.lookup other
			WHERE other.relation = l.relation AND other.attachment <> l.attachment)
		ORDER BY relation, name
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger.name, trigger.relation);
		RETURN QUERY VALUES ('dropped', format('trigger %I on %s', trigger.name, trigger.relation),
			NULL::text);
	END LOOP;
END
$$;

/*
 * catalogue.detach(schema name DEFAULT current_schema())
 *
 * Takes away what attach() made in the schema, except its tables and views,
 * which are the application's own.  Needs ownership of the tables.
 */
CREATE FUNCTION catalogue.detach(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM catalogue.check_schema(schema);
	PERFORM catalogue.lock_configuration();
	IF catalogue.attachment_of(schema) IS NULL
		AND NOT EXISTS (SELECT FROM catalogue.present_functions(schema)) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('schema "%s" is not attached', schema);
	END IF;

	RETURN QUERY SELECT * FROM catalogue.drop_lookup_triggers(schema, '{}');
	RETURN QUERY SELECT * FROM catalogue.bind(schema, 'null');
	RETURN QUERY SELECT 'kept', format('%s %s', r.kind, r.name), 'the application''s own'
		FROM catalogue.kept_relations(schema) AS r;
END
$$;
COMMENT ON FUNCTION catalogue.detach(name) IS 'drops the functions and triggers that attach() made; tables and rows stay';

-- Indexes that an attached schema lacks: the feed's, and one for every
-- reference that a professor's deletion must look through.
CREATE FUNCTION catalogue.recommended_indexes(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (relation regclass, definition text, reason text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE attached AS (
	SELECT a.* FROM catalogue.attachment a
	WHERE a.deleted_files = catalogue.attachment_of(schema)
), deleted(relid) AS (
	-- Tables that lose rows: down the CASCADE keys and the mapping's edges.
	SELECT a.professors FROM attached a WHERE a.professors IS NOT NULL
	UNION
	SELECT k.conrelid::regclass FROM deleted d
	JOIN pg_constraint k ON k.confrelid = d.relid AND k.contype = 'f' AND k.conparentid = 0
	JOIN catalogue.foreign_keys(k.conrelid) AS f ON f.constraint_name = k.conname
	WHERE f.on_delete = 'c'
		OR EXISTS (SELECT FROM catalogue.also_delete e JOIN attached a ON a.deleted_files = e.attachment
			WHERE e.relation = k.conrelid AND e.columns = f.columns)
), keys(relid, attnums, reason) AS (
	SELECT k.conrelid::regclass, k.conkey,
		format('foreign key %I: each deletion from %s looks here', k.conname, k.confrelid::regclass)
	FROM deleted d JOIN pg_constraint k ON k.confrelid = d.relid
	WHERE k.contype = 'f' AND k.conparentid = 0
	UNION ALL
	SELECT s.relation, ARRAY[at.attnum], 'soft reference of the mapping: a professor''s deletion looks here'
	FROM catalogue.soft_reference s
	JOIN attached a ON a.deleted_files = s.attachment
	JOIN pg_attribute at ON at.attrelid = s.relation AND at.attname = s."column"
), usable AS (
	SELECT i.*, am.amname
	FROM pg_index i
	JOIN pg_class c ON c.oid = i.indexrelid
	JOIN pg_am am ON am.oid = c.relam
	WHERE i.indisvalid AND i.indpred IS NULL
)
SELECT a.chapters AS relation,
	format('CREATE INDEX ON %s (%I, %I DESC NULLS LAST, %I DESC)', a.chapters,
		a.chapters_filiere, a.chapters_created_at, a.chapters_id) AS definition,
	'recent_chapters: a page is one descent of this index' AS reason
FROM attached a JOIN pg_class c ON c.oid = a.chapters
WHERE c.relkind IN ('r', 'p')
AND NOT EXISTS (
	SELECT FROM usable i
	WHERE i.indrelid = a.chapters AND i.amname = 'btree' AND i.indnkeyatts >= 3
	AND pg_get_indexdef(i.indexrelid, 1, true) = quote_ident(a.chapters_filiere)
	AND pg_get_indexdef(i.indexrelid, 2, true) = quote_ident(a.chapters_created_at)
	AND pg_get_indexdef(i.indexrelid, 3, true) = quote_ident(a.chapters_id)
	-- indoption: 1 is DESC, 2 is NULLS FIRST; 2,0 read backward is the same order
	AND (i.indoption[1] = 1 AND i.indoption[2] & 1 = 1
		OR i.indoption[1] = 2 AND i.indoption[2] & 1 = 0))
UNION ALL
SELECT k.relid, format('CREATE INDEX ON %s (%s)', k.relid, (
		SELECT string_agg(quote_ident(at.attname), ', ' ORDER BY u.i)
		FROM unnest(k.attnums) WITH ORDINALITY AS u (attnum, i)
		JOIN pg_attribute at ON at.attrelid = k.relid AND at.attnum = u.attnum)),
	min(k.reason)
FROM keys k JOIN pg_class c ON c.oid = k.relid
WHERE c.relkind IN ('r', 'p')
AND NOT EXISTS (
	SELECT FROM usable i
	WHERE i.indrelid = k.relid AND i.indnkeyatts >= cardinality(k.attnums)
	AND (i.amname = 'btree' OR i.amname = 'hash' AND cardinality(k.attnums) = 1)
	AND (i.indkey::smallint[])[0:cardinality(k.attnums) - 1] @> k.attnums)
GROUP BY k.relid, k.attnums
ORDER BY relation, definition
$$;
COMMENT ON FUNCTION catalogue.recommended_indexes(name) IS 'indexes that an attached schema lacks, as the commands that make them';

/*
 * catalogue.doctor(schema name DEFAULT NULL)
 *
 * What is wrong or missing in the attached schemas, or in one, and what to do
 * about it: a row for each finding, and one with "ok" for each check that has
 * none.  Status is "ok", "advice", "warning" or "error".
 */
CREATE FUNCTION catalogue.doctor(schema name DEFAULT NULL)
	RETURNS TABLE (schema_name name, "check" text, status text, detail text)
	LANGUAGE sql STABLE ROWS 10
	SET search_path = pg_catalog, pg_temp
AS $$
WITH attached AS (
	SELECT n.nspname AS name, a.deleted_files AS attachment, a.professor_purges
	FROM catalogue.attachment a
	JOIN pg_class c ON c.oid = a.deleted_files
	JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE catalogue.attachment_of(n.nspname) = a.deleted_files
	AND (doctor.schema IS NULL OR n.nspname = doctor.schema)
), findings(attachment, i, finding) AS (
	SELECT a.attachment, 1, format('give attach() a mapping, this table was dropped: %s', b.description)
	FROM attached a, catalogue.bound_tables(a.attachment) AS b
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = b.relation)
	UNION ALL
	SELECT a.attachment, 1, format('run attach() again, this table was dropped: %I.professor_purges', a.name)
	FROM attached a
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.professor_purges)
	UNION ALL
	SELECT a.attachment, 2, format('give attach() a mapping with the new name of column %I of table %s', u.name,
		b.relation)
	FROM attached a, catalogue.bound_tables(a.attachment) AS b, unnest(b.columns) AS u (name)
	WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = b.relation)
	AND NOT EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = b.relation
		AND t.attname = u.name AND t.attnum > 0 AND NOT t.attisdropped)
	UNION ALL
	SELECT a.attachment, 3, format('run attach() again, this is missing: %s %I(%s)', lower(w.kind), w.name, w.types)
	FROM attached a, catalogue.wanted_functions(a.attachment) AS w
	WHERE NOT EXISTS (SELECT FROM catalogue.present_functions(a.name) AS p
		WHERE p.symbol = w.symbol AND p.types = w.types AND p.result IS NOT DISTINCT FROM w.result)
	UNION ALL
	SELECT a.attachment, 3, format('run attach() again, this does not fit the tables: %s', p.routine)
	FROM attached a, catalogue.present_functions(a.name) AS p
	WHERE NOT EXISTS (SELECT FROM catalogue.wanted_functions(a.attachment) AS w
		WHERE p.symbol = w.symbol AND p.types = w.types AND p.result IS NOT DISTINCT FROM w.result)
	UNION ALL
	SELECT a.attachment, 4, format('run attach() again, trigger %I on %s is missing or not enabled ALWAYS',
		t.name, l.relation)
	FROM attached a
	JOIN catalogue.lookup l ON l.attachment = a.attachment
	JOIN pg_class c ON c.oid = l.relation AND c.relkind <> 'f'
	CROSS JOIN (VALUES ('catalogue_lookup_changed'), ('catalogue_lookup_truncated')) AS t (name)
	WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = l.relation AND g.tgname = t.name
		AND g.tgfoid = 'catalogue.lookup_changed()'::regprocedure AND g.tgenabled = 'A')
	UNION ALL
	SELECT a.attachment, 5, format('run: %s', r.definition)
	FROM attached a, catalogue.recommended_indexes(a.name) AS r
), checks(i, name, severity) AS (
	VALUES (1, 'tables exist', 'error'),
		(2, 'columns exist', 'error'),
		(3, 'functions fit the tables', 'error'),
		(4, 'lookup changes are announced', 'warning'),
		(5, 'indexes', 'advice')
)
SELECT a.name, c.name, CASE WHEN f.finding IS NULL THEN 'ok' ELSE c.severity END, f.finding
FROM attached a
CROSS JOIN checks c
LEFT JOIN findings f ON f.attachment = a.attachment AND f.i = c.i
UNION ALL
SELECT doctor.schema, 'attached', 'error', 'run attach()'
WHERE doctor.schema IS NOT NULL AND NOT EXISTS (SELECT FROM attached)
ORDER BY 1, 2, 4
$$;
COMMENT ON FUNCTION catalogue.doctor(name) IS 'what is wrong or missing in the attached schemas, and what to do about it';
