/*
 * reference_plan.c
 *		What the planner answers about the feed's reference query.
 *
 * Ask the planner, don't guess.  For every function there is the query that anyone
 * would write by hand for a first page, and its generic plan among the indexes that
 * can be streamed from (ordered_plan.c).  Where that reads one ordered index of the
 * bound table, or of each of its partitions (index_targets.c), it is done without the
 * executor.  Any other plan means that the planner knows something that this module
 * doesn't (row-level security, a foreign or distributed table, a missing index); then
 * the executor runs the plans of key_range.c, and the query's own best plan says what
 * that costs.
 *
 * Locking: asking for the reference plan takes the locks that running it would
 * take, and they are held to the end of the transaction.
 *
 * Lifetime: the query is prepared once for a feed.  The server's plan cache
 * replans it when DDL, ANALYZE or a change of role has made the plan invalid.
 * Planning may run functions of the user's, which may call the feed in turn; so
 * a caller gets a copy, and the feed's own is replaced at one stroke.
 */
#include "feed/reference_plan.h"

#include "feed/key_range.h"
#include "feed/ordered_plan.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

typedef struct CachedReferencePlan
{
	struct CachedReferencePlan *next;	/* of another filter, or planned in
										 * another way */
	PageFilter	filter;
	bool		ordered;		/* by ordered_plan.c */
	SPIPlanPtr	query;
	int			generation;		/* of the server's plan that "plan" was read
								 * from; 0 for none */
	ReferencePlan plan;
	MemoryContext targets_cxt;	/* of its targets */
} CachedReferencePlan;

static void read_reference_plan(ChapterFeed *feed, const PageFilter *filter, bool ordered,
								ReferencePlan *plan);
static CachedReferencePlan *prepare_reference(ChapterFeed *feed, const PageFilter *filter,
											  bool ordered);
static void read_plan(const ChapterFeed *feed, const PageFilter *filter, CachedPlan *cplan,
					  bool row_security, ReferencePlan *reference);
static void keep_plan(CachedReferencePlan *cached, const ReferencePlan *plan, int generation);
static IndexTarget *copy_targets(const ReferencePlan *plan, MemoryContext cxt);
static Oid	find_id_index(Oid relid, const ReferencePlan *reference);
static bool identifies_row(Relation rel, Relation index, AttrNumber attno);

/*
 * What the reference query's generic plan says, valid now and with its locks
 * taken; in the current memory context.
 */
void
catalogue_feed_read_reference_plan(ChapterFeed *feed, const PageFilter *filter,
								   ReferencePlan *plan)
{
	const char *not_streamed;

	read_reference_plan(feed, filter, true, plan);
	not_streamed = plan->not_streamed;
	if (not_streamed == NULL)
		return;

	read_reference_plan(feed, filter, false, plan);
	if (plan->not_streamed != NULL)
		plan->not_streamed = not_streamed;
}

/* The same of one way to plan it.  The plan is read again only after the server has replanned it. */
static void
read_reference_plan(ChapterFeed *feed, const PageFilter *filter, bool ordered, ReferencePlan *plan)
{
	CachedReferencePlan *cached = prepare_reference(feed, filter, ordered);
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(cached->query));
	CachedPlan *cplan = ordered ? catalogue_feed_ordered_plan(feed, filter, source)
		: GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);

	if (cached->generation == cplan->generation)
	{
		*plan = cached->plan;
		plan->targets = copy_targets(plan, CurrentMemoryContext);
	}
	else
	{
		read_plan(feed, filter, cplan, source->dependsOnRLS, plan);
		keep_plan(cached, plan, cplan->generation);
	}
	ReleaseCachedPlan(cplan, CurrentResourceOwner);
}

