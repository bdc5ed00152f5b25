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
---------------------------------------------------------------------------

CREATE TABLE catalogue.attachment (
	schema_name name NOT NULL,
	chapters regclass,
	chapters_id name,
	chapters_filiere name,
	chapters_created_at name,
	chapters_author name,
	professors regclass,
	professors_id name,
	professors_username name,
	deleted_files regclass NOT NULL,
	professor_purges regclass NOT NULL,
	CONSTRAINT attachment_pkey PRIMARY KEY (schema_name)
);
COMMENT ON TABLE catalogue.attachment IS 'one row for each schema that is attached';

CREATE TABLE catalogue.lookup (
	schema_name name NOT NULL
		CONSTRAINT lookup_attachment_fkey REFERENCES catalogue.attachment ON DELETE CASCADE,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	kind text NOT NULL,
	id name NOT NULL,
	code name NOT NULL,
	nom name NOT NULL,
	parent name,
	CONSTRAINT lookup_pkey PRIMARY KEY (schema_name, ordinal)
);
COMMENT ON TABLE catalogue.lookup IS 'lookup tables of an attached schema, in tree order';

CREATE TABLE catalogue.file_column (
	schema_name name NOT NULL
		CONSTRAINT file_column_attachment_fkey REFERENCES catalogue.attachment ON DELETE CASCADE,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	"column" name NOT NULL,
	separator text,
	CONSTRAINT file_column_pkey PRIMARY KEY (schema_name, ordinal)
);
COMMENT ON TABLE catalogue.file_column IS 'columns that hold paths of files to unlink when their row is deleted';

CREATE TABLE catalogue.also_delete (
	schema_name name NOT NULL
		CONSTRAINT also_delete_attachment_fkey REFERENCES catalogue.attachment ON DELETE CASCADE,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	columns name[] NOT NULL,
	CONSTRAINT also_delete_pkey PRIMARY KEY (schema_name, ordinal)
);
COMMENT ON TABLE catalogue.also_delete IS 'foreign keys whose rows are deleted whatever their ON DELETE action is';

CREATE TABLE catalogue.soft_reference (
	schema_name name NOT NULL
		CONSTRAINT soft_reference_attachment_fkey REFERENCES catalogue.attachment ON DELETE CASCADE,
	ordinal integer NOT NULL,
	relation regclass NOT NULL,
	"column" name NOT NULL,
	type_column name,
	type_values text[],
	CONSTRAINT soft_reference_pkey PRIMARY KEY (schema_name, ordinal)
);
COMMENT ON TABLE catalogue.soft_reference IS 'columns that name a professor without a foreign key';

GRANT SELECT ON catalogue.attachment, catalogue.lookup, catalogue.file_column,
	catalogue.also_delete, catalogue.soft_reference TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('catalogue.attachment', '');
SELECT pg_catalog.pg_extension_config_dump('catalogue.lookup', '');
SELECT pg_catalog.pg_extension_config_dump('catalogue.file_column', '');
SELECT pg_catalog.pg_extension_config_dump('catalogue.also_delete', '');
SELECT pg_catalog.pg_extension_config_dump('catalogue.soft_reference', '');

CREATE FUNCTION catalogue.config_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'catalogue_config_changed';
COMMENT ON FUNCTION catalogue.config_changed() IS 'makes every session read the configuration again';

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

CREATE FUNCTION catalogue.read_cache_stats()
	RETURNS TABLE (schema_name name, scope text, form text, row_count bigint, bytes bigint,
		age interval, expires_in interval, hits bigint, misses bigint, invalidations bigint,
		expiries bigint, evictions bigint, bypasses bigint, late_fills bigint,
		hit_rate double precision)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'catalogue_cache_stats';

-- The totals of the backend are the row without a schema; an entry has no
-- misses and the like.
CREATE VIEW catalogue.cache_stats AS SELECT * FROM catalogue.read_cache_stats();
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
SELECT l.schema_name, 'changes are announced', coalesce(g.tgenabled = 'A', false),
	CASE WHEN g.tgenabled = 'A' THEN format('%s: trigger %I', l.relation, t.name)
		WHEN g.tgenabled IS NULL THEN format('%s: trigger %I is missing; run catalogue.attach() again', l.relation, t.name)
		ELSE format('%s: trigger %I is not enabled as ALWAYS; run catalogue.attach() again', l.relation, t.name) END
