/*
 * cached_lookups.c
 *		Two tuple sources over the lookup cache, its rows and the document, and the
 *		version alone.
 *
 * Lifetime: a source has a memory context of its own, below the one that was
 * current when it began, and its pin on cached content belongs to that.  The
 * values that it hands out point into the content: good until it is closed.
 */
#include "lookups/cached_lookups.h"

#include "lookups/cache.h"
#include "lookups/call.h"
#include "lookups/conditions.h"
#include "lookups/reading_plan.h"
#include "lookups/statistics.h"
#include "scan/tuple_source.h"

#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* The first argument of all functions, and the second of cached_lookups_json(). */
#define ARG_UNIVERSITE 0
#define DOCUMENT_ARG_KNOWN_VERSION 1

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
	LookupCall	call;
	CachedPin	function_pin;
	int			ncolumns;		/* that next() stores, from 0 */
	AttrNumber	columns[LOOKUP_ROW_NATTS];
	LookupPin	pin;			/* holds content while the source is open */
	const LookupContent *content;	/* what is pinned, or "nothing" */
	const LookupContent *nothing;	/* NULL until it is asked for */
	uint64		position;		/* of the next row, in the content or in
								 * rows_by_id */
	uint64		end;			/* of the rows to return */
	bool		by_id;			/* whether they are those in rows_by_id */
	uint32	   *rows_by_id;
	uint64		max_rows_by_id; /* that there is room for */
} LookupSource;

PG_FUNCTION_INFO_V1(catalogue_cached_lookups);
PG_FUNCTION_INFO_V1(catalogue_cached_lookups_json);
PG_FUNCTION_INFO_V1(catalogue_lookups_version);

static Datum copy_version(const LookupContent *content);
static double estimate_rows(Oid funcid, List *args);
static double estimate_document(Oid funcid, List *args);
static void estimate_cost(Oid funcid, List *args, TupleSourceEstimate *estimate);
static TupleSource *begin_rows(Oid funcid, const List *args, Snapshot snapshot,
							   const AttrNumber *columns, int ncolumns, const List *used);
static TupleSource *begin_document(Oid funcid, const List *args, Snapshot snapshot,
								   const AttrNumber *columns, int ncolumns, const List *used);
static LookupSource *begin_source(Oid funcid, const List *args, const TupleSourceMethods *methods,
								  Snapshot snapshot, const AttrNumber *columns, int ncolumns);
static void open_rows(TupleSource *base, const NullableDatum *args, int nargs);
static void find_rows_with_id(LookupSource *source, const text *id, const text *kind);
static void open_document(TupleSource *base, const NullableDatum *args, int nargs);
static bool pin_rows(LookupSource *source, const NullableDatum *universite, const text *kind,
					 const text *id);
static void pin_content(LookupSource *source, LookupForm form, const NullableDatum *universite);
static bool is_known_version(LookupSource *source, const NullableDatum *universite,
							 const text *known);
static bool same_version(const LookupContent *content, const text *known);
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
	.take_conditions = catalogue_take_lookup_conditions,
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
	catalogue_lookup_entries_init();
	catalogue_lookup_statistics_init();
}

/*
 * cached_lookups(universite)
 *		RETURNS TABLE (kind text, id text, code text, nom text, parent_id text)
 *
 * All lookups; with a university, that one and what is below it, so nothing
 * if it does not exist or is NULL.  Kinds come in tree order, then by nom and by id in
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
 * the version is the one that the caller knows.  NULL for that: none.
 *
 * Errors: as cached_lookups().
 */
Datum
catalogue_cached_lookups_json(PG_FUNCTION_ARGS)
{
	return catalogue_materialize(fcinfo, &document_source);
}

/*
 * lookups_version(universite) RETURNS text
 *
 * The version that cached_lookups_json() has for the same university, or for all, or,
 * where the university is NULL, for nothing.
 *
 * Errors: as cached_lookups().
 */
Datum
catalogue_lookups_version(PG_FUNCTION_ARGS)
{
	LookupCall	call;
	LookupRequest request;
	const LookupContent *content;
	Datum		version;

	catalogue_begin_lookup_call(&call, fcinfo->flinfo->fn_oid, catalogue_call_args(fcinfo),
								GetActiveSnapshot());
	if (catalogue_asks_for_nothing(&call, &fcinfo->args[ARG_UNIVERSITE]))
		PG_RETURN_DATUM(copy_version(catalogue_no_lookups(call.attachment, LOOKUP_VERSION,
														  CurrentMemoryContext)));
	catalogue_make_lookup_request(&call, LOOKUP_VERSION, &fcinfo->args[ARG_UNIVERSITE], &request);
	content = catalogue_find_lookups(&request);
	if (content != NULL)
		version = copy_version(content);
	else
	{
		MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup version",
												  ALLOCSET_SMALL_SIZES);
		LookupPin  *pin = MemoryContextAlloc(cxt, sizeof(LookupPin));

		catalogue_init_lookup_pin(pin, cxt);
		catalogue_pin_lookups(pin, &request);
		version = copy_version(pin->content);
		MemoryContextDelete(cxt);
	}

	PG_RETURN_DATUM(version);
}

