/*
 * key_range.h
 *		The ranges of the feed's order that a page is read in, and their SQL.
 */
#ifndef CATALOGUE_KEY_RANGE_H
#define CATALOGUE_KEY_RANGE_H

#include "feed/feed.h"
#include "feed/reference_plan.h"

#include "nodes/bitmapset.h"
#include "utils/relcache.h"

/*
 * A page is read in at most two ranges, each one condition.  What follows a
 * dated chapter is first a comparison that no undated chapter meets, and then
 * the undated ones; what follows an undated chapter is a range of those.
 */
typedef enum ChapterKeyRange
{
	KEY_RANGE_NEWEST,			/* from the start */
	KEY_RANGE_BEFORE,			/* created_at < before_at */
	KEY_RANGE_AFTER,			/* (created_at, id) < (before_at, before_id) */
	KEY_RANGE_UNDATED,			/* created_at IS NULL */
	KEY_RANGE_UNDATED_AFTER,	/* created_at IS NULL AND id < before_id */
	KEY_RANGE_END
} ChapterKeyRange;

/* Where a page begins. */
typedef struct ChapterPosition
{
	ChapterKeyRange first_range;
	NullableDatum before_at;
	NullableDatum before_id;
	Datum		filter;			/* its value, if there is one */
} ChapterPosition;

/* What a query reads: the bound table, or one of its partitions. */
typedef struct ChapterTable
{
	const char *name;			/* as FROM has it */
	const char *order_by;
} ChapterTable;

typedef struct KeyRangePlans KeyRangePlans;

extern ChapterKeyRange catalogue_feed_next_key_range(Relation rel, const ReferencePlan *plan,
													 ChapterKeyRange range);
extern ChapterTable catalogue_feed_table(const ChapterFeed *feed);
extern char *catalogue_feed_key_range_query(const ChapterFeed *feed, const ChapterTable *table,
											const char *columns, bool several,
											ChapterKeyRange range, const PageFilter *filter);
extern char *catalogue_feed_lateral_query(const ChapterFeed *feed, const ChapterTable *table,
										  const char *columns, int ncolumns,
										  ChapterKeyRange range);
extern KeyRangePlans *catalogue_feed_pin_key_range_plans(CachedPin *pin, ChapterFeed *feed,
														 const Bitmapset *columns);
extern SPIPlanPtr catalogue_feed_key_range_plan(const ChapterFeed *feed, KeyRangePlans *plans,
												ChapterKeyRange range);

#endif							/* CATALOGUE_KEY_RANGE_H */
