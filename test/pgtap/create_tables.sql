-- catalogue.create_tables(): the reference schema, column by column and key by
-- key, written down here once more and not taken from the function; then the
-- function's own contract: where it builds, what it returns and how it fails.
-- Needs a database with pgTAP in it and without the extension.

BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION catalogue;
SELECT plan(74);

-- A column as 'name type [NOT NULL] [DEFAULT …]', in the table's order.
CREATE FUNCTION pg_temp.columns_of(relation regclass) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
	SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
					 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
					 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
	FROM pg_attribute a
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY a.attnum;
$$;

-- Every constraint but NOT NULL, which is one from PostgreSQL 18 on.
CREATE FUNCTION pg_temp.keys_of(relation regclass) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
	SELECT conname || ' ' || pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE conrelid = relation AND contype <> 'n';
$$;

-- Every index that belongs to no constraint, as 'name (columns)'; one that is
-- more than a plain valid btree of columns shows its whole definition instead.
CREATE FUNCTION pg_temp.indexes_of(relation regclass) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
	SELECT c.relname || ' ' ||
		   replace(pg_get_indexdef(i.indexrelid),
				   format('CREATE INDEX %I ON %s USING btree ', c.relname, relation), '') ||
		   CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
	WHERE i.indrelid = relation
		AND NOT EXISTS (SELECT FROM pg_constraint k
						WHERE k.conindid = i.indexrelid AND k.conrelid = relation);
$$;

-- The function itself

SELECT has_function('catalogue', 'create_tables', ARRAY['name'], 'create_tables(name) exists');
SELECT function_returns('catalogue', 'create_tables', ARRAY['name'], 'setof regclass',
						'create_tables returns regclasses');
SELECT volatility_is('catalogue', 'create_tables', ARRAY['name'], 'volatile',
					 'create_tables is volatile');
SELECT isnt_definer('catalogue', 'create_tables', ARRAY['name'],
					'create_tables runs with its caller''s rights');
SELECT ok('search_path=pg_catalog, pg_temp' = ANY (proconfig),
		  'create_tables sets its own search_path')
FROM pg_proc WHERE oid = 'catalogue.create_tables(name)'::regprocedure;

-- What it returns

CREATE SCHEMA app;
SELECT results_eq($$SELECT relation::text FROM catalogue.create_tables(schema => 'app') AS relation$$, ARRAY[
	'app.universites',
	'app.ufrs',
	'app.filieres',
	'app.matieres',
	'app.administrateurs',
	'app.etudiants',
	'app.professeurs',
	'app.professeur_ufrs',
	'app.professeur_filieres',
	'app.chapitres_complets',
	'app.contents',
	'app.commentaires',
	'app.notifications',
	'app.messages_prof',
	'app.messages_etudiant_statut',
	'app.scheduled_courses'
], 'returns the tables in the order in which it makes them');

-- What it makes

-- universites
SELECT results_eq($$SELECT pg_temp.columns_of('app.universites')$$, ARRAY[
	'id character varying NOT NULL',
	'nom character varying(255) NOT NULL',
	'code character varying(50) NOT NULL',
	'logo_url character varying(500)',
	'logo_data bytea',
	'logo_content_type character varying(50)',
	'created_at timestamp without time zone'
], 'universites: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.universites')$$, ARRAY[
	'universites_pkey PRIMARY KEY (id)'
], 'universites: keys');
SELECT is_empty($$SELECT pg_temp.indexes_of('app.universites')$$, 'universites: no index but its keys');

-- ufrs
SELECT results_eq($$SELECT pg_temp.columns_of('app.ufrs')$$, ARRAY[
	'id character varying NOT NULL',
	'nom character varying(255) NOT NULL',
	'code character varying(50) NOT NULL',
	'universite_id character varying NOT NULL',
	'created_at timestamp without time zone'
], 'ufrs: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.ufrs')$$, ARRAY[
	'ufrs_pkey PRIMARY KEY (id)',
	'ufrs_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE'
], 'ufrs: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.ufrs')$$, ARRAY[
	'ix_ufrs_universite_id (universite_id)'
], 'ufrs: indexes');

