/*
 * read_ahead.h
 *		Asking for the heap blocks that an index scan is about to read.
 */
#ifndef CATALOGUE_READ_AHEAD_H
#define CATALOGUE_READ_AHEAD_H

#include "catalogue.h"

#include "access/relscan.h"
#include "access/sdir.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "utils/relcache.h"

/* What the scans of one page of chapters share. */
typedef struct ReadAhead
{
	int64		rows_wanted;	/* so many can be asked for behind the row
								 * that is being fetched */
	int			nscans;			/* that share the I/O concurrency at first */
	bool		reads_are_slow;
	uint32		fast_reads;		/* while they are not */
	uint64		considered;		/* blocks */
	uint64		blocks;			/* of these, that were asked for */
} ReadAhead;

/* How far one of the scans has asked. */
typedef struct ReadAheadScan
{
	ReadAhead  *shared;
	int			io_concurrency; /* of the table's tablespace */
	int			distance;		/* in index entries: grows up to that */
	BlockNumber leaf;			/* of the index, that has been looked at ... */
	int			next;			/* ... up to this entry */
	BlockNumber last_block;		/* that was considered */
	BlockNumber unasked;		/* the last that was not asked for, although
								 * it may not be in the buffers */
	Buffer	   *vmbuffer;		/* of a scan that does not read what is
								 * all-visible; or NULL */
} ReadAheadScan;

extern void catalogue_read_ahead_init(ReadAhead *shared, int64 rows_wanted, int nscans);
extern void catalogue_read_ahead_begin(ReadAheadScan *ahead, ReadAhead *shared, int io_concurrency);
extern void catalogue_read_ahead(ReadAheadScan *ahead, IndexScanDesc scan,
								 ScanDirection direction);
extern void catalogue_read_ahead_ask(ReadAheadScan *ahead, Relation rel, BlockNumber block);
extern Buffer catalogue_read_ahead_block(ReadAheadScan *ahead, Relation rel, BlockNumber block);

#endif							/* CATALOGUE_READ_AHEAD_H */
