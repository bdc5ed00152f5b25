/*
 * traversal.c
 *		A professor's dependents are deleted in sets, those that reference first.
 *
 * A batch is up to batch_size rows of one table, locked FOR UPDATE: their
 * TIDs, and the values that other rows refer to.  For each edge to the table,
 * the referencing rows are read once into a list, and taken from there in
 * batches of their own: what references those is traversed first, then they are
 * deleted by their TIDs.  Memory is one batch for each level of the graph.
 * Referencing rows that nothing else references, in a table with an index, need
 * no list: they are deleted through the index.
 *
 * Rows are locked as they are read, all locks being held to the end of the
 * transaction anyway.  There are two exceptions, for which each batch is locked
 * when its turn comes, and checked whether it still references the others: a
 * purge, whose locks end with each commit, and tables whose rows a trigger could
 * change meanwhile.
 *
 * The RI trigger of an edge is redundant when, since the referenced rows were
 * locked, a pass over the edge in READ COMMITTED has come to its end and deleted
 * all that it found: whoever would add a referencing row needs FOR KEY SHARE on
 * a referenced one and waits.
 *
 * Locks: one deletion at a time for each professors table (see
 * catalogue_lock_professor), the professor's row, then each list or batch in
 * primary key order.
 *
 * Memory: batches, lists and frames live in the deletion's context.
 */
#include "deletion/statements.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

static List *traverse_edges(Deletion *deletion, DeletionTable *table, DeletionBatch *batch);
static bool traverse_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced);
static bool traverse_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced);
static bool traverse_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced);
static int	next_chunk(int batch_size, int nreferenced, uint64 nreferencing);
static void follow_moved_rows(const DeletionTable *table, DeletionBatch *batch);
static bool rows_cannot_move(const DeletionTable *table);
static void batch_done(Deletion *deletion, uint64 rows);
static void relock_frame(Deletion *deletion, DeletionFrame *frame);
static bool has_dependents(const DeletionTable *table);

/*
 * Deletes the locked professor with all that depends on them, their own row last
 * and with the caller's own rights.  Returns early when restart was set.
 */
void
catalogue_delete_locked_professor(Deletion *deletion)
{
	List	   *redundant = traverse_edges(deletion, deletion->professors, &deletion->professor);

	if (!deletion->restart)
		catalogue_delete_professor_row(deletion, redundant);
}

/*
 * Locks again what the traversal had locked when the last transaction ended; rows
 * that have been deleted, or reference others now, leave their batch.  The caller
 * has locked the professor's row.
 */
void
catalogue_relock_batches(Deletion *deletion)
{
	if (deletion->frames != NULL)
		relock_frame(deletion, deletion->frames);
}

/* Frees the lists of a traversal that an ERROR has ended. */
void
catalogue_cleanup_traversal(Deletion *deletion)
{
	for (DeletionFrame *frame = deletion->frames; frame != NULL; frame = frame->outer)
		tuplestore_end(frame->rows);
	deletion->frames = NULL;
}

/*
 * Traverses all edges to the table of a batch; returns the constraints of those
 * whose RI triggers are redundant.  Locks end with a transaction, and what they
 * guarantee with them: after a commit the edges are traversed once more, which
 * finds little.
 */
static List *
traverse_edges(Deletion *deletion, DeletionTable *table, DeletionBatch *batch)
{
	bool		skip = catalogue_skip_redundant_ri_triggers && XactIsoLevel == XACT_READ_COMMITTED;
	List	   *redundant = NIL;
	uint64		transaction_count;
	ListCell   *lc;

	check_stack_depth();

	do
	{
		transaction_count = deletion->transaction_count;
		list_free(redundant);
		redundant = NIL;
		foreach(lc, table->edges)
		{
			DeletionEdge *edge = lfirst(lc);

			if (!edge->traversed || batch->nrows == 0)
				continue;
			if (traverse_edge(deletion, edge, batch) && edge->redundant_ri_trigger && skip)
				redundant = lappend_oid(redundant, edge->constraint);
			if (deletion->restart)
				return NIL;
		}
	} while (deletion->transaction_count != transaction_count);

	return redundant;
}

/*
 * Traverses one edge until nothing is left, or a pass over it changes nothing;
 * true when nothing is left.
 */
static bool
traverse_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	uint64		before;

	if (edge->indexed && edge->action == EDGE_DELETE && !has_dependents(edge->referencing))
		return traverse_by_index(deletion, edge, referenced);

	do
	{
		before = catalogue_recorded_rows(&deletion->recorder);
		if (traverse_once(deletion, edge, referenced))
			return true;
	} while (catalogue_recorded_rows(&deletion->recorder) > before && !deletion->restart);

	return false;
}

