/*
 * pruning.h
 *		Which partitions can have chapters of a filière.
 */
#ifndef CATALOGUE_PRUNING_H
#define CATALOGUE_PRUNING_H

#include "feed/feed.h"
#include "feed/reference_plan.h"

#include "utils/relcache.h"

extern int	catalogue_feed_prune(const ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
								 Datum filiere, int *targets);

#endif							/* CATALOGUE_PRUNING_H */
