/*
 * scan_targets.h
 *		The tables and indexes that a call streams from, and their columns.
 */
#ifndef CATALOGUE_SCAN_TARGETS_H
#define CATALOGUE_SCAN_TARGETS_H

#include "feed/reference_plan.h"
#include "feed/virtual_columns.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"

/* The columns of a row that are looked at, by their numbers, as the result has them. */
typedef struct ColumnSet
{
	AttrNumber *numbers;
	int			ncolumns;
	AttrNumber	last;			/* the greatest of them */
} ColumnSet;

typedef struct ScanTarget
{
	const IndexTarget *plan;
	bool		locked;
	Relation	rel;			/* NULL until it is first read */
	Relation	index;
	int			io_concurrency; /* of its tablespace */
	ColumnSet	columns;		/* by their numbers in this table */
	VirtualColumns *virtual_columns;	/* of those; NULL for none */
	bool		index_only;		/* the index has these columns */
} ScanTarget;

typedef struct ScanTargets
{
	MemoryContext cxt;
	Relation	rel;			/* whose columns are asked for */
	Oid			role;			/* as which the executor reads */
	const ColumnSet *columns;
	Datum		filieres;		/* the call's argument, for the executor */
	int			ntargets;
	ScanTarget	targets[FLEXIBLE_ARRAY_MEMBER];
} ScanTargets;

extern ScanTargets *catalogue_feed_begin_targets(const ReferencePlan *plan, Relation rel,
												 Oid role, const ColumnSet *columns);
extern void catalogue_feed_lock_target(ScanTarget *target);
extern void catalogue_feed_open_target(ScanTargets *targets, ScanTarget *target);
extern void catalogue_feed_end_targets(ScanTargets *targets);
extern void catalogue_feed_store_columns(const ColumnSet *columns, TupleTableSlot *row,
										 TupleTableSlot *result);

#endif							/* CATALOGUE_SCAN_TARGETS_H */
