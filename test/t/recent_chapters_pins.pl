# What has ended leaves nothing pinned: pages of one filière, of several, of so many that
# some are put off, of partitions, those that the index alone answers, and those that the
# executor reads; ended by an error, a cancellation, a rollback, a caught exception, or
# before their last row.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off");
$node->start;
$node->safe_psql('postgres', <<'SQL');
\set chapters 4000
\i test/fixtures/feed.sql
CREATE EXTENSION pg_buffercache;

CREATE SCHEMA parts;
CREATE TABLE parts.chapters (id bigint, filiere text, created_at timestamp, titre text, PRIMARY KEY (id, filiere)) PARTITION BY HASH (filiere);
CREATE TABLE parts.one PARTITION OF parts.chapters FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts.two PARTITION OF parts.chapters FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts.chapters SELECT id, filiere, created_at, titre FROM chapters;
CREATE INDEX feed ON parts.chapters (filiere, created_at DESC NULLS LAST, id DESC);
CREATE SCHEMA unordered;
CREATE TABLE unordered.chapters AS SELECT id, filiere, created_at, titre FROM chapters;
ALTER TABLE unordered.chapters ADD PRIMARY KEY (id);
SELECT count(*) FROM unnest(ARRAY['parts', 'unordered']) AS s (name),
	catalogue.attach(s.name, '{"chapters": {"relation": "chapters", "filiere": "filiere", "author": null}}');
VACUUM ANALYZE;
SQL

my $watching = $node->background_psql('postgres');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query($_) foreach q{SET statement_timeout = '300ms'}, 'SET enable_seqscan = off', 'SET enable_bitmapscan = off',
	'SET enable_sort = off', q{SET work_mem = '256kB'};

# Buffers of the tables and their indexes.
sub pins
{
	return $watching->query_safe(q{SELECT count(*) FROM pg_buffercache AS b JOIN pg_class AS c
		ON b.relfilenode = pg_relation_filenode(c.oid) WHERE b.pinning_backends > 0
		AND c.oid IN (SELECT unnest(array_append(array_agg(indexrelid), indrelid)) FROM pg_index
			WHERE indrelid::regclass::text ~ '(chapters|parts\..*)$' GROUP BY indrelid)});
}

# Runs commands; what psql says of errors.
sub errors
{
	my (@statements) = @_;
	$session->{stderr} = '';
	$session->query($_) foreach @statements;
	return $session->{stderr};
}

# The session's feeds: what is stale and unpinned is dropped.
sub feeds { return $session->query(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'catalogue chapter feed'}) }

my $several = q{ARRAY['f1', 'f2', 'f3', 'f4']};
my $many = q{ARRAY(SELECT 'f' || f FROM generate_series(0, 49) AS f)};
my %pages = (
	'one filiere' => q{recent_chapters('f1', 40)},
	'a later page' => q{recent_chapters('f1', 40, before_id => 2001)},
	'the index alone' => q{(SELECT id, NULL AS titre FROM recent_chapters('f1', 40)) AS c},
	'several filieres' => "recent_chapters_any($several, 40)",
	'many filieres' => "recent_chapters_any($many, 400)",
	'partitions' => "parts.recent_chapters_any($several, 40)",
	'no index' => "unordered.recent_chapters_any($several, 40)");

like($node->safe_psql('postgres', "EXPLAIN (ANALYZE) SELECT id FROM $pages{'the index alone'}"), qr/Heap Fetches: 0/,
	'a page is read from the index alone');