static Datum
copy_version(const LookupContent *content)
{
	return datumCopy(catalogue_lookup_value(content, content->version), false, -1);
}

/* All rows of the tables, or one university's part of them. */
static double
estimate_rows(Oid funcid, List *args)
{
	const Attachment *attachment = catalogue_attachment_with_lookups(funcid);
	Node	   *universite = list_nth(args, ARG_UNIVERSITE);
	double		rows = 0;
	double		universites = 1;
	ListCell   *lc;

	foreach(lc, attachment->lookups)
		rows += catalogue_lookup_table_rows(lfirst(lc));
	if (IsA(universite, Const) && ((Const *) universite)->constisnull)
		rows = 0;
	else if (!catalogue_asks_for_everything(funcid, args))
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

static TupleSource *
begin_rows(Oid funcid, const List *args, Snapshot snapshot, const AttrNumber *columns,
		   int ncolumns, const List *used)
{
	return &begin_source(funcid, args, &row_source, snapshot, columns, ncolumns)->base;
}

static TupleSource *
begin_document(Oid funcid, const List *args, Snapshot snapshot, const AttrNumber *columns,
			   int ncolumns, const List *used)
{
	return &begin_source(funcid, args, &document_source, snapshot, columns, ncolumns)->base;
}

/* Begins either source; the columns are as in TupleSourceMethods. */
static LookupSource *
begin_source(Oid funcid, const List *args, const TupleSourceMethods *methods, Snapshot snapshot,
			 const AttrNumber *columns, int ncolumns)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup source",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	LookupSource *source = palloc0(sizeof(LookupSource));

	source->base.methods = methods;
	source->cxt = cxt;
	catalogue_begin_lookup_call(&source->call, funcid, args, snapshot);
	catalogue_init_pin(&source->function_pin, cxt);
	catalogue_pin(&source->function_pin, &source->call.function->base);
	source->base.tupdesc = source->call.function->tupdesc;
	if (source->base.tupdesc == NULL)
		elog(ERROR, "function %u does not return a row type", funcid);
	source->ncolumns = columns != NULL ? ncolumns : source->base.tupdesc->natts;
	Assert(source->ncolumns <= LOOKUP_ROW_NATTS);
	for (int i = 0; i < source->ncolumns; i++)
		source->columns[i] = columns != NULL ? columns[i] - 1 : i;
	catalogue_init_lookup_pin(&source->pin, cxt);

	MemoryContextSwitchTo(oldcxt);
	return source;
}

/* Opens all rows of the content, or those of the kind and the id that the query asks for. */
static void
open_rows(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;
	int			taken = 0;
	const text *kind = NULL;
	const text *id = NULL;
	const LookupContent *content;

	/* A call that is not answered by a plan node has no conditions. */
	if (nargs > ROWS_ARG_TAKEN)
		taken = DatumGetInt32(args[ROWS_ARG_TAKEN].value);
	source->by_id = false;
	source->position = source->end = 0;
	if (((taken & TAKEN_KIND) && args[ROWS_ARG_KIND].isnull) ||
		((taken & TAKEN_ID) && args[ROWS_ARG_ID].isnull) ||
		catalogue_asks_for_nothing(&source->call, &args[ARG_UNIVERSITE]))
		return;

	if (taken & TAKEN_KIND)
		kind = DatumGetTextPP(args[ROWS_ARG_KIND].value);
	if (taken & TAKEN_ID)
		id = DatumGetTextPP(args[ROWS_ARG_ID].value);
	if (!pin_rows(source, &args[ARG_UNIVERSITE], kind, id))
		return;

	content = source->content;
	source->end = content->nrows;
	if (source->pin.is_part)
		return;
	if (id != NULL)
		find_rows_with_id(source, id, kind);
	else if (kind != NULL)
		catalogue_find_kind(content, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind), &source->position,
							&source->end);
}

/* Notes which rows have an id, and are of a kind if one is asked for: these are returned. */
static void
find_rows_with_id(LookupSource *source, const text *id, const text *kind)
{
	const LookupContent *content = source->content;
	const LookupIdIndex *index = catalogue_pinned_id_index(&source->pin);
	uint64		n = 0;
	uint32		row = 0;

	while (catalogue_next_with_id(content, index, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), &row))
	{
		if (kind != NULL && !catalogue_is_of_kind(content, row - 1, VARDATA_ANY(kind),
												  VARSIZE_ANY_EXHDR(kind)))
			continue;
		if (n == source->max_rows_by_id)
		{
			source->max_rows_by_id = Max(2 * source->max_rows_by_id, 8);
			source->rows_by_id = source->rows_by_id == NULL
				? MemoryContextAlloc(source->cxt, source->max_rows_by_id * sizeof(uint32))
				: repalloc_huge(source->rows_by_id, source->max_rows_by_id * sizeof(uint32));
		}
		source->rows_by_id[n++] = row - 1;
	}
	source->by_id = true;
	source->end = n;
}

