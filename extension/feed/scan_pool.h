/*
 * scan_pool.h
 *		The open index scans of a page, lent to one filière after the other.
 */
#ifndef CATALOGUE_SCAN_POOL_H
#define CATALOGUE_SCAN_POOL_H

#include "feed/index_only.h"
#include "feed/key_range.h"
#include "feed/read_ahead.h"
#include "feed/reference_plan.h"
#include "feed/scan_keys.h"
#include "feed/scan_targets.h"

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"

/* Where there are more, they are read in batches; where memory is short, where fewer are. */
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
	IndexOnlyRows *only;		/* where the index has the columns; else NULL */
	bool		in_use;
} OpenScan;

typedef struct ScanPool
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
} ScanPool;

extern ScanPool *catalogue_feed_begin_scans(ScanTargets *targets, Snapshot snapshot,
											const ChapterFeed *feed, const ReferencePlan *plan,
											const ChapterPosition *position, int nscans,
											int64 rows_wanted);
extern OpenScan *catalogue_feed_acquire_scan(ScanPool *pool, ScanTarget *target);
extern IndexScanDesc catalogue_feed_index_scan(ScanPool *pool, OpenScan *open, int nkeys);
extern void catalogue_feed_release_scan(OpenScan *open);
extern bool catalogue_feed_by_batches(const ScanPool *pool);
extern ReadAhead *catalogue_feed_read_ahead(ScanPool *pool);
extern uint64 catalogue_feed_blocks_ahead(const ScanPool *pool);
extern uint64 catalogue_feed_rows_read(const ScanPool *pool);
extern int64 catalogue_feed_heap_fetches(const ScanPool *pool);
extern void catalogue_feed_end_scans(ScanPool *pool);

/* To be called when a row is returned: one less is wanted. */
static inline void
catalogue_feed_row_returned(ScanPool *pool)
{
	pool->ahead.rows_wanted--;
	if (pool->by_batches)
		pool->rows_read++;
}

#endif							/* CATALOGUE_SCAN_POOL_H */