-- filieres
SELECT results_eq($$SELECT pg_temp.columns_of('app.filieres')$$, ARRAY[
	'id character varying NOT NULL',
	'nom character varying(255) NOT NULL',
	'code character varying(50) NOT NULL',
	'ufr_id character varying NOT NULL',
	'created_at timestamp without time zone'
], 'filieres: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.filieres')$$, ARRAY[
	'filieres_pkey PRIMARY KEY (id)',
	'filieres_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE'
], 'filieres: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.filieres')$$, ARRAY[
	'ix_filieres_ufr_id (ufr_id)'
], 'filieres: indexes');

-- matieres
SELECT results_eq($$SELECT pg_temp.columns_of('app.matieres')$$, ARRAY[
	'id character varying NOT NULL',
	'nom character varying(255) NOT NULL',
	'code character varying(50) NOT NULL',
	'filiere_id character varying NOT NULL',
	'niveau character varying(10) NOT NULL',
	'semestre character varying(10) NOT NULL',
	'created_at timestamp without time zone'
], 'matieres: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.matieres')$$, ARRAY[
	'matieres_pkey PRIMARY KEY (id)',
	'matieres_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE'
], 'matieres: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.matieres')$$, ARRAY[
	'ix_matieres_filiere_id (filiere_id)',
	'ix_matieres_niveau (niveau)',
	'ix_matieres_semestre (semestre)'
], 'matieres: indexes');

-- administrateurs
SELECT results_eq($$SELECT pg_temp.columns_of('app.administrateurs')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.administrateurs_id_seq''::regclass)',
	'username character varying(100) NOT NULL',
	'password_hash character varying(255) NOT NULL',
	'nom character varying(100) NOT NULL',
	'prenom character varying(100) NOT NULL',
	'is_main_admin boolean',
	'actif boolean',
	'universite_id character varying',
	'created_at timestamp without time zone'
], 'administrateurs: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.administrateurs')$$, ARRAY[
	'administrateurs_pkey PRIMARY KEY (id)',
	'administrateurs_username_key UNIQUE (username)',
	'administrateurs_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE'
], 'administrateurs: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.administrateurs')$$, ARRAY[
	'ix_administrateurs_universite_id (universite_id)'
], 'administrateurs: indexes');

-- etudiants
SELECT results_eq($$SELECT pg_temp.columns_of('app.etudiants')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.etudiants_id_seq''::regclass)',
	'username character varying(100) NOT NULL',
	'password_hash character varying(255) NOT NULL',
	'nom character varying(100) NOT NULL',
	'prenom character varying(100) NOT NULL',
	'niveau character varying(10) NOT NULL',
	'universite_id character varying NOT NULL',
	'ufr_id character varying NOT NULL',
	'filiere_id character varying NOT NULL',
	'statut_passage character varying(20)',
	'created_at timestamp without time zone'
], 'etudiants: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.etudiants')$$, ARRAY[
	'etudiants_pkey PRIMARY KEY (id)',
	'etudiants_username_key UNIQUE (username)',
	'etudiants_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE',
	'etudiants_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE',
	'etudiants_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE'
], 'etudiants: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.etudiants')$$, ARRAY[
	'ix_etudiants_filiere_id (filiere_id)',
	'ix_etudiants_ufr_id (ufr_id)',
	'ix_etudiants_universite_id (universite_id)'
], 'etudiants: indexes');

