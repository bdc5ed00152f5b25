/*
 * order.c
 *		The order of a tuple source's rows, as the planner knows orders.
 *
 * With it, an equal or shorter ORDER BY above needs no sort, a longer one sorts
 * within equal values, and merge joins can use it.
 */
#include "scan/order.h"

#include "nodes/makefuncs.h"
#include "optimizer/paths.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static PathKey *descending_pathkey(PlannerInfo *root, RelOptInfo *rel, Var *var, bool nullable);
static bool wants_nulls_first(PlannerInfo *root, const EquivalenceClass *eclass);

/*
 * The pathkeys of a source's order, as far as the query compares or sorts by its
 * columns: what is sorted by behind another column is of no use without that.
 */
List *
catalogue_order_pathkeys(PlannerInfo *root, RelOptInfo *rel, const TupleSourceOrder *order)
{
	List	   *pathkeys = NIL;

	/*
	 * Where nothing is compared or sorted by, nothing is asked of the
	 * catalogs.
	 */
	if (root->eq_classes == NIL)
		return NIL;

	for (int i = 0; i < order->ncolumns; i++)
	{
		Var		   *var = makeVar(rel->relid, order->columns[i].attno, order->columns[i].type,
								  order->columns[i].typmod, order->columns[i].collation, 0);
		PathKey    *pathkey = descending_pathkey(root, rel, var, order->columns[i].nullable);

		if (pathkey == NULL)
			break;
		/* A column that equals a constant does not change the order. */
		if (!EC_MUST_BE_REDUNDANT(pathkey->pk_eclass))
			pathkeys = lappend(pathkeys, pathkey);
	}

	return pathkeys;
}

/* A column by its type's default order; NULL if the query has no interest in it. */
static PathKey *
descending_pathkey(PlannerInfo *root, RelOptInfo *rel, Var *var, bool nullable)
{
	TypeCacheEntry *type =
		lookup_type_cache(getBaseType(var->vartype), TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
	EquivalenceClass *eclass =
		get_eclass_for_sort_expr(root, (Expr *) var, get_mergejoin_opfamilies(type->eq_opr),
								 type->btree_opintype, var->varcollid, 0, rel->relids, false);

	if (eclass == NULL)
		return NULL;

	return make_canonical_pathkey(root, eclass, type->btree_opf, COMPARE_GT,
								  !nullable && wants_nulls_first(root, eclass));
}

/* Where there are no NULLs they are first and last; whether the query says first. */
static bool
wants_nulls_first(PlannerInfo *root, const EquivalenceClass *eclass)
{
	ListCell   *lc;

	foreach(lc, root->query_pathkeys)
	{
		const PathKey *pathkey = lfirst_node(PathKey, lc);

		if (pathkey->pk_eclass == eclass)
			return pathkey->pk_nulls_first;
	}

	return false;
}
