/*
 * ordered_plan.h
 *		Plans by an index that has the feed's order.
 */
#ifndef CATALOGUE_ORDERED_PLAN_H
#define CATALOGUE_ORDERED_PLAN_H

#include "feed/feed.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/plancache.h"

extern void catalogue_ordered_plan_init(void);
extern const char *catalogue_feed_ordered_plan_columns(const ChapterFeed *feed);
extern CachedPlan *catalogue_feed_ordered_plan(const ChapterFeed *feed, const PageFilter *filter,
											   CachedPlanSource *source);
extern PlannedStmt *catalogue_feed_plan_in_order(const ChapterFeed *feed, const PageFilter *filter,
												 Query *query, const char *query_string);

#endif							/* CATALOGUE_ORDERED_PLAN_H */
