# One random schema, deleted from in several ways: the commands for psql, and what
# is wrong with their results.
#
# The measure is plain DELETE (trial.plain() in test/fixtures/random_schema.sql) in a
# transaction that is rolled back.  Then each way in a transaction of its own, rolled
# back too, and a purge at last.  Lines that begin with %% tell the results apart.

package DeletionTrial;

use strict;
use warnings;

use JSON::PP;
use RandomSchema;
use RandomSchema::SQL;

my $json = JSON::PP->new->canonical->utf8;

# Differences from plain DELETE that README announces, or that no deletion in
# several statements can avoid: when, and why.  The rows must be sound all the same
# (check_soundness()).
#
#   a trigger, a rule or a policy keeps the root's row: 27000, 42501 or P0002, where
#     plain DELETE says nothing
#   a row that a trigger adds below what is deleted: plain DELETE refuses it once the
#     referenced row is gone; rows that go first can still be added, and go too
#   a row that the mapping adds and a trigger keeps: plain DELETE, for which the key is
#     CASCADE, leaves it as it is; here the key then does what it says (SET NULL)
#   a deletion that is stopped in two ways, by a user's error and by a key: either error
#   a rule that replaces a cascade's statement: any error instead of the server's XX000

# new(schema => random schema, name => , with_dependents => whether there is such a function)
sub new
{
	my ($class, %options) = @_;
	my $self = bless { %options, results => {}, refusals => [] }, $class;
	$self->{sql} = RandomSchema::SQL->new($options{schema}, $options{name});
	$self->{ways} = [ $self->choose_ways ];
	return $self;
}

# Which calls to compare; drawn from the schema's seed too.
sub choose_ways
{
	my ($self) = @_;
	my $root = $self->{schema}{tables}[0];
	my $settings = sub { return (size => $_[0], skip => RandomSchema::pick('on', 'off')) };
	my @ways = map { {
			$settings->($_), function => 'delete_professor_batch', what => 'professor',
			isolation => RandomSchema::chance(0.1) ? RandomSchema::pick('REPEATABLE READ', 'SERIALIZABLE') : '' } } 1, 3, 1000;
	my $purge = { $settings->(RandomSchema::pick(1, 3, 1000)), function => 'purge_professor', what => 'professor' };

	$self->{plain}{professor} = { table => $root, column => 'username', row => $self->{schema}{victim} };
	my @tables = grep { "@{ $_->{unique}[0] // [] }" =~ /^\w+$/ } @{ $self->{schema}{tables} };
	@tables = ($root) if $self->{schema}{soft};
	my $table = RandomSchema::pick(@tables);
	my $of = { table => $table, column => $table->{unique}[0][0], row => RandomSchema::pick(@{ $table->{rows} }) };
	my $other = { $settings->(RandomSchema::pick(1, 3, 1000)), function => 'delete_with_dependents', what => 'row' };
	my $last = RandomSchema::chance(0.3);
	if ($self->{with_dependents})
	{
		$self->{plain}{row} = $of;
		push @ways, $other;
		$purge = { %$purge, function => 'purge_with_dependents', what => 'row' } if $last;
	}
	return (@ways, $purge);
}

sub is_purge { my ($way) = @_; return $way->{function} =~ /^purge/ }

sub way_name
{
	my ($way) = @_;
	return "$way->{function}, batches of $way->{size}, skipping $way->{skip}" . ($way->{isolation} ? ", $way->{isolation}" : '');
}

# How a function is called for a row.
sub call
{
	my ($self, $function, $what, @more) = @_;
	my $of = $self->{plain}{$what};
	my $key = $self->{sql}->value($of->{table}, $of->{column}, $of->{row});
	my $relation = $what eq 'row' ? RandomSchema::SQL::quoted($self->{sql}->relation($of->{table})) . ', ' : '';
	return "$self->{name}.$function(" . join(', ', "$relation$key", @more) . ')';
}

