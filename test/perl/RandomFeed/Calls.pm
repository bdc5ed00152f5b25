# Random calls of the feed in random queries.  A query is a text with a mark in the place
# of each page: a call of the extension's there gives ours, the page by hand the plain one.

package RandomFeed::Calls;

use strict;
use warnings;

use RandomSchema;

BEGIN { *chance = \&RandomSchema::chance; *pick = \&RandomSchema::pick; *pick_by = \&RandomSchema::pick_by }

my $order = 'r.created_at DESC NULLS LAST, r.id DESC';

# new(random feed)
sub new
{
	my ($class, $feed) = @_;
	return bless { feed => $feed }, $class;
}

# A random query: { ours => , plain => , types => and values => of its parameters,
# compare => how, before_ids => that must exist }.  "parameters" is the chance of an
# argument to be one.
sub query
{
	my ($self, $parameters) = @_;
	my $query = { types => [], values => [], before_ids => [], compare => 'ordered', parameters => $parameters };
	my $make = pick_by(simple => 10, sorted => 10, keys_sorted => 4, aggregated => 4, grouped => 4, distinct => 3, windowed => 3,
		joined => 7, joined_sorted => 4, lateral => 7, correlated => 3, combined => 3, whole_rows => 3, with_ties => 2, wrapped => 4, paged => 2);

	$query->{shape} = $make;
	my @text = $self->$make($query);
	($query->{ours}, $query->{plain}) = @text > 1 ? @text : ($text[0] =~ s/%O//r, $text[0] =~ s/%O/ ORDER BY $order/r);
	foreach my $page (1, 2)
	{
		last if $query->{ours} !~ /%P$page/;
		my ($ours, $plain) = $self->page($self->call($query));
		$query->{ours} =~ s/%P$page/$ours/g;
		$query->{plain} =~ s/%P$page/$plain/g;
	}
	return $query;
}

# The pages

# A call's arguments as SQL.
sub call
{
	my ($self, $query, %outer) = @_;
	my $feed = $self->{feed};
	my $several = $outer{several} // chance(0.35);
	my %call = (several => $several);

	if ($outer{filiere})
	{
		my $type = $feed->argument_type('filiere');
		$call{filiere} = $several ? "ARRAY[$outer{filiere}, " . $self->filiere . "]::${type}[]" : $outer{filiere};
	}
	elsif ($several)
	{
		my $type = $feed->argument_type('filiere') . '[]';
		my @elements = map { $self->filiere } 1 .. pick(0, 1, 2, 3, 3, 8, 40);
		$call{filiere} = $self->argument($query, chance(0.03) ? 'NULL' : 'ARRAY[' . join(', ', @elements) . ']', $type);
	}
	else
	{
		$call{filiere} = $self->argument($query, $self->filiere, $feed->argument_type('filiere'));
	}
	$call{n} = $self->argument($query, pick('NULL', 'NULL', 0, 1, 3, 10, 10, 100, 1000, 5_000_000_000, '9223372036854775807'),
		'bigint') if chance(0.85);
	if ($outer{last_id})
	{
		$call{before_id} = $outer{last_id};
	}
	elsif (chance(0.4))
	{
		my $id = $feed->alike(id => 1 + int rand(chance(0.9) ? @{ $feed->{rows} } || 1 : 120));
		$id = "'" . $feed->{types}->beyond($feed->{type}{id}) . "'" if chance(0.02) && $feed->{types}->beyond($feed->{type}{id});
		$call{before_id} = $self->argument($query, $id, $feed->argument_type('id'));
		$call{id_value} = $id;
	}
	$call{before_at} = $self->argument($query, $feed->literal(created_at => int rand 40), $feed->argument_type('created_at'))
	  if chance(0.3) || $outer{last_id};
	push @{ $query->{before_ids} }, $call{id_value} if $call{id_value} && !$call{before_at};
	return \%call;
}

# A value of a filière, or of one that there is not.
sub filiere
{
	my ($self) = @_;
	my $feed = $self->{feed};
	my $beyond = $feed->{types}->beyond($feed->{type}{filiere});

	return 'NULL' if chance(0.03);
	return "'$beyond'" if $beyond && chance(0.05);
	return $feed->alike(filiere => int rand(chance(0.9) ? $feed->{filieres} : 40));
}

# A value as a literal, a parameter, or an expression.
sub argument
{
	my ($self, $query, $value, $type) = @_;

	if (chance($query->{parameters}))
	{
		push @{ $query->{types} }, $type;
		push @{ $query->{values} }, "$value\::$type";
		return '$' . @{ $query->{types} };
	}
	return "(SELECT $value\::$type)" if chance(0.08);
	return "trial.opaque($value\::$type)" if chance(0.08);
	return "$value\::$type";
}

# FROM items: the function's, and the page by hand.
sub page
{
	my ($self, $call) = @_;
	return ($self->function($call), $self->by_hand($call));
}

sub function
{
	my ($self, $call) = @_;
	my @arguments = ($call->{filiere});
	my $named = 0;

	foreach my $name (qw(n before_id before_at))
	{
		if (!defined $call->{$name})
		{
			$named = 1;
			next;
		}
		push @arguments, ($named ||= chance(0.2)) ? "$name => $call->{$name}" : $call->{$name};
	}
	return "$self->{feed}{name}.recent_chapters" . ($call->{several} ? '_any' : '') . '(' . join(', ', @arguments) . ')';
}

sub by_hand
{
	my ($self, $call) = @_;
	my $table = $self->{feed}{table};
	my $type = $self->{feed}->argument_type('filiere');
	my $where = 'c.filiere = ' . ($call->{several} ? "ANY (($call->{filiere})::$type\[])" : $call->{filiere});
	my ($id, $at) = ($call->{before_id}, $call->{before_at});
	my $n = $call->{n} // 100;

	if (defined $id)
	{
		my $place = "(SELECT p.created_at FROM $table AS p WHERE p.id = $id" . ($at
		  ? " UNION ALL SELECT $at WHERE NOT EXISTS (SELECT FROM $table AS p WHERE p.id = $id)" : '') . ')';
		my $after = "(c.created_at < $place OR c.created_at = $place AND c.id < $id OR c.created_at IS NULL AND ($place IS NOT NULL OR c.id < $id))";
		$where .= ' AND CASE WHEN ' . "$id IS NOT NULL THEN $after ELSE " . ($at
		  ? "$at IS NULL OR c.created_at < $at OR c.created_at IS NULL" : 'true') . ' END';
	}
	elsif (defined $at)
	{
		$where .= " AND ($at IS NULL OR c.created_at < $at OR c.created_at IS NULL)";
	}
	return "(SELECT c.* FROM $table AS c WHERE $where ORDER BY c.created_at DESC NULLS LAST, c.id DESC LIMIT $n)";
}

# What stands around them

sub columns
{
	my ($self) = @_;
	my @names = @{ $self->{feed}{names} };

	return 'r.*' if chance(0.15);
	@names = map { splice @names, int(rand @names), 1 } 1 .. 1 + int rand @names;
	return join ', ', map { "r.$_" } @names;
}

sub condition
{
	my ($self, $query) = @_;
	my $feed = $self->{feed};
	my $niveau = $self->argument($query, $feed->alike(niveau => int rand 3), pick($feed->argument_type('niveau'),
		$feed->{types}->name($feed->{type}{niveau})));
	my $at = $feed->literal(created_at => int rand 15);
	my @conditions = ("r.niveau = $niveau", "r.niveau = $niveau", "r.niveau = $niveau", 'r.niveau IS NULL', "r.niveau <> $niveau",
		"r.n > 4", "r.n = 3 AND r.niveau = $niveau", "r.niveau = $niveau AND r.titre LIKE '%1%'", "r.created_at = $at",
			"r.created_at >= $at", 'r.created_at IS NOT NULL',
		'r.created_at IS NULL', 'r.filiere = ' . $feed->alike(filiere => int rand 4), 'r.id > ' . $feed->literal(id => 20),
		'r.id = ' . $feed->literal(id => 1 + int rand 60), "(r.niveau = $niveau OR r.n = 2)", "r.niveau IN ($niveau, $niveau)", 'r.n = r.n');

	push @conditions, 'r.niveau', 'NOT r.niveau', 'r.niveau IS TRUE' if $feed->{type}{niveau} eq 'boolean';
	push @conditions, "r.shout LIKE '%7%'" if $feed->has('shout');
	push @conditions, 'r.twice = 4' if $feed->has('twice');
	return pick(@conditions);
}

sub where { my ($self, $query) = @_; return chance(0.4) ? ' WHERE ' . $self->condition($query) : '' }

sub limit
{
	my ($self, $query) = @_;
	my $limit = '';
	$limit .= ' LIMIT ' . $self->argument($query, pick(0, 1, 2, 5, 30, 'NULL'), 'bigint') if chance(0.45);
	$limit .= ' OFFSET ' . $self->argument($query, pick(0, 1, 4, 50), 'bigint') if chance(0.2);
	return $limit;
}

# In the feed's order, which nothing asks for.
sub simple { my ($self, $query) = @_; return 'SELECT ' . $self->columns . ' FROM %P1 AS r' . $self->where($query) . '%O' . $self->limit($query) }

# In an order that is total.
sub sorted
{
	my ($self, $query) = @_;
	my $by = pick($order, $order, $order, "$order, r.n", "r.filiere, $order", 'r.created_at DESC, r.id DESC',
		'r.created_at, r.id', 'r.id', 'r.id DESC', 'r.n, r.id DESC',
		'r.created_at DESC NULLS LAST, r.id', 'r.created_at DESC NULLS FIRST, r.id DESC NULLS LAST',
			'r.created_at NULLS FIRST, r.id DESC', "r.niveau, $order");
	return 'SELECT ' . $self->columns . ' FROM %P1 AS r' . $self->where($query) . " ORDER BY $by" . $self->limit($query);
}

# In an order that leaves ties.
sub keys_sorted
{
	my ($self, $query) = @_;
	my $by = pick('r.created_at DESC NULLS LAST', 'r.created_at DESC', 'r.created_at', 'r.filiere', 'r.n', 'r.created_at DESC NULLS FIRST');
	$query->{compare} = 'keys';
	return 'SELECT ' . ($by =~ s/ .*//r) . ', ' . $self->columns . ' FROM %P1 AS r' . $self->where($query) . " ORDER BY $by";
}

sub aggregated
{
	my ($self, $query) = @_;
	my $what = pick('count(*)', 'count(*), min(r.n), max(r.titre)', 'sum(r.n), count(r.niveau), count(r.created_at)',
		"string_agg(r.titre, ',' ORDER BY $order)",
		"string_agg(r.titre, ',' ORDER BY r.created_at DESC NULLS LAST, r.id)", 'count(DISTINCT r.filiere)');
	return "SELECT $what FROM %P1 AS r" . $self->where($query);
}

sub grouped
{
	my ($self, $query) = @_;
	my $by = pick('r.filiere', 'r.niveau', 'r.created_at', 'r.created_at, r.filiere', 'r.created_at, r.id', 'r.n');
	$query->{compare} = 'rows' if !(my $sorted = chance(0.5));
	return "SELECT count(*), max(r.n) FROM %P1 AS r" . $self->where($query) . " GROUP BY $by"
	  . ($sorted ? ' ORDER BY ' . join(', ', map { pick("$_ DESC NULLS LAST", "$_ DESC", $_) } split /, /, $by) : '');
}

sub distinct
{
	my ($self, $query) = @_;
	return "SELECT DISTINCT ON (r.created_at) r.titre FROM %P1 AS r" . $self->where($query) . " ORDER BY $order" if chance(0.4);
	return "SELECT DISTINCT r.n FROM %P1 AS r" . $self->where($query) . ' ORDER BY r.n LIMIT 3' if chance(0.3);
	$query->{compare} = 'rows';
	return 'SELECT DISTINCT ' . pick('r.n', 'r.created_at', 'r.niveau, r.created_at', 'r.created_at, r.id') . ' FROM %P1 AS r' . $self->where($query);
}

sub windowed
{
	my ($self, $query) = @_;
	my $over = pick("ORDER BY $order", 'PARTITION BY r.filiere ORDER BY r.created_at DESC NULLS LAST, r.id DESC',
		'PARTITION BY r.created_at ORDER BY r.id DESC', 'ORDER BY r.id');
	my $function = pick('row_number()', 'lag(r.titre)', 'count(*)', 'first_value(r.titre)');
	$query->{compare} = 'rows';
	return "SELECT r.id, $function OVER ($over) FROM %P1 AS r" . $self->where($query) . (chance(0.2) ? " ORDER BY $order LIMIT 3" : '');
}

sub join_condition
{
	my ($self, $query) = @_;
	return pick('r.filiere = o.filiere', 'r.filiere = o.filiere', 'r.id = o.last_id', 'r.n = o.n', 'r.filiere = o.filiere AND r.niveau = o.niveau',
		'r.filiere = o.filiere AND r.n > o.n');
}

sub joined
{
	my ($self, $query) = @_;
	my $o = "$self->{feed}{name}.filieres AS o";
	my $on = $self->join_condition($query);
	my $where = $self->where($query);

	$query->{compare} = 'rows';
	return 'SELECT ' . $self->columns . ', r2.titre FROM %P1 AS r JOIN %P2 AS r2 ON ' . pick('r.id = r2.id',
		'r.created_at = r2.created_at', 'r.filiere = r2.filiere AND r.n = r2.n',
		'r.created_at = r2.created_at AND r.id = r2.id') if chance(0.3);
	return 'SELECT ' . $self->columns . ' FROM %P1 AS r WHERE ' . pick('', 'NOT ') . "EXISTS (SELECT FROM $o WHERE $on)" if chance(0.25);
	return 'SELECT ' . $self->columns . ', o.nom FROM %P1 AS r ' . pick('', 'LEFT ', 'FULL ', 'RIGHT ') . "JOIN $o ON "
	  . ($on =~ s/ AND r\.n > o\.n//r) . $where;
}

# A join keeps the order, or it is sorted.
sub joined_sorted
{
	my ($self, $query) = @_;
	my $o = "$self->{feed}{name}.filieres AS o";
	my $table = "$self->{feed}{table} AS o";
	return 'SELECT r.titre, o.nom FROM %P1 AS r ' . pick('', 'LEFT ') . "JOIN $o ON " . $self->join_condition($query) . $self->where($query)
	  . " ORDER BY $order, o.k" . $self->limit($query) if chance(0.6);
	return "SELECT r.titre, o.titre FROM %P1 AS r JOIN $table ON r.id = o.id" . (chance(0.5)
	  ? ' AND r.created_at = o.created_at' : '') . $self->where($query)
	  . ' ORDER BY ' . pick($order, 'o.created_at DESC NULLS LAST, o.id DESC', 'o.created_at DESC NULLS LAST, r.id DESC') . $self->limit($query);
}

sub lateral
{
	my ($self, $query) = @_;
	my %outer = (filiere => 'o.filiere', several => chance(0.3), chance(0.3) ? (last_id => 'o.last_id') : ());
	my $call = $self->call($query, %outer);
	my $left = chance(0.3);
	my $condition = chance(0.3) ? $self->condition($query) : chance(0.2) ? 'r.niveau = o.niveau' : 'true';
	my $sorted = chance(0.5);
	my @pages = map { "SELECT o.k, " . 'r.titre, r.n' . " FROM $self->{feed}{name}.filieres AS o " . ($left ? 'LEFT' : 'INNER')
	  . " JOIN LATERAL $_ AS r ON $condition"
		  . ($sorted ? ' ORDER BY o.k, ' . $order : '') } $self->page($call);

	$query->{compare} = 'rows' if !$sorted;
	$_ .= $sorted ? ($query->{limit} //= $self->limit($query)) : '' foreach @pages;
	return @pages;
}

sub correlated
{
	my ($self, $query) = @_;
	my $call = $self->call($query, filiere => 'o.filiere', several => chance(0.3));
	my $where = pick('', '', ' WHERE r.niveau = o.niveau', ' WHERE r.n > o.n');
	my $what = pick("ARRAY(SELECT r.titre FROM %P1 AS r$where)", "(SELECT count(*) FROM %P1 AS r$where)", "EXISTS (SELECT FROM %P1 AS r$where)",
		"(SELECT r.titre FROM %P1 AS r$where LIMIT 1)", "(SELECT sum(r.n) FROM %P1 AS r$where)");
	my @pages = $self->page($call);

	return map { my $page = $_; "SELECT o.k, $what FROM $self->{feed}{name}.filieres AS o ORDER BY o.k" =~ s/%P1/$page/r } @pages;
}

sub combined
{
	my ($self, $query) = @_;
	my $what = pick('r.id, r.titre', 'r.filiere', 'r.created_at, r.n');
	$query->{compare} = 'rows';
	return "SELECT $what FROM %P1 AS r " . pick('UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT') . " SELECT $what FROM %P2 AS r";
}

# Rows as a whole, in the select list, numbered.
sub whole_rows
{
	my ($self, $query) = @_;
	my $call = $self->call($query);
	my ($ours, $plain) = $self->page($call);

	return ("SELECT r FROM $ours AS r", "SELECT r FROM $plain AS r") if chance(0.3);
	return ("SELECT r.titre, (r).n, r.ordinality FROM $ours WITH ORDINALITY AS r",
		"SELECT r.titre, r.n, row_number() OVER () FROM $plain AS r") if chance(0.3);
	return ("SELECT (q.p).titre, (q.p).n, (q.p).id FROM (SELECT $ours AS p) AS q", "SELECT r.titre, r.n, r.id FROM $plain AS r") if chance(0.5);
	return ("SELECT $ours", "SELECT r FROM $plain AS r");
}

sub with_ties
{
	my ($self, $query) = @_;
	$query->{compare} = 'rows';
	return 'SELECT r.titre FROM %P1 AS r' . $self->where($query) . ' ORDER BY ' . pick('r.created_at DESC NULLS LAST',
		'r.created_at', 'r.n') . ' FETCH FIRST ' . pick(1, 3, 10) . ' ROWS WITH TIES';
}

# In a subquery or a WITH query.
sub wrapped
{
	my ($self, $query) = @_;
	my $columns = join ', ', map { "r.$_" } @{ $self->{feed}{names} };
	my $inner = "SELECT $columns FROM %P1 AS r" . $self->where($query) . '%O' . $self->limit($query);

	return "WITH r AS " . pick('', 'MATERIALIZED ') . "($inner) SELECT r.titre FROM r" . $self->where($query) . " ORDER BY $order" if chance(0.5);
	return "SELECT r.titre, r.n FROM ($inner) AS r" . $self->where($query) . " ORDER BY $order" . $self->limit($query) if chance(0.6);
	return "SELECT count(*), sum(r.n) FROM ($inner OFFSET 0) AS r" . $self->where($query) if $inner !~ / OFFSET /;
	return "SELECT count(*), sum(r.n) FROM ($inner) AS r" . $self->where($query);
}

# Page after page, until there are no more.
sub paged
{
	my ($self, $query) = @_;
	my $feed = $self->{feed};
	my $several = chance(0.4);
	my $call = $self->call($query, several => $several);
	my $all = { several => $several, filiere => $call->{filiere}, n => 'NULL' };
	my $size = pick(1, 3, 7, 20);
	my @page = map { { several => $several, filiere => $call->{filiere}, n => $size, $_ ? (before_id => 'p.ids[cardinality(p.ids)]') : () } } 0, 1;

	@{ $query->{before_ids} } = ();
	return ('WITH RECURSIVE p AS (SELECT 1 AS page, array_agg(r.id) AS ids FROM ' . $self->function($page[0]) . ' AS r UNION ALL '
		  . 'SELECT p.page + 1, (SELECT array_agg(r.id) FROM ' . $self->function($page[1]) . ' AS r) FROM p WHERE p.ids IS NOT NULL) '
		  . 'SELECT array_agg(u.id ORDER BY p.page, u.i) FROM p, unnest(p.ids) WITH ORDINALITY AS u (id, i)',
		'SELECT array_agg(r.id) FROM ' . $self->by_hand($all) . ' AS r');
}

1;
