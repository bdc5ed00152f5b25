/*
 * estimate.c
 *		What the planner is told of a call: its rows, their cost and their order.
 *
 * All comes from the reference plan, which is the planner's own: a page is that
 * part of a filière's index range which n asks for.  That plan is for any filière.
 * Where a call names one, the table's statistics say how many of the chapters are
 * this one's, as they would in a query by hand.
 */
#include "feed/estimate.h"

#include "feed/feed.h"
#include "feed/feed_order.h"
#include "feed/reference_plan.h"
#include "scan/column_statistics.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Of an array, so many elements are looked up in the statistics; the rest is like them. */
#define MAX_ELEMENTS 10

/* An array of unknown length has 10 elements: the planner's own guess. */
#define DEFAULT_ELEMENTS 10

/* n, where a call does not say it, and what the planner expects of an unknown LIMIT. */
#define DEFAULT_N 100
#define UNKNOWN_LIMIT_FRACTION 0.10

/* The filières that a call asks for, as far as the planner can know them. */
typedef struct Filieres
{
	double		number;
	int			nvalues;		/* of these the values are known */
	NullableDatum values[MAX_ELEMENTS];
} Filieres;

static ChapterFeed *pin_feed(CachedPin *pin, Oid funcid, ReferencePlan *plan);
static void read_filieres(const ChapterFeed *feed, Node *argument, Filieres *filieres);
static void read_array(const ChapterFeed *feed, const Const *array, Filieres *filieres);
static double all_rows(const ChapterFeed *feed, const ReferencePlan *plan,
					   const Filieres *filieres);
static void filiere_selectivities(const ChapterFeed *feed, const ReferencePlan *plan,
								  const Filieres *filieres, VariableStatData *vardata,
								  Selectivity *any, Selectivity *named);
static double table_rows(Oid relid);
static Oid	equality_operator(const ChapterFeed *feed, const ReferencePlan *plan);
static double requested_rows(List *args);
static void set_cost(const ReferencePlan *plan, double nfilieres, TupleSourceEstimate *estimate);
static void set_order(const ChapterFeed *feed, const ReferencePlan *plan, TupleSourceOrder *order);

/*
 * How many rows a call returns.  No fewer than one, and so all are not counted for
 * one.  Of an n that is not known, no more than the part of all that the planner
 * expects of an unknown LIMIT: else a prepared statement would look cheaper with each
 * n that is less, and be planned every time.
 */
double
catalogue_feed_estimate_rows(Oid funcid, List *args)
{
	CachedPin  *pin = palloc(sizeof(CachedPin));
	ReferencePlan plan;
	ChapterFeed *feed = pin_feed(pin, funcid, &plan);
	double		rows = requested_rows(args);

	if (rows > 1)
	{
		Filieres	filieres;
		double		all;

		read_filieres(feed, linitial(args), &filieres);
		all = all_rows(feed, &plan, &filieres);
		rows = Min(rows, IsA(list_nth(args, ARG_N), Const) ? all : all * UNKNOWN_LIMIT_FRACTION);
	}
	catalogue_unpin(pin);

	return clamp_row_est(rows);
}

/* The rest of a call's estimate. */
void
catalogue_feed_estimate(Oid funcid, List *args, TupleSourceEstimate *estimate)
{
	CachedPin  *pin = palloc(sizeof(CachedPin));
	ReferencePlan plan;
	ChapterFeed *feed = pin_feed(pin, funcid, &plan);
	Filieres	filieres;

	read_filieres(feed, linitial(args), &filieres);
	set_cost(&plan, filieres.number, estimate);
	estimate->relation_oids = list_make2_oid(feed->relid, feed->config_relid);
	estimate->depends_on_role = plan.depends_on_role;
	set_order(feed, &plan, &estimate->order);
	catalogue_unpin(pin);
}

/* A function's feed, and its reference plan. */
static ChapterFeed *
pin_feed(CachedPin *pin, Oid funcid, ReferencePlan *plan)
{
	const PageFilter no_filter = {0};
	ChapterFeed *feed;

	catalogue_init_pin(pin, CurrentMemoryContext);
	feed = catalogue_feed_pin(pin, funcid);
	catalogue_feed_read_reference_plan(feed, &no_filter, plan, NULL);

	return feed;
}

/* The table whose rows a call returns. */
Oid
catalogue_feed_relation(Oid funcid)
{
	CachedPin  *pin = palloc(sizeof(CachedPin));
	Oid			relid;

	catalogue_init_pin(pin, CurrentMemoryContext);
	relid = catalogue_feed_pin(pin, funcid)->relid;
	catalogue_unpin(pin);

	return relid;
}

static void
read_filieres(const ChapterFeed *feed, Node *argument, Filieres *filieres)
{
	filieres->number = 1;
	filieres->nvalues = 0;

	if (IsA(argument, Const) && feed->several)
		read_array(feed, (Const *) argument, filieres);
	else if (IsA(argument, Const))
	{
		filieres->values[filieres->nvalues].value = ((Const *) argument)->constvalue;
		filieres->values[filieres->nvalues++].isnull = ((Const *) argument)->constisnull;
	}
	else if (IsA(argument, ArrayExpr))
		filieres->number = list_length(((ArrayExpr *) argument)->elements);
	else if (feed->several)
		filieres->number = DEFAULT_ELEMENTS;
}

static void
read_array(const ChapterFeed *feed, const Const *array, Filieres *filieres)
{
	ArrayType  *value;
	ArrayIterator iterator;

	if (array->constisnull)
	{
		filieres->number = 0;
		return;
	}
	value = DatumGetArrayTypeP(array->constvalue);
	filieres->number = ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value));
	iterator = array_create_iterator(value, 0, NULL);
	while (filieres->nvalues < MAX_ELEMENTS)
	{
		NullableDatum *element = &filieres->values[filieres->nvalues];

		if (!array_iterate(iterator, &element->value, &element->isnull))
			break;
		filieres->nvalues++;
	}
	array_free_iterator(iterator);
}

