/*
 * recent_chapters.c
 *		The newest chapters of a filière, or of several: a tuple source.
 *
 * Order: created_at DESC NULLS LAST, id DESC.  It is total, so that pages
 * neither repeat nor skip a chapter; undated chapters come last.
 *
 * A call's path: feed.c says what the function is bound to, reference_plan.c
 * what the planner says of it, page_position.c where the page begins.  Where
 * the reference plan is one ordered index scan, or one for each partition, rows are
 * streamed from these indexes (index_scan.c); else the executor runs the plans of
 * key_range.c into a tuplestore.
 *
 * Lifetime: a source lives in a memory context of its own, below the one that
 * was current when it began, and its pin on the feed belongs to that.  What
 * open() makes is in a child of it, reset by close().
 */
#include "feed/estimate.h"
#include "feed/explain.h"
#include "feed/feed.h"
#include "feed/heap_fetch.h"
#include "feed/index_scan.h"
#include "feed/key_range.h"
#include "feed/ordered_plan.h"
#include "feed/page_filter.h"
#include "feed/page_position.h"
#include "feed/reference_plan.h"
#include "feed/scan_targets.h"
#include "feed/virtual_columns.h"
#include "rights.h"
#include "scan/tuple_source.h"

#include "access/table.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct ChapterSource
{
	TupleSource base;			/* (must be first) */
	MemoryContext cxt;			/* holds the source and its pin */
	CachedPin	feed_pin;
	ChapterFeed *feed;
	PageFilter	filter;			/* that was asked for */
	bool		filter_gone;	/* its index has gone since the query was
								 * planned */
	CachedPin	targets_pin;
	ReferencePlan plan;			/* as it was at begin, or when it had changed
								 * since */
	Snapshot	snapshot;
	Oid			role;			/* that began it */
	MemoryContext page_cxt;		/* what one open() makes; reset by close() */
	Relation	rel;
	ColumnSet	columns;		/* that are looked at */
	ScanTargets *targets;		/* to stream from; NULL where the executor
								 * reads the table */

	ChapterPosition position;
	int64		remaining;		/* rows still to be returned; all of them at
								 * once if stored */
	ChapterScan *scan;			/* streaming */
	Tuplestorestate *stored;	/* not streaming ... */
	TupleTableSlot *stored_row; /* ... and its current row */

	ChapterCounts counts;		/* of the scans that were closed */
} ChapterSource;

PG_FUNCTION_INFO_V1(catalogue_recent_chapters);

static TupleSource *begin_chapters(Oid funcid, const List *args, Snapshot snapshot,
								   const AttrNumber *columns, int ncolumns, const List *used);
static void begin_targets(ChapterSource *source);
static void set_columns(ChapterSource *source, const AttrNumber *columns, int ncolumns);
static void check_select_privilege(ChapterSource *source);
static void open_chapters(TupleSource *base, const NullableDatum *args, int nargs);
static void set_filter(ChapterSource *source, const NullableDatum *value);
static void start_scan(ChapterSource *source, const NullableDatum *filiere);
static int64 rows_wanted(const ChapterSource *source);
static void replan(ChapterSource *source);
static void run_key_ranges(ChapterSource *source, const NullableDatum *filiere);
static bool next_chapter(TupleSource *base, TupleTableSlot *slot);
static void close_chapters(TupleSource *base);
static void end_chapters(TupleSource *base);
static void add_counts(const ChapterScan *scan, ChapterCounts *counts);
static void explain_chapters(TupleSource *base, List *args, ExplainState *es);

static const TupleSourceMethods chapter_source = {
	.function = catalogue_recent_chapters,
	.estimate_rows = catalogue_feed_estimate_rows,
	.estimate = catalogue_feed_estimate,
	.row_relation = catalogue_feed_relation,
	.use_conditions = catalogue_feed_use_conditions,
	.begin = begin_chapters,
	.open = open_chapters,
	.next = next_chapter,
	.close = close_chapters,
	.end = end_chapters,
	.explain = explain_chapters,
};

void
catalogue_feed_init(void)
{
	catalogue_register_tuple_source(&chapter_source);
	catalogue_ordered_plan_init();
}

