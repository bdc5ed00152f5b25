/*
 * column_statistics.c
 *		Statistics of the columns of a tuple source whose rows are a relation's.
 *
 * A function's columns have no statistics, and the planner's defaults are far
 * off.  Where a call returns rows of a relation, a hook gives the planner those of
 * the relation, so that what is joined with the call, filtered or grouped gets the
 * plan that it would get if the relation were read in the call's place.
 */
#include "scan/column_statistics.h"

#include "rights.h"
#include "scan/tuple_source.h"

#include "access/htup_details.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type prev_get_relation_stats_hook = NULL;

static bool source_column_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
									 VariableStatData *vardata);

/* Called once, while the library is loaded. */
void
catalogue_column_statistics_init(void)
{
	prev_get_relation_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = source_column_statistics;
}

/*
 * A column's row of pg_statistic, its children's values included; NULL if there is
 * none.  To be given back with ReleaseSysCache().
 */
HeapTuple
catalogue_column_statistics(Oid relid, AttrNumber attno)
{
	return SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(attno),
						   BoolGetDatum(has_subclass(relid)));
}

/*
 * Whether operators that are not leakproof may see the values in the statistics:
 * the caller may read all of the column.
 */
bool
catalogue_may_use_statistics(Oid relid, AttrNumber attno)
{
	return catalogue_may_select(relid, GetUserId(), &attno, 1) &&
		check_enable_rls(relid, InvalidOid, true) == RLS_NONE;
}

/* The hook: where the relation is a call whose rows are a relation's. */
static bool
source_column_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
						 VariableStatData *vardata)
{
	FuncExpr   *call;
	int			number;
	Oid			relid;

	if (prev_get_relation_stats_hook && prev_get_relation_stats_hook(root, rte, attnum, vardata))
		return true;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality || list_length(rte->functions) != 1 ||
		attnum <= 0)
		return false;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || (number = catalogue_find_tuple_source(call->funcid)) < 0 ||
		catalogue_tuple_source(number)->row_relation == NULL)
		return false;

	relid = catalogue_tuple_source(number)->row_relation(call->funcid);
	vardata->statsTuple = catalogue_column_statistics(relid, attnum);
	if (!HeapTupleIsValid(vardata->statsTuple))
		return false;
	vardata->freefunc = ReleaseSysCache;
	vardata->acl_ok = catalogue_may_use_statistics(relid, attnum);

	return true;
}

/* Sets the widths of those columns that a query looks at. */
void
catalogue_set_column_widths(RelOptInfo *rel, Oid relid)
{
	int64		width = 0;
	ListCell   *lc;

	foreach(lc, rel->reltarget->exprs)
	{
		Var		   *var = (Var *) lfirst(lc);
		HeapTuple	statistics;

		/* Anything else was counted from its type, and stays as it is. */
		if (!IsA(var, Var) || var->varno != rel->relid || var->varattno <= 0)
			return;
		statistics = catalogue_column_statistics(relid, var->varattno);
		if (HeapTupleIsValid(statistics))
		{
			int32		column_width = ((Form_pg_statistic) GETSTRUCT(statistics))->stawidth;

			ReleaseSysCache(statistics);
			if (column_width > 0)
				rel->attr_widths[var->varattno - rel->min_attr] = column_width;
		}
		width += rel->attr_widths[var->varattno - rel->min_attr];
	}
	rel->reltarget->width = Min(width, MaxAllocSize);
}
