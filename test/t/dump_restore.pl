# A dumped database that is attached works in a new one without a further step,
# and pg_upgrade takes it over.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

my $dir = PostgreSQL::Test::Utils::tempdir();

# Two schemas, attached, one with a mapping and quoted names; rows in all tables
# that matter.
$node->safe_psql('postgres', q{CREATE ROLE proprietaire LOGIN});
$node->safe_psql('postgres', q{CREATE DATABASE source OWNER proprietaire});
$node->safe_psql('source', q{CREATE EXTENSION catalogue; GRANT CREATE ON DATABASE source TO proprietaire});
$node->safe_psql(
	'source', q{
	SET ROLE proprietaire;
	CREATE SCHEMA app;
	SELECT catalogue.create_tables('app');
	SELECT catalogue.attach('app', create_indexes => true, unlink_delay => '3 days');
	INSERT INTO app.universites (id, nom, code) VALUES ('ucad', 'Dakar', 'UCAD');
	INSERT INTO app.ufrs (id, nom, code, universite_id) VALUES ('sat', 'Sciences', 'SAT', 'ucad');
	INSERT INTO app.filieres (id, nom, code, ufr_id) VALUES ('info-l1', 'Info', 'I1', 'sat');
	INSERT INTO app.matieres (id, nom, code, filiere_id, niveau, semestre)
		VALUES ('algo', 'Algo', 'ALGO', 'info-l1', 'L1', 'S1');
	INSERT INTO app.professeurs (username, password_hash, nom, prenom, specialite)
		VALUES ('dupont', '', 'Dupont', 'Anne', 'algo');
	INSERT INTO app.chapitres_complets (universite_id, ufr_id, filiere_id, matiere_id, niveau, semestre,
			chapitre, titre, created_by, created_at)
		SELECT 'ucad', 'sat', 'info-l1', 'algo', 'L1', 'S1', i, 'Chapitre ' || i, 'dupont',
			timestamp '2026-01-01' + i * interval '1 day'
		FROM generate_series(1, 3) AS i;
	INSERT INTO app.deleted_files (path) VALUES ('uploads/a.pdf');
	INSERT INTO app.contents (niveau, semestre, chapitre, type, fichier_path, matiere_id, created_by)
		SELECT 'L1', 'S1', 'c', 't', f, 'algo', 'dupont' FROM unnest(ARRAY['gone.pdf', 'there.pdf']) AS f;
	DELETE FROM app.contents WHERE fichier_path = 'gone.pdf';
	ALTER FUNCTION app.cached_lookups_json RENAME TO referentiel;
	REVOKE ALL ON FUNCTION app.take_deleted_files FROM PUBLIC;

	CREATE SCHEMA "L'été";
	CREATE TABLE "L'été"."Cours" (no uuid PRIMARY KEY, "Filière" int, le date, titre text);
	CREATE TABLE "L'été".campus (id int PRIMARY KEY, code text, nom text);
	INSERT INTO "L'été"."Cours" VALUES ('00000000-0000-0000-0000-000000000001', 7, '2026-07-01', 'Été');
	INSERT INTO "L'été".campus VALUES (1, 'T', 'Thiès');
	SELECT catalogue.attach('L''été', '{"chapters": {"relation": "\"Cours\"", "id": "no",
		"filiere": "Filière", "created_at": "le", "author": null}, "professors": null,
		"lookups": [{"kind": "campus", "relation": "campus"}]}', create_indexes => true);
	-- an attachment whose schema was dropped is not dumped
	CREATE SCHEMA morte;
	SELECT catalogue.create_tables('morte');
	SELECT catalogue.attach('morte');
	DROP SCHEMA morte CASCADE;
});
is($node->safe_psql('source', q{SELECT count(*) FROM catalogue.attachment}), '3', 'one attachment is dead');

my %queries = (
	'the feed' => q{SELECT string_agg(titre, ',') FROM app.recent_chapters('info-l1', 2)},
	'several feeds' => q{SELECT count(*) FROM app.recent_chapters_any(ARRAY['info-l1', 'x'])},
	'the lookups' => q{SELECT string_agg(kind || ' ' || id || ' ' || coalesce(parent_id, '-'), ',') FROM app.cached_lookups()},
	'the lookups as JSON, under the new name' => q{SELECT lookups FROM app.referentiel()},
	'the feed of the other schema' => q{SELECT titre FROM "L'été".recent_chapters(7)},
	'the lookups of the other schema' => q{SELECT nom FROM "L'été".cached_lookups()},
	'the outbox' => q{SELECT path, relation, column_name, due_at - deleted_at FROM app.deleted_files ORDER BY path},
	'the configuration' => q{
		SELECT deleted_files, chapters, professors, mapping, unlink_delay FROM catalogue.attachment
		WHERE deleted_files IN (SELECT oid FROM pg_class) ORDER BY deleted_files::text;
		SELECT * FROM catalogue.lookup JOIN pg_class ON oid = attachment ORDER BY attachment::text, ordinal;
		SELECT attachment, ordinal, relation, "column", separator, prefix, replaced, shared FROM catalogue.file_column
			JOIN pg_class ON oid = attachment ORDER BY 1, 2;
		SELECT attachment, relation, columns FROM catalogue.also_delete JOIN pg_class ON oid = attachment;
		SELECT attachment, ordinal, relation, "column", type_column, type_values FROM catalogue.soft_reference
			JOIN pg_class ON oid = attachment ORDER BY 1, 2},
	'the doctor' => q{SELECT DISTINCT schema_name, status FROM catalogue.doctor() ORDER BY 1, 2},
	'the triggers' => q{SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
		WHERE tgfoid IN ('catalogue.lookup_changed'::regproc, 'catalogue.queue_deleted_files'::regproc) ORDER BY tgrelid::regclass::text, tgname},
	'owners and grants' => q{SELECT oid::regprocedure, proowner::regrole, proacl FROM pg_proc
		WHERE probin = '$libdir/catalogue' AND pronamespace <> 'catalogue'::regnamespace ORDER BY oid::regprocedure::text},
	'dependencies on the extension' => q{SELECT classid::regclass, deptype, count(*) FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'x' GROUP BY 1, 2 ORDER BY 1},
);
$queries{'the configuration'} =~ s/SELECT \* FROM catalogue.lookup/SELECT attachment, ordinal, relation, kind, id, code, nom, parent FROM catalogue.lookup/;
my %expected = map { $_ => $node->safe_psql('source', $queries{$_}) } keys %queries;
is($expected{'the feed'}, 'Chapitre 3,Chapitre 2', 'the source works');
is($expected{'the doctor'}, "L'été|ok\napp|ok", 'the source is ok');

