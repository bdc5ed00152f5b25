/*
 * index_targets.h
 *		The indexes that a page is streamed from: one for each table or partition.
 */
#ifndef CATALOGUE_INDEX_TARGETS_H
#define CATALOGUE_INDEX_TARGETS_H

#include "feed/feed.h"

#include "access/attnum.h"
#include "access/sdir.h"
#include "nodes/plannodes.h"

/* Columns of an index that can be streamed from, by their numbers in it. */
enum
{
	INDEX_FILIERE = 1,
	INDEX_CREATED_AT,
	INDEX_ID
};

/* With a filter, its column is before or behind the filière. */
#define MAX_LEADING_KEYS 2

typedef struct IndexTarget
{
	Oid			relid;			/* the bound table, a partition or a child */
	bool		by_executor;	/* it has no index: only columns' numbers
								 * below, in the rows of leaf_scan.c */
	Oid			indexid;
	ScanDirection direction;
	AttrNumber	filiere_attno;
	AttrNumber	created_at_attno;
	AttrNumber	id_attno;
	Oid			equality_operator;
	FmgrInfo	equality;		/* filière column = argument ... */
	Oid			equality_type;	/* ... as which it takes that */

	/* Columns of the index, by their numbers in it. */
	AttrNumber	filiere_key;
	AttrNumber	filter_key;		/* 0 for none */
	AttrNumber	created_at_key; /* the id is behind it */
	Oid			filter_operator;
	Oid			filter_type;	/* as which that takes the value */
} IndexTarget;

extern const char *catalogue_feed_find_targets(const ChapterFeed *feed, const PageFilter *filter,
											   const PlannedStmt *stmt, const Plan *plan,
											   IndexTarget **targets, int *ntargets);
extern bool catalogue_feed_index_fits(const ChapterFeed *feed, const PageFilter *filter, Oid relid,
									  Oid indexid);
extern bool catalogue_feed_find_leaf_targets(const ChapterFeed *feed, const PlannedStmt *stmt,
											 IndexTarget **targets, int *ntargets);

#endif							/* CATALOGUE_INDEX_TARGETS_H */
