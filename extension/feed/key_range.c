/*
 * key_range.c
 *		The ranges of the feed's order that a page is read in, and their SQL.
 *
 * Where the feed can stream, index_scan.c reads the ranges.  Where it cannot,
 * the executor does, by the plans that are saved here.  For several filières there
 * are two forms that one would write by hand: = ANY, which reads every chapter
 * of all of them and sorts, and LATERAL, which reads the page of each.  Which is
 * better depends on the indexes, and the planner knows it.
 *
 * The plans are generic ones, made once: what a page costs to plan is many times
 * what it costs to read.
 *
 * Lifetime: the plans of a feed live as long as it does, or until rows with
 * other columns are asked for.  A caller pins those it runs: a nested call that
 * looks at other columns replaces them.
 */
#include "feed/key_range.h"

#include "feed/feed_order.h"
#include "names.h"

#include "access/table.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* The plans of the ranges, for rows of the table's type in which some columns are filled. */
struct KeyRangePlans
{
	CachedThing base;			/* (must be first) */
	Bitmapset  *columns;
	SPIPlanPtr	plans[KEY_RANGE_END];	/* NULL until needed */
};

static void append_equality(StringInfo buf, const ChapterFeed *feed, const char *value);
static void append_condition(StringInfo buf, const ChapterFeed *feed, ChapterKeyRange range);
static SPIPlanPtr prepare_better(const ChapterFeed *feed, MemoryContext cxt, const char *any,
								 const char *lateral);
static Cost generic_cost(SPIPlanPtr plan);
static Oid	filiere_collation(const ChapterFeed *feed);
static char *select_list(Oid relid, const Bitmapset *columns, int *ncolumns);

/* The range that follows another: the dated chapters are followed by the undated ones. */
ChapterKeyRange
catalogue_feed_next_key_range(Relation rel, const ReferencePlan *plan, ChapterKeyRange range)
{
	if (range != KEY_RANGE_AFTER && range != KEY_RANGE_BEFORE)
		return KEY_RANGE_END;

	return catalogue_feed_is_never_null(rel, plan->created_at_attno)
		? KEY_RANGE_END
		: KEY_RANGE_UNDATED;
}

/* The bound table, in the feed's queries. */
ChapterTable
catalogue_feed_table(const ChapterFeed *feed)
{
	ChapterTable table = {
		.name = feed->relation,
		.order_by = feed->order_by,
	};

	return table;
}

/*
 * The best SQL for one range, as anyone would write it by hand, with the
 * parameters of catalogue_feed_params().
 */
char *
catalogue_feed_key_range_query(const ChapterFeed *feed, const ChapterTable *table,
							   const char *columns, bool several, ChapterKeyRange range,
							   const PageFilter *filter)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT %s FROM %s AS chapter WHERE ", columns, table->name);
	append_equality(&buf, feed, several ? "ANY ($1)" : "$1");
	append_condition(&buf, feed, range);
	if (filter->attno != 0)
		appendStringInfo(&buf, " AND %s %s $5",
						 quote_identifier(get_attname(feed->relid, filter->attno, false)),
						 catalogue_operator_name(filter->opno));
	appendStringInfo(&buf, " %s LIMIT $2", table->order_by);

	return buf.data;
}

/*
 * Filière = value.  A new session pays for what is looked up here: a varchar column is
 * cast to text, as the parser would do by itself after a look at every other operator of
 * the name, and the operator of text, the most usual type, is known without the type
 * cache, which goes through every operator class.
 */
static void
append_equality(StringInfo buf, const ChapterFeed *feed, const char *value)
{
	const char *column = feed->attachment->chapters_filiere;
	Oid			column_type = get_atttype(feed->relid, catalogue_column_number(feed->relid, column));
	Oid			type = feed->filiere.oid;
	Oid			equal = type == TEXTOID ? TextEqualOperator
		: lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;

	appendStringInfoString(buf, quote_identifier(column));
	if (column_type != type && IsBinaryCoercible(column_type, type))
		appendStringInfo(buf, "::%s", catalogue_type_name(type));
	appendStringInfo(buf, " %s %s", catalogue_operator_name(equal), value);
}