-- professeurs
SELECT results_eq($$SELECT pg_temp.columns_of('app.professeurs')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.professeurs_id_seq''::regclass)',
	'username character varying(100) NOT NULL',
	'password_hash character varying(255) NOT NULL',
	'nom character varying(100) NOT NULL',
	'prenom character varying(100) NOT NULL',
	'specialite character varying(200) NOT NULL',
	'actif boolean',
	'universite_id character varying',
	'ufr_id character varying',
	'filiere_id character varying',
	'matiere_id character varying',
	'matiere character varying(200)',
	'created_at timestamp without time zone'
], 'professeurs: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.professeurs')$$, ARRAY[
	'professeurs_pkey PRIMARY KEY (id)',
	'professeurs_username_key UNIQUE (username)',
	'professeurs_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE',
	'professeurs_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE SET NULL',
	'professeurs_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE SET NULL',
	'professeurs_matiere_id_fkey FOREIGN KEY (matiere_id) REFERENCES app.matieres(id) ON DELETE SET NULL'
], 'professeurs: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.professeurs')$$, ARRAY[
	'ix_professeurs_filiere_id (filiere_id)',
	'ix_professeurs_matiere_id (matiere_id)',
	'ix_professeurs_ufr_id (ufr_id)',
	'ix_professeurs_universite_id (universite_id)'
], 'professeurs: indexes');

-- professeur_ufrs
SELECT results_eq($$SELECT pg_temp.columns_of('app.professeur_ufrs')$$, ARRAY[
	'professeur_id integer NOT NULL',
	'ufr_id character varying NOT NULL',
	'created_at timestamp without time zone'
], 'professeur_ufrs: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.professeur_ufrs')$$, ARRAY[
	'professeur_ufrs_pkey PRIMARY KEY (professeur_id, ufr_id)',
	'professeur_ufrs_professeur_id_fkey FOREIGN KEY (professeur_id) REFERENCES app.professeurs(id) ON DELETE CASCADE',
	'professeur_ufrs_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE'
], 'professeur_ufrs: keys');
SELECT is_empty($$SELECT pg_temp.indexes_of('app.professeur_ufrs')$$, 'professeur_ufrs: no index but its keys');

-- professeur_filieres
SELECT results_eq($$SELECT pg_temp.columns_of('app.professeur_filieres')$$, ARRAY[
	'professeur_id integer NOT NULL',
	'filiere_id character varying NOT NULL',
	'created_at timestamp without time zone'
], 'professeur_filieres: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.professeur_filieres')$$, ARRAY[
	'professeur_filieres_pkey PRIMARY KEY (professeur_id, filiere_id)',
	'professeur_filieres_professeur_id_fkey FOREIGN KEY (professeur_id) REFERENCES app.professeurs(id) ON DELETE CASCADE',
	'professeur_filieres_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE'
], 'professeur_filieres: keys');
SELECT is_empty($$SELECT pg_temp.indexes_of('app.professeur_filieres')$$, 'professeur_filieres: no index but its keys');

-- chapitres_complets
SELECT results_eq($$SELECT pg_temp.columns_of('app.chapitres_complets')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.chapitres_complets_id_seq''::regclass)',
	'universite_id character varying NOT NULL',
	'ufr_id character varying NOT NULL',
	'filiere_id character varying NOT NULL',
	'matiere_id character varying NOT NULL',
	'niveau character varying(10) NOT NULL',
	'semestre character varying(10) NOT NULL',
	'chapitre character varying(200) NOT NULL',
	'titre character varying(500) NOT NULL',
	'cours_texte text',
	'cours_fichier_nom character varying(500)',
	'cours_fichier_path character varying(1000)',
	'exercice_texte text',
	'exercice_fichier_nom character varying(500)',
	'exercice_fichier_path character varying(1000)',
	'solution_texte text',
	'solution_fichier_nom character varying(500)',
	'solution_fichier_path character varying(1000)',
	'created_by character varying(100) NOT NULL',
	'created_at timestamp without time zone'
], 'chapitres_complets: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.chapitres_complets')$$, ARRAY[
	'chapitres_complets_pkey PRIMARY KEY (id)',
	'chapitres_complets_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE',
	'chapitres_complets_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE',
	'chapitres_complets_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE',
	'chapitres_complets_matiere_id_fkey FOREIGN KEY (matiere_id) REFERENCES app.matieres(id) ON DELETE CASCADE',
	'chapitres_complets_created_by_fkey FOREIGN KEY (created_by) REFERENCES app.professeurs(username) ON DELETE CASCADE'
], 'chapitres_complets: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.chapitres_complets')$$, ARRAY[
	'ix_chapitres_complets_created_by (created_by)',
	'ix_chapitres_complets_filiere_id (filiere_id)',
	'ix_chapitres_complets_matiere_id (matiere_id)',
	'ix_chapitres_complets_ufr_id (ufr_id)',
	'ix_chapitres_complets_universite_id (universite_id)'
], 'chapitres_complets: indexes');

