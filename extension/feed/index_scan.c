/*
 * index_scan.c
 *		Ordered index scans: one for each filière, merged.
 *
 * Several filières are one ordered scan each (filiere_scan.c), or one for each run of
 * partitions that can have them (filiere_runs.c), merged through the server's binary
 * heap: n + k index entries are read for n rows of k scans, where a single query with
 * = ANY reads every chapter of all of them.  Where they are many, index entries are
 * merged, and only the rows that the page gets are fetched (entry_rows.c); those that
 * do not exist are skipped (filiere_probe.c).
 *
 * Lifetime: everything is allocated in the context that is current at begin;
 * index scans and buffer pins belong to the current resource owner, so that an
 * ERROR leaves nothing behind.  The caller holds the locks.
 */
#include "feed/index_scan.h"

#include "feed/entry_rows.h"
#include "feed/filiere_probe.h"
#include "feed/filiere_runs.h"
#include "feed/filiere_scan.h"

#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

/*
 * So many filières without chapters, one after the other, and the next that exists is
 * searched for.
 */
#define MISSING_IN_A_ROW 2

struct ChapterScan
{
	ScanPool   *pool;
	ScanTargets *targets;
	Snapshot	snapshot;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	FiliereRuns runs;
	Bitmapset  *leaves;			/* targets that the executor reads for all of
								 * several filières at once */
	FiliereScan *single;		/* the scan, if there is just one */
	binaryheap *heap;			/* else those that have a current row */
	List	   *found;			/* of FiliereScan *, those that have chapters */
	FiliereScan *spare;			/* allocated, and not among them */
	List	   *asked;			/* begun, whose first blocks were asked for,
								 * and that are not read yet ... */
	int			nasked;			/* ... up to this filière */
	FiliereProbe *probe;
	FiliereScan *last_returned; /* to be advanced before the next row is
								 * returned */
	EntryRows  *rows;			/* of entries that are merged; NULL where
								 * these are rows */
	int			nmerged;
	SortSupportData by_created_at;
	SortSupportData by_id;
};

static void advance_last_returned(ChapterScan *scan);
static int	sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres);
static Form_pg_attribute column(const ChapterScan *scan, AttrNumber attno);
static int	compare_filieres(const void *a, const void *b, void *order);
static void init_descending(ChapterScan *scan, SortSupport ssup, AttrNumber attno, bool nulls_first);
static bool start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres);
static int	skip_missing(ChapterScan *scan, const Datum *filieres, int nfilieres, int missing);
static void ask_for_first_rows(ChapterScan *scan, const Datum *filieres, int nfilieres);
static FiliereScan *new_filiere(ChapterScan *scan, Datum value, const PrunedTarget *run, int ntargets);
static bool add_filiere(ChapterScan *scan, Datum value, const PrunedTargets *pruned);
static FiliereScan *begin_run(ChapterScan *scan, Datum value, const PrunedTarget *run, int ntargets);
static TupleTableSlot *next_of_entries(ChapterScan *scan, const ScanTarget **target);
static bool next_merged(ChapterScan *scan, FiliereScan *filiere);
static int	compare_filiere_scans(Datum a, Datum b, void *arg);

/*
 * Begins to read the chapters of some filières after a position.
 *
 * "filieres" are values without NULLs, which may repeat; the array is sorted
 * in place.  All arguments must live as long as the scan.  Blocks are read ahead
 * for no more than "rows_wanted" rows.  NULL where the reference plan proves not to
 * be current any more.
 */
