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
#include "feed/pruning.h"

#include <limits.h>

#include "lib/binaryheap.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

/* So many filières without chapters, one after the other, and the next ones are searched for. */
#define MISSING_IN_A_ROW 2

/* If more than this part of the rows is wanted from scans that are shared, sorting is faster. */
#define SORTED_PART 5

struct ChapterScan
{
	ScanPool   *pool;
	ScanTargets *targets;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	FiliereScan *single;		/* the scan, if there is just one */
	binaryheap *heap;			/* else those that have a current row */
	List	   *found;			/* of FiliereScan *, those that have chapters */
	FiliereScan *spare;			/* allocated, and not among them */
	FiliereScan *last_returned; /* to be advanced before the next row is
								 * returned */
	int			nmerged;
	SortSupportData by_created_at;
	SortSupportData by_id;
};

static void advance_last_returned(ChapterScan *scan);
static int	sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres);
static Form_pg_attribute column(const ChapterScan *scan, AttrNumber attno);
static int	compare_filieres(const void *a, const void *b, void *order);
static void init_descending(ChapterScan *scan, SortSupport ssup, AttrNumber attno);
static void start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres);
static bool add_filiere(ChapterScan *scan, Datum value, const int *numbers, int ntargets);
static bool next_merged(ChapterScan *scan, FiliereScan *filiere);
static int	compare_filiere_scans(Datum a, Datum b, void *arg);

/*
 * Begins to read the chapters of some filières after a position.
 *
 * "filieres" are values without NULLs, which may repeat; the array is sorted
 * in place.  All arguments must live as long as the scan.  Blocks are read ahead
 * for no more than "rows_wanted" rows.
 */
ChapterScan *
catalogue_feed_scan_begin(ScanTargets *targets, Snapshot snapshot, const ChapterFeed *feed,
						  const ReferencePlan *plan, const ChapterPosition *position,
						  Datum *filieres, int nfilieres, int64 rows_wanted)
{
	ChapterScan *scan = palloc0(sizeof(ChapterScan));
	int		   *numbers = palloc(sizeof(int) * targets->ntargets);

	scan->targets = targets;
	scan->feed = feed;
	scan->plan = plan;
	nfilieres = sort_and_unique(scan, filieres, nfilieres);

	if (nfilieres == 1)
		scan->nmerged = catalogue_feed_prune(feed, plan, targets->rel, filieres[0], numbers);
	if (scan->nmerged == 1)
	{
		scan->pool = catalogue_feed_begin_scans(targets, snapshot, feed, plan, position, 1,
												rows_wanted);
		scan->single = palloc(sizeof(FiliereScan));
		catalogue_feed_init_filiere(scan->pool, scan->single, filieres[0],
									&targets->targets[numbers[0]]);
	}
	else
	{
		scan->pool = catalogue_feed_begin_scans(targets, snapshot, feed, plan, position,
												Min((int64) nfilieres * targets->ntargets, INT_MAX),
												rows_wanted);
		scan->nmerged = 0;
		init_descending(scan, &scan->by_created_at, plan->created_at_attno);
		init_descending(scan, &scan->by_id, plan->id_attno);
		start_merge(scan, filieres, nfilieres);
	}
	pfree(numbers);

	return scan;
}

/*
 * Whether the executor had better read the chapters and sort them, of a scan that
 * has returned nothing yet.  Where more filières have chapters than can be open, most
 * rows take a descent of the index and are fetched twice: some five times what it
 * takes to read a row and sort it.  To a page, few of all the rows that there are,
 * that does not matter.
 */
bool
catalogue_feed_scan_is_slower(const ChapterScan *scan, int64 rows_wanted)
{
	int			nfound = list_length(scan->found);

	return catalogue_feed_scans_are_shared(scan->pool, nfound) &&
		rows_wanted > scan->plan->rows * nfound / scan->targets->ntargets / SORTED_PART;
}

/*
 * The next chapter, in a slot of its target's kind that holds it until the next
 * call; NULL at the end.
 *
 * The filière at the top of the heap advances only when the next row is
 * asked for, so that n rows cost n + k reads and not one more each.
 */
TupleTableSlot *
catalogue_feed_scan_next(ChapterScan *scan, const ScanTarget **target)
{
	FiliereScan *filiere = scan->single;

	if (filiere != NULL)
	{
		if (!catalogue_feed_filiere_next(scan->pool, filiere))
			return NULL;
	}
	else
	{
		advance_last_returned(scan);
		if (binaryheap_empty(scan->heap))
			return NULL;
		filiere = (FiliereScan *) DatumGetPointer(binaryheap_first(scan->heap));
		scan->last_returned = filiere;
	}
	catalogue_feed_row_returned(scan->pool);
	*target = filiere->target;

	return catalogue_feed_filiere_row(scan->pool, filiere);
}