-- contents
SELECT results_eq($$SELECT pg_temp.columns_of('app.contents')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.contents_id_seq''::regclass)',
	'niveau character varying(10) NOT NULL',
	'semestre character varying(10) NOT NULL',
	'chapitre character varying(200) NOT NULL',
	'type character varying(50) NOT NULL',
	'texte text',
	'fichier_nom character varying(500)',
	'fichier_path character varying(1000)',
	'matiere_id character varying',
	'created_by character varying(100) NOT NULL',
	'created_at timestamp without time zone'
], 'contents: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.contents')$$, ARRAY[
	'contents_pkey PRIMARY KEY (id)',
	'contents_matiere_id_fkey FOREIGN KEY (matiere_id) REFERENCES app.matieres(id)',
	'contents_created_by_fkey FOREIGN KEY (created_by) REFERENCES app.professeurs(username) ON DELETE CASCADE'
], 'contents: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.contents')$$, ARRAY[
	'ix_contents_created_by (created_by)',
	'ix_contents_matiere_id (matiere_id)'
], 'contents: indexes');

-- commentaires
SELECT results_eq($$SELECT pg_temp.columns_of('app.commentaires')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.commentaires_id_seq''::regclass)',
	'texte text NOT NULL',
	'chapitre_id integer NOT NULL',
	'auteur_type character varying(20) NOT NULL',
	'auteur_id integer NOT NULL',
	'auteur_nom character varying(200) NOT NULL',
	'created_at timestamp without time zone'
], 'commentaires: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.commentaires')$$, ARRAY[
	'commentaires_pkey PRIMARY KEY (id)',
	'commentaires_chapitre_id_fkey FOREIGN KEY (chapitre_id) REFERENCES app.chapitres_complets(id) ON DELETE CASCADE'
], 'commentaires: keys');
SELECT is_empty($$SELECT pg_temp.indexes_of('app.commentaires')$$, 'commentaires: no index but its keys');

-- notifications
SELECT results_eq($$SELECT pg_temp.columns_of('app.notifications')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.notifications_id_seq''::regclass)',
	'type character varying(50) NOT NULL',
	'message character varying(500) NOT NULL',
	'destinataire_type character varying(20) NOT NULL',
	'destinataire_id integer NOT NULL',
	'lien character varying(500)',
	'lue boolean NOT NULL',
	'created_at timestamp without time zone',
	'chapitre_id integer',
	'universite_id character varying(36)'
], 'notifications: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.notifications')$$, ARRAY[
	'notifications_pkey PRIMARY KEY (id)',
	'notifications_chapitre_id_fkey FOREIGN KEY (chapitre_id) REFERENCES app.chapitres_complets(id) ON DELETE SET NULL',
	'notifications_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE SET NULL'
], 'notifications: keys');
SELECT is_empty($$SELECT pg_temp.indexes_of('app.notifications')$$, 'notifications: no index but its keys');

