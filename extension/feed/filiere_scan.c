/*
 * filiere_scan.c
 *		One filière's chapters in order, key range after key range.
 *
 * Where filières are few, each keeps an open index scan of the pool (scan_pool.c) and
 * its current row.  Where they are many, an index scan is lent to each in turn, which
 * reads a batch of its entries (entry_batch.c) and goes on behind them the next time;
 * the batches grow, so that what it takes to descend the index is shared by many rows.
 * A target that the executor reads comes from leaf_scan.c.
 *
 * Lifetime: batches and leaves are allocated in the pool's context, and a filière's
 * scan where its caller likes.  The caller holds the locks.
 */
#include "feed/filiere_scan.h"

#include "feed/heap_fetch.h"
#include "feed/leaf_scan.h"
#include "feed/scan_keys.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Entries in a filière's first batch, and in its greatest. */
#define FIRST_BATCH 8
#define MAX_BATCH 1024

static void set_run(ScanPool *pool, FiliereScan *filiere, const PrunedTarget *run, int ntargets);
static bool next_of_target(ScanPool *pool, FiliereScan *filiere);
static bool next_of_leaf(ScanPool *pool, FiliereScan *filiere);
static void drop_batch(ScanPool *pool, FiliereScan *filiere);
static bool next_row(ScanPool *pool, FiliereScan *filiere);
static bool next_of_batch(FiliereScan *filiere);
static bool next_batch(ScanPool *pool, FiliereScan *filiere);
static int	batch_size(ScanPool *pool, const FiliereScan *filiere);
static void continue_behind(ScanPool *pool, FiliereScan *filiere, const ChapterEntry *last);
static void start_range(ScanPool *pool, FiliereScan *filiere);
static OpenScan *acquire(ScanPool *pool, FiliereScan *filiere);
static void release(FiliereScan *filiere);

/* Begins to read a filière of a run of targets at the page's position. */
void
catalogue_feed_init_filiere(ScanPool *pool, FiliereScan *filiere, Datum value,
							const PrunedTarget *run, int ntargets)
{
	MemSet(filiere, 0, sizeof(FiliereScan));
	filiere->filiere = value;
	set_run(pool, filiere, run, ntargets);
}

/* Begins the first of some targets; the position may be in any of them. */
static void
set_run(ScanPool *pool, FiliereScan *filiere, const PrunedTarget *run, int ntargets)
{
	filiere->target = &pool->targets->targets[run->number];
	filiere->dated = run->dated;
	filiere->older = run + 1;
	filiere->nolder = ntargets - 1;
	filiere->range = pool->position->first_range;
	filiere->after_at = pool->position->before_at;
	filiere->after_id = pool->position->before_id;
}

/*
 * Makes a filière's next row its current one, or the next index entry where they are
 * read in batches; false when all its targets are read.
 */
bool
catalogue_feed_filiere_next(ScanPool *pool, FiliereScan *filiere)
{
	while (!next_of_target(pool, filiere))
	{
		release(filiere);
		drop_batch(pool, filiere);
		if (filiere->nolder == 0)
			return false;
		set_run(pool, filiere, filiere->older, filiere->nolder);
	}

	return true;
}

/* The same in its current target; false when all its key ranges there are read. */
static bool
next_of_target(ScanPool *pool, FiliereScan *filiere)
{
	if (filiere->target->plan->by_executor)
		return next_of_leaf(pool, filiere);
	if (filiere->batch != NULL && next_of_batch(filiere))
		return true;

	while (filiere->range != KEY_RANGE_END)
	{
		if (pool->by_batches ? next_batch(pool, filiere) : next_row(pool, filiere))
			return true;
		filiere->range = filiere->dated ? KEY_RANGE_END
			: catalogue_feed_next_key_range(pool->targets->rel, pool->plan, filiere->range);
	}

	return false;
}

