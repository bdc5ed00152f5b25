/*
 * leaf_plan.c
 *		Plans of single partitions, with the rights of the table.
 *
 * Where a partition has no index for the feed, or is foreign, the executor reads it
 * by a query of its own.  A query of a partition would ask for rights on that, and
 * apply its own policies; a query of the table asks for rights on the table alone.
 * So this one is planned without being rewritten, and the plan asks for no rights:
 * they have been checked.  Where the table itself has policies nothing of this is
 * done.
 *
 * The plans are generic ones.  They hold as long as the reference plan does, which
 * reads the same partitions, and are kept with it, for the columns that were asked
 * for last.  Whoever runs one gets a copy.
 */
#include "feed/leaf_plan.h"

#include "feed/feed_order.h"
#include "feed/ordered_plan.h"

#include "names.h"

#include "access/table.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

static LeafPlan *make_plan(const ChapterFeed *feed, Oid relid, ChapterKeyRange range,
						   const AttrNumber *columns, int ncolumns);
static char *select_list(const ChapterFeed *feed, const AttrNumber *columns, int ncolumns);
static const char *column_of_table(Relation rel, AttrNumber column);
static ChapterTable leaf_table(const ChapterFeed *feed, Oid relid);
static PlannedStmt *plan_query(const ChapterFeed *feed, const char *query);
static Query *analyze_query(const ChapterFeed *feed, Oid filiere_type, const char *query);
static LeafPlan **kept_place(const ReferencePlan *plan, int target, ChapterKeyRange range,
							 const AttrNumber *columns, int ncolumns);
static LeafPlan *copy_plan(const LeafPlan *plan);

/*
 * The plan of the reference query for one partition alone; in the order of an index, if
 * it has one.
 */
PlannedStmt *
catalogue_feed_plan_leaf_by_index(const ChapterFeed *feed, Oid relid)
{
	const PageFilter no_filter = {0};
	ChapterTable table = leaf_table(feed, relid);
	char	   *query = catalogue_feed_key_range_query(feed, &table, "*", false, KEY_RANGE_NEWEST,
													   &no_filter);

	return catalogue_feed_plan_in_order(feed, &no_filter,
										analyze_query(feed, feed->filiere.oid, query), query);
}

/*
 * The plan of a target for a key range, with the parameters of
 * catalogue_feed_params(); in the current memory context.  Its rows are created_at,
 * id, and the columns of the table.
 */
LeafPlan *
catalogue_feed_leaf_plan(const ChapterFeed *feed, const ReferencePlan *plan, int target,
						 ChapterKeyRange range, const AttrNumber *columns, int ncolumns)
{
	LeafPlan  **place = kept_place(plan, target, range, columns, ncolumns);
	LeafPlan   *made;

	if (*place != NULL)
		return copy_plan(*place);

	made = make_plan(feed, plan->targets[target].relid, range, columns, ncolumns);

	/* Planning may have run the feed for other columns. */
	place = kept_place(plan, target, range, columns, ncolumns);
	if (*place == NULL)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(plan->leaf_plans->cxt);

		*place = copy_plan(made);
		MemoryContextSwitchTo(oldcxt);
	}

	return made;
}

/* Where a plan is kept; plans for other columns are dropped. */
static LeafPlan **
kept_place(const ReferencePlan *plan, int target, ChapterKeyRange range, const AttrNumber *columns,
		   int ncolumns)
{
	LeafPlans  *kept = plan->leaf_plans;

	if (kept->cxt == NULL || kept->ncolumns != ncolumns ||
		memcmp(kept->columns, columns, sizeof(AttrNumber) * ncolumns) != 0)
	{
		MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue leaf plans",
												  ALLOCSET_SMALL_SIZES);
		Size		size = sizeof(AttrNumber) * ncolumns;
		LeafPlans	empty = {
			.parent = kept->parent,
			.cxt = cxt,
			.columns = memcpy(MemoryContextAlloc(cxt, Max(size, 1)), columns, size),
			.ncolumns = ncolumns,
			.plans = MemoryContextAllocZero(cxt, sizeof(LeafPlan *) * plan->ntargets * KEY_RANGE_END),
		};

		/* From here on nothing can fail. */
		MemoryContextSetParent(cxt, kept->parent);
		if (kept->cxt != NULL)
			MemoryContextDelete(kept->cxt);
		*kept = empty;
	}

	return &kept->plans[target * KEY_RANGE_END + range];
}

