# A random table of chapters: types, kinds of table, indexes, rows, policies.  One seed,
# one table, on any machine.
#
# A cell holds a small number, or undef for NULL; its column's type says how that is
# written (RandomFeed::Types).

package RandomFeed;

use strict;
use warnings;

use RandomFeed::Types;
use RandomSchema;

BEGIN { *chance = \&RandomSchema::chance; *pick = \&RandomSchema::pick; *pick_by = \&RandomSchema::pick_by }

# new(seed => , name => of its schema, version => of the server, icu => whether it has ICU)
sub new
{
	my ($class, %options) = @_;
	my $self = bless { %options, kinds => {}, types => RandomFeed::Types->new($options{icu}) }, $class;

	srand($options{seed});
	$self->{table} = "$self->{name}.chapters";
	$self->choose_types;
	$self->choose_columns;
	$self->choose_shape;
	$self->choose_rows;
	$self->choose_indexes;
	$self->{row_security} = chance(0.15);
	$self->kind('row-level security') if $self->{row_security};
	return $self;
}

sub kind { my ($self, $kind) = @_; $self->{kinds}{$kind}++; return }

sub choose_types
{
	my ($self) = @_;
	my $types = $self->{types};

	$self->{type}{filiere} = $types->random('filiere');
	$self->{type}{id} = $types->random('id');
	$self->{type}{created_at} = $types->random('created_at');
	$self->{type}{niveau} = $types->random('niveau');
	$self->{nullable} = pick_by('nullable' => 5, 'NOT NULL' => 4, $self->{version} >= 18 ? ('NOT VALID' => 2) : ());
	$self->kind("$_: $self->{type}{$_}") foreach qw(filiere id created_at niveau);
	$self->kind("created_at $self->{nullable}");
	return;
}

# The columns in the order of the table: name => definition.
sub choose_columns
{
	my ($self) = @_;
	my @columns = (
		[ id => "$self->{type}{id} NOT NULL" ],
		[ filiere => $self->{type}{filiere} . (chance(0.7) ? ' NOT NULL' : '') ],
		[ created_at => $self->{type}{created_at} . ($self->{nullable} eq 'NOT NULL' ? ' NOT NULL' : '') ],
		[ niveau => $self->{type}{niveau} ],
		[ n => 'integer' ],
		[ titre => 'text NOT NULL' ]);

	push @columns, [ texte => 'text' ] if chance(0.5);
	push @columns, [ given => "trial.given DEFAULT 'given'" ] if chance(0.3);
	push @columns, [ twice => 'integer GENERATED ALWAYS AS (n * 2) STORED' ] if chance(0.3);
	push @columns, [ shout => "text GENERATED ALWAYS AS (upper(titre)) VIRTUAL" ] if $self->{version} >= 18 && chance(0.5);
	push @columns, [ gone1 => 'text' ], [ gone2 => 'integer' ] if $self->{dropped} = chance(0.3);
	@columns = map { splice @columns, int(rand @columns), 1 } 1 .. @columns if chance(0.6);
	$self->{columns} = \@columns;
	$self->{names} = [ grep { !/^gone/ } map { $_->[0] } @columns ];
	$self->kind('dropped columns') if $self->{dropped};
	$self->kind('a virtual column') if $self->has('shout');
	$self->kind('a stored generated column') if $self->has('twice');
	return;
}

sub has { my ($self, $column) = @_; return scalar grep { $_ eq $column } @{ $self->{names} } }

