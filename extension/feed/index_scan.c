/*
 * index_scan.c
 *		Ordered index scans: one for each filière, merged.
 *
 * Several filières are one ordered scan each, merged through the server's
 * binary heap: n + k index entries are read for n rows of k filières, where a
 * single query with = ANY reads every chapter of all of them.
 *
 * Lifetime: everything is allocated in the context that is current at begin;
 * index scans and buffer pins belong to the current resource owner, so that an
 * ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/index_scan.h"

#include "feed/heap_fetch.h"
#include "feed/scan_keys.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/tableam.h"
#include "lib/binaryheap.h"
#include "port/pg_bitutils.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"

/* What a B-tree scan allocates, about. */
#define SCAN_BYTES (32 * 1024)

/* One filière's scan. */
typedef struct FiliereScan
{
	Datum		filiere;
	ChapterKeyRange range;
	IndexScanDesc scan;			/* NULL between ranges, and at the end */
	TupleTableSlot *slot;		/* current row */
	bool		undated;
	Datum		created_at;		/* of the current row, in the slot's memory */
	Datum		id;
} FiliereScan;

struct ChapterScan
{
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	const ChapterPosition *position;
	MemoryContext scan_cxt;		/* of scan keys and the index AM's states */
	FiliereScan *filieres;
	int			nfilieres;
	binaryheap *heap;			/* of filières that have a current row; NULL
								 * for one */
	FiliereScan *last_returned; /* to be advanced before the next row is
								 * returned */
	SortSupportData by_created_at;
	SortSupportData by_id;
	uint64		rows_read;
};

static int	sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres);
static int	compare_filieres(const void *a, const void *b, void *order);
static bool start_range(ChapterScan *scan, FiliereScan *filiere);
static bool advance(ChapterScan *scan, FiliereScan *filiere);
static void start_merge(ChapterScan *scan);
static MemoryContext merged_scans_context(int nscans);
static void init_descending(SortSupport ssup, Relation index, AttrNumber attno);
static bool advance_merged(ChapterScan *scan, FiliereScan *filiere);
static int	compare_filiere_scans(Datum a, Datum b, void *arg);

/*
 * Begins to read the chapters of some filières after a position.
 *
 * "filieres" are values without NULLs, which may repeat; the array is sorted
 * in place.  All arguments must live as long as the scan.
 */
ChapterScan *
catalogue_feed_scan_begin(Relation rel, Relation index, Snapshot snapshot, const ChapterFeed *feed,
						  const ReferencePlan *plan, const ChapterPosition *position,
						  Datum *filieres, int nfilieres)
{
	ChapterScan *scan = palloc0(sizeof(ChapterScan));

	scan->rel = rel;
	scan->index = index;
	scan->snapshot = snapshot;
	scan->feed = feed;
	scan->plan = plan;
	scan->position = position;
	scan->scan_cxt = CurrentMemoryContext;

	scan->nfilieres = sort_and_unique(scan, filieres, nfilieres);
	scan->filieres = palloc0(sizeof(FiliereScan) * scan->nfilieres);
	for (int i = 0; i < scan->nfilieres; i++)
	{
		scan->filieres[i].filiere = filieres[i];
		scan->filieres[i].range = position->first_range;
		scan->filieres[i].slot = table_slot_create(rel, NULL);
	}
	if (scan->nfilieres > 1)
		start_merge(scan);

	return scan;
}

/*
 * The next chapter, in a slot of the table's kind that holds it until the next
 * call; NULL at the end.
 *
 * The filière at the top of the heap advances only when the next row is
 * asked for, so that n rows cost n + k reads and not one more each.
 */
TupleTableSlot *
catalogue_feed_scan_next(ChapterScan *scan)
{
	FiliereScan *filiere = scan->last_returned;

	if (scan->heap == NULL)
		return scan->nfilieres > 0 && advance(scan, scan->filieres) ? scan->filieres->slot : NULL;

	if (filiere != NULL)
	{
		if (advance_merged(scan, filiere))
			binaryheap_replace_first(scan->heap, PointerGetDatum(filiere));
		else
			binaryheap_remove_first(scan->heap);
		scan->last_returned = NULL;
	}
	if (binaryheap_empty(scan->heap))
		return NULL;

	filiere = (FiliereScan *) DatumGetPointer(binaryheap_first(scan->heap));
	scan->last_returned = filiere;

	return filiere->slot;
}

/* For EXPLAIN ANALYZE: index entries that led to a row. */
uint64
catalogue_feed_scan_rows_read(const ChapterScan *scan)
{
	return scan->rows_read;
}

/* For EXPLAIN ANALYZE: scans that were merged. */
int
catalogue_feed_scan_merged(const ChapterScan *scan)
{
	return scan->nfilieres;
}

/* Releases pins and index scans; memory is freed with its context. */
void
catalogue_feed_scan_end(ChapterScan *scan)
{
	for (int i = 0; i < scan->nfilieres; i++)
	{
		ExecDropSingleTupleTableSlot(scan->filieres[i].slot);
		if (scan->filieres[i].scan != NULL)
			index_endscan(scan->filieres[i].scan);
	}
}

/*
 * Sorting finds the filières that were named twice, and lets the scans
 * descend the index in its own order.
 */
