/*
 * entry_rows.h
 *		The rows of index entries that were merged.
 */
#ifndef CATALOGUE_ENTRY_ROWS_H
#define CATALOGUE_ENTRY_ROWS_H

#include "feed/read_ahead.h"
#include "feed/scan_targets.h"

#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"

typedef struct EntryRows EntryRows;

extern EntryRows *catalogue_feed_begin_entry_rows(ScanTargets *targets, Snapshot snapshot,
												  ReadAhead *shared);
extern bool catalogue_feed_wants_entry(const EntryRows *rows);
extern void catalogue_feed_queue_entry(EntryRows *rows, ScanTarget *target, ItemPointerData tid);
extern bool catalogue_feed_fetch_queued(EntryRows *rows, const ScanTarget **target,
										TupleTableSlot **row);
extern void catalogue_feed_end_entry_rows(EntryRows *rows);

#endif							/* CATALOGUE_ENTRY_ROWS_H */