static void
append_condition(StringInfo buf, const ChapterFeed *feed, ChapterKeyRange range)
{
	TypeCacheEntry *created_at_type;
	TypeCacheEntry *id_type;
	const char *created_at;
	const char *created_at_less;
	const char *id;
	const char *id_less;

	if (range == KEY_RANGE_NEWEST)
		return;

	created_at_type = lookup_type_cache(feed->created_at.oid, TYPECACHE_LT_OPR | TYPECACHE_EQ_OPR);
	id_type = lookup_type_cache(feed->id.oid, TYPECACHE_LT_OPR);
	created_at = quote_identifier(feed->attachment->chapters_created_at);
	created_at_less = catalogue_operator_name(created_at_type->lt_opr);
	id = quote_identifier(feed->attachment->chapters_id);
	id_less = catalogue_operator_name(id_type->lt_opr);

	switch (range)
	{
		case KEY_RANGE_BEFORE:
			appendStringInfo(buf, " AND %s %s $3", created_at, created_at_less);
			break;
		case KEY_RANGE_AFTER:
			/* A row comparison has one operator's name for both columns. */
			if (strcmp(id_less, created_at_less) == 0)
				appendStringInfo(buf, " AND ROW(%s, %s) %s ROW($3, $4)", created_at, id, id_less);
			else
				appendStringInfo(buf, " AND (%s %s $3 OR %s %s $3 AND %s %s $4)", created_at,
								 created_at_less, created_at,
								 catalogue_operator_name(created_at_type->eq_opr), id, id_less);
			break;
		case KEY_RANGE_UNDATED:
			appendStringInfo(buf, " AND %s IS NULL", created_at);
			break;
		case KEY_RANGE_UNDATED_AFTER:
			appendStringInfo(buf, " AND %s IS NULL AND %s %s $4", created_at, id, id_less);
			break;
		case KEY_RANGE_NEWEST:
		case KEY_RANGE_END:
			Assert(false);
	}
}

/*
 * The plans of the ranges for rows of these columns, pinned: any other column
 * would be copied, and ask for rights, for nothing.
 */
KeyRangePlans *
catalogue_feed_pin_key_range_plans(CachedPin *pin, ChapterFeed *feed, const Bitmapset *columns)
{
	KeyRangePlans *plans = feed->key_ranges;

	if (plans == NULL || !bms_equal(plans->columns, columns))
	{
		MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue key range plans",
												  ALLOCSET_SMALL_SIZES);
		MemoryContext oldcxt = MemoryContextSwitchTo(cxt);

		plans = palloc0(sizeof(KeyRangePlans));
		plans->base.cxt = cxt;
		plans->columns = bms_copy(columns);
		MemoryContextSwitchTo(oldcxt);

		/* From here on nothing can fail. */
		MemoryContextSetParent(cxt, feed->base.cxt);
		if (feed->key_ranges != NULL)
			catalogue_drop_cached(&feed->key_ranges->base);
		feed->key_ranges = plans;
	}
	catalogue_pin(pin, &plans->base);

	return plans;
}

SPIPlanPtr
catalogue_feed_key_range_plan(const ChapterFeed *feed, KeyRangePlans *plans, ChapterKeyRange range)
{
	if (plans->plans[range] == NULL)
	{
		const PageFilter no_filter = {0};
		int			ncolumns;
		const char *columns = select_list(feed->relid, plans->columns, &ncolumns);
		const ChapterTable table = catalogue_feed_table(feed);
		const char *query = catalogue_feed_key_range_query(feed, &table, columns, feed->several,
														   range, &no_filter);

		plans->plans[range] = feed->several
			? prepare_better(feed, plans->base.cxt, query,
							 catalogue_feed_lateral_query(feed, &table, columns, ncolumns, range))
			: catalogue_feed_prepare(feed, plans->base.cxt, feed->argument_type, InvalidOid, query,
									 CURSOR_OPT_GENERIC_PLAN);
	}

	return plans->plans[range];
}