# Plain, with children, or partitioned: $self->{tables} are those that hold rows or
# are partitioned, below the table itself.
sub choose_shape
{
	my ($self) = @_;
	my $shape = pick_by(plain => 9, inherited => 2, hash => 2, list => 2, range => 2, time => 1, 'hash of id' => 1,
		'list of niveau' => 1, 'two columns' => 1, nested => 2);
	my @tables;
	my %key = (hash => 'HASH (filiere)', list => 'LIST (filiere)', range => 'RANGE (filiere)', time => 'RANGE (created_at)',
		'hash of id' => 'HASH (id)', 'list of niveau' => 'LIST (niveau)', 'two columns' => 'RANGE (filiere, id)',
		nested => 'LIST (filiere)');
	my $f = sub { $self->literal(filiere => $_[0]) };
	my $id = sub { $self->literal(id => $_[0]) };
	my $at = sub { $self->literal(created_at => $_[0]) };
	my $of = sub { my ($name, $bound, %more) = @_; push @tables, { name => $name, bound => $bound, of => 'chapters', %more } };

	$self->{partition_by} = $key{$shape};
	if ($shape eq 'inherited')
	{
		push @tables, { name => "child$_", of => $_ > 1 && chance(0.3) ? 'child1' : 'chapters' } foreach 1 .. 1 + int rand 3;
	}
	elsif ($shape =~ /^hash/)
	{
		my $modulus = pick(2, 3, 5);
		$of->("part$_", "WITH (MODULUS $modulus, REMAINDER $_)") foreach 0 .. $modulus - 1;
	}
	elsif ($shape eq 'list')
	{
		$of->('part1', 'IN (' . join(', ', $f->(1), $f->(3), 'NULL') . ')');
		$of->('part2', 'IN (' . join(', ', $f->(0), $f->(2)) . ')');
		$of->('rest', undef);
	}
	elsif ($shape eq 'range')
	{
		$of->('part1', 'FROM (MINVALUE) TO (' . $f->(2) . ')');
		$of->('part2', 'FROM (' . $f->(2) . ') TO (' . $f->(5) . ')');
		$of->('rest', undef);
	}
	elsif ($shape eq 'time')
	{
		$of->('part1', 'FROM (MINVALUE) TO (' . $at->(4) . ')');
		$of->('part2', 'FROM (' . $at->(4) . ') TO (' . $at->(9) . ')');
		$of->('rest', undef);
	}
	elsif ($shape eq 'list of niveau')
	{
		$of->('part1', 'IN (' . $self->literal(niveau => 0) . ')');
		$of->('rest', undef);
	}
	elsif ($shape eq 'two columns')
	{
		$of->('part1', 'FROM (MINVALUE, MINVALUE) TO (' . $f->(3) . ', ' . $id->(40) . ')');
		$of->('part2', 'FROM (' . $f->(3) . ', ' . $id->(40) . ') TO (MAXVALUE, MAXVALUE)');
		$of->('rest', undef);
	}
	elsif ($shape eq 'nested')
	{
		my $by_time = chance(0.5);
		$of->('part1', 'IN (' . join(', ', $f->(1), $f->(3)) . ')', partition_by => $by_time ? 'RANGE (created_at)' : 'HASH (filiere)');
		if ($by_time)
		{
			push @tables, { name => 'part1a', of => 'part1', bound => 'FROM (MINVALUE) TO (' . $at->(5) . ')' },
			  { name => 'part1b', of => 'part1', bound => undef };
			$self->{by_time} = 1;
		}
		else
		{
			push @tables, map { { name => "part1$_", of => 'part1', bound => "WITH (MODULUS 2, REMAINDER $_)" } } 0, 1;
		}
		$of->('part2', 'IN (' . $f->(2) . ')') if chance(0.5);
		$of->('rest', undef);
	}
	foreach my $table (@tables)
	{
		$table->{own} = chance(0.4);
		$table->{drops} = $table->{own} && chance(0.5);
		$table->{other_expression} = $table->{own} && chance(0.5);
	}
	$self->{by_time} = 1 if $shape eq 'time';
	$self->{nullable} = 'NOT NULL' if $self->{by_time};
	$self->{shape} = $shape;
	$self->{tables} = \@tables;
	$self->kind("table: $shape");
	return;
}

sub partitioned { my ($self) = @_; return defined $self->{partition_by} }

# The tables that have rows.
sub leaves
{
	my ($self) = @_;
	return ($self->partitioned ? () : ('chapters'), map { $_->{name} } grep { !$_->{partition_by} } @{ $self->{tables} });
}

sub choose_rows
{
	my ($self) = @_;
	my $number = pick(0, 6, 40, 90, 90, 150);
	my $times = pick(2, 6, 15, 40);
	my $undated = $self->{nullable} eq 'NOT NULL' ? 0 : pick(0, 0.1, 0.5);
	my $without = $self->accepts_null_filiere ? pick(0, 0.1) : 0;

	$self->{filieres} = pick(2, 4, 7, 30);
	$self->{rows} = [
		map {
			{ id => $_, filiere => chance($without) ? undef : int rand $self->{filieres},
				created_at => chance($undated) ? undef : int rand $times,
				niveau => chance("@{[ $self->key_columns ]}" =~ /niveau/ ? 0 : 0.15)
				  ? undef : int rand 3, n => int rand 10, table => $self->random_leaf }
		} 1 .. $number ];
	return;
}

# Not where it is NOT NULL, or part of the primary key.
sub accepts_null_filiere
{
	my ($self) = @_;
	return !(grep { $_->[0] eq 'filiere' && $_->[1] =~ /NOT NULL/ } @{ $self->{columns} })
	  && "@{[ $self->key_columns ]}" !~ /filiere/;
}

# Rows of a partitioned table find their partition.
sub random_leaf { my ($self) = @_; return $self->partitioned ? 'chapters' : pick($self->leaves) }