# The commands, to be run by psql with neither a stop at errors nor headers.
sub script
{
	my ($self) = @_;
	my $schemas = $self->{sql}->schemas;
	my $script = "\\echo %%case $self->{name}\n\\warn %%case $self->{name}\nBEGIN;\n";

	$script .= "$_;\n" for $self->{sql}->create, $self->grant_row;
	$script .= "COMMIT;\n\\echo %%created\n"
	  . "SELECT to_json(to_regnamespace('$self->{name}') IS NOT NULL);\n"
	  . "\\echo %%before\nSELECT trial.state($schemas);\n\\echo %%orphans before\nSELECT trial.orphans($schemas);\n";
	foreach my $what (sort keys %{ $self->{plain} })
	{
		my $of = $self->{plain}{$what};
		my $preview = $what eq 'row' ? 'preview_deletion' : 'preview_professor_deletion';
		$script .= "\\echo %%plain $what\nSELECT trial.plain($schemas, " . $self->{sql}->keys_for_plain . ', '
		  . $self->{sql}->plain_statements(@$of{qw(table column row)}) . ");\n"
		  . "BEGIN;\nSET LOCAL ROLE trial_caller;\n\\echo %%preview $what\n"
		  . report($self->call($preview, $what)) . outcome("preview $what") . "ROLLBACK;\n";
	}
	$script .= is_purge($_) ? $self->purge_script($_) : $self->batch_script($_) for @{ $self->{ways} };
	$script .= "\\echo %%end\nDROP SCHEMA $self->{name}, $self->{name}_o CASCADE;\n";
	return $script;
}

sub grant_row
{
	my ($self) = @_;
	my $of = $self->{plain}{row} or return;
	my $name = $self->{sql}->relation($of->{table});
	return ("GRANT DELETE, SELECT ($of->{column}) ON $name TO trial_caller",
		'GRANT USAGE ON SCHEMA ' . $self->{sql}->schema_of($of->{table}) . ' TO trial_caller');
}

sub report
{
	my ($call) = @_;
	return "SELECT coalesce(jsonb_agg(jsonb_build_array((SELECT relname FROM pg_class WHERE oid = r.relation), r.action, r.row_count)), '[]') FROM $call AS r;\n";
}

sub outcome { return "\\echo %%code $_[0]\n\\echo :SQLSTATE\n\\echo %%message $_[0]\n\\echo :LAST_ERROR_MESSAGE\n" }

sub batch_script
{
	my ($self, $way) = @_;
	my $name = way_name($way);
	my $schemas = $self->{sql}->schemas;

	return 'BEGIN' . ($way->{isolation} ? " ISOLATION LEVEL $way->{isolation}" : '') . ";\n"
	  . "SET LOCAL ROLE trial_caller;\nSET LOCAL catalogue.skip_redundant_ri_triggers = $way->{skip};\n"
	  . "\\echo %%counts $name\n" . report($self->call($way->{function}, $way->{what}, $way->{size})) . outcome($name)
	  . "\\if :ERROR\n\\else\nSET CONSTRAINTS ALL IMMEDIATE;\n" . outcome($name)
	  . "\\if :ERROR\n\\else\nRESET ROLE;\n\\echo %%rows $name\nSELECT trial.state($schemas);\n"
	  . "\\echo %%paths $name\nSELECT trial.paths('$self->{name}');\n\\endif\n\\endif\nROLLBACK;\n";
}

sub purge_script
{
	my ($self, $way) = @_;
	my $name = way_name($way);
	my $schemas = $self->{sql}->schemas;

	return "SET ROLE trial_caller;\nSET catalogue.skip_redundant_ri_triggers = $way->{skip};\n"
	  . 'CALL ' . $self->call($way->{function}, $way->{what}, $way->{size}) . ";\n" . outcome($name)
	  . "RESET ROLE;\n\\echo %%rows $name\nSELECT trial.state($schemas);\n\\echo %%orphans $name\nSELECT trial.orphans($schemas);\n"
	  . "BEGIN;\n\\echo %%paths $name\nSELECT trial.paths('$self->{name}');\nROLLBACK;\n";
}

