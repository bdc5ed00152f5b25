# Files across the ends of transactions: prepared ones, procedures that commit,
# partitions that have no statement trigger, a subscriber of logical replication;
# and the worker of README.md, as it stands there.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;

my $mapping = q{'{"professors": {"relation": "profs", "username": "login"}, "chapters": null, "lookups": null,
	"also_delete": null, "soft_references": null, "files": [
		{"relation": "lessons", "column": "path", "prefix": "lessons/"}, {"relation": "parts", "column": "path"}]}'};
foreach my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', qq{
		CREATE EXTENSION catalogue;
		CREATE TABLE profs (id integer PRIMARY KEY, login text UNIQUE);
		CREATE TABLE lessons (id integer PRIMARY KEY, path text);
		CREATE TABLE parts (id integer PRIMARY KEY, path text) PARTITION BY RANGE (id);
		SELECT * FROM catalogue.attach('public', $mapping);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10000);});
}
my $sql = sub { $publisher->safe_psql('postgres', @_) };
my $queued = sub { $sql->(q{SELECT string_agg(path, ',' ORDER BY path) FROM deleted_files}) };

$sql->(q{INSERT INTO lessons SELECT i, 'l' || i FROM generate_series(1, 20) AS i;
	INSERT INTO parts SELECT i, 'p' || i FROM generate_series(1, 5000) AS i});

# Deletions from a partition that was made after attach() have no statement
# trigger: they are written when the transaction ends.
$sql->('DELETE FROM parts_1 WHERE id = 1');
is($queued->(), 'p1', 'COMMIT writes what waits');
$sql->('BEGIN; DELETE FROM parts_1 WHERE id = 2; ROLLBACK');
is($queued->(), 'p1', '... and ROLLBACK does not');
$sql->(q{BEGIN; DELETE FROM parts_1 WHERE id = 2; SAVEPOINT a; DELETE FROM parts_1 WHERE id = 3; ROLLBACK TO a;
	DELETE FROM parts_1 WHERE id = 4; RELEASE a; SAVEPOINT b; SAVEPOINT c; DELETE FROM parts_1 WHERE id = 5; COMMIT});
is($queued->(), 'p1,p2,p4,p5', '... nor does ROLLBACK TO');
$sql->(q{BEGIN; DELETE FROM parts_1 WHERE id = 6; PREPARE TRANSACTION 'six'});
is($queued->(), 'p1,p2,p4,p5', 'a transaction that is prepared');
$sql->(q{COMMIT PREPARED 'six'});
is($queued->(), 'p1,p2,p4,p5,p6', '... and committed');
$sql->(q{BEGIN; DELETE FROM parts_1 WHERE id = 7; PREPARE TRANSACTION 'seven'});
$sql->(q{ROLLBACK PREPARED 'seven'});
is($queued->(), 'p1,p2,p4,p5,p6', '... or rolled back');
$sql->(q{DO $$ BEGIN DELETE FROM parts_1 WHERE id = 7; COMMIT; DELETE FROM parts_1 WHERE id = 8; ROLLBACK;
	DELETE FROM parts_1 WHERE id = 9; END $$});
is($queued->(), 'p1,p2,p4,p5,p6,p7,p9', 'a procedure that commits');

# Deferred triggers delete at the end, and so do those of the outbox.
$sql->(q{
	CREATE FUNCTION next() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		DELETE FROM parts_1 WHERE id = 20 AND NEW.path = 'p10' OR id = 21 AND NEW.path = 'p20';
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER next AFTER INSERT ON deleted_files DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION next();
	TRUNCATE deleted_files;
	DELETE FROM parts_1 WHERE id = 10});
is($queued->(), 'p10,p20,p21', 'deferred triggers of the outbox');
$sql->('DROP TRIGGER next ON deleted_files; TRUNCATE deleted_files');

# An error while files are written at COMMIT rolls the rows back.
$sql->(q{ALTER TABLE deleted_files ADD CONSTRAINT no_p30 CHECK (path <> 'p30')});
my ($ret, $stdout, $stderr) = $publisher->psql('postgres', 'DELETE FROM parts_1 WHERE id = 30');
like($stderr, qr/violates check constraint "no_p30"/, 'an error at COMMIT');
is($sql->('SELECT count(*) FROM parts WHERE id = 30'), '1', '... rolls back');
$sql->('ALTER TABLE deleted_files DROP CONSTRAINT no_p30');

