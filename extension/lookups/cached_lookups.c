/*
 * cached_lookups.c
 *		Two tuple sources over the lookup cache: its rows, and the document.
 *
 * The privileges that a SELECT from the lookup tables needs are checked for
 * every execution, hit or miss: USAGE of their schema, SELECT on the table or
 * on the columns that are bound.
 *
 * Lifetime: a source has a memory context of its own, below the one that was
 * current when it began, and its pin on cached content belongs to that.  The
 * values that it hands out point into the content: good until it is closed.
 */
#include "lookups/cached_lookups.h"

#include "lookups/cache.h"
#include "lookups/sentinel.h"
#include "lookups/statistics.h"
#include "names.h"
#include "rights.h"
#include "scan/tuple_source.h"

#include "catalog/pg_class.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "catalog/pg_namespace.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

/* Arguments of both functions. */
enum
{
	ARG_UNIVERSITE,
	ARG_KNOWN_VERSION,			  /* cached_lookups_json() only */
	ARG_KIND = ARG_UNIVERSITE + 1 /* of cached_lookups() alone: the kind that is wanted */
};

/* Columns of cached_lookups_json(). */
enum
{
	DOCUMENT_VERSION,
	DOCUMENT_LOOKUPS
};

typedef struct LookupSource
{
	TupleSource base;  /* (must be first) */
	MemoryContext cxt; /* holds the source and its pin */
	const Attachment *attachment;
	Oid universite_type;
	int ncolumns; /* that next() stores, from 0 */
	AttrNumber columns[LOOKUP_ROW_NATTS];
	bool row_security; /* applies to the caller */
	LookupPin pin;	   /* holds content while the source is open */
	uint64 position;   /* of the next row */
	uint64 end;
} LookupSource;

PG_FUNCTION_INFO_V1(catalogue_cached_lookups);
PG_FUNCTION_INFO_V1(catalogue_cached_lookups_json);

static const Attachment *attachment_with_lookups(Oid funcid);
static void estimate_rows(Oid funcid, List *args, TupleSourceEstimate *estimate);
static void estimate_document(Oid funcid, List *args, TupleSourceEstimate *estimate);
static List *take_kind(Index rti, List **conditions);
static TupleSource *begin_rows(Oid funcid, Snapshot snapshot, const AttrNumber *columns,
							   int ncolumns);
static TupleSource *begin_document(Oid funcid, Snapshot snapshot, const AttrNumber *columns,
								   int ncolumns);
static LookupSource *begin_source(Oid funcid, const TupleSourceMethods *methods,
								  const AttrNumber *columns, int ncolumns);
static bool check_access(const Attachment *attachment);
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
	.estimate = estimate_rows,
	.take_conditions = take_kind,
	.begin = begin_rows,
	.open = open_rows,
	.next = next_row,
	.close = close_source,
	.end = end_source,
	.explain = explain_rows,
};

static const TupleSourceMethods document_source = {
	.function = catalogue_cached_lookups_json,
	.estimate = estimate_document,
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
static void
estimate_rows(Oid funcid, List *args, TupleSourceEstimate *estimate)
{
	const Attachment *attachment = attachment_with_lookups(funcid);
	Node *universite = list_nth(args, ARG_UNIVERSITE);
	double universites = 1;
	ListCell *lc;

	foreach(lc, attachment->lookups)
		estimate->rows += catalogue_lookup_table_rows(lfirst(lc));
	if (!IsA(universite, Const) || !((Const *) universite)->constisnull)
		universites = catalogue_lookup_table_rows(linitial(attachment->lookups));

	estimate->rows = clamp_row_est(estimate->rows / Max(universites, 1));
	estimate->total_cost = cpu_tuple_cost * estimate->rows;
}

static void
estimate_document(Oid funcid, List *args, TupleSourceEstimate *estimate)
{
	estimate->rows = 1;
	estimate->total_cost = cpu_tuple_cost;
}

/*
 * Takes the condition kind = constant; its value is NULL where there is none.
 */
static List *
take_kind(Index rti, List **conditions)
{
	Expr *value = NULL;
	ListCell *lc;

	foreach(lc, *conditions)
	{
		OpExpr *condition = lfirst(lc);
		Node *left;
		Node *right;

		/* Where equal texts have equal bytes: the source compares those. */
		if (!IsA(condition, OpExpr) || condition->opno != TextEqualOperator ||
			!get_collation_isdeterministic(condition->inputcollid))
			continue;

		left = linitial(condition->args);
		right = lsecond(condition->args);
		if (IsA(left, Const))
		{
			left = lsecond(condition->args);
			right = linitial(condition->args);
		}
		if (IsA(left, Var) && ((Var *) left)->varno == rti &&
			((Var *) left)->varattno == LOOKUP_ROW_KIND + 1 && ((Var *) left)->varlevelsup == 0 &&
			IsA(right, Const) && !((Const *) right)->constisnull)
		{
			*conditions = foreach_delete_current(*conditions, lc);
			value = (Expr *) right;
			break;
		}
	}
	if (value == NULL)
		value = (Expr *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);

	return list_make1(value);
}

static TupleSource *
begin_rows(Oid funcid, Snapshot snapshot, const AttrNumber *columns, int ncolumns)
{
	return &begin_source(funcid, &row_source, columns, ncolumns)->base;
}

static TupleSource *
begin_document(Oid funcid, Snapshot snapshot, const AttrNumber *columns, int ncolumns)
{
	return &begin_source(funcid, &document_source, columns, ncolumns)->base;
}

static LookupSource *
begin_source(Oid funcid, const TupleSourceMethods *methods, const AttrNumber *columns, int ncolumns)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup source",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	LookupSource *source = palloc0(sizeof(LookupSource));
	Oid *argtypes;
	int nargs;

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
	source->row_security = check_access(source->attachment);
	catalogue_init_lookup_pin(&source->pin, cxt);

	MemoryContextSwitchTo(oldcxt);
	return source;
}

