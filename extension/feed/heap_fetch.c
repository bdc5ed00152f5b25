/*
 * heap_fetch.c
 *		Heap rows by index entry, through buffers that are remembered.
 *
 * The newest chapters of a filière lie on as many pages as there are chapters.
 * To find each page's buffer, the server takes a partition lock and searches a
 * hash table that all backends share and that stays in no processor's cache: a
 * fifth of what a page of chapters costs.  A backend reads the same chapters
 * again and again, so it remembers their buffers.  ReadRecentBuffer() pins a
 * remembered buffer if it still holds the block, and says so if it does not;
 * the server's own recovery remembers buffers in this way.
 *
 * Up to PostgreSQL 18 such a pin does not raise the buffer's usage count, by
 * which the clock sweep knows what to keep.  So everything remembered is
 * discarded whenever the sweep has completed a pass: what is read in every pass
 * is found in the shared table, and counted, in every pass.
 *
 * Lifetime: the array is the backend's, 48 kB for all tables.  An entry that is
 * wrong costs a look at one buffer header.  Pins belong to the current resource
 * owner.
 *
 * All this leans on the inside of the server.  Where that is unknown (compat.h), or
 * with -DCATALOGUE_PLAIN_HEAP_FETCH, rows come by the server's own call.
 */
#include "feed/heap_fetch.h"

#ifdef CATALOGUE_PLAIN_HEAP_FETCH

void
catalogue_heap_fetch_begin(void)
{
}

bool
catalogue_heap_getnext_slot(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
							ReadAheadScan *ahead)
{
	return index_getnext_slot(scan, direction, slot);
}

bool
catalogue_heap_fetch_entry(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
						   ReadAheadScan *ahead)
{
	return index_fetch_heap(scan, slot);
}

bool
catalogue_heap_fetch(Relation rel, Relation index, ItemPointerData tid, Snapshot snapshot,
					 TupleTableSlot *slot, ReadAheadScan *ahead)
{
	IndexFetchTableData *fetch = table_index_fetch_begin(rel, SO_NONE);
	bool		again = false;
	bool		found = table_index_fetch_tuple(fetch, &tid, snapshot, slot, &again, NULL);

	table_index_fetch_end(fetch);

	return found;
}

#else

#include "access/heapam.h"
#include "access/relscan.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#define REMEMBERED_BLOCKS 4096

/* Where a block was; its index in the array follows from the two numbers. */
typedef struct RememberedBlock
{
	Oid			relid;
	BlockNumber block;
	Buffer		buffer;			/* InvalidBuffer in an empty entry */
} RememberedBlock;

static RememberedBlock remembered[REMEMBERED_BLOCKS];
static uint32 remembered_in_pass = 0;	/* of the clock sweep */

static pg_attribute_always_inline bool fetch_entry(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
												   ReadAheadScan *ahead);
static pg_attribute_always_inline bool fetch_row(Relation rel, Relation index, ItemPointerData tid, Snapshot snapshot,
												 TupleTableSlot *slot, ReadAheadScan *ahead, bool *all_dead);
static Buffer read_block(Relation rel, BlockNumber block, ReadAheadScan *ahead);

/* To be called before rows are fetched: discards what has been remembered for too long. */
void
catalogue_heap_fetch_begin(void)
{
	uint32		pass;

	StrategySyncStart(&pass, NULL);
	if (pass == remembered_in_pass)
		return;
	MemSet(remembered, 0, sizeof(remembered));
	remembered_in_pass = pass;
}

/*
 * index_getnext_slot() for a heap and an MVCC snapshot: the next row that the
 * scan's snapshot sees, stored in a slot of the heap's kind; false at the end.
 * The slot has the only pin, and keeps it until it is cleared or takes the
 * next row.  "ahead" is NULL for one row that is looked up.
 */
bool
catalogue_heap_getnext_slot(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
							ReadAheadScan *ahead)
{
	while (index_getnext_tid(scan, direction) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (fetch_entry(scan, direction, slot, ahead))
			return true;
	}

	return false;
}

/* The same for the entry that the scan has just returned; false if its row is not seen. */
bool
catalogue_heap_fetch_entry(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
						   ReadAheadScan *ahead)
{
	return fetch_entry(scan, direction, slot, ahead);
}

static pg_attribute_always_inline bool
fetch_entry(IndexScanDesc scan, ScanDirection direction, TupleTableSlot *slot,
			ReadAheadScan *ahead)
{
	bool		found;
	bool		all_dead;

	if (ahead != NULL && ahead->shared->reads_are_slow)
		catalogue_read_ahead(ahead, scan, direction);
	found = fetch_row(scan->heapRelation, scan->indexRelation, scan->xs_heaptid,
					  scan->xs_snapshot, slot, ahead, &all_dead);

	/* The index may drop entries that nobody can see; not in recovery. */
	if (!scan->xactStartedInRecovery)
		scan->kill_prior_tuple = all_dead;

	return found;
}

/*
 * The row that an entry of an index led to, of which only the TID was kept, stored in a
 * slot of the heap's kind; false if the snapshot sees none.
 */
bool
catalogue_heap_fetch(Relation rel, Relation index, ItemPointerData tid, Snapshot snapshot,
					 TupleTableSlot *slot, ReadAheadScan *ahead)
{
	return fetch_row(rel, index, tid, snapshot, slot, ahead, NULL);
}

/*
 * What heapam_index_fetch_tuple() does for one entry; a row that is not seen may be
 * dead to all.  A page fetches a hundred rows so: a function call for each is seen.
 */
static pg_attribute_always_inline bool
fetch_row(Relation rel, Relation index, ItemPointerData tid, Snapshot snapshot,
		  TupleTableSlot *slot, ReadAheadScan *ahead, bool *all_dead)
{
	HeapTuple	tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	Buffer		buffer = read_block(rel, ItemPointerGetBlockNumber(&tid), ahead);
	Buffer		vmbuffer = InvalidBuffer;
	bool		found;

	Assert(TTS_IS_BUFFERTUPLE(slot) && IsMVCCSnapshot(snapshot));

	heap_page_prune_opt(rel, buffer, &vmbuffer, false);
	if (BufferIsValid(vmbuffer))
		ReleaseBuffer(vmbuffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, rel, buffer, snapshot, tuple, all_dead, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (!found)
	{
		ReleaseBuffer(buffer);
		return false;
	}

	pgstat_count_heap_fetch(index);
	tuple->t_self = tid;
	slot->tts_tableOid = RelationGetRelid(rel);
	ExecStorePinnedBufferHeapTuple(tuple, slot, buffer);

	return true;
}

/* ReadBuffer(), which first looks in the buffer that held the block last. */
static Buffer
read_block(Relation rel, BlockNumber block, ReadAheadScan *ahead)
{
	RememberedBlock *entry = &remembered[(RelationGetRelid(rel) + block) % REMEMBERED_BLOCKS];

	if (entry->block == block && entry->relid == RelationGetRelid(rel) &&
		BufferIsValid(entry->buffer) &&
		ReadRecentBuffer(rel->rd_locator, MAIN_FORKNUM, block, entry->buffer))
	{
		pgstat_count_buffer_read(rel);
		pgstat_count_buffer_hit(rel);
		return entry->buffer;
	}

	entry->buffer = InvalidBuffer;	/* in case of an ERROR */
	entry->relid = RelationGetRelid(rel);
	entry->block = block;
	entry->buffer = ahead != NULL ? catalogue_read_ahead_block(ahead, rel, block)
		: ReadBuffer(rel, block);

	return entry->buffer;
}

#endif							/* CATALOGUE_PLAIN_HEAP_FETCH */
