/*
 * filiere_scan.c
 *		One filière's chapters in order, by one of a few open index scans.
 *
 * An index scan takes some 30 kB and a buffer pin or two, and thousands of
 * filières may be asked for.  So only so many are open at a time.  When all are in
 * use, one is taken from a filière that is not being read: that keeps the place of
 * its current row, fetches the row again if it is returned, and goes on behind it
 * with the next open scan that it gets.
 *
 * Lifetime: everything is allocated in the context that is current at begin;
 * index scans and buffer pins belong to the current resource owner, so that an
 * ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/filiere_scan.h"

#include "feed/heap_fetch.h"
#include "feed/leaf_scan.h"
#include "feed/scan_keys.h"

#include "access/nbtree.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* What a B-tree scan allocates, about; an open scan may have begun two. */
#define SCAN_BYTES (32 * 1024)
#define MAX_OPEN_SCANS 64

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
	MemoryContext copies_cxt;	/* of the places where filières are put off */
	OpenScan   *open;
	int			nopen;
	int			max_open;
	int			next_victim;
	ReadAhead	ahead;
	int64		rows_wanted;
	List	   *leaves;			/* of LeafScan *, those that are open */
	IndexScanDesc probe;		/* for the next filière that exists */
	TupleTableSlot *probe_slot;
	uint64		rows_read;
};

static int	max_open_scans(int nscans);
static void set_run(ScanPool *pool, FiliereScan *filiere, const PrunedTarget *run, int ntargets);
static bool next_of_target(ScanPool *pool, FiliereScan *filiere);
static bool next_of_leaf(ScanPool *pool, FiliereScan *filiere);
static void start_range(ScanPool *pool, FiliereScan *filiere);
static IndexScanDesc begin_scan(ScanPool *pool, const ScanTarget *target, IndexScanDesc *scan,
								int nkeys);
static OpenScan *acquire(ScanPool *pool, FiliereScan *filiere);
static OpenScan *find_free(ScanPool *pool, const ScanTarget *target);
static void set_target(ScanPool *pool, OpenScan *open, ScanTarget *target);
static void release(FiliereScan *filiere);
static OpenScan *choose_victim(ScanPool *pool);
static void put_off(ScanPool *pool, FiliereScan *filiere);
static NullableDatum copy_as_argument(NullableDatum value, Oid column_type,
									  const ValueType *argument);
static void free_place(ScanPool *pool, FiliereScan *filiere);
static bool next_existing(ScanPool *pool, Datum after, Datum *value);

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
	pool->open = palloc0(sizeof(OpenScan) * pool->max_open);
	pool->scan_cxt = pool->copies_cxt = CurrentMemoryContext;
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

/* Makes a filière's next row its current one; false when all its targets are read. */
bool
catalogue_feed_filiere_next(ScanPool *pool, FiliereScan *filiere)
{
	while (!next_of_target(pool, filiere))
	{
		release(filiere);
		free_place(pool, filiere);
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
	while (filiere->range != KEY_RANGE_END)
	{
		OpenScan   *open = filiere->open != NULL ? filiere->open : acquire(pool, filiere);

		if (open->current == NULL)
			start_range(pool, filiere);
		if (catalogue_heap_getnext_slot(open->current, filiere->target->plan->direction, open->slot,
										&open->ahead))
		{
			pool->rows_read++;
			return true;
		}
		open->current = NULL;
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
		MemoryContext oldcxt = MemoryContextSwitchTo(pool->copies_cxt);

		filiere->leaf = catalogue_feed_begin_leaf(pool->targets, filiere->target, pool->snapshot,
												  pool->feed, pool->plan, pool->position,
												  filiere->range, filiere->dated,
												  pool->rows_wanted);
		pool->leaves = lappend(pool->leaves, filiere->leaf);
		MemoryContextSwitchTo(oldcxt);
	}
	if (catalogue_feed_leaf_next(filiere->leaf) != NULL)
	{
		pool->rows_read++;
		return true;
	}
	pool->leaves = list_delete_ptr(pool->leaves, filiere->leaf);
	catalogue_feed_end_leaf(filiere->leaf);
	filiere->leaf = NULL;

	return false;
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
	catalogue_read_ahead_begin(&open->ahead, &pool->ahead, filiere->target->io_concurrency);
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
		MemoryContextSwitchTo(oldcxt);
	}

	return *scan;
}

