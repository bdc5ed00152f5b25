/*
 * stream_path.c
 *		The planner's side of a stream scan: hook, path and plan.
 *
 * INTERFACE ROUTINES
 *		catalogue_stream_path_init	registers the planner hook
 *		add_stream_path				the hook: a path for FROM function(...)
 *		plan_stream_scan			path -> plan
 *
 * custom_exprs of the plan are the call's arguments, so that the planner puts Params
 * into them (LATERAL, prepared statements, sub-selects), followed by the values that
 * conditions compare with which the source applies by itself or uses, by the LIMIT and
 * OFFSET above, where they bound the scan, and by the conditions that end it.
 *
 * custom_private is lists: the function's OID, the number of its source and, in a
 * path, the column that the rows are ordered by; in a plan, how many of custom_exprs
 * are of LIMIT and OFFSET, and how many end the scan; and what the source said of the
 * conditions that it uses.
 *
 * There is no relation behind an RTE_FUNCTION, so scanrelid is 0, and
 * custom_scan_tlist lists the columns that are referred to.  The tables that are read
 * are not in the range table either: their OIDs are added to the plan's dependencies,
 * and the source locks them when it begins.
 */
#include "scan/column_statistics.h"
#include "scan/end_condition.h"
#include "scan/order.h"
#include "scan/row_bound.h"
#include "scan/stream_scan.h"
#include "scan/tuple_source.h"

#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

static void add_stream_path(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte);
static bool collect_columns(RelOptInfo *rel, List *clauses, List **columns);
static Plan *plan_stream_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
							  List *tlist, List *clauses, List *custom_plans);
static List *conditions_by_selectivity(List *clauses);
static int	compare_selectivity(const ListCell *a, const ListCell *b);

static const CustomPathMethods path_methods = {
	.CustomName = "Catalogue Stream",
	.PlanCustomPath = plan_stream_scan,
};

/* Called once, while the library is loaded. */
void
catalogue_stream_path_init(void)
{
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_stream_path;
	catalogue_column_statistics_init();
}

/*
 * Replaces the paths of a call of a function that has a source by a streaming one.
 *
 * The library may have been loaded by this very query: the planner asks the
 * function's support function for its row estimate before it makes paths.
 */
static void
add_stream_path(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	FuncExpr   *call;
	int			number;
	List	   *columns;
	TupleSourceEstimate estimate = {.rows = rel->tuples};
	const TupleSourceMethods *methods;
	CustomPath *path;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);

	if (rte->rtekind != RTE_FUNCTION || !catalogue_enable_stream || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || (number = catalogue_find_tuple_source(call->funcid)) < 0)
		return;
	if (!collect_columns(rel, extract_actual_clauses(rel->baserestrictinfo, false), &columns))
		return;

	methods = catalogue_tuple_source(number);
	methods->estimate(call->funcid, call->args, &estimate);
	if (methods->row_relation != NULL)
		catalogue_set_column_widths(rel, methods->row_relation(call->funcid));

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_safe = rel->consider_parallel;
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows : rel->rows;
	path->path.startup_cost = estimate.startup_cost;
	path->path.total_cost = estimate.total_cost;
	path->path.pathkeys = catalogue_order_pathkeys(root, rel, &estimate.order);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make3(list_make1_oid(call->funcid), list_make1_int(number),
									  list_make1_int(estimate.order.ncolumns > 0
													 ? estimate.order.columns[0].attno : 0));
	path->methods = &path_methods;

	/*
	 * A function scan's cost leaves out the work inside the function, so the
	 * two cannot be compared; but it does all that this path does, and then
	 * copies the rows.
	 */
	rel->pathlist = list_make1(path);
	rel->partial_pathlist = NIL;

	/*
	 * What the call would have made the plan depend on, and what its source
	 * reads.
	 */
	record_plan_function_dependency(root, call->funcid);
	root->glob->relationOids = list_concat(root->glob->relationOids, estimate.relation_oids);
	if (estimate.depends_on_role)
		root->glob->dependsOnRole = true;
}

/*
 * The columns of the function's row type that the query or these clauses refer
 * to, as Vars.  False where they refer to the row as a whole, which the scan's
 * slot does not hold; row marks (FOR UPDATE, UPDATE ... FROM) do so too.
 */
