/*
 * pruning.h
 *		Which partitions can have chapters of a filière, and in which order.
 */
#ifndef CATALOGUE_PRUNING_H
#define CATALOGUE_PRUNING_H

#include "feed/feed.h"
#include "feed/key_range.h"
#include "feed/reference_plan.h"

#include "utils/relcache.h"

/* One that can. */
typedef struct PrunedTarget
{
	int			number;			/* in the reference plan */
	bool		follows;		/* all its chapters are older than those of
								 * the target before it: they are a run */
	bool		dated;			/* it has no chapter without created_at */
} PrunedTarget;

typedef struct PrunedTargets
{
	int			ntargets;
	int			nruns;
	bool		for_any_filiere;	/* it made no difference which */
	PrunedTarget targets[FLEXIBLE_ARRAY_MEMBER];
} PrunedTargets;

extern PrunedTargets *catalogue_feed_prune(const ChapterFeed *feed, const ReferencePlan *plan,
										   Relation rel, const ChapterPosition *position,
										   Datum filiere);

#endif							/* CATALOGUE_PRUNING_H */