sub key_columns
{
	my ($self) = @_;
	my $keys = join ' ', $self->{partition_by} // '', map { $_->{partition_by} // '' } @{ $self->{tables} };
	return ('id', grep { $keys =~ /\b$_\b/ } qw(filiere created_at niveau));
}

sub choose_indexes
{
	my ($self) = @_;
	my @indexes;
	my $order = pick_by('DESC NULLS LAST' => 10, 'DESC' => 2, '' => 2, 'NULLS FIRST' => 3);
	my $id_order = $order =~ /DESC/ ? pick('DESC', 'DESC', 'DESC NULLS LAST') : pick('', '', 'NULLS FIRST');
	my $feed = join ', ', 'filiere' . pick('', '', '', ' DESC'), "created_at $order", "id $id_order";

	push @indexes, $feed if chance(0.85);
	push @indexes, "$feed, titre" if chance(0.1);
	push @indexes, "$feed) INCLUDE (titre, n" if chance(0.15);
	push @indexes, $self->level_index if chance(0.5);
	push @indexes, $self->random_index foreach 1 .. pick(0, 0, 1, 2);
	$self->{indexes} = \@indexes;
	$self->{leafwise} = @{ $self->{tables} } && chance(0.4);
	$self->{without_index} = chance(0.3) ? pick($self->leaves) : '' if $self->{leafwise};
	$self->{analyze} = chance(0.7);
	return;
}

sub level_index
{
	my ($self) = @_;
	my @leading = chance(0.5) ? ('filiere', 'niveau') : ('niveau', 'filiere');
	return join ', ', @leading, pick('created_at DESC NULLS LAST, id DESC', 'created_at, id', 'created_at DESC, id DESC');
}