/* The plan of that query for several filières which the planner finds cheaper. */
static SPIPlanPtr
prepare_better(const ChapterFeed *feed, MemoryContext cxt, const char *any, const char *lateral)
{
	MemoryContext any_cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue key range plan",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext lateral_cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue key range plan",
													  ALLOCSET_SMALL_SIZES);
	SPIPlanPtr	any_plan = catalogue_feed_prepare(feed, any_cxt, feed->argument_type, InvalidOid, any,
												  CURSOR_OPT_GENERIC_PLAN);
	SPIPlanPtr	lateral_plan = catalogue_feed_prepare(feed, lateral_cxt, feed->argument_type, InvalidOid,
													  lateral, CURSOR_OPT_GENERIC_PLAN);
	bool		use_lateral = generic_cost(lateral_plan) < generic_cost(any_plan);

	MemoryContextDelete(use_lateral ? any_cxt : lateral_cxt);
	MemoryContextSetParent(use_lateral ? lateral_cxt : any_cxt, cxt);

	return use_lateral ? lateral_plan : any_plan;
}

static Cost
generic_cost(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	CachedPlan *cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);
	Cost		cost = linitial_node(PlannedStmt, cplan->stmt_list)->planTree->total_cost;

	ReleaseCachedPlan(cplan, CurrentResourceOwner);

	return cost;
}

/*
 * The page of each filière, merged by a sort.  Its select list has the columns that
 * are asked for and the two to sort by, under names of their own: those of the table
 * may be any.
 */
char *
catalogue_feed_lateral_query(const ChapterFeed *feed, const ChapterTable *table,
							 const char *columns, int ncolumns, ChapterKeyRange range)
{
	const Attachment *attachment = feed->attachment;
	const char *created_at = quote_identifier(attachment->chapters_created_at);
	const char *id = quote_identifier(attachment->chapters_id);
	Oid			collation = filiere_collation(feed);
	StringInfoData names;
	StringInfoData buf;

	initStringInfo(&names);
	for (int i = 1; i <= ncolumns; i++)
		appendStringInfo(&names, "%sc%d", i > 1 ? ", " : "", i);

	/* Filières that are equal to the column are one. */
	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT %s FROM (SELECT DISTINCT f%s%s FROM pg_catalog.unnest($1) AS u (f))"
					 " AS filieres (filiere), LATERAL (SELECT %s, %s, %s FROM %s AS chapter WHERE ",
					 names.data, OidIsValid(collation) ? " COLLATE " : "",
					 OidIsValid(collation) ? catalogue_collation_name(collation) : "",
					 columns, created_at, id, table->name);
	append_equality(&buf, feed, "filieres.filiere");
	append_condition(&buf, feed, range);
	appendStringInfo(&buf, " %s LIMIT $2) AS page (%s, at, id)"
					 " ORDER BY page.at DESC NULLS LAST, page.id DESC LIMIT $2",
					 table->order_by, names.data);

	return buf.data;
}

static Oid
filiere_collation(const ChapterFeed *feed)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(feed->relid,
						  catalogue_column_number(feed->relid, feed->attachment->chapters_filiere),
						  &type, &typmod, &collation);

	return collation;
}

/*
 * Every column of the table, for rows of its type; NULL in the place of those
 * that nobody looks at.  A domain can refuse NULL, so it is read in any case.
 */
static char *
select_list(Oid relid, const Bitmapset *columns, int *ncolumns)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	StringInfoData buf;

	initStringInfo(&buf);
	*ncolumns = 0;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attisdropped)
			continue;
		if ((*ncolumns)++ > 0)
			appendStringInfoString(&buf, ", ");
		if (bms_is_member(att->attnum, columns) || get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			appendStringInfoString(&buf, quote_identifier(NameStr(att->attname)));
		else
			appendStringInfo(&buf, "NULL::%s",
							 format_type_extended(att->atttypid, att->atttypmod,
												  FORMAT_TYPE_TYPEMOD_GIVEN |
												  FORMAT_TYPE_FORCE_QUALIFY));
	}
	table_close(rel, NoLock);

	return buf.data;
}
