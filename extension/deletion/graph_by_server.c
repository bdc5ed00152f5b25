/*
 * graph_by_server.c
 *		Which graphs are left to the server's own cascades.
 *
 * The schema's keys were made for one DELETE, whose triggers fire in a certain
 * order and whose checks come when it is over.  Wherever many statements could
 * come to another end than that one, cascade.c runs the one.
 */
#include "deletion/graph_builder.h"

static bool is_overruled(const DeletionTable *table, const DeletionEdge *edge);
static bool needs_server(const DeletionGraph *graph);
static bool edge_needs_server(const DeletionGraph *graph, const DeletionEdge *edge);
static bool may_block_too_early(const DeletionGraph *graph, const DeletionEdge *edge);
static bool is_ordered(const DeletionTable *root, const DeletionTable *first,
					   const DeletionTable *second);
static bool has_conflicting_key(const DeletionGraph *graph, const DeletionEdge *edge);
static bool have_common_column(const List *a, const List *b);
static bool server_sets_keys(const DeletionGraph *graph);

/*
 * Drops the edges by which no row is reached any more when their triggers fire,
 * since another key of the referencing row has been set before.
 */
void
catalogue_drop_overruled_edges(DeletionGraph *graph)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);
		List	   *kept = NIL;

		foreach(lc2, table->edges)
		{
			if (is_overruled(table, lfirst(lc2)))
				graph->by_server = true;
			else
				kept = lappend(kept, lfirst(lc2));
		}
		table->edges = kept;
	}
}

/* Has another key to the table, whose trigger fires before, set a column of the edge? */
static bool
is_overruled(const DeletionTable *table, const DeletionEdge *edge)
{
	ListCell   *lc;

	if (catalogue_sets_keys(edge) || edge->beyond_schema)
		return false;
	foreach(lc, table->edges)
	{
		const DeletionEdge *other = lfirst(lc);

		if (catalogue_sets_keys(other) && other->referencing == edge->referencing &&
			other->position < edge->position &&
			have_common_column(other->set_columns, edge->columns))
			return true;
	}
	return false;
}

/* Decides for a graph that is in order. */
void
catalogue_choose_server(DeletionGraph *graph)
{
	graph->by_server = graph->by_server || needs_server(graph);
	graph->server_sets = server_sets_keys(graph);
}

/*
 * Is there anything that many statements would do differently from the one
 * DELETE that the schema's keys were made for?
 */
static bool
needs_server(const DeletionGraph *graph)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		/* A rule makes another statement of it, or several. */
		if (table->delete_target && table->on_delete.rules)
			return true;

		foreach(lc2, table->edges)
		{
			if (edge_needs_server(graph, lfirst(lc2)))
				return true;
		}
	}
	return false;
}

static bool
edge_needs_server(const DeletionGraph *graph, const DeletionEdge *edge)
{
	const DeletionTable *referencing = edge->referencing;

	/*
	 * A trigger can keep a row, and nothing is to become of what references
	 * that; batches of it would have been deleted or set before.
	 */
	if (edge->action != EDGE_BLOCK && edge->referenced->on_delete.before_row)
		return true;

	/*
	 * NO ACTION is checked when the statement is over: all that goes must go
	 * in one.
	 */
	if (edge->action == EDGE_BLOCK)
		return referencing->delete_target && may_block_too_early(graph, edge);

	/* So is a default that is set, in a row that goes too. */
	if (edge->action == EDGE_SET_DEFAULT && referencing->delete_target &&
		may_block_too_early(graph, edge))
		return true;

	/*
	 * A row may come to reference another one while batches of both take
	 * turns, where its key follows one that is set.
	 */
	if (referencing->follows_keys || (edge->generated && referencing->updated))
		return true;

	/* No array can carry the keys of a batch. */
	if (!catalogue_has_array_types(edge))
		return true;

	/*
	 * Triggers for each statement on a partitioned table fire for statements
	 * on it; the engine's are on its partitions, whose own would fire.
	 */
	if (edge->action == EDGE_DELETE)
	{
		if (referencing->on_delete.partition_statements)
			return true;

		/*
		 * The server's own cascades delete rows in a cycle, and what the
		 * mapping adds to those must be gone before.
		 */
		return edge->beyond_schema && (edge->referenced->in_cycle || !edge->traversed);
	}

	/*
	 * A row can move to another partition only where its whole table is
	 * updated.
	 */
	return referencing->on_update.rules || referencing->on_update.partition_statements ||
		edge->moves_rows || has_conflicting_key(graph, edge);
}

/*
 * Could a row of two delete targets still reference the other one, by a key that
 * says NO ACTION or RESTRICT, when that is deleted?  Below the root batches take
 * turns, and the two can be in different ones.
 */
static bool
may_block_too_early(const DeletionGraph *graph, const DeletionEdge *edge)
{
	ListCell   *lc;

	if (edge->referencing == edge->referenced)
		return true;
	foreach(lc, graph->root_tables)
	{
		if (!is_ordered(lfirst(lc), edge->referencing, edge->referenced))
			return true;
	}
	return false;
}

/*
 * Are all rows of the first table gone before any of the second?  The edges to
 * the root itself are traversed one after the other.
 */
static bool
is_ordered(const DeletionTable *root, const DeletionTable *first, const DeletionTable *second)
{
	bool		second_seen = false;
	ListCell   *lc;

	if (first == root)
		return false;
	foreach(lc, root->edges)
	{
		const DeletionEdge *edge = lfirst(lc);

		if (edge->action != EDGE_DELETE)
			continue;
		second_seen = second_seen || catalogue_leads_to(edge->referencing, second);
		if (second_seen && catalogue_leads_to(edge->referencing, first))
			return false;
	}
	return true;
}

/*
 * Which of two keys acts first on a column that both have decides what becomes of
 * the row, unless they do the same.
 */
static bool
has_conflicting_key(const DeletionGraph *graph, const DeletionEdge *edge)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *other = lfirst(lc2);

			if (other->referencing == edge->referencing && !other->beyond_schema &&
				other->action != edge->action &&
				have_common_column(edge->set_columns, other->columns))
				return true;
		}
	}
	return false;
}

static bool
have_common_column(const List *a, const List *b)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, a)
	{
		foreach(lc2, b)
		{
			if (strcmp(lfirst(lc), lfirst(lc2)) == 0)
				return true;
		}
	}
	return false;
}

/* Do the server's triggers set keys, of rows that its own cascades delete or in a cycle? */
static bool
server_sets_keys(const DeletionGraph *graph)
{
	ListCell   *lc;
	ListCell   *lc2;
	ListCell   *lc3;

	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!catalogue_sets_keys(edge))
				continue;
			if (graph->by_server || !edge->traversed)
				return true;
			foreach(lc3, graph->tables)
			{
				const DeletionTable *table = lfirst(lc3);

				if (table->in_cycle && catalogue_leads_to(table, edge->referenced))
					return true;
			}
		}
	}
	return false;
}
