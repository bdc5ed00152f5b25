/*
 * stream_scan.c
 *		The CustomScan that replaces a call of one of the extension's functions.
 *
 * INTERFACE ROUTINES
 *		catalogue_stream_scan_init	registers the node and the planner's side of it
 *		catalogue_stream_source		the source that a path or plan names
 *		begin/exec/rescan/end		executor callbacks
 *		explain_stream_scan			the function, and what its source adds
 *
 * A function scan copies every row whole into a tuplestore before the first
 * one is returned.  This node pulls rows from the function's tuple source one
 * by one, and takes from each only the columns that the query refers to: no
 * other is deformed or detoasted, and a LIMIT above it ends the work.
 *
 * The source stores the columns that are referred to in the scan's own slot; where
 * the query returns just these, in this order, no projection is needed.  What the
 * plan's lists hold is said in stream_path.c, which makes them.
 */
#include "scan/stream_scan.h"

#include "scan/row_bound.h"
#include "scan/tuple_source.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
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
	FmgrInfo   *tracked;		/* NULL where calls are not tracked */
} StreamScanState;

static Node *create_stream_scan_state(CustomScan *cscan);
static void begin_stream_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_stream_scan(CustomScanState *node);
static void rescan_stream_scan(CustomScanState *node);
static void end_stream_scan(CustomScanState *node);
static void explain_stream_scan(CustomScanState *node, List *ancestors, ExplainState *es);

static FmgrInfo *tracked_function(Oid funcid);
static void check_columns(TupleDesc tupdesc, List *custom_scan_tlist);
static TupleTableSlot *next_row(ScanState *ss);
static inline bool fetch_row(StreamScanState *state, TupleTableSlot *slot);
static bool fetch_row_tracked(StreamScanState *state, TupleTableSlot *slot);
static bool recheck_row(ScanState *ss, TupleTableSlot *slot);
static void open_source(StreamScanState *state);

const CustomScanMethods catalogue_stream_scan_methods = {
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
	RegisterCustomScanMethods(&catalogue_stream_scan_methods);
	catalogue_stream_path_init();
}

/* The source that a path or plan names. */
const TupleSourceMethods *
catalogue_stream_source(List *custom_private)
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
	state->methods = catalogue_stream_source(cscan->custom_private);

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
	state->tracked = tracked_function(state->funcid);
	state->nargs = nvalues - linitial_int(lthird(cscan->custom_private));

	foreach(lc, cscan->custom_scan_tlist)
		columns[ncolumns++] = castNode(Var, lfirst_node(TargetEntry, lc)->expr)->varattno;

	aclresult = object_aclcheck(ProcedureRelationId, state->funcid, GetUserId(), ACL_EXECUTE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FUNCTION, get_func_name(state->funcid));
	InvokeFunctionExecuteHook(state->funcid);

	state->source = state->methods->begin(state->funcid, cscan->custom_exprs, estate->es_snapshot,
										  columns, ncolumns, lfourth(cscan->custom_private));
	check_columns(state->source->tupdesc, cscan->custom_scan_tlist);
}

/* The function as its statistics want it, where track_functions asks for C functions. */
static FmgrInfo *
tracked_function(Oid funcid)
{
	FmgrInfo   *function;

	if (pgstat_track_functions <= TRACK_FUNC_PL)
		return NULL;
	function = palloc0(sizeof(FmgrInfo));
	fmgr_info(funcid, function);

	return function;
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
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	bool		found = state->tracked == NULL ? fetch_row(state, slot) : fetch_row_tracked(state, slot);

	if (found && state->end_qual != NULL)
	{
		ss->ps.ps_ExprContext->ecxt_scantuple = slot;
		if (!ExecQual(state->end_qual, ss->ps.ps_ExprContext))
			ExecClearTuple(slot);
	}

	return slot;
}

/* The next row of the source, which the first row opens. */
static inline bool
fetch_row(StreamScanState *state, TupleTableSlot *slot)
{
	if (!state->is_open)
		open_source(state);

	return state->methods->next(state->source, slot);
}

/* The next row, with what the function's statistics say; opening it counts as the call. */
static bool
fetch_row_tracked(StreamScanState *state, TupleTableSlot *slot)
{
	LOCAL_FCINFO(fcinfo, 0);
	PgStat_FunctionCallUsage usage;
	bool		opens = !state->is_open;
	bool		found;

	fcinfo->flinfo = state->tracked;
	pgstat_init_function_usage(fcinfo, &usage);
	found = fetch_row(state, slot);
	pgstat_end_function_usage(&usage, opens);

	return found;
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
