/*
 * cached_lookups.c
 *		Two tuple sources over the lookup cache: its rows, and the document.
 *
 * The privileges that a SELECT from the lookup tables needs are checked for
 * every execution, hit or miss: USAGE of their schema, SELECT on the table or
 * on the columns that are bound.  They are those of the role that begins it,
 * as are the rows under row-level security; a cursor may be fetched from by
 * another.
 *
 * Lifetime: a source has a memory context of its own, below the one that was
 * current when it began, and its pin on cached content belongs to that.  The
 * values that it hands out point into the content: good until it is closed.
 */
#include "lookups/cached_lookups.h"

#include "lookups/cache.h"
#include "lookups/sentinel.h"
#include "lookups/statistics.h"
#include "rights.h"
#include "scan/tuple_source.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

/* The first argument of both functions, and what open() gets behind it. */
#define ARG_UNIVERSITE 0
#define ROWS_ARG_KIND 1			/* from take_kind_condition() */
#define DOCUMENT_ARG_KNOWN_VERSION 1	/* the function's second argument */

/* Columns of cached_lookups_json(). */
enum
{
	DOCUMENT_VERSION,
	DOCUMENT_LOOKUPS
};

typedef struct LookupSource
{
	TupleSource base;			/* (must be first) */
	MemoryContext cxt;			/* holds the source and its pin */
	const Attachment *attachment;
	Oid			universite_type;
	int			ncolumns;		/* that next() stores, from 0 */
	AttrNumber	columns[LOOKUP_ROW_NATTS];
	Oid			role;			/* that began the execution */
	bool		row_security;	/* applies to it */
	LookupPin	pin;			/* holds content while the source is open */
	uint64		position;		/* of the next row, in the content */
	uint64		end;			/* of the rows to return */
} LookupSource;

PG_FUNCTION_INFO_V1(catalogue_cached_lookups);
PG_FUNCTION_INFO_V1(catalogue_cached_lookups_json);

static const Attachment *attachment_with_lookups(Oid funcid);
static double estimate_rows(Oid funcid, List *args);
static double estimate_document(Oid funcid, List *args);
static void estimate_cost(Oid funcid, List *args, TupleSourceEstimate *estimate);
static List *take_kind_condition(Index rti, List **conditions);
static Const *kind_constant(Expr *condition, Index rti);
static bool is_kind_column(Node *expr, Index rti);
static TupleSource *begin_rows(Oid funcid, Snapshot snapshot, const AttrNumber *columns,
							   int ncolumns, const List *used);
static TupleSource *begin_document(Oid funcid, Snapshot snapshot, const AttrNumber *columns,
								   int ncolumns, const List *used);
static LookupSource *begin_source(Oid funcid, const TupleSourceMethods *methods,
								  const AttrNumber *columns, int ncolumns);
static bool check_access(const Attachment *attachment, Oid role);
static bool may_select(const LookupBinding *lookup, Oid role);
static void open_rows(TupleSource *base, const NullableDatum *args, int nargs);
static void open_document(TupleSource *base, const NullableDatum *args, int nargs);
static void pin_content(LookupSource *source, LookupForm form, const NullableDatum *universite);
static bool next_row(TupleSource *base, TupleTableSlot *slot);
static bool next_document(TupleSource *base, TupleTableSlot *slot);
static void store_row(const LookupSource *source, const uint32 *offsets, TupleTableSlot *slot);
static void close_source(TupleSource *base);
static void end_source(TupleSource *base);
static void explain_rows(TupleSource *base, List *args, ExplainState *es);
static void explain_source(TupleSource *base, List *args, ExplainState *es);

static const TupleSourceMethods row_source = {
	.function = catalogue_cached_lookups,
	.estimate_rows = estimate_rows,
	.estimate = estimate_cost,
	.take_conditions = take_kind_condition,
	.begin = begin_rows,
	.open = open_rows,
	.next = next_row,
	.close = close_source,
	.end = end_source,
	.explain = explain_rows,
};

