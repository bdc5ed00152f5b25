/*
 * closure.c
 *		The rows that a deletion reaches, read without changing anything.
 *
 * From the root on, the rows that reference a batch are read edge by edge, and
 * those that would be deleted are batches in their turn, those of the tables
 * nearest to the root first.  Where rows of a table can be reached twice (two
 * edges lead there, or a cycle) their TIDs are remembered.  There is no
 * recursion: a chain of rows may be as long as it likes.
 *
 * Each statement reads one table, as its owner, who also parses and plans it:
 * an index predicate, a policy or an operator of theirs runs as nobody else.
 * The keys of the referenced rows come as parameters.  All statements use the
 * active snapshot, and nothing is written, so all this works on a standby.
 *
 * Locking: none; the caller has locked the tables of the graph.
 *
 * Memory: a closure has a context of its own.  In there are a batch, lists of
 * rows that go to disk beyond a megabyte each, and the TIDs: about a hundred
 * bytes for each block of a table whose rows have to be remembered.
 */
#include "deletion/closure.h"

#include "query.h"
#include "rights.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

/* A list of rows goes to disk beyond this, whatever work_mem says. */
#define LIST_KILOBYTES 1024

/* A table whose key has no index is read once for so many referenced rows. */
#define BATCH_ROWS 32768

/* A table of a closure that is being read. */
typedef struct ReachedTable
{
	ClosureTable base;			/* (must be first) */
	bool		expands;		/* an edge to it has to be read */
	TidSet	   *reached;		/* NULL where no row can be reached twice */
	Tuplestorestate *pending;	/* rows for which no edge has been read yet;
								 * may be NULL */
	TupleDesc	desc;			/* of those */
} ReachedTable;

/* Where the rows that an edge's statement reads go. */
typedef struct EdgeReceiver
{
	DestReceiver pub;			/* (must be first) */
	MemoryContext cxt;			/* the closure's */
	ClosureEdge *edge;
	ReachedTable *table;		/* the referencing one */
	bool		only_counts;	/* the statement does, and has one row */
} EdgeReceiver;

static DeletionClosure *make_closure(const Deletion *deletion, bool beyond_schema);
static void choose_remembered(DeletionClosure *closure, const DeletionTable *root);
static void expand_root(DeletionClosure *closure, const Deletion *deletion);
static ReachedTable *next_pending(const DeletionClosure *closure);
static void expand_pending(DeletionClosure *closure, ReachedTable *table);
static void expand_batch(DeletionClosure *closure, const ReachedTable *table,
						 const DeletionBatch *batch);
static void read_edge(DeletionClosure *closure, ClosureEdge *edge, const DeletionBatch *referenced);
static SPIPlanPtr prepare_edge(const DeletionClosure *closure, const DeletionEdge *edge,
							   bool only_counts);
static ReachedTable *reached_table(const DeletionClosure *closure, const DeletionTable *table);
static bool is_read(const DeletionEdge *edge);
static bool keys_fit_arrays(const DeletionEdge *edge);
static ParamListInfo key_params(const DeletionEdge *edge, const DeletionBatch *referenced, int row);
static void start_receiver(DestReceiver *self, int operation, TupleDesc desc);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receive_deleted(EdgeReceiver *receiver, TupleTableSlot *slot, ItemPointer tid);
static void end_receiver(DestReceiver *self);
static void leave_out_deleted(const DeletionClosure *closure, ClosureEdge *edge);

/*
 * The rows that the deletion of the root that was found reaches, as the active
 * snapshot shows them; beyond_schema asks for the TIDs of those that the mapping
 * adds to the schema's own cascades.
 */
DeletionClosure *
catalogue_read_closure(const Deletion *deletion, bool beyond_schema)
{
	DeletionClosure *closure = make_closure(deletion, beyond_schema);
	ReachedTable *table;
	ListCell   *lc;
	ListCell   *lc2;

	choose_remembered(closure, deletion->root_table);
	expand_root(closure, deletion);
	while ((table = next_pending(closure)) != NULL)
		expand_pending(closure, table);

	foreach(lc, closure->tables)
	{
		foreach(lc2, ((ClosureTable *) lfirst(lc))->edges)
			leave_out_deleted(closure, lfirst(lc2));
	}

	return closure;
}

