# Which plans the executor runs where the feed does not stream: the page of each filière by
# LATERAL, or = ANY where no index has the order; generic ones, which are made once.
# auto_explain shows them.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_parallel_workers_per_gather = 0");
$node->start;
$node->safe_psql('postgres', <<'SQL');
\set chapters 20000
\i test/fixtures/feed.sql
CREATE ROLE reader;
GRANT SELECT ON chapters TO reader;
CREATE POLICY most ON chapters TO reader USING (titre <> 'chapter 1957');
ALTER TABLE chapters ENABLE ROW LEVEL SECURITY;
ANALYZE;
SQL

# The plans below a call, in one text for each statement that it runs.
sub plans
{
	my (@statements) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', join(";\n", q{LOAD 'auto_explain'}, 'SET auto_explain.log_min_duration = 0',
			'SET auto_explain.log_nested_statements = on', q{SET auto_explain.log_level = 'notice'}, 'SET ROLE reader', @statements)
			  . ";\n", on_error_die => 1);
	return grep { /Query Text: SELECT.* AS chapter / } split /^(?=.*NOTICE: )/m, $stderr;
}

my $several = q{ARRAY['f1', 'f2', 'f3']};
my ($plan, @more) = plans(q{SELECT titre FROM recent_chapters('f7', 5)});
like($plan, qr/Limit.*Index Scan using feed on chapters chapter .*Index Cond: \(filiere = \$1\)/s, 'one filiere: its page, by the index');
unlike($plan, qr/Sort/, '... without a sort');
is(@more, 0, '... in one query');
($plan) = plans("SELECT titre FROM recent_chapters_any($several, 5)");
like($plan, qr/Sort.*Nested Loop.*Limit.*Index Scan using feed on chapters chapter .*Index Cond: \(filiere = /s, 'several: the page of each');
($plan, @more) = plans(q{SELECT titre FROM recent_chapters('f7', 1000, before_id => 10007)});
like($plan, qr/Index Scan using feed .*Index Cond: \(\(filiere = \$1\) AND \(ROW\(created_at, id\) < ROW\(\$3, \$4\)\)\)/s, 'a later page: behind its place');
like("@more", qr/Index Cond: \(\(filiere = \$1\) AND \(created_at IS NULL\)\)/, '... then the undated ones');
($plan, @more) = plans(q{SELECT titre FROM recent_chapters('f7', 3, before_id => 10007)});
is(@more, 0, '... unless there are enough without them');

$node->safe_psql('postgres', 'DROP INDEX feed');
($plan) = plans("SELECT titre FROM recent_chapters_any($several, 5)");
like($plan, qr/Sort.*Seq Scan on chapters chapter .*Filter: .*filiere = ANY \(\$1\)/s, 'several without an index: the table once');
unlike($plan, qr/Nested Loop/, '... and not for each');
($plan) = plans(q{SELECT titre FROM recent_chapters('f7', 5)});
like($plan, qr/Sort.*Seq Scan on chapters chapter .*Filter: .*filiere = \$1/s, 'one without an index');
$node->stop;
done_testing();
