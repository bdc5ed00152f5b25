/*
 * filiere_scan.c
 *		One filière's chapters in order, by one of a few open index scans.
 *
 * An index scan takes some 30 kB and a buffer pin or two, and thousands of
 * filières may be asked for.  Where they are few, each has an index scan of its own.
 * Where they are many, an index scan is lent to each in turn, which reads a batch of
 * its entries (entry_batch.c) and goes on behind them the next time; the batches
 * grow, so that what it takes to descend the index is shared by many rows.
 *
 * Lifetime: everything is allocated in the context that is current at begin;
 * index scans and buffer pins belong to the current resource owner, so that an
 * ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/filiere_scan.h"

#include "feed/heap_fetch.h"
#include "feed/index_only.h"
#include "feed/leaf_scan.h"
#include "feed/scan_keys.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* What a B-tree scan allocates, about; an open scan may have begun two. */
#define SCAN_BYTES (32 * 1024)

/* Entries in a filière's first batch, and in its greatest. */
#define FIRST_BATCH 8
#define MAX_BATCH 1024

/* An index scan that goes from one filière or range to the next. */
typedef struct OpenScan
{
	ScanTarget *target;
	IndexScanDesc scans[MAX_SCAN_KEYS + 1]; /* by their number of keys, each
											 * begun when it is first needed */
	IndexScanDesc current;		/* the one in use; NULL between ranges */
	ScanKeyData row_members[2]; /* of its keys */
	TupleTableSlot *slot;
	ReadAheadScan ahead;
	IndexOnlyRows *only;		/* where the index has the columns; else NULL */
	FiliereScan *user;			/* NULL while it is free */
} OpenScan;

struct ScanPool
{
	ScanTargets *targets;
	Snapshot	snapshot;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	const ChapterPosition *position;
	MemoryContext scan_cxt;		/* of the index AM's states */
	MemoryContext cxt;			/* of slots and batches */
	OpenScan   *open;
	int			nopen;
	int			max_open;
	bool		by_batches;		/* there are more filières than may be open */
	int			nbatches;		/* of filières */
	ReadAhead	ahead;
	int			io_concurrency; /* of the target that was read last */
	int64		rows_wanted;
	List	   *leaves;			/* of LeafScan *, those that are open */
	bool		merged;			/* rows are compared, whatever is looked at */
	bool		index_only;		/* some target is read so */
	uint64		rows_read;
	uint64		heap_fetches;	/* of index only scans */
};

static int	max_open_scans(int nscans);
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
static IndexScanDesc begin_scan(ScanPool *pool, const ScanTarget *target, IndexScanDesc *scan,
								int nkeys);
static OpenScan *acquire(ScanPool *pool, FiliereScan *filiere);
static OpenScan *find_free(ScanPool *pool, const ScanTarget *target);
static void set_target(ScanPool *pool, OpenScan *open, ScanTarget *target);
static void begin_index_only(ScanPool *pool, OpenScan *open);
static void release(FiliereScan *filiere);

/* All arguments must live as long as the pool. */
ScanPool *
catalogue_feed_begin_scans(ScanTargets *targets, Snapshot snapshot, const ChapterFeed *feed,
						   const ReferencePlan *plan, const ChapterPosition *position, int nscans,
						   int64 rows_wanted)
{
	ScanPool   *pool = palloc0(sizeof(ScanPool));

	pool->targets = targets;
	pool->snapshot = snapshot;
	pool->feed = feed;
	pool->plan = plan;
	pool->position = position;
	pool->rows_wanted = rows_wanted;
	pool->max_open = max_open_scans(nscans);
	pool->by_batches = nscans > pool->max_open;
	pool->merged = nscans > 1;
	pool->open = palloc0(sizeof(OpenScan) * pool->max_open);
	pool->scan_cxt = pool->cxt = CurrentMemoryContext;
	catalogue_read_ahead_init(&pool->ahead, rows_wanted, nscans);

	/*
	 * One block for the states of many scans.  An AllocSet would malloc() and
	 * free() each of them, upon which the C library returns all that memory
	 * to the system, and the next call has to fault it in page by page.
	 */
	if (nscans > 1)
	{
		Size		size = (Size) SCAN_BYTES * pg_nextpower2_32(Max(8, pool->max_open));

		pool->scan_cxt = GenerationContextCreate(CurrentMemoryContext, "catalogue merged scans",
												 0, size, size);
	}

	return pool;
}

/* As many as work_mem and a small part of the shared buffers hold. */
static int
max_open_scans(int nscans)
{
	int			by_memory = work_mem / (2 * SCAN_BYTES / 1024);
	int			by_buffers = NBuffers / 16;

	return Max(Min(Min(nscans, MAX_OPEN_SCANS), Min(by_memory, by_buffers)), 2);
}

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
	if (next_of_batch(filiere))
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

	if (batch == NULL || batch->next == batch->nentries)
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
	index_rescan(open->current, NULL, 0, NULL, 0);
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
	index_rescan(open->current, NULL, 0, NULL, 0);
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

	open->current = begin_scan(pool, filiere->target, &open->scans[nkeys], nkeys);
	index_rescan(open->current, keys, nkeys, NULL, 0);
	pool->io_concurrency = filiere->target->io_concurrency;
	catalogue_read_ahead_begin(&open->ahead, &pool->ahead, pool->io_concurrency);
}

