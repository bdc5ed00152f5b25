# purge_professor() ends where triggers and defaults put back what it takes away, and
# is one transaction where only the server's own cascades get the schema right.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# a purge that does not end shall fail, not hang
$node->append_conf('postgresql.conf', "client_min_messages = warning\nautovacuum = off\nstatement_timeout = '60s'");
$node->start;

# schema(SQL): a database of that schema, with two professors, attached
my $number = 0;
sub schema
{
	my ($sql) = @_;
	my $db = 'd' . ++$number;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, <<SQL);
CREATE EXTENSION catalogue;
CREATE SCHEMA s;
ALTER DATABASE $db SET search_path = s;
SET search_path = s;
CREATE TABLE p (id integer PRIMARY KEY, username text UNIQUE);
INSERT INTO p VALUES (1, 'a'), (2, 'b');
$sql
SELECT count(*) FROM catalogue.attach('s', '{"chapters": null, "lookups": null, "files": [], "also_delete": [],
	"soft_references": [], "professors": {"relation": "p"}}');
SQL
	return $db;
}

my ($ret, $stdout, $stderr);
my $db = schema(<<'SQL');
CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
CREATE TABLE c (t integer DEFAULT 1 REFERENCES t ON DELETE SET DEFAULT);
INSERT INTO t VALUES (1, 1);
INSERT INTO c SELECT 1 FROM generate_series(1, 30);
SQL
($ret, $stdout, $stderr) = $node->psql($db, "\\set VERBOSITY sqlstate\nCALL purge_professor('a', 10)");
like($stderr, qr/ERROR:  23503/, 'a default that is the deleted key is an error');
is($node->safe_psql($db, 'SELECT count(*), count(*) FILTER (WHERE t = 1) FROM c'), '30|30', '... and nothing is lost');

$db = schema(<<'SQL');
CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE);
INSERT INTO t SELECT i, 1 FROM generate_series(1, 30) AS i;
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.id = 1 THEN
		RETURN NULL;
	END IF;
	INSERT INTO s.t VALUES (OLD.id + 100, OLD.p);
	RETURN OLD;
END
$$;
CREATE TRIGGER again BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION again();
SQL
($ret, $stdout, $stderr) = $node->psql($db, "\\set VERBOSITY sqlstate\nCALL purge_professor('a', 10)");
like($stderr, qr/ERROR:  23503/, 'a trigger that keeps a row and puts back the others');
is($node->safe_psql($db, 'SELECT count(*) FROM t WHERE p = 1'), '30', '... which are all there');

$db = schema(<<'SQL');
CREATE TABLE t (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, answers integer REFERENCES t);
INSERT INTO t SELECT i, 1 + i % 2, CASE WHEN i > 2 THEN i - 2 END FROM generate_series(1, 30) AS i;
CREATE TABLE transactions (xid xid8, op text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO s.transactions VALUES (pg_current_xact_id(), TG_OP); RETURN NULL; END';
CREATE TRIGGER note AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
SQL
($ret, $stdout, $stderr) = $node->psql($db, "\\set VERBOSITY sqlstate\nCALL purge_professor('b', 3)");
is($stderr, '', 'replies that refer to each other');
is($node->safe_psql($db, 'SELECT count(*), count(DISTINCT xid) FROM transactions'), '15|1', '... are deleted in one transaction');
is($node->safe_psql($db, "SELECT rows_done, phase FROM professor_purges WHERE username = 'b'"), '16|finished', '... and counted');

done_testing();
