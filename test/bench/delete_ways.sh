# The ways to delete that the benchmark "delete" sets beside each other where every
# key says CASCADE, and whether they come to the same end.  To be sourced, by bash.
#
# The statements have a semicolon between them.
# shellcheck shell=bash

# by the number of a professor

ours() { echo "SELECT * FROM delete_professor_batch('prof$1')"; }
bare() { echo "DELETE FROM professeurs WHERE username = 'prof$1'"; }
same_end() {
	cat <<-SQL
		INSERT INTO deleted_files (path)
		SELECT path FROM (
			SELECT concat_ws('|||', cours_fichier_path, exercice_fichier_path, solution_fichier_path)
			FROM chapitres_complets WHERE created_by = 'prof$1'
			UNION ALL SELECT fichier_path FROM contents WHERE created_by = 'prof$1'
			UNION ALL SELECT audio_file FROM messages_prof WHERE prof_id = $1) AS f (paths),
			unnest(string_to_array(paths, '|||')) AS path
		WHERE path <> '';
		DELETE FROM commentaires WHERE auteur_type IN ('prof', 'professeur') AND auteur_id = $1;
		DELETE FROM notifications WHERE destinataire_type IN ('prof', 'professeur') AND destinataire_id = $1;
		$(bare "$1")
	SQL
}

# of the big filière

ours_filiere() { echo "SELECT * FROM delete_with_dependents('filieres', 'big')"; }
bare_filiere() { echo "DELETE FROM filieres WHERE id = 'big'"; }
same_end_filiere() {
	cat <<-SQL
		INSERT INTO deleted_files (path)
		SELECT path FROM (
			SELECT concat_ws('|||', cours_fichier_path, exercice_fichier_path, solution_fichier_path)
			FROM chapitres_complets WHERE filiere_id = 'big'
			UNION ALL SELECT audio_file FROM messages_prof WHERE filiere_id = 'big') AS f (paths),
			unnest(string_to_array(paths, '|||')) AS path
		WHERE path <> '';
		$(bare_filiere)
	SQL
}

# end_state DATABASE STATEMENTS: what they leave, rolled back
end_state() {
	sql -d "$1" <<-SQL
		BEGIN;
		INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
		SELECT 'x', 17005, type, id, 'n' FROM professeurs, unnest(ARRAY['prof', 'professeur', 'etudiant']) AS type;
		INSERT INTO notifications (type, message, destinataire_type, destinataire_id, lue)
		SELECT 't', 'x', type, id, false FROM professeurs, unnest(ARRAY['prof', 'professeur', 'etudiant']) AS type;
		$2 \g /dev/null
		SELECT (SELECT count(*) FROM professeurs), (SELECT count(*) FROM filieres), (SELECT count(*) FROM matieres),
			(SELECT count(*) FROM chapitres_complets), (SELECT count(*) FROM commentaires),
			(SELECT count(*) FROM notifications), (SELECT md5(string_agg(path, ' ' ORDER BY path)) FROM deleted_files);
		ROLLBACK;
	SQL
}

# check_end DATABASE OURS THEIRS
check_end() {
	local ours theirs
	ours=$(end_state "$1" "$2")
	theirs=$(end_state "$1_plain" "$3")
	[ "$ours" = "$theirs" ] || { printf '%s\n' "not the same end in $1:" "$ours" "$theirs" >&2; exit 1; }
}