/* A closure in which nothing has been reached yet. */
static DeletionClosure *
make_closure(const Deletion *deletion, bool beyond_schema)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion closure",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	DeletionClosure *closure = palloc0(sizeof(DeletionClosure));
	ListCell   *lc;
	ListCell   *lc2;

	closure->cxt = cxt;
	closure->graph = deletion->graph;
	foreach(lc, deletion->graph->tables)
	{
		ReachedTable *table = palloc0(sizeof(ReachedTable));

		table->base.table = lfirst(lc);
		foreach(lc2, table->base.table->edges)
		{
			ClosureEdge *edge = palloc0(sizeof(ClosureEdge));

			edge->edge = lfirst(lc2);
			if (edge->edge->action == EDGE_DELETE
				? edge->edge->beyond_schema && beyond_schema
				: edge->edge->referencing->delete_target)
				edge->tids = catalogue_make_tid_set(cxt);
			table->base.edges = lappend(table->base.edges, edge);
			table->expands = table->expands || is_read(edge->edge);
		}
		closure->tables = lappend(closure->tables, table);
	}
	MemoryContextSwitchTo(oldcxt);

	return closure;
}

/*
 * Decides which tables' rows have to be remembered: those that can be reached in
 * two ways, and those that other edges may set or find in their way unless they
 * are deleted.  A cycle always has a table with two ways in: from the cycle, and
 * from where it was entered.  Keys are unique, so one edge reaches a row once,
 * but for those that the mapping says are keys.
 */
static void
choose_remembered(DeletionClosure *closure, const DeletionTable *root)
{
	int		   *ways = palloc0(list_length(closure->tables) * sizeof(int));
	ListCell   *lc;
	ListCell   *lc2;

	ways[root->order]++;
	foreach(lc, closure->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);
			bool		once = edge->action == EDGE_DELETE && OidIsValid(edge->constraint);

			if (is_read(edge))
				ways[edge->referencing->order] += once ? 1 : 2;
		}
	}
	foreach(lc, closure->tables)
	{
		ReachedTable *table = lfirst(lc);

		if (table->base.table->delete_target && ways[table->base.table->order] > 1)
			table->reached = catalogue_make_tid_set(closure->cxt);
	}
	pfree(ways);
}

static void
expand_root(DeletionClosure *closure, const Deletion *deletion)
{
	ReachedTable *table = reached_table(closure, deletion->root_table);

	table->base.deleted = 1;
	if (table->reached != NULL)
		(void) catalogue_add_tid(table->reached, &deletion->root.tids[0]);
	expand_batch(closure, table, &deletion->root);
}

/*
 * The table to go on with: nearest to the root, so that what can be reached in
 * several ways has gathered most of its rows when its turn comes.  NULL at the
 * end.
 */
static ReachedTable *
next_pending(const DeletionClosure *closure)
{
	for (int i = list_length(closure->tables) - 1; i >= 0; i--)
	{
		ReachedTable *table = list_nth(closure->tables, i);

		if (table->pending != NULL)
			return table;
	}
	return NULL;
}

/* Reads the edges to a table for its pending rows; a cycle may put new ones in their place. */
static void
expand_pending(DeletionClosure *closure, ReachedTable *table)
{
	Tuplestorestate *pending = table->pending;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(table->desc, &TTSOpsMinimalTuple);
	DeletionBatch batch = {0};

	table->pending = NULL;
	while (catalogue_fill_batch(&batch, table->base.table, BATCH_ROWS, closure->cxt, pending, slot))
	{
		expand_batch(closure, table, &batch);
		batch.nrows = 0;
	}
	catalogue_free_batch(&batch);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(pending);
}

