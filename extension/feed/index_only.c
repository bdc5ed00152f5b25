/*
 * index_only.c
 *		Rows from the index alone, where it has all columns that are looked at.
 *
 * An index entry does not say whether the snapshot sees its row; the visibility map
 * does, where everybody sees all rows of the heap's page.  There the page is not
 * read.  Elsewhere it is, but only to see whether the row is visible: what the index
 * has of it is the same for all versions that an entry leads to.  All this is as in an
 * index only scan (nodeIndexonlyscan.c), whose comments say why the visibility map can
 * be trusted: a scan that returns index tuples keeps the pin of its leaf page, so
 * that VACUUM cannot give the place of a dead row to another one meanwhile.
 *
 * Lifetime: everything is allocated in the context that is current at begin.  The
 * buffer of the visibility map stays pinned from one row to the next, and belongs to
 * the current resource owner.
 */
#include "feed/index_only.h"

#include "feed/heap_fetch.h"

#include "access/itup.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/rel.h"

struct IndexOnlyRows
{
	TupleTableSlot *row;		/* of the table's shape, only with columns of
								 * the index */
	int			nkeys;			/* of the index; 0 if no column is looked at */
	AttrNumber	columns[INDEX_MAX_KEYS];	/* that they are; 0 for none */
	TupleTableSlot *fetched;	/* from the heap; NULL until it is needed */
	ReadAheadScan *ahead;
	Buffer		vmbuffer;		/* page of the visibility map */
	uint64	   *heap_fetches;
};

static AttrNumber column_of_key(const ScanTarget *target, int key);
static bool has_column(const ScanTarget *target, AttrNumber attno);
static void store_entry(IndexOnlyRows *only, IndexScanDesc scan);
static bool fetch_from_heap(IndexOnlyRows *only, IndexScanDesc scan, ScanDirection direction);

/*
 * Whether the index of a target that is open has all columns that are looked at, and
 * those by which its rows are merged.
 */
bool
catalogue_index_only_fits(const ScanTarget *target)
{
	const ColumnSet *columns = &target->columns;

	for (int i = 0; i < columns->ncolumns; i++)
	{
		if (columns->numbers[i] > 0 && !has_column(target, columns->numbers[i]))
			return false;
	}

	return target->virtual_columns == NULL &&
		has_column(target, target->plan->created_at_attno) &&
		has_column(target, target->plan->id_attno);
}

static bool
has_column(const ScanTarget *target, AttrNumber attno)
{
	int			nkeys = IndexRelationGetNumberOfAttributes(target->index);

	for (int key = 0; key < nkeys; key++)
	{
		if (target->index->rd_index->indkey.values[key] == attno)
			return column_of_key(target, key) == attno;
	}

	return false;
}

/*
 * The table's column that a column of the index is, by their numbers, the second from
 * 0.  InvalidAttrNumber for an expression, and for a column that the index does not
 * store as the table does: a name is a cstring there.
 */
static AttrNumber
column_of_key(const ScanTarget *target, int key)
{
	AttrNumber	attno = target->index->rd_index->indkey.values[key];

	if (attno <= 0 || !index_can_return(target->index, key + 1) ||
		TupleDescAttr(RelationGetDescr(target->index), key)->atttypid !=
		TupleDescAttr(RelationGetDescr(target->rel), attno - 1)->atttypid)
		return InvalidAttrNumber;

	return attno;
}

/*
 * Begins to read a target that fits by scans that return index tuples.  Rows will be
 * in a virtual slot of the table's shape, without any columns if none is asked for.
 * The heap's blocks are read by "ahead", which must live as long, and those that are
 * read are counted.
 */
IndexOnlyRows *
catalogue_index_only_begin(const ScanTarget *target, bool with_columns, TupleTableSlot *row,
						   ReadAheadScan *ahead, uint64 *heap_fetches)
{
	IndexOnlyRows *only = palloc0(sizeof(IndexOnlyRows));

	only->row = row;
	only->nkeys = with_columns ? IndexRelationGetNumberOfAttributes(target->index) : 0;
	for (int key = 0; key < only->nkeys; key++)
		only->columns[key] = column_of_key(target, key);
	only->ahead = ahead;
	only->vmbuffer = InvalidBuffer;
	only->heap_fetches = heap_fetches;
	ahead->vmbuffer = &only->vmbuffer;

	return only;
}

/*
 * The next row that the scan's snapshot sees; false at the end.  Its values point into
 * the scan's memory, and hold until its next entry is read.
 */
bool
catalogue_index_only_next(IndexOnlyRows *only, IndexScanDesc scan, ScanDirection direction)
{
	ItemPointer tid;

	while ((tid = index_getnext_tid(scan, direction)) != NULL)
	{
		BlockNumber block = ItemPointerGetBlockNumber(tid);

		CHECK_FOR_INTERRUPTS();

		/* A serializable transaction has read it all the same. */
		if (VM_ALL_VISIBLE(scan->heapRelation, block, &only->vmbuffer))
			PredicateLockPage(scan->heapRelation, block, scan->xs_snapshot);
		else if (!fetch_from_heap(only, scan, direction))
			continue;

		store_entry(only, scan);
		return true;
	}

	return false;
}

/* Whether the snapshot sees the row of the entry that the scan has just returned. */
static bool
fetch_from_heap(IndexOnlyRows *only, IndexScanDesc scan, ScanDirection direction)
{
	if (only->fetched == NULL)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(GetMemoryChunkContext(only));

		only->fetched = table_slot_create(scan->heapRelation, NULL);
		MemoryContextSwitchTo(oldcxt);
	}
	(*only->heap_fetches)++;
	if (!catalogue_heap_fetch_entry(scan, direction, only->fetched, only->ahead))
		return false;
	ExecClearTuple(only->fetched);

	return true;
}

/* Stores the index tuple of that entry as a row. */
static void
store_entry(IndexOnlyRows *only, IndexScanDesc scan)
{
	TupleTableSlot *row = only->row;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	if (only->nkeys == 0)
		return;

	ExecClearTuple(row);
	index_deform_tuple(scan->xs_itup, scan->xs_itupdesc, values, isnull);
	for (int key = 0; key < only->nkeys; key++)
	{
		AttrNumber	column = only->columns[key];

		if (column == InvalidAttrNumber)
			continue;
		row->tts_values[column - 1] = values[key];
		row->tts_isnull[column - 1] = isnull[key];
	}
	ExecStoreVirtualTuple(row);
}

/* Releases the pin; memory is freed with its context. */
void
catalogue_index_only_end(IndexOnlyRows *only)
{
	if (BufferIsValid(only->vmbuffer))
		ReleaseBuffer(only->vmbuffer);
	if (only->fetched != NULL)
		ExecDropSingleTupleTableSlot(only->fetched);
	only->ahead->vmbuffer = NULL;
	pfree(only);
}