/* The same where the executor reads the target. */
static bool
next_of_leaf(ScanPool *pool, FiliereScan *filiere)
{
	if (filiere->leaf == NULL)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(pool->cxt);

		filiere->leaf = catalogue_feed_begin_leaf(pool->targets, filiere->target, pool->snapshot,
												  pool->feed, pool->plan, pool->position,
												  filiere->range, filiere->dated,
												  pool->rows_wanted);
		pool->leaves = lappend(pool->leaves, filiere->leaf);
		MemoryContextSwitchTo(oldcxt);
	}
	if (catalogue_feed_leaf_next(filiere->leaf) != NULL)
	{
		if (!pool->by_batches)
			pool->rows_read++;
		return true;
	}
	pool->leaves = list_delete_ptr(pool->leaves, filiere->leaf);
	catalogue_feed_end_leaf(filiere->leaf);
	filiere->leaf = NULL;

	return false;
}

static void
drop_batch(ScanPool *pool, FiliereScan *filiere)
{
	if (filiere->batch == NULL)
		return;
	catalogue_feed_free_batch(filiere->batch, filiere->target->plan, filiere->target->index);
	filiere->batch = NULL;
	pool->nbatches--;
}

/* The next row of its key range. */
static bool
next_row(ScanPool *pool, FiliereScan *filiere)
{
	OpenScan   *open = filiere->open != NULL ? filiere->open : acquire(pool, filiere);

	if (open->current == NULL)
		start_range(pool, filiere);
	if (open->only != NULL
		? catalogue_index_only_next(open->only, open->current, filiere->target->plan->direction)
		: catalogue_heap_getnext_slot(open->current, filiere->target->plan->direction, open->slot,
									  &open->ahead))
	{
		pool->rows_read++;
		return true;
	}
	open->current = NULL;

	return false;
}

static bool
next_of_batch(FiliereScan *filiere)
{
	EntryBatch *batch = filiere->batch;
	const ChapterEntry *entry;

	if (batch->next == batch->nentries)
		return false;
	entry = &batch->entries[batch->next++];
	filiere->created_at.value = entry->created_at;
	filiere->created_at.isnull = entry->undated;
	filiere->id.value = entry->id;
	filiere->id.isnull = entry->id_is_null;
	filiere->tid = entry->tid;

	return true;
}

/* Reads the next batch of its key range; false if that has no more. */
static bool
next_batch(ScanPool *pool, FiliereScan *filiere)
{
	EntryBatch *last = filiere->batch;
	MemoryContext oldcxt;
	OpenScan   *open;

	if (last != NULL && last->range_ended)
	{
		last->range_ended = false;
		return false;
	}

	open = acquire(pool, filiere);
	start_range(pool, filiere);
	oldcxt = MemoryContextSwitchTo(pool->cxt);
	filiere->batch = catalogue_feed_read_batch(open->current, filiere->target->plan,
											   batch_size(pool, filiere));
	MemoryContextSwitchTo(oldcxt);

	/* Nothing stays pinned in the index, however long the page is read. */
	index_rescan(open->current, NULL, open->current->numberOfKeys, NULL, 0);
	release(filiere);

	/* The keys pointed into it. */
	if (last != NULL)
		catalogue_feed_free_batch(last, filiere->target->plan, filiere->target->index);
	pool->nbatches += (filiere->batch != NULL) - (last != NULL);
	if (filiere->batch == NULL)
		return false;
	continue_behind(pool, filiere, &filiere->batch->entries[filiere->batch->nentries - 1]);

	return next_of_batch(filiere);
}

/* Twice the last one, as long as work_mem holds so many for each, and they can be needed. */
static int
batch_size(ScanPool *pool, const FiliereScan *filiere)
{
	int64		size = filiere->batch != NULL ? filiere->batch->nentries * 2 : FIRST_BATCH;
	int64		held = work_mem * INT64_C(1024) / (sizeof(ChapterEntry) * Max(pool->nbatches, 1));

	size = Min(size, Min(Max(held, FIRST_BATCH), MAX_BATCH));

	return Max(Min(size, pool->ahead.rows_wanted + 1), 1);
}

