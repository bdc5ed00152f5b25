# The feed remembers in which buffer a block was.  Whatever has happened to the
# buffer since (evicted, the table rewritten, emptied, dropped), a page is what
# plain SQL reads; dead index entries are marked, and usage is still counted.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# 16 buffers would do for the test, not for the server's own work.
$node->append_conf('postgresql.conf', "shared_buffers = 512kB\nautovacuum = off\njit = off");
$node->start;
$node->safe_psql('postgres', "\\set chapters 10000\n\\i test/fixtures/feed.sql");

# Compares all filières' pages in one session, as text, after some statements.
my $session = $node->background_psql('postgres');
sub same_pages
{
	my ($name, @statements) = @_;
	$session->query_safe($_) foreach @statements;
	my ($rows, $different) = split /\|/, $session->query_safe(q{
		SELECT count(ours) + count(plain), count(*) FILTER (WHERE ours IS NULL OR plain IS NULL)
		FROM (SELECT f.n, c.id || ' ' || c.titre AS ours
			FROM generate_series(0, 49) AS f(n), recent_chapters('f' || f.n, 60) AS c) AS ours
		FULL JOIN (SELECT f.n, c.id || ' ' || c.titre AS plain
			FROM generate_series(0, 49) AS f(n), LATERAL (
				SELECT id, titre FROM chapters WHERE filiere = 'f' || f.n
				ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 60) AS c) AS plain
		ON ours.n = plain.n AND ours = plain});
	cmp_ok($rows, '>', 0, "$name: there are rows");
	is($different, 0, "$name: the pages are those of plain SQL");
	return;
}

like($session->query_safe(q{EXPLAIN (COSTS OFF) SELECT titre FROM recent_chapters('f7', 5)}),
	qr/Catalogue Stream.*Index: feed/s, 'streams from the index');
same_pages('first reading');
same_pages('again, with most blocks evicted between');
same_pages('another table took the buffers',
	'CREATE TABLE other AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 3000) AS i',
	'SELECT count(*) FROM other');
same_pages('rows updated in place', q{UPDATE chapters SET titre = titre || ' bis' WHERE id % 7 = 0});
same_pages('rows moved', q{UPDATE chapters SET padding = repeat('y', 900) WHERE id % 5 = 0});
same_pages('rows deleted and vacuumed', 'DELETE FROM chapters WHERE id % 3 = 0', 'VACUUM chapters');
same_pages('their places taken by others',
	q{INSERT INTO chapters SELECT i, 'f' || i % 50, now()::timestamp, 'new ' || i, 'x' FROM generate_series(20001, 22000) AS i});
same_pages('the table rewritten', 'VACUUM FULL chapters');
same_pages('and rewritten again', 'CLUSTER chapters USING chapters_pkey');
same_pages('emptied and filled', 'TRUNCATE chapters',
	q{INSERT INTO chapters SELECT i, 'f' || i % 50, now()::timestamp, 'other ' || i, 'x' FROM generate_series(1, 5000) AS i});

# More filières than there are buffers: few of their scans are open at a time.
$session->query_safe(q{CREATE TABLE filieres AS SELECT array_agg('g' || i) AS names FROM generate_series(1, 500) AS i});
$session->query_safe(q{INSERT INTO chapters SELECT 50000 + i, 'g' || i % 500 + 1, '2024-01-01'::timestamp + i % 7 * interval '1 day', 'many', 'x'
	FROM generate_series(1, 1500) AS i});
is($session->query_safe(q{SELECT array_agg(id) FROM recent_chapters_any((SELECT names FROM filieres), 1000)}),
	$session->query_safe(q{SELECT array_agg(id) FROM (SELECT id FROM chapters WHERE titre = 'many'
		ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1000) AS plain}),
	'more filieres than there are buffers');
$session->query_safe(q{DELETE FROM chapters WHERE titre = 'many'; DROP TABLE filieres});
same_pages('uncommitted rows', 'BEGIN', q{UPDATE chapters SET titre = titre || ' ter' WHERE id % 2 = 0});
same_pages('rolled back', 'ROLLBACK');
$session->quit;

# Everything fits from here on, so that a count of buffers is exact.
$node->append_conf('postgresql.conf', 'shared_buffers = 64MB');
$node->restart;
$session = $node->background_psql('postgres');

# What a page of a filière touches, with all that was read and found.
sub buffers
{
	my ($statement) = @_;
	my $plan = $session->query_safe("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) $statement");
	my ($hit) = $plan =~ /Buffers: shared hit=(\d+)/;
	my ($read) = $plan =~ /Buffers: shared.* read=(\d+)/;
	return ($hit // 0) + ($read // 0);
}
my $page = q{SELECT titre FROM recent_chapters('f7', 10)};
buffers($page);
my $before = buffers($page);
is(buffers($page), $before, 'a page touches the same number of buffers each time');
$session->query_safe(q{DELETE FROM chapters WHERE filiere = 'f7' AND id > 1000});
my $dead = buffers($page);
my $marked = buffers($page);
cmp_ok($dead, '>', $before + 50, 'the first scan reads the dead rows');
cmp_ok($marked, '<=', $before + 5, 'the next does not: their index entries are marked');

# Buffers that were remembered count as hits.
my $statistics = q{SELECT heap_blks_read, heap_blks_hit FROM pg_statio_user_tables WHERE relid = 'chapters'::regclass};
sub counted
{
	$session->query_safe('SELECT pg_stat_force_next_flush()');
	return split /\|/, $session->query_safe($statistics);
}
my ($read, $hit) = counted();
$session->query_safe($page) foreach 1 .. 20;
my ($read_after, $hit_after) = counted();
is($read_after, $read, 'nothing is read that is there');
cmp_ok($hit_after, '>=', $hit + 20 * 10, 'and all is counted');

# Nor are they looked up, which counts as a hit of its own kind from 16 on, and
# before raises the buffers' usage counts.
$session->query_safe('CREATE EXTENSION pg_buffercache');
$session->quit;
$node->restart;
$session = $node->background_psql('postgres');
my $look_ups = $node->pg_version >= 16
  ? q{SELECT sum(hits) / 300 FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation'}
  : q{SELECT sum(usagecount) FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('chapters')};
sub looked_up
{
	$session->query_safe('SELECT pg_stat_force_next_flush()');
	return $session->query_safe($look_ups);
}

$session->query_safe($page);
my $before_pages = looked_up();
$session->query_safe($page) foreach 1 .. 300;
cmp_ok(looked_up() - $before_pages, '<', 8, 'ten rows a page are not looked up each time');
$session->quit;

# The clock sweep keeps what is in use.  Another table, read row by row, drives
# it round again and again; a page that is read between stays in the buffers.
$node->append_conf('postgresql.conf', 'shared_buffers = 1MB');
$node->restart;
$session = $node->background_psql('postgres');
$session->query_safe('SET enable_seqscan = off; SET enable_bitmapscan = off');
$session->query_safe('CREATE INDEX ON other (i)');
$session->query_safe($page) foreach 1 .. 3;
($read) = counted();
foreach my $round (1 .. 300)
{
	my $from = $round * 400 % 2600;
	$session->query_safe("SELECT sum(length(repeat)) FROM other WHERE i BETWEEN $from AND $from + 400");
	$session->query_safe($page);
}
($read_after) = counted();
cmp_ok($read_after - $read, '<', 100, 'of 3,000 blocks of pages in use, few were evicted');
$session->quit;
$node->stop;

done_testing();
