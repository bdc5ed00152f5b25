/*
 * A catalogue made up for the demo, the tests and the benchmarks.
 *
 *   \i test/data/generate.sql
 *   SELECT * FROM pg_temp.generate_catalogue('app', 0.01);
 *
 * fills the sixteen empty tables of the reference schema in schema "app" (made
 * by catalogue.create_tables() or by hand; the extension is not needed), sets
 * their sequences, analyzes them, and returns a row for each with its count.
 *
 * Size.  Scale 1 is a platform of today: 8 universities, 40 UFRs, 400
 * filieres, 8,000 subjects, 100 professors, 12,000 students, 20,000 chapters of
 * 2 + 1 + 1 KB of text (nearly 5 KB a row on disk), 30,000 comments of 800
 * bytes, 30,000 notifications, 2,000 messages.  Every size follows the scale
 * down to a tree that still has two universities and three professors, and most
 * can be given by themselves.
 *
 * Skew.  The filiere 'info-l1' holds a twentieth of the chapters (1,000 at
 * scale 1) and the professor 'dupont' wrote a fortieth (500); filieres and
 * professors after them share the rest by their rank, the first as 1/(rank + 3)
 * and the second, flatter, as 1/(rank + 23).  A professor writes in one UFR or
 * in two neighbours.  Chapters of one filiere are scattered over the table, as
 * they are where everybody writes at once.  Comments and notifications go to
 * the chapters that were the newest when they were written.
 *
 * Warts, as in the live tables.  Half-yearly imports give a third of the
 * chapters one of six values of created_at, and one in fifty has none.  Paths of
 * files are spelt 'uploads/cours/x', 'cours/x' or absolute; one value in ten
 * joins two or three by '|||', and many are NULL.  Professors who comment or
 * are notified are 'prof' or 'professeur', and most of their comments are on
 * other people's chapters.  A third of the contents have no subject.  Each logo
 * is an image of 10 to 100 KB, and does not compress.
 *
 * Nothing is random and nothing depends on the clock: every choice is an
 * integer taken from the md5 of a key that names what is chosen for whom, so
 * that a failure can be repeated, expected output can be written down, and two
 * builds or two server versions are measured on the same bytes.
 *
 * Ids of universities, UFRs, filieres and subjects are UUIDs as text, but
 * 'ucad' and seven more universities, 'info-l1' and 'math-l1'.
 */

SET client_encoding = 'UTF8';

-- The functions that make one value are as IMMUTABLE as their operators allow,
-- or the planner could not inline them.

