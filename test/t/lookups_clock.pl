# The age of a cached entry is measured by a monotonic clock: an entry
# expires in time also when the system's clock is set back by an hour.
#
# A small library, loaded into the server before the C library, sets the clock.
use strict;
use warnings;

use Cwd;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = Cwd::abs_path(PostgreSQL::Test::Utils::tempdir());
append_to_file("$directory/clock.c", q{
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* The time of day is an hour back as soon as the file is there. */
int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	static int (*real) (struct timeval *, void *);
	int			result;

	if (real == NULL)
		real = (int (*) (struct timeval *, void *)) dlsym(RTLD_NEXT, "gettimeofday");
	result = real(tv, tz);
	if (access(getenv("CLOCK_SET_BACK"), F_OK) == 0)
		tv->tv_sec -= 3600;
	return result;
}
});
plan skip_all => 'no compiler that makes a library to preload'
  if $^O ne 'linux' || system("cc -shared -fPIC -o $directory/clock.so $directory/clock.c -ldl") != 0;

my $node = PostgreSQL::Test::Cluster->new('clock');
$node->init;
$node->append_conf('postgresql.conf', 'catalogue.lookup_ttl = 1s');
{
	local $ENV{LD_PRELOAD} = "$directory/clock.so";
	local $ENV{CLOCK_SET_BACK} = "$directory/set_back";
	$node->start;
}
$node->safe_psql('postgres', q{
	CREATE EXTENSION catalogue;
	SELECT catalogue.create_tables();
	SELECT * FROM catalogue.attach();
	INSERT INTO universites (id, nom, code) VALUES ('ucad', 'UCAD', 'UCAD');});

append_to_file("$directory/change.sql", qq{
SELECT clock_timestamp() AS before \\gset
SELECT nom FROM cached_lookups();
\\! touch $directory/set_back
SELECT clock_timestamp() < :'before'::timestamptz AS set_back;
DO \$\$
BEGIN
	-- pg_sleep() goes by the time of day
	WHILE (SELECT expiries FROM catalogue.cache_stats WHERE schema_name IS NULL) = 0 LOOP
		PERFORM count(*) FROM cached_lookups();
	END LOOP;
END
\$\$;
SELECT expiries FROM catalogue.cache_stats WHERE schema_name IS NULL;
});
is($node->safe_psql('postgres', "SET statement_timeout = '${PostgreSQL::Test::Utils::timeout_default}s';
	\\i $directory/change.sql"),
	"UCAD\nt\n1", 'an entry expires though the clock is set back');

$node->stop;
done_testing();