-- messages_prof
SELECT results_eq($$SELECT pg_temp.columns_of('app.messages_prof')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.messages_prof_id_seq''::regclass)',
	'prof_id integer NOT NULL',
	'contenu text NOT NULL',
	'audio_file character varying(500)',
	'date_creation timestamp without time zone',
	'universite_id character varying NOT NULL',
	'ufr_id character varying',
	'filiere_id character varying',
	'niveau character varying(10)',
	'semestre character varying(10)',
	'matiere_id character varying'
], 'messages_prof: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.messages_prof')$$, ARRAY[
	'messages_prof_pkey PRIMARY KEY (id)',
	'messages_prof_prof_id_fkey FOREIGN KEY (prof_id) REFERENCES app.professeurs(id) ON DELETE CASCADE',
	'messages_prof_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE',
	'messages_prof_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE',
	'messages_prof_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE',
	'messages_prof_matiere_id_fkey FOREIGN KEY (matiere_id) REFERENCES app.matieres(id) ON DELETE CASCADE'
], 'messages_prof: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.messages_prof')$$, ARRAY[
	'ix_messages_prof_date_creation (date_creation)',
	'idx_messages_prof_date_creation (date_creation)',
	'ix_messages_prof_filiere_id (filiere_id)',
	'ix_messages_prof_matiere_id (matiere_id)',
	'ix_messages_prof_niveau (niveau)',
	'ix_messages_prof_prof_id (prof_id)',
	'ix_messages_prof_ufr_id (ufr_id)',
	'ix_messages_prof_universite_id (universite_id)',
	'ix_messages_prof_universite_id_ufr_id_filiere_id_niveau (universite_id, ufr_id, filiere_id, niveau)'
], 'messages_prof: indexes');

-- messages_etudiant_statut
SELECT results_eq($$SELECT pg_temp.columns_of('app.messages_etudiant_statut')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.messages_etudiant_statut_id_seq''::regclass)',
	'message_id integer NOT NULL',
	'etudiant_id integer NOT NULL',
	'lu boolean NOT NULL',
	'supprime boolean NOT NULL',
	'date_lecture timestamp without time zone',
	'date_suppression timestamp without time zone'
], 'messages_etudiant_statut: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.messages_etudiant_statut')$$, ARRAY[
	'messages_etudiant_statut_pkey PRIMARY KEY (id)',
	'messages_etudiant_statut_message_id_fkey FOREIGN KEY (message_id) REFERENCES app.messages_prof(id) ON DELETE CASCADE',
	'messages_etudiant_statut_etudiant_id_fkey FOREIGN KEY (etudiant_id) REFERENCES app.etudiants(id) ON DELETE CASCADE'
], 'messages_etudiant_statut: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.messages_etudiant_statut')$$, ARRAY[
	'ix_messages_etudiant_statut_etudiant_id (etudiant_id)',
	'ix_messages_etudiant_statut_etudiant_id_message_id (etudiant_id, message_id)',
	'ix_messages_etudiant_statut_etudiant_id_supprime (etudiant_id, supprime)',
	'ix_messages_etudiant_statut_message_id (message_id)'
], 'messages_etudiant_statut: indexes');