/*
 * The chapters of all filières of a call.
 *
 * The reference plan is for any filière.  Where some are named, the table's statistics
 * say how many chapters these have, of what any has.  A partitioned table's plan
 * expects a filière to be in every partition, so its rows are not taken, if there are
 * statistics of the table as a whole.
 */
static double
all_rows(const ChapterFeed *feed, const ReferencePlan *plan, const Filieres *filieres)
{
	RelOptInfo	rel = {.type = T_RelOptInfo};
	VariableStatData vardata = {.rel = &rel};
	bool		partitioned = get_rel_relkind(feed->relid) == RELKIND_PARTITIONED_TABLE;
	double		rows = plan->rows;

	rel.tuples = table_rows(feed->relid);
	vardata.statsTuple = catalogue_column_statistics(feed->relid, plan->filiere_attno);
	if (HeapTupleIsValid(vardata.statsTuple))
	{
		Selectivity any;
		Selectivity named;

		vardata.freefunc = ReleaseSysCache;
		vardata.acl_ok = catalogue_may_use_statistics(feed->relid, plan->filiere_attno);
		filiere_selectivities(feed, plan, filieres, &vardata, &any, &named);
		if (partitioned && rel.tuples > 1)
			rows = rel.tuples * named;
		else if (any > 0)
			rows *= named / any;
		ReleaseVariableStats(vardata);
	}

	return rows * filieres->number;
}

/* Of any filière, and of those that are named, on an average. */
static void
filiere_selectivities(const ChapterFeed *feed, const ReferencePlan *plan, const Filieres *filieres,
					  VariableStatData *vardata, Selectivity *any, Selectivity *named)
{
	Oid			opno = equality_operator(feed, plan);
	Oid			collation;
	Selectivity sum = 0;

	get_atttypetypmodcoll(feed->relid, plan->filiere_attno, &vardata->vartype, &vardata->atttypmod,
						  &collation);
	vardata->atttype = vardata->vartype;

	*any = *named = var_eq_non_const(vardata, opno, collation, NULL, true, false);
	for (int i = 0; i < filieres->nvalues; i++)
		sum += var_eq_const(vardata, opno, collation, filieres->values[i].value,
							filieres->values[i].isnull, true, false);
	if (filieres->nvalues > 0)
		*named = sum / filieres->nvalues;
}

/* As of the last VACUUM or ANALYZE. */
static double
table_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = 1;

	if (HeapTupleIsValid(tuple))
	{
		rows = Max(((Form_pg_class) GETSTRUCT(tuple))->reltuples, 1);
		ReleaseSysCache(tuple);
	}

	return rows;
}

/* What the reference query compares the filière with. */
static Oid
equality_operator(const ChapterFeed *feed, const ReferencePlan *plan)
{
	TypeCacheEntry *type;
	Oid			column_type;
	Oid			opno;

	if (OidIsValid(plan->equality_operator))
		return plan->equality_operator;

	type = lookup_type_cache(feed->filiere.oid, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
	column_type = getBaseType(get_atttype(feed->relid, plan->filiere_attno));
	opno = get_opfamily_member(type->btree_opf, column_type, feed->filiere.oid,
							   BTEqualStrategyNumber);

	return OidIsValid(opno) ? opno : type->eq_opr;
}

/* The call's n, as far as the planner can know it: else the default. */
static double
requested_rows(List *args)
{
	Node	   *n = list_nth(args, ARG_N);

	if (!IsA(n, Const))
		return DEFAULT_N;
	if (((Const *) n)->constisnull)
		return (double) ALL_CHAPTERS;

	return Max(DatumGetInt64(((Const *) n)->constvalue), 0);
}

/*
 * A row costs what it does in the reference plan, which mostly is a page at
 * random.  Once there are more rows than pages, most pages have been read.
 */
static void
set_cost(const ReferencePlan *plan, double nfilieres, TupleSourceEstimate *estimate)
{
	Cost		row_cost = (plan->total_cost - plan->startup_cost) / Max(plan->rows, 1);
	double		cheap_rows = 0;

	if (plan->pages > 0)
		cheap_rows = Max(estimate->rows - plan->pages, 0);
	estimate->startup_cost = plan->startup_cost * nfilieres;
	estimate->total_cost = estimate->startup_cost + row_cost * (estimate->rows - cheap_rows) +
		Min(row_cost, cpu_tuple_cost + cpu_index_tuple_cost) * cheap_rows;
}

/* created_at DESC NULLS LAST, id DESC; of an id that may be NULL the order is not told. */
static void
set_order(const ChapterFeed *feed, const ReferencePlan *plan, TupleSourceOrder *order)
{
	Relation	rel = table_open(feed->relid, NoLock);
	const AttrNumber columns[] = {plan->created_at_attno, plan->id_attno};

	order->ncolumns = 0;
	for (int i = 0; i < lengthof(columns); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), columns[i] - 1);
		bool		nullable = !catalogue_feed_is_never_null(rel, columns[i]);

		/* The order of ids that are NULL is the index's. */
		if (nullable && columns[i] == plan->id_attno)
			break;
		order->columns[order->ncolumns].attno = columns[i];
		order->columns[order->ncolumns].type = att->atttypid;
		order->columns[order->ncolumns].typmod = att->atttypmod;
		order->columns[order->ncolumns].collation = att->attcollation;
		order->columns[order->ncolumns++].nullable = nullable;
	}
	table_close(rel, NoLock);
}
