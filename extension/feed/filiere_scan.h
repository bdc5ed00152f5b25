/*
 * filiere_scan.h
 *		One filière's chapters in order, by one of a few open index scans.
 */
#ifndef CATALOGUE_FILIERE_SCAN_H
#define CATALOGUE_FILIERE_SCAN_H

#include "feed/key_range.h"
#include "feed/reference_plan.h"
#include "feed/scan_targets.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* A filière that is read, and its current row. */
typedef struct FiliereScan
{
	Datum		filiere;
	ScanTarget *target;			/* of which table or partition */
	ChapterKeyRange range;		/* that is read, or is to be ... */
	NullableDatum after_at;		/* ... behind this position */
	NullableDatum after_id;
	struct OpenScan *open;		/* NULL before the first row, and after
								 * another filière has taken it ... */
	bool		has_place;		/* ... for which the position was copied */
	ItemPointerData tid;		/* ... and this is the current row */

	/* Of the current row, what it is merged by; in its slot's memory. */
	NullableDatum created_at;
	NullableDatum id;
} FiliereScan;

typedef struct ScanPool ScanPool;

extern ScanPool *catalogue_feed_begin_scans(ScanTargets *targets, Snapshot snapshot,
											const ChapterFeed *feed, const ReferencePlan *plan,
											const ChapterPosition *position, int nscans,
											int64 rows_wanted);
extern bool catalogue_feed_scans_are_shared(const ScanPool *pool, int nfilieres);
extern void catalogue_feed_init_filiere(ScanPool *pool, FiliereScan *filiere, Datum value,
										ScanTarget *target);
extern bool catalogue_feed_filiere_next(ScanPool *pool, FiliereScan *filiere);
extern TupleTableSlot *catalogue_feed_filiere_row(ScanPool *pool, FiliereScan *filiere);
extern int	catalogue_feed_skip_missing(ScanPool *pool, const Datum *filieres, int nfilieres,
										int missing);
extern void catalogue_feed_row_returned(ScanPool *pool);
extern uint64 catalogue_feed_blocks_ahead(const ScanPool *pool);
extern uint64 catalogue_feed_rows_read(const ScanPool *pool);
extern void catalogue_feed_end_scans(ScanPool *pool);

#endif							/* CATALOGUE_FILIERE_SCAN_H */
