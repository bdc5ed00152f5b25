# The types that the columns of a random feed have: how the number of a cell is
# written, and the type of an argument for it.

package RandomFeed::Types;

use strict;
use warnings;

use RandomSchema;

my $number = sub { $_[0] };
my $word = sub { "key $_[0]" };
# Three times a day that differ by a microsecond, and both ends.
my $moment = sub {
	return '-infinity' if $_[0] == 0;
	return 'infinity' if $_[0] == 39;
	return sprintf '2024-01-%02d 10:00:00.%06d', 1 + int($_[0] / 3), 123455 + $_[0] % 3;
};
my $date = sub { sprintf '2024-%02d-%02d', 1 + int($_[0] / 28), 1 + $_[0] % 28 };
my $cased = sub { $_[0] % 2 ? "KEY $_[0]" : "key $_[0]" };
my $other_case = sub { $_[0] % 2 ? "Key $_[0]" : "kEY $_[0]" };

# What a type is used for, with weights; "argument" if that is another type.
my %types = (
	'integer' => { filiere => 5, id => 8, write => $number, argument => 'bigint', beyond => 5_000_000_000 },
	'bigint' => { filiere => 2, id => 5, created_at => 1, write => $number },
	'smallint' => { filiere => 2, id => 1, niveau => 1, write => $number, argument => 'bigint', beyond => 70_000 },
	'trial.number' => { filiere => 1, id => 2, write => $number, argument => 'bigint', beyond => 5_000_000_000 },
	'numeric' => { filiere => 1, id => 1, niveau => 1, write => $number, alike => sub { "$_[0].00" } },
	'text' => { filiere => 6, id => 3, niveau => 1, write => $word },
	'text COLLATE "C"' => { filiere => 2, id => 2, niveau => 1, write => $word },
	'varchar(20)' => { filiere => 4, id => 2, write => $word, argument => 'text' },
	'varchar(4)' => { niveau => 1, write => sub { "L$_[0]" }, argument => 'text' },
	'trial.word' => { filiere => 2, id => 1, niveau => 1, write => $word, argument => 'text' },
	'name' => { filiere => 1, id => 1, write => $word },
	'character(12)' => { filiere => 1, id => 1, niveau => 1, write => $word, argument => 'bpchar' },
	'double precision' => { niveau => 1, write => sub { $_[0] ? $_[0] / 10 : '-0' }, alike => sub { $_[0] / 10 } },
	'uuid' => { filiere => 3, id => 3, write => sub { sprintf '00000000-0000-0000-0000-%012d', $_[0] } },
	'trial.label' => { filiere => 2, niveau => 1, write => sub { "label $_[0]" } },
	'bytea' => { filiere => 1, id => 1, write => sub { sprintf '\x%04x', $_[0] } },
	'boolean' => { niveau => 1, write => sub { $_[0] ? 'true' : 'false' } },
	'citext' => { filiere => 1, id => 1, niveau => 1, write => $cased, alike => $other_case },
	'text COLLATE trial.no_case' => { filiere => 1, id => 1, niveau => 1, icu => 1, write => $cased, alike => $other_case },
	'timestamp' => { created_at => 6, write => $moment },
	'timestamptz' => { created_at => 5, write => $moment },
	'trial.moment' => { created_at => 1, write => $moment, argument => 'timestamp' },
	'date' => { filiere => 1, created_at => 2, write => $date });

sub new
{
	my ($class, $icu) = @_;
	return bless { icu => $icu }, $class;
}

# A type for a column.
sub random
{
	my ($self, $column) = @_;
	return RandomSchema::pick_by(map { $_ => $types{$_}{$column} }
		grep { $types{$_}{$column} && ($self->{icu} || !$types{$_}{icu}) } keys %types);
}

sub name { my ($self, $type) = @_; return $type =~ s/ COLLATE.*//r }
sub argument { my ($self, $type) = @_; return $types{$type}{argument} // $self->name($type) }

# A number that an argument can have and the column cannot; undef if there is none.
sub beyond { my ($self, $type) = @_; return $types{$type}{beyond} }

# The SQL literal of a cell, or of a value that equals it.
sub literal
{
	my ($self, $type, $value, $alike) = @_;
	return 'NULL' if !defined $value;
	my $write = $alike && $types{$type}{alike} && RandomSchema::chance(0.5) ? $types{$type}{alike} : $types{$type}{write};
	return q{'} . $write->($value) . q{'};
}

1;
