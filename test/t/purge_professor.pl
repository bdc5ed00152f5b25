# purge_professor() that is cancelled, killed or crashes half-way, and then goes
# on: no orphan row, no file lost or doubled, and counts that add up.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "client_min_messages = warning\nautovacuum = off\nrestart_after_crash = on");
$node->start;

$node->safe_psql('postgres', <<'SQL');
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
ALTER DATABASE postgres SET search_path = app;
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite)
SELECT i, 'p' || i, 'x', 'n', 'p', 's' FROM generate_series(1, 6) AS i;
INSERT INTO chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
	chapitre, titre, cours_fichier_path, created_by)
SELECT 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'cours/' || i, 'p' || 1 + i % 6
FROM generate_series(1, 1200) AS i;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', id, 'etudiant', i, 'n' FROM chapitres_complets, generate_series(1, 4) AS i;
-- one chapter of each professor with many more comments than a batch
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', c, 'etudiant', i, 'n' FROM generate_series(1, 6) AS c, generate_series(1, 3000) AS i;
INSERT INTO notifications (type, message, destinataire_type, destinataire_id, lue, chapitre_id)
SELECT 't', 'm', 'etudiant', i, false, id FROM chapitres_complets, generate_series(1, 2) AS i;
CREATE EXTENSION amcheck;
CREATE TABLE statements (relation name, n bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO app.statements SELECT TG_TABLE_NAME, count(*) FROM gone;
	RETURN NULL;
END
$$;
ANALYZE;
SQL

my $integrity = slurp_file('test/fixtures/integrity.sql');
$node->safe_psql('postgres', $integrity);
$integrity =~ s/^--.*\n//mg;
for my $spec (glob 'test/isolation/specs/deletion_*.spec')
{
	ok(index(slurp_file($spec) =~ s/^\t//mgr, $integrity) > 0, "$spec checks integrity in the same way");
}

is( $node->safe_psql('postgres', <<'SQL'), 'commentaires_chapitre_id_fkey is violated', 'it finds an orphan');
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) VALUES ('t', -1, 'etudiant', 1, 'n');
SELECT integrity();
SQL

my $dependents = 200 + 200 * 4 + 3000 + 200 * 2 + 1;

# What must be so at any moment between two transactions.
sub check_consistency
{
	my ($what, $user) = @_;
	is($node->safe_psql('postgres', 'SELECT integrity()'), 'sound', "$what: no orphan row, indexes as the tables");
	is( $node->safe_psql('postgres', <<'SQL'), '0|0', "$what: each file once, and none of a chapter that is there");
SELECT count(*) - count(DISTINCT path), 1200 - count(*) - (SELECT count(*) FROM chapitres_complets) FROM deleted_files
SQL
	is( $node->safe_psql('postgres',
			"SELECT rows_done = $dependents - (SELECT count(*) FROM chapitres_complets WHERE created_by = '$user')
			- (SELECT count(*) FROM commentaires WHERE chapitre_id IN (SELECT id FROM chapitres_complets WHERE created_by = '$user'))
			- (SELECT count(*) FROM notifications WHERE chapitre_id IN (SELECT id FROM chapitres_complets WHERE created_by = '$user'))
			- (SELECT count(*) FROM professeurs WHERE username = '$user')
			FROM professor_purges WHERE username = '$user'"),
		't', "$what: progress is what was deleted");
}

# Starts a slow purge in the background and waits until some batches are done.
sub start_purge
{
	my ($user) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $handle = IPC::Run::start(
		[ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c', "CALL purge_professor('$user', 100, '20ms')" ],
		'<', \$in, '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres',
		"SELECT rows_done > 500 AND running FROM professor_purge_progress WHERE username = '$user'")
	  or die "the purge of $user does not start";
	return ($handle, \$err);
}

my $pid_of = sub { $node->safe_psql('postgres', "SELECT pid FROM professor_purges WHERE username = '$_[0]'") };

# A purge that runs to its end, in statements no larger than a batch
$node->safe_psql('postgres', <<'SQL');
CREATE TRIGGER note AFTER DELETE ON commentaires REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER DELETE ON chapitres_complets REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();
SQL
$node->safe_psql('postgres', "CALL purge_professor('p1', 100)");
check_consistency('a whole purge', 'p1');
is( $node->safe_psql('postgres', 'SELECT max(n) <= 100 FROM statements'), 't', 'no statement deletes more than a batch');
is( $node->safe_psql('postgres', "SELECT phase, percent, running, rows_done = rows_expected FROM professor_purge_progress"),
	'finished|100.0|f|t', 'its progress');
$node->safe_psql('postgres', 'DROP TRIGGER note ON commentaires; DROP TRIGGER note ON chapitres_complets');

# What a deferred trigger deletes when a batch is committed is not limited to the
# rows that a statement through the index may delete.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE drafts AS SELECT i FROM generate_series(1, 500) AS i;
CREATE TABLE cleared (n bigint);
CREATE FUNCTION clear_drafts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	DELETE FROM app.drafts;
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO app.cleared VALUES (n);
	INSERT INTO app.drafts SELECT i FROM generate_series(1, 500) AS i;
	RETURN NULL;
END
$$;
CREATE INDEX commentaires_chapitre_id ON commentaires (chapitre_id);
CREATE CONSTRAINT TRIGGER clear_drafts AFTER DELETE ON commentaires DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION clear_drafts();
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite) VALUES (10, 'p10', 'x', 'n', 'p', 's');
INSERT INTO chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, created_by)
SELECT 2000 + i, 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'p10' FROM generate_series(1, 20) AS i;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', 2000 + i, 'etudiant', 1, 'n' FROM generate_series(1, 20) AS i, generate_series(1, 2);
SQL
$node->safe_psql('postgres', "CALL purge_professor('p10', 11)");
is($node->safe_psql('postgres', 'SELECT DISTINCT n FROM cleared'), '500', 'a deferred trigger deletes all that it wants to');
$node->safe_psql('postgres', 'DROP TABLE drafts, cleared; DROP FUNCTION clear_drafts CASCADE; DROP INDEX commentaires_chapitre_id');

# Memory does not grow with the commits, but for a few bytes that the server itself
# leaves at each.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE memory (i serial, bytes bigint);
CREATE FUNCTION note_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.memory (bytes) SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name = 'SPI Proc';
	RETURN NULL;
END
$$;
CREATE TRIGGER note_memory AFTER DELETE ON chapitres_complets EXECUTE FUNCTION note_memory();
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite) VALUES (11, 'p11', 'x', 'n', 'p', 's');
INSERT INTO chapitres_complets (id, universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, created_by)
SELECT 3000 + i, 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'p11' FROM generate_series(1, 300) AS i;
INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
SELECT 't', 3000 + i, 'etudiant', 1, 'n' FROM generate_series(1, 300) AS i, generate_series(1, 2);
SQL
$node->safe_psql('postgres', "CALL purge_professor('p11', 1)");
is( $node->safe_psql('postgres', 'SELECT max(bytes) FILTER (WHERE i > 250) - max(bytes) FILTER (WHERE i <= 50) < 32768 FROM memory'),
	't', 'memory does not grow with the commits');
$node->safe_psql('postgres', 'DROP TABLE memory; DROP FUNCTION note_memory CASCADE');

# Cancelled
my ($handle, $err) = start_purge('p2');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $pid_of->('p2') . ')');
$handle->finish;
like($$err, qr/canceling statement due to user request/, 'a purge can be cancelled');
check_consistency('cancelled', 'p2');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ShareUpdateExclusiveLock'"),
	'0', 'a cancelled purge holds no lock');