static bool
collect_columns(RelOptInfo *rel, List *clauses, List **columns)
{
	List	   *exprs = list_concat_copy(rel->reltarget->exprs, clauses);
	Bitmapset  *seen = NULL;
	ListCell   *lc;

	*columns = NIL;
	foreach(lc, pull_var_clause((Node *) exprs, PVC_RECURSE_PLACEHOLDERS))
	{
		Var		   *var = lfirst_node(Var, lc);

		if (var->varno != rel->relid || bms_is_member(var->varattno, seen))
			continue;
		if (var->varattno == InvalidAttrNumber)
			return false;
		*columns = lappend(*columns, var);
		seen = bms_add_member(seen, var->varattno);
	}

	return true;
}

/* The plan of a path.  Its Params are put in by the caller, in createplan.c. */
static Plan *
plan_stream_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
				 List *clauses, List *custom_plans)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	FuncExpr   *call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	const TupleSourceMethods *methods = catalogue_stream_source(best_path->custom_private);
	CustomScan *cscan = makeNode(CustomScan);
	List	   *columns;
	List	   *used = NIL;
	List	   *bound;
	List	   *end = NIL;
	ListCell   *lc;

	cscan->scan.plan.targetlist = tlist;
	cscan->scan.plan.qual = extract_actual_clauses(clauses, false);
	cscan->scan.scanrelid = 0;
	cscan->flags = best_path->flags;
	cscan->custom_exprs = copyObject(call->args);
	if (methods->take_conditions != NULL)
		cscan->custom_exprs =
			list_concat(cscan->custom_exprs,
						methods->take_conditions(rel->relid, &cscan->scan.plan.qual));
	/* Where a security barrier orders the conditions, none is to come first. */
	if (root->qual_security_level == 0)
		end = catalogue_end_conditions(rel->relid,
									   linitial_int(lthird(best_path->custom_private)),
									   cscan->scan.plan.qual);
	if (methods->use_conditions != NULL && root->qual_security_level == 0)
		cscan->custom_exprs =
			list_concat(cscan->custom_exprs,
						methods->use_conditions(call->funcid, call->args, rel->relid,
												conditions_by_selectivity(clauses), &used));
	bound = catalogue_row_bound_exprs(root, rel, best_path->path.pathkeys, used != NIL ? 1 : 0);
	cscan->custom_exprs = list_concat(list_concat(cscan->custom_exprs, bound), end);
	cscan->custom_private = list_make4(linitial(best_path->custom_private),
									   lsecond(best_path->custom_private),
									   list_make2_int(list_length(bound), list_length(end)), used);

	/*
	 * Columns that only conditions refer to which the source applies are not
	 * needed.
	 */
	if (!collect_columns(rel, cscan->scan.plan.qual, &columns))
		elog(ERROR, "unexpected whole-row reference in a stream scan");
	foreach(lc, columns)
	{
		Var		   *var = lfirst_node(Var, lc);

		cscan->custom_scan_tlist =
			lappend(cscan->custom_scan_tlist,
					makeTargetEntry((Expr *) copyObject(var), foreach_current_index(lc) + 1,
									strVal(list_nth(rte->eref->colnames, var->varattno - 1)),
									false));
	}
	cscan->methods = &catalogue_stream_scan_methods;

	return &cscan->scan.plan;
}

/* The conditions, those first which the planner expects to leave the fewest rows. */
static List *
conditions_by_selectivity(List *clauses)
{
	List	   *sorted = list_copy(clauses);

	list_sort(sorted, compare_selectivity);

	return extract_actual_clauses(sorted, false);
}

/* list_sort() comparator; one that has not been estimated comes last. */
static int
compare_selectivity(const ListCell *a, const ListCell *b)
{
	Selectivity selectivity_a = lfirst_node(RestrictInfo, a)->norm_selec;
	Selectivity selectivity_b = lfirst_node(RestrictInfo, b)->norm_selec;

	if (selectivity_a < 0)
		selectivity_a = 1;
	if (selectivity_b < 0)
		selectivity_b = 1;

	return (selectivity_a > selectivity_b) - (selectivity_a < selectivity_b);
}