# In EUC_JP the second byte of a character and the first of the next can be those of
# a third: A4A2 A4A2, separated at A2A4.
$sql->(q{CREATE DATABASE japanese TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'});
is($publisher->safe_psql('japanese', q{
	CREATE EXTENSION catalogue;
	CREATE TABLE profs (id integer PRIMARY KEY, login text UNIQUE);
	CREATE TABLE lessons (path text);
	CREATE FUNCTION euc(bytea) RETURNS text LANGUAGE sql AS $$ SELECT convert_from($1, 'EUC_JP') $$;
	DO $$ BEGIN
		PERFORM catalogue.attach('public', jsonb_build_object('professors', jsonb_build_object('relation', 'profs', 'username', 'login'),
			'chapters', NULL, 'lookups', NULL, 'also_delete', NULL, 'soft_references', NULL, 'files', jsonb_build_array(
			jsonb_build_object('relation', 'lessons', 'column', 'path', 'separator', euc('\xA2A4')))));
	END $$;
	INSERT INTO lessons VALUES (euc('\xA4A2A4A2A2A4') || 'a');
	DELETE FROM lessons;
	SELECT string_agg(encode(convert_to(path, 'EUC_JP'), 'hex'), ',' ORDER BY id) FROM deleted_files}),
	'a4a2a4a2,61', 'a separator is a whole character');

# What a subscriber applies, it queues nothing of.
$sql->('CREATE PUBLICATION files FOR TABLE lessons, parts WITH (publish_via_partition_root = true)');
my $connstr = $publisher->connstr('postgres');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION files CONNECTION \$\$$connstr\$\$ PUBLICATION files");
$subscriber->wait_for_subscription_sync($publisher, 'files');
$sql->(q{DELETE FROM lessons WHERE id = 1; UPDATE lessons SET path = 'new' WHERE id = 2; DELETE FROM parts WHERE id < 100;
	TRUNCATE parts});
$publisher->wait_for_catchup('files');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM lessons'), '19', 'the subscriber applies deletions');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM parts'), '0', '... and TRUNCATE');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM deleted_files'), '0', '... and queues nothing');
is($sql->('SELECT count(*), count(DISTINCT path) FROM deleted_files'), '4992|4992', '... the publisher does');
$subscriber->safe_psql('postgres', 'DELETE FROM lessons WHERE id = 3');
is($subscriber->safe_psql('postgres', 'SELECT path FROM deleted_files'), 'lessons/l3', "the subscriber's own deletions do");
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION files');
$subscriber->stop;

# README.md's worker, with a connection that is psql: its SQL and its handling of
# paths are run as they are written.
SKIP:
{
	my $readme = slurp_file(dirname(abs_path($0)) . '/../../README.md');
	my ($worker) = $readme =~ /```python\n(def unlink_deleted_files.*?)```/s;
	ok($worker, 'README.md has a worker');
	skip 'there is no python3', 2 if system('python3 -c "" >/dev/null 2>&1') != 0;

	my $root = PostgreSQL::Test::Utils::tempdir();
	mkdir "$root/lessons";
	append_to_file("$root/lessons/l$_", 'x') for 4 .. 6;
	mkdir "$root/lessons/l7";    # cannot be unlinked
	$sql->('TRUNCATE deleted_files; DELETE FROM lessons WHERE id BETWEEN 4 AND 8');
	my $script = "$root.py";
	append_to_file($script, <<'PYTHON' . $worker . <<'PYTHON');
import os, subprocess, sys

class Cursor:
    """A psql that stays, as far as the worker needs one."""
    def __init__(self, connstr):
        self.psql = subprocess.Popen(["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", connstr],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def execute(self, sql, values=()):
        quoted = ["'" + value.replace("'", "''") + "'" for value in values]
        self.psql.stdin.write(sql % tuple(quoted) + ";\n\\echo done\n")
        self.psql.stdin.flush()
        self.rows = []
        for line in self.psql.stdout:
            if line == "done\n":
                return
            self.rows.append(line.rstrip("\n").split("\t"))
        raise SystemExit("psql has ended")
    def fetchall(self):
        return self.rows

class Connection:
    def __init__(self, cursor):
        self.cursor = cursor
    def __enter__(self):
        self.cursor.execute("BEGIN")
    def __exit__(self, kind, value, traceback):
        self.cursor.execute("ROLLBACK" if kind else "COMMIT")

PYTHON

cursor = Cursor(sys.argv[1])
while unlink_deleted_files(Connection(cursor), cursor, sys.argv[2]):
    pass
PYTHON
	command_ok([ 'python3', $script, $publisher->connstr('postgres'), $root ], "README.md's worker runs");
	is(join(',', map { -e "$root/lessons/l$_" ? $_ : () } 4 .. 7), '7', '... and unlinks');
	like($sql->('SELECT path, state, attempts, last_error FROM deleted_files'), qr{^lessons/l7\|queued\|1\|.+$}, '... what it can');
}
$publisher->stop;
done_testing();
