# Purges that end in the middle, again and again: the backend is killed, or the whole
# server.  After each restart there is no orphan, and the outbox has the path of each
# row that is gone, once.  In the end all is as plain DELETE leaves it.
#
# CRASHES=n in the environment: another number of them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $crashes = $ENV{CRASHES} || 100;
my $professors = 5;    # to purge; one more stays
my $stays = 'p' . ($professors + 1);
my $file = PostgreSQL::Test::Utils::tempdir() . '/expected';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
client_min_messages = warning
autovacuum = off
restart_after_crash = on
shared_buffers = 16MB
max_wal_size = 64MB
checkpoint_timeout = 30s
CONF
$node->start;

# Each professor owns chapters with files, comments, notifications that the mapping
# deletes, and replies in a cycle; some rows are set to NULL instead.  What plain
# DELETE leaves is noted first.
$node->safe_psql('postgres', <<"SQL");
\\i test/fixtures/app.sql
\\i test/fixtures/branch.sql
ALTER DATABASE postgres SET search_path = app;
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite)
SELECT i, 'p' || i, 'x', 'n', 'p', 's' FROM generate_series(1, $professors + 1) AS i;
INSERT INTO chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
	chapitre, titre, cours_fichier_path, exercice_fichier_path, created_by)
SELECT i, 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'cours/' || i, 'a' || i || '|||b' || i, 'p' || 1 + i % ($professors + 1)
FROM generate_series(1, 100 * ($professors + 1)) AS i;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', id, 'etudiant', i, 'n' FROM chapitres_complets, generate_series(1, 8) AS i;
INSERT INTO notifications (type, message, destinataire_type, destinataire_id, lue, chapitre_id)
SELECT 't', 'm', 'etudiant', i, false, id FROM chapitres_complets, generate_series(1, 2) AS i;
CREATE TABLE replies (id integer PRIMARY KEY, chapitre_id integer REFERENCES chapitres_complets ON DELETE CASCADE,
	reply_to integer REFERENCES replies ON DELETE CASCADE);
INSERT INTO replies SELECT i, 1 + i % (100 * ($professors + 1)), nullif(i / 2, 0) FROM generate_series(1, 500) AS i;
CREATE TABLE favourites (etudiant integer, chapitre_id integer REFERENCES chapitres_complets ON DELETE SET NULL);
INSERT INTO favourites SELECT i, id FROM chapitres_complets, generate_series(1, 2) AS i;
CREATE VIEW paths_of_chapters AS
SELECT p AS path FROM chapitres_complets, unnest(ARRAY[cours_fichier_path] || string_to_array(exercice_fichier_path, '|||')) AS p;
CREATE TABLE all_paths AS SELECT path FROM paths_of_chapters;
CREATE VIEW left_over AS
SELECT 'chapter ' || id AS what FROM chapitres_complets UNION ALL SELECT 'professor ' || id FROM professeurs
UNION ALL SELECT 'comment ' || id FROM commentaires UNION ALL SELECT 'notification ' || id FROM notifications
UNION ALL SELECT 'reply ' || id FROM replies UNION ALL SELECT 'favourite ' || etudiant || coalesce(chapitre_id, -1) FROM favourites;
CREATE TABLE expected (what text);
CREATE INDEX ON commentaires (chapitre_id);
CREATE INDEX ON notifications (chapitre_id);
CREATE EXTENSION amcheck;
BEGIN;
DELETE FROM notifications USING chapitres_complets AS c WHERE chapitre_id = c.id AND created_by <> '$stays';
DELETE FROM professeurs WHERE id <= $professors;
\\copy (SELECT what FROM left_over ORDER BY 1) TO '$file'
ROLLBACK;
\\copy expected FROM '$file'
ANALYZE;
SQL
$node->safe_psql('postgres', slurp_file('test/fixtures/integrity.sql'));
cmp_ok($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM left_over) - (SELECT count(*) FROM expected)'),
	'>', 1000, 'plain DELETE deletes a lot');

my $check = <<'SQL';
SELECT integrity(), (SELECT count(*) - count(DISTINCT path) FROM deleted_files),
	(SELECT count(*) FROM (SELECT path FROM all_paths EXCEPT (SELECT path FROM deleted_files UNION ALL SELECT path FROM paths_of_chapters)) AS lost),
	(SELECT count(*) FROM deleted_files JOIN paths_of_chapters USING (path))
SQL

# Ends the server in one of two ways while a purge runs, and starts it again.
sub crash
{
	my ($way) = @_;
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL purge_professor%' AND backend_type = 'client backend'});

	if ($way eq 'kill' && $pid)
	{
		my $log_end = -s $node->logfile;
		kill 'KILL', $pid;
		for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			last if slurp_file($node->logfile, $log_end) =~ /ready to accept connections/;
			usleep(20_000);
		}
		return 'the backend is killed';
	}
	$node->stop('immediate');
	$node->start;
	return 'the server is stopped';
}

# A purge in the background, once it has begun.
sub start_purge
{
	my ($user, $batch) = @_;
	my $output = '';
	my $purge = IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL purge_professor('$user', $batch, '25 ms')" ],
		'<', \undef, '>', \$output, '2>', \$output);

	for (1 .. 50 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return $purge if $node->safe_psql('postgres', <<"SQL") eq 't';
SELECT EXISTS (SELECT FROM professor_purges JOIN pg_stat_activity USING (pid) WHERE username = '$user')
	OR NOT EXISTS (SELECT FROM professeurs WHERE username = '$user')
SQL
		usleep(10_000);
	}
	die "the purge of $user does not start: $output";
}

# Each professor sees as many crashes, with batches of 1 to 5 rows, and is purged to
# the end after them; one whose purge was faster leaves the others more.
my $interrupted = 0;
my $professor = 1;
for my $i (1 .. $crashes)
{
	my $user = "p$professor";
	my $purge = start_purge($user, 1 + $i * 7 % 5);

	usleep(1000 * ($i * 37 % 50));
	my $how = crash($i % 2 ? 'kill' : 'stop');
	eval { $purge->finish };
	my $there = $node->safe_psql('postgres', "SELECT count(*) FROM professeurs WHERE username = '$user'");
	$interrupted += $there;
	is($node->safe_psql('postgres', $check), 'sound|0|0|0', "crash $i, of the purge of $user: $how");

	if (!$there || $i >= $professor * $crashes / $professors)
	{
		$node->safe_psql('postgres', "CALL purge_professor('$user', 50)") if $there;
		last if $professor++ == $professors;
	}
}
cmp_ok($interrupted, '>=', 0.5 * $crashes, 'most came in the middle of a purge');
is($node->safe_psql('postgres', '(TABLE expected EXCEPT ALL TABLE left_over) UNION ALL (TABLE left_over EXCEPT ALL TABLE expected)'),
	'', 'the end is that of plain DELETE');
is($node->safe_psql('postgres', $check), 'sound|0|0|0', 'with each path once');
is($node->safe_psql('postgres', "SELECT count(*) FROM professor_purge_progress WHERE percent = 100.0"), $professors, 'and every purge finished');

$node->stop;
done_testing();
