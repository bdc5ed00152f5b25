/*
 * 03_reference_schema.sql
 *		create_tables(): the reference schema, for a new application.
 */

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