static LeafPlan *
copy_plan(const LeafPlan *plan)
{
	LeafPlan   *copy = palloc(sizeof(LeafPlan));

	copy->query = pstrdup(plan->query);
	copy->statement = copyObject(plan->statement);

	return copy;
}

/* Plans a range; for several filières the form that the planner finds cheaper. */
static LeafPlan *
make_plan(const ChapterFeed *feed, Oid relid, ChapterKeyRange range, const AttrNumber *columns,
		  int ncolumns)
{
	const PageFilter no_filter = {0};
	ChapterTable table = leaf_table(feed, relid);
	char	   *list = select_list(feed, columns, ncolumns);
	LeafPlan   *plan = palloc(sizeof(LeafPlan));

	plan->query = catalogue_feed_key_range_query(feed, &table, list, feed->several, range, &no_filter);
	plan->statement = plan_query(feed, plan->query);
	if (feed->several)
	{
		char	   *lateral = catalogue_feed_lateral_query(feed, &table, list, ncolumns + 2, range);
		PlannedStmt *statement = plan_query(feed, lateral);

		if (statement->planTree->total_cost < plan->statement->planTree->total_cost)
		{
			plan->query = lateral;
			plan->statement = statement;
		}
	}

	return plan;
}

/*
 * What the rows are merged by, and the columns, by the names that table and partition
 * have in common.
 */
static char *
select_list(const ChapterFeed *feed, const AttrNumber *columns, int ncolumns)
{
	Relation	rel = table_open(feed->relid, NoLock);	/* locked by the caller */
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "chapter.%s, chapter.%s",
					 quote_identifier(feed->attachment->chapters_created_at),
					 quote_identifier(feed->attachment->chapters_id));
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&buf, ", %s", column_of_table(rel, columns[i]));
	table_close(rel, NoLock);

	return buf.data;
}

/*
 * A column as it is in a query of the table.  A partition may compute a virtual one
 * in another way: there the table's expression counts.
 */
static const char *
column_of_table(Relation rel, AttrNumber column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), column - 1);

	/* A dropped one has no type. */
	if (att->attisdropped)
		return "NULL::pg_catalog.int4";
	if (catalogue_column_is_virtual(att))
		return deparse_expression(build_generation_expression(rel, column),
								  deparse_context_for("chapter", RelationGetRelid(rel)), true,
								  false);

	return psprintf("chapter.%s", quote_identifier(NameStr(att->attname)));
}

static ChapterTable
leaf_table(const ChapterFeed *feed, Oid relid)
{
	ChapterTable table = {
		.name = psprintf("ONLY %s", catalogue_qualified_relation_name(relid)),
		.order_by = catalogue_feed_order_by(feed, relid),
	};

	return table;
}

/* For the executor, as one that asks for no rights. */
static PlannedStmt *
plan_query(const ChapterFeed *feed, const char *query)
{
	Query	   *analyzed = analyze_query(feed, feed->argument_type, query);
	PlannedStmt *statement = pg_plan_query(analyzed, query, 0, NULL, NULL);

	catalogue_ask_for_no_rights(statement);

	return statement;
}

/* With the parameters of catalogue_feed_params(). */
static Query *
analyze_query(const ChapterFeed *feed, Oid filiere_type, const char *query)
{
	const Oid	types[] = {filiere_type, INT8OID, feed->created_at.oid, feed->id.oid};
	List	   *parsed = pg_parse_query(query);

	return parse_analyze_fixedparams(linitial_node(RawStmt, parsed), query, types,
									 lengthof(types), NULL);
}
