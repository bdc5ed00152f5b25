/*
 * index_targets.c
 *		The indexes that a page is streamed from: one for each table or partition.
 *
 * They are those of the reference plan: an index scan of the bound table, or an
 * Append or MergeAppend of one for each partition or child, with no filter, each by
 * an index on (filière, created_at, id), or one with a filter's column beside the
 * filière.  That its directions fit is what the planner says by not sorting.  Where
 * that is not so of all partitions, each is planned by itself.
 *
 * Lifetime: in the current memory context.  The caller holds the plan's locks.
 */
#include "feed/index_targets.h"

#include "feed/leaf_plan.h"
#include "feed/leaf_scan.h"
#include "feed/scan_keys.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static const char *find_target(const ChapterFeed *feed, const PageFilter *filter,
							   const PlannedStmt *stmt, const Plan *plan, IndexTarget *target);
static List *leaves_of_plan(const ChapterFeed *feed, const PlannedStmt *stmt);
static bool find_leaf_target(const ChapterFeed *feed, Oid relid, IndexTarget *target);
static bool has_ids(const ChapterFeed *feed, Oid relid);
static int	compare_targets(const void *a, const void *b);
static const char *why_not_index_scan(const Plan *plan);
static void set_table(const ChapterFeed *feed, Oid relid, IndexTarget *target);
static const char *why_not_table(const IndexTarget *target);
static bool index_has_order(const ChapterFeed *feed, const PageFilter *filter, IndexTarget *target);
static bool set_equalities(const ChapterFeed *feed, IndexTarget *target, List *indexqual);
static void set_filter(IndexTarget *target, Oid opno);
static void set_equality(const ChapterFeed *feed, IndexTarget *target, Oid opno);
static Datum equal_text(PG_FUNCTION_ARGS);

/*
 * Looks into the reference query's plan, below its Limit, for indexes that can be
 * streamed from.  Returns NULL and sets the targets, by their tables' OIDs, if all of
 * it is such, else the reason for EXPLAIN.
 */
const char *
catalogue_feed_find_targets(const ChapterFeed *feed, const PageFilter *filter,
							const PlannedStmt *stmt, const Plan *plan,
							IndexTarget **targets, int *ntargets)
{
	const char *not_streamed = NULL;
	List	   *plans;
	ListCell   *lc;

	if (IsA(plan, Append))
		plans = ((const Append *) plan)->appendplans;
	else if (IsA(plan, MergeAppend))
		plans = ((const MergeAppend *) plan)->mergeplans;
	else
		plans = list_make1(unconstify(Plan *, plan));

	*ntargets = 0;
	*targets = palloc0(sizeof(IndexTarget) * list_length(plans));
	foreach(lc, plans)
	{
		not_streamed = find_target(feed, filter, stmt, lfirst(lc), &(*targets)[*ntargets]);
		if (not_streamed != NULL)
			break;
		(*ntargets)++;
	}
	if (not_streamed != NULL)
		*ntargets = 0;
	qsort(*targets, *ntargets, sizeof(IndexTarget), compare_targets);

	return not_streamed;
}

/*
 * Looks for an index of each partition or child by itself, whose table the plan as a
 * whole does not stream: where one has no index, or the plan sorts all of them.
 * Those without are left to the executor.  False if no partition has an index, or one
 * may have rows without an id, by which rows are merged.
 */
bool
catalogue_feed_find_leaf_targets(const ChapterFeed *feed, const PlannedStmt *stmt,
								 IndexTarget **targets, int *ntargets)
{
	List	   *leaves = leaves_of_plan(feed, stmt);
	bool		found = false;
	ListCell   *lc;

	*ntargets = 0;
	if (list_length(leaves) < 2)
		return false;

	*targets = palloc0(sizeof(IndexTarget) * list_length(leaves));
	foreach(lc, leaves)
	{
		IndexTarget *target = &(*targets)[(*ntargets)++];

		CHECK_FOR_INTERRUPTS();
		if (find_leaf_target(feed, lfirst_oid(lc), target))
			found = true;
		else if (!has_ids(feed, lfirst_oid(lc)))
		{
			found = false;
			break;
		}
		else
			*target = (IndexTarget)
		{
			.relid = lfirst_oid(lc),
				.by_executor = true,
				.created_at_attno = LEAF_CREATED_AT,
				.id_attno = LEAF_ID,
		};
	}
	if (!found)
		*ntargets = 0;
	qsort(*targets, *ntargets, sizeof(IndexTarget), compare_targets);

	return found;
}