static const TupleSourceMethods document_source = {
	.function = catalogue_cached_lookups_json,
	.estimate_rows = estimate_document,
	.estimate = estimate_cost,
	.begin = begin_document,
	.open = open_document,
	.next = next_document,
	.close = close_source,
	.end = end_source,
	.explain = explain_source,
};

void
catalogue_lookups_init(void)
{
	catalogue_register_tuple_source(&row_source);
	catalogue_register_tuple_source(&document_source);
	catalogue_lookup_cache_init();
	catalogue_lookup_sentinel_init();
	catalogue_lookup_statistics_init();
}

/*
 * cached_lookups(universite)
 *		RETURNS TABLE (kind text, id text, code text, nom text, parent_id text)
 *
 * All lookups; with a university, that one and what is below it, so nothing
 * if it does not exist.  Kinds come in tree order, then by nom and by id in
 * collation "C".
 *
 * Errors: no right to read 42501; schema not attached, or attached without
 * lookup tables, 55000.
 */
Datum
catalogue_cached_lookups(PG_FUNCTION_ARGS)
{
	return catalogue_materialize(fcinfo, &row_source);
}

/*
 * cached_lookups_json(universite, known_version text)
 *		RETURNS TABLE (version text, lookups json)
 *
 * The same lookups as one document and its version, in one row; no row while
 * the version is the one that the caller knows.
 *
 * Errors: as cached_lookups().
 */
Datum
catalogue_cached_lookups_json(PG_FUNCTION_ARGS)
{
	return catalogue_materialize(fcinfo, &document_source);
}

static const Attachment *
attachment_with_lookups(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid, NULL);

	if (attachment->lookups == NIL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without lookup tables",
					   attachment->schema_name),
				errhint("Run catalogue.attach() with a mapping that names them."));

	return attachment;
}

/* All rows of the tables, or one university's part of them. */
static double
estimate_rows(Oid funcid, List *args)
{
	const Attachment *attachment = attachment_with_lookups(funcid);
	Node	   *universite = list_nth(args, ARG_UNIVERSITE);
	double		rows = 0;
	double		universites = 1;
	ListCell   *lc;

	foreach(lc, attachment->lookups)
		rows += catalogue_lookup_table_rows(lfirst(lc));
	if (!IsA(universite, Const) || !((Const *) universite)->constisnull)
		universites = catalogue_lookup_table_rows(linitial(attachment->lookups));

	return clamp_row_est(rows / Max(universites, 1));
}

static double
estimate_document(Oid funcid, List *args)
{
	return 1;
}

static void
estimate_cost(Oid funcid, List *args, TupleSourceEstimate *estimate)
{
	estimate->total_cost = cpu_tuple_cost * estimate->rows;
}

/*
 * Takes a condition kind = constant out of the plan's, since open_rows() finds
 * the rows of a kind faster than the plan can filter them.  Returns its
 * constant, which open_rows() gets as a further argument; NULL where the query
 * has no such condition.  If it has several, the others stay with the plan.
 */
static List *
take_kind_condition(Index rti, List **conditions)
{
	ListCell   *lc;

	foreach(lc, *conditions)
	{
		Const	   *kind = kind_constant(lfirst(lc), rti);

		if (kind != NULL)
		{
			*conditions = foreach_delete_current(*conditions, lc);
			return list_make1(kind);
		}
	}

	return list_make1(makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID));
}

/*
 * The constant of a condition kind = constant or constant = kind; NULL for
 * every other condition.
 *
 * The source compares bytes, so the collation must be one in which texts are
 * equal only if their bytes are.  A NULL constant is left to the plan: it would
 * tell open_rows() that there is no condition.
 */
static Const *
kind_constant(Expr *condition, Index rti)
{
	OpExpr	   *op = (OpExpr *) condition;
	Node	   *left;
	Node	   *right;
	Const	   *constant;

	if (!IsA(condition, OpExpr) || op->opno != TextEqualOperator ||
		!get_collation_isdeterministic(op->inputcollid))
		return NULL;

	left = linitial(op->args);
	right = lsecond(op->args);
	if (is_kind_column(left, rti) && IsA(right, Const))
		constant = (Const *) right;
	else if (is_kind_column(right, rti) && IsA(left, Const))
		constant = (Const *) left;
	else
		return NULL;

	return constant->constisnull ? NULL : constant;
}