# Indexes that must not mislead.
sub random_index
{
	my ($self) = @_;
	my @ways = ('', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST');
	my @more = ('filiere', 'filiere, id DESC', 'created_at DESC NULLS LAST, id DESC', 'filiere, created_at DESC NULLS LAST',
		join(', ', map { "$_ " . pick(@ways) } qw(filiere created_at id)),
		'filiere, created_at DESC NULLS LAST, id DESC) WHERE (n > 3',
		'filiere, created_at DESC NULLS LAST, id DESC) WHERE (created_at IS NOT NULL',
		'filiere, created_at DESC NULLS LAST, n, id DESC');

	push @more, map { 'filiere' . (/^text$|^text COLLATE "C"|varchar|word/ ? ' text_pattern_ops' : '')
	  . ', created_at DESC NULLS LAST, id DESC' } $self->{type}{filiere};
	push @more, 'filiere COLLATE "C", created_at DESC NULLS LAST, id DESC' if $self->{type}{filiere} =~ /text|varchar/;
	push @more, 'filiere, created_at DESC NULLS LAST, id COLLATE "C" DESC' if $self->{type}{id} =~ /text|varchar/;
	return pick(@more);
}

# What a table may have besides its primary key: unique on the id, for other purposes.
sub unique_indexes
{
	my ($self) = @_;
	return () if $self->partitioned;
	my @more = ('UNIQUE (id) DEFERRABLE', 'UNIQUE (id) DEFERRABLE INITIALLY DEFERRED', 'UNIQUE (id, filiere)', 'UNIQUE (id) INCLUDE (n)',
		'UNIQUE INDEX (id) WHERE n < 5', 'UNIQUE INDEX (id DESC)');
	push @more, 'UNIQUE INDEX (id COLLATE "C")' if $self->{type}{id} =~ /text|varchar/;
	push @more, 'UNIQUE INDEX (id text_pattern_ops)' if $self->{type}{id} =~ /^text$|^text COLLATE "C"|varchar|word/;
	return map { pick(@more) } 1 .. pick(0, 0, 1, 2, 3);
}

sub literal { my ($self, $column, $value) = @_; return $self->{types}->literal($self->{type}{$column}, $value) }

# The same, or another spelling of an equal value.
sub alike { my ($self, $column, $value) = @_; return $self->{types}->literal($self->{type}{$column}, $value, 1) }

# The type of an argument for a column.
sub argument_type { my ($self, $column) = @_; return $self->{types}->argument($self->{type}{$column}) }

sub has_collation { my ($self, $column) = @_; return $self->{type}{$column} =~ /text|varchar|char|word/ }

# The commands that make it.
sub create
{
	my ($self) = @_;
	my $s = $self->{name};
	my @columns = @{ $self->{columns} };
	my @drop = $self->{dropped} ? ('DROP gone1, DROP gone2') : ();
	my $key = join ', ', $self->key_columns;
	my @commands = ("CREATE SCHEMA $s", "GRANT USAGE ON SCHEMA $s TO PUBLIC",
		"CREATE TABLE $self->{table} (" . join(', ', map { "$_->[0] $_->[1]" } @columns) . ')'
		  . ($self->{partition_by} ? " PARTITION BY $self->{partition_by}" : ''),
		map { "ALTER TABLE $self->{table} $_" } @drop);

	push @commands, map { $self->create_below($_) } @{ $self->{tables} };
	push @commands, "ALTER TABLE $self->{table} ADD PRIMARY KEY ($key)";
	push @commands, $self->add_unique($_) foreach $self->unique_indexes;
	push @commands, $self->insert;
	push @commands, "ALTER TABLE $self->{table} ADD NOT NULL created_at NOT VALID" if $self->{nullable} eq 'NOT VALID';
	push @commands, $self->create_index($_) foreach @{ $self->{indexes} };
	push @commands, "CREATE TABLE $s.filieres AS SELECT row_number() OVER () AS k, v.*, 'name ' || filiere::text AS nom FROM (VALUES "
	  . join(', ', map { '(' . join(', ', $self->cast(filiere => pick($_, $_, undef)), $self->cast(id => pick(undef, 1 + int rand 60)),
				$self->cast(niveau => int rand 3), $_) . ')' } 0 .. 8) . ') AS v (filiere, last_id, niveau, n)';
	push @commands, "ANALYZE $self->{table}, $s.filieres" if $self->{analyze};
	push @commands, "GRANT SELECT ON $self->{table}, $s.filieres TO trial_reader";
	push @commands, "ALTER TABLE $self->{table} ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON $self->{table} USING (n % 3 > 0)"
	  if $self->{row_security};
	push @commands, "SELECT count(*) FROM catalogue.attach('$s', '{\"chapters\": {\"relation\": \"chapters\", \"filiere\": \"filiere\", \"author\": null}, "
	  . "\"professors\": null, \"lookups\": null}')";
	return @commands;
}

# A partition or child; one that is made by itself has its columns in another order.
sub create_below
{
	my ($self, $table) = @_;
	my $name = "$self->{name}.$table->{name}";
	my $of = "$self->{name}.$table->{of}";
	my $bound = !$self->partitioned ? '' : defined $table->{bound} ? "FOR VALUES $table->{bound}" : 'DEFAULT';
	my $by = $table->{partition_by} ? " PARTITION BY $table->{partition_by}" : '';
	my @columns = grep { $_->[0] !~ /^gone/ } @{ $self->{columns} };

	if (!$table->{own})
	{
		return "CREATE TABLE $name PARTITION OF $of $bound$by" if $self->partitioned;
		return "CREATE TABLE $name () INHERITS ($of)";
	}
	@columns = map { splice @columns, int(rand @columns), 1 } 1 .. @columns;
	@columns = map { [ $_->[0], $_->[1] =~ s/upper\(titre\)/lower(titre)/r ] } @columns if $table->{other_expression};
	splice @columns, int(rand @columns), 0, [ x => 'text' ] if $table->{drops};
	return ("CREATE TABLE $name (" . join(', ', map { "$_->[0] $_->[1]" } @columns) . ")$by",
		($table->{drops} ? "ALTER TABLE $name DROP x" : ()),
		$self->partitioned ? "ALTER TABLE $of ATTACH PARTITION $name $bound" : "ALTER TABLE $name INHERIT $of");
}

sub add_unique
{
	my ($self, $definition) = @_;
	return "ALTER TABLE $self->{table} ADD $definition" if $definition !~ s/^UNIQUE INDEX //;
	return "CREATE UNIQUE INDEX ON $self->{table} $definition";
}

sub create_index
{
	my ($self, $columns) = @_;
	return "CREATE INDEX ON $self->{table} ($columns)" if $self->partitioned && !$self->{leafwise};
	return map { "CREATE INDEX ON $self->{name}.$_ ($columns)" } grep { $_ ne ($self->{without_index} // '') } $self->leaves;
}

# A value with its type, also where it is NULL.
sub cast { my ($self, $column, $value) = @_; return $self->literal($column, $value) . "::" . $self->{types}->name($self->{type}{$column}) }

sub insert
{
	my ($self, @rows) = @_;
	my %by_table;

	@rows = @{ $self->{rows} } if !@rows;
	push @{ $by_table{ $_->{table} } }, $_ foreach @rows;
	return map { "INSERT INTO $self->{name}.$_ (id, filiere, created_at, niveau, n, titre) VALUES "
		  . join(', ', map { $self->row($_) } @{ $by_table{$_} }) } sort keys %by_table;
}

sub row
{
	my ($self, $row) = @_;
	return '(' . join(', ', $self->literal(id => $row->{id}), $self->alike(filiere => $row->{filiere}),
		$self->literal(created_at => $row->{created_at}), $self->literal(niveau => $row->{niveau}), $row->{n},
		"'Chapter $row->{id}'") . ')';
}

1;