foreach my $name (sort keys %pages)
{
	my $page = $pages{$name};
	my $cursor = "DECLARE c CURSOR FOR SELECT id, titre FROM $page";

	is(errors('BEGIN', $cursor, 'FETCH 10 FROM c'), '', "$name: a page is opened");
	cmp_ok(pins(), $name eq 'no index' ? '==' : '>', 0, '... which has pins, if it is streamed');
	errors('ROLLBACK');
	is(pins(), 0, '... but none once it is rolled back');
	errors('BEGIN', 'SAVEPOINT s', $cursor, 'FETCH 10 FROM c', 'ROLLBACK TO s');
	is(pins(), 0, '... nor in a transaction whose subtransaction is');
	errors('COMMIT', 'BEGIN', $cursor, 'FETCH 10 FROM c', 'CLOSE c');
	is(pins(), 0, '... nor closed');
	is(errors('COMMIT', "SELECT id, titre FROM $page LIMIT 3"), '', '... read in part');
	is(pins(), 0, '... nor then');
	like(errors("SELECT count(1 / (id % 4 - 1) + num_nulls(titre)) FROM $page"), qr/division by zero/, "$name: an error");
	is(pins(), 0, '... leaves no pin');
	like(errors("SELECT count(pg_sleep(10 + num_nulls(titre))) FROM $page"), qr/statement timeout/, "$name: a cancellation");
	is(pins(), 0, '... leaves no pin');
	is(errors('BEGIN', <<"SQL"), '', "$name: exceptions that are caught");
DO \$\$
DECLARE
	r record;
BEGIN
	FOR i IN 1 .. 50 LOOP
		BEGIN
			FOR r IN SELECT id, titre FROM $page LOOP
				PERFORM 1 / (r.id % 4 - 1);
			END LOOP;
		EXCEPTION WHEN division_by_zero THEN
			CONTINUE;
		END;
	END LOOP;
END \$\$;
SQL
	is(pins(), 0, '... leave no pin');
	errors('COMMIT');
}

# Errors of the call itself, from its planning to its rows.  A feed that one of them left
# pinned would stay, beside the new one, when the table changes.
$session->quit;
$session = $node->background_psql('postgres', on_error_stop => 0);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader;
CREATE ROLE stranger;
GRANT USAGE ON SCHEMA parts, unordered TO PUBLIC;
GRANT SELECT ON unordered.chapters TO reader;
CREATE FUNCTION refuse(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE POLICY p ON unordered.chapters TO reader USING (refuse(id));
ALTER TABLE unordered.chapters ENABLE ROW LEVEL SECURITY;
SQL
my $call = 'SELECT count(id) FROM unordered.recent_chapters_any';
$session->query("$call('{f1}', 3)");
foreach my $failure (
	[ qr/must not be negative/, "$call('{f1}', -1)" ],
	[ qr/does not exist/, "$call('{f1}', 3, before_id => -5)" ],
	[ qr/does not exist/, q{SELECT unordered.recent_chapters_any('{f1}', 3, before_id => -5)} ],
	[ qr/division by zero/, 'SELECT count(1 / (id % 4 - 1)) FROM unordered.recent_chapters_any(\'{f1,f2}\', 30)' ],
	[ qr/division by zero/, "$call('{f1}', (SELECT 1 / (count(*) - 4000) FROM unordered.chapters))" ],
	[ qr/refused/, 'SET ROLE reader', "$call('{f1}', 3)", 'RESET ROLE' ],
	[ qr/permission denied/, 'SET ROLE stranger', "$call('{f1}', 3)", 'RESET ROLE' ],
	[ qr/statement timeout/, q{SET statement_timeout = '300ms'}, 'SELECT count(pg_sleep(10)) FROM unordered.recent_chapters_any(\'{f1}\', 3)', 'RESET statement_timeout' ],
	[ qr/has no column|does not exist/, 'BEGIN', 'ALTER TABLE unordered.chapters RENAME created_at TO at', "$call('{f1}', 3)", 'ROLLBACK' ],
	[ qr/^$/, 'BEGIN', 'DECLARE c CURSOR FOR SELECT id FROM unordered.recent_chapters_any(\'{f1}\', 3)', 'FETCH 1 FROM c', 'ROLLBACK' ])
{
	my ($error, @statements) = @$failure;
	my $what = $error =~ s/^\(\?\^u?:(.*)\)$/$1/r;

	like(errors(map { ($_) } @statements), $error, "'$what' comes");
	errors(q{COMMENT ON TABLE unordered.chapters IS 'changed'}, 'ALTER TABLE unordered.chapters SET (fillfactor = 90)', "$call('{f1}', 3)");
	is(feeds(), 1, '... and leaves no feed behind');
}
$session->quit;
$watching->quit;

# The server warns of what a statement that succeeded has left open.
unlike(slurp_file($node->logfile), qr/WARNING:.*(leak|still referenced|refcount)/, 'no leak was noticed');
$node->stop;
done_testing();