# works_like_source NODE DATABASE NAME
sub works_like_source
{
	my ($where, $database, $name) = @_;
	foreach my $what (sort keys %queries)
	{
		is($where->safe_psql($database, $queries{$what}), $expected{$what}, "$name: $what");
	}
	is($where->safe_psql($database,
			q{SELECT DISTINCT status FROM catalogue.attach('app')
				UNION SELECT DISTINCT status FROM catalogue.attach('L''été')}),
		'found', "$name: attach() has nothing to do");
	is($where->safe_psql($database, q{
			SELECT count(*) FROM app.cached_lookups();
			UPDATE app.ufrs SET nom = 'Autre';
			SELECT nom FROM app.cached_lookups() WHERE kind = 'ufr';
			UPDATE app.ufrs SET nom = 'Sciences'}),
		"3\nAutre", "$name: a change invalidates cached lookups");
	is($where->safe_psql($database, q{
			DELETE FROM app.contents;
			SELECT path, due_at - now() > '2 days' FROM app.deleted_files WHERE path = 'there.pdf'}),
		'there.pdf|t', "$name: a deletion queues files, due as late as before");
	$where->safe_psql($database, q{DROP EXTENSION catalogue});
	is($where->safe_psql($database, q{SELECT count(*) FROM app.chapitres_complets, app.deleted_files}),
		'9', "$name: DROP EXTENSION leaves the rows");
}

# plain
$node->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", $node->connstr('source') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", $node->connstr('plain') ], 'psql');
works_like_source($node, 'plain', 'plain');

# custom format, in parallel
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", $node->connstr('source') ], 'pg_dump -Fc');
$node->safe_psql('postgres', 'CREATE DATABASE custom');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', $node->connstr('custom'), "$dir/custom" ],
	'pg_restore -j2');
works_like_source($node, 'custom', 'custom');

# the schema alone: what holds no rows is there, attach() writes the rest
$node->command_ok([ 'pg_dump', '--schema-only', '-f', "$dir/schema.sql", $node->connstr('source') ],
	'pg_dump --schema-only');
$node->safe_psql('postgres', 'CREATE DATABASE schema_only');
$node->command_ok(
	[ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql", $node->connstr('schema_only') ], 'psql');
is( $node->safe_psql('schema_only', q{SELECT DISTINCT status FROM catalogue.attach('app') ORDER BY 1}),
	"bound\nfound", 'schema only: attach() finds the functions and triggers');
is( $node->safe_psql('schema_only', q{SELECT count(*) FROM app.recent_chapters('info-l1')}),
	'0', 'schema only: the functions work');

# The owner of a database cannot make functions in C nor write the configuration.
# Where a superuser has made the extension, the owner restores the rest; attach()
# makes the functions.
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER proprietaire');
$node->safe_psql('owned', 'CREATE EXTENSION catalogue');
my ($stdout, $stderr);
IPC::Run::run(
	[ 'pg_restore', '-U', 'proprietaire', '-d', $node->connstr('owned'), "$dir/custom" ],
	'>', \$stdout, '2>', \$stderr);
my %failures;
$failures{$1}++ while $stderr =~ /ERROR:  (.*)/g;
is(join("\n", grep { !/language c|function|procedure|table (attachment|lookup|file_column|also_delete|soft_reference)$|extension catalogue/ } sort keys %failures),
	'', 'the owner restores everything else');
is( $node->safe_psql('owned', q{SET ROLE proprietaire; SELECT count(*) FROM app.chapitres_complets}),
	'3', 'owner: the rows are there');
is( $node->safe_psql('owned', q{SET ROLE proprietaire;
		SELECT DISTINCT status FROM catalogue.attach('app') ORDER BY 1}),
	"bound\ncreated\nfound", 'owner: attach() makes the rest');
is($node->safe_psql('owned', $queries{'the feed'}), $expected{'the feed'}, 'owner: the feed');

# pg_upgrade, to the same version.  It refuses clients of another one than the
# server's, which a machine has where they were upgraded alone.
my ($server_version, $client_version) = map { qx{$_ --version} =~ /\(PostgreSQL\) (\S+)/ } 'postgres', 'pg_dump';
SKIP:
{
	skip "pg_upgrade takes pg_dump of the server's version: $server_version, not $client_version", 1
		if $server_version ne $client_version;

	my $new = PostgreSQL::Test::Cluster->new('new');
	$new->init;
	$node->stop;
	my @upgrade = (
		'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir,
		'-b', $node->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $node->port, '-P', $new->port);
	chdir $dir or die;
	command_ok([ @upgrade, '--check' ], 'pg_upgrade --check');
	command_ok(\@upgrade, 'pg_upgrade');
	$new->start;
	works_like_source($new, 'source', 'pg_upgrade');
	$new->stop;
}

done_testing();
