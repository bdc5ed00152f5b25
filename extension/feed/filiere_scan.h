/*
 * filiere_scan.h
 *		One filière's chapters in order, key range after key range.
 */
#ifndef CATALOGUE_FILIERE_SCAN_H
#define CATALOGUE_FILIERE_SCAN_H

#include "feed/entry_batch.h"
#include "feed/key_range.h"
#include "feed/pruning.h"
#include "feed/scan_pool.h"

#include "storage/itemptr.h"

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
	OpenScan   *open;			/* that it has, if any */
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

extern void catalogue_feed_init_filiere(ScanPool *pool, FiliereScan *filiere, Datum value,
										const PrunedTarget *run, int ntargets);
extern bool catalogue_feed_filiere_next(ScanPool *pool, FiliereScan *filiere);
extern TupleTableSlot *catalogue_feed_filiere_row(FiliereScan *filiere);
extern void catalogue_feed_ask_for_first(ScanPool *pool, FiliereScan *filiere);
extern int	catalogue_feed_scans_to_ask(const ScanPool *pool);

#endif							/* CATALOGUE_FILIERE_SCAN_H */
