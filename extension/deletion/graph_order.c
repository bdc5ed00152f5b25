/*
 * graph_order.c
 *		Which edges of a graph a deletion traverses, and in which order; which RI
 *		triggers are redundant then; and which graphs are left to the server.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

static bool drop_overruled_edges(DeletionTable *table);
static bool is_overruled(const DeletionTable *table, const DeletionEdge *edge);
static void choose_traversed(DeletionEdge *edge);
static void find_redundant_ri_triggers(const GraphBuilder *builder, DeletionTable *table);
static bool has_array_types(const DeletionEdge *edge);
static void number_table(DeletionTable *table, List **ordered);
static int	compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);
static bool leads_to(const DeletionTable *from, const DeletionTable *to);
static void find_what_leads_beyond(const DeletionGraph *graph);
static void note_what_leads_beyond(const DeletionGraph *graph, const DeletionEdge *beyond);
static bool needs_server(const DeletionGraph *graph);
static bool server_sets_keys(const DeletionGraph *graph);
static bool edge_needs_server(const DeletionGraph *graph, const DeletionEdge *edge);
static bool may_block_too_early(const DeletionGraph *graph, const DeletionEdge *edge);
static bool is_ordered(const DeletionTable *root, const DeletionTable *first,
					   const DeletionTable *second);
static bool has_conflicting_key(const DeletionGraph *graph, const DeletionEdge *edge);
static bool have_common_column(const List *a, const List *b);

/*
 * Decides what is traversed and in which order.
 *
 * Tables are numbered, those that reference before those that they reference,
 * with NO ACTION edges counted too, so that a row that would block is deleted
 * before the row that it refers to.  Edges to the same table are in the order in
 * which the server's triggers would fire.
 */
void
catalogue_order_graph(GraphBuilder *builder)
{
	DeletionGraph *graph = builder->graph;
	List	   *ordered = NIL;
	bool		overruled = false;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
		overruled |= drop_overruled_edges(lfirst(lc));

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
		find_redundant_ri_triggers(builder, table);
	}

	find_what_leads_beyond(graph);
	graph->by_server = overruled || needs_server(graph);
	graph->server_sets = server_sets_keys(graph);
}

/*
 * Drops the edges to a table by which no row is reached any more when their
 * triggers fire; true if there are any.
 */
static bool
drop_overruled_edges(DeletionTable *table)
{
	List	   *kept = NIL;
	bool		found = false;
	ListCell   *lc;

	foreach(lc, table->edges)
	{
		if (is_overruled(table, lfirst(lc)))
			found = true;
		else
			kept = lappend(kept, lfirst(lc));
	}
	table->edges = kept;

	return found;
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

/*
 * An edge that closes a cycle of deletions is left to the server, and so is one
 * whose key cannot be an array's element; but the server knows nothing of what
 * the mapping adds.
 */
static void
choose_traversed(DeletionEdge *edge)
{
	bool		cyclic = edge->action != EDGE_BLOCK &&
		leads_to(edge->referencing, edge->referenced);

	if (edge->beyond_schema && !has_array_types(edge))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
					   catalogue_relation_name(edge->referencing->relid)),
				errdetail("Its type has no array type."));
	edge->traversed = edge->action != EDGE_BLOCK && !cyclic && has_array_types(edge);
	if (cyclic)
		edge->referencing->in_cycle = edge->referenced->in_cycle = true;
}

/*
 * Finds the RI triggers that a deletion may leave out, of the edges to a table
 * whose own referencing tables are known.
 *
 * The trigger of an edge, which fires when a referenced row is deleted, looks
 * for rows that reference it.  It is redundant if it would find none: if a pass
 * over the edge has come to its end and dealt with all that it found, and no row
 * can have come since.  A row that references can come from three sides:
 *
 * - From another transaction.  It needs FOR KEY SHARE on the referenced row.  In
 *   READ COMMITTED the referenced rows are locked FOR UPDATE before the pass
 *   takes its snapshot, so it waits, or was seen.  (In other isolation levels
 *   nothing is left out: traversal.c.)
 *
 * - From somebody's code that the deletion calls, which could do anything
 *   anywhere: a trigger of the users or a rule on a table that the deletion
 *   writes, the outbox included; a default that is a volatile function, or such a
 *   check.  If there is any, no trigger of the whole graph is redundant.
 *
 * - From an UPDATE of the referencing table.  The deletion updates tables whose
 *   keys are set, by edges that it traverses or by the server, and what follows
 *   those by ON UPDATE actions.  A key that becomes NULL refers to nothing.  But a
 *   default, or a value that follows, may be a key that is about to go, and so may
 *   what a generated column makes even of a NULL.  In these cases the trigger
 *   stays.
 *
 * The deletion itself inserts into nothing but the outbox.  To know that a pass
 * dealt with all there is, the key must be checked at once (not deferrable),
 * compare by equality (no PERIOD), be enforced (else it has no trigger), be
 * traversed (no cycle), and have one table on each end (no partitions).
 *
 * What is not proven keeps its trigger.
 */
