/*
 * cascade.c
 *		The server's own way: one DELETE of the root, whose cascades do the rest.
 *
 * What the mapping adds to the schema's own cascades is deleted after the root and
 * before its cascades, as a part of the same statement as far as keys and AFTER
 * triggers are concerned: NO ACTION keys to it are checked when the root's cascades
 * have deleted what else goes.  It is
 * found by locking, from the root on, all rows that lead to it: nobody can take
 * one of them away then, and none of them is another's.
 *
 * Locks: rows FOR UPDATE, those that are referenced before those that reference
 * them, each list in primary key order.
 *
 * Memory: lists of rows and TIDs in a context of their own; a list beyond a
 * megabyte is on disk.
 */
#include "deletion/closure.h"
#include "deletion/run.h"
#include "deletion/statements.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows that an edge has been read into, and that have not been followed. */
typedef struct LockedRows
{
	DeletionEdge *edge;
	Tuplestorestate *rows;
	TupleTableSlot *slot;
} LockedRows;

/* Of each table of the graph, by its number. */
typedef struct BeyondSchema
{
	Deletion   *deletion;
	MemoryContext cxt;
	TidSet	  **found;			/* rows that the mapping adds */
	TidSet	  **followed;		/* rows that lead to such; both NULL where
								 * there are none */
	List	   *pending;		/* of LockedRows * */
} BeyondSchema;

static void delete_beyond_schema(Deletion *deletion);
static void lock_referencing(BeyondSchema *beyond, const DeletionTable *table,
							 DeletionBatch *batch);
static void follow_rows(BeyondSchema *beyond, LockedRows *locked);
static bool note_row(BeyondSchema *beyond, const DeletionEdge *edge, ItemPointer tid);
static bool add_tid(BeyondSchema *beyond, TidSet **set, ItemPointer tid);
static void delete_found(BeyondSchema *beyond, DeletionTable *table, TidSet *found);

/* Deletes the locked root and all that depends on it, their own row with the caller's rights. */
void
catalogue_cascade_root(Deletion *deletion)
{
	catalogue_begin_statement();
	deletion->one_statement = true;
	catalogue_delete_root(deletion, NIL);
	if (deletion->root_table->leads_beyond)
		delete_beyond_schema(deletion);
	deletion->one_statement = false;
	catalogue_end_statement();
}

/*
 * Looks ahead to the keys that will be set, once, where the server's triggers set
 * some of them and its counters will not tell those from what else is updated.
 */
void
catalogue_expect_sets(Deletion *deletion)
{
	DeletionClosure *closure;
	ListCell   *lc;
	ListCell   *lc2;

	if (deletion->graph->counts_sets || !deletion->graph->server_sets ||
		deletion->counts.expected != NIL)
		return;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	closure = catalogue_read_closure(deletion, false);
	PopActiveSnapshot();

	foreach(lc, closure->tables)
	{
		foreach(lc2, ((ClosureTable *) lfirst(lc))->edges)
		{
			const ClosureEdge *edge = lfirst(lc2);

			if (catalogue_sets_keys(edge->edge))
				catalogue_expect_set_rows(&deletion->counts, edge->edge->referencing->reported,
										  edge->edge->action, edge->rows);
		}
	}
	MemoryContextDelete(closure->cxt);
}

/* Finds all that the mapping adds, then deletes it. */
static void
delete_beyond_schema(Deletion *deletion)
{
	const List *tables = deletion->graph->tables;
	BeyondSchema beyond = {
		.deletion = deletion,
		.cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue rows beyond the schema",
									 ALLOCSET_DEFAULT_SIZES),
	};
	MemoryContext oldcxt = MemoryContextSwitchTo(beyond.cxt);
	ListCell   *lc;

	beyond.found = palloc0(list_length(tables) * sizeof(TidSet *));
	beyond.followed = palloc0(list_length(tables) * sizeof(TidSet *));

	(void) add_tid(&beyond, &beyond.followed[deletion->root_table->order],
				   &deletion->root.tids[0]);
	lock_referencing(&beyond, deletion->root_table, &deletion->root);
	while (beyond.pending != NIL)
	{
		LockedRows *locked = linitial(beyond.pending);

		beyond.pending = list_delete_first(beyond.pending);
		follow_rows(&beyond, locked);
	}

	foreach(lc, tables)
	{
		DeletionTable *table = lfirst(lc);

		if (beyond.found[table->order] != NULL)
			delete_found(&beyond, table, beyond.found[table->order]);
	}
	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(beyond.cxt);
}

