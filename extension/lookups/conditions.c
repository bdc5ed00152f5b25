/*
 * conditions.c
 *		The conditions that the source of cached_lookups() answers itself, taken out of
 *		a plan while it is made.
 */
#include "lookups/conditions.h"

#include "lookups/content.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

static Expr *take_condition(Index rti, AttrNumber column, List **conditions);
static Expr *compared_value(Expr *condition, Index rti, AttrNumber column);
static bool is_column(Node *expr, Index rti, AttrNumber column);
static bool is_constant(Node *expr);

/*
 * Takes conditions kind = value and id = value out of the plan's, since the source
 * finds such rows faster than the plan can filter them.  Returns the values, which
 * the source gets as further arguments, and which of the two there are: a value can
 * be NULL when the plan runs.  If a column has several, the others stay with the plan.
 */
List *
catalogue_take_lookup_conditions(Index rti, List **conditions)
{
	Expr	   *kind = take_condition(rti, LOOKUP_ROW_KIND + 1, conditions);
	Expr	   *id = take_condition(rti, LOOKUP_ROW_ID + 1, conditions);
	int			taken = (kind != NULL ? TAKEN_KIND : 0) | (id != NULL ? TAKEN_ID : 0);
	Expr	   *none = (Expr *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);

	return list_make3(kind != NULL ? kind : none, id != NULL ? id : copyObject(none),
					  makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(taken), false,
								true));
}

/* Takes one condition column = value; returns the value, or NULL where there is none. */
static Expr *
take_condition(Index rti, AttrNumber column, List **conditions)
{
	ListCell   *lc;

	foreach(lc, *conditions)
	{
		Expr	   *value = compared_value(lfirst(lc), rti, column);

		if (value != NULL)
		{
			*conditions = foreach_delete_current(*conditions, lc);
			return value;
		}
	}

	return NULL;
}

/*
 * The value of a condition column = value or value = column; NULL for every other
 * condition.
 *
 * The source compares bytes, so the collation must be one in which texts are
 * equal only if their bytes are.
 */
static Expr *
compared_value(Expr *condition, Index rti, AttrNumber column)
{
	OpExpr	   *op = (OpExpr *) condition;
	Node	   *left;
	Node	   *right;

	if (!IsA(condition, OpExpr) || op->opno != TextEqualOperator ||
		!get_collation_isdeterministic(op->inputcollid))
		return NULL;

	left = linitial(op->args);
	right = lsecond(op->args);
	if (is_column(left, rti, column) && is_constant(right))
		return (Expr *) right;
	if (is_column(right, rti, column) && is_constant(left))
		return (Expr *) left;

	return NULL;
}

static bool
is_column(Node *expr, Index rti, AttrNumber column)
{
	Var		   *var = (Var *) expr;

	return IsA(expr, Var) && var->varno == rti && var->varattno == column && var->varlevelsup == 0;
}

/* Whether an expression has one value for a scan from its beginning to its end. */
static bool
is_constant(Node *expr)
{
	return !contain_var_clause(expr) && !contain_volatile_functions(expr) &&
		!contain_subplans(expr);
}