static void
find_redundant_ri_triggers(const GraphBuilder *builder, DeletionTable *table)
{
	ListCell   *lc;

	table->no_triggers_below = true;
	foreach(lc, table->edges)
	{
		DeletionEdge *edge = lfirst(lc);
		const DeletionTable *referencing = edge->referencing;

		if (edge->action != EDGE_BLOCK &&
			(referencing->has_triggers || !referencing->no_triggers_below))
			table->no_triggers_below = false;

		/* foreign_keys.c has looked at the constraint itself. */
		edge->redundant_ri_trigger =
			edge->redundant_ri_trigger && OidIsValid(edge->constraint) && edge->traversed &&
			!builder->user_code && !referencing->gets_values &&
			!(edge->generated && referencing->updated) && !table->in_cycle &&
			!referencing->in_cycle && !table->partition && !referencing->partition;
	}
}

/* Can the keys be the elements of an array each, for unnest() to take apart? */
static bool
has_array_types(const DeletionEdge *edge)
{
	ListCell   *lc;

	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->referenced->keys, lfirst_int(lc));

		if (!OidIsValid(key->array_type) || get_typtype(key->type) == TYPTYPE_PSEUDO)
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

	if (left->referencing->order != right->referencing->order)
		return left->referencing->order - right->referencing->order;

	return left->position - right->position;
}

/* Can deletions from one table lead to deletions from the other? */
static bool
leads_to(const DeletionTable *from, const DeletionTable *to)
{
	List	   *visited = NIL;
	bool		result = reaches(from, to, &visited);

	list_free(visited);

	return result;
}

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

/* Finds the tables whose rows lead to rows that the mapping adds. */
static void
find_what_leads_beyond(const DeletionGraph *graph)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->beyond_schema)
				note_what_leads_beyond(graph, edge);
		}
	}
}

static void
note_what_leads_beyond(const DeletionGraph *graph, const DeletionEdge *beyond)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		if (!table->leads_beyond && leads_to(table, beyond->referenced))
			table->leads_beyond = true;
	}

	/* What is found by keys that no array carries is found by the server alone. */
	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->action == EDGE_DELETE && edge->referencing->leads_beyond &&
				!has_array_types(edge))
				ereport(ERROR,
						errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot also delete through \"%s\" of \"%s\"", beyond->label,
							   catalogue_relation_name(beyond->referencing->relid)),
						errdetail("It depends on \"%s\" of \"%s\", whose type has no array type.",
								  edge->label, catalogue_relation_name(edge->referencing->relid)));
		}
	}
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

				if (table->in_cycle && leads_to(table, edge->referenced))
					return true;
			}
		}
	}
	return false;
}

static bool
edge_needs_server(const DeletionGraph *graph, const DeletionEdge *edge)
{
	const DeletionTable *referencing = edge->referencing;

	/* NO ACTION is checked when the statement is over: all that goes must go in one. */
	if (edge->action == EDGE_BLOCK)
		return referencing->delete_target && may_block_too_early(graph, edge);

	/*
	 * A row may come to reference another one while batches of both take turns,
	 * where its key follows one that is set.
	 */
	if (referencing->follows_keys || (edge->generated && referencing->updated))
		return true;

	/* No array can carry the keys of a batch. */
	if (!has_array_types(edge))
		return true;

	/*
	 * Triggers for each statement on a partitioned table fire for statements on
	 * it; the engine's are on its partitions, whose own would fire.
	 */
	if (edge->action == EDGE_DELETE)
	{
		if (referencing->on_delete.partition_statements)
			return true;

		/*
		 * The server's own cascades delete rows in a cycle, and what the mapping
		 * adds to those must be gone before.
		 */
		return edge->beyond_schema && (edge->referenced->in_cycle || !edge->traversed);
	}

	/* A row can move to another partition only where its whole table is updated. */
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
		second_seen = second_seen || leads_to(edge->referencing, second);
		if (second_seen && leads_to(edge->referencing, first))
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
