/*
 * index_only.h
 *		Rows from the index alone, where it has all columns that are looked at.
 */
#ifndef CATALOGUE_INDEX_ONLY_H
#define CATALOGUE_INDEX_ONLY_H

#include "feed/read_ahead.h"
#include "feed/scan_targets.h"

#include "access/genam.h"
#include "executor/tuptable.h"

typedef struct IndexOnlyRows IndexOnlyRows;

extern bool catalogue_index_only_fits(const ScanTarget *target);
extern IndexOnlyRows *catalogue_index_only_begin(const ScanTarget *target, bool with_columns,
												 TupleTableSlot *row, ReadAheadScan *ahead,
												 uint64 *heap_fetches);
extern bool catalogue_index_only_next(IndexOnlyRows *only, IndexScanDesc scan,
									  ScanDirection direction);
extern void catalogue_index_only_end(IndexOnlyRows *only);

#endif							/* CATALOGUE_INDEX_ONLY_H */
