# A random schema below a table of professors: tables, rows, foreign keys of every
# kind, and what users put on tables.  One seed, one schema, on any machine.
#
# A cell holds a small number, or undef for NULL; its column's type says how that
# is written (RandomSchema::Types).  So which row refers to which is known here,
# and keys that shall not stand in the way can be pointed at the right rows.
# RandomSchema::SQL turns a schema into commands.

package RandomSchema;

use strict;
use warnings;

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

# Every table refers to an earlier one, and some keys go anywhere.  Those whose
# rows must be gone in the end are left to add_remaining_keys().
sub add_keys
{
	my ($self) = @_;
	my @tables = @{ $self->{tables} };

	foreach my $table (@tables[ 1 .. $#tables ])
	{
		my $to = chance(0.4) ? $tables[0] : $tables[ int rand $table->{i} ];
		$self->add_key($table, $to,
			pick_by('CASCADE' => 76, 'SET NULL' => 14, 'SET DEFAULT' => 6, 'NO ACTION' => 2, 'RESTRICT' => 2));
		$self->add_key_column($table) if !$table->{hash};
	}
	for (1 .. int(rand 2 + @tables / 2))
	{
		my $table = pick(@tables);
		my $to = chance(0.25) ? $table : pick(@tables);
		next if $table->{i} == 0 && chance(0.6);
		$self->kind('self reference') if $to == $table;
		$self->kind('possible cycle') if $to->{i} > $table->{i};
		my $action = pick_by('CASCADE' => 4, 'SET NULL' => 3, 'SET DEFAULT' => 1, 'later' => 4);
		if ($action eq 'later')
		{
			push @{ $self->{later} }, [ $table, $to ];
		}
		else
		{
			$self->add_key($table, $to, $action);
		}
	}
}

# Unique keys that contain a foreign key's column, or one that is computed from it:
# what is set to NULL or a default then changes a referenced key.
sub add_key_column
{
	my ($self, $table) = @_;
	my $key = $self->{keys}[-1];
	my $fk = $key->{columns}[0];

	if (chance(0.15))
	{
		push @{ $table->{unique} }, [ $fk, 'rid' ];
		$table->{loose}{"$fk rid"} = 1;
		$self->kind('key over a foreign key');
	}
	if ($self->{types}->is_number(column($table, $fk)->{type}) && chance(0.25))
	{
		my $g = "g$key->{i}";
		add_column($table, $g, 'bigint', generated => "coalesce($fk, 0)::bigint * 1000 + rid");
		$_->{$g} = ($_->{$fk} // 0) * 1000 + $_->{rid} for all_rows($table);
		push @{ $table->{unique} }, [$g];
		$table->{loose}{$g} = 1;
		$self->kind('generated referenced key');
	}
}

sub all_rows { my ($table) = @_; return (@{ $table->{rows} }, @{ $table->{child} // [] }) }

# The keys that stop a deletion where rows are left.  Most refer to rows that go
# with their own, or stay.
sub add_remaining_keys
{
	my ($self) = @_;

	foreach my $pair (@{ $self->{later} // [] })
	{
		my $gone = $self->gone;
		my $aligned = chance(0.95);
		my $key = $self->add_key(@$pair, pick('NO ACTION', 'NO ACTION', 'RESTRICT'), sub {
			my ($row, @targets) = @_;
			return @targets if !$aligned;
			return grep { !$gone->{$_} } @targets if !$gone->{$row};
			return @targets;
		});
		$self->kind('aligned NO ACTION') if $key && $aligned;
	}
	if (my @referenced = grep { my $table = $_; grep { $_->[0] eq 'during_id' } @{ $table->{unique} } } @{ $self->{tables} })
	{
		my $gone = $self->gone;
		$self->add_key(pick(@{ $self->{tables} }), pick(@referenced), 'NO ACTION', sub {
			my ($row, @targets) = @_;
			return $gone->{$row} ? @targets : grep { !$gone->{$_} } @targets;
		}, 1);
	}
	$self->add_second_key if chance(0.12);
	$self->add_generated_key if chance(0.25);
}

# Another key on the same columns, with an action of its own.
sub add_second_key
{
	my ($self) = @_;
	my $other = pick(grep { !$_->{period} } @{ $self->{keys} }) or return;
	my $i = @{ $self->{keys} };
	my $key = { %$other, i => $i, name => "k$i", order => rand,
		action => pick(grep { $_ ne $other->{action} } 'CASCADE', 'SET NULL', 'CASCADE', 'SET NULL', 'SET DEFAULT', 'NO ACTION') };
	return if $key->{mapped} || $other->{mapped};
	delete $key->{set_columns};
	$key->{generated} and $key->{action} = 'NO ACTION';
	$_->{shared} = 1 for $key, $other;
	push @{ $self->{keys} }, $key;
	$self->kind('two keys on one column');
}

# A key on a stored generated column, which another key's column feeds.
sub add_generated_key
{
	my ($self) = @_;
	my $types = $self->{types};
	my $feeding = pick(grep { !$_->{child} && !$_->{period} && !$_->{validity} && @{ $_->{columns} } == 1
			&& $_->{columns}[0] =~ /^f/ && $types->is_number(column($_->{from}, $_->{columns}[0])->{type}) } @{ $self->{keys} }) or return;
	my $table = $feeding->{from};
	my $fk = $feeding->{columns}[0];
	my $to = $feeding->{to};
	my $otherwise = pick(@{ $to->{rows} })->{ $feeding->{referenced}[0] } // return;
	my $name = "h$feeding->{i}";
	my $i = @{ $self->{keys} };

	return if $table->{hash} || column($table, $name) || @{ $feeding->{referenced} } != 1;
	add_column($table, $name, column($table, $fk)->{type}, generated => "coalesce($fk, $otherwise)");
	$_->{$name} = $_->{$fk} // $otherwise for all_rows($table);
	push @{ $self->{keys} }, {
		i => $i, name => "k$i", order => rand, from => $table, to => $to, columns => [$name],
		referenced => $feeding->{referenced}, rows => $table->{rows}, generated => 1, match => '',
		action => pick('CASCADE', 'CASCADE', 'CASCADE', 'NO ACTION', 'RESTRICT'), on_update => '', timing => '', validity => '',
		target => {} };
	foreach my $row (@{ $table->{rows} })
	{
		($self->{keys}[-1]{target}{$row}) =
		  grep { defined $_->{ $feeding->{referenced}[0] } && $_->{ $feeding->{referenced}[0] } == $row->{$name} } @{ $to->{rows} };
	}
	$self->kind('generated referencing key');
}

# add_key(from, to, action[, which targets a row may have[, to a period]])
sub add_key
{
	my ($self, $from, $to, $action, $choose, $period) = @_;
	my $i = @{ $self->{keys} };
	my $referenced = pick(grep { ($_->[0] eq 'during_id') == !!$period } @{ $to->{unique} });
	my $key = { i => $i, name => "k$i", order => rand, from => $from, to => $to, action => $action, referenced => $referenced,
		columns => [], rows => $from->{rows}, indexed => chance(0.6), period => $period, match => '', on_update => '', timing => '', validity => '' };

	foreach my $name (@$referenced)
	{
		my $type = column($to, $name)->{type};
		my $own =
		    $period && $name eq 'during' ? 'part of a period'
		  : column($to, $name)->{generated} ? 'bigint'
		  : $self->{types}->referencing($type);
		push @{ $key->{columns} }, "f$i$name";
		add_column($from, "f$i$name", $own);
		$self->kind("type $own") if $own ne 'integer';
		$self->kind('cross-type key') if $own ne $type;
	}
	$self->kind('multi-column key') if @$referenced > 1;
	$self->kind('key to other columns than the primary key') if $referenced != $to->{unique}[0];
	$self->decide_key($key);
	$self->point_rows($key, $choose);
	push @{ $self->{keys} }, $key;
	$self->add_child_key($key) if $from->{child} && chance(0.5);
	return $key;
}

# What a key says besides its columns.
sub decide_key
{
	my ($self, $key) = @_;
	my $many = @{ $key->{columns} } > 1;
	my $loose = $key->{to}{loose}{ join ' ', @{ $key->{referenced} } };

	$key->{match} = ' MATCH FULL' if $many && !$key->{period} && chance(0.35);
	$key->{on_update} = pick('CASCADE', 'CASCADE', 'SET NULL', '') if !$key->{period} && chance($loose ? 0.9 : 0.15);
	$key->{timing} = ' DEFERRABLE INITIALLY ' . pick('DEFERRED', 'DEFERRED', 'IMMEDIATE') if chance(0.2);
	if ($self->{version} >= 18 && chance(0.05))
	{
		$key->{validity} = ' NOT ENFORCED' if !$key->{period} && !$key->{from}{hash} && !$key->{to}{hash};
	}
	elsif (chance(0.07) && !$key->{from}{hash} && !$key->{to}{hash})
	{
		$key->{validity} = ' NOT VALID';
	}
	if ($many && $key->{action} =~ /^SET/ && !$key->{match} && chance(0.5))
	{
		$key->{set_columns} = [ pick(@{ $key->{columns} }) ];
		$self->kind("$key->{action} (columns)");
	}
	# to a row that is there, to NULL, or to the very row that goes
	if ($key->{action} eq 'SET DEFAULT')
	{
		my $default = pick(undef, pick(@{ $key->{to}{rows} }), pick(@{ $key->{to}{rows} }), $self->{victim});
		column($key->{from}, $key->{columns}[$_])->{default} = $default && $default->{ $key->{referenced}[$_] }
		  for 0 .. $#{ $key->{columns} };
		$self->kind('SET DEFAULT to ' . ($default ? $default == $self->{victim} ? 'the deleted row' : 'a row' : 'NULL'));
	}
	$self->kind($key->{action}, map { s/^ +//r } grep { $_ } $key->{match}, $key->{timing}, $key->{validity},
		$key->{period} && 'PERIOD', $key->{on_update} && "ON UPDATE $key->{on_update}", $loose && 'reference to what is set');
}

# Lets each row refer to one of the referenced table, or to none.
sub point_rows
{
	my ($self, $key, $choose) = @_;
	my @columns = @{ $key->{columns} };
	my @referenced = @{ $key->{referenced} };
	my @targets = grep { my $row = $_; !grep { !defined $row->{$_} } @referenced } @{ $key->{to}{rows} };
	my $none = pick(0, 0.1, 0.3);
	my $busy = chance(0.5) ? pick(@targets) : undef;

	$busy = $self->{victim} if $key->{to}{i} == 0 && chance(0.6);
	foreach my $row (@{ $key->{rows} })
	{
		my @allowed = $choose ? $choose->($row, @targets) : @targets;
		my $target = chance($none) || !@allowed ? undef : pick(@allowed);

		$target = $busy if $busy && $target && chance(0.4) && grep { $_ == $busy } @allowed;
		$row->{$_} = undef for @columns;
		next if !$target;
		$key->{target}{$row} = $target;
		$row->{ $columns[$_] } = $target->{ $referenced[$_] } for 0 .. $#columns;
	}
	if ($key->{validity} && chance(0.5))
	{
		my $row = pick(@{ $key->{rows} });
		$row->{ $columns[$_] } = 90 + $_ for 0 .. $#columns;
		delete $key->{target}{$row};
		$self->kind('rows that violate a key that was not validated');
	}
}

# The table that inherits has the columns but not the keys: one of its own.
sub add_child_key
{
	my ($self, $key) = @_;
	my $i = @{ $self->{keys} };
	my $own = { %$key, i => $i, name => "k$i", order => rand, child => 1, rows => $key->{from}{child}, target => {} };

	$own->{validity} = '';
	$self->point_rows($own);
	push @{ $self->{keys} }, $own;
	$self->kind('key of an inheriting table');
}

# The rows that go with the victim, as far as CASCADE takes them.
sub gone
{
	my ($self) = @_;
	my %gone = ($self->{victim} => 1, %{ $self->{soft_rows} // {} });
	my $found = 1;

	while ($found)
	{
		$found = 0;
		foreach my $key (@{ $self->{keys} })
		{
			next if ($key->{action} ne 'CASCADE' && !$key->{mapped}) || $key->{validity} eq ' NOT ENFORCED';
			foreach my $row (@{ $key->{rows} })
			{
				my $target = $key->{target}{$row};
				next if $gone{$row} || !$target || !$gone{$target};
				$gone{$row} = $found = 1;
			}
		}
	}
	return \%gone;
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