$node->safe_psql('postgres', "CALL purge_professor('p2', 100)");
check_consistency('cancelled and called again', 'p2');

# A lock that is not to be had
my $holder = IPC::Run::start(
	[ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-c',
		"BEGIN; SELECT FROM chapitres_complets WHERE created_by = 'p3' ORDER BY id DESC LIMIT 1 FOR UPDATE; SELECT pg_sleep(600)" ],
	'>', \my $unused, '2>', \my $unused_too);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'");
my ($ret, $stdout, $stderr) = $node->psql('postgres', "CALL purge_professor('p3', 50)", connstr => $node->connstr('postgres') . " options='-c lock_timeout=100ms'");
like($stderr, qr/canceling statement due to lock timeout/, 'lock_timeout ends a purge');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
eval { $holder->finish };
check_consistency('lock timeout', 'p3');
$node->safe_psql('postgres', "CALL purge_professor('p3', 100)");
check_consistency('lock timeout, called again', 'p3');

# Two at once, and meanwhile a new chapter, and a new table that refers to the
# professors by a new column
($handle, $err) = start_purge('p4');
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE professeurs ADD badge integer;
UPDATE professeurs SET badge = id;
ALTER TABLE professeurs ADD UNIQUE (badge);
CREATE TABLE badges (badge integer REFERENCES professeurs (badge) ON DELETE CASCADE);
INSERT INTO badges SELECT badge FROM professeurs WHERE username = 'p4';
INSERT INTO chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, created_by)
VALUES ('u', 'f', 'l', 'm', 'L1', 'S1', 'new', 't', 'p4');
SQL
($ret, $stdout, $stderr) = $node->psql('postgres', "CALL purge_professor('p4', 100)",
	connstr => $node->connstr('postgres') . " options='-c client_min_messages=notice'");