/*
 * recent_chapters(filiere, n bigint, before_id, before_at) RETURNS SETOF chapters
 * recent_chapters_any(filieres[], n bigint, before_id, before_at)
 *		RETURNS SETOF chapters
 *
 * The n newest chapters of a filière, or over several of them, after the
 * chapter with the id before_id; n NULL means all.  With before_at too, a
 * chapter that does not exist any more was there.  before_at alone: what is
 * older.  NULL or unknown filières have no chapters.
 *
 * Errors: n negative 22023; no chapter before_id, and no before_at, P0002; no
 * right to read 42501; schema not attached 55000.
 */
Datum
catalogue_recent_chapters(PG_FUNCTION_ARGS)
{
	return catalogue_materialize(fcinfo, &chapter_source);
}

/*
 * Locks the table as the reference plan does, checks the caller's rights, and
 * opens the index if there is one to stream from.
 */
static TupleSource *
begin_chapters(Oid funcid, const List *args, Snapshot snapshot, const AttrNumber *columns,
			   int ncolumns, const List *used)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue chapter source",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	ChapterSource *source = palloc0(sizeof(ChapterSource));

	source->base.methods = &chapter_source;
	source->cxt = cxt;
	catalogue_init_pin(&source->feed_pin, cxt);
	source->feed = catalogue_feed_pin(&source->feed_pin, funcid);
	source->snapshot = snapshot;
	source->role = GetUserId();
	source->page_cxt = AllocSetContextCreate(cxt, "catalogue chapter page", ALLOCSET_SMALL_SIZES);

	source->filter = catalogue_feed_page_filter(used);
	catalogue_init_pin(&source->targets_pin, cxt);
	source->rel = table_open(source->feed->relid, NoLock);	/* locked with the feed */
	source->base.tupdesc = RelationGetDescr(source->rel);
	set_columns(source, columns, ncolumns);
	begin_targets(source);

	MemoryContextSwitchTo(oldcxt);
	return &source->base;
}

/* Reads the reference plan, and begins with its targets if there are any. */
static void
begin_targets(ChapterSource *source)
{
	const PageFilter no_filter = {0};

	if (source->targets != NULL)
		catalogue_feed_end_targets(source->targets);
	source->targets = NULL;
	catalogue_unpin(&source->targets_pin);

	catalogue_feed_read_reference_plan(source->feed, &source->filter, &source->plan,
									   &source->targets_pin);
	if (source->plan.not_streamed != NULL && source->filter.attno != 0)
	{
		/* The index has gone: the condition above does without it. */
		source->filter = no_filter;
		source->filter_gone = true;
		catalogue_unpin(&source->targets_pin);
		catalogue_feed_read_reference_plan(source->feed, &source->filter, &source->plan,
										   &source->targets_pin);
	}

	if (source->plan.not_streamed == NULL)
	{
		check_select_privilege(source);
		source->targets = catalogue_feed_begin_targets(&source->plan, source->rel,
													   source->role, &source->columns);

		/*
		 * Held from now on: the session that waits with a cursor cannot drop
		 * it.
		 */
		if (source->targets->ntargets == 1)
			catalogue_feed_open_target(source->targets, &source->targets->targets[0]);
		catalogue_heap_fetch_begin();
	}
}

/* Notes the columns that are looked at: those given, or all of the row type. */
static void
set_columns(ChapterSource *source, const AttrNumber *columns, int ncolumns)
{
	ColumnSet  *set = &source->columns;

	set->ncolumns = columns != NULL ? ncolumns : source->base.tupdesc->natts;
	set->numbers = palloc(sizeof(AttrNumber) * set->ncolumns);
	for (int i = 0; i < set->ncolumns; i++)
	{
		set->numbers[i] = columns != NULL ? columns[i] : i + 1;
		set->last = Max(set->last, set->numbers[i]);
	}
}

/*
 * What SELECT would check: the table, or each column that is looked at.
 * Where the executor reads the table, it checks that by itself.
 */
static void
check_select_privilege(ChapterSource *source)
{
	const ReferencePlan *plan = &source->plan;
	TupleDesc	tupdesc = source->base.tupdesc;
	AttrNumber *columns = palloc(sizeof(AttrNumber) * (source->columns.ncolumns + 3));
	int			n = 0;

	columns[n++] = plan->filiere_attno;
	columns[n++] = plan->created_at_attno;
	columns[n++] = plan->id_attno;
	for (int i = 0; i < source->columns.ncolumns; i++)
	{
		AttrNumber	number = source->columns.numbers[i];

		if (!TupleDescAttr(tupdesc, number - 1)->attisdropped)
			columns[n++] = number;
	}
	if (!catalogue_may_select(source->feed->relid, GetUserId(), columns, n))
		catalogue_report_no_privilege(source->feed->relid);
	pfree(columns);
}

