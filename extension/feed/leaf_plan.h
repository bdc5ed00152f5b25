/*
 * leaf_plan.h
 *		Plans of single partitions, with the rights of the table.
 */
#ifndef CATALOGUE_LEAF_PLAN_H
#define CATALOGUE_LEAF_PLAN_H

#include "feed/feed.h"
#include "feed/key_range.h"

#include "nodes/bitmapset.h"
#include "nodes/plannodes.h"

typedef struct LeafPlan
{
	char	   *query;
	PlannedStmt *statement;
} LeafPlan;

/* Those that are kept with a reference plan. */
typedef struct LeafPlans
{
	MemoryContext parent;		/* of the reference plan's targets */
	MemoryContext cxt;			/* holds all below; NULL while there are none */
	const AttrNumber *columns;	/* for rows of these */
	int			ncolumns;
	LeafPlan  **plans;			/* by target and key range; NULL until needed */
} LeafPlans;

extern PlannedStmt *catalogue_feed_plan_leaf_by_index(const ChapterFeed *feed, Oid relid);
extern LeafPlan *catalogue_feed_leaf_plan(const ChapterFeed *feed, const ReferencePlan *plan,
										  int target, ChapterKeyRange range,
										  const AttrNumber *columns, int ncolumns);

#endif							/* CATALOGUE_LEAF_PLAN_H */
