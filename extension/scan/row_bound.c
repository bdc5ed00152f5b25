/*
 * row_bound.c
 *		How many rows a LIMIT above a stream scan lets through.
 *
 * The executor tells this to a sort, but not to a custom scan.  A source that works
 * ahead of need is told, where nothing between the two drops, adds or reorders rows:
 * the values of LIMIT and OFFSET are evaluated once more, with the call's arguments.
 * It is a hint, which may be missing.
 */
#include "scan/row_bound.h"

#include "common/int.h"
#include "nodes/bitmapset.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"

static bool rows_pass_through(PlannerInfo *root, RelOptInfo *rel, List *pathkeys);
static bool can_evaluate(Node *expr);

/*
 * The expressions of LIMIT and OFFSET above a scan whose rows come in this order;
 * NIL where the query may need any number of rows.  So many conditions are met by
 * all rows of the scan.
 */
List *
catalogue_row_bound_exprs(PlannerInfo *root, RelOptInfo *rel, List *pathkeys, int nconditions)
{
	Query	   *query = root->parse;
	List	   *exprs;

	if (query->limitCount == NULL || query->limitOption != LIMIT_OPTION_COUNT ||
		list_length(rel->baserestrictinfo) > nconditions || !rows_pass_through(root, rel, pathkeys))
		return NIL;

	exprs = list_make1(query->limitCount);
	if (query->limitOffset != NULL)
		exprs = lappend(exprs, query->limitOffset);

	return can_evaluate((Node *) exprs) ? copyObject(exprs) : NIL;
}

/* Whether the query's rows are the scan's, one for one and in its order. */
static bool
rows_pass_through(PlannerInfo *root, RelOptInfo *rel, List *pathkeys)
{
	Query	   *query = root->parse;

	return query->commandType == CMD_SELECT && query->setOperations == NULL &&
		bms_equal(root->all_baserels, rel->relids) &&
		!query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL &&
		query->distinctClause == NIL && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		query->havingQual == NULL && query->rowMarks == NIL &&
		pathkeys_contained_in(root->sort_pathkeys, pathkeys);
}

/* Whether it gives the same when it is evaluated twice, and by the scan. */
static bool
can_evaluate(Node *expr)
{
	return !contain_volatile_functions(expr) && !contain_subplans(expr);
}

/* LIMIT and OFFSET together, from the values of these expressions; PG_INT64_MAX for no bound. */
int64
catalogue_row_bound(const NullableDatum *values, int nvalues)
{
	int64		bound = 0;

	if (nvalues == 0 || values[0].isnull)
		return PG_INT64_MAX;
	for (int i = 0; i < nvalues; i++)
	{
		if (!values[i].isnull &&
			pg_add_s64_overflow(bound, Max(DatumGetInt64(values[i].value), 0), &bound))
			return PG_INT64_MAX;
	}

	return bound;
}
