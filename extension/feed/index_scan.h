/*
 * index_scan.h
 *		Ordered index scans: one for each filière, merged.
 */
#ifndef CATALOGUE_INDEX_SCAN_H
#define CATALOGUE_INDEX_SCAN_H

#include "feed/key_range.h"
#include "feed/reference_plan.h"
#include "feed/scan_targets.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct ChapterScan ChapterScan;

extern ChapterScan *catalogue_feed_scan_begin(ScanTargets *targets, Snapshot snapshot,
											  const ChapterFeed *feed, const ReferencePlan *plan,
											  const ChapterPosition *position, Datum *filieres,
											  int nfilieres, int64 rows_wanted);
extern TupleTableSlot *catalogue_feed_scan_next(ChapterScan *scan, const ScanTarget **target);
extern uint64 catalogue_feed_scan_rows_read(const ChapterScan *scan);
extern uint64 catalogue_feed_scan_blocks_ahead(const ChapterScan *scan);
extern int64 catalogue_feed_scan_heap_fetches(const ChapterScan *scan);
extern int	catalogue_feed_scan_merged(const ChapterScan *scan);
extern void catalogue_feed_scan_end(ChapterScan *scan);

#endif							/* CATALOGUE_INDEX_SCAN_H */
