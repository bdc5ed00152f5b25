/*
 * reference_plan.c
 *		What the planner answers about the feed's reference query.
 *
 * Ask the planner, don't guess.  For every function there is the query that anyone
 * would write by hand for a first page, and its generic plan among the indexes that
 * can be streamed from (ordered_plan.c).  Where that reads one ordered index of the
 * bound table, or of each of its partitions (index_targets.c), it is done without the
 * executor.  Where not every partition has one, those that do are streamed from, and
 * the executor reads the others (leaf_scan.c).  Any other plan means that the planner
 * knows something that this module doesn't (row-level security, a foreign or
 * distributed table, a missing index); then the executor runs the plans of
 * key_range.c, and the query's own best plan says what that costs.
 *
 * Locking: the caller has locked the table.  Asking again for a plan that is still
 * valid locks no partition: of many a filière is in few.  Whoever reads one locks
 * it first, and then asks whether the plan is current.  A new plan has the locks
 * that running it would take; all are held to the end of the transaction.
 *
 * Lifetime: the query is prepared once for a feed.  The server's plan cache
 * replans it when DDL, ANALYZE or a change of role has made the plan invalid.
 * Planning may run functions of the user's, which may call the feed in turn; so
 * a caller pins the targets, and the feed's own are replaced at one stroke.
 */
#include "feed/reference_plan.h"

#include "feed/key_range.h"
#include "feed/leaf_plan.h"
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
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Where a plan can be streamed from. */
typedef struct TargetList
{
	CachedThing base;			/* (must be first) */
	LeafPlans	leaf_plans;
	IndexTarget targets[FLEXIBLE_ARRAY_MEMBER];
} TargetList;

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
	TargetList *targets;		/* NULL for none */
} CachedReferencePlan;

static void read_reference_plan(ChapterFeed *feed, const PageFilter *filter, bool ordered,
								ReferencePlan *plan, CachedPin *targets_pin);
static CachedReferencePlan *prepare_reference(ChapterFeed *feed, const PageFilter *filter,
											  bool ordered);
static bool is_valid(const CachedReferencePlan *cached);
static void read_plan(const ChapterFeed *feed, const CachedReferencePlan *cached,
					  CachedPlan *cplan, bool row_security, ReferencePlan *reference);
static double count_pages(const PlannedStmt *stmt);
static void keep_plan(const ChapterFeed *feed, CachedReferencePlan *cached,
					  const ReferencePlan *plan, int generation);
static Oid	find_id_index(Oid relid, const ReferencePlan *reference);
static bool identifies_row(Relation rel, Relation index, AttrNumber attno);

/*
 * What the reference query's generic plan says, valid now.  Its targets are there
 * for those who give a pin for them, which ends before that on the feed.
 */
void
catalogue_feed_read_reference_plan(ChapterFeed *feed, const PageFilter *filter,
								   ReferencePlan *plan, CachedPin *targets_pin)
{
	const char *not_streamed;

	read_reference_plan(feed, filter, true, plan, targets_pin);
	not_streamed = plan->not_streamed;
	if (not_streamed == NULL)
		return;

	read_reference_plan(feed, filter, false, plan, targets_pin);
	if (plan->not_streamed != NULL)
		plan->not_streamed = not_streamed;
}

/*
 * The same of one way to plan it.  The plan is read again only after the server has
 * replanned it.
 */
static void
read_reference_plan(ChapterFeed *feed, const PageFilter *filter, bool ordered, ReferencePlan *plan,
					CachedPin *targets_pin)
{
	CachedReferencePlan *cached = prepare_reference(feed, filter, ordered);

	if (is_valid(cached))
		*plan = cached->plan;
	else
	{
		CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(cached->query));
		CachedPlan *cplan = ordered ? catalogue_feed_ordered_plan(feed, filter, source)
			: GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);

		if (cached->generation != cplan->generation)
		{
			read_plan(feed, cached, cplan, source->dependsOnRLS, plan);
			keep_plan(feed, cached, plan, cplan->generation);
		}
		*plan = cached->plan;
		plan->targets_locked = true;
		ReleaseCachedPlan(cplan, CurrentResourceOwner);
	}

	if (targets_pin == NULL)
		plan->targets = NULL;
	else if (cached->targets != NULL)
		catalogue_pin(targets_pin, &cached->targets->base);
}

/*
 * Whether a plan is what it was when it was read, as of the last invalidation
 * message: of a target that has been locked since, or of none.
 */
bool
catalogue_feed_plan_is_current(const ReferencePlan *plan)
{
	return plan->generation == plan->cached->generation && is_valid(plan->cached);
}

/*
 * Whether the server would take its plan again without a look at anything but
 * messages.  The query's names are qualified: no search_path makes a difference.
 */
