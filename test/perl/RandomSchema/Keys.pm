# The foreign keys of a random schema, and to which rows its rows refer.
#
# A part of the package RandomSchema, which loads it.

package RandomSchema;

use strict;
use warnings;

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

1;
