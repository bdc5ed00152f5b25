/*
 * reading_plan.c
 *		The queries that read the lookup tables, and their plans, which are kept with
 *		what is known of the tables.
 *
 * One reads all kinds; others read one kind, or its rows with one id, for a call that
 * asks for no more and finds nothing cached.  Each has a variant for a university and
 * what is below it.  They name only the columns that the mapping binds: a wide one,
 * such as a logo, is never read.
 *
 * An id is asked for by its text, and found by an index of its column: a text has one
 * value of each type that column_text.c admits, or none.
 */
#include "lookups/reading_plan.h"

#include "names.h"
#include "query.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

typedef struct LookupPlan
{
	SPIPlanPtr	plan;			/* NULL until it is used */
	Oid			scope_type;		/* InvalidOid: without a university */
} LookupPlan;

static LookupPlan *find_plan(const LookupRequest *request, LookupTables *tables);
static char *lookup_query(const LookupRequest *request, const LookupTables *tables);
static void append_lookup(StringInfo query, const LookupBinding *lookup, int depth);
static void append_scope(StringInfo query, const List *lookups, int depth);
static void append_id(StringInfo query, const LookupBinding *lookup, int depth, Oid type,
					  int parameter);
static const char *scope_operator(const LookupBinding *lookup);
static bool value_of_text(const text *id, Oid type, Datum *value);
static bool integer_of_text(const char *string, int64 *value);
static bool uuid_of_text(const char *string, Datum *value);

/*
 * The plan of the query that reads what a request asks for: rows that change do not
 * change it.  The caller has the tables pinned while it runs, and is the role that
 * reads, within SPI.
 */
SPIPlanPtr
catalogue_reading_plan(const LookupRequest *request, LookupTables *tables)
{
	const LookupPart *part = request->part;
	LookupPlan *plan = find_plan(request, tables);
	Oid			types[2];
	int			ntypes = 0;

	if (plan->plan != NULL && plan->scope_type == request->scope.type)
		return plan->plan;

	if (OidIsValid(request->scope.type))
		types[ntypes++] = request->scope.type;
	if (part != NULL && part->id != NULL)
		types[ntypes++] = tables->id_types[part->depth];
	plan->plan = NULL;
	plan->plan = catalogue_prepare(tables->base.cxt, lookup_query(request, tables), ntypes, types,
								   part != NULL && part->id != NULL ? CURSOR_OPT_GENERIC_PLAN : 0);
	plan->scope_type = request->scope.type;

	return plan->plan;
}

/*
 * The parameters of that plan.  False if there is no need to run it: no value has the
 * text that the id is to have.
 */
bool
catalogue_make_reading_params(const LookupRequest *request, const LookupTables *tables,
							  ParamListInfo *params)
{
	const LookupPart *part = request->part;
	NullableDatum values[2] = {0};
	Oid			types[2];
	int			n = 0;

	if (OidIsValid(request->scope.type))
	{
		types[n] = request->scope.type;
		values[n++].value = request->scope.value;
	}
	if (part != NULL && part->id != NULL)
	{
		types[n] = tables->id_types[part->depth];
		if (!value_of_text(part->id, types[n], &values[n].value))
			return false;
		n++;
	}
	*params = catalogue_make_params(n, types, values);

	return true;
}

/* Whether a part is asked for that can be read alone. */
bool
catalogue_can_read_part(const LookupRequest *request, const LookupTables *tables)
{
	const LookupPart *part = request->part;

	return part != NULL && (part->id == NULL || OidIsValid(tables->id_types[part->depth]));
}

/*
 * Finds the kind that a request, complete but for its part, is to be confined to.
 * False if there is none, or none of its rows belongs to a university: a row without
 * a parent_id does not.
 */
bool
catalogue_find_part(const LookupRequest *request, const text *kind, const text *id,
					LookupPart *part)
{
	const List *lookups = request->attachment->lookups;

	for (int i = 0; i < list_length(lookups); i++)
	{
		const LookupBinding *lookup = list_nth(lookups, i);

		if (OidIsValid(request->scope.type) && i > 0 && lookup->parent == NULL)
			break;
		if (strlen(lookup->kind) == VARSIZE_ANY_EXHDR(kind) &&
			memcmp(lookup->kind, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind)) == 0)
		{
			part->depth = i;
			part->id = id;
			return true;
		}
	}

	return false;
}

/* Where the plan for a request is kept: all kinds come first, then each, and each by id. */
static LookupPlan *
find_plan(const LookupRequest *request, LookupTables *tables)
{
	const LookupPart *part = request->part;
	int			number = 0;

	if (tables->plans == NULL)
	{
		int			nplans = 2 * (1 + 2 * list_length(request->attachment->lookups));

		tables->plans = MemoryContextAllocZero(tables->base.cxt, nplans * sizeof(LookupPlan));
	}
	if (part != NULL)
		number = 1 + 2 * part->depth + (part->id != NULL ? 1 : 0);

	return &tables->plans[2 * number + (OidIsValid(request->scope.type) ? 1 : 0)];
}

/*
 * The query that reads the tables, in no order; with a scope, $1 is the university's id.
 */