-- scheduled_courses
SELECT results_eq($$SELECT pg_temp.columns_of('app.scheduled_courses')$$, ARRAY[
	'id integer NOT NULL DEFAULT nextval(''app.scheduled_courses_id_seq''::regclass)',
	'prof_id integer NOT NULL',
	'universite_id character varying NOT NULL',
	'ufr_id character varying',
	'filiere_id character varying',
	'matiere_id character varying',
	'filiere character varying(100) NOT NULL',
	'niveau character varying(10) NOT NULL',
	'semestre character varying(10) NOT NULL',
	'matiere character varying(200) NOT NULL',
	'cours_date character varying(10) NOT NULL',
	'cours_heure character varying(5) NOT NULL',
	'duree_minutes integer NOT NULL',
	'jitsi_link character varying(500) NOT NULL',
	'notification_24h_sent boolean NOT NULL',
	'notification_1h_sent boolean NOT NULL',
	'notification_debut_sent boolean NOT NULL',
	'statut character varying(20) NOT NULL',
	'created_at timestamp without time zone',
	'updated_at timestamp without time zone'
], 'scheduled_courses: columns');
SELECT bag_eq($$SELECT pg_temp.keys_of('app.scheduled_courses')$$, ARRAY[
	'scheduled_courses_pkey PRIMARY KEY (id)',
	'scheduled_courses_prof_id_fkey FOREIGN KEY (prof_id) REFERENCES app.professeurs(id) ON DELETE CASCADE',
	'scheduled_courses_universite_id_fkey FOREIGN KEY (universite_id) REFERENCES app.universites(id) ON DELETE CASCADE',
	'scheduled_courses_ufr_id_fkey FOREIGN KEY (ufr_id) REFERENCES app.ufrs(id) ON DELETE CASCADE',
	'scheduled_courses_filiere_id_fkey FOREIGN KEY (filiere_id) REFERENCES app.filieres(id) ON DELETE CASCADE',
	'scheduled_courses_matiere_id_fkey FOREIGN KEY (matiere_id) REFERENCES app.matieres(id) ON DELETE CASCADE'
], 'scheduled_courses: keys');
SELECT bag_eq($$SELECT pg_temp.indexes_of('app.scheduled_courses')$$, ARRAY[
	'ix_scheduled_courses_cours_date_cours_heure (cours_date, cours_heure)',
	'ix_scheduled_courses_filiere_id (filiere_id)',
	'ix_scheduled_courses_filiere_id_niveau_semestre (filiere_id, niveau, semestre)',
	'ix_scheduled_courses_matiere_id (matiere_id)',
	'ix_scheduled_courses_prof_id (prof_id)',
	'ix_scheduled_courses_prof_id_cours_date (prof_id, cours_date)',
	'ix_scheduled_courses_ufr_id (ufr_id)',
	'ix_scheduled_courses_universite_id (universite_id)'
], 'scheduled_courses: indexes');

-- Nothing else

SELECT bag_eq(
	$$SELECT relkind::text || ' ' || count(*) FROM pg_class
	  WHERE relnamespace = 'app'::regnamespace GROUP BY relkind$$,
	ARRAY['r 16', 'S 10', 'i 60'],
	'makes tables, the sequences of their serial ids and their indexes, and nothing else');
SELECT is_empty(
	$$SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	  WHERE c.relnamespace = 'app'::regnamespace AND NOT t.tgisinternal$$,
	'makes no trigger');
SELECT bag_eq(
	$$SELECT d.refobjid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
	  WHERE s.relkind = 'S' AND s.relnamespace = 'app'::regnamespace AND d.deptype = 'a'
		AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass$$,
	ARRAY[
		'app.administrateurs',
		'app.etudiants',
		'app.professeurs',
		'app.chapitres_complets',
		'app.contents',
		'app.commentaires',
		'app.notifications',
		'app.messages_prof',
		'app.messages_etudiant_statut',
		'app.scheduled_courses'
	], 'each sequence belongs to its table');
SELECT is_empty(
	$$SELECT c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
		AND c.relnamespace = 'app'::regnamespace$$,
	'what it makes belongs to the application and not to the extension');

-- Where it builds

CREATE SCHEMA "Mon ""École"" d'été";
SELECT lives_ok($$SELECT catalogue.create_tables('Mon "École" d''été')$$,
				'a schema name that needs quoting');
SELECT is(count(*), 37::bigint, 'its keys stay within that schema')
FROM pg_constraint k
	JOIN pg_class c ON c.oid = k.conrelid
	JOIN pg_class f ON f.oid = k.confrelid AND f.relnamespace = c.relnamespace
WHERE k.contype = 'f' AND c.relnamespace = '"Mon ""École"" d''été"'::regnamespace;