/* The tables with rows among those of a plan. */
static List *
leaves_of_plan(const ChapterFeed *feed, const PlannedStmt *stmt)
{
	char		relkind = get_rel_relkind(feed->relid);
	List	   *leaves = NIL;
	ListCell   *lc;

	if (relkind != RELKIND_PARTITIONED_TABLE && relkind != RELKIND_RELATION)
		return NIL;
	foreach(lc, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE)
			leaves = list_append_unique_oid(leaves, rte->relid);
	}

	return leaves;
}

/* Whether a partition has an index that can be streamed from. */
static bool
find_leaf_target(const ChapterFeed *feed, Oid relid, IndexTarget *target)
{
	const PageFilter no_filter = {0};
	PlannedStmt *stmt;
	Plan	   *plan;

	if (get_rel_relkind(relid) != RELKIND_RELATION)
		return false;
	stmt = catalogue_feed_plan_leaf_by_index(feed, relid);
	plan = stmt->planTree;
	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	return find_target(feed, &no_filter, stmt, plan, target) == NULL;
}

/* Whether all rows of a table have an id. */
static bool
has_ids(const ChapterFeed *feed, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = catalogue_column_is_not_null(RelationGetDescr(rel),
													  get_attnum(relid, feed->attachment->chapters_id));

	table_close(rel, NoLock);

	return result;
}

/* qsort comparator: by the tables' OIDs. */
static int
compare_targets(const void *a, const void *b)
{
	Oid			relid_a = ((const IndexTarget *) a)->relid;
	Oid			relid_b = ((const IndexTarget *) b)->relid;

	return relid_a < relid_b ? -1 : relid_a > relid_b;
}

/* The same of the plan for one table. */
static const char *
find_target(const ChapterFeed *feed, const PageFilter *filter, const PlannedStmt *stmt,
			const Plan *plan, IndexTarget *target)
{
	const char *not_streamed;
	List	   *indexqual;

	if (IsA(plan, IndexScan))
	{
		const IndexScan *scan = (const IndexScan *) plan;

		target->indexid = scan->indexid;
		target->direction = scan->indexorderdir;
		indexqual = scan->indexqual;
	}
	else if (IsA(plan, IndexOnlyScan))
	{
		const IndexOnlyScan *scan = (const IndexOnlyScan *) plan;

		target->indexid = scan->indexid;
		target->direction = scan->indexorderdir;
		indexqual = scan->indexqual;
	}
	else
		return why_not_index_scan(plan);

	set_table(feed, rt_fetch(((const Scan *) plan)->scanrelid, stmt->rtable)->relid, target);

	not_streamed = why_not_table(target);
	if (not_streamed != NULL)
		return not_streamed;
	if (plan->qual != NIL)
		return "the plan filters the rows";
	if (!index_has_order(feed, filter, target))
		return "the plan's index is not on (filiere, created_at, id)";
	if (!set_equalities(feed, target, indexqual))
		return "the plan filters the rows";

	return NULL;
}

static const char *
why_not_index_scan(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_ForeignScan:
			return "the table is foreign";
		case T_CustomScan:
			return "the table is scanned by another extension";
		case T_Sort:
		case T_IncrementalSort:
			return "no index has the order (filiere, created_at DESC NULLS LAST, id DESC)";
		default:
			return "the plan does not read one index in order";
	}
}

/*
 * heap_fetch.c does without the table access method.  And a page's place has an id:
 * attach() asks for one that is never NULL, which may have changed, and a child of a
 * table can differ from it.
 */
static const char *
why_not_table(const IndexTarget *target)
{
	Relation	rel = table_open(target->relid, AccessShareLock);
	const char *not_streamed = NULL;

	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		not_streamed = "the table is not a heap";
	else if (!catalogue_column_is_not_null(RelationGetDescr(rel), target->id_attno))
		not_streamed = "the id may be null";
	table_close(rel, NoLock);

	return not_streamed;
}

/*
 * Whether a page could be streamed from an index of a table: its columns are such.
 * Their directions are another matter.
 */
bool
catalogue_feed_index_fits(const ChapterFeed *feed, const PageFilter *filter, Oid relid, Oid indexid)
{
	IndexTarget target = {.indexid = indexid};

	set_table(feed, relid, &target);

	return index_has_order(feed, filter, &target);
}

