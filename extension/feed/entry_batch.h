/*
 * entry_batch.h
 *		Some index entries of a filière, kept so that no index scan stays open for it.
 */
#ifndef CATALOGUE_ENTRY_BATCH_H
#define CATALOGUE_ENTRY_BATCH_H

#include "feed/index_targets.h"

#include "access/relscan.h"
#include "storage/itemptr.h"

/* What an index says of a chapter.  Whether a snapshot sees it, the heap knows. */
typedef struct ChapterEntry
{
	Datum		created_at;
	Datum		id;
	ItemPointerData tid;
	bool		undated;
	bool		id_is_null;
} ChapterEntry;

typedef struct EntryBatch
{
	ChapterEntry *entries;
	int			nentries;
	int			next;			/* to be read */
	bool		range_ended;	/* the key range has no more */
} EntryBatch;

extern EntryBatch *catalogue_feed_read_batch(IndexScanDesc scan, const IndexTarget *target,
											 int wanted);
extern void catalogue_feed_free_batch(EntryBatch *batch, const IndexTarget *target,
									  Relation index);

#endif							/* CATALOGUE_ENTRY_BATCH_H */
