# Deletions beside transactions that insert, give to another, change keys, and are
# prepared for two-phase commit: no orphan is left, and no file is lost or doubled.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "client_min_messages = error\nautovacuum = off\nmax_prepared_transactions = 20\nlog_min_messages = fatal\nlog_min_error_statement = panic\ndeadlock_timeout = 100ms");
$node->start;

# Keys of chapters and names of professors can be changed: what refers to them
# follows.  Each path that was ever committed is noted.
$node->safe_psql('postgres', <<'SQL');
\i test/fixtures/app.sql
\i test/fixtures/branch.sql
\i test/fixtures/integrity.sql
ALTER DATABASE postgres SET search_path = app, public;
CREATE EXTENSION amcheck;
ALTER TABLE chapitres_complets DROP CONSTRAINT chapitres_complets_created_by_fkey,
	ADD CONSTRAINT author FOREIGN KEY (created_by) REFERENCES professeurs (username) ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE commentaires DROP CONSTRAINT commentaires_chapitre_id_fkey,
	ADD CONSTRAINT chapter FOREIGN KEY (chapitre_id) REFERENCES chapitres_complets (id) ON DELETE CASCADE ON UPDATE CASCADE;
CREATE TABLE replies (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, chapitre_id integer REFERENCES chapitres_complets ON DELETE CASCADE ON UPDATE CASCADE,
	reply_to integer REFERENCES replies ON DELETE CASCADE);
CREATE TABLE favourites (chapitre_id integer REFERENCES chapitres_complets ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE all_paths (path text);
CREATE FUNCTION note_path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.all_paths VALUES (NEW.cours_fichier_path);
	RETURN NULL;
END $$;
CREATE TRIGGER note_path AFTER INSERT ON chapitres_complets FOR EACH ROW EXECUTE FUNCTION note_path();
CREATE SEQUENCE paths;
CREATE FUNCTION new_chapter(professor text) RETURNS integer LANGUAGE sql AS $$
	INSERT INTO app.chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre, chapitre, titre, cours_fichier_path, created_by)
	VALUES ('u', 'f', 'l', 'm', 'L1', 'S1', 'c', 't', 'cours/' || nextval('app.paths'), professor) RETURNING id
$$;
CREATE TABLE go_on ();
CREATE FUNCTION wait_for_go_on() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM app.go_on) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CREATE PROCEDURE fill(professor text) LANGUAGE plpgsql AS $$
DECLARE
	chapter integer;
BEGIN
	INSERT INTO app.professeurs (username, password_hash, nom, prenom, specialite)
	VALUES (professor, 'x', 'n', 'p', 's') ON CONFLICT DO NOTHING;
	FOR i IN 1 .. 6 LOOP
		chapter := app.new_chapter(professor);
		INSERT INTO app.commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom)
		SELECT 't', chapter, 'etudiant', j, 'n' FROM generate_series(1, 3) AS j;
		INSERT INTO app.replies (chapitre_id) SELECT chapter FROM generate_series(1, 3);
		UPDATE app.replies SET reply_to = id - 1 WHERE chapitre_id = chapter AND id - 1 IN (SELECT id FROM app.replies WHERE chapitre_id = chapter);
		INSERT INTO app.favourites VALUES (chapter);
	END LOOP;
END $$;
SQL

my $check = <<'SQL';
SELECT integrity(), (SELECT count(*) - count(DISTINCT path) FROM deleted_files),
	(SELECT count(*) FROM ((TABLE all_paths EXCEPT (SELECT path FROM deleted_files UNION ALL SELECT cours_fichier_path FROM chapitres_complets))
		UNION ALL (SELECT path FROM deleted_files EXCEPT TABLE all_paths)) AS lost),
	(SELECT count(*) FROM deleted_files JOIN chapitres_complets ON cours_fichier_path = path)
SQL

