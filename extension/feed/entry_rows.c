/*
 * entry_rows.c
 *		The rows of index entries that were merged.
 *
 * The entries say in which order chapters come (entry_batch.c), so that it is known
 * which rows are next before any of them is read.  While reads are slow, entries are
 * queued, and the block of each is asked for when it enters the queue: no more than
 * the tablespace's effective_io_concurrency, and no further than the call can need
 * (read_ahead.c).  While they are fast, the queue is one entry.
 *
 * Lifetime: everything is allocated in the context that is current at begin; the one
 * buffer pin belongs to the current resource owner.
 */
#include "feed/entry_rows.h"

#include "feed/heap_fetch.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"

typedef struct QueuedEntry
{
	ScanTarget *target;
	ItemPointerData tid;
} QueuedEntry;

struct EntryRows
{
	MemoryContext cxt;
	ScanTargets *targets;
	Snapshot	snapshot;
	TupleTableSlot **slots;		/* of each target; NULL until needed */
	TupleTableSlot *current;	/* that holds a row, and its buffer's pin */
	ReadAheadScan ahead;
	QueuedEntry *queue;			/* a ring */
	int			room;
	int			first;
	int			nqueued;
};

static int	queue_length(const EntryRows *rows);
static void grow_queue(EntryRows *rows);
static TupleTableSlot *target_slot(EntryRows *rows, const ScanTarget *target);

/* All arguments must live as long as the rows are read. */
EntryRows *
catalogue_feed_begin_entry_rows(ScanTargets *targets, Snapshot snapshot, ReadAhead *shared)
{
	EntryRows  *rows = palloc0(sizeof(EntryRows));

	rows->cxt = CurrentMemoryContext;
	rows->targets = targets;
	rows->snapshot = snapshot;
	rows->slots = palloc0(sizeof(TupleTableSlot *) * targets->ntargets);
	rows->room = 1;
	rows->queue = palloc(sizeof(QueuedEntry));
	catalogue_read_ahead_begin(&rows->ahead, shared, 0);

	return rows;
}

/* Whether the merge is to give another entry, before a row is fetched. */
bool
catalogue_feed_wants_entry(const EntryRows *rows)
{
	return rows->nqueued < queue_length(rows);
}

static int
queue_length(const EntryRows *rows)
{
	const ReadAhead *shared = rows->ahead.shared;

	if (!shared->reads_are_slow)
		return 1;

	return 1 + Max(Min(rows->ahead.io_concurrency, shared->rows_wanted), 0);
}

/* Queues the entry that comes next, and asks for its block if there is time for that. */
void
catalogue_feed_queue_entry(EntryRows *rows, ScanTarget *target, ItemPointerData tid)
{
	QueuedEntry *entry;

	if (rows->nqueued == rows->room)
		grow_queue(rows);
	entry = &rows->queue[(rows->first + rows->nqueued++) % rows->room];
	entry->target = target;
	entry->tid = tid;

	rows->ahead.io_concurrency = target->io_concurrency;
	if (rows->nqueued == 1)
		rows->ahead.last_block = rows->ahead.unasked = ItemPointerGetBlockNumber(&tid);
	else
		catalogue_read_ahead_ask(&rows->ahead, target->rel, ItemPointerGetBlockNumber(&tid));
}

/* To as many entries as can ever be queued. */
static void
grow_queue(EntryRows *rows)
{
	QueuedEntry *queue = MemoryContextAlloc(rows->cxt, sizeof(QueuedEntry) * (MAX_IO_CONCURRENCY + 1));

	for (int i = 0; i < rows->nqueued; i++)
		queue[i] = rows->queue[(rows->first + i) % rows->room];
	pfree(rows->queue);
	rows->queue = queue;
	rows->room = MAX_IO_CONCURRENCY + 1;
	rows->first = 0;
}

/*
 * Fetches the row of the entry that was queued first, in a slot that holds it until
 * the next call; NULL in the place of a row that the snapshot does not see.  False
 * if nothing is queued.
 */
bool
catalogue_feed_fetch_queued(EntryRows *rows, const ScanTarget **target, TupleTableSlot **row)
{
	QueuedEntry entry;

	if (rows->current != NULL)
		ExecClearTuple(rows->current);
	if (rows->nqueued == 0)
		return false;

	entry = rows->queue[rows->first];
	rows->first = (rows->first + 1) % rows->room;
	rows->nqueued--;

	rows->current = target_slot(rows, entry.target);
	rows->ahead.io_concurrency = entry.target->io_concurrency;
	*target = entry.target;
	*row = catalogue_heap_fetch(entry.target->rel, entry.target->index, entry.tid, rows->snapshot,
								rows->current, &rows->ahead)
		? rows->current : NULL;

	return true;
}

static TupleTableSlot *
target_slot(EntryRows *rows, const ScanTarget *target)
{
	TupleTableSlot **slot = &rows->slots[target - rows->targets->targets];

	if (*slot == NULL)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(rows->cxt);

		*slot = table_slot_create(target->rel, NULL);
		MemoryContextSwitchTo(oldcxt);
	}

	return *slot;
}

/* Releases the pin; memory is freed with its context. */
void
catalogue_feed_end_entry_rows(EntryRows *rows)
{
	for (int i = 0; i < rows->targets->ntargets; i++)
	{
		if (rows->slots[i] != NULL)
			ExecDropSingleTupleTableSlot(rows->slots[i]);
	}
}