/*
 * A cursor's rows are its owner's, whoever fetches the first one: what is read by
 * queries is read as the role that began, whose rights are checked and whose policies
 * apply.
 */
static void
open_chapters(TupleSource *base, const NullableDatum *args, int nargs)
{
	ChapterSource *source = (ChapterSource *) base;
	MemoryContext oldcxt = MemoryContextSwitchTo(source->page_cxt);
	SavedUser	saved;
	int64		n = args[ARG_N].isnull ? ALL_CHAPTERS : DatumGetInt64(args[ARG_N].value);

	if (n < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("number of chapters must not be negative"),
				errdetail("The call asked for %lld chapters.", (long long) n));

	source->remaining = args[ARG_FILIERE].isnull ? 0 : n;
	catalogue_switch_to_role(source->role, &saved);
	catalogue_feed_find_position(source->feed, &source->plan, source->rel, source->snapshot,
								 &args[ARG_BEFORE_ID], &args[ARG_BEFORE_AT], &source->position);

	if (source->plan.filter.attno != 0)
		set_filter(source, &args[ARG_COUNT]);

	if (source->remaining > 0)
	{
		if (source->targets != NULL)
			start_scan(source, &args[ARG_FILIERE]);
		if (source->scan == NULL)
			run_key_ranges(source, &args[ARG_FILIERE]);
	}

	catalogue_restore_user(&saved);
	MemoryContextSwitchTo(oldcxt);
}

/* The value of the page's filter; NULL equals nothing. */
static void
set_filter(ChapterSource *source, const NullableDatum *value)
{
	int16		len;
	bool		byval;

	if (value->isnull)
	{
		source->remaining = 0;
		return;
	}
	get_typlenbyval(source->plan.filter.type, &len, &byval);
	source->position.filter = datumCopy(value->value, byval, len);
}

/* Begins to stream the argument's filières; NULLs in an array are left out. */
static void
start_scan(ChapterSource *source, const NullableDatum *filiere)
{
	ChapterFeed *feed = source->feed;
	Datum		argument;
	Datum	   *filieres;
	int			nfilieres = 0;

	if (feed->several)
	{
		bool	   *isnull;
		int			nelements;

		argument = PointerGetDatum(DatumGetArrayTypePCopy(filiere->value));
		deconstruct_array(DatumGetArrayTypeP(argument), feed->filiere.oid,
						  feed->filiere.len, feed->filiere.byval, feed->filiere.align, &filieres,
						  &isnull, &nelements);
		for (int i = 0; i < nelements; i++)
		{
			if (!isnull[i])
				filieres[nfilieres++] = filieres[i];
		}
	}
	else
	{
		filieres = palloc(sizeof(Datum));
		argument = datumCopy(filiere->value, feed->filiere.byval, feed->filiere.len);
		filieres[nfilieres++] = argument;
	}

	while (source->scan == NULL && source->targets != NULL)
	{
		source->targets->filieres = argument;
		source->scan = catalogue_feed_scan_begin(source->targets, source->snapshot, feed,
												 &source->plan, &source->position, filieres, nfilieres,
												 rows_wanted(source));
		if (source->scan == NULL)
			replan(source);
	}
}

/* No more are needed; a LIMIT above counts the rows that meet the filter. */
static int64
rows_wanted(const ChapterSource *source)
{
	return source->filter_gone ? source->remaining : Min(source->remaining, source->base.max_rows);
}

/* A partition that was locked has changed since the reference plan was read. */
static void
replan(ChapterSource *source)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(source->cxt);

	begin_targets(source);
	MemoryContextSwitchTo(oldcxt);
}

/*
 * Runs the saved plans of a page, key range after key range, into a tuplestore.
 * They run as the caller, who is checked as for any query.
 */