static int
sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres)
{
	SortSupportData order = {0};
	Oid			type = scan->plan->equality_type;
	int			nunique = 0;

	if (nfilieres < 2)
		return nfilieres;

	order.ssup_cxt = CurrentMemoryContext;
	order.ssup_collation = scan->index->rd_indcollation[INDEX_FILIERE - 1];
	PrepareSortSupportFromOrderingOp(get_opfamily_member(scan->index->rd_opfamily[INDEX_FILIERE - 1],
														 type, type, BTLessStrategyNumber),
									 &order);
	qsort_arg(filieres, nfilieres, sizeof(Datum), compare_filieres, &order);
	for (int i = 1; i < nfilieres; i++)
	{
		if (compare_filieres(&filieres[nunique], &filieres[i], &order) != 0)
			filieres[++nunique] = filieres[i];
	}

	return nunique + 1;
}

/* qsort comparator for Datums, in the order of the index but for its direction. */
static int
compare_filieres(const void *a, const void *b, void *order)
{
	return ApplySortComparator(*(const Datum *) a, false, *(const Datum *) b, false,
							   (SortSupport) order);
}

/* Begins the index scan of a filière's key range; false when no range is left. */
static bool
start_range(ChapterScan *scan, FiliereScan *filiere)
{
	Relation	index = scan->index;
	const ChapterPosition *position = scan->position;
	MemoryContext oldcxt;
	ScanKeyData keys[MAX_SCAN_KEYS];
	int			nkeys = 0;

	if (filiere->range == KEY_RANGE_END)
		return false;

	oldcxt = MemoryContextSwitchTo(scan->scan_cxt);
	ScanKeyEntryInitializeWithInfo(&keys[nkeys++], 0, INDEX_FILIERE, BTEqualStrategyNumber,
								   scan->plan->equality_type, index->rd_indcollation[INDEX_FILIERE - 1],
								   unconstify(FmgrInfo *, &scan->plan->equality), filiere->filiere);
	nkeys += catalogue_feed_init_range_keys(&keys[nkeys], index, scan->feed, filiere->range,
											&position->before_at, &position->before_id);

	filiere->scan = index_beginscan(scan->rel, index, scan->snapshot, NULL, nkeys, 0, SO_NONE);
	index_rescan(filiere->scan, keys, nkeys, NULL, 0);
	MemoryContextSwitchTo(oldcxt);

	return true;
}

/* Puts a filière's next row into its slot; false when all its key ranges are read. */
static bool
advance(ChapterScan *scan, FiliereScan *filiere)
{
	while (filiere->scan != NULL || start_range(scan, filiere))
	{
		if (catalogue_heap_getnext_slot(filiere->scan, scan->plan->direction, filiere->slot))
		{
			scan->rows_read++;
			return true;
		}
		index_endscan(filiere->scan);
		filiere->scan = NULL;
		filiere->range = catalogue_feed_next_key_range(scan->rel, scan->plan, filiere->range);
	}

	return false;
}

/* Reads the first row of each filière into the heap. */
static void
start_merge(ChapterScan *scan)
{
	init_descending(&scan->by_created_at, scan->index, INDEX_CREATED_AT);
	init_descending(&scan->by_id, scan->index, INDEX_ID);

	scan->scan_cxt = merged_scans_context(scan->nfilieres);
	scan->heap = binaryheap_allocate(scan->nfilieres, compare_filiere_scans, scan);
	for (int i = 0; i < scan->nfilieres; i++)
	{
		FiliereScan *filiere = &scan->filieres[i];

		if (advance_merged(scan, filiere))
			binaryheap_add_unordered(scan->heap, PointerGetDatum(filiere));
	}
	binaryheap_build(scan->heap);
}

/*
 * One block for the states of many scans, up to 8 MB.  An AllocSet would malloc()
 * and free() each of them, upon which the C library returns all that memory to
 * the system, and the next call has to fault it in page by page.
 */
static MemoryContext
merged_scans_context(int nscans)
{
	Size		size = (Size) SCAN_BYTES * pg_nextpower2_32(Max(8, Min(nscans, 256)));

	return GenerationContextCreate(CurrentMemoryContext, "catalogue merged scans", 0, size, size);
}

/* Descending, NULLs last: the order of the feed, whatever the index's is. */
static void
init_descending(SortSupport ssup, Relation index, AttrNumber attno)
{
	Oid			type = index->rd_opcintype[attno - 1];
	Oid			greater =
		get_opfamily_member(index->rd_opfamily[attno - 1], type, type, BTGreaterStrategyNumber);

	ssup->ssup_cxt = CurrentMemoryContext;
	ssup->ssup_collation = index->rd_indcollation[attno - 1];
	ssup->ssup_nulls_first = false;
	PrepareSortSupportFromOrderingOp(greater, ssup);
}

/* The same, and notes what the row is merged by. */
static bool
advance_merged(ChapterScan *scan, FiliereScan *filiere)
{
	bool		isnull;

	if (!advance(scan, filiere))
		return false;
	filiere->created_at =
		slot_getattr(filiere->slot, scan->plan->created_at_attno, &filiere->undated);
	filiere->id = slot_getattr(filiere->slot, scan->plan->id_attno, &isnull);

	return true;
}

/* binaryheap comparator: it keeps the greatest at the top, which is the feed's first. */
static int
compare_filiere_scans(Datum a, Datum b, void *arg)
{
	ChapterScan *scan = (ChapterScan *) arg;
	const FiliereScan *scan_a = (const FiliereScan *) DatumGetPointer(a);
	const FiliereScan *scan_b = (const FiliereScan *) DatumGetPointer(b);
	int			order = ApplySortComparator(scan_a->created_at, scan_a->undated, scan_b->created_at,
											scan_b->undated, &scan->by_created_at);

	if (order == 0)
		order = ApplySortComparator(scan_a->id, false, scan_b->id, false, &scan->by_id);

	return -order;
}
