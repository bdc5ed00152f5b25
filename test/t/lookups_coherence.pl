# A coherence checker: no read of cached lookups may return a state older than
# the last commit that was acknowledged before the read began.
#
# Writers count up numbers in the lookup table, one commit each, and write down
# what was acknowledged, in a second commit.  Readers read first what was
# acknowledged, then the lookups, and fail when those are behind: on the
# primary, through PgBouncer in transaction mode, and on a hot standby.  What
# the standby shows as acknowledged, it has replayed after the change itself.
use strict;
use warnings;

use File::Temp;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION catalogue;
	SELECT catalogue.create_tables();
	SELECT * FROM catalogue.attach();
	CREATE TABLE acknowledged (id integer PRIMARY KEY, n integer NOT NULL);
	INSERT INTO universites (id, nom, code) SELECT 'w' || i, 'Writer ' || i, '0' FROM generate_series(1, 3) i;
	INSERT INTO ufrs (id, nom, code, universite_id) SELECT 'u' || i, 'UFR ' || i, 'U', 'w1' FROM generate_series(1, 50) i;
	INSERT INTO acknowledged SELECT i, 0 FROM generate_series(1, 3) i;
});

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

# Every node as a name for what it is, and the options that lead to it.
my %readers = (
	primary => [ '-M', 'prepared', $primary->connstr('postgres') ],
	standby => [ '-M', 'prepared', $standby->connstr('postgres') ]);
my $bouncer = start_pgbouncer();
$readers{pgbouncer} = [ '-M', 'simple', "$bouncer->{connstr} dbname=postgres" ] if $bouncer;

my $scripts = PostgreSQL::Test::Utils::tempdir();
append_to_file("$scripts/write.sql", q{
\set k :client_id + 1
UPDATE universites SET code = (code::integer + 1)::text WHERE id = 'w' || :k RETURNING code AS n \gset
SELECT code AS own FROM cached_lookups() WHERE id = 'w' || :k \gset
SELECT 1 / (:own::integer = :n::integer)::integer AS reads_own_write;
UPDATE acknowledged SET n = :n WHERE id = :k;
\sleep 5 ms
});
append_to_file("$scripts/read.sql", q{
\set k random(1, 3)
SELECT n AS acknowledged FROM acknowledged WHERE id = :k \gset
SELECT code AS seen FROM cached_lookups() WHERE kind = 'universite' AND id = 'w' || :k \gset
SELECT 1 / (:seen::integer >= :acknowledged::integer)::integer AS rows_are_not_stale;
SELECT n AS acknowledged FROM acknowledged WHERE id = :k \gset
SELECT lookups -> 'universites' -> ('w' || :k) ->> 'code' AS seen FROM cached_lookups_json('w' || :k) \gset
SELECT 1 / (:seen::integer >= :acknowledged::integer)::integer AS document_is_not_stale;
});

my ($writer, $writer_output) = start_pgbench('write.sql', 3, 150, '-M', 'simple',
	$readers{pgbouncer} ? "$bouncer->{connstr} dbname=postgres" : $primary->connstr('postgres'));
my %rounds;
my %failure;
do
{
	my %running = map { $_ => [ start_pgbench('read.sql', 2, 200, @{ $readers{$_} }) ] } keys %readers;
	foreach my $name (keys %running)
	{
		my ($run, $output) = @{ $running{$name} };
		$run->finish;
		$rounds{$name}++;
		$failure{$name} //= $$output if $run->result(0) != 0;
	}
	$writer->pump_nb;
} while ($writer->pumpable);
$writer->finish;
is($writer->result(0), 0, 'writers read their own writes') or diag($$writer_output);
foreach my $name (sort keys %readers)
{
	is($failure{$name}, undef, "no stale read: $name ($rounds{$name} rounds)");
}
SKIP:
{
	skip 'pgbouncer is not installed (Debian package pgbouncer)', 1 unless $bouncer;
	ok(1, 'readers and writers went through PgBouncer in transaction mode');
}

is($primary->safe_psql('postgres', 'SELECT sum(n) FROM acknowledged'), 450, 'all writes were made');

# The version is the content's: the same everywhere, also after a restart.
my $version = $primary->safe_psql('postgres', 'SELECT version FROM cached_lookups_json()');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT version FROM cached_lookups_json()'),
	$version, 'same version on the standby');
