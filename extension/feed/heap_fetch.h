/*
 * heap_fetch.h
 *		Heap rows by index entry, through buffers that are remembered.
 */
#ifndef CATALOGUE_HEAP_FETCH_H
#define CATALOGUE_HEAP_FETCH_H

#include "feed/read_ahead.h"

#include "access/genam.h"
#include "executor/tuptable.h"

extern void catalogue_heap_fetch_begin(void);
extern bool catalogue_heap_getnext_slot(IndexScanDesc scan, ScanDirection direction,
										TupleTableSlot *slot, ReadAheadScan *ahead);
extern bool catalogue_heap_fetch_entry(IndexScanDesc scan, ScanDirection direction,
									   TupleTableSlot *slot, ReadAheadScan *ahead);
extern bool catalogue_heap_fetch(Relation rel, Relation index, ItemPointerData tid,
								 Snapshot snapshot, TupleTableSlot *slot, ReadAheadScan *ahead);

#endif							/* CATALOGUE_HEAP_FETCH_H */
