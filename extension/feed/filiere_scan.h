/*
 * filiere_scan.h
 *		One filière's chapters in order, by one of a few open index scans.
 */
#ifndef CATALOGUE_FILIERE_SCAN_H
#define CATALOGUE_FILIERE_SCAN_H

#include "feed/entry_batch.h"
#include "feed/key_range.h"
#include "feed/pruning.h"
#include "feed/read_ahead.h"
#include "feed/reference_plan.h"
#include "feed/scan_targets.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* Where there are more, they are read in batches; where memory is short, where fewer are. */
#define MAX_OPEN_SCANS 64

/* A filière that is read, and its current row. */
typedef struct FiliereScan
{
	Datum		filiere;
	ScanTarget *target;			/* in this table or partition */
	bool		dated;			/* that has no undated chapters */
	const PrunedTarget *older;	/* and then in these ... */
	int			nolder;			/* ... so many */
	ChapterKeyRange range;		/* that is read, or is to be ... */
	NullableDatum after_at;		/* ... behind this position */
	NullableDatum after_id;
	struct OpenScan *open;		/* that it has, if any */
	EntryBatch *batch;			/* the last that it read, if in batches ... */
	ItemPointerData tid;		/* ... and its current entry */
	struct LeafScan *leaf;		/* while the executor reads the target */

	/*
	 * What it is merged by: of the current row, in its slot's memory, or of
	 * the current entry, in its batch's.
	 */
	NullableDatum created_at;
	NullableDatum id;
} FiliereScan;

typedef struct ScanPool ScanPool;

extern ScanPool *catalogue_feed_begin_scans(ScanTargets *targets, Snapshot snapshot,
											const ChapterFeed *feed, const ReferencePlan *plan,
											const ChapterPosition *position, int nscans,
											int64 rows_wanted);
extern void catalogue_feed_init_filiere(ScanPool *pool, FiliereScan *filiere, Datum value,
										const PrunedTarget *run, int ntargets);
extern bool catalogue_feed_filiere_next(ScanPool *pool, FiliereScan *filiere);
extern TupleTableSlot *catalogue_feed_filiere_row(FiliereScan *filiere);
extern void catalogue_feed_ask_for_first(ScanPool *pool, FiliereScan *filiere);
extern int	catalogue_feed_scans_to_ask(const ScanPool *pool);
extern bool catalogue_feed_by_batches(const ScanPool *pool);
extern ReadAhead *catalogue_feed_read_ahead(ScanPool *pool);
extern void catalogue_feed_row_returned(ScanPool *pool);
extern uint64 catalogue_feed_blocks_ahead(const ScanPool *pool);
extern uint64 catalogue_feed_rows_read(const ScanPool *pool);
extern int64 catalogue_feed_heap_fetches(const ScanPool *pool);
extern void catalogue_feed_end_scans(ScanPool *pool);

#endif							/* CATALOGUE_FILIERE_SCAN_H */
