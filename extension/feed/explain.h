/*
 * explain.h
 *		What EXPLAIN says of a call of the feed.
 */
#ifndef CATALOGUE_FEED_EXPLAIN_H
#define CATALOGUE_FEED_EXPLAIN_H

#include "feed/feed.h"
#include "feed/reference_plan.h"

/* What EXPLAIN ANALYZE counts, of all scans of a call. */
typedef struct ChapterCounts
{
	uint64		rows_read;		/* index entries that led to a row */
	bool		index_only;
	uint64		heap_fetches;	/* of those that were index only */
	uint64		blocks_ahead;	/* asked for before they were read */
	int			merged;			/* scans, at most */
} ChapterCounts;

extern void catalogue_feed_explain(const ChapterFeed *feed, const ReferencePlan *plan, List *args,
								   const ChapterCounts *counts, ExplainState *es);

#endif							/* CATALOGUE_FEED_EXPLAIN_H */
