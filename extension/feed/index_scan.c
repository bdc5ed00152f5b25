/*
 * index_scan.c
 *		Ordered index scans: one for each filière, merged.
 *
 * Several filières are one ordered scan each (filiere_scan.c), merged through the
 * server's binary heap: n + k index entries are read for n rows of k filières,
 * where a single query with = ANY reads every chapter of all of them.
 *
 * Lifetime: everything is allocated in the context that is current at begin;
 * index scans and buffer pins belong to the current resource owner, so that an
 * ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/index_scan.h"

#include "feed/filiere_scan.h"

#include "access/stratnum.h"
#include "lib/binaryheap.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"

/* So many filières without chapters, one after the other, and the next ones are searched for. */
#define MISSING_IN_A_ROW 2

struct ChapterScan
{
	ScanPool   *pool;
	const ReferencePlan *plan;
	FiliereScan *single;		/* the filière, if there is just one */
	binaryheap *heap;			/* else those that have a current row */
	FiliereScan *last_returned; /* to be advanced before the next row is
								 * returned */
	int			nmerged;
	SortSupportData by_created_at;
	SortSupportData by_id;
};

static int	sort_and_unique(Relation index, Oid type, Datum *filieres, int nfilieres);
static int	compare_filieres(const void *a, const void *b, void *order);
static void init_descending(SortSupport ssup, Relation index, AttrNumber attno);
static void start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres);
static bool next_merged(ChapterScan *scan, FiliereScan *filiere);
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

	scan->plan = plan;
	scan->nmerged = sort_and_unique(index, plan->equality_type, filieres, nfilieres);
	scan->pool = catalogue_feed_begin_scans(rel, index, snapshot, feed, plan, position,
											scan->nmerged);
	if (scan->nmerged == 1)
	{
		scan->single = palloc(sizeof(FiliereScan));
		catalogue_feed_init_filiere(scan->pool, scan->single, filieres[0]);
	}
	else
	{
		init_descending(&scan->by_created_at, index, INDEX_CREATED_AT);
		init_descending(&scan->by_id, index, INDEX_ID);
		start_merge(scan, filieres, scan->nmerged);
	}

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
	if (scan->single != NULL)
		return catalogue_feed_filiere_next(scan->pool, scan->single)
			? catalogue_feed_filiere_row(scan->pool, scan->single)
			: NULL;

	if (scan->last_returned != NULL)
	{
		if (next_merged(scan, scan->last_returned))
			binaryheap_replace_first(scan->heap, PointerGetDatum(scan->last_returned));
		else
			binaryheap_remove_first(scan->heap);
		scan->last_returned = NULL;
	}
	if (binaryheap_empty(scan->heap))
		return NULL;
	scan->last_returned = (FiliereScan *) DatumGetPointer(binaryheap_first(scan->heap));

	return catalogue_feed_filiere_row(scan->pool, scan->last_returned);
}

/* For EXPLAIN ANALYZE: index entries that led to a row. */
uint64
catalogue_feed_scan_rows_read(const ChapterScan *scan)
{
	return catalogue_feed_rows_read(scan->pool);
}

/* For EXPLAIN ANALYZE: scans that were merged. */
int
catalogue_feed_scan_merged(const ChapterScan *scan)
{
	return scan->nmerged;
}

/* Releases pins and index scans; memory is freed with its context. */
void
catalogue_feed_scan_end(ChapterScan *scan)
{
	catalogue_feed_end_scans(scan->pool);
}

/*
 * Sorting finds the filières that were named twice, and lets the scans
 * descend the index from one end to the other.
 */
static int
sort_and_unique(Relation index, Oid type, Datum *filieres, int nfilieres)
{
	SortSupportData order = {0};
	int			nunique = 0;

	if (nfilieres < 2)
		return nfilieres;

	order.ssup_cxt = CurrentMemoryContext;
	order.ssup_collation = index->rd_indcollation[INDEX_FILIERE - 1];
	PrepareSortSupportFromOrderingOp(get_opfamily_member(index->rd_opfamily[INDEX_FILIERE - 1],
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

/* qsort comparator for Datums: ascending. */
static int
compare_filieres(const void *a, const void *b, void *order)
{
	return ApplySortComparator(*(const Datum *) a, false, *(const Datum *) b, false,
							   (SortSupport) order);
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

/* Reads the first row of each filière into the heap. */
static void
start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres)
{
	FiliereScan *filiere = NULL;
	int			missing = 0;
	int			patience = MISSING_IN_A_ROW;
	int			i = 0;

	scan->heap = binaryheap_allocate(Max(nfilieres, 1), compare_filiere_scans, scan);
	while (i < nfilieres)
	{
		if (filiere == NULL)
			filiere = palloc(sizeof(FiliereScan));
		catalogue_feed_init_filiere(scan->pool, filiere, filieres[i++]);
		if (next_merged(scan, filiere))
		{
			binaryheap_add_unordered(scan->heap, PointerGetDatum(filiere));
			filiere = NULL;
			missing = 0;
		}
		else if (++missing >= patience && i < nfilieres)
		{
			int			next = catalogue_feed_skip_missing(scan->pool, filieres, nfilieres, i - 1);

			/*
			 * Those that have chapters, but none on this page, are not
			 * skipped.
			 */
			patience = next > i ? MISSING_IN_A_ROW : patience * 2;
			missing = 0;
			i = next;
		}
	}
	binaryheap_build(scan->heap);
}

/* Makes a filière's next row its current one, and notes what it is merged by. */
static bool
next_merged(ChapterScan *scan, FiliereScan *filiere)
{
	TupleTableSlot *row;

	if (!catalogue_feed_filiere_next(scan->pool, filiere))
		return false;
	row = catalogue_feed_filiere_row(scan->pool, filiere);
	filiere->created_at.value =
		slot_getattr(row, scan->plan->created_at_attno, &filiere->created_at.isnull);
	filiere->id.value = slot_getattr(row, scan->plan->id_attno, &filiere->id.isnull);

	return true;
}

/* binaryheap comparator: it keeps the greatest at the top, which is the feed's first. */
static int
compare_filiere_scans(Datum a, Datum b, void *arg)
{
	ChapterScan *scan = (ChapterScan *) arg;
	const FiliereScan *scan_a = (const FiliereScan *) DatumGetPointer(a);
	const FiliereScan *scan_b = (const FiliereScan *) DatumGetPointer(b);
	int			order = ApplySortComparator(scan_a->created_at.value, scan_a->created_at.isnull,
											scan_b->created_at.value, scan_b->created_at.isnull,
											&scan->by_created_at);

	if (order == 0)
		order = ApplySortComparator(scan_a->id.value, scan_a->id.isnull, scan_b->id.value,
									scan_b->id.isnull, &scan->by_id);

	return -order;
}
