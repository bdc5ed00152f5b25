/*
 * leaf_scan.c
 *		The rows of a partition that has no index for the feed, by the executor.
 *
 * A query of all of the call's filières in order, row by row as a cursor would, so
 * that it is merged with the other partitions' scans.  It is started when its first
 * row is asked for, and reads no more than the page's rows.
 *
 * Lifetime: in the memory context that is current at the beginning.  After an ERROR
 * the end of the (sub)transaction releases what the executor holds, as it does for
 * SPI.  The caller has locked the partition and checked the rights on the table.
 */
#include "feed/leaf_scan.h"

#include "feed/leaf_plan.h"
#include "rights.h"

#include "executor/executor.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A receiver that lets the row be looked at where the executor has it. */
typedef struct RowReceiver
{
	DestReceiver base;			/* (must be first) */
	TupleTableSlot *row;		/* NULL for none */
} RowReceiver;

struct LeafScan
{
	MemoryContext cxt;
	ScanTargets *targets;
	int			number;			/* of the target */
	Snapshot	snapshot;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	const ChapterPosition *position;
	ChapterKeyRange range;
	bool		dated;			/* there are no undated chapters */
	int64		rows_wanted;
	QueryDesc  *query;			/* of the range; NULL between ranges */
	RowReceiver receiver;
};

static void start_range(LeafScan *scan);
static void end_range(LeafScan *scan);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void finish(DestReceiver *self);
static void startup(DestReceiver *self, int operation, TupleDesc tupdesc);

/* All arguments must live as long as the scan, which begins with a key range. */
LeafScan *
catalogue_feed_begin_leaf(ScanTargets *targets, const ScanTarget *target, Snapshot snapshot,
						  const ChapterFeed *feed, const ReferencePlan *plan,
						  const ChapterPosition *position, ChapterKeyRange range, bool dated,
						  int64 rows_wanted)
{
	LeafScan   *scan = palloc0(sizeof(LeafScan));

	scan->cxt = CurrentMemoryContext;
	scan->targets = targets;
	scan->number = target - targets->targets;
	scan->snapshot = snapshot;
	scan->feed = feed;
	scan->plan = plan;
	scan->position = position;
	scan->range = range;
	scan->dated = dated;
	scan->rows_wanted = rows_wanted;
	scan->receiver.base.receiveSlot = receive_row;
	scan->receiver.base.rStartup = startup;
	scan->receiver.base.rShutdown = finish;
	scan->receiver.base.rDestroy = finish;
	scan->receiver.base.mydest = DestNone;

	return scan;
}

/* The next row, which holds until the next call; NULL at the end. */
TupleTableSlot *
catalogue_feed_leaf_next(LeafScan *scan)
{
	scan->receiver.row = NULL;
	while (scan->range != KEY_RANGE_END)
	{
		if (scan->query == NULL)
			start_range(scan);
		ExecutorRun(scan->query, ForwardScanDirection, 1);
		if (scan->receiver.row != NULL)
			return scan->receiver.row;
		end_range(scan);
		scan->range = scan->dated ? KEY_RANGE_END
			: catalogue_feed_next_key_range(scan->targets->rel, scan->plan, scan->range);
	}

	return NULL;
}

/* The row that was returned last. */
TupleTableSlot *
catalogue_feed_leaf_row(const LeafScan *scan)
{
	return scan->receiver.row;
}

/* As the role that began the call: a cursor may come here when another one fetches. */
static void
start_range(LeafScan *scan)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(scan->cxt);
	const ColumnSet *columns = scan->targets->columns;
	const NullableDatum filieres = {.value = scan->targets->filieres};
	ParamListInfo params = catalogue_feed_params(scan->feed, &filieres, scan->rows_wanted,
												 &scan->position->before_at,
												 &scan->position->before_id);
	SavedUser	saved;
	LeafPlan   *plan;
	QueryDesc  *query;

	catalogue_feed_open_target(scan->targets, &scan->targets->targets[scan->number]);
	catalogue_switch_to_role(scan->targets->role, &saved);
	plan = catalogue_feed_leaf_plan(scan->feed, scan->plan, scan->number, scan->range,
									columns->numbers, columns->ncolumns);
	query = CreateQueryDesc(plan->statement, plan->query, scan->snapshot, InvalidSnapshot,
							&scan->receiver.base, params, NULL, 0);
	ExecutorStart(query, 0);
	scan->query = query;
	catalogue_restore_user(&saved);
	MemoryContextSwitchTo(oldcxt);
}

static void
end_range(LeafScan *scan)
{
	QueryDesc  *query = scan->query;

	scan->query = NULL;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
}

void
catalogue_feed_end_leaf(LeafScan *scan)
{
	if (scan->query != NULL)
		end_range(scan);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	((RowReceiver *) self)->row = slot;

	return true;
}

static void
startup(DestReceiver *self, int operation, TupleDesc tupdesc)
{
}

static void
finish(DestReceiver *self)
{
}
