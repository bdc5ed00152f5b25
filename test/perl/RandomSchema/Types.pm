# The types that the keys of a random schema have: how the number of a cell is
# written, and which types a column may have that refers to one of them.

package RandomSchema::Types;

use strict;
use warnings;

# Numbers below 100 have different values; character strings have common beginnings,
# and so have bit strings.
my $string = sub { chr(65 + $_[0] % 3) . 'x' x int($_[0] / 3) };
my $bits = sub { scalar reverse sprintf '%016b', $_[0] + 1 };
my $date = sub { sprintf '2026-%02d-%02d', 1 + int(abs($_[0]) / 28) % 12, 1 + abs($_[0]) % 28 };
my $number = sub { $_[0] };

my %types = (
	'integer' => { weight => 14, number => 1, write => $number, referencing => [ 'integer', 'integer', 'bigint', 'smallint' ] },
	'bigint' => { weight => 5, number => 1, write => $number, referencing => [ 'bigint', 'integer', 'smallint', 'trial.number' ] },
	'smallint' => { weight => 1, number => 1, write => $number, referencing => [ 'smallint', 'integer' ] },
	'trial.number' => { weight => 2, number => 1, write => $number, referencing => [ 'trial.number', 'bigint', 'integer' ] },
	'numeric' => { weight => 3, write => $number, alike => sub { "$_[0].00" }, referencing => [ 'numeric', 'integer', 'bigint' ] },
	'text' => { weight => 5, write => sub { "key $_[0]" }, referencing => [ 'text', 'varchar(40)', 'trial.word' ] },
	'varchar(40)' => { weight => 3, write => sub { "key $_[0]" }, referencing => [ 'varchar(40)', 'text' ] },
	'trial.word' => { weight => 2, write => sub { "key $_[0]" }, referencing => [ 'trial.word', 'text' ] },
	'name' => { weight => 1, write => sub { "key $_[0]" }, referencing => [ 'name', 'text' ] },
	'character(40)' => { weight => 3, write => $string, referencing => [ 'character(40)', 'character(40)', 'character(50)', 'trial.code' ] },
	'character(50)' => { weight => 0, write => $string, referencing => ['character(50)'] },
	'trial.code' => { weight => 1, write => $string, referencing => [ 'trial.code', 'character(40)' ] },
	'bit(16)' => { weight => 2, write => $bits, no_hash => 1, referencing => [ 'bit(16)', 'bit(16)', 'trial.flags' ] },
	'trial.flags' => { weight => 1, write => $bits, no_hash => 1, referencing => [ 'trial.flags', 'bit(16)' ] },
	'bit varying(20)' => { weight => 1, write => $bits, no_hash => 1, referencing => ['bit varying(20)'] },
	'uuid' => { weight => 2, write => sub { sprintf '00000000-0000-0000-0000-%012d', $_[0] }, referencing => ['uuid'] },
	'trial.label' => { weight => 2, write => sub { "label $_[0]" }, referencing => ['trial.label'] },
	'integer[]' => { weight => 2, write => sub { "{1,$_[0]}" }, referencing => ['integer[]'] },
	'text[]' => { weight => 1, write => sub { "{\"a b\",$_[0]}" }, referencing => ['text[]'] },
	'bytea' => { weight => 1, write => sub { sprintf '\x%04x', $_[0] }, referencing => ['bytea'] },
	'date' => { weight => 1, write => $date, referencing => [ 'date', 'timestamp' ] },
	'timestamp' => { weight => 1, write => $date, referencing => [ 'timestamp', 'date' ] },
	'double precision' => { weight => 1, write => $number, referencing => [ 'double precision', 'real' ] },
	'real' => { weight => 0, write => $number, referencing => ['real'] },
	'text COLLATE trial.no_case' => { weight => 3, icu => 1, write => sub { "Key $_[0]" }, alike => sub { "kEY $_[0]" }, referencing => ['text COLLATE trial.no_case'] },
	'int4range' => { weight => 0, write => sub { "[$_[0]," . ($_[0] + 1) . ')' }, referencing => ['int4range'] },
	'period' => { weight => 0, write => sub { '[1,100)' }, name => 'int4range', referencing => ['period'] },
	'part of a period' => { weight => 0, write => sub { '[10,20)' }, name => 'int4range', referencing => [] },
	'text of a number' => { weight => 0, write => $number, name => 'text', referencing => [] });

sub new
{
	my ($class, $icu) = @_;
	return bless { icu => $icu }, $class;
}

# A type for a key, by which a table can be partitioned by hash if that is asked for
sub random
{
	my ($self, $hash) = @_;
	my %weights = map { $_ => $types{$_}{weight} }
	  grep { !($hash && $types{$_}{no_hash}) && ($self->{icu} || !$types{$_}{icu}) } keys %types;
	return RandomSchema::pick_by(%weights);
}

sub referencing { my ($self, $type) = @_; return RandomSchema::pick(@{ $types{$type}{referencing} }) }
sub is_number { my ($self, $type) = @_; return $types{$type}{number} }
sub can_list { my ($self, $type) = @_; return !$types{$type}{no_hash} }
sub name { my ($self, $type) = @_; return $types{$type}{name} // $type }
sub safe { my ($self, $name) = @_; return $name =~ s/\W+/_/gr }

# The SQL literal of a cell; in a referencing column perhaps another spelling of
# an equal value.
sub literal
{
	my ($self, $type, $value, $referencing) = @_;
	my $write = $types{$type}{write};

	return 'NULL' if !defined $value;
	$write = $types{$type}{alike} if $referencing && $types{$type}{alike};
	my $text = $type eq 'text' && $value !~ /^-?\d+$/ ? $value : $write->($value);
	return q{'} . $text =~ s/'/''/gr . q{'};
}

1;