$handle->finish;
is($$err, '', 'the first of two purges ends without an error');
like($stderr, qr/waiting for another purge of professor "p4"/, 'the second says that it waits');
like($stderr, qr/professor "p4" has been purged/, 'and finds nothing left');
is( $node->safe_psql('postgres', "SELECT count(*) FROM chapitres_complets WHERE created_by = 'p4'"), '0', 'the new chapter went too');
is($node->safe_psql('postgres', 'SELECT count(*) FROM badges'), '0', 'and the row of the new table');

# A killed backend takes the server down and up; so does an immediate stop.  The
# server answers until it notices.
($handle, $err) = start_purge('p5');
my $log_end = -s $node->logfile;
kill 'KILL', $pid_of->('p5');
eval { $handle->finish };
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if slurp_file($node->logfile, $log_end) =~ /ready to accept connections/;
	usleep(100_000);
}
check_consistency('killed', 'p5');
$node->safe_psql('postgres', "CALL purge_professor('p5', 100)");
check_consistency('killed and called again', 'p5');

($handle, $err) = start_purge('p6');
$node->stop('immediate');
eval { $handle->finish };
$node->start;
check_consistency('immediate stop', 'p6');
$node->safe_psql('postgres', "CALL purge_professor('p6', 100)");
check_consistency('immediate stop and called again', 'p6');

# A purge whose professor another session deletes while it sleeps ends without an
# error; one whose rights are revoked does not continue.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite)
SELECT i, 'p' || i, 'x', 'n', 'p', 's' FROM generate_series(7, 8) AS i;
INSERT INTO chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, created_by)
SELECT 'u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'p' || 7 + i % 2 FROM generate_series(1, 4000) AS i;
CREATE ROLE secretary;
GRANT USAGE ON SCHEMA app TO secretary;
GRANT SELECT (username), DELETE ON professeurs TO secretary;
GRANT DELETE ON chapitres_complets, commentaires, notifications TO secretary;
SQL
($handle, $err) = start_purge('p7');
$node->safe_psql('postgres', "DELETE FROM professeurs WHERE username = 'p7'");
$handle->finish;
is($$err, '', 'a purge of a professor who was deleted ends without an error');
is($node->safe_psql('postgres', 'SELECT integrity()'), 'sound', '... with nothing left of them');
{
	local $ENV{PGOPTIONS} = '-c role=secretary';
	($handle, $err) = start_purge('p8');
}
$node->safe_psql('postgres', 'REVOKE DELETE ON chapitres_complets FROM secretary');
$handle->finish;
like($$err, qr/permission denied for table chapitres_complets/, 'a purge whose rights are taken away ends');

# Arguments and policies that are refused
$node->safe_psql('postgres', <<'SQL');
GRANT DELETE ON chapitres_complets TO secretary;
ALTER TABLE professeurs ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON professeurs TO secretary USING (true);
SQL
my %refused = (
	q{CALL purge_professor('p8', 10, NULL)} => '22004',
	q{CALL purge_professor('p8', 10, '-1 s')} => '22023',
	q{CALL purge_professor('p8', 10, '25 h')} => '22023',
	q{SET ROLE secretary; CALL purge_professor('p8')} => '0A000');
foreach my $call (sort keys %refused)
{
	($ret, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
	like($stderr, qr/ERROR:  $refused{$call}/, $call);
}
$node->safe_psql('postgres', 'ALTER TABLE professeurs DISABLE ROW LEVEL SECURITY');

# On a standby nothing is deleted, and said so.
$node->safe_psql('postgres', "INSERT INTO professeurs (id, username, password_hash, nom, prenom, specialite) VALUES (9, 'p9', 'x', 'n', 'p', 's')");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
for my $call ("SELECT * FROM delete_professor_batch('p9')", "CALL purge_professor('p9')", 'SELECT take_deleted_files()')
{
	($ret, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($stderr, qr/ERROR:  25006: cannot execute \w+\(\) (in a read-only transaction|during recovery)/, "on a standby: $call");
}
is($standby->safe_psql('postgres', "SELECT action, row_count FROM preview_professor_deletion('p9') WHERE action = 'delete'"),
	'delete|1', 'the preview runs there');
$standby->stop;
$node->stop;

done_testing();