/* Opens the document, unless the caller knows its version. */
static void
open_document(TupleSource *base, const NullableDatum *args, int nargs)
{
	LookupSource *source = (LookupSource *) base;
	const NullableDatum *known = &args[DOCUMENT_ARG_KNOWN_VERSION];
	text	   *version = known->isnull ? NULL : DatumGetTextPP(known->value);
	bool		is_known;

	is_known = version != NULL &&
		!catalogue_asks_for_nothing(&source->call, &args[ARG_UNIVERSITE]) &&
		is_known_version(source, &args[ARG_UNIVERSITE], version);
	if (!is_known)
	{
		pin_content(source, LOOKUP_DOCUMENT, &args[ARG_UNIVERSITE]);
		is_known = version != NULL && same_version(source->content, version);
	}
	if (version != NULL && (Pointer) version != DatumGetPointer(known->value))
		pfree(version);
	source->position = 0;
	source->end = is_known ? 0 : 1;
}

/*
 * Pins rows among which are those of a kind and with an id, where these are not NULL;
 * false if there can be none.
 */
static bool
pin_rows(LookupSource *source, const NullableDatum *universite, const text *kind, const text *id)
{
	LookupRequest request;
	LookupPart	part;

	catalogue_make_lookup_request(&source->call, LOOKUP_ROWS, universite, &request);
	if (kind != NULL)
	{
		if (!catalogue_find_part(&request, kind, id, &part))
			return false;
		request.part = &part;
	}
	catalogue_pin_lookups(&source->pin, &request);
	source->content = source->pin.content;

	return true;
}

/* Pins what a call with this university returns. */
static void
pin_content(LookupSource *source, LookupForm form, const NullableDatum *universite)
{
	LookupRequest request;

	if (catalogue_asks_for_nothing(&source->call, universite))
	{
		catalogue_unpin_lookups(&source->pin);
		if (source->nothing == NULL)
			source->nothing = catalogue_no_lookups(source->call.attachment, form, source->cxt);
		source->content = source->nothing;
		return;
	}
	catalogue_make_lookup_request(&source->call, form, universite, &request);
	catalogue_pin_lookups(&source->pin, &request);
	source->content = source->pin.content;
}

/*
 * Whether a version that is cached is the one that the caller knows.  If none is, the
 * document will tell.
 */
static bool
is_known_version(LookupSource *source, const NullableDatum *universite, const text *known)
{
	LookupRequest request;
	const LookupContent *content;

	catalogue_make_lookup_request(&source->call, LOOKUP_VERSION, universite, &request);
	content = catalogue_find_lookups(&request);
	if (content == NULL || !same_version(content, known))
		return false;
	source->pin.cache = "hit";

	return true;
}

static bool
same_version(const LookupContent *content, const text *known)
{
	const text *version =
		(const text *) DatumGetPointer(catalogue_lookup_value(content, content->version));

	return VARSIZE_ANY_EXHDR(version) == VARSIZE_ANY_EXHDR(known) &&
		memcmp(VARDATA_ANY(version), VARDATA_ANY(known), VARSIZE_ANY_EXHDR(known)) == 0;
}

static bool
next_row(TupleSource *base, TupleTableSlot *slot)
{
	LookupSource *source = (LookupSource *) base;
	uint64		row;

	ExecClearTuple(slot);
	if (source->position == source->end)
		return false;
	row = source->by_id ? source->rows_by_id[source->position] : source->position;
	source->position++;
	store_row(source, source->content->rows[row].values, slot);

	return true;
}

static bool
next_document(TupleSource *base, TupleTableSlot *slot)
{
	LookupSource *source = (LookupSource *) base;
	uint32		offsets[2];

	ExecClearTuple(slot);
	if (source->position == source->end)
		return false;
	source->position++;
	offsets[DOCUMENT_VERSION] = source->content->version;
	offsets[DOCUMENT_LOOKUPS] = source->content->document;
	store_row(source, offsets, slot);

	return true;
}

/* Stores a virtual tuple whose values, at these offsets, stay in the content. */
static void
store_row(const LookupSource *source, const uint32 *offsets, TupleTableSlot *slot)
{
	const LookupContent *content = source->content;

	for (int i = 0; i < source->ncolumns; i++)
	{
		uint32		offset = offsets[source->columns[i]];

		slot->tts_values[i] = catalogue_lookup_value(content, offset);
		slot->tts_isnull[i] = offset == 0;
	}
	ExecStoreVirtualTuple(slot);
}

/* The content stays pinned: another call may ask for the same. */
static void
close_source(TupleSource *base)
{
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
	const char *id = list_nth(args, ROWS_ARG_ID);

	if (kind != NULL)
		ExplainPropertyText("Kind", kind, es);
	if (id != NULL)
		ExplainPropertyText("Id", id, es);
	explain_source(base, args, es);
}

static void
explain_source(TupleSource *base, List *args, ExplainState *es)
{
	LookupSource *source = (LookupSource *) base;

	if (source->pin.cache != NULL)
		ExplainPropertyText("Cache", source->pin.cache, es);
}
