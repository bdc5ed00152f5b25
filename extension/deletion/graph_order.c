/*
 * graph_order.c
 *		Which edges of a graph a deletion traverses, and in which order.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "miscadmin.h"

static void choose_traversed(DeletionEdge *edge);
static void find_redundant_ri_triggers(DeletionTable *table);
static bool has_array_types(const DeletionEdge *edge);
static void number_table(DeletionTable *table, List **ordered);
static int	compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);

/*
 * Decides what is traversed and in which order.
 *
 * Tables are numbered, those that reference before those that they reference,
 * with NO ACTION edges counted too, so that a row that would block is deleted
 * before the row that it refers to.
 */
void
catalogue_order_graph(GraphBuilder *builder)
{
	DeletionGraph *graph = builder->graph;
	List	   *ordered = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		foreach(lc2, table->edges)
			choose_traversed(lfirst(lc2));
	}

	foreach(lc, graph->root_tables)
		number_table(lfirst(lc), &ordered);
	graph->tables = ordered;
	foreach(lc, ordered)
		((DeletionTable *) lfirst(lc))->order = foreach_current_index(lc);

	/*
	 * What references a table, however far, comes before it and is known by
	 * then.
	 */
	foreach(lc, ordered)
	{
		DeletionTable *table = lfirst(lc);

		list_sort(table->edges, compare_edges);
		find_redundant_ri_triggers(table);
	}
}

/*
 * An edge that closes a cycle of deletions is left to the server, and so is one
 * whose key has no array type.
 */
static void
choose_traversed(DeletionEdge *edge)
{
	List	   *visited = NIL;
	bool		cyclic =
		edge->action != EDGE_BLOCK && reaches(edge->referencing, edge->referenced, &visited);

	list_free(visited);
	edge->traversed = edge->action != EDGE_BLOCK && !cyclic && has_array_types(edge);
	if (!edge->traversed && edge->beyond_schema)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
					   catalogue_relation_name(edge->referencing->relid)),
				cyclic ? errdetail("It is part of a cycle of deletions.")
				: errdetail("Its type has no array type."));
	if (cyclic)
		edge->referencing->in_cycle = edge->referenced->in_cycle = true;
}

/* Of the edges to a table, once those to the tables that reference it are known. */
static void
find_redundant_ri_triggers(DeletionTable *table)
{
	ListCell   *lc;

	table->no_triggers_below = true;
	foreach(lc, table->edges)
	{
		const DeletionEdge *edge = lfirst(lc);

		if (edge->action != EDGE_BLOCK &&
			(edge->referencing->has_triggers || !edge->referencing->no_triggers_below))
			table->no_triggers_below = false;
	}
	foreach(lc, table->edges)
	{
		DeletionEdge *edge = lfirst(lc);

		edge->redundant_ri_trigger =
			edge->redundant_ri_trigger && edge->traversed && OidIsValid(edge->constraint) &&
			table->no_triggers_below && !table->has_before_triggers && !table->in_cycle &&
			!edge->referencing->in_cycle && !table->partition && !edge->referencing->partition;
	}
}

static bool
has_array_types(const DeletionEdge *edge)
{
	ListCell   *lc;

	foreach(lc, edge->keys)
	{
		if (!OidIsValid(
						((DeletionKey *) list_nth(edge->referenced->keys, lfirst_int(lc)))->array_type))
			return false;
	}
	return true;
}

/* Depth first: appends a table when everything that references it is in the list. */
static void
number_table(DeletionTable *table, List **ordered)
{
	ListCell   *lc;

	check_stack_depth();
	if (table->order != 0)
		return;
	table->order = -1;			/* on the way down */
	foreach(lc, table->edges)
		number_table(((DeletionEdge *) lfirst(lc))->referencing, ordered);
	*ordered = lappend(*ordered, table);
}

static int
compare_edges(const ListCell *a, const ListCell *b)
{
	const DeletionEdge *left = lfirst(a);
	const DeletionEdge *right = lfirst(b);

	return left->referencing->order - right->referencing->order;
}

/* Can deletions from one table lead to deletions from the other? */
static bool
reaches(const DeletionTable *from, const DeletionTable *to, List **visited)
{
	ListCell   *lc;

	check_stack_depth();
	if (from == to)
		return true;
	if (list_member_ptr(*visited, from))
		return false;
	*visited = lappend(*visited, unconstify(DeletionTable *, from));
	foreach(lc, from->edges)
	{
		const DeletionEdge *edge = lfirst(lc);

		if (edge->action == EDGE_DELETE && reaches(edge->referencing, to, visited))
			return true;
	}
	return false;
}
