# Changes that logical replication applies, where statement triggers do not
# fire, reach the sessions of the subscriber.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;

foreach my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', q{
		CREATE EXTENSION catalogue;
		CREATE TABLE universites (id text PRIMARY KEY, code text, nom text);
		SELECT * FROM catalogue.attach();});
}
$publisher->safe_psql('postgres', q{
	INSERT INTO universites (id, nom, code) VALUES ('ucad', 'Before', 'UCAD');
	CREATE PUBLICATION lookups FOR TABLE universites;});

# A session that lives through it all, and has the lookups cached each time.
my ($in, $out) = ('', '');
my $timer = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $subscriber->connstr('postgres') ],
	'<', \$in, '>', \$out, $timer);

sub lookups
{
	$out = '';
	$in = "SELECT coalesce(string_agg(id || '=' || nom, ',' ORDER BY id), 'none') || '.' FROM cached_lookups();\n";
	$session->pump until $out =~ /\.$/m;
	chomp $out;
	return $out;
}

is(lookups(), 'none.', 'nothing yet');
my $connstr = $publisher->connstr('postgres');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION lookups CONNECTION \$\$$connstr\$\$ PUBLICATION lookups");
$subscriber->wait_for_subscription_sync($publisher, 'lookups');
is(lookups(), 'ucad=Before.', 'the initial copy');

my @steps = (
	[ "INSERT INTO universites (id, nom, code) VALUES ('esp', 'New', 'ESP')", 'esp=New,ucad=Before.' ],
	[ "UPDATE universites SET nom = 'After' WHERE id = 'ucad'", 'esp=New,ucad=After.' ],
	[ "DELETE FROM universites WHERE id = 'esp'", 'ucad=After.' ],
	[ 'TRUNCATE universites', 'none.' ]);
foreach my $step (@steps)
{
	$publisher->safe_psql('postgres', $step->[0]);
	$publisher->wait_for_catchup('lookups');
	is(lookups(), $step->[1], $step->[0]);
}

$in = "\\q\n";
$session->finish;
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION lookups');
$subscriber->stop;
$publisher->stop;
done_testing();