static bool
is_valid(const CachedReferencePlan *cached)
{
	const CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(cached->query));
	const CachedPlan *cplan = source->gplan;

	return cached->generation != 0 && source->is_valid && !source->dependsOnRLS &&
		cplan != NULL && cplan->generation == cached->generation && cplan->is_valid &&
		!cplan->dependsOnRole && !TransactionIdIsValid(cplan->saved_xmin);
}

/* The number of the target that is a table; -1 for none. */
int
catalogue_feed_target_number(const ReferencePlan *plan, Oid relid)
{
	int			low = 0;
	int			high = plan->ntargets - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (plan->targets[middle].relid == relid)
			return middle;
		if (plan->targets[middle].relid < relid)
			low = middle + 1;
		else
			high = middle - 1;
	}

	return -1;
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
		ChapterTable table = catalogue_feed_table(feed);
		const char *columns = ordered ? catalogue_feed_ordered_plan_columns(feed) : "*";
		char	   *sql = catalogue_feed_key_range_query(feed, &table, columns, false,
														 KEY_RANGE_NEWEST, filter);
		SPIPlanPtr	query = catalogue_feed_prepare(feed, feed->base.cxt, feed->filiere.oid,
												   filter->type, sql, 0);

		cached = MemoryContextAllocZero(feed->base.cxt, sizeof(CachedReferencePlan));
		cached->filter = *filter;
		cached->ordered = ordered;
		cached->query = query;
		cached->next = feed->reference;
		feed->reference = cached;
	}

	return cached;
}

/*
 * Leaves without the index are read by the executor only where the planner was free:
 * what it was to avoid has costs that say nothing.
 */
static void
read_plan(const ChapterFeed *feed, const CachedReferencePlan *cached, CachedPlan *cplan,
		  bool row_security, ReferencePlan *reference)
{
	const PageFilter *filter = &cached->filter;
	const Attachment *attachment = feed->attachment;
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);
	Plan	   *plan = stmt->planTree;
	IndexTarget *targets;

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	MemSet(reference, 0, sizeof(ReferencePlan));
	reference->filter = *filter;
	reference->depends_on_role = row_security || stmt->dependsOnRole;
	reference->rows = plan->plan_rows;
	reference->startup_cost = plan->startup_cost;
	reference->total_cost = plan->total_cost;
	reference->pages = count_pages(stmt);
	reference->filiere_attno = get_attnum(feed->relid, attachment->chapters_filiere);
	reference->created_at_attno = get_attnum(feed->relid, attachment->chapters_created_at);
	reference->id_attno = get_attnum(feed->relid, attachment->chapters_id);
	reference->not_streamed = catalogue_feed_find_targets(feed, filter, stmt, plan, &targets,
														  &reference->ntargets);
	if (reference->not_streamed != NULL && row_security)
		reference->not_streamed = "row-level security applies";
	else if (reference->not_streamed != NULL && !cached->ordered && filter->attno == 0 &&
			 !stmt->dependsOnRole &&
			 catalogue_feed_find_leaf_targets(feed, stmt, &targets, &reference->ntargets))
		reference->not_streamed = NULL;
	reference->targets = targets;
	for (int i = 0; i < reference->ntargets; i++)
	{
		if (!targets[i].by_executor)
			reference->equality_operator = targets[i].equality_operator;
	}
	if (reference->not_streamed == NULL && reference->ntargets == 1 &&
		reference->targets[0].relid == feed->relid)
		reference->id_indexid = find_id_index(feed->relid, reference);
}

/* As of the last VACUUM or ANALYZE; a partitioned table has none of its own. */
static double
count_pages(const PlannedStmt *stmt)
{
	double		pages = 0;
	ListCell   *lc;

	foreach(lc, stmt->relationOids)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (HeapTupleIsValid(tuple))
		{
			pages += Max(((Form_pg_class) GETSTRUCT(tuple))->relpages, 0);
			ReleaseSysCache(tuple);
		}
	}

	return pages;
}

/* Replaces what is kept, at one stroke, when nothing can fail any more. */
static void
keep_plan(const ChapterFeed *feed, CachedReferencePlan *cached, const ReferencePlan *plan,
		  int generation)
{
	Size		size = sizeof(IndexTarget) * plan->ntargets;
	TargetList *targets = NULL;

	if (plan->ntargets > 0)
	{
		MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue index targets",
												  ALLOCSET_SMALL_SIZES);

		targets = MemoryContextAllocZero(cxt, offsetof(TargetList, targets) + size);
		targets->base.cxt = targets->leaf_plans.parent = cxt;
		memcpy(targets->targets, plan->targets, size);
		MemoryContextSetParent(cxt, feed->base.cxt);
	}
	if (cached->targets != NULL)
		catalogue_drop_cached(&cached->targets->base);
	cached->targets = targets;
	cached->plan = *plan;
	cached->plan.targets = targets != NULL ? targets->targets : NULL;
	cached->plan.leaf_plans = targets != NULL ? &targets->leaf_plans : NULL;
	cached->plan.cached = cached;
	cached->plan.generation = cached->generation = generation;
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