/* What is to be read behind an entry, which must live as long as that is. */
static void
continue_behind(ScanPool *pool, FiliereScan *filiere, const ChapterEntry *last)
{
	const ChapterFeed *feed = pool->feed;

	filiere->range = last->undated ? KEY_RANGE_UNDATED_AFTER : KEY_RANGE_AFTER;
	filiere->after_at.isnull = last->undated;
	filiere->after_at.value = last->undated ? (Datum) 0
		: catalogue_feed_widen(last->created_at, feed->created_at_column_type);
	filiere->after_id.isnull = last->id_is_null;
	filiere->after_id.value = last->id_is_null ? (Datum) 0
		: catalogue_feed_widen(last->id, feed->id_column_type);
}

/*
 * Asks for the block of a filière's first row, which is not read yet.  The scan then
 * starts again: what it has descended through is in the buffers.
 */
void
catalogue_feed_ask_for_first(ScanPool *pool, FiliereScan *filiere)
{
	OpenScan   *open = acquire(pool, filiere);
	ItemPointer tid;

	start_range(pool, filiere);
	tid = index_getnext_tid(open->current, filiere->target->plan->direction);
	if (tid != NULL)
		catalogue_read_ahead_ask(&open->ahead, filiere->target->rel,
								 ItemPointerGetBlockNumber(tid));
	index_rescan(open->current, NULL, open->current->numberOfKeys, NULL, 0);
}

/* For how many filières at a time that pays, behind one that was read. */
int
catalogue_feed_scans_to_ask(const ScanPool *pool)
{
	return pool->ahead.reads_are_slow && !pool->by_batches ? pool->io_concurrency : 0;
}

/* Begins the index scan of a filière's key range. */
static void
start_range(ScanPool *pool, FiliereScan *filiere)
{
	const IndexTarget *target = filiere->target->plan;
	Relation	index = filiere->target->index;
	OpenScan   *open = filiere->open;
	ScanKeyData keys[MAX_SCAN_KEYS];
	int			nkeys = target->created_at_key - 1;

	CHECK_FOR_INTERRUPTS();

	ScanKeyEntryInitializeWithInfo(&keys[target->filiere_key - 1], 0, target->filiere_key,
								   BTEqualStrategyNumber, target->equality_type,
								   index->rd_indcollation[target->filiere_key - 1],
								   unconstify(FmgrInfo *, &target->equality), filiere->filiere);
	if (target->filter_key != 0)
		ScanKeyEntryInitialize(&keys[target->filter_key - 1], 0, target->filter_key,
							   BTEqualStrategyNumber, target->filter_type,
							   index->rd_indcollation[target->filter_key - 1],
							   get_opcode(target->filter_operator), pool->position->filter);
	nkeys += catalogue_feed_init_range_keys(&keys[nkeys], open->row_members, index,
											target->created_at_key, pool->feed, filiere->range,
											&filiere->after_at, &filiere->after_id);

	open->current = catalogue_feed_index_scan(pool, open, nkeys);
	index_rescan(open->current, keys, nkeys, NULL, 0);
	pool->io_concurrency = filiere->target->io_concurrency;
	catalogue_read_ahead_begin(&open->ahead, &pool->ahead, pool->io_concurrency);
}

static OpenScan *
acquire(ScanPool *pool, FiliereScan *filiere)
{
	filiere->open = catalogue_feed_acquire_scan(pool, filiere->target);

	return filiere->open;
}

static void
release(FiliereScan *filiere)
{
	if (filiere->open != NULL)
		catalogue_feed_release_scan(filiere->open);
	filiere->open = NULL;
}

/* The slot with a filière's current row. */
TupleTableSlot *
catalogue_feed_filiere_row(FiliereScan *filiere)
{
	if (filiere->leaf != NULL)
		return catalogue_feed_leaf_row(filiere->leaf);

	return filiere->open->slot;
}
