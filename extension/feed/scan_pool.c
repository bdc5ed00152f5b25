/*
 * scan_pool.c
 *		The open index scans of a page, lent to one filière after the other.
 *
 * An index scan takes some 30 kB and a buffer pin or two, and thousands of filières
 * may be asked for.  So there are only as many as memory and buffers allow, and an
 * open scan goes from one filière, key range or partition to the next.
 *
 * Lifetime: everything is allocated in the context that is current at begin, or in a
 * child of it; index scans and buffer pins belong to the current resource owner, so
 * that an ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/scan_pool.h"

#include "feed/leaf_scan.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

/* What a B-tree scan allocates, about; an open scan may have begun two. */
#define SCAN_BYTES (32 * 1024)

static int	max_open_scans(int nscans);
static OpenScan *find_free(ScanPool *pool, const ScanTarget *target);
static void set_target(ScanPool *pool, OpenScan *open, ScanTarget *target);
static void begin_index_only(ScanPool *pool, OpenScan *open);

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

/* The index scan with so many keys, begun when it is first needed. */
IndexScanDesc
catalogue_feed_index_scan(ScanPool *pool, OpenScan *open, int nkeys)
{
	const ScanTarget *target = open->target;
	IndexScanDesc *scan = &open->scans[nkeys];

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

/* An open scan of a target.  There is a free one: else filières are read in batches. */
OpenScan *
catalogue_feed_acquire_scan(ScanPool *pool, ScanTarget *target)
{
	OpenScan   *open = find_free(pool, target);

	if (open == NULL && pool->nopen < pool->max_open)
		open = &pool->open[pool->nopen++];
	if (open == NULL)
		open = find_free(pool, NULL);
	if (open == NULL)
		elog(ERROR, "more filières are open than were counted");

	if (open->target != target)
		set_target(pool, open, target);
	open->in_use = true;
	open->current = NULL;

	return open;
}

/* One that nobody uses, of a target or of any. */
static OpenScan *
find_free(ScanPool *pool, const ScanTarget *target)
{
	for (int i = 0; i < pool->nopen; i++)
	{
		OpenScan   *open = &pool->open[i];

		if (!open->in_use && (target == NULL || open->target == target))
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

/* What it had pinned for its row goes with it. */
void
catalogue_feed_release_scan(OpenScan *open)
{
	ExecClearTuple(open->slot);
	open->in_use = false;
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
