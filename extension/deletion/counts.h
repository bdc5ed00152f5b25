/*
 * counts.h
 *		What a deletion has deleted and set, whoever did it.
 */
#ifndef CATALOGUE_COUNTS_H
#define CATALOGUE_COUNTS_H

#include "deletion/graph.h"

typedef struct DeletionCount
{
	Oid			relid;
	EdgeAction	action;
	int64		rows;
} DeletionCount;

/* What the server has counted of a table in a transaction. */
typedef struct TableCounters
{
	Oid			relid;
	int64		inserted;
	int64		updated;
	int64		deleted;
} TableCounters;

typedef struct DeletionCounts
{
	MemoryContext cxt;
	List	   *rows;			/* of DeletionCount *: by reported relation,
								 * until the last stop */
	List	   *own;			/* of DeletionCount *: by physical table, set
								 * by the deletion's statements since the
								 * start */
	List	   *expected;		/* the same, of all that will be set, and has
								 * not been at the last stop */
	TableCounters *start;		/* by OID, as they were at the start */
	int			nstart;
	int			guc_nest_level; /* of track_counts; 0: it was on */
} DeletionCounts;

extern void catalogue_start_counting(DeletionCounts *counts);
extern void catalogue_stop_counting(DeletionCounts *counts, const DeletionGraph *graph);
extern void catalogue_expect_set_rows(DeletionCounts *counts, Oid relid, EdgeAction action,
									  uint64 rows);
extern void catalogue_count_set_rows(DeletionCounts *counts, Oid relid, EdgeAction action,
									 uint64 rows);
extern uint64 catalogue_counted_rows(const DeletionCounts *counts);

#endif							/* CATALOGUE_COUNTS_H */
