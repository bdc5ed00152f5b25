/*
 * read_ahead.c
 *		Asking for the heap blocks that an index scan is about to read.
 *
 * An index scan reads the blocks of its rows one after the other, and waits for
 * each.  Yet the leaf page that it has read names those that come next.  The
 * operating system is asked for them: no more at a time than the tablespace's
 * effective_io_concurrency, no further than the call can need, and not for what is
 * in the shared buffers.
 *
 * To ask costs a look into the buffer table, and a system call for each block that
 * is not there.  That pays only where reads wait for a device.  So reads are timed:
 * one that took longer than catalogue.read_ahead_latency begins it, and a faster one
 * of a block that had not been asked for ends it.  Every so many blocks, one is not
 * asked for, in order to be such a sample: a read that was slow by chance costs so
 * many useless requests, and no more.  While reads are fast not all are timed either,
 * since two looks at the clock are a few hundredths of a read from the system's cache.
 *
 * Lifetime: the state lies in the caller's.  No pin is taken but that of the block
 * that is read, which belongs to the current resource owner.
 */
#include "feed/read_ahead.h"

#include "access/nbtree.h"
#include "access/visibilitymap.h"
#include "executor/instrument.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

/* Of the blocks that could be asked for, one is not. */
#define BLOCKS_PER_SAMPLE 128

/* Of fast reads the first ones are timed, and then one of so many. */
#define FIRST_READS_TIMED 4
#define READS_PER_SAMPLE 8

static void consider(ReadAheadScan *ahead, Relation rel, BlockNumber block);
#ifndef CATALOGUE_PLAIN_HEAP_FETCH
static bool is_at_entry(BTScanPosData *leaf, ItemPointer tid);
static bool is_sample(ReadAheadScan *ahead, BlockNumber block);
static int64 blocks_read(void);
#endif

/* "rows_wanted" are all that can be asked for, the first one with them. */
void
catalogue_read_ahead_init(ReadAhead *shared, int64 rows_wanted, int nscans)
{
	MemSet(shared, 0, sizeof(ReadAhead));
	shared->rows_wanted = rows_wanted - 1;
	shared->nscans = Max(nscans, 1);
	shared->reads_are_slow = catalogue_read_ahead_latency == 0;
}

/*
 * To be called when a scan begins.  Of many that are merged each may give one row
 * and no more, so they start with a small share and earn a greater one.
 */
void
catalogue_read_ahead_begin(ReadAheadScan *ahead, ReadAhead *shared, int io_concurrency)
{
	ahead->shared = shared;
	ahead->io_concurrency = io_concurrency;
	ahead->distance = Max(io_concurrency / shared->nscans, 1);
	ahead->leaf = InvalidBlockNumber;
	ahead->last_block = InvalidBlockNumber;
	ahead->unasked = InvalidBlockNumber;
}

/*
 * Asks for a block that a merge is about to read, whichever scan it is of; the caller
 * sees to it that no more are than io_concurrency.
 */
void
catalogue_read_ahead_ask(ReadAheadScan *ahead, Relation rel, BlockNumber block)
{
	if (block != ahead->last_block)
		consider(ahead, rel, block);
}

/* Asks for the next block, unless it will not be read, or is to be a sample. */
static void
consider(ReadAheadScan *ahead, Relation rel, BlockNumber block)
{
	ahead->last_block = block;
	if (ahead->vmbuffer != NULL && VM_ALL_VISIBLE(rel, block, ahead->vmbuffer))
		return;
	if (++ahead->shared->considered % BLOCKS_PER_SAMPLE == 0)
		ahead->unasked = block;
	else if (PrefetchBuffer(rel, MAIN_FORKNUM, block).initiated_io)
		ahead->shared->blocks++;
}

#ifndef CATALOGUE_PLAIN_HEAP_FETCH

/* Asks for the blocks behind the entry that the scan has just returned. */
void
catalogue_read_ahead(ReadAheadScan *ahead, IndexScanDesc scan, ScanDirection direction)
{
	BTScanPosData *leaf = &((BTScanOpaque) scan->opaque)->currPos;
	int			step = ScanDirectionIsForward(direction) ? 1 : -1;
	int			behind = ScanDirectionIsForward(direction) ? leaf->lastItem - leaf->itemIndex
		: leaf->itemIndex - leaf->firstItem;
	int			distance = Min(Min(ahead->distance, behind), ahead->shared->rows_wanted);

	if (ahead->io_concurrency == 0 || !is_at_entry(leaf, &scan->xs_heaptid))
		return;
	if (ahead->leaf != leaf->currPage || (ahead->next - leaf->itemIndex) * step <= 0)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&leaf->items[leaf->itemIndex].heapTid);

		ahead->leaf = leaf->currPage;
		ahead->next = leaf->itemIndex + step;
		if (block != ahead->last_block)
			ahead->unasked = block;
		ahead->last_block = block;
	}
	while ((ahead->next - leaf->itemIndex) * step <= distance)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&leaf->items[ahead->next].heapTid);

		ahead->next += step;
		if (block != ahead->last_block)
			consider(ahead, scan->heapRelation, block);
	}
	ahead->distance = Min(ahead->distance * 2, ahead->io_concurrency);
}

/*
 * Is that the entry that the leaf page is at?  It is, unless a minor release has
 * changed the place of what it is read from; then nothing is asked for.
 */
static bool
is_at_entry(BTScanPosData *leaf, ItemPointer tid)
{
	return leaf->firstItem >= 0 && leaf->firstItem <= leaf->itemIndex &&
		leaf->itemIndex <= leaf->lastItem && leaf->lastItem < MaxTIDsPerBTreePage &&
		ItemPointerEquals(&leaf->items[leaf->itemIndex].heapTid, tid);
}

/* ReadBuffer(), which is timed where that says how slow reads are. */
Buffer
catalogue_read_ahead_block(ReadAheadScan *ahead, Relation rel, BlockNumber block)
{
	int64		read_before = blocks_read();
	instr_time	start;
	instr_time	duration;
	Buffer		buffer;

	if (!is_sample(ahead, block))
		return ReadBuffer(rel, block);

	INSTR_TIME_SET_CURRENT(start);
	buffer = ReadBuffer(rel, block);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	if (blocks_read() > read_before)
		ahead->shared->reads_are_slow =
			INSTR_TIME_GET_MILLISEC(duration) >= catalogue_read_ahead_latency;

	return buffer;
}

/* Is the read of this block to be timed? */
static bool
is_sample(ReadAheadScan *ahead, BlockNumber block)
{
	ReadAhead  *shared = ahead->shared;

	if (ahead->io_concurrency == 0 || catalogue_read_ahead_latency < 0)
		return false;
	if (shared->reads_are_slow)
		return block == ahead->unasked;

	return shared->fast_reads++ < FIRST_READS_TIMED || shared->fast_reads % READS_PER_SAMPLE == 0;
}

/* By this backend, from the operating system. */
static int64
blocks_read(void)
{
	return pgBufferUsage.shared_blks_read + pgBufferUsage.local_blks_read;
}

#endif							/* CATALOGUE_PLAIN_HEAP_FETCH */