# A session that runs in the background, and what it says but rows.
sub start_psql
{
	my @commands = @_;
	my $output = '';
	my $process = IPC::Run::start([ 'psql', '-qXAt', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres'), map { ('-c', $_) } @commands ],
		'<', '/dev/null', '>', '/dev/null', '2>', \$output);
	return { process => $process, output => \$output };
}

# One transaction that has done something when the deletion begins, which waits for it.
my $chapter = q{(SELECT max(id) FROM chapitres_complets WHERE created_by = 'a')};
my %writes = (
	'a new chapter' => q{SELECT new_chapter('a')},
	'a new comment' => qq{INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) VALUES ('t', $chapter, 'etudiant', 1, 'n')},
	'a reply' => qq{INSERT INTO replies (chapitre_id, reply_to) SELECT NULL, max(id) FROM replies WHERE chapitre_id = $chapter},
	'a chapter is given to another professor' => qq{UPDATE chapitres_complets SET created_by = 'b' WHERE id = $chapter},
	'a chapter is taken from another professor' => q{UPDATE chapitres_complets SET created_by = 'a' WHERE id = (SELECT max(id) FROM chapitres_complets WHERE created_by = 'b')},
	'a comment moves to another chapter' => qq{UPDATE commentaires SET chapitre_id = (SELECT max(id) FROM chapitres_complets WHERE created_by = 'b') WHERE chapitre_id = $chapter},
	'a comment moves here' => qq{UPDATE commentaires SET chapitre_id = $chapter WHERE chapitre_id = (SELECT max(id) FROM chapitres_complets WHERE created_by = 'b')},
	'a chapter has another key' => qq{UPDATE chapitres_complets SET id = id + 100000 WHERE id = $chapter},
	'all chapters have other keys' => q{UPDATE chapitres_complets SET id = id + 200000 WHERE created_by = 'a'},
	'a comment is deleted' => qq{DELETE FROM commentaires WHERE chapitre_id = $chapter});
my %ends = (
	'committed' => ['COMMIT'],
	'prepared and committed' => [ q{PREPARE TRANSACTION 'w'}, q{COMMIT PREPARED 'w'} ],
	'prepared and rolled back' => [ q{PREPARE TRANSACTION 'w'}, q{ROLLBACK PREPARED 'w'} ]);

my @calls = map { my $skip = $_; map { [ $skip, $_ ] } q{SELECT FROM delete_professor_batch('a', 4)}, q{CALL purge_professor('a', 4)} } 'on', 'off';
my $n = 0;
foreach my $write (sort keys %writes)
{
	foreach my $end (sort keys %ends)
	{
		my ($skip, $call) = @{ $calls[ $n++ % @calls ] };
		my ($prepare, @then) = @{ $ends{$end} };

		$node->safe_psql('postgres', q{CALL fill('a'); CALL fill('b')});
		my $writer = start_psql('BEGIN', $writes{$write}, @then ? $prepare : ("SET application_name = 'written'", 'SELECT wait_for_go_on()', $prepare));
		$node->poll_query_until('postgres', @then ? 'SELECT EXISTS (SELECT FROM pg_prepared_xacts)'
			: q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'written')}) or die "the writer does not write: ${ $writer->{output} }";
		my $deletion = start_psql("SET catalogue.skip_redundant_ri_triggers = $skip", $call);
		$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')
			OR NOT EXISTS (SELECT FROM professeurs WHERE username = 'a')});
		$node->safe_psql('postgres', $then[0] // 'INSERT INTO go_on DEFAULT VALUES');
		$_->{process}->finish for $writer, $deletion;
		$node->safe_psql('postgres', 'TRUNCATE go_on');
		my $output = ${ $writer->{output} } . ${ $deletion->{output} };
		is("$output|" . $node->safe_psql('postgres', $check) . '|' . $node->safe_psql('postgres', q{SELECT count(*) FROM professeurs WHERE username = 'a'}),
			'|sound|0|0|0|0', "$write, $end, meanwhile $call, skipping $skip");
	}
}