/*
 * Checks that the current role may read all that is bound; says whether
 * row-level security decides which rows those are.
 */
static bool
check_access(const Attachment *attachment)
{
	Oid role = GetUserId();
	Oid checked_namespace = InvalidOid;
	bool restricted = false;
	ListCell *lc;

	foreach(lc, attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);
		Oid namespace = get_rel_namespace(lookup->relid);

		if (OidIsValid(namespace) && namespace != checked_namespace)
		{
			AclResult aclresult = object_aclcheck(NamespaceRelationId, namespace, role, ACL_USAGE);

			if (aclresult != ACLCHECK_OK)
				aclcheck_error(aclresult, OBJECT_SCHEMA, get_namespace_name(namespace));
			checked_namespace = namespace;
		}
		if (!may_select(lookup, role))
			catalogue_report_no_privilege(lookup->relid);
		if (check_enable_rls(lookup->relid, InvalidOid, true) == RLS_ENABLED)
			restricted = true;
	}

	return restricted;
}

static bool
may_select(const LookupBinding *lookup, Oid role)
{
	const char *names[] = {lookup->id, lookup->code, lookup->nom, lookup->parent};
	AttrNumber columns[lengthof(names)];
	int n = 0;

	for (int i = 0; i < lengthof(names); i++)
	{
		/* The query that reads the tables says what it thinks of a missing column. */
		AttrNumber attnum = names[i] ? get_attnum(lookup->relid, names[i]) : InvalidAttrNumber;

		if (attnum != InvalidAttrNumber)
			columns[n++] = attnum;
	}

	return catalogue_may_select(lookup->relid, role, columns, n);
}

static void
open_rows(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;

	pin_content(source, LOOKUP_ROWS, &args[ARG_UNIVERSITE]);
	source->end = source->pin.content->nrows;
	if (nargs > ARG_KIND && !args[ARG_KIND].isnull)
	{
		const text *kind = DatumGetTextPP(args[ARG_KIND].value);

		catalogue_find_kind(source->pin.content, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind),
							&source->position, &source->end);
	}
}

static void
open_document(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;
	const NullableDatum *known = &args[ARG_KNOWN_VERSION];
	bool is_known = false;

	pin_content(source, LOOKUP_DOCUMENT, &args[ARG_UNIVERSITE]);
	if (!known->isnull)
	{
		const LookupContent *content = source->pin.content;
		const text *ours =
			(const text *) DatumGetPointer(catalogue_lookup_value(content, content->version));
		text *theirs = DatumGetTextPP(known->value);

		is_known = VARSIZE_ANY_EXHDR(ours) == VARSIZE_ANY_EXHDR(theirs) &&
				   memcmp(VARDATA_ANY(ours), VARDATA_ANY(theirs), VARSIZE_ANY_EXHDR(ours)) == 0;
		if ((Pointer) theirs != DatumGetPointer(known->value))
			pfree(theirs);
	}
	source->end = is_known ? 0 : 1;
}

static void
pin_content(LookupSource *source, LookupForm form, const NullableDatum *universite)
{
	LookupRequest request = {.attachment = source->attachment, .form = form};
	char *scope = NULL;

	if (!universite->isnull)
	{
		Oid output;
		bool is_varlena;

		getTypeOutputInfo(source->universite_type, &output, &is_varlena);
		request.scope = scope = OidOutputFunctionCall(output, universite->value);
		request.scope_value = universite->value;
		request.scope_type = source->universite_type;
	}

	catalogue_pin_lookups(&source->pin, &request, source->row_security);
	source->position = 0;
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

/* Points an empty slot's columns into the content, at values with these offsets. */
static void
store_row(const LookupSource *source, const uint32 *offsets, TupleTableSlot *slot)
{
	const LookupContent *content = source->pin.content;

	for (int i = 0; i < source->ncolumns; i++)
	{
		uint32 offset = offsets[source->columns[i]];

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
	const char *kind = list_nth(args, ARG_KIND);

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
