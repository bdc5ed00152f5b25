/*
 * traversal.c
 *		The walk: a professor's dependents go, children first, in sets.
 *
 * A batch is up to batch_size rows of one table, locked FOR UPDATE: their
 * TIDs, and the values that their children refer to.  For each edge below it
 * the children are read once into a tuplestore, and taken from there in
 * batches of their own: walked where they have dependents, then deleted by
 * their TIDs.  Memory is one batch for each level of the graph.  Children with
 * an index whose rows have no dependents need no list: the statement asks the
 * index.
 *
 * Children are locked as they are read, all locks being held to the end of
 * the transaction anyway.  There are two exceptions, for which each batch is
 * locked when its turn comes, and looked at again whether it still belongs to
 * its parents: a purge, whose locks end with each commit, and tables whose
 * rows a trigger could change before we come to them.
 *
 * An edge is proven when, since the parents were locked, a pass over it in
 * READ COMMITTED has come to its end and deleted all that it found: whoever
 * would add a child needs FOR KEY SHARE on a parent and waits.
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

static List *walk_children(Deletion *deletion, DeletionTable *table, DeletionBatch *batch);
static bool walk_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool delete_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static int next_slice(int batch_size, int nparents, uint64 nchildren);
static void follow_moved_rows(const DeletionTable *table, DeletionBatch *batch);
static bool is_quiet(const DeletionTable *table);
static void batch_done(Deletion *deletion, uint64 rows);
static void relock_frame(Deletion *deletion, DeletionFrame *frame);
static bool has_dependents(const DeletionTable *table);

/*
 * Deletes the locked professor with all that depends on him, himself last
 * and with the caller's own rights.  Returns early when restart was set.
 */
void
catalogue_delete_locked_professor(Deletion *deletion)
{
	List *proven = walk_children(deletion, deletion->professors, &deletion->professor);

	if (!deletion->restart)
		catalogue_delete_professor_row(deletion, proven);
}

/*
 * Locks again what the walk had locked when the last transaction ended; rows
 * that are gone or have changed hands leave their batch.  The professor's row
 * is the caller's to lock.
 */
void
catalogue_relock_batches(Deletion *deletion)
{
	if (deletion->frames != NULL)
		relock_frame(deletion, deletion->frames);
}

/* Ends the lists of a walk that an ERROR has cut short. */
void
catalogue_end_walk(Deletion *deletion)
{
	for (DeletionFrame *frame = deletion->frames; frame != NULL; frame = frame->outer)
		tuplestore_end(frame->children);
	deletion->frames = NULL;
}

/*
 * Walks all edges below a batch; returns the constraints of those that are
 * proven.  Locks end with a transaction, and proofs with the locks: after a
 * commit the edges are walked once more, which finds little.
 */
static List *
walk_children(Deletion *deletion, DeletionTable *table, DeletionBatch *batch)
{
	bool skip = catalogue_skip_redundant_ri_triggers && XactIsoLevel == XACT_READ_COMMITTED;
	List *proven;
	uint64 epoch;
	ListCell *lc;

	check_stack_depth();

	do
	{
		epoch = deletion->epoch;
		proven = NIL;
		foreach(lc, table->children)
		{
			DeletionEdge *edge = lfirst(lc);

			if (!edge->walked || batch->nrows == 0)
				continue;
			if (walk_edge(deletion, edge, batch) && edge->provable && skip)
				proven = lappend_oid(proven, edge->constraint);
			if (deletion->restart)
				return NIL;
		}
	} while (deletion->epoch != epoch);

	return proven;
}

/*
 * Walks one edge until nothing is left, or a pass over it changes nothing;
 * true when nothing is left.
 */
static bool
walk_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	uint64 before;

	if (edge->indexed && edge->action == EDGE_DELETE && !has_dependents(edge->child))
		return delete_by_index(deletion, edge, parents);

	do
	{
		before = catalogue_deletion_watch_rows(&deletion->watch);
		if (walk_once(deletion, edge, parents))
			return true;
	} while (catalogue_deletion_watch_rows(&deletion->watch) > before && !deletion->restart);

	return false;
}