/* Locks what references a batch by edges of the mapping, or by those that lead to such. */
static void
lock_referencing(BeyondSchema *beyond, const DeletionTable *table, DeletionBatch *batch)
{
	ListCell   *lc;

	foreach(lc, table->edges)
	{
		DeletionEdge *edge = lfirst(lc);
		LockedRows *locked;

		if (edge->action != EDGE_DELETE ||
			(!edge->beyond_schema && !edge->referencing->leads_beyond))
			continue;
		locked = palloc(sizeof(LockedRows));
		locked->edge = edge;
		locked->rows = catalogue_read_referencing(beyond->deletion, edge, batch, true);
		locked->slot = catalogue_make_referencing_slot(edge, true);
		beyond->pending = lappend(beyond->pending, locked);
	}
}

/* Notes the rows that an edge has been read into, and locks what references them. */
static void
follow_rows(BeyondSchema *beyond, LockedRows *locked)
{
	const DeletionTable *table = locked->edge->referencing;
	DeletionBatch batch = {0};

	while (tuplestore_gettupleslot(locked->rows, true, false, locked->slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(locked->slot);
		if (note_row(beyond, locked->edge,
					 (ItemPointer) DatumGetPointer(locked->slot->tts_values[0])))
			catalogue_append_to_batch(&batch, table, beyond->cxt, locked->slot->tts_values,
									  locked->slot->tts_isnull);
		if (batch.nrows == beyond->deletion->batch_size)
		{
			lock_referencing(beyond, table, &batch);
			batch.nrows = 0;
		}
	}
	if (batch.nrows > 0)
		lock_referencing(beyond, table, &batch);

	catalogue_free_batch(&batch);
	ExecDropSingleTupleTableSlot(locked->slot);
	tuplestore_end(locked->rows);
	pfree(locked);
}

/* Notes a row that is locked; has it to be followed? */
static bool
note_row(BeyondSchema *beyond, const DeletionEdge *edge, ItemPointer tid)
{
	const DeletionTable *table = edge->referencing;

	if (edge->beyond_schema)
		(void) add_tid(beyond, &beyond->found[table->order], tid);

	return table->leads_beyond && add_tid(beyond, &beyond->followed[table->order], tid);
}

/* False where it is in the set already. */
static bool
add_tid(BeyondSchema *beyond, TidSet **set, ItemPointer tid)
{
	if (*set == NULL)
		*set = catalogue_make_tid_set(beyond->cxt);

	return catalogue_add_tid(*set, tid);
}

/* Deletes rows of a table.  Those that a trigger has changed meanwhile have moved. */
static void
delete_found(BeyondSchema *beyond, DeletionTable *table, TidSet *found)
{
	Deletion   *deletion = beyond->deletion;
	DeletionBatch batch = {
		.tids = palloc(deletion->batch_size * sizeof(ItemPointerData)),
	};
	bool		more;

	catalogue_rewind_tids(found);
	do
	{
		CHECK_FOR_INTERRUPTS();
		more = catalogue_next_tid(found, &batch.tids[batch.nrows]);
		if (more)
			batch.nrows++;
		if (batch.nrows == deletion->batch_size || !more)
		{
			catalogue_follow_moved_rows(table, &batch);
			(void) catalogue_delete_batch(deletion, table, &batch, NIL);
			batch.nrows = 0;
		}
	} while (more);
	pfree(batch.tids);
}
