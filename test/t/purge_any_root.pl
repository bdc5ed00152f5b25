# purge_with_dependents(), and what a purge does when its root is in the way, is
# renamed, or has gone.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "client_min_messages = notice\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
ALTER DATABASE postgres SET search_path = app;
ALTER TABLE chapitres_complets DROP CONSTRAINT chapitres_complets_created_by_fkey,
	ADD CONSTRAINT chapitres_complets_created_by_fkey FOREIGN KEY (created_by)
	REFERENCES professeurs (username) ON DELETE CASCADE ON UPDATE CASCADE;
CREATE FUNCTION make_professor(i integer, username text, chapters integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO app.professeurs (id, username, password_hash, nom, prenom, specialite) VALUES (i, username, 'x', 'n', 'p', 's');
	INSERT INTO app.chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, cours_fichier_path, created_by)
	SELECT 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', username || '/' || n, username FROM generate_series(1, chapters) AS n;
	INSERT INTO app.commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
	SELECT 't', c.id, 'etudiant', 1, 'n' FROM app.chapitres_complets AS c, generate_series(1, 2) WHERE c.created_by = username;
$$;
SQL

# calls SQL: what psql says of it
sub calls
{
	my ($sql) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	$stderr =~ s/^psql:.*?: //mg;
	$stderr =~ s/^LOCATION: .*\n?//mg;
	chomp $stderr;
	return $stderr;
}

# Starts a slow purge in the background and waits until some batches are done.
sub start_purge
{
	my ($call, $relation, $key) = @_;
	my ($out, $err) = ('', '');
	my $handle = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', $call ], '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT rows_done > 50 AND running FROM professor_purge_progress WHERE relation = '$relation'::regclass AND username = '$key'")
	  or die "$call does not start: $err";
	return ($handle, \$err);
}
sub progress
{
	my ($relation, $key) = @_;
	return $node->safe_psql('postgres', "SELECT phase, rows_done, rows_expected, running FROM professor_purge_progress WHERE relation = '$relation'::regclass AND username = '$key'");
}
my $session_locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ShareUpdateExclusiveLock'";

# A root that a key keeps is refused before anything is committed.
$node->safe_psql('postgres', "SELECT make_professor(1, 'p1', 30)");
$node->safe_psql('postgres', "INSERT INTO contents (niveau, semestre, chapitre, type, matiere_id, created_by) VALUES ('L1', 'S1', 'c', 't', 'm', 'p1')");
like(calls("CALL purge_with_dependents('filieres', 'l', 10)"),
	qr/ERROR:  23503: cannot purge row "l" of table "filieres"\nDETAIL:  1 row references what would be deleted.*\nHINT:  preview_deletion\(\) shows in which tables\./,
	'a row that is in the way');
is($node->safe_psql('postgres', 'SELECT count(*), (SELECT count(*) FROM professor_purges) FROM chapitres_complets'), '30|0', '... before anything is deleted');
$node->safe_psql('postgres', 'CREATE TABLE orders (prof integer REFERENCES professeurs); INSERT INTO orders VALUES (1), (1)');
like(calls("CALL purge_professor('p1', 10)"), qr/ERROR:  23503: cannot purge professor "p1"\nDETAIL:  2 rows .*\nHINT:  preview_professor_deletion\(\)/, '... of a professor');
is($node->safe_psql('postgres', 'SELECT count(*), (SELECT count(*) FROM professor_purges) FROM chapitres_complets'), '30|0', '... neither');
$node->safe_psql('postgres', 'DROP TABLE orders; DELETE FROM contents');

# A filière, and one that never was
my $said = calls("CALL purge_with_dependents('filieres', 'l', 10)");
like($said, qr/NOTICE:  00000: row "l" of table "filieres": \d+ rows deleted/, 'a purge says how far it is');
is(progress('filieres', 'l'), 'finished|92|92|f', '... and that it has finished');
is( $node->safe_psql('postgres', "SELECT count(*), (SELECT count(*) FROM commentaires), (SELECT count(*) FROM deleted_files), (SELECT count(*) FROM professeurs) FROM chapitres_complets"),
	'0|0|30|1', '... with all that depends on it, and no more');
