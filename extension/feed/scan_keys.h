/*
 * scan_keys.h
 *		Scan keys that compare an index's columns with a call's arguments.
 */
#ifndef CATALOGUE_SCAN_KEYS_H
#define CATALOGUE_SCAN_KEYS_H

#include "feed/feed.h"
#include "feed/key_range.h"

#include "access/skey.h"
#include "access/stratnum.h"

/* The most keys that a range has. */
#define MAX_SCAN_KEYS 4

extern Oid	catalogue_feed_key_type(Relation index, AttrNumber attno, Oid argument_type);
extern void catalogue_feed_init_key(ScanKey key, Relation index, AttrNumber attno,
									StrategyNumber strategy, Oid argument_type, Datum argument);
extern int	catalogue_feed_init_range_keys(ScanKey keys, ScanKeyData row_members[2], Relation index,
										   AttrNumber created_at, const ChapterFeed *feed,
										   ChapterKeyRange range, StrategyNumber strategy,
										   const NullableDatum *before_at,
										   const NullableDatum *before_id);

#endif							/* CATALOGUE_SCAN_KEYS_H */