static void
advance_last_returned(ChapterScan *scan)
{
	if (scan->last_returned == NULL)
		return;
	if (next_merged(scan, scan->last_returned))
		binaryheap_replace_first(scan->heap, PointerGetDatum(scan->last_returned));
	else
		binaryheap_remove_first(scan->heap);
	scan->last_returned = NULL;
}

/* For EXPLAIN ANALYZE: index entries that led to a row. */
uint64
catalogue_feed_scan_rows_read(const ChapterScan *scan)
{
	return catalogue_feed_rows_read(scan->pool);
}

/* For EXPLAIN ANALYZE: blocks that were asked for before they were read. */
uint64
catalogue_feed_scan_blocks_ahead(const ChapterScan *scan)
{
	return catalogue_feed_blocks_ahead(scan->pool);
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
sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres)
{
	TypeCacheEntry *type = lookup_type_cache(scan->feed->filiere.oid, TYPECACHE_LT_OPR);
	SortSupportData order = {0};
	int			nunique = 0;

	if (nfilieres < 2)
		return nfilieres;

	order.ssup_cxt = CurrentMemoryContext;
	order.ssup_collation = column(scan, scan->plan->filiere_attno)->attcollation;
	PrepareSortSupportFromOrderingOp(type->lt_opr, &order);
	qsort_arg(filieres, nfilieres, sizeof(Datum), compare_filieres, &order);
	for (int i = 1; i < nfilieres; i++)
	{
		if (compare_filieres(&filieres[nunique], &filieres[i], &order) != 0)
			filieres[++nunique] = filieres[i];
	}

	return nunique + 1;
}

static Form_pg_attribute
column(const ChapterScan *scan, AttrNumber attno)
{
	return TupleDescAttr(RelationGetDescr(scan->targets->rel), attno - 1);
}

/* qsort comparator for Datums: ascending. */
static int
compare_filieres(const void *a, const void *b, void *order)
{
	return ApplySortComparator(*(const Datum *) a, false, *(const Datum *) b, false,
							   (SortSupport) order);
}

/* Descending, NULLs last: the order of the feed, whatever an index's is. */
static void
init_descending(ChapterScan *scan, SortSupport ssup, AttrNumber attno)
{
	Form_pg_attribute att = column(scan, attno);
	TypeCacheEntry *type = lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_GT_OPR);

	ssup->ssup_cxt = CurrentMemoryContext;
	ssup->ssup_collation = att->attcollation;
	ssup->ssup_nulls_first = false;
	PrepareSortSupportFromOrderingOp(type->gt_opr, ssup);
}

/* Reads the first row of each filière, of each target that can have it, into the heap. */
static void
start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres)
{
	int		   *numbers = palloc(sizeof(int) * scan->targets->ntargets);
	int			missing = 0;
	int			patience = MISSING_IN_A_ROW;
	int			i = 0;
	ListCell   *lc;

	while (i < nfilieres)
	{
		Datum		value = filieres[i++];
		int			ntargets = catalogue_feed_prune(scan->feed, scan->plan, scan->targets->rel,
													value, numbers);

		scan->nmerged += ntargets;
		if (add_filiere(scan, value, numbers, ntargets))
			missing = 0;
		else if (++missing >= patience && i < nfilieres && scan->targets->ntargets == 1 &&
				 scan->plan->filter.attno == 0)
		{
			int			next = catalogue_feed_skip_missing(scan->pool, filieres, nfilieres, i - 1);

			/*
			 * Those that have chapters, but none on this page, are not
			 * skipped.
			 */
			patience = next > i ? MISSING_IN_A_ROW : patience * 2;
			missing = 0;
			scan->nmerged += next - i;
			i = next;
		}
	}
	scan->heap = binaryheap_allocate(Max(list_length(scan->found), 1), compare_filiere_scans, scan);
	foreach(lc, scan->found)
		binaryheap_add_unordered(scan->heap, PointerGetDatum(lfirst(lc)));
	binaryheap_build(scan->heap);
	pfree(numbers);
}

/* Reads the first row of a filière of each of these targets; whether there is any. */
static bool
add_filiere(ChapterScan *scan, Datum value, const int *numbers, int ntargets)
{
	bool		found = false;

	for (int i = 0; i < ntargets; i++)
	{
		if (scan->spare == NULL)
			scan->spare = palloc(sizeof(FiliereScan));
		catalogue_feed_init_filiere(scan->pool, scan->spare, value,
									&scan->targets->targets[numbers[i]]);
		if (next_merged(scan, scan->spare))
		{
			scan->found = lappend(scan->found, scan->spare);
			scan->spare = NULL;
			found = true;
		}
	}

	return found;
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
		slot_getattr(row, filiere->target->plan->created_at_attno, &filiere->created_at.isnull);
	filiere->id.value = slot_getattr(row, filiere->target->plan->id_attno, &filiere->id.isnull);

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