is(calls("CALL purge_with_dependents('filieres', 'l')"), 'NOTICE:  00000: row "l" of table "filieres" has been purged', 'called again, it says so');
like(calls("CALL purge_with_dependents('filieres', 'm')"), qr/ERROR:  P0002: row "m" of table "filieres" does not exist/, '... but not of what never was');
like(calls("CALL purge_with_dependents('ufrs', 'l')"), qr/ERROR:  P0002/, '... nor of another table');
is(calls("CALL purge_professor('p1')"), 'NOTICE:  00000: professor "p1": 1 row deleted', 'a professor with nothing left');
is(calls("CALL purge_professor('p1')"), 'NOTICE:  00000: professor "p1" has been purged', '... called again');
$node->safe_psql('postgres', "SET client_min_messages = warning; INSERT INTO filieres (id, nom, code, ufr_id) VALUES ('l', 'l', 'l', 'f'); INSERT INTO matieres (id, nom, code, filiere_id, niveau, semestre) VALUES ('m', 'm', 'm', 'l', 'L1', 'S1')");
$node->safe_psql('postgres', "SELECT make_professor(1, 'p1', 5)");
like(calls("CALL purge_professor('p1')"), qr/16 rows deleted/, '... and a new one of that name');

# Keys that are spelt in two ways are one.
$node->safe_psql('postgres', "SELECT make_professor(7, 'p7', 1)");
calls("CALL purge_with_dependents('professeurs', ' 007')");
is(progress('professeurs', '7'), 'finished|4|4|f', 'a key in another spelling');

# A professor who is renamed in mid-purge, and another who takes the name
$node->safe_psql('postgres', "SELECT make_professor(2, 'p2', 300)");
my ($handle, $err) = start_purge("CALL purge_professor('p2', 10, '10ms')", 'professeurs', 'p2');
$node->safe_psql('postgres', "UPDATE professeurs SET username = 'renamed' WHERE id = 2; SELECT make_professor(3, 'p2', 20)");
$handle->finish;
unlike($$err, qr/ERROR/, 'a professor who is renamed meanwhile');
is(progress('professeurs', 'p2'), 'finished|901|901|f', '... is purged to the end');
is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT created_by, ','), count(*), (SELECT string_agg(username, ',') FROM professeurs), (SELECT count(*) FROM commentaires) FROM chapitres_complets"),
	'p2|20|p2|40', '... and who took the name stays');

# One who has gone, and a row that got another primary key
$node->safe_psql('postgres', "SELECT make_professor(4, 'p4', 300)");
($handle, $err) = start_purge("CALL purge_professor('p4', 10, '10ms')", 'professeurs', 'p4');
$node->safe_psql('postgres', "DELETE FROM professeurs WHERE id = 4");
$handle->finish;
like($$err, qr/NOTICE:  professor "p4" is gone\nDETAIL:  Another session has deleted the row, or changed its key\./, 'a professor whom another session deletes');
like(progress('professeurs', 'p4'), qr/^gone\|/, '... is no longer there to be purged');
is(calls("CALL purge_professor('p4')"), 'NOTICE:  00000: professor "p4" has been purged', '... called again');
$node->safe_psql('postgres', "SELECT make_professor(5, 'p5', 300)");
($handle, $err) = start_purge("CALL purge_professor('p5', 10, '20ms')", 'professeurs', 'p5');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM professor_purges WHERE username = 'p5'");
$handle->finish;
like($$err, qr/canceling statement/, 'a purge that is cancelled');
$node->safe_psql('postgres', "DELETE FROM professeurs WHERE id = 5");
is(calls("CALL purge_professor('p5')"), 'NOTICE:  00000: professor "p5" has been purged', '... of a professor deleted since, called again');
like(progress('professeurs', 'p5'), qr/^gone\|/, '... is over');

# A block that catches errors is refused, and keeps no lock; so does no other error.
$node->safe_psql('postgres', "SELECT make_professor(6, 'p6', 5)");
is( $node->safe_psql('postgres', <<"SQL"), "0\n1", 'no session lock outlives a purge in a block that catches its error');
SET client_min_messages = warning;
DO \$\$
BEGIN
	CALL purge_professor('p6');
EXCEPTION WHEN invalid_transaction_termination THEN
	RAISE NOTICE '%', SQLERRM;
END
\$\$;
$session_locks;
SELECT count(*) FROM professeurs WHERE username = 'p6';
SQL
is( $node->safe_psql('postgres', <<"SQL"), '0', '... or one that ends');
SET client_min_messages = warning;
DO \$\$ BEGIN CALL purge_professor('p6'); END \$\$;
$session_locks;
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM professeurs WHERE username = 'p6'"), '0', '... outside such a block it runs');
my ($ret, $stdout, $stderr) = $node->psql('postgres', "CALL purge_professor('nobody');\n$session_locks", on_error_stop => 0);
is($stdout, '0', '... or fails');

$node->stop;
done_testing();
