/*
 * stream_scan.c
 *		The CustomScan that replaces a call of one of the extension's functions.
 *
 * INTERFACE ROUTINES
 *		catalogue_stream_scan_init	registers the node and the planner hook
 *		add_stream_path				the hook: a path for FROM function(...)
 *		plan_stream_scan			path -> plan
 *		begin/exec/rescan/end		executor callbacks
 *		explain_stream_scan			the function, and what its source adds
 *
 * A function scan copies every row whole into a tuplestore before the first
 * one is returned.  This node pulls rows from the function's tuple source one
 * by one, and takes from each only the columns that the query refers to: no
 * other is deformed or detoasted, and a LIMIT above it ends the work.
 *
 * There is no relation behind an RTE_FUNCTION, so scanrelid is 0, and
 * custom_scan_tlist lists the columns that are referred to.  The source stores
 * these in the scan's own slot; where the query returns just these, in this
 * order, no projection is needed.  The tables that are read are not in the range
 * table either: their OIDs are added to the plan's dependencies, and the source
 * locks them when it begins.
 *
 * custom_exprs are the call's arguments, so that the planner puts Params into
 * them (LATERAL, prepared statements, sub-selects), followed by the values that
 * conditions compare with which the source applies by itself, by the LIMIT and
 * OFFSET above, where they bound the scan, and by the conditions that end it.
 * custom_private is lists: the function's OID, the number of its source and, in a
 * path, the column that the rows are ordered by; in a plan, how many of custom_exprs
 * are of LIMIT and OFFSET, and how many end the scan; and what the source said of the
 * conditions that it uses.
 */
#include "scan/column_statistics.h"
#include "scan/end_condition.h"
#include "scan/order.h"
#include "scan/row_bound.h"
#include "scan/tuple_source.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

typedef struct StreamScanState
{
	CustomScanState css;		/* (must be first) */
	Oid			funcid;
	const TupleSourceMethods *methods;
	List	   *args;			/* of ExprState *, as custom_exprs; NULL for a
								 * Const */
	NullableDatum *arg_values;	/* of custom_exprs */
	int			nargs;			/* of the source; what follows is a LIMIT's */
	ExprState  *end_qual;		/* where a row does not meet it, none does
								 * behind */
	TupleSource *source;
	bool		is_open;
} StreamScanState;

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

static void add_stream_path(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte);
static bool collect_columns(RelOptInfo *rel, List *clauses, List **columns);
static Plan *plan_stream_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
							  List *tlist, List *clauses, List *custom_plans);

static List *conditions_by_selectivity(List *clauses);
static int	compare_selectivity(const ListCell *a, const ListCell *b);

static const TupleSourceMethods *source_methods(List *custom_private);
static Node *create_stream_scan_state(CustomScan *cscan);
static void begin_stream_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_stream_scan(CustomScanState *node);
static void rescan_stream_scan(CustomScanState *node);
static void end_stream_scan(CustomScanState *node);
static void explain_stream_scan(CustomScanState *node, List *ancestors, ExplainState *es);

static void check_columns(TupleDesc tupdesc, List *custom_scan_tlist);
static TupleTableSlot *next_row(ScanState *ss);
static bool recheck_row(ScanState *ss, TupleTableSlot *slot);
static void open_source(StreamScanState *state);

static const CustomPathMethods path_methods = {
	.CustomName = "Catalogue Stream",
	.PlanCustomPath = plan_stream_scan,
};

static const CustomScanMethods scan_methods = {
	.CustomName = "Catalogue Stream",
	.CreateCustomScanState = create_stream_scan_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "Catalogue Stream",
	.BeginCustomScan = begin_stream_scan,
	.ExecCustomScan = exec_stream_scan,
	.EndCustomScan = end_stream_scan,
	.ReScanCustomScan = rescan_stream_scan,
	.ExplainCustomScan = explain_stream_scan,
};

/* Called once, while the library is loaded. */
void
catalogue_stream_scan_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
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
	const TupleSourceMethods *methods = source_methods(best_path->custom_private);
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
	cscan->methods = &scan_methods;

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

/* The source that a path or plan names. */
static const TupleSourceMethods *
source_methods(List *custom_private)
{
	return catalogue_tuple_source(linitial_int(lsecond(custom_private)));
}

static Node *
create_stream_scan_state(CustomScan *cscan)
{
	StreamScanState *state =
		(StreamScanState *) newNode(sizeof(StreamScanState), T_CustomScanState);

	state->css.methods = &exec_methods;
	state->funcid = linitial_oid(linitial(cscan->custom_private));
	state->methods = source_methods(cscan->custom_private);

	return (Node *) state;
}

/*
 * Checks the right to call the function, as a function scan would even for
 * EXPLAIN, and begins the source.
 */
