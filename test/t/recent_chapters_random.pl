# Random calls of recent_chapters() and recent_chapters_any() on random tables, compared
# with plain SQL: rows, order and errors.
#
# SEED=n CASES=m make installcheck ...: other tables and calls than the usual ones.  A
# failure names its seed: SEED=that CASES=1 repeats it.  The commands of each failed
# case are in its log directory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeedTrial;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RandomFeed;
use Test::More;

my $seed = $ENV{SEED} || 1000;
my $cases = $ENV{CASES} || 40;
my $steps = $ENV{STEPS} || 30;
my $at_once = 10;    # cases to a session
my $shown = 3;       # failures whose commands are printed

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
client_min_messages = warning
autovacuum = off
fsync = off
jit = off
restart_after_crash = on
log_min_messages = warning
log_min_error_statement = panic
log_statement = none
shared_buffers = 16MB
max_worker_processes = 16
CONF
$node->start;
$node->safe_psql('postgres', '\i test/fixtures/random_feed.sql');

my $version = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
my $icu = $node->safe_psql('postgres', "SELECT to_regcollation('trial.no_case') IS NOT NULL") eq 't';

my (%kinds, %paths, %shapes);
my ($checks, $rows, $failures) = (0, 0, 0);
my @todo = map {
	my $feed = RandomFeed->new(seed => $_, name => "s$_", version => $version, icu => $icu);
	FeedTrial->new(feed => $feed, steps => $steps, seed => $_)
} $seed .. $seed + $cases - 1;

while (@todo)
{
	my @chunk = splice @todo, 0, $at_once;
	my %by_name = map { $_->{name} => $_ } @chunk;
	my $script = "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n" . join '', map { $_->script } @chunk;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', $script, on_error_stop => 0);

	foreach my $part (split /^(?=%%case )/m, $stdout)
	{
		my ($first, @lines) = split /\n/, $part;
		my ($name) = $first =~ /^%%case (\w+)/ or next;
		$by_name{$name}->take(@lines);
		$by_name{$name}{seen} = 1;
	}
	foreach my $part (split /^(?=%%case )/m, $stderr)
	{
		$by_name{$1}{stderr} = $part if $part =~ /^%%case (\w+)/;
	}
	unless ($chunk[-1]{end})
	{
		# A crash, or a table that cannot be made: what came after it is tried again.
		unshift @todo, grep { !$_->{seen} } @chunk;
		@chunk = grep { $_->{seen} } @chunk or die "psql ends at once: $stderr";
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	}
	report($_) for @chunk;
}

sub report
{
	my ($trial) = @_;
	my @problems = $trial->problems;
	# The server warns of what a statement has left pinned or open.
	push @problems, "the server warns: $1" if ($trial->{stderr} // '') =~ /WARNING: +(.*)/;

	$kinds{$_}++ for keys %{ $trial->{feed}{kinds} };
	$paths{ $trial->path }++;
	$shapes{ $_->{shape} // 'an error' }++ for @{ $trial->{checks} };
	$checks += @{ $trial->{checks} };
	$rows += $trial->{rows} // 0;
	ok(!@problems, "seed $trial->{seed}") and return;
	append_to_file("$PostgreSQL::Test::Utils::log_path/random_feed_$trial->{seed}.sql",
		$trial->script . "\n/*\n" . join("\n", @problems) . "\n\n" . ($trial->{stderr} // '') . "\n*/\n");
	diag(map { "$_\n" } @problems) if $failures++ < $shown || $ENV{SEED};
}

foreach ([ 'Kinds', \%kinds ], [ 'The first call of each case', \%paths ], [ 'Queries', \%shapes ])
{
	my ($what, $counts) = @$_;
	note("$what:");
	note(sprintf '%5d  %s', $counts->{$_}, $_) for sort keys %$counts;
}
note("$checks queries, $rows rows");
cmp_ok($paths{streamed} // 0, '>=', $cases / 4, 'many cases are streamed') if $cases >= 40;
cmp_ok($rows, '>', $checks, 'the queries have rows') if $cases >= 40;

$node->stop;
done_testing();
