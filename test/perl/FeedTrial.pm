# Random calls of one random feed: the commands for psql, and what is wrong with their
# results.
#
# Each query is run with the extension's function and with the page by hand, one after
# the other, in the same way: as it is, prepared, by a cursor, in a function or view; in
# between, settings, roles, rows and indexes change.  Lines that begin with %% tell the
# results apart.

package FeedTrial;

use strict;
use warnings;

use RandomFeed;
use RandomFeed::Calls;

BEGIN { *chance = \&RandomSchema::chance; *pick = \&RandomSchema::pick; *pick_by = \&RandomSchema::pick_by }

# Errors that both sides may end with, once the table has changed under a prepared statement.
my $changed = qr/^(0A000|42703)$/;

# Of a small table the planner would rather sort the rows; its choice is kept.
my $by_index = "SET enable_seqscan = off;\nSET enable_bitmapscan = off;\nSET enable_sort = off;\nSET enable_indexscan = on;\nSET catalogue.enable_stream = on;\n";

# new(feed => random feed, steps => how many)
sub new
{
	my ($class, %options) = @_;
	my $self = bless { %options, name => $options{feed}{name}, checks => [], prepared => [], results => {}, paths => {} }, $class;

	$self->{calls} = RandomFeed::Calls->new($options{feed});
	$self->{next_id} = 200;
	$self->{text} = $self->make_script;
	return $self;
}

sub script { my ($self) = @_; return $self->{text} }

sub make_script
{
	my ($self) = @_;
	my $feed = $self->{feed};
	my $script = "\\echo %%case $self->{name}\n\\warn %%case $self->{name}\n\\set ON_ERROR_ROLLBACK off\nBEGIN;\n";

	$script .= "$_;\n" foreach $feed->create;
	$script .= "COMMIT;\n\\set ON_ERROR_ROLLBACK on\nSELECT '%%created' WHERE to_regnamespace('$self->{name}') IS NOT NULL;\n"
	  . $self->settings . (chance(0.7) ? $by_index : '') . $self->role;
	$script .= "\\echo %%path\nEXPLAIN (COSTS OFF) SELECT id FROM " . $self->{calls}->function({ filiere => $feed->literal(filiere => 1) }) . ";\n";
	foreach (1 .. $self->{steps})
	{
		my $step = pick_by(check => 24, check_error => 1, settings => 2, role => 2, change_rows => 2, change_table => 3, transaction => 2, again => 3);
		$script .= $self->$step;
	}
	return $script . "RESET ROLE;\nRESET ALL;\nDEALLOCATE ALL;\nSET statement_timeout = '30s';\nDROP SCHEMA $self->{name} CASCADE;\n\\echo %%end\n";
}

sub settings
{
	my ($self) = @_;
	my $parallel = $self->{feed}{version} >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
	my @settings = ((map { [ "enable_$_" => 'off' ] } qw(seqscan seqscan seqscan bitmapscan bitmapscan sort sort incremental_sort nestloop hashjoin mergejoin material memoize hashagg indexonlyscan indexscan)),
		[ $parallel => pick('on', 'regress') ], [ parallel_setup_cost => 0 ], [ min_parallel_table_scan_size => 0 ], [ work_mem => '64kB' ],
		[ plan_cache_mode => pick('force_generic_plan', 'force_custom_plan') ], [ cursor_tuple_fraction => 1 ],
			[ enable_partitionwise_join => 'on' ], [ enable_partitionwise_aggregate => 'on' ],
		[ 'catalogue.enable_stream' => chance(0.3) ? 'off' : 'on' ], [ 'catalogue.read_ahead_latency' => pick(0, -1) ]);

	return "RESET ALL;\nSET statement_timeout = '30s';\n"
	  . join('', map { my ($name, $value) = @{ pick(@settings) }; "SET $name = '$value';\n" } 1 .. pick(0, 1, 3, 6));
}

sub role { my ($self) = @_; return pick("RESET ROLE;\n", "SET ROLE trial_reader;\n") }

# A query in both forms, in one of the ways to run it.
sub check
{
	my ($self) = @_;
	my $way = pick_by(direct => 6, prepared => 5, cursor => 2, loop => 1, function => 2, view => 1);
	my $query = $self->{calls}->query($way eq 'prepared' || $way eq 'function' ? 0.5 : 0);

	$way = 'direct' if $way eq 'view' && $query->{shape} !~ /^(simple|sorted|joined_sorted)$/;
	$way = 'direct' if $way eq 'view' && "$query->{ours}$query->{plain}" =~ /r\.\*|titre.*titre/;
	$query->{ways} = [ $self->$way($query) ];
	return $self->run_both($query, @{ $query->{ways} });
}