FROM catalogue.lookup l
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

	SELECT c.oid::regclass AS relid, c.relkind, c.relowner, c.relpersistence INTO target
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = parts[1] AND c.relname = parts[2];

	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF target.relkind NOT IN ('r', 'p', 'f') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is not a table', target.relid),
			DETAIL = format('The mapping names it as %s.', role),
			HINT = 'Attach the tables below it: invalidation, foreign keys and row locks need a table.';
	END IF;
	IF target.relpersistence = 't' THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('"%s" is a temporary table', target.relid),
			DETAIL = format('The mapping names it as %s.', role);
	END IF;
	IF NOT pg_has_role(current_user, target.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', target.relid);
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
			MESSAGE = format('column "%s" of relation "%s" does not exist', "column", relation),
			HINT = 'Name the column in the mapping.';
	END IF;
	RETURN type;
END
$$;

-- Refuses keys that a mapping must not have, so that a misspelt one is not
-- silently a default.
CREATE FUNCTION catalogue.check_mapping_keys(section text, value jsonb, known text[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unknown text;
BEGIN
	IF jsonb_typeof(value) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('%s must be a JSON object', section);
	END IF;
	SELECT key INTO unknown FROM jsonb_object_keys(value) AS key WHERE key <> ALL (known)
	ORDER BY key LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unrecognized key "%s" in %s', unknown, section),
			HINT = format('Valid keys are: %s.', array_to_string(known, ', '));
	END IF;
END
$$;

-- The mapping with its defaults filled in and every relation resolved: what
-- bind_for() takes.  Relations are OIDs, columns are checked to exist, and
-- the sections whose tables are not there (and were not asked for) are left
-- out and named under "absent".
CREATE FUNCTION catalogue.resolve_mapping(schema name, mapping jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defaults constant jsonb := catalogue.default_mapping();
	keys constant jsonb := '{
		"chapters": ["relation", "id", "filiere", "created_at", "author"],
		"professors": ["relation", "id", "username"],
		"lookups": ["kind", "relation", "id", "code", "nom", "parent"],
		"files": ["relation", "column", "separator"],
		"also_delete": ["relation", "columns"],
		"soft_references": ["relation", "column", "type_column", "type_values"]}';
	binding jsonb := '{"absent": []}';
	section text;
	asked boolean;
	item jsonb;
	name text;
	relid regclass;
BEGIN
	IF mapping IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'mapping must not be null';
	END IF;
	PERFORM catalogue.check_mapping_keys('the mapping', mapping, ARRAY['chapters', 'professors',
		'lookups', 'files', 'also_delete', 'soft_references']);

	FOREACH section IN ARRAY ARRAY['chapters', 'professors', 'lookups', 'files', 'also_delete',
		'soft_references']
	LOOP
		asked := mapping ? section;
		CONTINUE WHEN asked AND jsonb_typeof(mapping -> section) = 'null';
		IF jsonb_typeof(defaults -> section) = 'array' AND asked
			AND jsonb_typeof(mapping -> section) <> 'array' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('"%s" in the mapping must be a JSON array', section);
		END IF;

		FOR item IN
			SELECT * FROM jsonb_array_elements(
				CASE jsonb_typeof(defaults -> section)
					WHEN 'array' THEN coalesce(mapping -> section, defaults -> section)
					ELSE jsonb_build_array(coalesce(mapping -> section, defaults -> section))
				END)
		LOOP
			PERFORM catalogue.check_mapping_keys(format('"%s" in the mapping', section), item,
				ARRAY(SELECT jsonb_array_elements_text(keys -> section)));
			-- What a section leaves out has the reference schema's name;
			-- for lists only the columns that every lookup has.
			IF section IN ('chapters', 'professors') THEN
				item := (defaults -> section) || item;
			ELSIF section = 'lookups' THEN
				item := '{"id": "id", "code": "code", "nom": "nom"}'::jsonb || item;
			END IF;
			item := jsonb_strip_nulls(item);
			FOREACH name IN ARRAY CASE section
				WHEN 'chapters' THEN ARRAY['relation', 'id', 'filiere', 'created_at']
				WHEN 'professors' THEN ARRAY['relation', 'id', 'username']
				WHEN 'lookups' THEN ARRAY['kind', 'relation', 'id', 'code', 'nom']
				WHEN 'also_delete' THEN ARRAY['relation', 'columns']
				ELSE ARRAY['relation', 'column'] END
			LOOP
				IF NOT item ? name THEN
					RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
						MESSAGE = format('key "%s" is missing in "%s" in the mapping', name, section);
				END IF;
			END LOOP;

			relid := catalogue.mapped_relation(schema, item ->> 'relation', format('"%s"', section));
			IF relid IS NULL AND asked THEN
				RAISE EXCEPTION USING ERRCODE = 'undefined_table',
					MESSAGE = format('relation "%s" does not exist', item ->> 'relation'),
					DETAIL = format('The mapping names it in "%s", in schema "%s".', section, schema);
			ELSIF relid IS NULL THEN
				binding := jsonb_insert(binding, '{absent,-1}', jsonb_build_object(
					'section', section, 'relation', item ->> 'relation'), true);
				CONTINUE;
			END IF;

			FOR name IN
				SELECT value #>> '{}' FROM jsonb_each(item - '{relation,kind,separator,columns,type_values}'::text[])
				UNION ALL
				SELECT jsonb_array_elements_text(item -> 'columns')
			LOOP
				PERFORM catalogue.mapped_column(relid, name);
			END LOOP;

			item := item || jsonb_build_object('relation', relid::oid::bigint);
			IF jsonb_typeof(defaults -> section) = 'array' THEN
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
-- unique, ordered id; a deletion needs one professor for a username.
CREATE FUNCTION catalogue.check_keys(binding jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item jsonb;
	relid regclass;
	uniques text[];
BEGIN
	IF binding ? 'chapters' THEN
		-- The server's own words for a column that cannot be ordered or compared.
		EXECUTE format('SELECT FROM %s WHERE %I = %I ORDER BY %I DESC, %I DESC LIMIT 0',
			(binding #>> '{chapters,relation}')::oid::regclass, binding #>> '{chapters,filiere}',
			binding #>> '{chapters,filiere}', binding #>> '{chapters,created_at}',
			binding #>> '{chapters,id}');
	END IF;

	FOR item, uniques IN
		SELECT binding -> 'chapters', ARRAY['id']
		UNION ALL
		SELECT binding -> 'professors', ARRAY['id', 'username']
		UNION ALL
		SELECT l, ARRAY['id'] FROM jsonb_array_elements(binding -> 'lookups') AS l
	LOOP
		CONTINUE WHEN item IS NULL;
		relid := (item ->> 'relation')::oid::regclass;
		-- Foreign tables have no keys that this server knows of.
		CONTINUE WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = relid AND c.relkind = 'f');

		IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = relid AND c.contype = 'p') THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('table "%s" has no primary key', relid),
				HINT = format('Run ALTER TABLE %s ADD PRIMARY KEY (%I).', relid, item ->> 'id');
		END IF;
		-- A partitioned table's keys must have the partition key beside the id.
		IF EXISTS (
			SELECT FROM unnest(uniques) AS role
			WHERE NOT EXISTS (
				SELECT FROM pg_index i
				JOIN pg_class c ON c.oid = i.indrelid
				JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = item ->> role
				WHERE i.indrelid = relid AND i.indisunique AND i.indisvalid AND i.indimmediate
				AND i.indpred IS NULL
				AND (i.indkey[0] = a.attnum AND i.indnkeyatts = 1
					OR a.attnum = ANY (i.indkey) AND c.relkind = 'p'))) THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('table "%s" lacks a unique key', relid),
				DETAIL = format('Each of these columns must be unique by itself: %s.', (
					SELECT string_agg(quote_ident(item ->> role), ', ')
					FROM unnest(uniques) AS role)),
				HINT = 'Add the unique constraint, or name another column in the mapping.';
		END IF;
	END LOOP;
END
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

-- The functions that a binding asks for, as the words of CREATE FUNCTION.
CREATE FUNCTION catalogue.wanted_functions(schema name, binding jsonb)
	RETURNS TABLE (kind text, name text, identity text, arguments text, result text,
		options text, symbol text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	chapters regclass := (binding #>> '{chapters,relation}')::oid::regclass;
	id_type regtype;
	filiere_type regtype;
	filieres_type regtype;
	created_at_type regtype;
	lookup_id_type regtype;
	report constant text := 'TABLE (relation regclass, action text, row_count bigint)';
BEGIN
	IF chapters IS NOT NULL THEN
		id_type := catalogue.mapped_column(chapters, binding #>> '{chapters,id}');
		filiere_type := catalogue.mapped_column(chapters, binding #>> '{chapters,filiere}');
		created_at_type := catalogue.mapped_column(chapters, binding #>> '{chapters,created_at}');
		SELECT t.typarray INTO filieres_type FROM pg_type t WHERE t.oid = filiere_type;

		RETURN QUERY VALUES
			('FUNCTION', 'recent_chapters',
				format('%s, integer, %s, %s', filiere_type, id_type, created_at_type),
				format('filiere %s, n integer DEFAULT 100, before_id %s DEFAULT NULL, before_at %s DEFAULT NULL',
					filiere_type, id_type, created_at_type),
				format('SETOF %s', chapters),
				'STABLE PARALLEL SAFE ROWS 100 SUPPORT catalogue.recent_chapters_support',
				'catalogue_recent_chapters'),
			('FUNCTION', 'recent_chapters',
				format('%s, integer, %s, %s', filieres_type, id_type, created_at_type),
				format('filieres %s, n integer DEFAULT 100, before_id %s DEFAULT NULL, before_at %s DEFAULT NULL',
					filieres_type, id_type, created_at_type),
				format('SETOF %s', chapters),
				'STABLE PARALLEL SAFE ROWS 100 SUPPORT catalogue.recent_chapters_support',
				'catalogue_recent_chapters');
	END IF;

	IF binding ? 'professors' THEN
		RETURN QUERY VALUES
			('FUNCTION', 'delete_professor_batch', 'text, integer, boolean',
				'username text, batch_size integer DEFAULT 1000, missing_ok boolean DEFAULT false',
				report, 'VOLATILE PARALLEL UNSAFE ROWS 20', 'catalogue_delete_professor_batch'),
			('FUNCTION', 'preview_professor_deletion', 'text', 'username text',
				report, 'STABLE PARALLEL RESTRICTED ROWS 20', 'catalogue_preview_professor_deletion'),
			('PROCEDURE', 'purge_professor', 'text, integer, interval',
				'username text, batch_size integer DEFAULT 1000, pause interval DEFAULT ''0''',
				NULL, '', 'catalogue_purge_professor'),
			('FUNCTION', 'take_deleted_files', 'integer', 'max_files integer DEFAULT 100',
				'SETOF text', 'VOLATILE PARALLEL UNSAFE ROWS 100', 'catalogue_take_deleted_files'),
			('FUNCTION', 'retry_deleted_file', 'text, text', 'path text, error text',
				'void', 'VOLATILE PARALLEL UNSAFE', 'catalogue_retry_deleted_file');
	END IF;

	IF binding ? 'lookups' THEN
		lookup_id_type := catalogue.mapped_column((binding #>> '{lookups,0,relation}')::oid::regclass,
			binding #>> '{lookups,0,id}');
		RETURN QUERY VALUES
			('FUNCTION', 'cached_lookups', format('%s', lookup_id_type),
				format('universite %s DEFAULT NULL', lookup_id_type),
				'TABLE (kind text, id text, code text, nom text, parent_id text)',
				'STABLE PARALLEL RESTRICTED ROWS 1000 SUPPORT catalogue.cached_lookups_support',
				'catalogue_cached_lookups'),
			('FUNCTION', 'cached_lookups_json', format('%s, text', lookup_id_type),
				format('universite %s DEFAULT NULL, known_version text DEFAULT NULL', lookup_id_type),
				'TABLE (version text, lookups json)',
				'STABLE PARALLEL RESTRICTED ROWS 1 SUPPORT catalogue.cached_lookups_support',
				'catalogue_cached_lookups_json');
	END IF;
END
$$;

-- Writes a schema's configuration and makes its functions, with the rights of
-- the extension's owner, for a caller whose own rights are checked first.  A
-- binding of JSON null takes both away.  Reached through catalogue.bind()
-- alone, which passes the true caller.
CREATE FUNCTION catalogue.bind_for(caller oid, schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	library constant text := '$libdir/catalogue';
	wanted record;
	existing record;
	kept regprocedure[] := '{}';
	routine regprocedure;
BEGIN
	IF NOT has_schema_privilege(caller, schema, 'CREATE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('permission denied for schema %I', schema);
	END IF;
	-- What is bound now and what shall be bound must both be the caller's.
	PERFORM catalogue.check_owner(caller, r.relid)
	FROM (
		SELECT a.deleted_files FROM catalogue.attachment a WHERE a.schema_name = schema
		UNION
		SELECT (item ->> 'relation')::oid::regclass
		FROM jsonb_each(CASE jsonb_typeof(binding) WHEN 'object' THEN binding ELSE '{}' END) AS section (name, value),
			jsonb_array_elements(CASE jsonb_typeof(section.value)
				WHEN 'array' THEN section.value ELSE jsonb_build_array(section.value) END) AS item
		WHERE section.name <> 'absent'
	) AS r (relid);

	DELETE FROM catalogue.attachment a WHERE a.schema_name = schema;

	IF jsonb_typeof(binding) = 'object' THEN
		INSERT INTO catalogue.attachment
		SELECT schema,
			(binding #>> '{chapters,relation}')::oid::regclass, binding #>> '{chapters,id}',
			binding #>> '{chapters,filiere}', binding #>> '{chapters,created_at}',
			binding #>> '{chapters,author}',
			(binding #>> '{professors,relation}')::oid::regclass, binding #>> '{professors,id}',
			binding #>> '{professors,username}',
			(binding #>> '{deleted_files,relation}')::oid::regclass,
			(binding #>> '{professor_purges,relation}')::oid::regclass;

		INSERT INTO catalogue.lookup
		SELECT schema, i, (item ->> 'relation')::oid::regclass, item ->> 'kind', item ->> 'id',
			item ->> 'code', item ->> 'nom', item ->> 'parent'
		FROM jsonb_array_elements(binding -> 'lookups') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.file_column
		SELECT schema, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'separator'
		FROM jsonb_array_elements(binding -> 'files') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.also_delete
		SELECT schema, i, (item ->> 'relation')::oid::regclass,
			ARRAY(SELECT jsonb_array_elements_text(item -> 'columns')::name)
		FROM jsonb_array_elements(binding -> 'also_delete') WITH ORDINALITY AS l (item, i);

		INSERT INTO catalogue.soft_reference
		SELECT schema, i, (item ->> 'relation')::oid::regclass, item ->> 'column',
			item ->> 'type_column',
			CASE WHEN item ? 'type_values'
				THEN ARRAY(SELECT jsonb_array_elements_text(item -> 'type_values')) END
		FROM jsonb_array_elements(binding -> 'soft_references') WITH ORDINALITY AS l (item, i);

		FOR wanted IN SELECT * FROM catalogue.wanted_functions(schema, binding) LOOP
			object := format('%s %I.%I(%s)', lower(wanted.kind), schema, wanted.name, wanted.identity);
			detail := NULL;
			routine := to_regprocedure(format('%I.%I(%s)', schema, wanted.name, wanted.identity));

			IF routine IS NOT NULL THEN
				SELECT p.probin = library AND p.prosrc = wanted.symbol AS ours,
					coalesce(pg_get_function_result(p.oid), '') = coalesce(wanted.result, '')
						OR replace(pg_get_function_result(p.oid), 'TABLE(', 'TABLE (') = wanted.result AS same,
					p.proowner AS owner
				INTO existing FROM pg_proc p WHERE p.oid = routine;
				IF existing.ours IS NOT TRUE THEN
					RAISE EXCEPTION USING ERRCODE = 'duplicate_function',
						MESSAGE = format('%s already exists and is not one of the extension''s', object),
						HINT = 'Rename it, or attach tables of another schema.';
				END IF;
				IF existing.same THEN
					kept := kept || routine;
					status := 'found';
					RETURN NEXT;
					CONTINUE;
				END IF;
				EXECUTE format('DROP ROUTINE %s', routine);
			END IF;

			EXECUTE format('CREATE %s %I.%I(%s) %s LANGUAGE c %s AS %L, %L', wanted.kind, schema,
				wanted.name, wanted.arguments, 'RETURNS ' || wanted.result, wanted.options,
				library, wanted.symbol);
			routine := to_regprocedure(format('%I.%I(%s)', schema, wanted.name, wanted.identity));
			EXECUTE format('ALTER ROUTINE %s OWNER TO %I', routine, pg_get_userbyid(caller));
			EXECUTE format('ALTER ROUTINE %s DEPENDS ON EXTENSION catalogue', routine);
			kept := kept || routine;
			status := 'created';
			RETURN NEXT;
		END LOOP;
	END IF;

	-- Functions of ours that this binding does not ask for, such as those of
	-- a column type that has changed.
	FOR routine IN
		SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = schema AND p.probin = library AND n.nspname <> 'catalogue'
		AND p.oid <> ALL (kept::oid[])
		ORDER BY p.proname, p.oid
	LOOP
		status := 'dropped';
		object := format('routine %s', routine);
		EXECUTE format('DROP ROUTINE %s', routine);
		detail := NULL;
		RETURN NEXT;
	END LOOP;
END
$$;
REVOKE ALL ON FUNCTION catalogue.bind_for(oid, name, jsonb) FROM PUBLIC;

CREATE FUNCTION catalogue.check_owner(role oid, relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- A relation that is gone has no owner, and nothing to protect.
	IF EXISTS (SELECT FROM pg_class c WHERE c.oid = relation
		AND NOT pg_has_role(role, c.relowner, 'USAGE')) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', relation);
	END IF;
END
$$;

CREATE FUNCTION catalogue.bind(schema name, binding jsonb)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'catalogue_bind';
COMMENT ON FUNCTION catalogue.bind(name, jsonb) IS 'the step of attach() and detach() that needs the extension owner''s rights';

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

CREATE FUNCTION catalogue.attach(schema name DEFAULT pg_catalog.current_schema(),
	mapping jsonb DEFAULT '{}', create_indexes boolean DEFAULT false)
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	binding jsonb;
	recommended record;
	relation regclass;
BEGIN
	PERFORM catalogue.check_schema(schema);
	binding := catalogue.resolve_mapping(schema, mapping);
	PERFORM catalogue.check_keys(binding);

	RETURN QUERY SELECT * FROM catalogue.create_deletion_tables(schema);
	binding := binding || jsonb_build_object(
		'deleted_files', jsonb_build_object('relation',
			to_regclass(format('%I.deleted_files', schema))::oid::bigint),
		'professor_purges', jsonb_build_object('relation',
			to_regclass(format('%I.professor_purges', schema))::oid::bigint));

	FOR relation IN
		SELECT DISTINCT (item ->> 'relation')::oid::regclass
		FROM jsonb_array_elements(binding -> 'lookups') AS item ORDER BY 1
	LOOP
		IF (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) = 'f' THEN
			RETURN QUERY VALUES ('advice', format('table %s', relation),
				'changes of a foreign table are not announced: cached lookups follow after catalogue.lookup_ttl');
		ELSE
			RETURN QUERY SELECT * FROM catalogue.create_lookup_triggers(relation);
		END IF;
	END LOOP;

	RETURN QUERY SELECT * FROM catalogue.bind(schema, binding);

	FOR recommended IN SELECT * FROM catalogue.recommended_indexes(schema) LOOP
		IF create_indexes THEN
			EXECUTE recommended.definition;
			RETURN QUERY VALUES ('created', format('index on %s', recommended.relation),
				recommended.reason);
		ELSE
			RETURN QUERY VALUES ('advice', recommended.definition, recommended.reason);
		END IF;
	END LOOP;

	RETURN QUERY SELECT 'absent', format('table %I.%s', schema, item ->> 'relation'),
			format('not bound: "%s" of the reference schema', item ->> 'section')
		FROM jsonb_array_elements(binding -> 'absent') AS item;
END
$$;
COMMENT ON FUNCTION catalogue.attach(name, jsonb, boolean) IS 'binds the extension to the tables of a schema and creates its functions there';

CREATE FUNCTION catalogue.detach(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (status text, object text, detail text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger record;
BEGIN
	PERFORM catalogue.check_schema(schema);
	IF NOT EXISTS (SELECT FROM catalogue.attachment a WHERE a.schema_name = schema) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('schema "%s" is not attached', schema);
	END IF;

	-- Triggers stay where another attached schema looks at the same table.
	FOR trigger IN
		SELECT DISTINCT t.tgname AS name, t.tgrelid::regclass AS relation
		FROM pg_trigger t JOIN catalogue.lookup l ON l.relation = t.tgrelid
		WHERE l.schema_name = schema AND t.tgparentid = 0
		AND t.tgfoid = 'catalogue.lookup_changed()'::regprocedure
		AND NOT EXISTS (SELECT FROM catalogue.lookup o
			WHERE o.relation = l.relation AND o.schema_name <> schema)
		ORDER BY relation, name
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger.name, trigger.relation);
		RETURN QUERY VALUES ('dropped', format('trigger %I on %s', trigger.name, trigger.relation),
			NULL::text);
	END LOOP;

	RETURN QUERY SELECT * FROM catalogue.bind(schema, 'null');
	RETURN QUERY SELECT 'kept', format('table %I.%I', schema, t), 'the application''s own'
		FROM unnest(ARRAY['deleted_files', 'professor_purges']) AS t;
END
$$;
COMMENT ON FUNCTION catalogue.detach(name) IS 'drops the functions and triggers that attach() made; tables and rows stay';

-- Indexes that an attached schema lacks: the feed's, and one for every
-- foreign key that a professor's deletion must look through.
CREATE FUNCTION catalogue.recommended_indexes(schema name DEFAULT pg_catalog.current_schema())
	RETURNS TABLE (relation regclass, definition text, reason text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE deleted(relid) AS (
	-- Tables that lose rows: down the CASCADE keys and the mapping's edges.
	SELECT a.professors FROM catalogue.attachment a
	WHERE a.schema_name = schema AND a.professors IS NOT NULL
	UNION
	SELECT k.conrelid FROM deleted d JOIN pg_constraint k ON k.confrelid = d.relid
	WHERE k.contype = 'f' AND k.conparentid = 0
	AND (k.confdeltype = 'c'
		OR EXISTS (SELECT FROM catalogue.also_delete e
			WHERE e.schema_name = schema AND e.relation = k.conrelid
			AND e.columns = ARRAY(SELECT at.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, i)
				JOIN pg_attribute at ON at.attrelid = k.conrelid AND at.attnum = u.attnum ORDER BY u.i)))
), keys(relid, attnums, reason) AS (
	SELECT k.conrelid::regclass, k.conkey,
		format('foreign key %I: each deletion from %s looks here', k.conname, k.confrelid::regclass)
	FROM deleted d JOIN pg_constraint k ON k.confrelid = d.relid
	WHERE k.contype = 'f' AND k.conparentid = 0
	UNION ALL
	SELECT s.relation, ARRAY[at.attnum], 'the mapping''s soft reference to the professor'
	FROM catalogue.soft_reference s
	JOIN pg_attribute at ON at.attrelid = s.relation AND at.attname = s."column"
	WHERE s.schema_name = schema
)
SELECT a.chapters,
	format('CREATE INDEX ON %s (%I, %I DESC NULLS LAST, %I DESC)', a.chapters,
		a.chapters_filiere, a.chapters_created_at, a.chapters_id),
	'recent_chapters: a page is one descent of this index'
FROM catalogue.attachment a JOIN pg_class c ON c.oid = a.chapters
WHERE a.schema_name = schema AND c.relkind IN ('r', 'p')
AND NOT EXISTS (
	SELECT FROM pg_index i
	WHERE i.indrelid = a.chapters AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts >= 3
	AND pg_get_indexdef(i.indexrelid, 1, true) = quote_ident(a.chapters_filiere)
	AND pg_get_indexdef(i.indexrelid, 2, true) = quote_ident(a.chapters_created_at)
	AND pg_get_indexdef(i.indexrelid, 3, true) = quote_ident(a.chapters_id)
	-- indoption: 1 is DESC, 2 is NULLS FIRST; 1,0 read backward is the same order
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
	SELECT FROM pg_index i
	WHERE i.indrelid = k.relid AND i.indisvalid AND i.indpred IS NULL
	AND (i.indkey::smallint[])[0:cardinality(k.attnums) - 1] @> k.attnums)
GROUP BY k.relid, k.attnums
$$;
COMMENT ON FUNCTION catalogue.recommended_indexes(name) IS 'indexes that an attached schema lacks, as the commands that make them';

CREATE FUNCTION catalogue.doctor(schema name DEFAULT NULL)
	RETURNS TABLE (schema_name name, "check" text, status text, detail text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
WITH bound AS (
	SELECT a.schema_name, a.chapters AS relation, c.name AS "column"
	FROM catalogue.attachment a, LATERAL unnest(ARRAY[a.chapters_id, a.chapters_filiere,
		a.chapters_created_at, a.chapters_author]) AS c (name)
	WHERE a.chapters IS NOT NULL AND c.name IS NOT NULL
	UNION ALL
	SELECT a.schema_name, a.professors, c.name
	FROM catalogue.attachment a, LATERAL unnest(ARRAY[a.professors_id, a.professors_username]) AS c (name)
	WHERE a.professors IS NOT NULL
	UNION ALL
	SELECT l.schema_name, l.relation, c.name
	FROM catalogue.lookup l, LATERAL unnest(ARRAY[l.id, l.code, l.nom, l.parent]) AS c (name)
	WHERE c.name IS NOT NULL
	UNION ALL
	SELECT f.schema_name, f.relation, f."column" FROM catalogue.file_column f
	UNION ALL
	SELECT e.schema_name, e.relation, c.name
	FROM catalogue.also_delete e, LATERAL unnest(e.columns) AS c (name)
	UNION ALL
	SELECT s.schema_name, s.relation, c.name
	FROM catalogue.soft_reference s, LATERAL unnest(ARRAY[s."column", s.type_column]) AS c (name)
	WHERE c.name IS NOT NULL
), columns AS (
	SELECT b.schema_name, 'columns exist'::text AS "check", b.relation::text || '.' || b."column" AS missing
	FROM bound b
	WHERE NOT EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = b.relation
		AND t.attname = b."column" AND t.attnum > 0 AND NOT t.attisdropped)
), triggers AS (
	SELECT l.schema_name, 'lookup changes are announced'::text, l.relation::text || ': ' || t.name
	FROM catalogue.lookup l
	CROSS JOIN (VALUES ('catalogue_lookup_changed'), ('catalogue_lookup_truncated')) AS t (name)
	WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = l.relation AND g.tgname = t.name
		AND g.tgfoid = 'catalogue.lookup_changed()'::regprocedure AND g.tgenabled = 'A')
), functions AS (
	SELECT a.schema_name, 'functions exist'::text, f.name
	FROM catalogue.attachment a
	CROSS JOIN LATERAL (
		SELECT unnest(ARRAY['recent_chapters']) WHERE a.chapters IS NOT NULL
		UNION ALL
		SELECT unnest(ARRAY['delete_professor_batch', 'purge_professor', 'preview_professor_deletion',
			'take_deleted_files', 'retry_deleted_file']) WHERE a.professors IS NOT NULL
		UNION ALL
		SELECT unnest(ARRAY['cached_lookups', 'cached_lookups_json'])
		WHERE EXISTS (SELECT FROM catalogue.lookup l WHERE l.schema_name = a.schema_name)) AS f (name)
	WHERE NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = a.schema_name AND p.proname = f.name AND p.probin = '$libdir/catalogue')
), indexes AS (
	SELECT a.schema_name, 'indexes'::text, i.definition
	FROM catalogue.attachment a, LATERAL catalogue.recommended_indexes(a.schema_name) AS i
), findings AS (
	SELECT * FROM columns UNION ALL SELECT * FROM triggers UNION ALL SELECT * FROM functions
	UNION ALL SELECT * FROM indexes
)
SELECT a.schema_name, c."check",
	CASE WHEN f.missing IS NULL THEN 'ok' ELSE c.severity END,
	CASE WHEN f.missing IS NULL THEN NULL ELSE c.remedy || f.missing END
FROM catalogue.attachment a
CROSS JOIN (VALUES
	(1, 'columns exist', 'error', 'run attach() with the new name of: '),
	(2, 'functions exist', 'error', 'run attach() again, missing: '),
	(3, 'lookup changes are announced', 'warning', 'run attach() again, trigger missing or disabled: '),
	(4, 'indexes', 'advice', 'run: ')) AS c (i, "check", severity, remedy)
LEFT JOIN findings f ON f.schema_name = a.schema_name AND f."check" = c."check"
WHERE doctor.schema IS NULL OR a.schema_name = doctor.schema
ORDER BY a.schema_name, c.i, f.missing
$$;
COMMENT ON FUNCTION catalogue.doctor(name) IS 'what is wrong or missing in the attached schemas, and what to do about it';
