/*
 * content.c
 *		Reads the lookup tables into content that the cache can keep.
 *
 * One query reads them all (reading_plan.c), as the role that began the call and
 * under one snapshot, so that the server itself applies every rule that holds for a
 * plain SELECT.
 *
 * The rows are put in order when all have been read (row_order.c).
 *
 * Lifetime: a load has a memory context of its own, deleted at its end; only
 * the finished content is allocated where the caller wants it.  Locks
 * are held to the end of the transaction, as a query's are.
 */
#include "lookups/content.h"

#include "lookups/column_text.h"
#include "lookups/document.h"
#include "lookups/reading_plan.h"
#include "lookups/row_order.h"
#include "query.h"
#include "rights.h"

#include "executor/spi.h"
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* Takes the query's rows. */
typedef struct RowReceiver
{
	DestReceiver pub;			/* (must be first) */
	uint32	   *kinds;			/* offsets of the kinds' names, in tree order */
	LookupRow  *rows;
	uint64		nrows;
	uint64		max_rows;
	StringInfoData values;
} RowReceiver;

static uint64 end_of_kind(const LookupContent *content, uint64 row);
static void execute_query(RowReceiver *receiver, const LookupRequest *request,
						  LookupTables *tables, Snapshot snapshot);
static void init_receiver(RowReceiver *receiver, const Attachment *attachment);
static void start_rows(DestReceiver *self, int operation, TupleDesc tupdesc);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void no_operation(DestReceiver *self);
static uint32 append_text(StringInfo values, text *value);
static LookupContent *make_rows(const RowReceiver *receiver, MemoryContext cxt);

/*
 * Reads what a request asks for, under a snapshot, into one chunk in "cxt".
 *
 * Raises what a SELECT by the role raises.
 */
LookupContent *
catalogue_read_lookups(const LookupRequest *request, LookupTables *tables,
					   Snapshot snapshot, MemoryContext cxt)
{
	MemoryContext load_cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup load",
												   ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(load_cxt);
	RowReceiver receiver;
	int			nestlevel = 0;
	LookupContent *content;

	init_receiver(&receiver, request->attachment);
	if (tables->fix_settings)
		nestlevel = catalogue_fix_text_settings();
	execute_query(&receiver, request, tables, snapshot);
	if (tables->fix_settings)
		AtEOXact_GUC(true, nestlevel);
	catalogue_sort_lookup_rows(receiver.rows, receiver.nrows, receiver.values.data);
	if (request->form == LOOKUP_ROWS)
		content = make_rows(&receiver, cxt);
	else
		content = catalogue_make_document(make_rows(&receiver, load_cxt), request->attachment,
										  request->form == LOOKUP_VERSION, cxt);

	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(load_cxt);

	return content;
}

/* The answer to who asks for nothing, into one chunk in "cxt". */
LookupContent *
catalogue_no_lookups(const Attachment *attachment, LookupForm form, MemoryContext cxt)
{
	MemoryContext load_cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup load",
												   ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(load_cxt);
	RowReceiver receiver;
	LookupContent *content;

	init_receiver(&receiver, attachment);
	content = catalogue_make_document(make_rows(&receiver, load_cxt), attachment,
									  form == LOOKUP_VERSION, cxt);
	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(load_cxt);

	return content;
}

/*
 * Finds the rows of one kind, from start to before end; none where they are equal.
 */
void
catalogue_find_kind(const LookupContent *content, const char *kind, Size length, uint64 *start,
					uint64 *end)
{
	for (*start = 0; *start < content->nrows; *start = *end)
	{
		*end = end_of_kind(content, *start);
		if (catalogue_is_of_kind(content, *start, kind, length))
			return;
	}
	*end = *start;
}

bool
catalogue_is_of_kind(const LookupContent *content, uint64 row, const char *kind, Size length)
{
	uint32		offset = content->rows[row].values[LOOKUP_ROW_KIND];
	const char *value = DatumGetPointer(catalogue_lookup_value(content, offset));

	return VARSIZE_ANY_EXHDR(value) == length && memcmp(VARDATA_ANY(value), kind, length) == 0;
}

/* Where the rows of the same kind end: the offsets of kinds rise from one to the next. */
static uint64
end_of_kind(const LookupContent *content, uint64 row)
{
	uint32		offset = content->rows[row].values[LOOKUP_ROW_KIND];
	uint64		end = content->nrows;

	while (row + 1 < end)
	{
		uint64		middle = row + (end - row) / 2;

		if (content->rows[middle].values[LOOKUP_ROW_KIND] == offset)
			row = middle;
		else
			end = middle;
	}

	return end;
}