# How to run it, for each form: commands before, the commands themselves, and after.
sub direct { my ($self, $query) = @_; return map { [ '', "$_;\n", '' ] } @$query{qw(ours plain)} }

sub loop { my ($self, $query) = @_; return map { [ '', 'SELECT trial.loop($q$' . $_ . "\$q\$);\n", '' ] } @$query{qw(ours plain)} }

sub statement_name { my ($self) = @_; return 'p' . ++$self->{statements} }

sub prepared
{
	my ($self, $query) = @_;
	my $name = $self->statement_name;
	my $types = join ', ', @{ $query->{types} };
	my $values = join ', ', @{ $query->{values} };
	my @ways = map { [ '', "EXECUTE ${name}_$_" . ($values ne '' ? "($values)" : '') . ";\n", '' ] } qw(ours plain);

	$types = "($types)" if $types ne '';
	$query->{prepare} = "SET plan_cache_mode = '" . pick('auto', 'force_generic_plan', 'force_custom_plan') . "';\n"
	  . "PREPARE ${name}_ours$types AS $query->{ours};\nPREPARE ${name}_plain$types AS $query->{plain};\n";
	push @{ $self->{prepared} }, { query => $query, ways => \@ways };
	return @ways;
}

sub cursor
{
	my ($self, $query) = @_;
	my $scroll = $query->{compare} eq 'ordered' && chance(0.5);
	my $fetches = join '', map { my $fetch = pick(1, 2, 5, 'NEXT', $scroll ? ('BACKWARD 1', 'FIRST', 'ABSOLUTE 3', 'LAST',
		'RELATIVE 2', 'BACKWARD 4') : ()); "FETCH $fetch FROM c;\n" } 1 .. pick(0, 1, 2, 4);
	my $name = $scroll ? 'c SCROLL CURSOR' : 'c CURSOR';
	my $all = $scroll && chance(0.5) ? '' : "FETCH ALL FROM c;\n";
	my ($begin, $end) = $self->{in_transaction} ? ('', "CLOSE c;\n") : ("BEGIN;\n", pick("COMMIT;\n", "ROLLBACK;\n"));

	return map { [ "BEGIN;\n", "DECLARE c CURSOR WITH HOLD FOR $_;\n${fetches}COMMIT;\nFETCH ALL FROM c;\n", "CLOSE c;\n" ] } @$query{qw(ours plain)}
	  if !$scroll && !$self->{in_transaction} && chance(0.3);
	$all = "FETCH ALL FROM c;\n" if $query->{compare} ne 'ordered';
	return map { [ $begin, "DECLARE $name FOR $_;\n$fetches$all", $end ] } @$query{qw(ours plain)};
}

sub function
{
	my ($self, $query) = @_;
	my $name = "$self->{name}.f" . ++$self->{statements};
	my $values = join ', ', @{ $query->{values} };
	my $times = pick(1, 1, 7);

	$query->{prepare} = join '', map {
		"RESET ROLE;\nCREATE FUNCTION ${name}_$_(" . join(', ', @{ $query->{types} })
		  . ") RETURNS SETOF text LANGUAGE plpgsql STABLE AS \$f\$\nDECLARE\n\tresult record;\nBEGIN\n"
		  . "\tFOR result IN $query->{$_} LOOP\n\t\tRETURN NEXT result::text;\n\tEND LOOP;\nEND \$f\$;\n" } qw(ours plain);
	$query->{prepare} .= $self->role;
	$query->{compare} = 'rows' if $query->{compare} eq 'keys';
	return map { [ '', "SELECT ${name}_$_($values);\n" x $times, '' ] } qw(ours plain);
}

sub view
{
	my ($self, $query) = @_;
	my $name = "$self->{name}.v" . ++$self->{statements};

	$query->{prepare} = "RESET ROLE;\nCREATE VIEW ${name}_ours AS $query->{ours};\nCREATE VIEW ${name}_plain AS $query->{plain};\n";
	return map { [ '', "SELECT * FROM ${name}_$_;\n", '' ] } qw(ours plain);
}