CREATE SCHEMA first_in_path;
CREATE FUNCTION pg_temp.create_in_path() RETURNS SETOF regclass
LANGUAGE sql SET search_path = first_in_path, public AS 'SELECT catalogue.create_tables()';
SELECT is(count(*), 16::bigint, 'without an argument: the tables are made')
FROM pg_temp.create_in_path();
SELECT is(count(*), 16::bigint, 'without an argument: in the current schema')
FROM pg_tables WHERE schemaname = 'first_in_path';

-- Types, operators and functions of the caller's search_path cannot get in.
CREATE SCHEMA hostile;
CREATE DOMAIN hostile.text AS pg_catalog.int4;
CREATE DOMAIN hostile.bytea AS pg_catalog.int4;
CREATE FUNCTION hostile.format(pg_catalog.text, VARIADIC pg_catalog."any") RETURNS pg_catalog.text
LANGUAGE internal AS 'text_format';
CREATE FUNCTION pg_temp.create_hostile() RETURNS SETOF regclass
LANGUAGE sql SET search_path = hostile, pg_catalog AS 'SELECT catalogue.create_tables()';
SELECT lives_ok('SELECT pg_temp.create_hostile()', 'a hostile search_path');
SELECT results_eq($$SELECT DISTINCT y.typnamespace::regnamespace::text
					FROM pg_class c
						JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
						JOIN pg_type y ON y.oid = a.atttypid
					WHERE c.relnamespace = 'hostile'::regnamespace AND c.relkind = 'r'$$,
				  ARRAY['pg_catalog'],
				  'takes no type from the schema in which it builds');

-- How it fails

SELECT throws_ok('SELECT catalogue.create_tables(NULL)', '3F000',
				 'no schema has been selected', 'no schema');
CREATE FUNCTION pg_temp.create_nowhere() RETURNS SETOF regclass
LANGUAGE sql SET search_path = '' AS 'SELECT catalogue.create_tables()';
SELECT throws_ok('SELECT pg_temp.create_nowhere()', '3F000',
				 'no schema has been selected', 'no current schema');
CREATE FUNCTION pg_temp.hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN hint;
END
$$;
SELECT is(pg_temp.hint_of('SELECT catalogue.create_tables(NULL)'),
		  'Name the schema of the application''s tables, or set search_path.',
		  'no schema: the hint says what to do');
SELECT throws_ok($$SELECT catalogue.create_tables('nowhere')$$, '3F000',
				 'schema "nowhere" does not exist', 'a schema that does not exist');
SELECT throws_ok($$SELECT catalogue.create_tables('app')$$, '42P07',
				 'relation "universites" already exists', 'a second time in one schema');

CREATE SCHEMA half;
CREATE TABLE half.scheduled_courses (id integer);
SELECT throws_ok($$SELECT catalogue.create_tables('half')$$, '42P07',
				 'relation "scheduled_courses" already exists', 'one table is there already');
SELECT bag_eq($$SELECT relname::text FROM pg_class WHERE relnamespace = 'half'::regnamespace$$,
			  ARRAY['scheduled_courses'], 'and nothing is left half done');

-- Whose rights it needs

CREATE ROLE catalogue_test_owner;
GRANT USAGE ON SCHEMA catalogue TO catalogue_test_owner;
CREATE SCHEMA owned;
GRANT USAGE ON SCHEMA owned TO catalogue_test_owner;
CREATE FUNCTION pg_temp.create_as_owner() RETURNS SETOF regclass
LANGUAGE sql SET role = catalogue_test_owner AS $$SELECT catalogue.create_tables('owned')$$;
SELECT throws_ok('SELECT pg_temp.create_as_owner()', '42501',
				 'permission denied for schema owned', 'a caller who may not create there');
GRANT CREATE ON SCHEMA owned TO catalogue_test_owner;
SELECT lives_ok('SELECT pg_temp.create_as_owner()', 'a caller who may');
SELECT bag_eq($$SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'owned'$$,
			  ARRAY['catalogue_test_owner'], 'owns the tables');

SELECT * FROM finish();
ROLLBACK;