/* Of the filters that were asked for, each has a query of its own. */
static CachedReferencePlan *
prepare_reference(ChapterFeed *feed, const PageFilter *filter, bool ordered)
{
	CachedReferencePlan *cached = feed->reference;

	while (cached != NULL && (cached->ordered != ordered ||
							  cached->filter.attno != filter->attno ||
							  cached->filter.opno != filter->opno))
		cached = cached->next;
	if (cached == NULL)
	{
		char	   *sql = catalogue_feed_key_range_query(feed, "*", false, KEY_RANGE_NEWEST, filter);
		SPIPlanPtr	query = catalogue_feed_prepare(feed, feed->base.cxt, feed->filiere.oid,
												   filter->type, sql, 0);

		cached = MemoryContextAllocZero(feed->base.cxt, sizeof(CachedReferencePlan));
		cached->filter = *filter;
		cached->ordered = ordered;
		cached->query = query;
		cached->targets_cxt = AllocSetContextCreate(feed->base.cxt, "catalogue index targets",
													ALLOCSET_SMALL_SIZES);
		cached->next = feed->reference;
		feed->reference = cached;
	}

	return cached;
}

static void
read_plan(const ChapterFeed *feed, const PageFilter *filter, CachedPlan *cplan, bool row_security,
		  ReferencePlan *reference)
{
	const Attachment *attachment = feed->attachment;
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);
	Plan	   *plan = stmt->planTree;

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	MemSet(reference, 0, sizeof(ReferencePlan));
	reference->filter = *filter;
	reference->depends_on_role = row_security || stmt->dependsOnRole;
	reference->rows = plan->plan_rows;
	reference->startup_cost = plan->startup_cost;
	reference->total_cost = plan->total_cost;
	reference->filiere_attno = get_attnum(feed->relid, attachment->chapters_filiere);
	reference->created_at_attno = get_attnum(feed->relid, attachment->chapters_created_at);
	reference->id_attno = get_attnum(feed->relid, attachment->chapters_id);
	reference->not_streamed = catalogue_feed_find_targets(feed, filter, stmt, plan, &reference->targets,
														  &reference->ntargets);
	if (reference->not_streamed != NULL && row_security)
		reference->not_streamed = "row-level security applies";
	if (reference->not_streamed == NULL && reference->ntargets == 1 &&
		reference->targets[0].relid == feed->relid)
		reference->id_indexid = find_id_index(feed->relid, reference);
}

/* Replaces what is kept, at one stroke: the context is reset when nothing can fail any more. */
static void
keep_plan(CachedReferencePlan *cached, const ReferencePlan *plan, int generation)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue index targets",
											  ALLOCSET_SMALL_SIZES);
	IndexTarget *targets = copy_targets(plan, cxt);

	MemoryContextSetParent(cxt, MemoryContextGetParent(cached->targets_cxt));
	MemoryContextDelete(cached->targets_cxt);
	cached->targets_cxt = cxt;
	cached->plan = *plan;
	cached->plan.targets = targets;
	cached->generation = generation;
}

static IndexTarget *
copy_targets(const ReferencePlan *plan, MemoryContext cxt)
{
	Size		size = sizeof(IndexTarget) * plan->ntargets;

	return plan->ntargets > 0 ? memcpy(MemoryContextAlloc(cxt, size), plan->targets, size) : NULL;
}

/* A unique index on the id alone, by which a page's position can be looked up. */
static Oid
find_id_index(Oid relid, const ReferencePlan *reference)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (identifies_row(rel, index, reference->id_attno))
			found = RelationGetRelid(index);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);

	return found;
}

/*
 * Whether id = value by this index is id = value in SQL: at any moment, of all
 * rows, and by the equality and the collation of the column.  A predicate is not
 * read: to do that would evaluate functions that it calls.
 */
static bool
identifies_row(Relation rel, Relation index, AttrNumber attno)
{
	Form_pg_index form = index->rd_index;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Oid			type = index->rd_opcintype[0];

	return form->indisunique && form->indimmediate && form->indisvalid && form->indisready &&
		!form->indcheckxmin && form->indnkeyatts == 1 && form->indkey.values[0] == attno &&
		index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		index->rd_indcollation[0] == att->attcollation &&
		get_opfamily_member(index->rd_opfamily[0], type, type, BTEqualStrategyNumber) ==
		lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_EQ_OPR)->eq_opr;
}