# take(lines of psql's output): keeps what belongs to this case
sub take
{
	my ($self, @lines) = @_;
	my $section = '';

	foreach my $line (@lines)
	{
		if ($line =~ /^%%(.*)/)
		{
			$section = $1;
			$self->{results}{$section} = '' if $section !~ /^(code|message)/ || !length($self->{results}{$section} // '');
			$self->{ended} = 1 if $section eq 'end';
		}
		elsif ($section =~ /^(code|message)/)
		{
			# a second outcome counts if the first was a success
			my $code = $section =~ s/^message/code/r;
			$self->{results}{$section} = $line
			  if $section =~ /^code/ ? ($self->{results}{$section} || '00000') =~ /^"?00000/ : ($self->{results}{$code} // '') !~ /00000/ && !$self->{results}{$section};
		}
		elsif ($section)
		{
			$self->{results}{$section} .= $line;
		}
	}
}

sub result
{
	my ($self, $section) = @_;
	my $text = $self->{results}{$section};
	return undef if !defined $text || $text eq '';
	return eval { $json->decode($text) };
}

sub code { my ($self, $name) = @_; return ($self->{results}{"code $name"} // 'none') =~ s/"//gr }
sub message { my ($self, $name) = @_; return $self->{results}{"message $name"} // '' }

# What is wrong: a list of sentences.
sub problems
{
	my ($self) = @_;
	my @problems;

	return 'the schema could not be created' if !$self->{results}{created} || $self->{results}{created} ne 'true';
	return "the server or the session ended after \"$self->{last}\"" if !$self->{ended};
	foreach my $what (sort keys %{ $self->{plain} })
	{
		$self->{outcome}{$what} = $self->result("plain $what") // { code => 'none', strict => 'none' };
		push @problems, map { "preview: $_" } $self->check_preview($what);
	}
	foreach my $way (@{ $self->{ways} })
	{
		my $name = way_name($way);
		push @problems, map { "$name: $_" } $self->check($way, $name);
	}
	return @problems;
}

sub has { my ($self, @kinds) = @_; return !!grep { my $kind = $_; grep { /$kind/ } keys %{ $self->{schema}{kinds} } } @kinds }

sub check
{
	my ($self, $way, $name) = @_;
	my $plain = $self->{outcome}{ $way->{what} };
	my $code = $self->code($name);
	my $before = $self->result('before');
	my $rows = $self->result("rows $name");
	my @problems;

	return "$code is no answer" if $code !~ /^\w{5}$/ || $code =~ /^(57|58|XX)/ && $plain->{strict} !~ /^XX/;
	if ($code eq '0A000')
	{
		push @{ $self->{refusals} }, $self->message($name);
		return is_purge($way) && differences($before, $rows) ? 'it refused when rows were gone already' : ();
	}
	if ($code ne '00000')
	{
		push @problems, $self->check_error($way, $name, $code, $plain);
		push @problems, $self->check_soundness($way, $name, $before, $rows) if is_purge($way);
		return @problems;
	}
	my $own_end = $self->has('insert a row') || $self->keeps_added_rows;
	if ($plain->{code} ne '00000')
	{
		return "it succeeded, and plain DELETE says $plain->{code}: $plain->{message}" if !$own_end;
	}
	elsif (!$own_end)
	{
		my $difference = differences($self->comparable($plain->{rows}), $self->comparable($rows));
		push @problems, "other rows than after plain DELETE: $difference" if $difference;
	}
	push @problems, $self->check_soundness($way, $name, $before, $rows);
	push @problems, $self->check_counts($way, $name, $before, $rows) if !is_purge($way) && !$self->has('insert a row');
	return @problems;
}

# An error where plain DELETE has none, or another one.
sub check_error
{
	my ($self, $way, $name, $code, $plain) = @_;
	my $class = sub { substr($_[0], 0, 2) };
	my $message = $self->message($name);

	return if $code =~ /^(27000|42501|P0002)$/ && $plain->{code} eq '00000' && $self->keeps_root($way->{what});
	return "$code ($message), where plain DELETE succeeds" if $plain->{strict} eq '00000';
	return if $class->($code) eq $class->($plain->{strict});
	return if $self->has('rule NOTHING') && $plain->{strict} eq 'XX000';
	return if $self->has('refuse', 'rule NOTHING', 'keep') && $code =~ /^(23|P0001|27000|XX000)/ && $plain->{strict} =~ /^(23|P0001|27000|XX000)/;
	return "$code ($message), where plain DELETE says $plain->{strict}: $plain->{strict_message}";
}

# Is there a trigger that keeps rows of a table that the mapping adds?
sub keeps_added_rows
{
	my ($self) = @_;
	my @kept = map { $_->{table} } grep { $_->{kind} =~ /^(keep|rule NOTHING)/ } @{ $self->{schema}{triggers} };
	return !!grep { my $key = $_; $key->{mapped} && grep { $_ == $key->{from} } @kept } @{ $self->{schema}{keys} };
}

# Did plain DELETE leave the row that it was to delete?
sub keeps_root
{
	my ($self, $what) = @_;
	my $of = $self->{plain}{$what};
	my $left = by_relation($self->{outcome}{$what}{rows})->{ $of->{table}{name} };
	return !!grep { $_->{rid} == $of->{row}{rid} } @{ $left // [] };
}

# Rows by table, those of partitions under the table's name.
sub by_relation
{
	my ($rows) = @_;
	my %by;

	foreach my $relation (sort keys %{ $rows // {} })
	{
		push @{ $by{ $relation =~ s/(_p\d)+$//r } }, @{ $rows->{$relation} };
	}
	return \%by;
}

# What is left out: how often a row was set that is gone in the end, or set by two
# keys, which depends on the order.
sub comparable
{
	my ($self, $rows) = @_;
	my %rows = %{ $rows // {} };

	$rows{counter} = [ grep { $_->{name} !~ /count rows$/ || !$self->has('^SET', 'ON UPDATE') } @{ $rows{counter} // [] } ];
	return \%rows;
}

# differences(rows, rows): '' or the first few
sub differences
{
	my ($expected, $found) = @_;
	my @differences;

	foreach my $relation (sort keys %{ { %{ $expected // {} }, %{ $found // {} } } })
	{
		my %n;
		$n{ $json->encode($_) }++ for @{ $found->{$relation} // [] };
		$n{ $json->encode($_) }-- for @{ $expected->{$relation} // [] };
		push @differences, map { "$relation " . ($n{$_} > 0 ? 'has ' : 'lacks ') . $_ } grep { $n{$_} } sort keys %n;
	}
	return '' if !@differences;
	splice @differences, 4, @differences - 4, '...' if @differences > 4;
	return join '; ', @differences;
}

# What must be so after any way, also one that failed half-way: no orphan that was
# not there before, and in the outbox the paths of the rows that are gone, once.
sub check_soundness
{
	my ($self, $way, $name, $before, $rows) = @_;
	my @problems;
	my $orphans = $self->result("orphans $name");
	my $orphans_before = $self->result('orphans before');

	if ($orphans && !$self->has('keep', 'rule NOTHING'))
	{
		foreach my $key (sort keys %$orphans)
		{
			push @problems, "$orphans->{$key} orphans by key $key" if $orphans->{$key} > ($orphans_before->{$key} // 0);
		}
	}
	my @expected = sort map { $self->paths_of_gone($before, $rows, $_) } @{ $self->{schema}{tables} };
	my @found = sort @{ $self->result("paths $name") // [] };
	push @problems, 'paths ' . $json->encode(\@found) . ' instead of ' . $json->encode(\@expected) if "@found" ne "@expected";
	return @problems;
}

sub gone
{
	my ($before, $rows, $relation) = @_;
	my ($old, $left) = map { by_relation($_)->{$relation} // [] } $before, $rows;
	my %left = map { $_->{rid} => 1 } @$left;
	return grep { !$left{ $_->{rid} } } @$old;
}

sub paths_of_gone
{
	my ($self, $before, $rows, $table) = @_;

	return () if !$table->{has_files};
	return grep { $_ ne '' } map { $table->{separator} ? split(/\|\|\|/, $_) : $_ } grep { defined }
	  map { $_->{path} } map { gone($before, $rows, $table->{name} . $_) } '', '_child';
}

# The counts that a function returned, against the tables.
sub check_counts
{
	my ($self, $way, $name, $before, $rows) = @_;
	my (%deleted, %set, @problems);

	foreach my $line (@{ $self->result("counts $name") // [] })
	{
		my ($relation, $action, $n) = @$line;
		$relation = $relation =~ s/_child$//r;
		$deleted{$relation} += $n if $action eq 'delete';
		$set{$relation} += $n if $action =~ /^set/;
	}
	foreach my $table (@{ $self->{schema}{tables} })
	{
		my $gone = map { gone($before, $rows, $table->{name} . $_) } '', '_child';
		my ($least, $most) = $self->rows_set($before, $rows, $table);
		my $reported = $deleted{ $table->{name} } // 0;
		my $set = $set{ $table->{name} } // 0;
		push @problems, "$reported rows of $table->{name} reported as deleted instead of $gone" if $reported != $gone;
		push @problems, "$set rows of $table->{name} reported as set, at least $least were" if $set < $least;
		push @problems, "$set rows of $table->{name} reported as set, at most $most were" if $set > $most;
	}
	return @problems;
}

# How many rows of a table keys have set, at least and at most: those that are left
# and changed; beyond them those that are gone, and what several keys do to one row.
sub rows_set
{
	my ($self, $before, $rows, $table) = @_;
	my @keys = grep { $_->{from} == $table && $_->{action} =~ /^SET/ && !$_->{mapped} } @{ $self->{schema}{keys} };
	my %columns = map { $_ => 1 } map { @{ $_->{set_columns} // $_->{columns} } } @keys;
	my ($least, $most) = (0, 0);

	foreach my $below ('', '_child')
	{
		my ($old, $new) = map { by_relation($_)->{ $table->{name} . $below } // [] } $before, $rows;
		my %new = map { $_->{rid} => $_ } @$new;
		foreach my $row (@$old)
		{
			my $left = $new{ $row->{rid} };
			my $changed = $left && grep { $json->encode([ $row->{$_} ]) ne $json->encode([ $left->{$_} ]) } keys %columns;
			$least++ if $changed;
			$most += @keys if $changed || !$left || @keys > 1 || grep { $_->{action} eq 'SET DEFAULT' } @keys;
		}
	}
	# what travels on by ON UPDATE may or may not be called set
	return $self->has('ON UPDATE', 'keep') ? (0, 1000) : ($least, $most);
}

# The preview, where nothing confuses it: no user's triggers or rules, no SET
# DEFAULT (which may set what is then deleted), and no change that travels on by ON
# UPDATE or a generated column.  Then it says what plain DELETE does, and is blocked
# where a key stops that.
sub check_preview
{
	my ($self, $what) = @_;
	my $plain = $self->{outcome}{$what};
	my $code = $self->code("preview $what");
	my $before = $self->result('before');
	my (%deleted, $blocked, @problems);

	return if $code eq '0A000';
	return if $code eq 'P0002' && $plain->{code} eq '00000' && $self->keeps_root($what);
	return "$code: " . $self->message("preview $what") if $code ne '00000';
	return if $self->has('^trigger', '^SET DEFAULT', 'reference to what is set', 'generated', 'PERIOD');
	foreach my $line (@{ $self->result("preview $what") })
	{
		my ($relation, $action, $n) = @$line;
		$deleted{ $relation =~ s/_child$//r } += $n if $action eq 'delete';
		$blocked = 1 if $action eq 'blocked';
	}
	return if $plain->{code} !~ /^(00000|23503|23001)$/;
	return "blocked, and plain DELETE succeeds" if $blocked && $plain->{strict} eq '00000';
	return if $plain->{code} ne '00000' && $plain->{message} =~ /^insert or update/;
	return "not blocked, and plain DELETE says $plain->{code}: $plain->{message}" if !$blocked && $plain->{code} ne '00000';
	return if $blocked;
	foreach my $table (@{ $self->{schema}{tables} })
	{
		my $gone = map { gone($before, $plain->{rows}, $table->{name} . $_) } '', '_child';
		my $expected = $deleted{ $table->{name} } // 0;
		push @problems, "$expected rows of $table->{name} would be deleted, $gone are" if $expected != $gone;
	}
	return @problems;
}

1;