-- One of 0 .. n - 1, the same one for the same key.
CREATE OR REPLACE FUNCTION pg_temp.draw(key text, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT mod(('x' || left(md5(key), 7))::bit(28)::bigint, n);
$$;

-- One of 0 .. n - 1 too, but small numbers more often: a product of two draws.
CREATE OR REPLACE FUNCTION pg_temp.draw_low(key text, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT (n * (pg_temp.draw(key || '/1', 1 << 24) * pg_temp.draw(key || '/2', 1 << 24) >> 24))
		>> 24;
$$;

CREATE OR REPLACE FUNCTION pg_temp.pick(list text[], key text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT list[1 + pg_temp.draw(key, cardinality(list))];
$$;

CREATE OR REPLACE FUNCTION pg_temp.uuid_of(key text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT md5(key)::uuid::text;
$$;

-- When the id-th of so many came about: evenly over 1,000 days, less than five
-- minutes late, with microseconds.
CREATE OR REPLACE FUNCTION pg_temp.moment(id bigint, total bigint, key text) RETURNS timestamp
LANGUAGE sql IMMUTABLE AS $$
	SELECT timestamp '2021-10-01 08:00:00'
		+ interval '1 second' * (86400000 * id / total)
		+ interval '1 microsecond' * pg_temp.draw(key || '/moment', 1 << 28);
$$;

-- How many files a row has: none (40 %), one (50 %), two or three.
CREATE OR REPLACE FUNCTION pg_temp.file_count(key text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN d < 8 THEN 0 WHEN d < 18 THEN 1 ELSE d - 16 END::integer
	FROM pg_temp.draw(key || '/files', 20) AS d;
$$;

-- So many paths of files, each in one of the spellings; NULL for none.
CREATE OR REPLACE FUNCTION pg_temp.file_paths(
	folder text, key text, files integer, extension text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT string_agg((ARRAY['uploads/', 'uploads/', '', '/srv/plateforme/uploads/'])
							[1 + pg_temp.draw(key || '/spelling/' || i, 4)]
					  || folder || '/' || md5(key || '/file/' || i) || extension, '|||' ORDER BY i)
	FROM generate_series(1, files) AS i;
$$;

-- The names under which they were uploaded.
CREATE OR REPLACE FUNCTION pg_temp.file_names(
	title text, files integer, extension text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT string_agg(concat(title, CASE WHEN i > 1 THEN ' (' || i || ')' END, extension),
					  '|||' ORDER BY i)
	FROM generate_series(1, files) AS i;
$$;

-- What looks like the hash of a password and opens nothing.
CREATE OR REPLACE FUNCTION pg_temp.password_hash(key text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT '$2b$12$' || left(md5(key || '/salt') || md5(key || '/hash'), 53);
$$;

-- The total shared by rank: the first gets its own size, the others parts that
-- fall as 1/(rank + flatness), or equal ones where flatness is NULL.
CREATE OR REPLACE FUNCTION pg_temp.shares(
	total bigint, members integer, first_size bigint, flatness integer)
RETURNS TABLE (rank integer, size bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT 1, first_size
	UNION ALL
	SELECT r, (total - first_size) * upto / whole - (total - first_size) * (upto - weight) / whole
	FROM (SELECT r, weight,
				 sum(weight) OVER (ORDER BY r)::bigint AS upto,
				 sum(weight) OVER ()::bigint AS whole
		  FROM generate_series(2, members) AS r
			  CROSS JOIN LATERAL (SELECT coalesce(1000000 / (r + flatness), 1) AS weight) AS w
		 ) AS ranks;
$$;

CREATE OR REPLACE FUNCTION pg_temp.words(kind text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $function$
	SELECT string_to_array(translate(CASE kind
		WHEN 'prenom' THEN $$
			Abdoulaye|Adama|Agnès|Aïssatou|Alioune|Aminata|Anaïs|Anne-Sophie|Awa|Babacar|Benoît|
			Bineta|Cécile|Cheikh|Chloé|Coumba|Désiré|Élodie|Étienne|Fatou|François|Gaël|Grégoire|
			Hélène|Ibrahima|Inès|Jean-Baptiste|Jérôme|Khady|Lamine|Loïc|Maïmouna|Mamadou|
			Marie-Noëlle|Marième|Mathilde|Modou|Moussa|Ndèye|Noémie|Océane|Oumar|Ousmane|Pape|
			Rémi|Rokhaya|Sébastien|Sokhna|Thérèse|Valérie|Yacine|Zoé$$
		WHEN 'nom' THEN $$
			Ba|Badji|Bâ-Lemoine|Bénard|Béranger|Camara|Châtelain|Cissé|D'Almeida|Delaître|Diallo|
			Diatta|Dieng|Diop|Diouf|Dubois|Fall|Faye|Fournier|Gomis|Guérin|Gueye|Hébert|Kane|
			L'Hermite|Le Goff|Lefèvre|Lemaître|Lô|Mbaye|Mendy|Moreau|N'Diaye|N'Dour|Ndiaye|Niang|
			Nœudier|Perrin|Préjean|Rousseau|Sagna|Sané|Sarr|Seck|Sène|Sow|Sy|Thiam|Touré|Traoré|
			Vasseur|Wade$$
		WHEN 'angle' THEN $$
			notions de base|l'essentiel à retenir|définitions et premiers exemples|
			une méthode en cinq étapes|approche historique|étude de cas|les erreurs à éviter|
			exercices corrigés|du problème au modèle|rappels et compléments|
			théorème principal et démonstration|mise en œuvre|questions d'examen|
			ce qu'il faut savoir démontrer|préparation à l'épreuve écrite|travaux dirigés n° 1|
			travaux dirigés n° 2|travaux pratiques|synthèse du semestre|
			un exemple traité en détail|limites et critiques|applications à l'économie|
			applications aux données réelles|de l'intuition à la règle générale|état de l'art|
			vocabulaire et notations|l'héritage du XIXᵉ siècle|problèmes ouverts|
			lecture commentée|schémas et représentations|à l'épreuve des faits|
			entraînement à l'oral|où en est-on aujourd'hui ?|cas limites et contre-exemples|
			comparaison des approches|fiche de révision|le point de vue de l'ingénieur|
			aspects numériques|cours d'introduction|séance d'approfondissement$$
		WHEN 'connecteur' THEN $$
			Dans un premier temps,|Par ailleurs,|Cependant,|En effet,|D'une part,|D'autre part,|
			Rappelons que|On remarque que|On peut montrer que|Il faut retenir que|Notons que|
			Ainsi,|De ce fait,|En pratique,|Autrement dit,|Comme nous l'avons vu,|À l'inverse,|
			En revanche,|De plus,|Par conséquent,|À titre d'exemple,|Historiquement,|
			Plus précisément,|En somme,|Toutefois,|Or|Dès lors,|Selon plusieurs auteurs,|
			Du point de vue théorique,|Au-delà de cet exemple,|Contrairement à une idée reçue,|
			Il en résulte que|Soulignons que|L'expérience montre que|Sans perte de généralité,|
			Bien entendu,|Pour fixer les idées,|Réciproquement,|Là encore,|
			Il n'est pas rare que l'on oublie que|Faute de mieux,|À première vue,|Reste que|
			Chose surprenante,$$
		WHEN 'consigne' THEN $$
			Montrer que|Expliquer pourquoi|Justifier que|Vérifier sur un exemple que|Dire en quoi|
			Discuter l'affirmation suivante :|Donner deux raisons pour lesquelles|
			Préciser à quelles conditions|Illustrer par un schéma que|Démontrer par l'absurde que|
			En s'aidant du cours, établir que|Sans calculatrice, vérifier que|
			Rédiger une dizaine de lignes pour montrer que|À partir des documents, établir que|
			Indiquer jusqu'à quel point$$
		WHEN 'sujet' THEN $$
			la démonstration|le théorème précédent|l'hypothèse de départ|la méthode présentée ici|
			cet exemple|le lecteur attentif|la définition retenue|ce résultat|
			l'approche classique|le modèle proposé|cette propriété|la question posée|
			l'analyse des données|le raisonnement par récurrence|l'étude de terrain|ce tableau|
			la jurisprudence récente|le texte étudié|l'enquête menée à Thiès|chaque variable|
			le coefficient obtenu|la courbe tracée|notre interprétation|l'historien|ce principe|
			la lecture de l'arrêt|l'observation au microscope|le dosage réalisé en séance|
			la structure choisie|l'algorithme décrit plus haut|le bilan de l'exercice|
			cette étape intermédiaire|l'auteur du manuel|la preuve par l'exemple|
			le calcul approché|tout échantillon suffisamment grand|l'équation du second degré|
			la norme en vigueur|le schéma de la page suivante|la mesure répétée|l'écart constaté|
			cette lecture naïve|le passage à la limite|la grille d'évaluation|
			l'ensemble des solutions|le groupe témoin|la fonction étudiée|l'énoncé de l'exercice|
			le protocole|cette distinction|la variance empirique|l'argument d'autorité|
			le contre-exemple de Sène|la traduction proposée|l'usage courant|
			le budget prévisionnel|la carte au 1/50 000|ce détour$$
		WHEN 'verbe' THEN $$
			permet de comprendre|met en évidence|s'appuie sur|conduit directement à|précise|
			illustre|ne suffit pas à établir|remet en cause|complète|suppose|dépend de|
			explique en grande partie|fait apparaître|se ramène à|généralise|confirme|rejoint|
			contredit|prolonge|simplifie|laisse de côté|renvoie à|tient compte de|justifie|
			distingue|donne un sens à|traduit|ignore|repose entièrement sur|annonce|résume|
			rend possible|fixe|révèle|mesure|décrit mal|éclaire|n'épuise pas|ouvre la voie à|
			recoupe|déplace|nuance|encadre|quantifie|exclut|prépare$$
		WHEN 'objet' THEN $$
			les limites du modèle|la notion d'équilibre|le choix des paramètres|
			une relation de cause à effet|la convergence de la suite|l'évolution des prix|
			le rôle de l'État|la diversité des pratiques|les conditions initiales|
			un compromis entre coût et précision|la continuité de la fonction|
			l'interprétation du contrat|le sens du mot « nature »|la répartition des revenus|
			une erreur de méthode fréquente|la stabilité du système|les besoins de la population|
			le passage du particulier au général|une borne supérieure|
			la responsabilité de l'administration|l'absorption du médicament|les échanges gazeux|
			la mémoire de l'événement|le coût marginal|la complexité dans le pire des cas|
			une famille libre|l'indépendance des tirages|la séparation des pouvoirs|
			les sources écrites|le point de vue du narrateur|la gestion des stocks|
			un risque de confusion|l'énergie dissipée|la précision des instruments|
			les droits de la défense|le contexte colonial|la croissance démographique|
			un ordre de grandeur|la régulation de la glycémie|l'accès aux soins|
			les objectifs de la séance|le dialogue pédagogique|une structure arborescente|
			la fermeture transitive|les effets de bord|l'intervalle de confiance|
			la pression osmotique|le cycle de l'eau|l'érosion des sols|une politique publique|
			la fiabilité du questionnaire|les préjugés de l'époque|le tempérament du héros|
			la voix passive|un développement limité|la matrice inverse|l'image réciproque|
			le second principe|la vitesse de réaction|les liaisons faibles|une variable latente|
			la dette extérieure|l'élasticité de la demande|le plan comptable|
			la clause de non-concurrence|l'immunité acquise$$
		WHEN 'circonstance' THEN $$
			dans le cas général|à l'aide d'un tableau|au chapitre précédent|
			sous certaines hypothèses|en quelques lignes|à partir d'un exemple simple|
			pour un échantillon assez grand|jusqu'à la fin du siècle|au sens strict|
			sans calcul superflu|à condition de bien choisir l'origine|
			dans la plupart des manuels|lorsque les données sont rares|en Afrique de l'Ouest|
			à court terme|à long terme|par un simple changement de variable|
			devant la cour d'appel|chez l'adulte sain|au laboratoire|sur le terrain|
			dès la première année|en temps constant|à une constante près|pour tout entier naturel|
			avec une marge raisonnable|selon l'article 12|comme l'a montré la crise de 2008|
			au bord du fleuve Sénégal|malgré quelques réserves|si l'on néglige les frottements|
			dans un repère orthonormé|à température ambiante|entre les deux guerres|
			hors de tout contexte|sans que l'on sache pourquoi|à l'échelle régionale|
			pour des raisons de coût|au moins en théorie|du début à la fin|
			aux erreurs d'arrondi près|sous réserve de vérification|
			une fois les unités converties|après trois séances|au premier abord|
			à l'exception des cas dégénérés|tant que la mémoire le permet|
			d'un bout à l'autre du corpus|par voie de conséquence|à l'écrit comme à l'oral$$
		WHEN 'salut' THEN $$
			Bonjour,|Bonsoir,|Merci pour ce chapitre.|Une question :|Bonjour Monsieur,|
			Bonjour Madame,|Très clair, merci !|Je n'ai pas compris la fin :|
			Petite erreur à la page 3 ?|Pour préciser ce qui a été dit en amphi :|
			Réponse à la question d'hier :|À noter :$$
		END, E'\n\t', ''), '|');
$function$;

-- A sentence of about 130 bytes that begins with one of the openings.
CREATE OR REPLACE FUNCTION pg_temp.sentence(openings text[], key text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat_ws(' ', pg_temp.pick(openings, key || 'a'),
					 pg_temp.pick(pg_temp.words('sujet'), key || 'b'),
					 pg_temp.pick(pg_temp.words('verbe'), key || 'c'),
					 pg_temp.pick(pg_temp.words('objet'), key || 'd'),
					 pg_temp.pick(pg_temp.words('circonstance'), key || 'e'),
					 CASE pg_temp.draw(key || 'f', 6)
						 WHEN 0 THEN '(exercice ' || pg_temp.draw(key || 'g', 1000) || ')'
						 WHEN 1 THEN ': x = ' || pg_temp.draw(key || 'g', 100)
							 || ',' || pg_temp.draw(key || 'h', 1000)
						 ELSE '(' || pg_temp.pick(pg_temp.words('nom'), key || 'g')
							 || ' et ' || pg_temp.pick(pg_temp.words('nom'), key || 'h')
							 || ', ' || 1955 + pg_temp.draw(key || 'i', 65)
							 || ', p. ' || pg_temp.draw(key || 'j', 500) || ')'
					 END) || '.';
$$;

-- So many of them, four in a paragraph.
CREATE OR REPLACE FUNCTION pg_temp.sentences(openings text[], key text, n bigint) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT string_agg(pg_temp.sentence(openings, key || '/' || s),
					  CASE WHEN mod(s, 4) = 1 THEN E'\n\n' ELSE ' ' END ORDER BY s)
	FROM generate_series(1, n) AS s;
$$;

CREATE OR REPLACE FUNCTION pg_temp.known_universities()
RETURNS TABLE (n integer, id text, nom text)
LANGUAGE sql IMMUTABLE AS $$
	VALUES (1, 'ucad', 'Université Cheikh Anta Diop de Dakar'),
		   (2, 'ugb', 'Université Gaston Berger de Saint-Louis'),
		   (3, 'uadb', 'Université Alioune Diop de Bambey'),
		   (4, 'uasz', 'Université Assane Seck de Ziguinchor'),
		   (5, 'uidt', 'Université Iba Der Thiam de Thiès'),
		   (6, 'uam', 'Université Amadou Mahtar Mbow de Diamniadio'),
		   (7, 'unchk', 'Université numérique Cheikh Hamidou Kane'),
		   (8, 'ussein', 'Université du Sine-Saloum El-Hâdj Ibrahima Niass');
$$;

CREATE OR REPLACE FUNCTION pg_temp.domains()
RETURNS TABLE (n integer, nom text, code text, disciplines text[], codes text[], topics text[])
LANGUAGE sql IMMUTABLE AS $$
	SELECT n, nom, code, string_to_array(disciplines, '|'), string_to_array(codes, '|'),
		   string_to_array(translate(topics, E'\n\t', ''), '|')
	FROM (VALUES
		(1, 'UFR Sciences et technologies', 'SAT',
		 'Informatique|Mathématiques|Physique|Chimie|Biologie|Géologie',
		 'INFO|MATH|PHYS|CHIM|BIO|GEOL', '
			Algorithmique|Analyse réelle|Algèbre linéaire|Bases de données|Structures de données|
			Probabilités et statistiques|Mécanique du point|Optique géométrique|Électromagnétisme|
			Thermodynamique|Chimie organique|Chimie des solutions|Biologie cellulaire|Génétique|
			Systèmes d''exploitation|Réseaux|Logique et ensembles|Géométrie de l''espace|
			Architecture des ordinateurs|Programmation orientée objet'),
		(2, 'UFR Lettres et sciences humaines', 'LSH',
		 'Lettres modernes|Histoire|Géographie|Sociologie|Philosophie|Anglais',
		 'LETT|HIST|GEOG|SOCIO|PHILO|ANGL', '
			Littérature française du XVIIᵉ siècle|Littérature africaine d''expression française|
			Stylistique|Grammaire et linguistique|Histoire de l''Afrique précoloniale|
			Histoire de la décolonisation|Méthodologie de l''histoire|Géographie physique|
			Géographie urbaine|Cartographie|Sociologie de la famille|Théories sociologiques|
			Méthodes d''enquête|Philosophie morale|Épistémologie|Esthétique|Phonétique anglaise|
			Civilisation britannique|Version et thème|Poésie et théâtre'),
		(3, 'UFR Sciences juridiques et politiques', 'SJP',
		 'Droit privé|Droit public|Science politique|Administration publique|'
		 'Relations internationales|Criminologie',
		 'DPRIV|DPUB|SCPO|ADMP|RI|CRIM', '
			Introduction au droit|Droit des obligations|Droit de la famille|Droit constitutionnel|
			Droit administratif|Droit pénal général|Procédure pénale|Procédure civile|
			Droit des affaires|Droit du travail|Finances publiques|Libertés fondamentales|
			Droit international public|Histoire des institutions|Théorie de l''État|
			Sociologie politique|Politiques publiques|Organisations africaines|Droit foncier|
			Droit de l''environnement'),
		(4, 'UFR Sciences économiques et de gestion', 'SEG',
		 'Économie|Gestion|Comptabilité|Finance|Marketing|Banque et assurance',
		 'ECO|GEST|COMPTA|FIN|MKT|BQA', '
			Microéconomie|Macroéconomie|Économie du développement|Comptabilité générale|
			Comptabilité analytique|Mathématiques financières|Statistiques descriptives|
			Économétrie|Gestion des ressources humaines|Management stratégique|
			Marketing des services|Étude de marché|Fiscalité de l''entreprise|Audit interne|
			Marchés financiers|Monnaie et crédit|Économie internationale|Entrepreneuriat|
			Droit des sociétés|Histoire de la pensée économique'),
		(5, 'UFR Sciences de la santé', 'SANTE',
		 'Médecine|Pharmacie|Soins infirmiers|Santé publique|Biologie médicale|Odontologie',
		 'MED|PHARMA|SINF|SPUB|BIOMED|ODONTO', '
			Anatomie générale|Physiologie cardiovasculaire|Biochimie structurale|Histologie|
			Embryologie|Immunologie|Bactériologie|Virologie|Parasitologie|Pharmacologie|
			Hématologie|Sémiologie|Épidémiologie|Biostatistique|Éthique médicale|Nutrition|
			Santé de la mère et de l''enfant|Soins d''urgence|Imagerie médicale|
			Économie de la santé'),
		(6, 'UFR Sciences de l''éducation, de la formation et du sport', 'SEFS',
		 'Sciences de l''éducation|Formation des maîtres|Sport|Psychologie|Communication|'
		 'Documentation',
		 'EDUC|FORM|STAPS|PSYCHO|COM|DOC', '
			Psychologie de l''enfant|Psychologie sociale|Didactique du français|
			Didactique des mathématiques|Histoire de l''éducation|Sociologie de l''école|
			Évaluation des apprentissages|Ingénierie de formation|Technologies éducatives|
			Physiologie de l''effort|Entraînement sportif|Sports collectifs|
			Communication interpersonnelle|Sémiologie de l''image|Journalisme|Archivistique|
			Recherche documentaire|Pédagogie différenciée|Éducation à la citoyenneté|
			Gestion de classe')
	) AS domain (n, nom, code, disciplines, codes, topics);
$$;

/*
 * Fill the reference tables of a schema.  What is not given follows the scale;
 * skewed => false makes filieres and professors equally large, but for
 * info_l1_chapters and dupont_chapters where these are given.  A chapter has
 * text_kb KB of text: half of it the course, a quarter each the exercises and
 * their solutions.
 */
CREATE OR REPLACE FUNCTION pg_temp.generate_catalogue(
	schema name,
	scale numeric DEFAULT 1,
	universities_total integer DEFAULT NULL,
	ufrs_total integer DEFAULT NULL,
	filieres_total integer DEFAULT NULL,
	subjects_total integer DEFAULT NULL,
	professors_total integer DEFAULT NULL,
	students_total integer DEFAULT NULL,
	chapters_total integer DEFAULT NULL,
	comments_total integer DEFAULT NULL,
	notifications_total integer DEFAULT NULL,
	info_l1_chapters integer DEFAULT NULL,
	dupont_chapters integer DEFAULT NULL,
	skewed boolean DEFAULT true,
	text_kb integer DEFAULT 4)
RETURNS TABLE (relation regclass, row_count bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off	-- compiling takes longer than a small tree takes to fill
SET debug_discard_caches = 0	-- nothing of ours is tested here
AS $function$
DECLARE
	-- UFRs follow the universities and subjects the filieres, even those given.
	universities CONSTANT integer := coalesce(universities_total, greatest(2, round(8 * scale)));
	ufrs CONSTANT integer := coalesce(ufrs_total, greatest(2 * universities, round(40 * scale)));
	filieres CONSTANT integer := coalesce(filieres_total, greatest(8, round(400 * scale)));
	subjects CONSTANT integer := coalesce(subjects_total, 20 * filieres);
	professors CONSTANT integer := coalesce(professors_total, greatest(3, round(100 * scale)));
	students CONSTANT integer := coalesce(students_total, greatest(30, round(12000 * scale)));
	chapters CONSTANT integer := coalesce(chapters_total, greatest(50, round(20000 * scale)));
	comments CONSTANT integer := coalesce(comments_total, round(30000 * scale));
	notifications CONSTANT integer := coalesce(notifications_total, round(30000 * scale));
	administrators CONSTANT integer := greatest(universities + 1, round(20 * scale));
	contents CONSTANT integer := greatest(20, round(4000 * scale));
	messages CONSTANT integer := greatest(20, round(2000 * scale));
	courses CONSTANT integer := greatest(20, round(3000 * scale));
	readers_per_message CONSTANT integer := 15;

	largest_filiere CONSTANT integer := coalesce(info_l1_chapters,
		CASE WHEN skewed THEN greatest(chapters / 20, 2 * chapters / (filieres + 1))
			ELSE chapters / nullif(filieres, 0) END);
	largest_author CONSTANT integer := coalesce(dupont_chapters,
		CASE WHEN skewed THEN greatest(chapters / 40, chapters / nullif(professors, 0))
			ELSE chapters / nullif(professors, 0) END);

	-- Chapters draw their texts from so many, under headings of their own.
	prose_pool CONSTANT integer := least(1024, greatest(64, chapters / 16));

	table_name name;
BEGIN
	IF least(universities, ufrs, students, chapters) < 1 OR least(filieres, professors) < 2
		OR subjects < filieres OR least(comments, notifications, text_kb) < 0
		OR least(largest_filiere, largest_author) < 0
		OR greatest(largest_filiere, largest_author) > chapters
	THEN
		RAISE EXCEPTION 'sizes do not make a catalogue'
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'There must be two filières, two professors, a subject for each filière '
					'and one of everything else, and "info-l1" and "dupont" cannot have more '
					'chapters than there are.';
	END IF;

	/*
	 * The plan: who is where in the tree, who writes what and when.  A filiere
	 * is known by its rank, everything else by its number.
	 */
	CREATE TEMPORARY TABLE generated_filiere AS
	SELECT f.rank, f.size, place.university, place.ufr,
		   CASE f.rank WHEN 1 THEN 'info-l1' WHEN 2 THEN 'math-l1'
			   ELSE pg_temp.uuid_of('filiere/' || f.rank) END AS id,
		   pg_temp.uuid_of('ufr/' || place.ufr) AS ufr_id,
		   coalesce(u.id, pg_temp.uuid_of('universite/' || place.university)) AS universite_id,
		   level.niveau, level.semestre,
		   d.disciplines[place.nth % 6 + 1] AS discipline,
		   concat(level.nom || ' ' || d.disciplines[place.nth % 6 + 1],
				  CASE WHEN place.nth >= 30 THEN ', groupe ' || place.nth / 30 + 1 END) AS nom,
		   concat(d.codes[place.nth % 6 + 1] || '-' || level.niveau,
				  CASE WHEN place.nth >= 30 THEN '-G' || place.nth / 30 + 1 END) AS code,
		   d.topics,
		   (subjects - f.rank) / filieres + 1 AS subject_count
	FROM pg_temp.shares(chapters, filieres, largest_filiere, CASE WHEN skewed THEN 3 END) AS f
		-- The second stands beside the first, and the others go round the UFRs from there.
		CROSS JOIN LATERAL (SELECT greatest(f.rank - 2, 0) AS n) AS round
		CROSS JOIN LATERAL (SELECT round.n % ufrs + 1 AS ufr,
								   round.n % ufrs % universities + 1 AS university,
								   round.n / ufrs + CASE WHEN f.rank > 1 AND round.n % ufrs = 0
														THEN 1 ELSE 0 END AS nth) AS place
		-- Six disciplines and five levels meet in thirty ways.
		JOIN (VALUES (0, 'L1', 'Licence 1', 1), (1, 'L2', 'Licence 2', 3),
					 (2, 'L3', 'Licence 3', 5), (3, 'M1', 'Master 1', 7), (4, 'M2', 'Master 2', 9)
			 ) AS level (n, niveau, nom, semestre) ON level.n = place.nth / 2 % 5
		JOIN pg_temp.domains() AS d ON d.n = (place.ufr - 1) / universities % 6 + 1
		LEFT JOIN pg_temp.known_universities() AS u ON u.n = place.university;

	CREATE TEMPORARY TABLE generated_subject AS
	SELECT m.n, f.rank, pg_temp.uuid_of('matiere/' || m.n) AS id,
		   concat(f.topics[nth.n % 20 + 1],
				  CASE WHEN nth.n >= 20 THEN ' ' || nth.n / 20 + 1 END) AS nom,
		   f.code || '-' || 101 + nth.n AS code,
		   'S' || f.semestre + nth.n % 2 AS semestre
	FROM generate_series(1, subjects) AS m (n)
		CROSS JOIN LATERAL (SELECT (m.n - 1) / filieres AS n) AS nth
		JOIN pg_temp.generated_filiere AS f ON f.rank = (m.n - 1) % filieres + 1;

	-- Ids in hash order scatter a filiere; authors take theirs UFR by UFR.
	CREATE TEMPORARY TABLE generated_chapter AS
	WITH chapter AS (
		SELECT row_number() OVER (ORDER BY md5(f.rank || '/' || i) COLLATE "C")::integer AS id,
			   f.rank, f.university, f.ufr, f.subject_count
		FROM pg_temp.generated_filiere AS f, generate_series(1, f.size) AS i
	), numbered AS (
		SELECT *, row_number() OVER (ORDER BY university, ufr,
									 md5('author/' || id) COLLATE "C") AS place
		FROM chapter
	), author AS (
		SELECT p.rank AS professor, row_number() OVER (ORDER BY p.rank, i) AS place
		FROM pg_temp.shares(chapters, professors, largest_author,
							CASE WHEN skewed THEN 23 END) AS p,
			generate_series(1, p.size) AS i
	)
	SELECT c.id, c.rank, s.n AS subject, a.professor,
		   s.nom || ' : ' || pg_temp.pick(pg_temp.words('angle'), 'titre/' || c.id) AS titre,
		   1 + pg_temp.draw('chapitre/' || c.id, 12) AS chapter_number,
		   CASE
			   WHEN pg_temp.draw('undated/' || c.id, 50) = 0 THEN NULL
			   WHEN pg_temp.draw('imported/' || c.id, 3) = 0
			   THEN timestamp '2021-10-01 03:00:00'
				   + interval '180 days' * (1000 * c.id::bigint / chapters / 180)
			   ELSE pg_temp.moment(c.id - 1, chapters, 'chapitre/' || c.id)
		   END AS created_at
	FROM numbered AS c
		JOIN author AS a USING (place)
		JOIN pg_temp.generated_subject AS s
			ON s.n = c.rank + filieres * pg_temp.draw('matiere/' || c.id, c.subject_count)
	ORDER BY c.id;
	ALTER TABLE pg_temp.generated_chapter ADD PRIMARY KEY (id);

	CREATE TEMPORARY TABLE generated_teaching AS
	SELECT professor, rank, mode() WITHIN GROUP (ORDER BY subject) AS subject,
		   row_number() OVER (PARTITION BY professor ORDER BY count(*) DESC, rank) AS nth
	FROM pg_temp.generated_chapter
	GROUP BY professor, rank;

	-- A professor is at home where he wrote most.
	CREATE TEMPORARY TABLE generated_professor AS
	SELECT p.n, f.rank, coalesce(t.subject, f.rank) AS subject,
		   CASE p.n WHEN 1 THEN 'dupont' ELSE 'prof-' || to_char(p.n, 'FM0000000') END AS username,
		   CASE p.n WHEN 1 THEN 'Dupont'
			   ELSE pg_temp.pick(pg_temp.words('nom'), 'professeur/nom/' || p.n) END AS nom,
		   CASE p.n WHEN 1 THEN 'Joséphine'
			   ELSE pg_temp.pick(pg_temp.words('prenom'), 'professeur/prenom/' || p.n) END AS prenom
	FROM generate_series(1, professors) AS p (n)
		LEFT JOIN pg_temp.generated_teaching AS t ON t.professor = p.n AND t.nth = 1
		JOIN pg_temp.generated_filiere AS f ON f.rank = coalesce(t.rank, 1);

	-- Long rows stay in one piece here: they are read once for each chapter.
	CREATE TEMPORARY TABLE generated_prose (
		n integer PRIMARY KEY, cours text, exercice text, solution text, commentaire text
	) WITH (toast_tuple_target = 8160);
	INSERT INTO pg_temp.generated_prose
	SELECT n, pg_temp.sentences(pg_temp.words('connecteur'), 'cours/' || n, 4 * text_kb),
		   pg_temp.sentences(pg_temp.words('consigne'), 'exercice/' || n, 2 * text_kb),
		   pg_temp.sentences(pg_temp.words('connecteur'), 'solution/' || n, 2 * text_kb),
		   pg_temp.sentences(pg_temp.words('connecteur'), 'commentaire/' || n,
							 1 + pg_temp.draw('length/' || n, 11))
	FROM generate_series(0, prose_pool - 1) AS n;

	ANALYZE pg_temp.generated_filiere, pg_temp.generated_subject, pg_temp.generated_chapter,
		pg_temp.generated_teaching, pg_temp.generated_professor, pg_temp.generated_prose;

	-- The tree

	EXECUTE format($sql$
		INSERT INTO %1$I.universites
			(id, nom, code, logo_url, logo_data, logo_content_type, created_at)
		SELECT coalesce(k.id, pg_temp.uuid_of('universite/' || u.n)),
			   coalesce(k.nom, 'Université régionale n° ' || u.n),
			   coalesce(upper(k.id), 'UR' || u.n),
			   '/static/logos/' || md5('logo/' || u.n) || '.png',
			   '\x89504e470d0a1a0a'::bytea
				   || (SELECT string_agg(decode(md5('pixels/' || u.n || '/' || i), 'hex'), ''
										 ORDER BY i)
					   FROM generate_series(1, 640 + pg_temp.draw('logo/' || u.n, 5760)) AS i),
			   'image/png',
			   timestamp '2021-09-01 09:00:00' + interval '1 day' * u.n
		FROM generate_series(1, $1) AS u (n)
			LEFT JOIN pg_temp.known_universities() AS k USING (n)
		ORDER BY u.n
	$sql$, schema) USING universities;

	EXECUTE format($sql$
		INSERT INTO %1$I.ufrs (id, nom, code, universite_id, created_at)
		SELECT pg_temp.uuid_of('ufr/' || ufr.n),
			   concat(d.nom, CASE WHEN cycle.n > 0 THEN ', site ' || cycle.n + 1 END),
			   concat(d.code, CASE WHEN cycle.n > 0 THEN '-' || cycle.n + 1 END),
			   coalesce(k.id, pg_temp.uuid_of('universite/' || mod(ufr.n - 1, $2) + 1)),
			   timestamp '2021-09-10 09:00:00' + interval '1 hour' * ufr.n
		FROM generate_series(1, $1) AS ufr (n)
			CROSS JOIN LATERAL (SELECT (ufr.n - 1) / $2 / 6 AS n) AS cycle
			JOIN pg_temp.domains() AS d ON d.n = mod((ufr.n - 1) / $2, 6) + 1
			LEFT JOIN pg_temp.known_universities() AS k ON k.n = mod(ufr.n - 1, $2) + 1
		ORDER BY ufr.n
	$sql$, schema) USING ufrs, universities;

	EXECUTE format($sql$
		INSERT INTO %1$I.filieres (id, nom, code, ufr_id, created_at)
		SELECT id, nom, code, ufr_id, timestamp '2021-09-15 09:00:00' + interval '1 minute' * rank
		FROM pg_temp.generated_filiere
		ORDER BY rank
	$sql$, schema);

	EXECUTE format($sql$
		INSERT INTO %1$I.matieres (id, nom, code, filiere_id, niveau, semestre, created_at)
		SELECT s.id, s.nom, s.code, f.id, f.niveau, s.semestre,
			   timestamp '2021-09-20 09:00:00' + interval '1 second' * s.n
		FROM pg_temp.generated_subject AS s
			JOIN pg_temp.generated_filiere AS f USING (rank)
		ORDER BY s.n
	$sql$, schema);

	-- People

	EXECUTE format($sql$
		INSERT INTO %1$I.administrateurs
			(id, username, password_hash, nom, prenom, is_main_admin, actif, universite_id,
			 created_at)
		SELECT a.n, CASE a.n WHEN 1 THEN 'admin' ELSE 'admin-' || to_char(a.n, 'FM0000000') END,
			   pg_temp.password_hash('administrateur/' || a.n),
			   pg_temp.pick(pg_temp.words('nom'), 'administrateur/nom/' || a.n),
			   pg_temp.pick(pg_temp.words('prenom'), 'administrateur/prenom/' || a.n),
			   a.n = 1, pg_temp.draw('administrateur/actif/' || a.n, 10) > 0 OR a.n = 1,
			   CASE WHEN a.n > 1
				   THEN coalesce(k.id, pg_temp.uuid_of('universite/' || mod(a.n - 2, $2) + 1)) END,
			   timestamp '2021-09-25 09:00:00' + interval '1 hour' * a.n
		FROM generate_series(1, $1) AS a (n)
			LEFT JOIN pg_temp.known_universities() AS k ON k.n = mod(a.n - 2, $2) + 1
		ORDER BY a.n
	$sql$, schema) USING administrators, universities;

	EXECUTE format($sql$
		INSERT INTO %1$I.etudiants
			(id, username, password_hash, nom, prenom, niveau, universite_id, ufr_id, filiere_id,
			 statut_passage, created_at)
		SELECT e.n, 'etu-' || to_char(e.n, 'FM0000000'), pg_temp.password_hash('etudiant/' || e.n),
			   pg_temp.pick(pg_temp.words('nom'), 'etudiant/nom/' || e.n),
			   pg_temp.pick(pg_temp.words('prenom'), 'etudiant/prenom/' || e.n),
			   f.niveau, f.universite_id, f.ufr_id, f.id,
			   pg_temp.pick(ARRAY['admis', 'redoublant', 'en_attente', NULL, NULL],
							'passage/' || e.n),
			   pg_temp.moment(e.n, $1, 'etudiant/' || e.n)
		FROM generate_series(1, $1) AS e (n)
			JOIN pg_temp.generated_filiere AS f
				ON f.rank = 1 + pg_temp.draw_low('etudiant/filiere/' || e.n, $2)
		ORDER BY e.n
	$sql$, schema) USING students, filieres;

	EXECUTE format($sql$
		INSERT INTO %1$I.professeurs
			(id, username, password_hash, nom, prenom, specialite, actif, universite_id, ufr_id,
			 filiere_id, matiere_id, matiere, created_at)
		SELECT p.n, p.username, pg_temp.password_hash('professeur/' || p.n), p.nom, p.prenom,
			   f.discipline, pg_temp.draw('professeur/actif/' || p.n, 20) > 0 OR p.n = 1,
			   f.universite_id, f.ufr_id, f.id, s.id, s.nom,
			   timestamp '2021-09-25 10:00:00' + interval '1 hour' * p.n
		FROM pg_temp.generated_professor AS p
			JOIN pg_temp.generated_filiere AS f USING (rank)
			JOIN pg_temp.generated_subject AS s ON s.n = p.subject
		ORDER BY p.n
	$sql$, schema);

	EXECUTE format($sql$
		INSERT INTO %1$I.professeur_ufrs (professeur_id, ufr_id, created_at)
		SELECT DISTINCT t.professor, f.ufr_id, timestamp '2021-09-30 12:00:00'
		FROM pg_temp.generated_teaching AS t
			JOIN pg_temp.generated_filiere AS f USING (rank)
		ORDER BY t.professor, f.ufr_id
	$sql$, schema);

	EXECUTE format($sql$
		INSERT INTO %1$I.professeur_filieres (professeur_id, filiere_id, created_at)
		SELECT t.professor, f.id, timestamp '2021-09-30 12:00:00'
		FROM pg_temp.generated_teaching AS t
			JOIN pg_temp.generated_filiere AS f USING (rank)
		ORDER BY t.professor, t.nth
	$sql$, schema);

	-- What they write

	EXECUTE format($sql$
		INSERT INTO %1$I.chapitres_complets
			(id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre,
			 cours_texte, cours_fichier_nom, cours_fichier_path,
			 exercice_texte, exercice_fichier_nom, exercice_fichier_path,
			 solution_texte, solution_fichier_nom, solution_fichier_path,
			 created_by, created_at)
		SELECT c.id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
			   'Chapitre ' || chapter_number, titre,
			   concat_ws(E'\n\n', titre,
						 (SELECT cours FROM pg_temp.generated_prose
						  WHERE n = pg_temp.draw('cours/' || c.id, $1))),
			   pg_temp.file_names(titre, cours_files, '.pdf'),
			   pg_temp.file_paths('cours', 'cours/' || c.id, cours_files, '.pdf'),
			   concat_ws(E'\n\n', 'Exercices : ' || titre,
						 (SELECT exercice FROM pg_temp.generated_prose
						  WHERE n = pg_temp.draw('exercice/' || c.id, $1))),
			   pg_temp.file_names('Exercices ' || c.id, exercice_files, '.docx'),
			   pg_temp.file_paths('exercices', 'exercice/' || c.id, exercice_files, '.docx'),
			   concat_ws(E'\n\n', 'Solutions : ' || titre,
						 (SELECT solution FROM pg_temp.generated_prose
						  WHERE n = pg_temp.draw('solution/' || c.id, $1))),
			   pg_temp.file_names('Solutions ' || c.id, solution_files, '.pdf'),
			   pg_temp.file_paths('solutions', 'solution/' || c.id, solution_files, '.pdf'),
			   username, created_at
		FROM (SELECT c.id, f.universite_id, f.ufr_id, f.id AS filiere_id, s.id AS matiere_id,
					 f.niveau, s.semestre, c.chapter_number, c.titre, p.username, c.created_at,
					 pg_temp.file_count('cours/' || c.id) AS cours_files,
					 pg_temp.file_count('exercice/' || c.id) AS exercice_files,
					 pg_temp.file_count('solution/' || c.id) AS solution_files
			  FROM pg_temp.generated_chapter AS c
				  JOIN pg_temp.generated_filiere AS f USING (rank)
				  JOIN pg_temp.generated_subject AS s ON s.n = c.subject
				  JOIN pg_temp.generated_professor AS p ON p.n = c.professor
			  -- Sorted before the texts come to it, and kept so by the OFFSET.
			  ORDER BY c.id OFFSET 0) AS c
	$sql$, schema) USING prose_pool;

	EXECUTE format($sql$
		INSERT INTO %1$I.contents
			(id, niveau, semestre, chapitre, type, texte, fichier_nom, fichier_path, matiere_id,
			 created_by, created_at)
		SELECT k.n, f.niveau, s.semestre,
			   'Chapitre ' || 1 + pg_temp.draw('content/chapitre/' || k.n, 12),
			   pg_temp.pick(ARRAY['cours', 'exercice', 'solution'], 'content/type/' || k.n),
			   prose.solution,
			   pg_temp.file_names('Support ' || k.n, files.n, '.pdf'),
			   pg_temp.file_paths('contents', 'content/' || k.n, files.n, '.pdf'),
			   CASE WHEN pg_temp.draw('content/matiere/' || k.n, 3) > 0 THEN s.id END,
			   p.username, pg_temp.moment(k.n, $1, 'content/' || k.n)
		FROM generate_series(1, $1) AS k (n)
			CROSS JOIN LATERAL (SELECT pg_temp.file_count('content/' || k.n) AS n) AS files
			JOIN pg_temp.generated_professor AS p
				ON p.n = 1 + pg_temp.draw_low('content/professeur/' || k.n, $2)
			JOIN pg_temp.generated_filiere AS f USING (rank)
			JOIN pg_temp.generated_subject AS s ON s.n = p.subject
			JOIN pg_temp.generated_prose AS prose ON prose.n = pg_temp.draw('content/' || k.n, $3)
		ORDER BY k.n
	$sql$, schema) USING contents, professors, prose_pool;

	EXECUTE format($sql$
		INSERT INTO %1$I.commentaires
			(id, texte, chapitre_id, auteur_type, auteur_id, auteur_nom, created_at)
		SELECT k.n,
			   pg_temp.pick(pg_temp.words('salut'), 'comment/' || k.n) || ' ' || prose.commentaire,
			   newest.chapter - pg_temp.draw_low('comment/chapitre/' || k.n, newest.chapter),
			   author.type, coalesce(p.n, e.id),
			   coalesce(p.prenom || ' ' || p.nom, e.prenom || ' ' || e.nom),
			   pg_temp.moment(k.n, $1, 'comment/' || k.n) + interval '5 minutes'
		FROM generate_series(1, $1) AS k (n)
			CROSS JOIN LATERAL (SELECT greatest(1, k.n::bigint * $2 / $1) AS chapter) AS newest
			CROSS JOIN LATERAL (SELECT CASE pg_temp.draw('comment/type/' || k.n, 20)
										   WHEN 0 THEN 'professeur'
										   WHEN 1 THEN 'prof'
										   WHEN 2 THEN 'prof'
										   ELSE 'etudiant'
									   END AS type) AS author
			JOIN pg_temp.generated_prose AS prose
				ON prose.n = pg_temp.draw('comment/texte/' || k.n, $3)
			LEFT JOIN pg_temp.generated_professor AS p
				ON author.type <> 'etudiant'
				AND p.n = 1 + pg_temp.draw_low('comment/auteur/' || k.n, $4)
			LEFT JOIN %1$I.etudiants AS e
				ON author.type = 'etudiant'
				AND e.id = 1 + pg_temp.draw('comment/auteur/' || k.n, $5)
		ORDER BY k.n
	$sql$, schema) USING comments, chapters, prose_pool, professors, students;

	EXECUTE format($sql$
		INSERT INTO %1$I.notifications
			(id, type, message, destinataire_type, destinataire_id, lien, lue, created_at,
			 chapitre_id, universite_id)
		SELECT k.n, kind.type,
			   CASE kind.type
				   WHEN 'nouveau_chapitre' THEN 'Nouveau chapitre : ' || c.titre
				   WHEN 'commentaire' THEN 'Nouveau commentaire sur votre chapitre : ' || c.titre
				   WHEN 'reponse' THEN 'Réponse à votre commentaire sur : ' || c.titre
				   WHEN 'cours' THEN 'Un cours en ligne commence bientôt'
				   ELSE 'Message de l''administration : réunion pédagogique'
			   END,
			   addressee.type,
			   CASE
				   WHEN addressee.type = 'etudiant'
				   THEN 1 + pg_temp.draw('notification/' || k.n, $4)
				   WHEN kind.type = 'commentaire' THEN c.professor
				   ELSE 1 + pg_temp.draw_low('notification/' || k.n, $3)
			   END,
			   '/chapitres/' || shown.chapter, pg_temp.draw('notification/lue/' || k.n, 3) > 0,
			   pg_temp.moment(k.n, $1, 'notification/' || k.n) + interval '5 minutes',
			   shown.chapter,
			   CASE WHEN pg_temp.draw('notification/universite/' || k.n, 10) > 0
				   THEN f.universite_id END
		FROM generate_series(1, $1) AS k (n)
			CROSS JOIN LATERAL (SELECT CASE
										   WHEN d < 13 THEN 'nouveau_chapitre'
										   WHEN d < 17 THEN 'commentaire'
										   WHEN d = 17 THEN 'reponse'
										   WHEN d = 18 THEN 'cours'
										   ELSE 'annonce'
									   END AS type
								FROM pg_temp.draw('notification/type/' || k.n, 20) AS d) AS kind
			CROSS JOIN LATERAL (SELECT CASE
										   WHEN kind.type IN ('nouveau_chapitre', 'cours')
										   THEN 'etudiant'
										   WHEN pg_temp.draw('notification/spelling/' || k.n, 3) = 0
										   THEN 'professeur'
										   ELSE 'prof'
									   END AS type) AS addressee
			CROSS JOIN LATERAL (SELECT greatest(1, k.n::bigint * $2 / $1) AS chapter) AS newest
			JOIN pg_temp.generated_chapter AS c
				ON c.id = newest.chapter
					- pg_temp.draw_low('notification/chapitre/' || k.n, newest.chapter)
			JOIN pg_temp.generated_filiere AS f USING (rank)
			CROSS JOIN LATERAL (SELECT CASE WHEN kind.type NOT IN ('cours', 'annonce')
										   THEN c.id END AS chapter) AS shown
		ORDER BY k.n
	$sql$, schema) USING notifications, chapters, professors, students;

	EXECUTE format($sql$
		INSERT INTO %1$I.messages_prof
			(id, prof_id, contenu, audio_file, date_creation, universite_id, ufr_id, filiere_id,
			 niveau, semestre, matiere_id)
		SELECT k.n, p.n,
			   split_part(prose.commentaire, E'\n\n', 1),
			   CASE WHEN pg_temp.draw('message/audio/' || k.n, 5) = 0
				   THEN pg_temp.file_paths('audio', 'message/' || k.n, 1, '.webm') END,
			   pg_temp.moment(k.n, $1, 'message/' || k.n),
			   f.universite_id,
			   CASE WHEN scope.n > 0 THEN f.ufr_id END,
			   CASE WHEN scope.n > 1 THEN f.id END,
			   CASE WHEN scope.n > 1 THEN f.niveau END,
			   CASE WHEN scope.n > 3 THEN s.semestre END,
			   CASE WHEN scope.n > 3 THEN s.id END
		FROM generate_series(1, $1) AS k (n)
			CROSS JOIN LATERAL (SELECT pg_temp.draw('message/scope/' || k.n, 6) AS n) AS scope
			JOIN pg_temp.generated_professor AS p
				ON p.n = 1 + pg_temp.draw_low('message/professeur/' || k.n, $2)
			JOIN pg_temp.generated_filiere AS f USING (rank)
			JOIN pg_temp.generated_subject AS s ON s.n = p.subject
			JOIN pg_temp.generated_prose AS prose ON prose.n = pg_temp.draw('message/' || k.n, $3)
		ORDER BY k.n
	$sql$, schema) USING messages, professors, prose_pool;

	-- A message has been shown to a few students of its filiere, or of its university.
	EXECUTE format($sql$
		INSERT INTO %1$I.messages_etudiant_statut
			(id, message_id, etudiant_id, lu, supprime, date_lecture, date_suppression)
		SELECT row_number() OVER (ORDER BY m.id, e.id), m.id, e.id, state.n > 0, state.n = 3,
			   CASE WHEN state.n > 0 THEN m.date_creation + interval '1 hour' * hours.n END,
			   CASE WHEN state.n = 3 THEN m.date_creation + interval '1 day' * hours.n END
		FROM %1$I.messages_prof AS m
			CROSS JOIN LATERAL (SELECT id
								FROM %1$I.etudiants
								WHERE universite_id = m.universite_id
									AND (filiere_id = m.filiere_id OR m.filiere_id IS NULL)
								ORDER BY id
								LIMIT $1) AS e
			CROSS JOIN LATERAL (SELECT pg_temp.draw('statut/' || m.id || '/' || e.id, 4) AS n
							   ) AS state
			CROSS JOIN LATERAL (SELECT 1 + pg_temp.draw('lecture/' || m.id || '/' || e.id, 72) AS n
							   ) AS hours
	$sql$, schema) USING readers_per_message;

	EXECUTE format($sql$
		INSERT INTO %1$I.scheduled_courses
			(id, prof_id, universite_id, ufr_id, filiere_id, matiere_id, filiere, niveau, semestre,
			 matiere, cours_date, cours_heure, duree_minutes, jitsi_link, notification_24h_sent,
			 notification_1h_sent, notification_debut_sent, statut, created_at, updated_at)
		SELECT k.n, p.n, f.universite_id, f.ufr_id, f.id, s.id, f.nom, f.niveau, s.semestre, s.nom,
			   to_char(made.at + interval '7 days', 'YYYY-MM-DD'),
			   to_char(8 + pg_temp.draw('cours/heure/' || k.n, 10), 'FM00') || ':00',
			   60 + 30 * pg_temp.draw('cours/duree/' || k.n, 4),
			   'https://meet.example.org/' || md5('cours/lien/' || k.n),
			   state.n > 0, state.n > 0, state.n > 1,
			   (ARRAY['planifie', 'en_cours', 'termine', 'annule'])[1 + state.n],
			   made.at, made.at + interval '7 days' * sign(state.n)
		FROM generate_series(1, $1) AS k (n)
			CROSS JOIN LATERAL (SELECT pg_temp.moment(k.n, $1, 'cours/' || k.n) AS at) AS made
			CROSS JOIN LATERAL (SELECT pg_temp.draw('cours/statut/' || k.n, 4) AS n) AS state
			JOIN pg_temp.generated_professor AS p
				ON p.n = 1 + pg_temp.draw_low('cours/professeur/' || k.n, $2)
			JOIN pg_temp.generated_filiere AS f USING (rank)
			JOIN pg_temp.generated_subject AS s
				ON s.n = f.rank + $3 * pg_temp.draw('cours/matiere/' || k.n, f.subject_count)
		ORDER BY k.n
	$sql$, schema) USING courses, professors, filieres;

	DROP TABLE pg_temp.generated_filiere, pg_temp.generated_subject, pg_temp.generated_chapter,
		pg_temp.generated_teaching, pg_temp.generated_professor, pg_temp.generated_prose;

	FOREACH table_name IN ARRAY ARRAY[
		'universites', 'ufrs', 'filieres', 'matieres', 'administrateurs', 'etudiants',
		'professeurs', 'professeur_ufrs', 'professeur_filieres', 'chapitres_complets', 'contents',
		'commentaires', 'notifications', 'messages_prof', 'messages_etudiant_statut',
		'scheduled_courses']
	LOOP
		relation := format('%I.%I', schema, table_name)::regclass;
		EXECUTE format('ANALYZE %s', relation);
		EXECUTE format('SELECT count(*) FROM %s', relation) INTO row_count;
		PERFORM setval(pg_get_serial_sequence(relation::text, attname), row_count)
		FROM pg_attribute
		WHERE attrelid = relation AND attname = 'id' AND atttypid = 'integer'::regtype
			AND row_count > 0;
		RETURN NEXT;
	END LOOP;
END
$function$;
