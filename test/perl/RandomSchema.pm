# A random schema below a table of professors: tables, rows, foreign keys of every
# kind, and what users put on tables.  One seed, one schema, on any machine.
#
# A cell holds a small number, or undef for NULL; its column's type says how that
# is written (RandomSchema::Types).  So which row refers to which is known here,
# and keys that shall not stand in the way can be pointed at the right rows.
# RandomSchema::Keys makes the foreign keys, RandomSchema::SQL turns a schema into
# commands.

package RandomSchema;

use strict;
use warnings;

use RandomSchema::Keys;
use RandomSchema::Types;

# new(seed => , version => of the server, icu => whether it has ICU)
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		%options,
		tables => [],
		keys => [],
		triggers => [],
		rules => [],
		kinds => {},
		types => RandomSchema::Types->new($options{icu}),
		own_code => undef
	}, $class;

	srand($options{seed});
	$self->{period} = $options{version} >= 18 && chance(0.3);
	$self->{own_code} = chance(0.45);
	$self->{files} = chance(0.6);
	$self->{strangers} = chance(0.4);
	$self->kind('other owners and schemas') if $self->{strangers};
	$self->add_table($_) for 0 .. 2 + int(rand 6);
	$self->{victim} = $self->choose_victim;
	$self->add_keys;
	$self->choose_mapping;
	$self->add_remaining_keys;
	$self->partition_unreferenced($_) for @{ $self->{tables} };
	@{ $self->{keys} } = sort { $a->{order} <=> $b->{order} } @{ $self->{keys} };
	$self->add_own_code if $self->{own_code};
	$self->restrict_rows;
	return $self;
}

sub chance { return rand() < $_[0] }
sub pick { return $_[ int rand @_ ] }

# pick_by(thing => weight, ...)
sub pick_by
{
	my %weights = @_;
	my $total = 0;
	$total += $_ for values %weights;
	my $at = rand $total;
	foreach my $thing (sort keys %weights)
	{
		$at -= $weights{$thing};
		return $thing if $at < 0;
	}
	return (sort keys %weights)[0];
}

sub kind { my ($self, @kinds) = @_; $self->{kinds}{$_} = 1 for @kinds }

sub column
{
	my ($table, $name) = @_;
	return (grep { $_->{name} eq $name } @{ $table->{columns} })[0];
}

sub add_column
{
	my ($table, $name, $type, %more) = @_;
	push @{ $table->{columns} }, { name => $name, type => $type, %more };
}

# A table with its unique keys and rows, still without foreign keys.
sub add_table
{
	my ($self, $i) = @_;
	my $types = $self->{types};
	my $table = {
		i => $i,
		name => chance(0.15) ? "T$i 'x" : "t$i",
		schema => $i > 0 && $self->{strangers} && chance(0.35) ? 'o' : 's',
		owner => $i > 0 && $self->{strangers} && chance(0.5) ? 'trial_other' : 'trial_owner',
		columns => [],
		unique => [],
		rows => [],
		dropped => chance(0.15),
		attached => chance(0.4)
	};

	$table->{hash} = chance($i > 0 ? 0.15 : 0.08) ? 1 + int(rand 3) : 0;
	add_column($table, 'rid', 'integer', not_null => 1);
	add_column($table, 'id', $types->random($table->{hash}), not_null => 1);
	$self->add_username($table) if $i == 0;
	push @{ $table->{unique} }, $i == 0 && $table->{hash} ? (['username'], [ 'id', 'username' ]) : (['id']);
	push @{ $table->{unique} }, ['username'] if $i == 0 && !$table->{hash};
	$self->add_unique($table) if !$table->{hash};
	if ($table->{hash})
	{
		$self->kind("hash partitions, $table->{hash} levels");
		$table->{partition_column} = $i == 0 ? 'username' : 'id';
	}
	if ($self->{files} && chance(0.6))
	{
		add_column($table, 'path', 'text');
		$table->{separator} = pick('', '|||');
		$table->{has_files} = 1;
	}

	my $n = $i == 0 ? 4 : 3 + int(rand 12);
	push @{ $table->{rows} }, $self->new_row($table, $_) for 1 .. $n;
	if (!$table->{hash} && chance(0.1))
	{
		$self->kind('inheritance');
		$table->{child} = [ map { $self->new_row($table, $_) } 51 .. 53 ];
	}
	push @{ $self->{tables} }, $table;
}

sub add_username
{
	my ($self, $table) = @_;
	add_column($table, 'username', pick_by(text => 5, 'varchar(40)' => 3, 'character(40)' => 2, 'trial.word' => 1), not_null => 1);
}

# More unique keys: of one nullable column, of two, of a range and a period.
sub add_unique
{
	my ($self, $table) = @_;

	if (chance(0.35))
	{
		add_column($table, 'u', $self->{types}->random);
		push @{ $table->{unique} }, ['u'];
	}
	if (chance(0.35))
	{
		add_column($table, $_, $self->{types}->random) for 'a', 'b';
		push @{ $table->{unique} }, [ 'a', 'b' ];
	}
	if ($self->{period} && chance(0.6))
	{
		add_column($table, 'during_id', 'int4range');
		add_column($table, 'during', 'period');
		push @{ $table->{unique} }, [ 'during_id', 'during' ];
	}
}