/* One pass over an edge; true when all that it found was dealt with. */
static bool
traverse_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	DeletionTable *referencing = edge->referencing;
	bool		lock_first = deletion->commit == NULL && rows_cannot_move(referencing);
	DeletionBatch batch = {0};
	DeletionFrame *frame;
	TupleTableSlot *slot;
	bool		complete;

	/*
	 * Not on the stack: catalogue_cleanup_traversal() looks at it after an
	 * ERROR.
	 */
	frame = MemoryContextAllocZero(deletion->cxt, sizeof(DeletionFrame));
	frame->outer = deletion->frames;
	frame->edge = edge;
	frame->referenced = referenced;
	frame->batch = &batch;
	frame->complete = true;
	frame->rows = catalogue_read_referencing(deletion, edge, referenced, lock_first);
	deletion->frames = frame;
	slot = catalogue_make_referencing_slot(edge, lock_first);

	while (!deletion->restart && catalogue_fill_batch(&batch, referencing, deletion->batch_size,
													  deletion->cxt, frame->rows, slot))
	{
		int			expected = batch.nrows;
		uint64		done;
		List	   *redundant = NIL;

		CHECK_FOR_INTERRUPTS();
		if (!lock_first)
			catalogue_lock_batch(deletion, edge, referenced, &batch);
		if (edge->action == EDGE_DELETE)
			redundant = traverse_edges(deletion, referencing, &batch);
		if (deletion->restart)
			break;
		if (edge->action == EDGE_DELETE)
		{
			follow_moved_rows(referencing, &batch);
			done = catalogue_delete_batch(deletion, referencing, &batch, redundant);
		}
		else
			done = catalogue_set_keys(deletion, edge, &batch);
		list_free(redundant);

		if (done < expected)
			frame->complete = false;
		batch.nrows = 0;
		batch_done(deletion, done);
	}

	ExecDropSingleTupleTableSlot(slot);
	complete = frame->complete && !deletion->restart;
	deletion->frames = frame->outer;
	tuplestore_end(frame->rows);
	pfree(frame);
	catalogue_free_batch(&batch);

	return complete;
}

/*
 * Deletes rows that nothing references, through the index, without reading them
 * first.  How many referenced rows go into a statement that deletes about a batch
 * is learned on the way.  Where one of them is referenced by more than a batch,
 * the rest is read once, like any other edge: to ask for the next rows would scan
 * those already deleted again.
 */
static bool
traverse_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	int			next = 0;

	while (next < referenced->nrows && !deletion->restart)
	{
		int			chunk = edge->chunk > 0 ? edge->chunk : deletion->batch_size;
		int			nreferenced = Min(chunk, referenced->nrows - next);
		uint64		done;
		bool		more;

		CHECK_FOR_INTERRUPTS();
		done = catalogue_delete_by_index(deletion, edge, referenced, next, nreferenced);
		more = deletion->recorder.limit_reached;

		if (more)
			edge->chunk = Max(nreferenced / 2, 1);
		else
		{
			next += nreferenced;
			edge->chunk = next_chunk(deletion->batch_size, nreferenced, done);
		}
		batch_done(deletion, done);

		if (more && nreferenced == 1)
			return traverse_once(deletion, edge, referenced);
	}

	return !deletion->restart;
}

/*
 * As many rows as are referenced by a little less than a batch, if that is as
 * many for each as it was for the last ones.
 */
static int
next_chunk(int batch_size, int nreferenced, uint64 nreferencing)
{
	double		chunk = nreferencing > 0 ? 0.875 * batch_size * nreferenced / nreferencing : batch_size;

	return (int) Max(Min(chunk, Min(2.0 * nreferenced, batch_size)), 1);
}

/*
 * User triggers on referencing tables, or a cycle, may update rows that a batch
 * has the TIDs of: a trigger on the comments that counts them in their chapter.
 * The rows are locked, so it was this transaction, and each chain of versions is
 * complete.
 */
static void
follow_moved_rows(const DeletionTable *table, DeletionBatch *batch)
{
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;

	if (batch->nrows == 0 || rows_cannot_move(table))
		return;

	rel = table_open(table->relid, NoLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan_tid(rel, snapshot);
	for (int i = 0; i < batch->nrows; i++)
		table_tuple_get_latest_tid(scan, &batch->tids[i]);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

/* Can nothing but the deletion's own statements change rows while a batch has their TIDs? */
static bool
rows_cannot_move(const DeletionTable *table)
{
	return table->no_triggers_below && !table->has_triggers && !table->in_cycle;
}

/* After each batch: a purge commits when enough has been deleted. */
static void
batch_done(Deletion *deletion, uint64 rows)
{
	deletion->pending += rows;
	if (deletion->commit != NULL && deletion->pending >= deletion->batch_size)
		deletion->commit(deletion);
}

/* Locks the batch of a frame again, after those that it references. */
static void
relock_frame(Deletion *deletion, DeletionFrame *frame)
{
	int			before = frame->batch->nrows;

	if (frame->outer != NULL)
		relock_frame(deletion, frame->outer);
	if (before == 0)
		return;
	catalogue_lock_batch(deletion, frame->edge, frame->referenced, frame->batch);
	if (frame->batch->nrows < before)
		frame->complete = false;
}

/* Does the deletion traverse an edge to the table? */
static bool
has_dependents(const DeletionTable *table)
{
	ListCell   *lc;

	foreach(lc, table->edges)
	{
		if (((DeletionEdge *) lfirst(lc))->traversed)
			return true;
	}
	return false;
}