static void
expand_batch(DeletionClosure *closure, const ReachedTable *table, const DeletionBatch *batch)
{
	ListCell   *lc;

	foreach(lc, table->base.edges)
	{
		ClosureEdge *edge = lfirst(lc);

		if (is_read(edge->edge))
			read_edge(closure, edge, batch);
	}
}

/* Runs an edge's statement as the referencing table's owner, who has prepared it too. */
static void
read_edge(DeletionClosure *closure, ClosureEdge *edge, const DeletionBatch *referenced)
{
	DeletionEdge *graph_edge = edge->edge;
	ReachedTable *table = reached_table(closure, graph_edge->referencing);
	MemoryContext oldcxt = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(oldcxt, "catalogue deletion statement",
											  ALLOCSET_SMALL_SIZES);
	EdgeReceiver receiver = {
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = start_receiver,
			.rShutdown = end_receiver,
			.rDestroy = end_receiver,
			.mydest = DestNone,
		},
		.cxt = closure->cxt,
		.edge = edge,
		.table = table,
		.only_counts = edge->tids == NULL &&
		(graph_edge->action != EDGE_DELETE || (!table->expands && table->reached == NULL)),
	};
	SPIExecuteOptions options = {
		.read_only = true,
		.dest = &receiver.pub,
	};
	SPIPlanPtr *plan = receiver.only_counts ? &graph_edge->count : &graph_edge->reach;
	int			step = keys_fit_arrays(graph_edge) ? referenced->nrows : 1;
	SavedUser	saved;

	catalogue_switch_to_owner(graph_edge->referencing->relid, &saved);
	MemoryContextSwitchTo(cxt);
	if (*plan == NULL)
		*plan = prepare_edge(closure, graph_edge, receiver.only_counts);
	MemoryContextSwitchTo(cxt);
	catalogue_plan_by_index(*plan, true);
	for (int row = 0; row < referenced->nrows; row += step)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(cxt);
		MemoryContextSwitchTo(cxt);
		options.params = key_params(graph_edge, referenced, row);
		(void) catalogue_execute_plan(*plan, &options);
	}
	catalogue_restore_user(&saved);
	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(cxt);
}

/*
 * The statement that reads an edge.  Without an index the planner must see how
 * many keys there are, to hash or sort them; else it is given no choice but the
 * index, however few rows the table has when that is planned.
 */
static SPIPlanPtr
prepare_edge(const DeletionClosure *closure, const DeletionEdge *edge, bool only_counts)
{
	const DeletionTable *referencing = edge->referencing;
	bool		arrays = keys_fit_arrays(edge);
	bool		by_any = arrays && edge->indexed && edge->match_any != NULL;
	Oid			argtypes[INDEX_MAX_KEYS];
	StringInfoData query;
	ListCell   *lc;

	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->referenced->keys, lfirst_int(lc));

		argtypes[foreach_current_index(lc)] = arrays ? key->array_type : key->type;
	}

	initStringInfo(&query);
	if (only_counts)
		appendStringInfoString(&query, "SELECT pg_catalog.count(*) FROM ");
	else
		appendStringInfo(&query, "SELECT t.ctid%s FROM ", catalogue_key_columns(referencing->keys));
	if (!by_any)
		appendStringInfo(&query, "%s, ", catalogue_referenced_rows(edge, arrays));
	appendStringInfo(&query, "%s AS t WHERE %s", referencing->name,
					 by_any ? edge->match_any : edge->match);

	return catalogue_prepare(closure->graph->base.cxt, query.data, list_length(edge->keys), argtypes,
							 edge->indexed ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN);
}

static ReachedTable *
reached_table(const DeletionClosure *closure, const DeletionTable *table)
{
	return list_nth(closure->tables, table->order);
}

/* A key that compares periods never acts on DELETE, and rows that it refers to are not one's alone. */
static bool
is_read(const DeletionEdge *edge)
{
	return edge->action == EDGE_DELETE || edge->comparable;
}