# Many at once: scripts of short transactions, by a generator of their own, so that
# every run has the same ones.
my $state = 4711;
sub random { $state = ($state * 1103515245 + 12345) % 2147483648; return int($state / 65536) % $_[0] }
my @levels = ('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

sub writer_script
{
	my ($session, $transactions) = @_;
	my $script = "SET statement_timeout = '60s';\n";

	for my $i (1 .. $transactions)
	{
		my ($of, $other) = map { 'q' . random(6) } 1, 2;
		my $some = "(SELECT id FROM chapitres_complets WHERE created_by = '$of' ORDER BY id OFFSET " . random(6) . ' LIMIT 1)';
		my @steps = (
			"SELECT new_chapter('$of')",
			"INSERT INTO commentaires (texte, chapitre_id, auteur_type, auteur_id, auteur_nom) SELECT 't', id, 'etudiant', 1, 'n' FROM $some AS c",
			"INSERT INTO replies (chapitre_id, reply_to) SELECT id, (SELECT max(id) FROM replies WHERE chapitre_id = c.id) FROM $some AS c",
			"UPDATE chapitres_complets SET created_by = '$other' WHERE id = $some",
			"UPDATE commentaires SET chapitre_id = coalesce($some, chapitre_id) WHERE id = (SELECT max(id) FROM commentaires WHERE chapitre_id > coalesce($some, 0))",
			"UPDATE chapitres_complets SET id = nextval('chapitres_complets_id_seq') WHERE id = $some",
			"INSERT INTO favourites SELECT id FROM $some AS c",
			"CALL fill('$of')", "CALL fill('$of')", "CALL fill('$of')");
		my $prepared = "'s$session $i'";
		$script .= 'BEGIN ISOLATION LEVEL ' . $levels[ random(4) ] . ";\n";
		$script .= $steps[ random(scalar @steps) ] . ";\n" for 0 .. random(3);
		$script .= (
			"COMMIT;\n", "COMMIT;\n", "ROLLBACK;\n",
			"PREPARE TRANSACTION $prepared;\nCOMMIT PREPARED $prepared;\n",
			"PREPARE TRANSACTION $prepared;\nSELECT pg_sleep(0.02);\nCOMMIT PREPARED $prepared;\n",
			"PREPARE TRANSACTION $prepared;\nROLLBACK PREPARED $prepared;\n")[ random(6) ];
	}
	return $script;
}

sub deleter_script
{
	my ($session, $calls) = @_;
	my $script = "SET statement_timeout = '60s';\n";

	for my $i (1 .. $calls)
	{
		my $of = 'q' . random(6);
		my $size = (1, 3, 5, 1000)[ random(4) ];
		$script .= 'SET catalogue.skip_redundant_ri_triggers = ' . (random(4) ? 'on' : 'off') . ";\n";
		if (random(3) == 0)
		{
			$script .= "CALL purge_professor('$of', $size);\n";
		}
		else
		{
			$script .= 'BEGIN ISOLATION LEVEL ' . $levels[ random(4) ] . ";\nSELECT FROM delete_professor_batch('$of', $size, true);\n"
			  . (random(5) ? 'COMMIT' : 'ROLLBACK') . ";\n";
		}
	}
	return $script;
}

$node->safe_psql('postgres', join ';', map { "CALL fill('q$_')" } 0 .. 5);
my $paths = $node->safe_psql('postgres', 'SELECT count(*) FROM deleted_files');
my @sessions;
for my $session (1 .. 5)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . "/session_$session.sql";
	append_to_file($file, $session <= 3 ? writer_script($session, 250) : deleter_script($session, 150));
	my $output = '';
	push @sessions, { output => \$output, process => IPC::Run::start(
		[ 'psql', '-qXAt', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres'), '-f', $file ], '<', '/dev/null', '>', '/dev/null', '2>', \$output) };
}
$_->{process}->finish for @sessions;

# Writers fail where what they refer to is deleted; nothing else happens to anybody.
my %errors;
foreach my $session (@sessions)
{
	$errors{$1}++ while ${ $session->{output} } =~ /ERROR:  (\w+)/g;
	$errors{lost}++ if ${ $session->{output} } =~ /connection/;
}
note("$errors{$_} times $_") for sort keys %errors;
# 25P01, 25P02, 42704: the rest of a transaction that failed
is(join(' ', grep { !/^(23503|40001|40P01|P0002|25P01|25P02|42704)$/ } sort keys %errors), '', 'no error that should not be');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'no transaction is left prepared');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM deleted_files') - $paths, '>', 200, 'many chapters were deleted');
is($node->safe_psql('postgres', $check), 'sound|0|0|0', 'no orphan, and each path once');

$node->stop;
done_testing();
