/*
 * graph_order.c
 *		Which edges of a graph a deletion traverses, in which order, and which RI
 *		triggers are redundant then.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

static void choose_traversed(DeletionEdge *edge);
static void find_redundant_ri_triggers(const GraphBuilder *builder, DeletionTable *table);
static void number_table(DeletionTable *table, List **ordered);
static int	compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);
static void find_other_owners(const DeletionGraph *graph);
static void find_what_leads_beyond(const DeletionGraph *graph);
static void note_what_leads_beyond(const DeletionGraph *graph, const DeletionEdge *beyond);

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
	ListCell   *lc;
	ListCell   *lc2;

	catalogue_drop_overruled_edges(graph);

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

	find_other_owners(graph);
	find_what_leads_beyond(graph);
	catalogue_choose_server(graph);
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
		catalogue_leads_to(edge->referencing, edge->referenced);

	if (edge->beyond_schema && !catalogue_has_array_types(edge))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
					   catalogue_relation_name(edge->referencing->relid)),
				errdetail("Its type has no array type."));
	edge->traversed = edge->action != EDGE_BLOCK && !cyclic && catalogue_has_array_types(edge);
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
bool
catalogue_has_array_types(const DeletionEdge *edge)
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
bool
catalogue_leads_to(const DeletionTable *from, const DeletionTable *to)
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

/*
 * Finds the tables from which the server's cascades can come to a table of
 * another owner.  In a cycle one pass over the graph does not tell.
 */
static void
find_other_owners(const DeletionGraph *graph)
{
	bool		changed;
	ListCell   *lc;
	ListCell   *lc2;

	do
	{
		changed = false;
		foreach(lc, graph->tables)
		{
			DeletionTable *table = lfirst(lc);

			foreach(lc2, table->edges)
			{
				const DeletionEdge *edge = lfirst(lc2);

				if (!table->others_below && edge->action != EDGE_BLOCK &&
					(edge->referencing->owner != table->owner ||
					 edge->referencing->others_below))
					table->others_below = changed = true;
			}
		}
	} while (changed);
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

		if (!table->leads_beyond && catalogue_leads_to(table, beyond->referenced))
			table->leads_beyond = true;
	}

	/*
	 * What is found by keys that no array carries is found by the server
	 * alone.
	 */
	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->action == EDGE_DELETE && edge->referencing->leads_beyond &&
				!catalogue_has_array_types(edge))
				ereport(ERROR,
						errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot also delete through \"%s\" of \"%s\"", beyond->label,
							   catalogue_relation_name(beyond->referencing->relid)),
						errdetail("It depends on \"%s\" of \"%s\", whose type has no array type.",
								  edge->label, catalogue_relation_name(edge->referencing->relid)));
		}
	}
}