ChapterScan *
catalogue_feed_scan_begin(ScanTargets *targets, Snapshot snapshot, const ChapterFeed *feed,
						  const ReferencePlan *plan, const ChapterPosition *position,
						  Datum *filieres, int nfilieres, int64 rows_wanted)
{
	ChapterScan *scan = palloc0(sizeof(ChapterScan));
	int			nscans;

	scan->targets = targets;
	scan->snapshot = snapshot;
	scan->feed = feed;
	scan->plan = plan;
	nfilieres = sort_and_unique(scan, filieres, nfilieres);
	scan->runs = (FiliereRuns)
	{
		.targets = targets,
			.feed = feed,
			.plan = plan,
			.position = position,
			.filieres = filieres,
			.nfilieres = nfilieres,
	};

	if (!catalogue_feed_count_runs(&scan->runs, MAX_OPEN_SCANS, &nscans))
		return NULL;
	scan->pool = catalogue_feed_begin_scans(targets, snapshot, feed, plan, position, nscans,
											rows_wanted);
	if (nfilieres == 1 && nscans == 1)
	{
		const PrunedTargets *pruned = scan->runs.pruned[0];

		scan->nmerged = 1;
		scan->single = palloc(sizeof(FiliereScan));
		catalogue_feed_init_filiere(scan->pool, scan->single, filieres[0], pruned->targets,
									pruned->ntargets);
	}
	else
	{
		scan->pool->merged = true;
		if (catalogue_feed_by_batches(scan->pool))
			scan->rows = catalogue_feed_begin_entry_rows(targets, snapshot,
														 catalogue_feed_read_ahead(scan->pool));
		init_descending(scan, &scan->by_created_at, plan->created_at_attno, false);
		init_descending(scan, &scan->by_id, plan->id_attno, true);
		if (!start_merge(scan, filieres, nfilieres))
		{
			catalogue_feed_scan_end(scan);
			return NULL;
		}
	}

	return scan;
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

	if (scan->rows != NULL)
		return next_of_entries(scan, target);

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

	return catalogue_feed_filiere_row(filiere);
}

