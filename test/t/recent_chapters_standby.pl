# A hot standby serves the feed: the same pages by the same path, what the
# primary changes as far as it is replayed, and index changes replayed between
# the executions of a prepared statement.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# A page is one of an open snapshot: nothing may cancel it here.
$primary->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$primary->start;
$primary->safe_psql('postgres', "\\set chapters 3000\n\\i test/fixtures/feed.sql");

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# Changes on the primary, replayed before the test continues.
sub change
{
	my ($sql) = @_;
	$primary->safe_psql('postgres', $sql);
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	return;
}

change('SELECT 1');
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');

like($standby->safe_psql('postgres', q{EXPLAIN (COSTS OFF) SELECT id FROM recent_chapters('f7', 5)}),
	qr/Catalogue Stream.*Index: feed/s, 'streams from the index');

my %calls = (
	'a page' => q{recent_chapters('f7', 5)},
	'the whole filiere' => q{recent_chapters('f7', 1000)},
	'after a dated chapter' => q{recent_chapters('f7', 20, before_id => 1507)},
	'after an undated chapter' => q{recent_chapters('f7', 20, before_id => 2007)},
	'by position' => q{recent_chapters('f7', 20, 1507, '2024-01-01 15:00')},
	'several filieres' => q{recent_chapters_any(ARRAY['f7', 'f8', 'f9'], 20)});
foreach my $name (sort keys %calls)
{
	my $sql = "SELECT id, created_at, titre FROM $calls{$name}";
	my $page = $standby->safe_psql('postgres', $sql);
	isnt($page, '', "$name: has rows");
	is($page, $primary->safe_psql('postgres', $sql), "$name: as on the primary");
	is($standby->safe_psql('postgres', "SET catalogue.enable_stream = off; $sql"), $page, "$name: as function scan");
}

my ($ret, $stdout, $stderr) =
  $standby->psql('postgres', q{\set VERBOSITY sqlstate
	SELECT * FROM recent_chapters('f7', before_id => -1)});
like($stderr, qr/P0002/, 'an error is the same error');

# One session on the standby sees what is replayed, prepared or not.
my $session = $standby->background_psql('postgres', on_error_stop => 0);
$session->query_safe(
	q{SET plan_cache_mode = force_generic_plan; PREPARE page AS SELECT id FROM recent_chapters('f7', 2);});
is($session->query_safe('EXECUTE page'), "2957\n2857", 'prepared');

change(q{INSERT INTO chapters VALUES (9000, 'f7', '2030-01-01', 'new'); DELETE FROM chapters WHERE id = 2957;});
is($session->query_safe('EXECUTE page'), "9000\n2857", 'a chapter that came and one that went');

change('VACUUM chapters');
is($session->query_safe('EXECUTE page'), "9000\n2857", 'after a VACUUM');

change('DROP INDEX feed');
is($session->query_safe('EXECUTE page'), "9000\n2857", 'with the index dropped');
like($session->query_safe('EXPLAIN (COSTS OFF) EXECUTE page'), qr/Not Streamed/, 'which the plan follows');

change('CREATE INDEX feed ON chapters (filiere, created_at DESC NULLS LAST, id DESC)');
is($session->query_safe('EXECUTE page'), "9000\n2857", 'with the index recreated');
like($session->query_safe('EXPLAIN (COSTS OFF) EXECUTE page'), qr/Index: feed/, 'which the plan follows too');

# A cursor there keeps its snapshot.
$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT id FROM recent_chapters(\'f7\', 4)');
is($session->query_safe('FETCH 2 FROM c'), "9000\n2857", 'a cursor');
change(q{DELETE FROM chapters WHERE filiere = 'f7'});
is($session->query_safe('FETCH 2 FROM c'), "2807\n2757", 'goes on');
$session->query_safe('COMMIT');
is($session->query_safe('EXECUTE page'), '', 'and after it the chapters are deleted');

# Attached to other tables on the primary.
change(q{CREATE TABLE lessons (LIKE chapters INCLUDING ALL);
	INSERT INTO lessons VALUES (1, 'f7', NULL, 'the only lesson');
	SELECT FROM catalogue.detach();
	SELECT FROM catalogue.attach(mapping =>
		'{"chapters": {"relation": "lessons", "filiere": "filiere", "author": null}}');});
is($session->query_safe(q{SELECT titre FROM recent_chapters('f7')}), 'the only lesson', 'attached again');

$session->quit;

# A standby that was promoted goes on serving.
$standby->promote;
is($standby->safe_psql('postgres', q{SELECT titre FROM recent_chapters('f7')}), 'the only lesson', 'after promotion');

done_testing();