sub run_both
{
	my ($self, $query, $ours, $plain) = @_;
	my $number = @{ $self->{checks} };
	my $table = $self->{feed}{table};
	my $script = ($query->{prepare} // '') . ($query->{ways_changed} // '');
	my $gone = join ' OR ', map { "NOT EXISTS (SELECT FROM $table WHERE id = $_\::" . $self->{feed}->argument_type('id')
	  . ')' } @{ $query->{before_ids} };

	push @{ $self->{checks} }, $query;
	delete $query->{prepare};
	$script .= "\\echo %%gone $number\nSELECT $gone;\n" if $gone;
	foreach ([ ours => $ours ], [ plain => $plain ])
	{
		my ($form, $way) = @$_;
		$script .= "$way->[0]\\echo %%$form $number\n$way->[1]\\echo %%state $number $form :SQLSTATE\n$way->[2]";
	}
	return $script;
}

# A call that must fail, by its state.
sub check_error
{
	my ($self) = @_;
	my $feed = $self->{feed};
	my $number = @{ $self->{checks} };
	my $id = $feed->literal(id => 5000) . '::' . $feed->argument_type('id');
	my ($state, %more) = @{ pick([ 'P0002', n => 3, before_id => $id ], [ '22023', n => -1 ], [ '22023', n => 'trial.opaque(-3::bigint)' ]) };
	my $function = $self->{calls}->function({ filiere => $feed->literal(filiere => 1), %more });
	my $sql = pick("SELECT id FROM $function", "SELECT $function", "SELECT id FROM $function LIMIT 1", "SELECT count(*) FROM $function");

	push @{ $self->{checks} }, { ours => $sql, expected => $state };
	return "\\echo %%ours $number\n$sql;\n\\echo %%state $number ours :SQLSTATE\n";
}

# As the table's owner.
sub as_owner { my ($self, @commands) = @_; return "RESET ROLE;\n" . join('', map { "$_;\n" } @commands) . $self->role }

sub change
{
	my ($self) = @_;
	my $feed = $self->{feed};
	my $at = chance(0.8) || $feed->{nullable} ne 'nullable' ? int rand 15 : undef;
	my @rows = map { { id => $self->{next_id}++, filiere => int rand $feed->{filieres}, created_at => $at, niveau => int rand 3, n => int rand 10, table => $feed->random_leaf } } 1 .. pick(1, 5, 30);
	my @where = ('n = ' . int rand 10, 'id > ' . $feed->literal(id => 30), 'filiere = ' . $feed->alike(filiere => int rand $feed->{filieres}));

	return pick("DELETE FROM $feed->{table} WHERE " . pick(@where), "UPDATE $feed->{table} SET n = n + 1 WHERE " . pick(@where),
		"UPDATE $feed->{table} SET titre = titre || ' again' WHERE " . pick(@where),
		"UPDATE $feed->{table} SET created_at = " . $feed->literal(created_at => $at) . ' WHERE ' . pick(@where), map { $_ } $feed->insert(@rows));
}

sub change_rows { my ($self) = @_; return $self->as_owner(map { $self->change } 1 .. pick(1, 2)) }

# Changes of which a part is undone, and calls in between.
sub transaction
{
	my ($self) = @_;
	local $self->{in_transaction} = 1;
	my $script = "RESET ROLE;\nBEGIN;\n" . $self->change . ";\n";

	$script .= $self->check if chance(0.7);
	$script .= "SAVEPOINT s;\n" . $self->change . ";\n" . $self->check . pick("ROLLBACK TO s;\n", "RELEASE s;\n") . $self->check if chance(0.6);
	return $script . pick("COMMIT;\n", "ROLLBACK;\n", "ROLLBACK;\n");
}

sub change_table
{
	my ($self) = @_;
	my $feed = $self->{feed};
	my $column = 'added' . ++$self->{added};
	my $leaf = "$feed->{name}." . pick($feed->leaves);
	my @ways = ("ANALYZE $feed->{table}", "VACUUM $feed->{table}", "ALTER TABLE $feed->{table} ADD $column integer DEFAULT 7", "REINDEX TABLE $leaf",
		"DROP POLICY IF EXISTS p ON $feed->{table}", "ALTER TABLE $feed->{table} " . pick('ENABLE', 'DISABLE') . ' ROW LEVEL SECURITY',
		"CREATE INDEX ON $leaf (" . $feed->random_index . ')', "CREATE INDEX ON $leaf (filiere, created_at DESC NULLS LAST, id DESC)", "CREATE INDEX ON $leaf (" . $feed->level_index . ')',
		"VACUUM FULL $leaf", "ALTER TABLE $feed->{table} DROP COLUMN IF EXISTS texte");

	push @ways, "SELECT trial.drop_index('$feed->{table}', " . pick(0, 1, 2) . ')', "SELECT trial.drop_index('$leaf', 0)",
		"SELECT trial.invalidate_index('$leaf')",
	  "ALTER TABLE $feed->{table} ALTER created_at " . pick('DROP', 'SET') . ' NOT NULL';
	my $way = pick(@ways);
	$feed->{names} = [ grep { $_ ne 'texte' } @{ $feed->{names} } ] if $way =~ /texte/;
	return $self->as_owner($way);
}

# A prepared statement once more.
sub again
{
	my ($self) = @_;
	return '' if !@{ $self->{prepared} };
	my $prepared = pick(@{ $self->{prepared} });
	return $self->run_both({ %{ $prepared->{query} }, again => 1 }, @{ $prepared->{ways} });
}

# What psql said.
sub take
{
	my ($self, @lines) = @_;
	my $to;

	foreach (@lines)
	{
		if (/^%%state (\d+) (\w+) (\w+)/)
		{
			$self->{results}{"$2 $1"}{state} = $3;
			undef $to;
		}
		elsif (/^%%(\w+)(?: (\d+))?/)
		{
			$self->{$1} = 1 if !defined $2;
			$to = defined $2 ? $self->{results}{"$1 $2"} = { lines => [] } : { lines => [] };
			$self->{path_lines} = $to->{lines} if $1 eq 'path';
		}
		elsif ($to)
		{
			push @{ $to->{lines} }, $_;
		}
	}
	return;
}

sub problems
{
	my ($self) = @_;
	my @problems;

	return 'the table was not created: ' . (($self->{stderr} // '') =~ /(ERROR: .*)/)[0] if !$self->{created};
	foreach my $number (0 .. $#{ $self->{checks} })
	{
		my $check = $self->{checks}[$number];
		my $what = $self->compare($check, map { $self->{results}{"$_ $number"} } qw(ours plain gone)) or next;
		push @problems, "check $number: $what\n" . ($check->{shape} ? "$check->{shape}, $check->{compare}\n" : '')
		  . "$check->{ours}\n" . ($check->{plain} // '');
	}
	push @problems, 'it does not come to its end' if !$self->{end};
	return @problems;
}

# What is wrong with a pair of results.  A cursor that has failed cannot run again (55000, 34000).
sub compare
{
	my ($self, $check, $ours, $plain, $gone) = @_;
	my $state = $ours->{state} // 'none';

	return $state eq $check->{expected} ? undef : "state $state, expected $check->{expected}" if $check->{expected};
	return undef if $gone && "@{ $gone->{lines} }" eq 't' && $state =~ /^(P0002|00000|55000|34000)$/;
	# Plans of a text without case may lose the collation, in the server itself.
	return undef if ($plain->{state} // '') eq '42P22';
	return undef if $check->{again} && ($plain->{state} // '') =~ $changed;
	return "state $state, plain " . ($plain->{state} // 'none') if $state ne ($plain->{state} // 'none');
	return "both fail with $state" if $state ne '00000';

	my @ours = @{ $ours->{lines} };
	my @plain = @{ $plain->{lines} };
	my $keys = sub { join "\n", map { s/\|.*//r } @_ };
	return 'keys in another order' if $check->{compare} eq 'keys' && $keys->(@ours) ne $keys->(@plain);
	@ours = sort @ours if $check->{compare} ne 'ordered';
	@plain = sort @plain if $check->{compare} ne 'ordered';
	$self->{rows} += @plain;
	return undef if "@ours" eq "@plain";
	return @ours . " rows: @ours[0 .. ($#ours < 9 ? $#ours : 9)]\nplain " . @plain . ": @plain[0 .. ($#plain < 9 ? $#plain : 9)]";
}

# How the first call was run.
sub path
{
	my ($self) = @_;
	my $plan = join ' ', @{ $self->{path_lines} // [] };
	return $plan =~ /Not Streamed: (.*?)(  |$)/ ? "not streamed: $1" : $plan =~ /Index(es)?: / ? 'streamed'
	  : $plan =~ /(Function Scan)/ ? 'a function scan' : 'none';
}

1;
