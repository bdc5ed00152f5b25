/*
 * page_filter.c
 *		A condition above a call by which an index reads less.
 *
 * A condition above recent_chapters('f', 100) filters a page of 100.  Above a call
 * for all chapters, n NULL, the order of the two makes no difference: with a LIMIT,
 *
 *		SELECT ... FROM recent_chapters('f', NULL) WHERE niveau = 'L2' LIMIT 100
 *
 * is the newest 100 of that level.  Where an index has the column beside the filière,
 * (filiere, niveau, created_at, id), these are read from it and no others.  The
 * condition stays where it is, so that nothing depends on the index being there when
 * the plan runs.
 */
#include "feed/page_filter.h"

#include "feed/reference_plan.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static bool asks_for_all(List *args);
static Node *match_condition(const ChapterFeed *feed, Node *condition, Index rti,
							 PageFilter *filter);

/* Finds a condition with an index for it; the value that it compares with, in a list. */
List *
catalogue_feed_use_conditions(Oid funcid, List *args, Index rti, List *conditions, List **used)
{
	CachedPin  *pin;
	ChapterFeed *feed;
	List	   *values = NIL;
	ListCell   *lc;

	if (conditions == NIL || !asks_for_all(args))
		return NIL;

	pin = palloc(sizeof(CachedPin));
	catalogue_init_pin(pin, CurrentMemoryContext);
	feed = catalogue_feed_pin(pin, funcid);
	foreach(lc, conditions)
	{
		PageFilter	filter;
		ReferencePlan plan;
		Node	   *value = match_condition(feed, lfirst(lc), rti, &filter);

		if (value == NULL)
			continue;
		catalogue_feed_read_reference_plan(feed, &filter, &plan, NULL);
		if (plan.not_streamed == NULL)
		{
			values = list_make1(copyObject(value));
			*used = list_make3_oid(filter.attno, filter.opno, filter.type);
			break;
		}
	}
	catalogue_unpin(pin);

	return values;
}

/* Whether n is NULL. */
static bool
asks_for_all(List *args)
{
	Node	   *n = list_nth(args, ARG_N);

	return IsA(n, Const) && ((Const *) n)->constisnull;
}

/* The value of a condition column = value, by the column's own equality; NULL if it is none. */
static Node *
match_condition(const ChapterFeed *feed, Node *condition, Index rti, PageFilter *filter)
{
	OpExpr	   *op = (OpExpr *) condition;
	Node	   *column;
	Node	   *value;
	Var		   *var;

	if (!IsA(condition, OpExpr) || list_length(op->args) != 2)
		return NULL;
	column = linitial(op->args);
	value = lsecond(op->args);
	if (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	var = (Var *) column;
	if (!IsA(column, Var) || var->varno != rti || var->varattno <= 0 || var->varlevelsup > 0 ||
		op->inputcollid != var->varcollid || contain_var_clause(value) ||
		contain_volatile_functions(value) || contain_subplans(value) ||
		op->opno != lookup_type_cache(getBaseType(var->vartype), TYPECACHE_EQ_OPR)->eq_opr)
		return NULL;

	filter->attno = var->varattno;
	filter->opno = op->opno;
	filter->type = exprType(value);

	return value;
}

/* The filter that a plan has kept. */
PageFilter
catalogue_feed_page_filter(const List *used)
{
	PageFilter	filter = {0};

	if (used != NIL)
	{
		filter.attno = (AttrNumber) linitial_oid(used);
		filter.opno = lsecond_oid(used);
		filter.type = lthird_oid(used);
	}

	return filter;
}
