# The commands that make a random schema, and those that delete from it.

package RandomSchema::SQL;

use strict;
use warnings;

use JSON::PP;

my $json = JSON::PP->new->canonical;

# new(random schema, name): two schemas are made, "name" and "name_o".
sub new
{
	my ($class, $schema, $name) = @_;
	return bless { schema => $schema, name => $name, types => $schema->{types} }, $class;
}

sub schemas { my ($self) = @_; return "'{$self->{name},$self->{name}_o}'" }

sub quoted { my ($text) = @_; return q{'} . $text =~ s/'/''/gr . q{'} }

sub schema_of
{
	my ($self, $table) = @_;
	return $self->{name} . ($table->{schema} eq 'o' ? '_o' : '');
}

# A table's name, or that of a table below it, with its schema.
sub relation
{
	my ($self, $table, $below) = @_;
	return $self->schema_of($table) . '."' . $table->{name} . ($below // '') . '"';
}

sub create
{
	my ($self) = @_;
	my $schema = $self->{schema};
	my $s = $self->{name};
	my @tables = @{ $schema->{tables} };

	return (
		"CREATE SCHEMA $s",
		"CREATE SCHEMA ${s}_o",
		"GRANT USAGE ON SCHEMA $s TO trial_caller, trial_owner, trial_other",
		"GRANT USAGE ON SCHEMA ${s}_o TO trial_owner, trial_other",
		"CREATE TABLE $s.log (relation text, op text, rid integer)",
		"CREATE TABLE $s.counter (name text PRIMARY KEY, n bigint)",
		"CREATE TABLE $s.aside AS SELECT n FROM generate_series(1, 30) AS n",
		"GRANT ALL ON $s.log, $s.counter, $s.aside TO PUBLIC",
		(map { $self->create_table($_) } @tables),
		(map { $self->add_key($_) } @{ $schema->{keys} }),
		(map { $self->create_trigger($_) } @{ $schema->{triggers} }),
		(map { $self->hand_over($_) } @tables),
		$self->grant,
		"SELECT count(*) FROM catalogue.attach('$s', " . quoted($self->mapping) . ')');
}

sub create_table
{
	my ($self, $table) = @_;
	my $name = $self->relation($table);
	my @columns = @{ $table->{columns} };
	my @elements = map { $self->column_definition($_) } @columns;
	my $by = $table->{hash} ? "HASH ($table->{partition_column})" : $table->{list} ? "LIST ($table->{list})" : undef;
	my @given = grep { !$_->{generated} } @columns;
	my @commands;

	unshift @elements, 'junk integer' if $table->{dropped};
	push @elements, map { unique_key($table, $_) } @{ $table->{unique} };
	push @commands, "CREATE TABLE $name (\n\t" . join(",\n\t", @elements) . ')' . ($by ? " PARTITION BY $by" : '');
	push @commands, "ALTER TABLE $name DROP COLUMN junk" if $table->{dropped};
	push @commands, $self->create_partitions($table, '', $table->{hash} ? $table->{hash} : 1) if $by;
	push @commands, 'CREATE TABLE ' . $self->relation($table, '_child') . " () INHERITS ($name)" if $table->{child};
	push @commands, $self->insert_rows($name, \@given, $table->{rows}), $table->{child}
	  ? $self->insert_rows($self->relation($table, '_child'), \@given, $table->{child}) : ();
	return @commands;
}

sub column_definition
{
	my ($self, $column) = @_;
	my $definition = "$column->{name} " . $self->{types}->name($column->{type});

	$definition .= ' NOT NULL' if $column->{not_null};
	$definition .= ' DEFAULT ' . $self->{types}->literal($column->{type}, $column->{default}) if defined $column->{default};
	$definition .= " GENERATED ALWAYS AS ($column->{generated}) STORED" if $column->{generated};
	return $definition;
}

sub unique_key
{
	my ($table, $key) = @_;
	my $columns = join(', ', @$key) =~ s/\bduring$/during WITHOUT OVERLAPS/r;
	return ($key == $table->{unique}[0] ? 'PRIMARY KEY' : 'UNIQUE') . " ($columns)";
}

sub create_partitions
{
	my ($self, $table, $below, $levels) = @_;
	my $parent = $self->relation($table, $below);
	my $column = $table->{partition_column} // 'rid';
	my $modulus = $levels == 2 ? 3 : 2;
	my @commands;

	if ($table->{list} && $below eq '')
	{
		my ($null, $other) = map { $self->relation($table, "_p$_") } 0, 1;
		return (
			"CREATE TABLE $null PARTITION OF $parent FOR VALUES IN (NULL)",
			"CREATE TABLE $other PARTITION OF $parent DEFAULT PARTITION BY HASH (rid)",
			$self->create_partitions($table, '_p1', 1));
	}
	foreach my $i (0 .. $modulus - 1)
	{
		my $partition = $self->relation($table, "${below}_p$i");
		my $bound = "FOR VALUES WITH (MODULUS $modulus, REMAINDER $i)";
		if ($i == $modulus - 1 && $levels > 1)
		{
			push @commands, "CREATE TABLE $partition PARTITION OF $parent $bound PARTITION BY HASH ($column)",
			  $self->create_partitions($table, "${below}_p$i", $levels - 1);
		}
		elsif ($table->{attached})
		{
			push @commands, "CREATE TABLE $partition (junk integer, LIKE $parent INCLUDING DEFAULTS INCLUDING GENERATED)",
			  "ALTER TABLE $partition DROP COLUMN junk", "ALTER TABLE $parent ATTACH PARTITION $partition $bound";
		}
		else
		{
			push @commands, "CREATE TABLE $partition PARTITION OF $parent $bound";
		}
	}
	return @commands;
}

sub insert_rows
{
	my ($self, $name, $columns, $rows) = @_;
	my @tuples;

	foreach my $row (@$rows)
	{
		push @tuples, '(' . join(', ', map {
			$self->{types}->literal($_->{type}, $row->{ $_->{name} }, $_->{name} =~ /^f/) } @$columns) . ')';
	}
	return "INSERT INTO $name (" . join(', ', map { $_->{name} } @$columns) . ") VALUES\n\t" . join(",\n\t", @tuples);
}

# A foreign key, and the index that one would make for it.
sub add_key
{
	my ($self, $key) = @_;
	my @commands = $self->key_command($key);

	unshift @commands, 'CREATE INDEX ON ' . $self->referencing($key) . ' (' . join(', ', @{ $key->{columns} }) . ')'
	  if $key->{indexed};
	return @commands;
}

sub referencing
{
	my ($self, $key) = @_;
	return $self->relation($key->{from}, $key->{child} ? '_child' : '');
}

# key_command(key[, as]): as "mapped" it is CASCADE, as "deferred" it looks at what
# is left in the end.
sub key_command
{
	my ($self, $key, $as) = @_;
	my $action = !$as ? $key->{action} : $as eq 'mapped' ? 'CASCADE' : 'NO ACTION';
	my $timing = $as && $as eq 'deferred' ? ' DEFERRABLE INITIALLY DEFERRED' : $key->{timing};
	my @columns = @{ $key->{columns} };
	my @referenced = @{ $key->{referenced} };

	$_->[-1] = "PERIOD $_->[-1]" for grep { $key->{period} } \@columns, \@referenced;
	$action .= ' (' . join(', ', @{ $key->{set_columns} }) . ')' if $key->{set_columns} && !$as;
	return 'ALTER TABLE ' . $self->referencing($key) . " ADD CONSTRAINT $key->{name} FOREIGN KEY (" . join(', ', @columns)
	  . ') REFERENCES ' . $self->relation($key->{to}) . ' (' . join(', ', @referenced) . ")$key->{match}"
	  . ($key->{period} ? '' : " ON DELETE $action" . ($key->{on_update} ? " ON UPDATE $key->{on_update}" : ''))
	  . $timing . $key->{validity};
}

# All keys as trial.plain() takes them.
sub keys_for_plain
{
	my ($self) = @_;
	my @keys;

	foreach my $key (@{ $self->{schema}{keys} })
	{
		push @keys, {
			drop => 'ALTER TABLE ' . $self->referencing($key) . " DROP CONSTRAINT $key->{name}",
			add => $self->key_command($key),
			$key->{mapped} ? (mapped => $self->key_command($key, 'mapped')) : (),
			$key->{action} =~ /NO ACTION|RESTRICT/ && $key->{validity} ne ' NOT ENFORCED'
			? (deferred => $self->key_command($key, 'deferred')) : () };
	}
	return quoted($json->encode(\@keys));
}

my %row_triggers = (
	'archive' => [ 'AFTER DELETE', 'archive' ],
	'count rows' => [ 'AFTER DELETE OR UPDATE', 'count_row' ],
	'keep' => [ 'BEFORE DELETE', 'keep' ],
	'keep and delete elsewhere' => [ 'BEFORE DELETE', 'keep' ],
	'keep what is set' => [ 'BEFORE UPDATE', 'keep' ],
	'refuse' => [ 'BEFORE DELETE', 'refuse' ],
	'try elsewhere' => [ 'BEFORE DELETE', 'try_elsewhere' ],
	'insert a row' => [ 'AFTER DELETE', 'insert_row' ]);

sub create_trigger
{
	my ($self, $trigger) = @_;
	my ($table, $kind, $s) = ($trigger->{table}, $trigger->{kind}, $self->{name});
	my $name = $self->relation($table);
	my @arguments = ($s, $trigger->{n}, $kind =~ /elsewhere/ ? 'delete' : '');
	my @commands;

	return "CREATE RULE also AS ON DELETE TO $name DO ALSO INSERT INTO $s.log VALUES (" . quoted($table->{name}) . ", 'R', OLD.rid)"
	  if $kind eq 'rule ALSO';
	return "CREATE RULE nothing AS ON DELETE TO $name DO INSTEAD NOTHING" if $kind eq 'rule NOTHING';
	if ($kind =~ /^count|archive/)
	{
		@arguments = ($s, $kind eq 'archive' ? $table->{name} : "$table->{name} $kind");
		push @commands, "INSERT INTO $s.counter VALUES (" . quoted($arguments[1]) . ', 0)' if $kind ne 'archive';
	}
	elsif ($kind eq 'try elsewhere')
	{
		@arguments = ('', $self->schema_of($trigger->{other}), $trigger->{other}{name});
		push @commands, 'GRANT DELETE ON ' . $self->relation($trigger->{other}) . ' TO trial_owner, trial_other';
	}
	elsif ($kind eq 'insert a row')
	{
		my $key = $trigger->{key};
		@arguments = ('', $self->schema_of($key->{from}), $key->{from}{name}, $key->{columns}[0], $key->{referenced}[0]);
		push @commands, 'GRANT INSERT ON ' . $self->relation($key->{from}) . ' TO trial_owner, trial_other';
	}
	my $arguments = join ', ', map { quoted($_) } @arguments;
	push @commands, $kind eq 'count statements'
	  ? "CREATE TRIGGER counted AFTER DELETE ON $name REFERENCING OLD TABLE AS gone EXECUTE FUNCTION trial.count_rows($arguments)"
	  : 'CREATE TRIGGER "' . $kind . qq{" $row_triggers{$kind}[0] ON $name FOR EACH ROW EXECUTE FUNCTION trial.$row_triggers{$kind}[1]($arguments)};
	return @commands;
}

# A table and all below it to its owner, under its policies.
sub hand_over
{
	my ($self, $table) = @_;
	my $name = $self->relation($table);
	my $like = quoted($table->{name} . '%');
	my @commands = (
		"DO \$\$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relname LIKE $like AND relkind IN ('r', 'p')"
		  . " AND relnamespace = '" . $self->schema_of($table) . "'::regnamespace LOOP EXECUTE format('ALTER TABLE %s OWNER TO $table->{owner}', r); END LOOP; END \$\$");

	push @commands, "ALTER TABLE $name ENABLE ROW LEVEL SECURITY", "ALTER TABLE $name $table->{policy} ROW LEVEL SECURITY",
	  "CREATE POLICY odd_rows ON $name USING (rid % 2 = 1)" if $table->{policy};
	return @commands;
}

# What README says that the caller needs.
sub grant
{
	my ($self) = @_;
	my $schema = $self->{schema};
	my $root = $self->relation($schema->{tables}[0]);
	my @added = ((map { $_->{from} } grep { $_->{mapped} } @{ $schema->{keys} }), map { $_->{table} } grep { $_ } $schema->{soft});
	my @commands = ("GRANT DELETE, SELECT (username) ON $root TO trial_caller");

	# the server looks at what is left of a period as the owner of the referencing table
	push @commands, 'GRANT ALL ON ' . $self->relation($_->{to}) . ' TO trial_owner, trial_other'
	  for grep { $_->{period} } @{ $schema->{keys} };
	push @commands, 'GRANT DELETE ON ' . $self->relation($_) . ' TO trial_caller',
	  'GRANT USAGE ON SCHEMA ' . $self->schema_of($_) . ' TO trial_caller' for @added;
	return @commands;
}

sub mapping
{
	my ($self) = @_;
	my $schema = $self->{schema};
	my @tables = @{ $schema->{tables} };
	my $soft = $schema->{soft};

	return $json->encode({
		chapters => undef,
		lookups => undef,
		professors => { relation => $self->relation($tables[0]), id => 'id', username => 'username' },
		files => [ map { { relation => $self->relation($_), column => 'path', $_->{separator} ? (separator => $_->{separator}) : () } }
			grep { $_->{has_files} } @tables ],
		also_delete => [ map { { relation => $self->relation($_->{from}), columns => $_->{columns} } }
			grep { $_->{mapped} } @{ $schema->{keys} } ],
		soft_references => [ map { { relation => $self->relation($_->{table}), column => 'made_by',
			$_->{kinds} ? (type_column => 'made_by_kind', type_values => [ 'professor', 'prof' ]) : () } } grep { $_ } $soft ] });
}

# The literal of a key's value
sub value
{
	my ($self, $table, $column, $row) = @_;
	return $self->{types}->literal(RandomSchema::column($table, $column)->{type}, $row->{$column});
}

# The statements that delete a row with what refers to it, but for what the server's
# cascades do.
sub plain_statements
{
	my ($self, $table, $column, $row) = @_;
	my $soft = $self->{schema}{soft};
	my @statements = ('DELETE FROM ' . $self->relation($table) . " WHERE $column = " . $self->value($table, $column, $row));

	if ($soft && $table->{i} == 0)
	{
		my $of = $self->relation($soft->{table});
		my $type = RandomSchema::column($soft->{table}, 'made_by')->{type};
		unshift @statements, 'RESET ROLE', "DELETE FROM $of WHERE made_by = " . $self->{types}->literal($type, $row->{id})
		  . ($soft->{kinds} ? " AND made_by_kind IN ('professor', 'prof')" : ''), 'SET LOCAL ROLE trial_caller';
	}
	return 'ARRAY[' . join(', ', map { quoted($_) } @statements) . ']';
}

1;