/* Columns of the bound table, a partition or a child, by their names. */
static void
set_table(const ChapterFeed *feed, Oid relid, IndexTarget *target)
{
	const Attachment *attachment = feed->attachment;

	target->relid = relid;
	target->filiere_attno = get_attnum(relid, attachment->chapters_filiere);
	target->created_at_attno = get_attnum(relid, attachment->chapters_created_at);
	target->id_attno = get_attnum(relid, attachment->chapters_id);
}

/*
 * Whether an index begins with the columns filière, created_at and id, or these and the
 * filter's.
 */
static bool
index_has_order(const ChapterFeed *feed, const PageFilter *filter, IndexTarget *target)
{
	Relation	index = index_open(target->indexid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	const int16 *columns = form->indkey.values;
	AttrNumber	filter_attno = 0;
	int			nleading = 1;
	bool		fits;

	target->filiere_key = INDEX_FILIERE;
	target->filter_key = 0;
	if (filter->attno != 0)
	{
		filter_attno = get_attnum(target->relid, get_attname(feed->relid, filter->attno, false));
		target->filiere_key = columns[0] == filter_attno ? 2 : 1;
		target->filter_key = 3 - target->filiere_key;
		nleading = MAX_LEADING_KEYS;
	}
	target->created_at_key = nleading + 1;

	fits = form->indrelid == target->relid && index->rd_rel->relam == BTREE_AM_OID &&
		form->indnkeyatts >= nleading + 2 &&
		columns[target->filiere_key - 1] == target->filiere_attno &&
		(target->filter_key == 0 || columns[target->filter_key - 1] == filter_attno) &&
		columns[target->created_at_key - 1] == target->created_at_attno &&
		columns[target->created_at_key] == target->id_attno;
	index_close(index, NoLock);

	return fits;
}

/* Takes over the plan's comparisons, one for each leading column; whether these are all. */
static bool
set_equalities(const ChapterFeed *feed, IndexTarget *target, List *indexqual)
{
	ListCell   *lc;

	if (list_length(indexqual) != target->created_at_key - 1)
		return false;
	foreach(lc, indexqual)
	{
		OpExpr	   *condition = (OpExpr *) lfirst(lc);
		AttrNumber	key;

		if (!IsA(condition, OpExpr))
			return false;
		key = castNode(Var, linitial(condition->args))->varattno;
		if (key == target->filiere_key)
			set_equality(feed, target, condition->opno);
		else if (key == target->filter_key)
			set_filter(target, condition->opno);
		else
			return false;
	}

	return true;
}

static void
set_filter(IndexTarget *target, Oid opno)
{
	Relation	index = index_open(target->indexid, AccessShareLock);
	int			strategy;
	Oid			left;

	target->filter_operator = opno;
	get_op_opfamily_properties(opno, index->rd_opfamily[target->filter_key - 1], false, &strategy,
							   &left, &target->filter_type);
	index_close(index, NoLock);
}

/*
 * The function that compares an index entry's filière with the argument.
 *
 * The index AM calls it for every entry of a page.  For strings whose
 * collation takes only equal bytes as equal, equal_text() does what texteq()
 * does without looking up the collation for each.
 */
static void
set_equality(const ChapterFeed *feed, IndexTarget *target, Oid opno)
{
	Relation	index = index_open(target->indexid, AccessShareLock);

	target->equality_operator = opno;
	fmgr_info_cxt(get_opcode(opno), &target->equality, feed->base.cxt);
	target->equality_type = catalogue_feed_key_type(index, target->filiere_key, feed->filiere.oid);
	if (target->equality.fn_oid == F_TEXTEQ &&
		get_collation_isdeterministic(index->rd_indcollation[target->filiere_key - 1]))
		target->equality.fn_addr = equal_text;
	index_close(index, NoLock);
}

/* texteq() under a deterministic collation; of toasted values an index has few. */
static Datum
equal_text(PG_FUNCTION_ARGS)
{
	const struct varlena *a = (const struct varlena *) PG_GETARG_POINTER(0);
	const struct varlena *b = (const struct varlena *) PG_GETARG_POINTER(1);

	if (VARATT_IS_EXTERNAL(a) || VARATT_IS_COMPRESSED(a) || VARATT_IS_EXTERNAL(b) ||
		VARATT_IS_COMPRESSED(b))
		return texteq(fcinfo);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
				   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0);
}