/* Runs the query that reads the tables; its rows go to the receiver. */
static void
execute_query(RowReceiver *receiver, const LookupRequest *request, LookupTables *tables,
			  Snapshot snapshot)
{
	SPIExecuteOptions options = {
		.read_only = true,
		.dest = &receiver->pub,
	};
	SavedUser	saved;

	PushActiveSnapshot(snapshot);
	SPI_connect();
	catalogue_switch_to_role(request->role, &saved);
	if (catalogue_make_reading_params(request, tables, &options.params))
		catalogue_execute_plan(catalogue_reading_plan(request, tables), &options);
	catalogue_restore_user(&saved);
	SPI_finish();
	PopActiveSnapshot();
}

/* Starts with no rows, and with the kinds of the attachment as the first values. */
static void
init_receiver(RowReceiver *receiver, const Attachment *attachment)
{
	memset(receiver, 0, sizeof(RowReceiver));
	receiver->pub.receiveSlot = receive_row;
	receiver->pub.rStartup = start_rows;
	receiver->pub.rShutdown = no_operation;
	receiver->pub.rDestroy = no_operation;
	/* There is no kind for extensions; DestNone would receive nothing. */
	receiver->pub.mydest = DestCopyOut;

	receiver->max_rows = 256;
	receiver->rows = palloc(receiver->max_rows * sizeof(LookupRow));
	initStringInfo(&receiver->values);
	/* offset 0 stands for NULL */
	appendStringInfoChar(&receiver->values, '\0');

	receiver->kinds = palloc(list_length(attachment->lookups) * sizeof(uint32));
	for (int i = 0; i < list_length(attachment->lookups); i++)
	{
		const LookupBinding *lookup = list_nth(attachment->lookups, i);

		receiver->kinds[i] = append_text(&receiver->values, cstring_to_text(lookup->kind));
	}
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc tupdesc)
{
	Assert(tupdesc->natts == QUERY_NATTS);
}

static void
no_operation(DestReceiver *self)
{
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	uint32		values[QUERY_NATTS] = {0};
	LookupRow  *row;

	if (receiver->nrows == receiver->max_rows)
	{
		receiver->max_rows *= 2;
		receiver->rows = repalloc_huge(receiver->rows, receiver->max_rows * sizeof(LookupRow));
	}

	slot_getallattrs(slot);
	for (int i = QUERY_ID; i < QUERY_NATTS; i++)
	{
		if (!slot->tts_isnull[i])
		{
			text	   *value = DatumGetTextPP(slot->tts_values[i]);

			values[i] = append_text(&receiver->values, value);
			if ((Pointer) value != DatumGetPointer(slot->tts_values[i]))
				pfree(value);
		}
	}

	row = &receiver->rows[receiver->nrows++];
	row->values[LOOKUP_ROW_KIND] = receiver->kinds[DatumGetInt32(slot->tts_values[QUERY_ORDINAL])];
	row->values[LOOKUP_ROW_ID] = values[QUERY_ID];
	row->values[LOOKUP_ROW_CODE] = values[QUERY_CODE];
	row->values[LOOKUP_ROW_NOM] = values[QUERY_NOM];
	row->values[LOOKUP_ROW_PARENT_ID] = values[QUERY_PARENT_ID];

	return true;
}

/* Appends a value in the format that it has in a tuple; returns its offset. */
static uint32
append_text(StringInfo values, text *value)
{
	int			length = VARSIZE_ANY_EXHDR(value);
	int			offset;
	char	   *place;

	enlargeStringInfo(values, INTALIGN(1) + VARHDRSZ + length);
	if (length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		offset = values->len;
		place = values->data + offset;
		SET_VARSIZE_SHORT(place, length + VARHDRSZ_SHORT);
		values->len += VARHDRSZ_SHORT + length;
	}
	else
	{
		offset = INTALIGN(values->len);
		memset(values->data + values->len, 0, offset - values->len);
		place = values->data + offset;
		SET_VARSIZE(place, length + VARHDRSZ);
		values->len = offset + VARHDRSZ + length;
	}
	memcpy(VARDATA_ANY(place), VARDATA_ANY(value), length);

	return offset;
}

/* Copies what was received into one chunk. */
static LookupContent *
make_rows(const RowReceiver *receiver, MemoryContext cxt)
{
	Size		values = MAXALIGN(offsetof(LookupContent, rows) + receiver->nrows * sizeof(LookupRow));
	Size		size = values + receiver->values.len;
	LookupContent *content = MemoryContextAllocHuge(cxt, size);

	memset(content, 0, offsetof(LookupContent, rows));
	content->size = size;
	content->values = values;
	content->nrows = receiver->nrows;
	memcpy(content->rows, receiver->rows, receiver->nrows * sizeof(LookupRow));
	memcpy((char *) content + values, receiver->values.data, receiver->values.len);

	return content;
}
