/*
 * traversal.c
 *		A root's dependents are deleted in sets, those that reference first.
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
 * The RI trigger of an edge may be redundant when a pass over it in READ COMMITTED
 * has come to its end and dealt with all that it found, in the transaction that
 * has locked the referenced rows: graph_order.c says for which edges, and why.
 *
 * A graph that only the server gets right is left to it: cascade.c.
 *
 * Locks: one deletion at a time for each attachment (see
 * catalogue_lock_root), the root, then each list or batch in
 * primary key order.
 *
 * Memory: batches, lists and frames live in the deletion's context.
 */
#include "deletion/index_probe.h"
#include "deletion/statements.h"

#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

/* What a pass over an edge has come to. */
typedef struct TraversalPass
{
	uint64		found;			/* rows that referenced */
	uint64		done;			/* of those, deleted or set */
	bool		complete;		/* all of them */
} TraversalPass;

static List *traverse_edges(Deletion *deletion, DeletionTable *table, DeletionBatch *batch);
static TraversalPass traverse_edge(Deletion *deletion, DeletionEdge *edge,
								   DeletionBatch *referenced);
static TraversalPass traverse_once(Deletion *deletion, DeletionEdge *edge,
								   DeletionBatch *referenced);
static bool can_go_by_index(const DeletionEdge *edge);
static TraversalPass traverse_by_index(Deletion *deletion, DeletionEdge *edge,
									   DeletionBatch *referenced);
static int	next_chunk(int batch_size, int nreferenced, uint64 nreferencing);
static bool rows_cannot_move(const DeletionTable *table);
static void batch_done(Deletion *deletion, uint64 rows);
static void relock_frame(Deletion *deletion, DeletionFrame *frame);
static bool has_dependents(const DeletionTable *table);

/*
 * Deletes the locked root with all that depends on it, its own row last
 * and with the caller's own rights.  Returns early when restart was set.
 */
void
catalogue_delete_locked_root(Deletion *deletion)
{
	List	   *redundant;

	catalogue_expect_sets(deletion);
	if (deletion->graph->by_server)
	{
		catalogue_cascade_root(deletion);
		return;
	}

	redundant = traverse_edges(deletion, deletion->root_table, &deletion->root);
	if (!deletion->restart)
		catalogue_delete_root(deletion, redundant);
}

/*
 * Locks again what the traversal had locked when the last transaction ended; rows
 * that have been deleted, or reference others now, leave their batch.  The caller
 * has locked the root.
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
 * whose RI triggers are redundant.
 *
 * Locks end with a transaction, and what they guarantee with them: after a commit
 * the edges are traversed once more, which finds little.  A trigger may put back
 * what was dealt with, and a default may be the very key that is deleted: so this
 * ends when it has not found less than the time before, and keys that are set to
 * a default are set once.  What references the batch after that is the server's
 * business, whose triggers are not redundant then.
 */
static List *
traverse_edges(Deletion *deletion, DeletionTable *table, DeletionBatch *batch)
{
	bool		skip = catalogue_skip_redundant_ri_triggers && XactIsoLevel == XACT_READ_COMMITTED;
	bool		first = true;
	uint64		done = PG_UINT64_MAX;
	uint64		before;
	uint64		transaction_count;
	List	   *redundant = NIL;
	ListCell   *lc;

	check_stack_depth();

	do
	{
		before = done;
		done = 0;
		transaction_count = deletion->transaction_count;
		list_free(redundant);
		redundant = NIL;
		foreach(lc, table->edges)
		{
			DeletionEdge *edge = lfirst(lc);
			TraversalPass pass;

			if (!edge->traversed || batch->nrows == 0 ||
				(edge->action == EDGE_SET_DEFAULT && !first))
				continue;
			pass = traverse_edge(deletion, edge, batch);
			done += pass.done;
			if (pass.complete && edge->redundant_ri_trigger && skip)
				redundant = lappend_oid(redundant, edge->constraint);
			if (deletion->restart)
				return NIL;
		}
		first = false;
	} while (deletion->transaction_count != transaction_count && done > 0 && done < before);

	if (deletion->transaction_count != transaction_count)
	{
		list_free(redundant);
		return NIL;
	}

	return redundant;
}