static bool
is_kind_column(Node *expr, Index rti)
{
	Var		   *var = (Var *) expr;

	return IsA(expr, Var) && var->varno == rti && var->varattno == LOOKUP_ROW_KIND + 1 &&
		var->varlevelsup == 0;
}

static TupleSource *
begin_rows(Oid funcid, Snapshot snapshot, const AttrNumber *columns, int ncolumns,
		   const List *used)
{
	return &begin_source(funcid, &row_source, columns, ncolumns)->base;
}

static TupleSource *
begin_document(Oid funcid, Snapshot snapshot, const AttrNumber *columns, int ncolumns,
			   const List *used)
{
	return &begin_source(funcid, &document_source, columns, ncolumns)->base;
}

/* Begins either source; the columns are as in TupleSourceMethods. */
static LookupSource *
begin_source(Oid funcid, const TupleSourceMethods *methods, const AttrNumber *columns, int ncolumns)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup source",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	LookupSource *source = palloc0(sizeof(LookupSource));
	Oid		   *argtypes;
	int			nargs;

	source->base.methods = methods;
	if (get_func_result_type(funcid, NULL, &source->base.tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function %u does not return a row type", funcid);
	source->ncolumns = columns != NULL ? ncolumns : source->base.tupdesc->natts;
	Assert(source->ncolumns <= LOOKUP_ROW_NATTS);
	for (int i = 0; i < source->ncolumns; i++)
		source->columns[i] = columns != NULL ? columns[i] - 1 : i;
	source->cxt = cxt;
	source->attachment = attachment_with_lookups(funcid);
	get_func_signature(funcid, &argtypes, &nargs);
	source->universite_type = argtypes[ARG_UNIVERSITE];
	source->role = GetUserId();
	source->row_security = check_access(source->attachment, source->role);
	catalogue_init_lookup_pin(&source->pin, cxt);

	MemoryContextSwitchTo(oldcxt);
	return source;
}

/*
 * Checks that a role may read all columns that are bound; returns whether
 * row-level security applies to it.
 */
static bool
check_access(const Attachment *attachment, Oid role)
{
	Oid			checked_namespace = InvalidOid;
	bool		restricted = false;
	ListCell   *lc;

	foreach(lc, attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);
		Oid			namespace = get_rel_namespace(lookup->relid);

		if (OidIsValid(namespace) && namespace != checked_namespace)
		{
			AclResult	aclresult = object_aclcheck(NamespaceRelationId, namespace, role, ACL_USAGE);

			if (aclresult != ACLCHECK_OK)
				aclcheck_error(aclresult, OBJECT_SCHEMA, get_namespace_name(namespace));
			checked_namespace = namespace;
		}
		if (!may_select(lookup, role))
			catalogue_report_no_privilege(lookup->relid);
		if (check_enable_rls(lookup->relid, role, true) == RLS_ENABLED)
			restricted = true;
	}

	return restricted;
}

/* Whether a role may read the columns of a lookup table that are bound. */
static bool
may_select(const LookupBinding *lookup, Oid role)
{
	const char *names[] = {lookup->id, lookup->code, lookup->nom, lookup->parent};
	AttrNumber	columns[lengthof(names)];
	int			n = 0;

	/* The common case needs no column numbers, which take longer to look up. */
	if (pg_class_aclcheck(lookup->relid, role, ACL_SELECT) == ACLCHECK_OK)
		return true;

	for (int i = 0; i < lengthof(names); i++)
	{
		/*
		 * The query that reads the tables raises the error for a missing
		 * column.
		 */
		AttrNumber	attnum = names[i] ? get_attnum(lookup->relid, names[i]) : InvalidAttrNumber;

		if (attnum != InvalidAttrNumber)
			columns[n++] = attnum;
	}

	return catalogue_may_select(lookup->relid, role, columns, n);
}

