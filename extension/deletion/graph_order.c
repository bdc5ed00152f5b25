/*
 * graph_order.c
 *		Which edges of a graph a deletion traverses, and in which order.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"

static bool has_array_types(const DeletionEdge *edge);
static void number_table(DeletionTable *table, List **ordered);
static int compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);

/*
 * Decides what is walked and in which order.
 *
 * An edge that closes a cycle of deletions is left to the server, and so is
 * one whose key has no array type.  Tables are numbered children first, with
 * NO ACTION edges counted too, so that a row that would block goes before the
 * row that it refers to.
 */
void
catalogue_order_graph(GraphBuilder *builder)
{
	DeletionGraph *graph = builder->graph;
	List *ordered = NIL;
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);
			List *visited = NIL;
			bool cyclic = edge->action != EDGE_BLOCK && reaches(edge->child, table, &visited);

			list_free(visited);
			edge->walked = edge->action != EDGE_BLOCK && !cyclic && has_array_types(edge);
			if (!edge->walked && edge->beyond_schema)
				ereport(ERROR,
						errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
							   catalogue_relation_name(edge->child->relid)),
						cyclic ? errdetail("It is part of a cycle of deletions.")
							   : errdetail("Its type has no array type."));
			if (cyclic)
				edge->child->in_cycle = table->in_cycle = true;
		}
	}

	foreach(lc, builder->graph->roots)
		number_table(lfirst(lc), &ordered);
	graph->tables = ordered;
	foreach(lc, ordered)
		((DeletionTable *) lfirst(lc))->order = foreach_current_index(lc);

	/* Children come first, so what is below a table is known when we reach it. */
	foreach(lc, ordered)
	{
		DeletionTable *table = lfirst(lc);

		list_sort(table->children, compare_edges);
		table->quiet_below = true;
		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);

			if (edge->action != EDGE_BLOCK &&
				(edge->child->has_triggers || !edge->child->quiet_below))
				table->quiet_below = false;
		}
		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);

			edge->provable = edge->provable && edge->walked && OidIsValid(edge->constraint) &&
							 table->quiet_below && !table->has_before_triggers &&
							 !table->in_cycle && !edge->child->in_cycle && !table->partition &&
							 !edge->child->partition;
		}
	}
}

static bool
has_array_types(const DeletionEdge *edge)
{
	ListCell *lc;

	foreach(lc, edge->keys)
	{
		if (!OidIsValid(((DeletionKey *) list_nth(edge->parent->keys, lfirst_int(lc)))->array_type))
			return false;
	}
	return true;
}

/* Depth first: appends a table when everything below it is in the list. */
static void
number_table(DeletionTable *table, List **ordered)
{
	ListCell *lc;

	check_stack_depth();
	if (table->order != 0)
		return;
	table->order = -1; /* on the way down */
	foreach(lc, table->children)
		number_table(((DeletionEdge *) lfirst(lc))->child, ordered);
	*ordered = lappend(*ordered, table);
}

static int
compare_edges(const ListCell *a, const ListCell *b)
{
	const DeletionEdge *left = lfirst(a);
	const DeletionEdge *right = lfirst(b);

	return left->child->order - right->child->order;
}

/* Can deletions from one table come down to the other? */
static bool
reaches(const DeletionTable *from, const DeletionTable *to, List **visited)
{
	ListCell *lc;

	check_stack_depth();
	if (from == to)
		return true;
	if (list_member_ptr(*visited, from))
		return false;
	*visited = lappend(*visited, unconstify(DeletionTable *, from));
	foreach(lc, from->children)
	{
		const DeletionEdge *edge = lfirst(lc);

		if (edge->action == EDGE_DELETE && reaches(edge->child, to, visited))
			return true;
	}
	return false;
}
