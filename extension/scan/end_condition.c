/*
 * end_condition.c
 *		Conditions that no row meets behind one that does not.
 *
 * Rows that come by a column in descending order, NULLs last, meet a condition
 *
 *		created_at > now() - interval '7 days'
 *
 * up to one row, and none behind it does.  There the scan ends, as it would if the
 * condition were one of an index.
 */
#include "scan/end_condition.h"

#include "access/stratnum.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static bool is_lower_bound(Index rti, AttrNumber attno, Node *condition);

/* Those among the conditions on rows in the order of a column; none if it is 0. */
List *
catalogue_end_conditions(Index rti, AttrNumber attno, List *conditions)
{
	List	   *found = NIL;
	ListCell   *lc;

	if (attno == InvalidAttrNumber)
		return NIL;
	foreach(lc, conditions)
	{
		if (is_lower_bound(rti, attno, lfirst(lc)))
			found = lappend(found, copyObject(lfirst(lc)));
	}

	return found;
}

/* column > value, or >=, by the order that the column's type has. */
static bool
is_lower_bound(Index rti, AttrNumber attno, Node *condition)
{
	OpExpr	   *op = (OpExpr *) condition;
	Oid			opno;
	Node	   *value;
	Var		   *var;
	TypeCacheEntry *type;
	int			strategy;

	if (!IsA(condition, OpExpr) || list_length(op->args) != 2)
		return false;
	opno = op->opno;
	var = linitial(op->args);
	value = lsecond(op->args);
	if (!IsA(var, Var))
	{
		opno = get_commutator(opno);
		var = lsecond(op->args);
		value = linitial(op->args);
	}
	if (!OidIsValid(opno) || !IsA(var, Var) || var->varno != rti || var->varattno != attno ||
		var->varlevelsup > 0 || op->inputcollid != var->varcollid || contain_var_clause(value) ||
		contain_volatile_functions(value))
		return false;
	type = lookup_type_cache(getBaseType(var->vartype), TYPECACHE_BTREE_OPFAMILY);
	strategy = get_op_opfamily_strategy(opno, type->btree_opf);

	return strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber;
}