/*
 * Can the keys of many rows be parameters?  Else they are those of one row at a
 * time.  unnest() would take rows apart.
 */
static bool
keys_fit_arrays(const DeletionEdge *edge)
{
	ListCell   *lc;

	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->referenced->keys, lfirst_int(lc));

		if (!OidIsValid(key->array_type) || key->type == RECORDOID)
			return false;
	}
	return true;
}

/* The keys of a whole batch, or of one of its rows. */
static ParamListInfo
key_params(const DeletionEdge *edge, const DeletionBatch *referenced, int row)
{
	bool		arrays = keys_fit_arrays(edge);
	ParamListInfo params = makeParamList(list_length(edge->keys));
	ListCell   *lc;

	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->referenced->keys, lfirst_int(lc));
		const DeletionColumn *column = &referenced->keys[lfirst_int(lc)];
		ParamExternData *param = &params->params[foreach_current_index(lc)];

		param->pflags = PARAM_FLAG_CONST;
		param->ptype = arrays ? key->array_type : key->type;
		param->isnull = !arrays && column->nulls[row];
		param->value = arrays ? catalogue_key_array(key, column, 0, referenced->nrows)
			: column->values[row];
	}

	return params;
}

/* DestReceiver callback: notes what pending rows look like. */
static void
start_receiver(DestReceiver *self, int operation, TupleDesc desc)
{
	EdgeReceiver *receiver = (EdgeReceiver *) self;
	MemoryContext oldcxt;

	if (receiver->edge->edge->action != EDGE_DELETE || !receiver->table->expands ||
		receiver->table->desc != NULL)
		return;
	oldcxt = MemoryContextSwitchTo(receiver->cxt);
	receiver->table->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(oldcxt);
}

/* DestReceiver callback: counts a row, or what the statement has counted. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	EdgeReceiver *receiver = (EdgeReceiver *) self;
	ClosureEdge *edge = receiver->edge;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (receiver->only_counts)
	{
		edge->rows += DatumGetInt64(value);
		if (edge->edge->action == EDGE_DELETE)
			receiver->table->base.deleted += DatumGetInt64(value);
		return true;
	}

	if (edge->tids != NULL)
		(void) catalogue_add_tid(edge->tids, (ItemPointer) DatumGetPointer(value));
	if (edge->edge->action == EDGE_DELETE)
		receive_deleted(receiver, slot, (ItemPointer) DatumGetPointer(value));

	return true;
}

/* Counts a row that is deleted, and puts it on the list of those to expand. */
static void
receive_deleted(EdgeReceiver *receiver, TupleTableSlot *slot, ItemPointer tid)
{
	ReachedTable *table = receiver->table;
	MemoryContext oldcxt;

	if (table->reached != NULL && !catalogue_add_tid(table->reached, tid))
		return;
	table->base.deleted++;
	receiver->edge->rows++;
	if (!table->expands)
		return;

	oldcxt = MemoryContextSwitchTo(receiver->cxt);
	if (table->pending == NULL)
		table->pending = tuplestore_begin_heap(false, false, LIST_KILOBYTES);
	tuplestore_puttupleslot(table->pending, slot);
	MemoryContextSwitchTo(oldcxt);
}

/* DestReceiver callback: the receiver is not the executor's. */
static void
end_receiver(DestReceiver *self)
{
}

/* Of the rows that an edge sets or that are in its way, those that are deleted do not count. */
static void
leave_out_deleted(const DeletionClosure *closure, ClosureEdge *edge)
{
	const ReachedTable *table = reached_table(closure, edge->edge->referencing);
	ItemPointerData tid;

	if (edge->edge->action == EDGE_DELETE || edge->tids == NULL || !is_read(edge->edge))
		return;
	catalogue_rewind_tids(edge->tids);
	while (catalogue_next_tid(edge->tids, &tid))
	{
		CHECK_FOR_INTERRUPTS();
		if (!catalogue_has_tid(table->reached, &tid))
			edge->rows++;
	}
}