/* Opens all rows of the content, or those of the kind that the query asks for. */
static void
open_rows(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;
	const LookupContent *content;

	pin_content(source, LOOKUP_ROWS, &args[ARG_UNIVERSITE]);
	content = source->pin.content;
	source->position = 0;
	source->end = content->nrows;

	/* A call that is not answered by a plan node has no conditions. */
	if (nargs > ROWS_ARG_KIND && !args[ROWS_ARG_KIND].isnull)
	{
		const text *kind = DatumGetTextPP(args[ROWS_ARG_KIND].value);

		catalogue_find_kind(content, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind), &source->position,
							&source->end);
	}
}

/* Opens the document, unless the caller knows its version. */
static void
open_document(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;
	const NullableDatum *known = &args[DOCUMENT_ARG_KNOWN_VERSION];
	bool		is_known = false;

	pin_content(source, LOOKUP_DOCUMENT, &args[ARG_UNIVERSITE]);
	if (!known->isnull)
	{
		const LookupContent *content = source->pin.content;
		const text *ours =
			(const text *) DatumGetPointer(catalogue_lookup_value(content, content->version));
		text	   *theirs = DatumGetTextPP(known->value);

		is_known = VARSIZE_ANY_EXHDR(ours) == VARSIZE_ANY_EXHDR(theirs) &&
			memcmp(VARDATA_ANY(ours), VARDATA_ANY(theirs), VARSIZE_ANY_EXHDR(ours)) == 0;
		if ((Pointer) theirs != DatumGetPointer(known->value))
			pfree(theirs);
	}
	source->position = 0;
	source->end = is_known ? 0 : 1;
}

/* Pins what a call with this university returns. */
static void
pin_content(LookupSource *source, LookupForm form, const NullableDatum *universite)
{
	LookupRequest request = {
		.attachment = source->attachment,
		.role = source->role,
		.form = form,
	};
	char	   *scope = NULL;

	if (!universite->isnull)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(source->universite_type, &output, &is_varlena);
		request.scope = scope = OidOutputFunctionCall(output, universite->value);
		request.scope_value = universite->value;
		request.scope_type = source->universite_type;
	}

	catalogue_pin_lookups(&source->pin, &request, source->row_security);
	if (scope != NULL)
		pfree(scope);
}

static bool
next_row(TupleSource *base, TupleTableSlot *slot)
{
	LookupSource *source = (LookupSource *) base;

	ExecClearTuple(slot);
	if (source->position == source->end)
		return false;
	store_row(source, source->pin.content->rows[source->position++].values, slot);

	return true;
}

static bool
next_document(TupleSource *base, TupleTableSlot *slot)
{
	LookupSource *source = (LookupSource *) base;
	const LookupContent *content = source->pin.content;
	const uint32 offsets[] = {
		[DOCUMENT_VERSION] = content->version,
		[DOCUMENT_LOOKUPS] = content->document,
	};

	ExecClearTuple(slot);
	if (source->position == source->end)
		return false;
	source->position++;
	store_row(source, offsets, slot);

	return true;
}

/* Stores a virtual tuple whose values, at these offsets, stay in the content. */
static void
store_row(const LookupSource *source, const uint32 *offsets, TupleTableSlot *slot)
{
	const LookupContent *content = source->pin.content;

	for (int i = 0; i < source->ncolumns; i++)
	{
		uint32		offset = offsets[source->columns[i]];

		slot->tts_values[i] = catalogue_lookup_value(content, offset);
		slot->tts_isnull[i] = offset == 0;
	}
	ExecStoreVirtualTuple(slot);
}

static void
close_source(TupleSource *base)
{
	catalogue_unpin_lookups(&((LookupSource *) base)->pin);
}

static void
end_source(TupleSource *base)
{
	MemoryContextDelete(((LookupSource *) base)->cxt);
}

static void
explain_rows(TupleSource *base, List *args, ExplainState *es)
{
	const char *kind = list_nth(args, ROWS_ARG_KIND);

	if (kind != NULL)
		ExplainPropertyText("Kind", kind, es);
	explain_source(base, args, es);
}

static void
explain_source(TupleSource *base, List *args, ExplainState *es)
{
	LookupSource *source = (LookupSource *) base;

	if (source->pin.cache != NULL)
		ExplainPropertyText("Cache", source->pin.cache, es);
}
