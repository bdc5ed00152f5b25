/*
 * scan_targets.c
 *		The tables and indexes that a call streams from, and their columns.
 *
 * A partition may have its columns in another order than the table, and columns
 * that were dropped; so each target maps the columns that are looked at.  It is
 * locked and opened when it is needed: of many partitions a filière is in few.
 *
 * Of a target that the executor reads, only the lock and the columns are here.
 *
 * Lifetime: in the context that is current at the beginning.  Locks are kept to the
 * end of the transaction.
 */
#include "feed/scan_targets.h"

#include "feed/index_only.h"
#include "feed/leaf_scan.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/spccache.h"

static void set_leaf_columns(const ScanTargets *targets, ScanTarget *target);
pg_noreturn static void report_dropped(const ScanTargets *targets);
static void map_columns(const ScanTargets *targets, ScanTarget *target);

/* All arguments must live as long as the targets. */
ScanTargets *
catalogue_feed_begin_targets(const ReferencePlan *plan, Relation rel, Oid role,
							 const ColumnSet *columns)
{
	ScanTargets *targets = palloc0(offsetof(ScanTargets, targets) +
								   sizeof(ScanTarget) * plan->ntargets);

	targets->cxt = CurrentMemoryContext;
	targets->rel = rel;
	targets->role = role;
	targets->columns = columns;
	targets->ntargets = plan->ntargets;
	for (int i = 0; i < plan->ntargets; i++)
	{
		targets->targets[i].plan = &plan->targets[i];
		targets->targets[i].locked = plan->targets_locked;
		if (plan->targets[i].by_executor)
			set_leaf_columns(targets, &targets->targets[i]);
	}

	return targets;
}

/* The columns that are looked at, in the executor's rows: one behind the other. */
static void
set_leaf_columns(const ScanTargets *targets, ScanTarget *target)
{
	ColumnSet  *columns = &target->columns;

	columns->ncolumns = targets->columns->ncolumns;
	columns->numbers = palloc(sizeof(AttrNumber) * Max(columns->ncolumns, 1));
	columns->last = 0;
	for (int i = 0; i < columns->ncolumns; i++)
		columns->numbers[i] = columns->last = LEAF_COLUMNS + i;
}

/*
 * Locks a target, before the reference plan is asked whether it is current, and the
 * target read.
 */
void
catalogue_feed_lock_target(ScanTarget *target)
{
	if (!target->locked)
		LockRelationOid(target->plan->relid, AccessShareLock);
	target->locked = true;
}

/* Opens a target that is locked, if it is not open yet; its index too, unless the executor reads it. */
void
catalogue_feed_open_target(ScanTargets *targets, ScanTarget *target)
{
	MemoryContext oldcxt;

	if (target->index != NULL || (target->rel != NULL && target->plan->by_executor))
		return;

	oldcxt = MemoryContextSwitchTo(targets->cxt);
	if (target->rel == NULL)
		target->rel = try_table_open(target->plan->relid,
									 target->plan->relid == RelationGetRelid(targets->rel)
									 ? NoLock	/* locked with the feed */
									 : AccessShareLock);
	if (target->rel == NULL)
		report_dropped(targets);
	if (!target->plan->by_executor)
	{
		target->io_concurrency =
			get_tablespace_io_concurrency(target->rel->rd_rel->reltablespace);
		map_columns(targets, target);
		target->index = try_index_open(target->plan->indexid, AccessShareLock);
		if (target->index == NULL)
			report_dropped(targets);
		target->index_only = catalogue_index_only_fits(target);
	}
	MemoryContextSwitchTo(oldcxt);
}

/* Other sessions wait for our locks, but this one can drop what a cursor will read. */
static void
report_dropped(const ScanTargets *targets)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("a partition of table \"%s\", or its index, has been dropped since the query began",
				   RelationGetRelationName(targets->rel)));
}

/*
 * The columns that are looked at, by their numbers in a target; 0 for one that was
 * dropped.  And how those are computed that are virtual.
 */
static void
map_columns(const ScanTargets *targets, ScanTarget *target)
{
	ColumnSet  *columns = &target->columns;
	AttrMap    *map = NULL;

	*columns = *targets->columns;
	if (target->plan->relid != RelationGetRelid(targets->rel))
		map = build_attrmap_by_name_if_req(RelationGetDescr(target->rel),
										   RelationGetDescr(targets->rel), false);
	target->virtual_columns = catalogue_feed_begin_virtual_columns(targets->rel, columns->numbers,
																   columns->ncolumns, map);
	if (map == NULL)
		return;

	columns->numbers = palloc(sizeof(AttrNumber) * columns->ncolumns);
	columns->last = 0;
	for (int i = 0; i < columns->ncolumns; i++)
	{
		columns->numbers[i] = map->attnums[targets->columns->numbers[i] - 1];
		columns->last = Max(columns->last, columns->numbers[i]);
	}
	free_attrmap(map);
}

void
catalogue_feed_end_targets(ScanTargets *targets)
{
	for (int i = 0; i < targets->ntargets; i++)
	{
		if (targets->targets[i].index != NULL)
			index_close(targets->targets[i].index, NoLock);
		if (targets->targets[i].rel != NULL)
			table_close(targets->targets[i].rel, NoLock);
	}
}

/*
 * Stores the columns of a row in a slot of their shape, which is empty.  The values
 * point into the row's own slot.
 */
void
catalogue_feed_store_columns(const ColumnSet *columns, TupleTableSlot *row,
							 TupleTableSlot *result)
{
	slot_getsomeattrs(row, columns->last);
	for (int i = 0; i < columns->ncolumns; i++)
	{
		AttrNumber	number = columns->numbers[i];

		result->tts_values[i] = number > 0 ? row->tts_values[number - 1] : (Datum) 0;
		result->tts_isnull[i] = number > 0 ? row->tts_isnull[number - 1] : true;
	}
}