static void
run_key_ranges(ChapterSource *source, const NullableDatum *filiere)
{
	ChapterPosition *position = &source->position;
	int64		remaining = source->remaining;
	Bitmapset  *columns = NULL;
	CachedPin  *pin = palloc(sizeof(CachedPin));
	KeyRangePlans *plans;

	source->stored = tuplestore_begin_heap(false, false, work_mem);
	source->stored_row = MakeSingleTupleTableSlot(source->base.tupdesc, &TTSOpsMinimalTuple);

	for (int i = 0; i < source->columns.ncolumns; i++)
		columns = bms_add_member(columns, source->columns.numbers[i]);
	catalogue_init_pin(pin, source->page_cxt);
	plans = catalogue_feed_pin_key_range_plans(pin, source->feed, columns);

	SPI_connect();
	for (ChapterKeyRange range = position->first_range; range != KEY_RANGE_END && remaining > 0;
		 range = catalogue_feed_next_key_range(source->rel, &source->plan, range))
	{
		DestReceiver *dest = CreateTuplestoreDestReceiver();
		SPIExecuteOptions options = {
			.params = catalogue_feed_params(source->feed, filiere, remaining, &position->before_at,
											&position->before_id),
			.read_only = true,
			.dest = dest,
		};
		int64		rows;

		SetTuplestoreDestReceiverParams(dest, source->stored, source->page_cxt, false,
										source->base.tupdesc,
										gettext_noop("the table of chapters has changed"));
		rows = catalogue_execute_plan(catalogue_feed_key_range_plan(source->feed, plans, range),
									  &options);
		if (remaining != ALL_CHAPTERS)
			remaining -= rows;
		dest->rDestroy(dest);
	}
	SPI_finish();
	catalogue_unpin(pin);
}

/*
 * The values point into the chapter's own slot, which is pinned until the next
 * one is asked for.
 */
static bool
next_chapter(TupleSource *base, TupleTableSlot *slot)
{
	ChapterSource *source = (ChapterSource *) base;
	const ScanTarget *target = NULL;
	TupleTableSlot *row = NULL;

	ExecClearTuple(slot);
	if (source->remaining <= 0)
		return false;

	if (source->scan != NULL)
	{
		row = catalogue_feed_scan_next(source->scan, &target);
		source->remaining--;
	}
	else if (source->stored != NULL &&
			 tuplestore_gettupleslot(source->stored, true, false, source->stored_row))
		row = source->stored_row;
	if (row == NULL)
	{
		source->remaining = 0;
		return false;
	}

	catalogue_feed_store_columns(target != NULL ? &target->columns : &source->columns, row, slot);
	if (target != NULL && target->virtual_columns != NULL)
		catalogue_feed_compute_virtual_columns(target->virtual_columns, row, slot);
	ExecStoreVirtualTuple(slot);

	return true;
}

static void
close_chapters(TupleSource *base)
{
	ChapterSource *source = (ChapterSource *) base;

	if (source->scan != NULL)
	{
		add_counts(source->scan, &source->counts);
		catalogue_feed_scan_end(source->scan);
	}
	source->scan = NULL;
	if (source->stored != NULL)
	{
		ExecDropSingleTupleTableSlot(source->stored_row);
		tuplestore_end(source->stored);
	}
	source->stored = NULL;
	MemoryContextReset(source->page_cxt);
}

/* Adds up what a scan has counted, before it ends. */
static void
add_counts(const ChapterScan *scan, ChapterCounts *counts)
{
	int64		heap_fetches = catalogue_feed_scan_heap_fetches(scan);

	counts->rows_read += catalogue_feed_scan_rows_read(scan);
	counts->blocks_ahead += catalogue_feed_scan_blocks_ahead(scan);
	if (heap_fetches >= 0)
	{
		counts->index_only = true;
		counts->heap_fetches += heap_fetches;
	}
	counts->merged = Max(counts->merged, catalogue_feed_scan_merged(scan));
}

static void
end_chapters(TupleSource *base)
{
	ChapterSource *source = (ChapterSource *) base;

	if (source->targets != NULL)
		catalogue_feed_end_targets(source->targets);
	table_close(source->rel, NoLock);
	MemoryContextDelete(source->cxt);
}

/* A query that was not run to its end has an open scan, which goes on. */
static void
explain_chapters(TupleSource *base, List *args, ExplainState *es)
{
	const ChapterSource *source = (const ChapterSource *) base;
	ChapterCounts counts = source->counts;

	if (source->scan != NULL)
		add_counts(source->scan, &counts);
	catalogue_feed_explain(source->feed, &source->plan, args, &counts, es);
}