/*
 * Traverses one edge until nothing is left.  Rows that could not be deleted (they
 * were moved or kept meanwhile) are looked for again, as long as others were
 * deleted and there are fewer of them each time.  Keys are set in one pass.
 */
static TraversalPass
traverse_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	TraversalPass pass = {0};
	uint64		before = PG_UINT64_MAX;
	uint64		done = 0;

	if (!catalogue_may_be_referenced(edge, referenced))
	{
		pass.complete = true;
		return pass;
	}
	if (can_go_by_index(edge))
		return traverse_by_index(deletion, edge, referenced);

	for (;;)
	{
		pass = traverse_once(deletion, edge, referenced);
		done += pass.done;
		if (pass.complete || deletion->restart || edge->action != EDGE_DELETE || pass.done == 0 ||
			pass.found >= before)
			break;
		before = pass.found;
	}
	pass.done = done;

	return pass;
}

/* One pass over an edge. */
static TraversalPass
traverse_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	DeletionTable *referencing = edge->referencing;
	bool		lock_first = deletion->commit == NULL && rows_cannot_move(referencing);
	DeletionBatch batch = {0};
	DeletionFrame *frame;
	TupleTableSlot *slot;
	TraversalPass pass = {0};

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

		pass.found += expected;
		CHECK_FOR_INTERRUPTS();
		if (!lock_first)
			catalogue_lock_batch(deletion, edge, referenced, &batch);
		if (edge->action == EDGE_DELETE)
			redundant = traverse_edges(deletion, referencing, &batch);
		if (deletion->restart)
			break;
		if (edge->action == EDGE_DELETE)
		{
			if (!rows_cannot_move(referencing))
				catalogue_follow_moved_rows(referencing, &batch);
			done = catalogue_delete_batch(deletion, referencing, &batch, redundant);
		}
		else
			done = catalogue_set_keys(deletion, edge, &batch);
		list_free(redundant);

		pass.done += done;
		if (done < expected)
			frame->complete = false;
		batch.nrows = 0;
		batch_done(deletion, done);
	}

	ExecDropSingleTupleTableSlot(slot);
	pass.complete = frame->complete && !deletion->restart;
	deletion->frames = frame->outer;
	tuplestore_end(frame->rows);
	pfree(frame);
	catalogue_free_batch(&batch);

	return pass;
}

/*
 * May rows be deleted without being read first?  Nothing must reference them.  A
 * statement may delete more than a batch, or in a purge stop before its end: no
 * trigger must see that.
 */
static bool
can_go_by_index(const DeletionEdge *edge)
{
	const DeletionTable *referencing = edge->referencing;

	return edge->indexed && edge->action == EDGE_DELETE && !has_dependents(referencing) &&
		!referencing->has_triggers && !referencing->whole_statements;
}

/*
 * Deletes rows that nothing references, through the index, without reading them
 * first.  How many referenced rows go into a statement that deletes about a batch
 * is learned on the way.  A purge stops where that is exceeded, to commit: what is
 * left of it is asked for again, which scans what has just been deleted, so where
 * one row is referenced by more than a batch, the rest is read once, like any
 * other edge.
 */
static TraversalPass
traverse_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced)
{
	TraversalPass pass = {0};
	int			next = 0;

	while (next < referenced->nrows && !deletion->restart)
	{
		int			chunk = edge->chunk > 0 ? edge->chunk : deletion->batch_size;
		int			nreferenced = Min(chunk, referenced->nrows - next);
		uint64		done;
		bool		more;

		CHECK_FOR_INTERRUPTS();
		done = catalogue_delete_by_index(deletion, edge, referenced, next, nreferenced);
		more = deletion->commit != NULL && done >= deletion->batch_size;
		pass.found += done;
		pass.done += done;

		if (more)
			edge->chunk = Max(nreferenced / 2, 1);
		else
		{
			next += nreferenced;
			edge->chunk = next_chunk(deletion->batch_size, nreferenced, done);
		}
		batch_done(deletion, done);

		if (more && nreferenced == 1 && !deletion->restart)
		{
			TraversalPass rest = traverse_once(deletion, edge, referenced);

			rest.found += pass.found;
			rest.done += pass.done;
			return rest;
		}
	}
	pass.complete = !deletion->restart;

	return pass;
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