static char *
lookup_query(const LookupRequest *request, const LookupTables *tables)
{
	const List *lookups = request->attachment->lookups;
	const LookupPart *part = request->part;
	bool		scoped = OidIsValid(request->scope.type);
	StringInfoData query;

	initStringInfo(&query);
	for (int i = 0; i < list_length(lookups); i++)
	{
		const LookupBinding *lookup = list_nth(lookups, i);

		/* Rows without a parent_id belong to no university. */
		if (scoped && i > 0 && lookup->parent == NULL)
			break;
		if (part != NULL && part->depth != i)
			continue;

		if (query.len > 0)
			appendStringInfoString(&query, " UNION ALL ");
		append_lookup(&query, lookup, i);
		if (scoped)
			append_scope(&query, lookups, i);
		if (part != NULL && part->id != NULL)
		{
			appendStringInfoString(&query, scoped ? " AND " : " WHERE ");
			append_id(&query, lookup, i, tables->id_types[i], scoped ? 2 : 1);
		}
	}

	return query.data;
}

static void
append_lookup(StringInfo query, const LookupBinding *lookup, int depth)
{
	appendStringInfo(query,
					 "SELECT %d, CAST(t%d.%s AS pg_catalog.text),"
					 " CAST(t%d.%s AS pg_catalog.text), CAST(t%d.%s AS pg_catalog.text), ",
					 depth, depth, quote_identifier(lookup->id), depth,
					 quote_identifier(lookup->code), depth, quote_identifier(lookup->nom));
	if (lookup->parent == NULL)
		appendStringInfoString(query, "CAST(NULL AS pg_catalog.text)");
	else
		appendStringInfo(query, "CAST(t%d.%s AS pg_catalog.text)", depth,
						 quote_identifier(lookup->parent));
	appendStringInfo(query, " FROM %s AS t%d", catalogue_qualified_relation_name(lookup->relid),
					 depth);
}

/* The condition that a row of the lookup at this depth is the university's. */
static void
append_scope(StringInfo query, const List *lookups, int depth)
{
	const LookupBinding *lookup = list_nth(lookups, depth);
	const LookupBinding *above;

	if (depth == 0)
	{
		appendStringInfo(query, " WHERE t0.%s %s $1", quote_identifier(lookup->id),
						 scope_operator(lookup));
		return;
	}

	above = list_nth(lookups, depth - 1);
	appendStringInfo(query, " WHERE t%d.%s %s ANY (SELECT t%d.%s FROM %s AS t%d", depth,
					 quote_identifier(lookup->parent), scope_operator(above), depth - 1,
					 quote_identifier(above->id), catalogue_qualified_relation_name(above->relid),
					 depth - 1);
	append_scope(query, lookups, depth - 1);
	appendStringInfoChar(query, ')');
}

/* The condition that a row's id is the one that is asked for. */
static void
append_id(StringInfo query, const LookupBinding *lookup, int depth, Oid type, int parameter)
{
	const char *column = quote_identifier(lookup->id);

	if (type == TEXTOID)
		appendStringInfo(query, "CAST(t%d.%s AS pg_catalog.text)", depth, column);
	else
		appendStringInfo(query, "t%d.%s", depth, column);
	appendStringInfo(query, " OPERATOR(pg_catalog.=) $%d", parameter);
}

/* OPERATOR(schema.=) for the id of a lookup, whatever the search path. */
static const char *
scope_operator(const LookupBinding *lookup)
{
	AttrNumber	attnum = catalogue_column_number(lookup->relid, lookup->id);
	TypeCacheEntry *type = lookup_type_cache(get_atttype(lookup->relid, attnum), TYPECACHE_EQ_OPR);

	if (!OidIsValid(type->eq_opr))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("could not identify an equality operator for type %s",
					   format_type_be(type->type_id)));

	return catalogue_operator_name(type->eq_opr);
}

/* The value whose text is this one; false where there is none. */
static bool
value_of_text(const text *id, Oid type, Datum *value)
{
	char	   *string;
	int64		integer;

	if (type == TEXTOID)
	{
		*value = PointerGetDatum(id);
		return true;
	}

	string = text_to_cstring(id);
	switch (type)
	{
		case UUIDOID:
			return uuid_of_text(string, value);
		case INT2OID:
			if (!integer_of_text(string, &integer) || integer != (int16) integer)
				return false;
			*value = Int16GetDatum((int16) integer);
			return true;
		case INT4OID:
			if (!integer_of_text(string, &integer) || integer != (int32) integer)
				return false;
			*value = Int32GetDatum((int32) integer);
			return true;
		case INT8OID:
			if (!integer_of_text(string, &integer))
				return false;
			*value = Int64GetDatum(integer);
			return true;
		default:
			elog(ERROR, "ids of type %u are not searched", type);
			return false;
	}
}

/* A number that the server would write like this: "07" is none. */
static bool
integer_of_text(const char *string, int64 *value)
{
	char		written[MAXINT8LEN + 1];

	*value = strtoll(string, NULL, 10);
	pg_lltoa(*value, written);

	return strcmp(string, written) == 0;
}

/* A UUID that the server would write like this: in lower case, with four hyphens. */
static bool
uuid_of_text(const char *string, Datum *value)
{
	if (strlen(string) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23
			? string[i] != '-'
			: string[i] == '\0' || strchr("0123456789abcdef", string[i]) == NULL)
			return false;
	}
	*value = DirectFunctionCall1(uuid_in, CStringGetDatum(string));

	return true;
}