is($standby->safe_psql('postgres', 'SELECT bool_and(ok) FROM catalogue.cache_selftest()'),
	't', 'self-test on the standby');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM cached_lookups();
		SELECT count(*) FROM cached_lookups();
		SELECT hits FROM catalogue.cache_stats WHERE schema_name IS NULL'),
	"53\n53\n1", 'the standby caches');
$primary->restart;
is($primary->safe_psql('postgres', 'SELECT version FROM cached_lookups_json()'),
	$version, 'same version after a restart');

# Two-phase commit: nothing is seen of what is only prepared.
is($primary->safe_psql('postgres', q{
	SELECT count(*) FROM cached_lookups();
	BEGIN;
	INSERT INTO universites (id, nom, code) VALUES ('2pc', '', '');
	SELECT count(*) FROM cached_lookups();
	PREPARE TRANSACTION 'lookups';
	SELECT count(*) FROM cached_lookups();
	COMMIT PREPARED 'lookups';
	SELECT count(*) FROM cached_lookups();}),
	"53\n54\n53\n54", 'two-phase commit');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM cached_lookups()'), 54,
	'two-phase commit on the standby');

# Nor where a trigger is disabled.
is($primary->safe_psql('postgres', q{
	ALTER TABLE ufrs DISABLE TRIGGER catalogue_lookup_changed;
	BEGIN;
	INSERT INTO ufrs (id, nom, code, universite_id) VALUES ('2pc', '', '', 'w1');
	SELECT count(*) FROM cached_lookups();
	PREPARE TRANSACTION 'lookups';
	SELECT count(*) FROM cached_lookups();
	ROLLBACK PREPARED 'lookups';
	ALTER TABLE ufrs ENABLE ALWAYS TRIGGER catalogue_lookup_changed;}),
	"55\n54", 'two-phase commit without a trigger');

# A push for applications that want one.
is($primary->safe_psql('postgres', q{
	LISTEN catalogue_lookups;
	UPDATE universites SET nom = 'without';
	SELECT 'nothing yet';
	SET catalogue.notify_lookups = on;
	BEGIN;
	UPDATE universites SET nom = 'with';
	UPDATE ufrs SET nom = 'with';
	COMMIT;}) =~ s/ from server process with PID \d+\.//r,
	qq{nothing yet\nAsynchronous notification "catalogue_lookups" with payload "public" received}, 'optional NOTIFY, once a transaction');

# DROP EXTENSION and CREATE EXTENSION again is covered between live sessions by
# test/isolation; here the standby follows.
$primary->safe_psql('postgres', q{
	DROP EXTENSION catalogue;
	CREATE EXTENSION catalogue;
	SELECT * FROM catalogue.attach();});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM cached_lookups()'), 54,
	'the recreated extension on the standby');

if ($bouncer)
{
	$bouncer->{run}->kill_kill;
}
$standby->stop;
$primary->stop;
done_testing();

# Runs a script as so many clients, each so many times, in the background.
sub start_pgbench
{
	my ($script, $clients, $transactions, $mode, $protocol, $connstr) = @_;
	my $output = '';
	my $run = IPC::Run::start(
		[ 'pgbench', '-n', $mode, $protocol, '-c', $clients, '-t', $transactions, '-f',
			"$scripts/$script", $connstr ],
		'>', \$output, '2>&1');
	return ($run, \$output);
}

# PgBouncer in front of the primary, in transaction mode; undef without one.
sub start_pgbouncer
{
	my ($program) = grep { -x $_ } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
	return undef unless defined $program;

	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $user = $primary->safe_psql('postgres', 'SELECT current_user');
	append_to_file("$directory/users", qq{"$user" ""\n});
	append_to_file("$directory/ini", sprintf q{
[databases]
postgres = host=%s port=%d
[pgbouncer]
listen_addr =
listen_port = %d
unix_socket_dir = %s
auth_type = trust
auth_file = %s/users
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
logfile = %s/log
}, $primary->host, $primary->port, $port, $directory, $directory, $directory);
	my $log = '';
	my $run = IPC::Run::start([ $program, "$directory/ini" ], '>', \$log, '2>&1');
	my $connstr = "host=$directory port=$port user=$user";
	for my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return { run => $run, connstr => $connstr }
		  if run_log([ 'psql', '-XAtq', '-d', "$connstr dbname=postgres", '-c', 'SELECT 1' ],
			'>', \my $out, '2>', \my $err);
		$run->pump_nb;
		last unless $run->pumpable;
		select(undef, undef, undef, 0.1);
	}
	die "pgbouncer did not start: $log";
}