sub new_row
{
	my ($self, $table, $rid) = @_;
	my %row = (rid => $rid, id => $rid, username => $rid, b => $rid, a => $rid % 3, during_id => $rid, during => 0);

	$row{u} = chance(0.9) ? $rid : undef;
	if ($table->{has_files})
	{
		my $path = ($self->{types}->safe($table->{name})) . "/$rid";
		$row{path} = pick(undef, $path, $path, $table->{separator} ? "$path|||$path b|||" : "$path c", '');
	}
	delete @row{ grep { !column($table, $_) } keys %row };
	return \%row;
}

# The professor to delete: a row, or one of a table that inherits.
sub choose_victim
{
	my ($self) = @_;
	my $root = $self->{tables}[0];
	return pick(@{ $root->{child} }) if $root->{child} && chance(0.3);
	return pick(@{ $root->{rows} });
}

# What the mapping adds to the foreign keys.
sub choose_mapping
{
	my ($self) = @_;
	my @tables = @{ $self->{tables} };

	if (chance(0.25))
	{
		my @keys = grep { $_->{action} =~ /^SET|ACTION/ && !$_->{child} && !$_->{period} && $_->{validity} ne ' NOT ENFORCED'
			&& !$_->{from}{child} && $_->{from} != $_->{to} } @{ $self->{keys} };
		my $key = pick(@keys);
		if ($key)
		{
			$key->{mapped} = 1;
			$self->kind('also_delete');
		}
	}
	if (chance(0.25))
	{
		my $table = $tables[ 1 + int rand $#tables ];
		my $id = column($tables[0], 'id')->{type};
		my $type = $id eq 'integer' && chance(0.3) ? 'text of a number' : $self->{types}->referencing($id);
		my $kinds = chance(0.6);
		return if $table->{child};
		add_column($table, 'made_by', $type);
		add_column($table, 'made_by_kind', 'text') if $kinds;
		foreach my $row (@{ $table->{rows} })
		{
			$row->{made_by} = pick(undef, map { $_->{id} } @{ $tables[0]{rows} }, $self->{victim});
			$row->{made_by_kind} = pick('professor', 'prof', 'student') if $kinds;
			$self->{soft_rows}{$row} = 1
			  if defined $row->{made_by} && $row->{made_by} == $self->{victim}{id} && (!$kinds || $row->{made_by_kind} ne 'student');
		}
		$self->{soft} = { table => $table, kinds => $kinds };
		$self->kind('soft reference', $type eq 'text of a number' ? 'soft reference of another type' : ());
	}
}

# A table to which nothing refers may be partitioned by the column of a foreign key,
# so that setting it moves the row.
sub partition_unreferenced
{
	my ($self, $table) = @_;
	my @keys = grep { $_->{from} == $table && @{ $_->{columns} } == 1 } @{ $self->{keys} };

	return if $table->{i} == 0 || $table->{hash} || $table->{child} || !@keys || chance(0.7);
	return if grep { $_->{to} == $table || ($_->{from} == $table && ($_->{validity} || $_->{generated})) } @{ $self->{keys} };
	my $column = pick(@keys)->{columns}[0];
	return if column($table, $column)->{generated} || !$self->{types}->can_list(column($table, $column)->{type});
	return if grep { $_->{generated} && $_->{generated} =~ /\b$column\b/ } @{ $table->{columns} };
	$table->{list} = $column;
	$table->{unique} = [];
	$self->kind('list partitions by a foreign key');
}

# Triggers and rules.
sub add_own_code
{
	my ($self) = @_;
	my @tables = @{ $self->{tables} };

	for (1 .. 1 + int rand 3)
	{
		my $table = pick(@tables);
		my $soft = $self->{soft} && $self->{soft}{table} == $table;
		my $kind = pick_by('archive' => 8, 'count rows' => 6, 'count statements' => 5, 'keep' => 2, 'keep and delete elsewhere' => 1,
			'refuse' => 3, 'try elsewhere' => 4, 'keep what is set' => 1, 'insert a row' => 1, 'rule ALSO' => 2, 'rule NOTHING' => 0.7);
		next if $soft && $kind =~ /keep|NOTHING|insert/;
		next if $table->{i} == 0 && $kind =~ /^(keep|rule NOTHING|refuse)/ && chance(0.7);
		next if grep { $_->{table} == $table && $_->{kind} eq $kind } @{ $self->{triggers} };
		my $trigger = { table => $table, kind => $kind, n => 2 + int(rand 4) };
		if ($kind eq 'try elsewhere')
		{
			$trigger->{other} = pick(@tables);
		}
		elsif ($kind eq 'insert a row')
		{
			my ($key) = grep { $_->{from}{i} > 0 && $_->{to} == $table && !$_->{child} && @{ $_->{columns} } == 1
				&& !$_->{from}{hash} && !$_->{from}{list} && !column($_->{from}, $_->{columns}[0])->{generated}
				&& column($_->{from}, 'id')->{type} =~ /^(integer|bigint)$/ } @{ $self->{keys} };
			next if !$key;
			$trigger->{key} = $key;
		}
		push @{ $self->{triggers} }, $trigger;
		$self->kind("trigger: $kind");
	}
}

# Row-level security: on referencing tables, where cascades do not look at it, and
# at times on the professors, where it is the caller's.
sub restrict_rows
{
	my ($self) = @_;

	foreach my $table (@{ $self->{tables} })
	{
		next if chance($table->{i} == 0 ? 0.95 : 0.9) || ($self->{soft} && $self->{soft}{table} == $table);
		next if grep { $_->{from} == $table && $_->{mapped} } @{ $self->{keys} };
		$table->{policy} = pick('ENABLE', 'FORCE');
		$self->kind('row-level security' . ($table->{i} == 0 ? ' on the root' : " ($table->{policy})"));
	}
}

1;