/* An index scan with so many keys, begun when it is first needed. */
static IndexScanDesc
begin_scan(ScanPool *pool, const ScanTarget *target, IndexScanDesc *scan, int nkeys)
{
	if (*scan == NULL)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(pool->scan_cxt);

		*scan = index_beginscan(target->rel, target->index, pool->snapshot, NULL, nkeys, 0,
								SO_NONE);
		(*scan)->xs_want_itup = pool->by_batches || target->index_only;
		MemoryContextSwitchTo(oldcxt);
	}

	return *scan;
}

/* An open scan for a filière.  There is a free one: else they are read in batches. */
static OpenScan *
acquire(ScanPool *pool, FiliereScan *filiere)
{
	OpenScan   *open = find_free(pool, filiere->target);

	if (open == NULL && pool->nopen < pool->max_open)
		open = &pool->open[pool->nopen++];
	if (open == NULL)
		open = find_free(pool, NULL);
	if (open == NULL)
		elog(ERROR, "more filières are open than were counted");

	if (open->target != filiere->target)
		set_target(pool, open, filiere->target);
	open->user = filiere;
	open->current = NULL;
	filiere->open = open;

	return open;
}

/* One that nobody uses, of a target or of any. */
static OpenScan *
find_free(ScanPool *pool, const ScanTarget *target)
{
	for (int i = 0; i < pool->nopen; i++)
	{
		OpenScan   *open = &pool->open[i];

		if (open->user == NULL && (target == NULL || open->target == target))
			return open;
	}

	return NULL;
}

/* Makes an open scan one of another target, or of none. */
static void
set_target(ScanPool *pool, OpenScan *open, ScanTarget *target)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(pool->cxt);

	for (int nkeys = 1; nkeys <= MAX_SCAN_KEYS; nkeys++)
	{
		if (open->scans[nkeys] != NULL)
			index_endscan(open->scans[nkeys]);
		open->scans[nkeys] = NULL;
	}
	if (open->only != NULL)
		catalogue_index_only_end(open->only);
	open->only = NULL;
	if (open->slot != NULL)
		ExecDropSingleTupleTableSlot(open->slot);
	open->slot = NULL;
	open->target = target;
	if (target != NULL)
	{
		catalogue_feed_open_target(pool->targets, target);
		if (target->index_only && !pool->by_batches)
			begin_index_only(pool, open);
		else
			open->slot = table_slot_create(target->rel, NULL);
	}

	MemoryContextSwitchTo(oldcxt);
}

/* Where no column is looked at, and rows are not compared, they need none. */
static void
begin_index_only(ScanPool *pool, OpenScan *open)
{
	pool->index_only = true;
	open->slot = MakeSingleTupleTableSlot(RelationGetDescr(open->target->rel), &TTSOpsVirtual);
	open->only = catalogue_index_only_begin(open->target,
											pool->merged || pool->targets->columns->ncolumns > 0,
											open->slot, &open->ahead, &pool->heap_fetches);
}

static void
release(FiliereScan *filiere)
{
	if (filiere->open != NULL)
	{
		ExecClearTuple(filiere->open->slot);
		filiere->open->user = NULL;
		filiere->open = NULL;
	}
}

/* The slot with a filière's current row. */
TupleTableSlot *
catalogue_feed_filiere_row(FiliereScan *filiere)
{
	if (filiere->leaf != NULL)
		return catalogue_feed_leaf_row(filiere->leaf);

	return filiere->open->slot;
}

/* Whether filières are read in batches of index entries, whose rows are fetched later. */
bool
catalogue_feed_by_batches(const ScanPool *pool)
{
	return pool->by_batches;
}

/* What the scans share in order to read ahead. */
ReadAhead *
catalogue_feed_read_ahead(ScanPool *pool)
{
	return &pool->ahead;
}

/* To be called when a row is returned: one less is wanted. */
void
catalogue_feed_row_returned(ScanPool *pool)
{
	pool->ahead.rows_wanted--;
	if (pool->by_batches)
		pool->rows_read++;
}

/* For EXPLAIN ANALYZE: blocks that were asked for before they were read. */
uint64
catalogue_feed_blocks_ahead(const ScanPool *pool)
{
	return pool->ahead.blocks;
}

/* For EXPLAIN ANALYZE: index entries that led to a row. */
uint64
catalogue_feed_rows_read(const ScanPool *pool)
{
	return pool->rows_read;
}

/*
 * For EXPLAIN ANALYZE: index entries whose rows had to be looked for in the heap, where
 * the index has all columns; -1 where it has not.
 */
int64
catalogue_feed_heap_fetches(const ScanPool *pool)
{
	return pool->index_only ? (int64) pool->heap_fetches : -1;
}

/* Releases pins and index scans; memory is freed with its context. */
void
catalogue_feed_end_scans(ScanPool *pool)
{
	ListCell   *lc;

	for (int i = 0; i < pool->nopen; i++)
		set_target(pool, &pool->open[i], NULL);
	foreach(lc, pool->leaves)
		catalogue_feed_end_leaf(lfirst(lc));
}
