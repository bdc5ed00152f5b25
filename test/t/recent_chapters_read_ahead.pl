# A page asks for the blocks that come next: as many as it can need and no more,
# within effective_io_concurrency, and none that is in the buffers.  The time that a
# read must take is set to none here; rows are those of plain SQL.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off");
$node->start;
plan skip_all => 'the system cannot be asked for blocks'
  if ($node->psql('postgres', 'SET effective_io_concurrency = 8'))[0] != 0 && $node->stop;
plan skip_all => 'nothing is read ahead on this version yet' if $node->pg_version >= 20 && $node->stop;
plan skip_all => 'built to read nothing ahead'
  if ($ENV{COPT} // '') =~ /CATALOGUE_PLAIN_HEAP_FETCH/ && $node->stop;
$node->safe_psql('postgres', "\\set chapters 10000\n\\i test/fixtures/feed.sql");
$node->safe_psql('postgres', q{
	CREATE SCHEMA parts;
	CREATE TABLE parts.chapters (LIKE chapters INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
	CREATE TABLE parts.one PARTITION OF parts.chapters FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parts.two PARTITION OF parts.chapters FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	INSERT INTO parts.chapters SELECT * FROM chapters;
	CREATE INDEX ON parts.chapters (filiere, created_at DESC NULLS LAST, id DESC);
	ANALYZE parts.chapters;
	SELECT FROM catalogue.attach('parts', '{"chapters": {"relation": "parts.chapters", "filiere": "filiere", "author": null}}');
	CREATE TABLE backward AS SELECT * FROM chapters WHERE created_at IS NOT NULL;
	ALTER TABLE backward ALTER created_at SET NOT NULL, ADD PRIMARY KEY (id);
	CREATE INDEX ON backward (filiere, created_at, id);
	ANALYZE backward;
	CREATE SCHEMA backward;
	SELECT FROM catalogue.attach('backward', '{"chapters": {"relation": "public.backward", "filiere": "filiere", "author": null}}')});

# The blocks that a query asked for, with nothing in the buffers, after some settings.
sub read_ahead
{
	my ($query, @settings) = @_;
	$node->restart;
	my $plan = $node->safe_psql('postgres', join(';', 'SET catalogue.read_ahead_latency = 0',
		'SET effective_io_concurrency = 8', @settings,
		"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query"));
	like($plan, qr/Catalogue Stream/, "streamed: $query");
	return $plan =~ /Blocks Read Ahead: (\d+)/ ? $1 : 0;
}

# Two chapters of a filière are never on one block here.
my $page = q{SELECT titre FROM recent_chapters('f7', 20)};
is(read_ahead($page), 19, 'all but the first of a page');
is(read_ahead($page, 'SET effective_io_concurrency = 1'), 19, 'one at a time');
is(read_ahead($page, 'SET effective_io_concurrency = 0'), 0, 'none where the tablespace is not to be');
is(read_ahead($page, 'SET catalogue.read_ahead_latency = -1'), 0, 'none where it is off');
is(read_ahead($page, 'SET catalogue.read_ahead_latency = 1000'), 0, 'none where reads are fast');
is(read_ahead($page, $page), 0, 'none of what is in the buffers');
is(read_ahead(q{SELECT titre FROM recent_chapters('f7', 1)}), 0, 'one row needs no other');

is(read_ahead("$page LIMIT 5"), 4, 'no further than a LIMIT');
is(read_ahead("$page OFFSET 2 LIMIT 3"), 4, '... with an OFFSET');
is(read_ahead(q{SELECT titre FROM recent_chapters('f7', NULL) ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5}),
	4, '... below its own order');
is(read_ahead('EXECUTE page(5)', "PREPARE page(int) AS $page LIMIT \$1", 'SET plan_cache_mode = force_generic_plan'),
	4, '... by a parameter');
is(read_ahead("$page ORDER BY titre LIMIT 5"), 19, 'a sort needs all');
is(read_ahead("SELECT titre FROM recent_chapters('f7', 20) WHERE id > 0 LIMIT 5"), 4 + 8,
	'and conditions may need more');
is(read_ahead("SELECT (SELECT max(s) FROM (SELECT titre AS s FROM recent_chapters('f7', 20) LIMIT o.n) AS c) FROM (VALUES (5), (5)) AS o(n)"),
	4, 'LIMIT of an outer row');

# Each of the merged scans may be the one that all rows come from.
cmp_ok(read_ahead(q{SELECT titre FROM recent_chapters_any(ARRAY['f1', 'f2', 'f3'], NULL)
		ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 5}), '<=', 3 * 4, '... of merged scans');
is(read_ahead(q{SELECT titre FROM recent_chapters_any(ARRAY['f1', 'f2', 'f3'], 30) LIMIT 1}), 0,
	'... for the first row of which each scan reads one');
cmp_ok(read_ahead(q{SELECT titre FROM parts.recent_chapters('f7', 20) LIMIT 5}), '<=', 2 * 4, '... of partitions');

# No read is as fast as that, so all samples are slow; or none are.
my $slow = 'SET catalogue.read_ahead_latency = 0.000001';
is(read_ahead($page, $slow), 18, 'from the second row on where the first read was slow');
cmp_ok(read_ahead(q{SELECT titre FROM recent_chapters('f7', NULL)}, $slow), '>=', 180, '... and to the end');
sub change_latency
{
	my ($from, $to, $row) = @_;
	return read_ahead(qq{SELECT titre, CASE WHEN row_number() OVER () = $row
			THEN set_config('catalogue.read_ahead_latency', '$to', false) END
		FROM recent_chapters('f7', 80)}, "SET catalogue.read_ahead_latency = $from");
}
my $later = change_latency('1000', '0.000001', 10);
cmp_ok($later, '<=', 69, 'reads become slow: not before the tenth row');
cmp_ok($later, '>=', 60, '... but soon');
cmp_ok(read_ahead(q{SELECT titre, CASE WHEN row_number() OVER () = 3
		THEN set_config('catalogue.read_ahead_latency', '1000', false) END
	FROM recent_chapters('f7', NULL)}, $slow), '<=', 128 + 8, 'reads become fast: the next sample ends it');

# The first of each leaf page comes unasked.
cmp_ok(read_ahead(q{SELECT titre FROM backward.recent_chapters('f7', 20)}), '>=', 18, 'backward');
cmp_ok(read_ahead(q{SELECT titre FROM recent_chapters_any(ARRAY['f1', 'f2', 'f3'], 30)}), '>=', 24, 'merged');
# Chapters of these are not on one block either.
my $first = q{SELECT titre FROM recent_chapters_any(ARRAY['f1', 'f17', 'f33'], 1)};
is(read_ahead($first), 2, 'the first rows of three filieres, but one');
is(read_ahead($first, 'SET effective_io_concurrency = 0'), 0, '... not where the tablespace is not to be');
# More filieres than may be open: their entries are merged before a row is read.
my $batches = q{SELECT titre FROM recent_chapters_any(ARRAY['f1', 'f17', 'f33', 'f49'], 12)};
cmp_ok(read_ahead($batches, 'SET work_mem = 64'), '>=', 8, 'by batches, most of a page: some are on one block');
is(read_ahead("$batches LIMIT 4", 'SET work_mem = 64'), 3, '... no further than a LIMIT');
cmp_ok(read_ahead(q{SELECT titre FROM parts.recent_chapters('f7', 20)}), '>=', 16, 'partitions');
cmp_ok(read_ahead(q{SELECT titre FROM recent_chapters('f7', NULL)}), '>=', 190, 'a whole filiere, two ranges of it');

# Nothing but time changes.
foreach my $query (
	q{SET work_mem = 64; SELECT * FROM recent_chapters_any(ARRAY['f1', 'f2', 'f3', 'f4'], NULL)},
	q{SELECT * FROM recent_chapters('f7', NULL)},
	q{SELECT * FROM recent_chapters('f7', 50, 4007)},
	q{SELECT * FROM recent_chapters_any(ARRAY['f1', 'f2', 'f3'], NULL)},
	q{SELECT * FROM parts.recent_chapters('f7', NULL)},
	q{SELECT * FROM backward.recent_chapters('f7', NULL)})
{
	my $without = $node->safe_psql('postgres', "SET catalogue.read_ahead_latency = -1; $query");
	$node->restart;
	is($node->safe_psql('postgres', "SET catalogue.read_ahead_latency = 0; SET effective_io_concurrency = 8; $query"),
		$without, "same rows: $query");
}

# What was closed, cancelled or has failed while it read ahead leaves no pin.
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_buffercache');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SET catalogue.read_ahead_latency = 0; SET effective_io_concurrency = 8');
sub pins
{
	return $session->query_safe(q{SELECT count(*) FROM pg_buffercache AS b JOIN pg_class AS c ON b.relfilenode = c.relfilenode
		WHERE pinning_backends > 0 AND relnamespace IN ('public'::regnamespace, 'parts'::regnamespace)});
}
foreach my $call (
	q{recent_chapters('f8', NULL)},
	q{recent_chapters_any(ARRAY['f8', 'f9', 'f10'], NULL)},
	q{parts.recent_chapters('f8', NULL)})
{
	my $cursor = "DECLARE c CURSOR FOR SELECT titre FROM $call; MOVE 3 FROM c";
	$session->query_safe("BEGIN; $cursor");
	cmp_ok(pins(), '>', 0, "a cursor has pins: $call");
	$session->query_safe('CLOSE c');
	is(pins(), 0, '... and none when it is closed');
	$session->query_safe("SAVEPOINT s; $cursor; ROLLBACK TO s");
	is(pins(), 0, '... or rolled back to a savepoint');
	$session->query_safe("$cursor; ROLLBACK");
	is(pins(), 0, '... or rolled back');
	$session->query_safe('BEGIN');
	$session->query_safe("DO \$\$ BEGIN PERFORM 1 / (id % 4) FROM $call; EXCEPTION WHEN division_by_zero THEN END \$\$");
	is(pins(), 0, '... nor has a call whose error was caught');
	$session->query_safe('ROLLBACK');
	$session->query("SET statement_timeout = '200ms'");
	$session->query("SELECT count(pg_sleep(0.05)) FROM $call");
	like($session->{stderr}, qr/statement timeout/, '... nor one');
	$session->{stderr} = '';
	$session->query_safe('RESET statement_timeout');
	is(pins(), 0, '... that was cancelled');
}
$session->quit;
$node->stop;

done_testing();
