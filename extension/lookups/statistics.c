/*
 * statistics.c
 *		Statistics of the columns of cached_lookups(), for the planner.
 *
 * A function's columns have no statistics, and the planner's defaults are far
 * off: kind = 'filiere' would select one row in 200 where it selects most, and
 * a join on id would not be known to be one on a key.  So a hook returns
 * statistics computed from the sizes of the lookup tables: the list of most
 * common kinds holds all of them, and the ids are unique.
 *
 * The tuples are allocated in the planner's memory context and freed by it.
 */
#include "lookups/statistics.h"

#include "lookups/cached_lookups.h"
#include "lookups/content.h"
#include "scan/tuple_source.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type prev_get_relation_stats_hook = NULL;

static bool lookup_column_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
									 VariableStatData *vardata);
static bool is_cached_lookups(Oid funcid);
static HeapTuple kind_statistics(const Attachment *attachment);
static HeapTuple id_statistics(void);
static void init_statistics(Datum *values, bool *isnull, float4 distinct);
static HeapTuple form_statistics(const Datum *values, const bool *isnull);

/* Called once, while the library is loaded. */
void
catalogue_lookup_statistics_init(void)
{
	prev_get_relation_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = lookup_column_statistics;
}

/* Number of rows of a lookup table, as of the last VACUUM or ANALYZE. */
double
catalogue_lookup_table_rows(const LookupBinding *lookup)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lookup->relid));
	double		rows = 0;

	if (HeapTupleIsValid(tuple))
	{
		rows = Max(((Form_pg_class) GETSTRUCT(tuple))->reltuples, 0);
		ReleaseSysCache(tuple);
	}

	return rows;
}

/* The hook: statistics of kind and id where the relation is a call of cached_lookups(). */
static bool
lookup_column_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
						 VariableStatData *vardata)
{
	FuncExpr   *call;
	HeapTuple	statistics = NULL;

	if (prev_get_relation_stats_hook && prev_get_relation_stats_hook(root, rte, attnum, vardata))
		return true;

	if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1)
		return false;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || !is_cached_lookups(call->funcid))
		return false;

	if (attnum == LOOKUP_ROW_KIND + 1)
		statistics = kind_statistics(catalogue_attachment_of_function(call->funcid, NULL));
	else if (attnum == LOOKUP_ROW_ID + 1)
		statistics = id_statistics();
	if (statistics == NULL)
		return false;

	vardata->statsTuple = statistics;
	vardata->freefunc = heap_freetuple;

	/*
	 * They show no more than sizes of tables, which everyone can read in
	 * pg_class.
	 */
	vardata->acl_ok = true;

	return true;
}

static bool
is_cached_lookups(Oid funcid)
{
	int			number = catalogue_find_tuple_source(funcid);

	return number >= 0 && catalogue_tuple_source(number)->function == catalogue_cached_lookups;
}

/* Every kind with its share of the rows; NULL where no table has been analyzed. */
static HeapTuple
kind_statistics(const Attachment *attachment)
{
	int			nkinds = list_length(attachment->lookups);
	Datum	   *kinds = palloc(nkinds * sizeof(Datum));
	Datum	   *shares = palloc(nkinds * sizeof(Datum));
	double		total = 0;
	Datum		values[Natts_pg_statistic];
	bool		isnull[Natts_pg_statistic];

	for (int i = 0; i < nkinds; i++)
		total += catalogue_lookup_table_rows(list_nth(attachment->lookups, i));
	if (total == 0)
		return NULL;

	for (int i = 0; i < nkinds; i++)
	{
		const LookupBinding *lookup = list_nth(attachment->lookups, i);

		kinds[i] = CStringGetTextDatum(lookup->kind);
		shares[i] = Float4GetDatum(catalogue_lookup_table_rows(lookup) / total);
	}

	init_statistics(values, isnull, nkinds);
	values[Anum_pg_statistic_stakind1 - 1] = Int16GetDatum(STATISTIC_KIND_MCV);
	values[Anum_pg_statistic_staop1 - 1] = ObjectIdGetDatum(TextEqualOperator);
	values[Anum_pg_statistic_stacoll1 - 1] = ObjectIdGetDatum(DEFAULT_COLLATION_OID);
	values[Anum_pg_statistic_stanumbers1 - 1] = PointerGetDatum(
																construct_array(shares, nkinds, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
	isnull[Anum_pg_statistic_stanumbers1 - 1] = false;
	values[Anum_pg_statistic_stavalues1 - 1] =
		PointerGetDatum(construct_array(kinds, nkinds, TEXTOID, -1, false, TYPALIGN_INT));
	isnull[Anum_pg_statistic_stavalues1 - 1] = false;

	return form_statistics(values, isnull);
}

/* Unique: stadistinct is minus one, which stands for the number of rows. */
static HeapTuple
id_statistics(void)
{
	Datum		values[Natts_pg_statistic];
	bool		isnull[Natts_pg_statistic];

	init_statistics(values, isnull, -1);

	return form_statistics(values, isnull);
}

/* Statistics with no slot in use: stanumbers and stavalues are NULL, the rest is zero. */
static void
init_statistics(Datum *values, bool *isnull, float4 distinct)
{
	memset(values, 0, Natts_pg_statistic * sizeof(Datum));
	memset(isnull, false, Natts_pg_statistic * sizeof(bool));
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		isnull[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		isnull[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(0);
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(distinct);
}

static HeapTuple
form_statistics(const Datum *values, const bool *isnull)
{
	Relation	pg_statistic = table_open(StatisticRelationId, AccessShareLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(pg_statistic), unconstify(Datum *, values),
										unconstify(bool *, isnull));

	table_close(pg_statistic, AccessShareLock);

	return tuple;
}
