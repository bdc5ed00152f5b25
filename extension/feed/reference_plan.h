/*
 * reference_plan.h
 *		What the planner answers about the feed's reference query.
 */
#ifndef CATALOGUE_REFERENCE_PLAN_H
#define CATALOGUE_REFERENCE_PLAN_H

#include "feed/feed.h"

#include "access/attnum.h"
#include "access/sdir.h"
#include "nodes/nodes.h"

/* Columns of an index that can be streamed from, by their numbers in it. */
enum
{
	INDEX_FILIERE = 1,
	INDEX_CREATED_AT,
	INDEX_ID
};

typedef struct ReferencePlan
{
	bool		depends_on_role;
	double		rows;			/* of a whole filière */
	Cost		startup_cost;
	Cost		total_cost;
	AttrNumber	filiere_attno;
	AttrNumber	created_at_attno;
	AttrNumber	id_attno;
	const char *not_streamed;	/* a constant: why no index can be streamed
								 * from; NULL if one can */

	/* Where one can: */
	Oid			indexid;
	ScanDirection direction;
	FmgrInfo	equality;		/* filière column = argument ... */
	Oid			equality_type;	/* ... as which it takes that */
	Oid			id_indexid;		/* unique, on the id alone; InvalidOid if
								 * there is none */
} ReferencePlan;

extern void catalogue_feed_read_reference_plan(ChapterFeed *feed, ReferencePlan *plan);

#endif							/* CATALOGUE_REFERENCE_PLAN_H */