/* An open scan for a filière, if need be another's. */
static OpenScan *
acquire(ScanPool *pool, FiliereScan *filiere)
{
	OpenScan   *open = find_free(pool, filiere->target);

	if (open == NULL && pool->nopen < pool->max_open)
		open = &pool->open[pool->nopen++];
	if (open == NULL)
		open = find_free(pool, NULL);
	if (open == NULL)
		open = choose_victim(pool);

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
	MemoryContext oldcxt = MemoryContextSwitchTo(pool->copies_cxt);

	for (int nkeys = 1; nkeys <= MAX_SCAN_KEYS; nkeys++)
	{
		if (open->scans[nkeys] != NULL)
			index_endscan(open->scans[nkeys]);
		open->scans[nkeys] = NULL;
	}
	if (open->slot != NULL)
		ExecDropSingleTupleTableSlot(open->slot);
	open->slot = NULL;
	open->target = target;
	if (target != NULL)
	{
		catalogue_feed_open_target(pool->targets, target);
		open->slot = table_slot_create(target->rel, NULL);
	}

	MemoryContextSwitchTo(oldcxt);
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
catalogue_feed_filiere_row(ScanPool *pool, FiliereScan *filiere)
{
	if (filiere->leaf != NULL)
		return catalogue_feed_leaf_row(filiere->leaf);
	if (filiere->open == NULL)
	{
		OpenScan   *open = acquire(pool, filiere);

		if (!table_tuple_fetch_row_version(filiere->target->rel, &filiere->tid, pool->snapshot, open->slot))
			elog(ERROR, "could not fetch a chapter again");
	}

	return filiere->open->slot;
}

/* Takes an open scan from a filière; from each in turn. */
static OpenScan *
choose_victim(ScanPool *pool)
{
	OpenScan   *open = &pool->open[pool->next_victim++ % pool->nopen];

	put_off(pool, open->user);

	return open;
}

/* Keeps the place of a filière's current row, and what follows it as the range to be read. */
static void
put_off(ScanPool *pool, FiliereScan *filiere)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(pool->copies_cxt);
	const ChapterFeed *feed = pool->feed;
	const IndexTarget *target = filiere->target->plan;
	TupleTableSlot *slot = filiere->open->slot;
	NullableDatum at;
	NullableDatum id;

	filiere->tid = slot->tts_tid;
	at.value = slot_getattr(slot, target->created_at_attno, &at.isnull);
	id.value = slot_getattr(slot, target->id_attno, &id.isnull);
	free_place(pool, filiere);
	filiere->after_at = copy_as_argument(at, feed->created_at_column_type, &feed->created_at);
	filiere->after_id = copy_as_argument(id, feed->id_column_type, &feed->id);
	filiere->has_place = true;

	/* Values by reference lay in the slot. */
	if (!TupleDescAttr(slot->tts_tupleDescriptor, target->created_at_attno - 1)->attbyval)
		filiere->created_at = filiere->after_at;
	if (!TupleDescAttr(slot->tts_tupleDescriptor, target->id_attno - 1)->attbyval)
		filiere->id = filiere->after_id;

	filiere->range = at.isnull ? KEY_RANGE_UNDATED_AFTER : KEY_RANGE_AFTER;
	release(filiere);

	MemoryContextSwitchTo(oldcxt);
}

static NullableDatum
copy_as_argument(NullableDatum value, Oid column_type, const ValueType *argument)
{
	if (!value.isnull)
		value.value = datumCopy(catalogue_feed_widen(value.value, column_type), argument->byval,
								argument->len);

	return value;
}

/* Frees the copies of a place; the scan that began behind it has ended, or is given up. */
static void
free_place(ScanPool *pool, FiliereScan *filiere)
{
	if (!filiere->has_place)
		return;
	if (!pool->feed->created_at.byval && !filiere->after_at.isnull)
		pfree(DatumGetPointer(filiere->after_at.value));
	if (!pool->feed->id.byval)
		pfree(DatumGetPointer(filiere->after_id.value));
	filiere->has_place = false;
}

/*
 * Which of some filières in ascending order, behind one that has no chapters, may
 * have some: the first that is not less than the next one in the index.  To search
 * for each of thousands that do not exist takes a descent for each.  Only where
 * there is one target, which has been read.
 */
int
catalogue_feed_skip_missing(ScanPool *pool, const Datum *filieres, int nfilieres, int missing)
{
	Relation	index = pool->targets->targets[0].index;
	Oid			type = catalogue_feed_key_type(index, INDEX_FILIERE, pool->feed->filiere.oid);
	FmgrInfo	order;
	Datum		next;
	int			i = missing + 1;

	if (!next_existing(pool, filieres[missing], &next))
		return nfilieres;

	fmgr_info(get_opfamily_proc(index->rd_opfamily[INDEX_FILIERE - 1], type,
								index->rd_opcintype[INDEX_FILIERE - 1], BTORDER_PROC),
			  &order);
	while (i < nfilieres &&
		   DatumGetInt32(FunctionCall2Coll(&order, index->rd_indcollation[INDEX_FILIERE - 1],
										   filieres[i], next)) < 0)
		i++;

	return i;
}

/* The filière of the first chapter behind a filière; false if there is none. */
static bool
next_existing(ScanPool *pool, Datum after, Datum *value)
{
	const ScanTarget *target = &pool->targets->targets[0];
	Relation	index = target->index;
	bool		descending = (index->rd_indoption[INDEX_FILIERE - 1] & INDOPTION_DESC) != 0;
	IndexScanDesc scan = begin_scan(pool, target, &pool->probe, 1);
	ScanKeyData key;
	bool		isnull;

	if (pool->probe_slot == NULL)
		pool->probe_slot = table_slot_create(target->rel, NULL);
	catalogue_feed_init_key(&key, index, INDEX_FILIERE, BTGreaterStrategyNumber,
							pool->feed->filiere.oid, after);
	index_rescan(scan, &key, 1, NULL, 0);
	if (!catalogue_heap_getnext_slot(scan,
									 descending ? BackwardScanDirection : ForwardScanDirection,
									 pool->probe_slot, NULL))
		return false;
	*value = slot_getattr(pool->probe_slot, target->plan->filiere_attno, &isnull);

	return true;
}

/* To be called when a row is returned: one less is wanted. */
void
catalogue_feed_row_returned(ScanPool *pool)
{
	pool->ahead.rows_wanted--;
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

/* Releases pins and index scans; memory is freed with its context. */
void
catalogue_feed_end_scans(ScanPool *pool)
{
	ListCell   *lc;

	for (int i = 0; i < pool->nopen; i++)
		set_target(pool, &pool->open[i], NULL);
	foreach(lc, pool->leaves)
		catalogue_feed_end_leaf(lfirst(lc));
	if (pool->probe != NULL)
		index_endscan(pool->probe);
	if (pool->probe_slot != NULL)
		ExecDropSingleTupleTableSlot(pool->probe_slot);
}