static void
begin_stream_scan(CustomScanState *node, EState *estate, int eflags)
{
	StreamScanState *state = (StreamScanState *) node;
	CustomScan *cscan = castNode(CustomScan, node->ss.ps.plan);
	AttrNumber *columns = palloc(sizeof(AttrNumber) * list_length(cscan->custom_scan_tlist));
	int			ncolumns = 0;
	int			nend = lsecond_int(lthird(cscan->custom_private));
	int			nvalues = list_length(cscan->custom_exprs) - nend;
	AclResult	aclresult;
	ListCell   *lc;

	foreach(lc, cscan->custom_exprs)
	{
		if (foreach_current_index(lc) == nvalues)
			break;
		state->args = lappend(state->args, IsA(lfirst(lc), Const)
							  ? NULL
							  : ExecInitExpr(lfirst(lc), &node->ss.ps));
	}
	if (nend > 0)
		state->end_qual = ExecInitQual(list_copy_tail(cscan->custom_exprs, nvalues), &node->ss.ps);

	state->arg_values = palloc(sizeof(NullableDatum) * nvalues);
	state->nargs = nvalues - linitial_int(lthird(cscan->custom_private));

	foreach(lc, cscan->custom_scan_tlist)
		columns[ncolumns++] = castNode(Var, lfirst_node(TargetEntry, lc)->expr)->varattno;

	aclresult = object_aclcheck(ProcedureRelationId, state->funcid, GetUserId(), ACL_EXECUTE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FUNCTION, get_func_name(state->funcid));
	InvokeFunctionExecuteHook(state->funcid);

	state->source = state->methods->begin(state->funcid, estate->es_snapshot, columns, ncolumns,
										  lfourth(cscan->custom_private));
	check_columns(state->source->tupdesc, cscan->custom_scan_tlist);
}

/*
 * The row type can have changed since the query was parsed, and the source's
 * tables were not locked yet when the plan was found to be valid.
 */
static void
check_columns(TupleDesc tupdesc, List *custom_scan_tlist)
{
	ListCell   *lc;

	foreach(lc, custom_scan_tlist)
	{
		Var		   *var = castNode(Var, lfirst_node(TargetEntry, lc)->expr);
		Form_pg_attribute att =
			var->varattno <= tupdesc->natts ? TupleDescAttr(tupdesc, var->varattno - 1) : NULL;

		if (att == NULL || att->attisdropped || att->atttypid != var->vartype)
			ereport(ERROR,
					errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cached plan must not change result type"));
	}
}

/* The next row, without ExecScan() where nothing is filtered or computed. */
static TupleTableSlot *
exec_stream_scan(CustomScanState *node)
{
	if (node->ss.ps.qual == NULL && node->ss.ps.ps_ProjInfo == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		return next_row(&node->ss);
	}

	return ExecScan(&node->ss, next_row, recheck_row);
}

static TupleTableSlot *
next_row(ScanState *ss)
{
	StreamScanState *state = (StreamScanState *) ss;

	if (!state->is_open)
		open_source(state);
	if (state->methods->next(state->source, ss->ss_ScanTupleSlot) && state->end_qual != NULL)
	{
		ss->ps.ps_ExprContext->ecxt_scantuple = ss->ss_ScanTupleSlot;
		if (!ExecQual(state->end_qual, ss->ps.ps_ExprContext))
			ExecClearTuple(ss->ss_ScanTupleSlot);
	}

	return ss->ss_ScanTupleSlot;
}

/*
 * The next row, where EvalPlanQual() runs a plan again for a row that was updated
 * meanwhile.  A call's own row mark refers to the whole row, for which there is no
 * such node; but one below a UNION ALL has none, and is read again as any table there.
 */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	(void) next_row(ss);

	return !TupIsNull(slot);
}

/*
 * Evaluates the arguments and opens the source with them.  Their values lie in
 * the memory of the current row, which is not reset before open() returns.
 */
static void
open_source(StreamScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	CustomScan *cscan = castNode(CustomScan, state->css.ss.ps.plan);
	NullableDatum *args = state->arg_values;
	int			n = 0;
	ListCell   *expr;
	ListCell   *expr_state;

	forboth(expr, cscan->custom_exprs, expr_state, state->args)
	{
		NullableDatum *arg = &args[n++];

		if (lfirst(expr_state) == NULL)
		{
			arg->value = lfirst_node(Const, expr)->constvalue;
			arg->isnull = lfirst_node(Const, expr)->constisnull;
		}
		else
			arg->value = ExecEvalExprSwitchContext(lfirst(expr_state), econtext, &arg->isnull);
	}
	state->source->max_rows = catalogue_row_bound(&args[state->nargs], n - state->nargs);
	state->methods->open(state->source, args, state->nargs);
	state->is_open = true;
}

static void
rescan_stream_scan(CustomScanState *node)
{
	StreamScanState *state = (StreamScanState *) node;

	if (state->is_open)
	{
		state->methods->close(state->source);
		state->is_open = false;
	}
	ExecScanReScan(&node->ss);
}

static void
end_stream_scan(CustomScanState *node)
{
	StreamScanState *state = (StreamScanState *) node;

	if (state->is_open)
		state->methods->close(state->source);
	state->methods->end(state->source);
}

static void
explain_stream_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	StreamScanState *state = (StreamScanState *) node;
	CustomScan *cscan = castNode(CustomScan, node->ss.ps.plan);
	List	   *context = set_deparse_context_plan(es->deparse_cxt, &cscan->scan.plan, ancestors);
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, cscan->custom_exprs)
	{
		Node	   *arg = lfirst(lc);

		if (foreach_current_index(lc) == state->nargs)
			break;
		args = lappend(args, IsA(arg, Const) && ((Const *) arg)->constisnull
					   ? NULL
					   : deparse_expression(arg, context, es->verbose, false));
	}
	ExplainPropertyText("Function", get_func_name(state->funcid), es);
	state->methods->explain(state->source, args, es);
}
