/*
 * leaf_scan.h
 *		The rows of a partition that has no index for the feed, by the executor.
 */
#ifndef CATALOGUE_LEAF_SCAN_H
#define CATALOGUE_LEAF_SCAN_H

#include "feed/key_range.h"
#include "feed/reference_plan.h"
#include "feed/scan_targets.h"

#include "executor/tuptable.h"
#include "utils/snapshot.h"

/* The columns of its rows that others know by number. */
enum
{
	LEAF_CREATED_AT = 1,
	LEAF_ID,
	LEAF_COLUMNS				/* those that were asked for, from here on */
};

typedef struct LeafScan LeafScan;

extern LeafScan *catalogue_feed_begin_leaf(ScanTargets *targets, const ScanTarget *target,
										   Snapshot snapshot, const ChapterFeed *feed,
										   const ReferencePlan *plan,
										   const ChapterPosition *position, ChapterKeyRange range,
										   bool dated, int64 rows_wanted);
extern TupleTableSlot *catalogue_feed_leaf_next(LeafScan *scan);
extern TupleTableSlot *catalogue_feed_leaf_row(const LeafScan *scan);
extern void catalogue_feed_end_leaf(LeafScan *scan);

#endif							/* CATALOGUE_LEAF_SCAN_H */
