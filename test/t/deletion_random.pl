# Deletions in random schemas, compared with plain DELETE: what is left, errors, the
# counts returned, and the files queued.
#
# SEED=n CASES=m make installcheck ...: other schemas than the usual ones.  A failure
# names the seed of its schema: SEED=that CASES=1 repeats it.  The commands of each
# failed case are in its log directory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use DeletionTrial;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RandomSchema;
use Test::More;

my $seed = $ENV{SEED} || 1000;
my $cases = $ENV{CASES} || 300;
my $at_once = 20;    # cases to a session
my $shown = 3;       # failures whose commands are printed

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
client_min_messages = warning
autovacuum = off
fsync = off
jit = off
restart_after_crash = on
log_min_messages = fatal
log_min_error_statement = panic
log_statement = none
shared_buffers = 64MB
max_locks_per_transaction = 512
CONF
$node->start;
$node->safe_psql('postgres', '\i test/fixtures/random_schema.sql');

my $version = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
my $icu = $node->safe_psql('postgres', "SELECT to_regcollation('trial.no_case') IS NOT NULL") eq 't';
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA probe;
CREATE TABLE probe.t (id integer PRIMARY KEY, username text UNIQUE);
SELECT count(*) FROM catalogue.attach('probe', '{"chapters": null, "lookups": null, "professors": {"relation": "t"}}');
SQL
my $with_dependents = $node->safe_psql('postgres',
	"SELECT to_regprocedure('probe.delete_with_dependents(regclass, text, integer, boolean)') IS NOT NULL") eq 't';
note('no delete_with_dependents()') if !$with_dependents;

my (%kinds, %outcomes, %refused);
my ($ways, $refusals) = (0, 0);
my $failures = 0;
my @todo = map {
	DeletionTrial->new(
		schema => RandomSchema->new(seed => $_, version => $version, icu => $icu),
		name => "s$_", seed => $_, with_dependents => $with_dependents)
} $seed .. $seed + $cases - 1;

while (@todo)
{
	my @chunk = splice @todo, 0, $at_once;
	my %by_name = map { $_->{name} => $_ } @chunk;
	my $script = "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\nSET statement_timeout = '10s';\n" . join('', map { $_->script } @chunk);
	my ($ret, $stdout, $stderr) = $node->psql('postgres', $script, on_error_stop => 0);

	foreach my $part (split /^(?=%%case )/m, $stdout)
	{
		my ($first, @lines) = split /\n/, $part;
		my ($name) = $first =~ /^%%case (\w+)/ or next;
		$by_name{$name}->take(@lines);
		$by_name{$name}{last} = (grep { /^%%/ } @lines)[-1] // 'nothing';
		$by_name{$name}{seen} = 1;
	}
	foreach my $part (split /^(?=%%case )/m, $stderr)
	{
		$by_name{$1}{stderr} = $part if $part =~ /^%%case (\w+)/;
	}
	unless ($chunk[-1]{ended})
	{
		# A crash: what came after it is tried again in another session.
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
	push @problems, "the server warns: $1" if ($trial->{stderr} // '') =~ /WARNING: +(.*)/;
	my $sql = join '', map { "$_;\n" } $trial->{sql}->create;

	$kinds{$_}++ for keys %{ $trial->{schema}{kinds} };
	$outcomes{ $trial->{outcome}{professor}{strict} // 'none' }++;
	$ways += @{ $trial->{ways} };
	$refusals += @{ $trial->{refusals} };
	$refused{ s/"[^"]*"/\"...\"/gr }++ for @{ $trial->{refusals} };
	ok(!@problems, "seed $trial->{seed}") and return;
	append_to_file("$PostgreSQL::Test::Utils::log_path/random_$trial->{seed}.sql",
		"$sql\n" . $trial->script . "\n/*\n" . join("\n", @problems) . "\n\n" . ($trial->{stderr} // '') . "\n*/\n");
	diag(map { "$_\n" } @problems);
	diag($sql, $trial->{stderr} // '') if $failures++ < $shown;
}

note('Kinds, in how many of ', $cases, ' schemas:');
note(sprintf '%5d  %s', $kinds{$_}, $_) for sort keys %kinds;
note('Outcomes of plain DELETE:');
note(sprintf '%5d  %s', $outcomes{$_}, $_) for sort keys %outcomes;
note("$refusals of $ways calls were refused (0A000)");
note(sprintf '%5d  %s', $refused{$_}, $_) for sort keys %refused;
cmp_ok($refusals, '<=', 0.08 * $ways, 'few calls are refused') if $cases >= 100;

$node->stop;
done_testing();