/* One pass over an edge; true when all that it found was dealt with. */
static bool
walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	DeletionTable *child = edge->child;
	bool lock_first = deletion->commit == NULL && is_quiet(child);
	DeletionBatch batch = {0};
	DeletionFrame *frame;
	TupleTableSlot *slot;
	bool complete;

	/* Not on the stack: after an ERROR its end is catalogue_end_walk()'s. */
	frame = MemoryContextAllocZero(deletion->cxt, sizeof(DeletionFrame));
	frame->outer = deletion->frames;
	frame->edge = edge;
	frame->parents = parents;
	frame->batch = &batch;
	frame->complete = true;
	frame->children = catalogue_read_children(deletion, edge, parents, lock_first);
	deletion->frames = frame;
	slot = catalogue_make_child_slot(edge, lock_first);

	while (!deletion->restart && catalogue_fill_batch(&batch, child, deletion->batch_size,
													  deletion->cxt, frame->children, slot))
	{
		int expected = batch.nrows;
		uint64 done;
		List *proven = NIL;

		CHECK_FOR_INTERRUPTS();
		if (!lock_first)
			catalogue_lock_batch(deletion, edge, parents, &batch);
		if (edge->action == EDGE_DELETE)
			proven = walk_children(deletion, child, &batch);
		if (deletion->restart)
			break;
		if (edge->action == EDGE_DELETE)
		{
			follow_moved_rows(child, &batch);
			done = catalogue_delete_batch(deletion, child, &batch, proven);
		}
		else
			done = catalogue_set_keys(deletion, edge, &batch);
		list_free(proven);

		if (done < expected)
			frame->complete = false;
		batch.nrows = 0;
		batch_done(deletion, done);
	}

	ExecDropSingleTupleTableSlot(slot);
	complete = frame->complete && !deletion->restart;
	deletion->frames = frame->outer;
	tuplestore_end(frame->children);
	pfree(frame);
	catalogue_free_batch(&batch);

	return complete;
}

/*
 * Deletes children that nothing depends on, through the index, without
 * reading them first.  How many parents go into a statement that deletes
 * about a batch is learned as we go.  A parent whose children are more than a
 * batch ends that: to ask for the next ones would walk over those already
 * deleted, so the rest is read once, like any other edge.
 */
static bool
delete_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	int next = 0;

	while (next < parents->nrows && !deletion->restart)
	{
		int slice = edge->slice > 0 ? edge->slice : deletion->batch_size;
		int nparents = Min(slice, parents->nrows - next);
		uint64 done;
		bool more;

		CHECK_FOR_INTERRUPTS();
		done = catalogue_delete_by_index(deletion, edge, parents, next, nparents);
		more = deletion->watch.limit_reached;

		if (more)
			edge->slice = Max(nparents / 2, 1);
		else
		{
			next += nparents;
			edge->slice = next_slice(deletion->batch_size, nparents, done);
		}
		batch_done(deletion, done);

		if (more && nparents == 1)
			return walk_once(deletion, edge, parents);
	}

	return !deletion->restart;
}

/* Parents whose children are a little less than a batch, if they have as many as the last ones. */
static int
next_slice(int batch_size, int nparents, uint64 nchildren)
{
	double slice = nchildren > 0 ? 0.875 * batch_size * nparents / nchildren : batch_size;

	return (int) Max(Min(slice, Min(2.0 * nparents, batch_size)), 1);
}

/*
 * User triggers below a table, or a cycle, may update rows that we hold by
 * their TIDs: a trigger on the comments that counts them in their chapter.
 * The rows are locked, so it was us, and the chain of versions is whole.
 */
static void
follow_moved_rows(const DeletionTable *table, DeletionBatch *batch)
{
	Relation rel;
	Snapshot snapshot;
	TableScanDesc scan;

	if (batch->nrows == 0 || is_quiet(table))
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

/* Can nothing but our own statements change a table's rows while we hold them? */
static bool
is_quiet(const DeletionTable *table)
{
	return table->quiet_below && !table->has_triggers && !table->in_cycle;
}

/* A good moment for a commit, if commits are wanted and enough has been done. */
static void
batch_done(Deletion *deletion, uint64 rows)
{
	catalogue_deletion_watch_flush(&deletion->watch);
	deletion->pending += rows;
	if (deletion->commit != NULL && deletion->pending >= deletion->batch_size)
		deletion->commit(deletion);
}

static void
relock_frame(Deletion *deletion, DeletionFrame *frame)
{
	int before = frame->batch->nrows;

	if (frame->outer != NULL)
		relock_frame(deletion, frame->outer);
	if (before == 0)
		return;
	catalogue_lock_batch(deletion, frame->edge, frame->parents, frame->batch);
	if (frame->batch->nrows < before)
		frame->complete = false;
}

static bool
has_dependents(const DeletionTable *table)
{
	ListCell *lc;

	foreach(lc, table->children)
	{
		if (((DeletionEdge *) lfirst(lc))->walked)
			return true;
	}
	return false;
}