/* The same where index entries are merged: the next of them that leads to a row. */
static TupleTableSlot *
next_of_entries(ChapterScan *scan, const ScanTarget **target)
{
	TupleTableSlot *row;

	do
	{
		FiliereScan *filiere = NULL;

		while (catalogue_feed_wants_entry(scan->rows))
		{
			advance_last_returned(scan);
			if (binaryheap_empty(scan->heap))
				break;
			filiere = (FiliereScan *) DatumGetPointer(binaryheap_first(scan->heap));

			/* A row that the executor has read waits for those before it. */
			if (filiere->leaf != NULL)
				break;
			scan->last_returned = filiere;
			catalogue_feed_queue_entry(scan->rows, filiere->target, filiere->tid);
			filiere = NULL;
		}
		if (!catalogue_feed_fetch_queued(scan->rows, target, &row))
		{
			if (filiere == NULL)
				return NULL;
			scan->last_returned = filiere;
			*target = filiere->target;
			row = catalogue_feed_filiere_row(filiere);
		}
	} while (row == NULL);
	catalogue_feed_row_returned(scan->pool);

	return row;
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

/* For EXPLAIN ANALYZE: heap fetches of index only scans, -1 where there were none of these. */
int64
catalogue_feed_scan_heap_fetches(const ChapterScan *scan)
{
	return catalogue_feed_heap_fetches(scan->pool);
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
	if (scan->rows != NULL)
		catalogue_feed_end_entry_rows(scan->rows);
	if (scan->probe != NULL)
		catalogue_feed_end_probe(scan->probe);
}

/*
 * Sorting finds the filières that were named twice, and lets the scans
 * descend the index from one end to the other.
 */
static int
sort_and_unique(ChapterScan *scan, Datum *filieres, int nfilieres)
{
	TypeCacheEntry *type;
	SortSupportData order = {0};
	int			nunique = 0;

	if (nfilieres < 2)
		return nfilieres;

	type = lookup_type_cache(scan->feed->filiere.oid, TYPECACHE_LT_OPR);
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

/* Descending: the order of the feed, whatever an index's is. */
static void
init_descending(ChapterScan *scan, SortSupport ssup, AttrNumber attno, bool nulls_first)
{
	Form_pg_attribute att = column(scan, attno);
	TypeCacheEntry *type = lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_GT_OPR);

	ssup->ssup_cxt = CurrentMemoryContext;
	ssup->ssup_collation = att->attcollation;
	ssup->ssup_nulls_first = nulls_first;
	PrepareSortSupportFromOrderingOp(type->gt_opr, ssup);
}

/*
 * Reads the first row of each filière, of each run of targets that can have it, into
 * the heap; false where the reference plan is not current any more.
 */
static bool
start_merge(ChapterScan *scan, const Datum *filieres, int nfilieres)
{
	int			missing = 0;
	int			patience = MISSING_IN_A_ROW;
	int			i = 0;
	ListCell   *lc;

	while (i < nfilieres)
	{
		Datum		value;
		PrunedTargets *pruned;

		CHECK_FOR_INTERRUPTS();
		if (i >= scan->nasked && catalogue_feed_scans_to_ask(scan->pool) > 0)
		{
			scan->nasked = i;
			ask_for_first_rows(scan, filieres, nfilieres);
		}
		value = filieres[i];
		pruned = catalogue_feed_pruned_targets(&scan->runs, i++);
		if (pruned == NULL)
			return false;
		if (add_filiere(scan, value, pruned))
		{
			missing = 0;
			continue;
		}
		catalogue_feed_free_pruned_targets(&scan->runs, pruned);
		if (++missing >= patience && i < nfilieres && i >= scan->nasked &&
			scan->targets->ntargets == 1 && scan->plan->filter.attno == 0)
		{
			int			next = skip_missing(scan, filieres, nfilieres, i - 1);

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

	return true;
}

/* The next filière that may have chapters, where there is one target, which has been read. */
static int
skip_missing(ChapterScan *scan, const Datum *filieres, int nfilieres, int missing)
{
	if (scan->probe == NULL)
		scan->probe = catalogue_feed_begin_probe(&scan->targets->targets[0], scan->snapshot,
												 scan->feed);

	return catalogue_feed_skip_missing(scan->probe, filieres, nfilieres, missing);
}

/*
 * While reads are slow, the first rows of some filières are not waited for one after
 * the other: their scans begin, and their blocks are asked for.  They are few enough
 * for all their scans to be open.
 */
static void
ask_for_first_rows(ChapterScan *scan, const Datum *filieres, int nfilieres)
{
	while (scan->nasked < nfilieres &&
		   list_length(scan->asked) < catalogue_feed_scans_to_ask(scan->pool))
	{
		int			number = scan->nasked++;
		const PrunedTargets *pruned = catalogue_feed_pruned_targets(&scan->runs, number);
		int			length;

		for (int i = 0; i < pruned->ntargets; i += length)
		{
			const PrunedTarget *run = &pruned->targets[i];
			FiliereScan *filiere;

			length = catalogue_feed_run_length(&scan->runs, pruned, i);
			if (scan->plan->targets[run->number].by_executor)
				continue;
			filiere = new_filiere(scan, filieres[number], run, length);
			scan->asked = lappend(scan->asked, filiere);
			scan->spare = NULL;
			catalogue_feed_ask_for_first(scan->pool, filiere);
		}
	}
}

/* A scan that has not begun; it stays the spare one. */
static FiliereScan *
new_filiere(ChapterScan *scan, Datum value, const PrunedTarget *run, int ntargets)
{
	if (scan->spare == NULL)
		scan->spare = palloc(sizeof(FiliereScan));
	catalogue_feed_init_filiere(scan->pool, scan->spare, value, run, ntargets);

	return scan->spare;
}

/* Reads the first row of each run of targets of a filière; whether there is any. */
static bool
add_filiere(ChapterScan *scan, Datum value, const PrunedTargets *pruned)
{
	bool		found = false;
	int			length;

	for (int i = 0; i < pruned->ntargets; i += length)
	{
		int			number = pruned->targets[i].number;
		FiliereScan *filiere;

		length = catalogue_feed_run_length(&scan->runs, pruned, i);
		if (catalogue_feed_is_for_all(&scan->runs, number))
		{
			if (bms_is_member(number, scan->leaves))
				continue;
			scan->leaves = bms_add_member(scan->leaves, number);
		}

		scan->nmerged++;
		filiere = begin_run(scan, value, &pruned->targets[i], length);
		if (next_merged(scan, filiere))
		{
			scan->found = lappend(scan->found, filiere);
			if (filiere == scan->spare)
				scan->spare = NULL;
			found = true;
		}
	}

	return found;
}

/* A run's scan: the first of those whose rows were asked for, which are in this order. */
static FiliereScan *
begin_run(ChapterScan *scan, Datum value, const PrunedTarget *run, int ntargets)
{
	FiliereScan *filiere;

	if (scan->asked == NIL || scan->plan->targets[run->number].by_executor)
		return new_filiere(scan, value, run, ntargets);
	filiere = linitial(scan->asked);
	scan->asked = list_delete_first(scan->asked);

	return filiere;
}

/* Makes a filière's next row or entry its current one, and notes what it is merged by. */
static bool
next_merged(ChapterScan *scan, FiliereScan *filiere)
{
	TupleTableSlot *row;

	if (!catalogue_feed_filiere_next(scan->pool, filiere))
		return false;
	if (scan->rows != NULL && filiere->leaf == NULL)
		return true;
	row = catalogue_feed_filiere_row(filiere);
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
