/*
 * reference_plan.h
 *		What the planner answers about the feed's reference query.
 */
#ifndef CATALOGUE_REFERENCE_PLAN_H
#define CATALOGUE_REFERENCE_PLAN_H

#include "feed/feed.h"
#include "feed/index_targets.h"

#include "access/attnum.h"
#include "nodes/nodes.h"

struct CachedReferencePlan;
struct LeafPlans;

typedef struct ReferencePlan
{
	const struct CachedReferencePlan *cached;	/* whose copy this is */
	int			generation;
	PageFilter	filter;			/* of which it is the plan too */
	bool		depends_on_role;
	double		rows;			/* of a whole filière */
	Cost		startup_cost;
	Cost		total_cost;
	double		pages;			/* of all tables that it reads; 0 if unknown */
	AttrNumber	filiere_attno;
	AttrNumber	created_at_attno;
	AttrNumber	id_attno;
	const char *not_streamed;	/* a constant: why no index can be streamed
								 * from; NULL if one can */

	/* Where one can: */
	Oid			equality_operator;	/* filière column = argument */
	const IndexTarget *targets; /* by their tables' OIDs; pinned */
	int			ntargets;
	bool		targets_locked; /* all of them are */
	struct LeafPlans *leaf_plans;	/* leaf_plan.c */
	Oid			id_indexid;		/* of the one target, unique, on the id alone;
								 * InvalidOid if there is none */
} ReferencePlan;

extern void catalogue_feed_read_reference_plan(ChapterFeed *feed, const PageFilter *filter,
											   ReferencePlan *plan, CachedPin *targets_pin);
extern bool catalogue_feed_plan_is_current(const ReferencePlan *plan);
extern int	catalogue_feed_target_number(const ReferencePlan *plan, Oid relid);

#endif							/* CATALOGUE_REFERENCE_PLAN_H */
