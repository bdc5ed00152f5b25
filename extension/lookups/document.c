/*
 * document.c
 *		The JSON document of all lookups, and its version.
 *
 * The document is one JSON object: for each kind an object with the lookups
 * under their ids,
 *		{"universites": {"ucad": {"id": "ucad", "code": "UCAD", "nom": "...",
 *		 "parent_id": null}, ...}, "ufrs": {...}, ...}
 * Its version is a 128-bit hash of these very bytes, so that it is the same
 * in every session, on every standby and after a restart.
 *
 * Lifetime: the finished content is allocated where the caller wants it,
 * everything else in the current memory context.
 */
#include "lookups/document.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* Bytes of the hash that a version shows, in hexadecimal digits. */
#define VERSION_BYTES 16

static LookupContent *make_content(uint64 nrows, const StringInfoData *document,
								   const text *version, MemoryContext cxt);
static text *content_version(const StringInfoData *document);
static void append_kind(StringInfo document, const LookupContent *rows, const char *kind,
						StringInfo scratch);
static void append_lookup(StringInfo document, const LookupContent *rows, const LookupRow *row,
						  StringInfo scratch);
static void append_json_value(StringInfo document, const LookupContent *rows, uint32 offset,
							  StringInfo scratch);

/* Makes a document of rows, and its version; or its version alone. */
LookupContent *
catalogue_make_document(const LookupContent *rows, const Attachment *attachment, bool version_only,
						MemoryContext cxt)
{
	StringInfoData document;
	StringInfoData scratch;

	/*
	 * An unused word, since offset 0 stands for NULL, and the document's
	 * header.
	 */
	initStringInfo(&document);
	initStringInfo(&scratch);
	appendStringInfoSpaces(&document, VARHDRSZ + VARHDRSZ);
	appendStringInfoChar(&document, '{');
	for (int i = 0; i < list_length(attachment->lookups); i++)
	{
		const LookupBinding *lookup = list_nth(attachment->lookups, i);

		if (i > 0)
			appendStringInfoString(&document, ", ");
		append_kind(&document, rows, lookup->kind, &scratch);
	}
	appendStringInfoChar(&document, '}');
	SET_VARSIZE(document.data + VARHDRSZ, document.len - VARHDRSZ);

	return make_content(rows->nrows, version_only ? NULL : &document, content_version(&document),
						cxt);
}

/* The version of a document as content of its own. */
LookupContent *
catalogue_copy_version(const LookupContent *document, MemoryContext cxt)
{
	return make_content(document->nrows, NULL,
						(const text *) DatumGetPointer(catalogue_lookup_value(document,
																			  document->version)),
						cxt);
}

/* The document, if any, with what is in front of it; and the version. */
static LookupContent *
make_content(uint64 nrows, const StringInfoData *document, const text *version, MemoryContext cxt)
{
	Size		values = MAXALIGN(offsetof(LookupContent, rows));
	Size		version_offset = document != NULL ? INTALIGN(document->len) : VARHDRSZ;
	Size		size = values + version_offset + VARSIZE(version);
	LookupContent *content = MemoryContextAllocHuge(cxt, size);

	memset(content, 0, offsetof(LookupContent, rows));
	content->size = size;
	content->values = values;
	content->nrows = nrows;
	content->version = version_offset;
	memcpy((char *) content + values + version_offset, version, VARSIZE(version));
	if (document != NULL)
	{
		content->document = VARHDRSZ;
		memcpy((char *) content + values, document->data, document->len);
	}

	return content;
}

/* The first half of SHA-256, which every build of the server has. */
static text *
content_version(const StringInfoData *document)
{
	bytea	   *hash = DatumGetByteaPP(
									   DirectFunctionCall1(sha256_bytea, PointerGetDatum(document->data + VARHDRSZ)));
	text	   *version = palloc(VARHDRSZ + 2 * VERSION_BYTES);

	SET_VARSIZE(version, VARHDRSZ + 2 * VERSION_BYTES);
	hex_encode(VARDATA_ANY(hash), VERSION_BYTES, VARDATA(version));

	return version;
}

/*
 * An object for a kind, also where it has no rows.  Its key is the kind's
 * plural as in French: with an "s", unless the kind ends in s, x or z.
 */
static void
append_kind(StringInfo document, const LookupContent *rows, const char *kind, StringInfo scratch)
{
	Size		length = strlen(kind);
	bool		plural = length > 0 && strchr("sxz", kind[length - 1]) != NULL;
	bool		first = true;
	uint64		start;
	uint64		end;

	escape_json(document, psprintf("%s%s", kind, plural ? "" : "s"));
	appendStringInfoString(document, ": {");
	catalogue_find_kind(rows, kind, length, &start, &end);
	for (uint64 i = start; i < end; i++)
	{
		const LookupRow *row = &rows->rows[i];

		CHECK_FOR_INTERRUPTS();
		/* A row whose id is NULL has no key. */
		if (row->values[LOOKUP_ROW_ID] == 0)
			continue;
		if (!first)
			appendStringInfoString(document, ", ");
		append_lookup(document, rows, row, scratch);
		first = false;
	}
	appendStringInfoChar(document, '}');
}

/* "id": {"id": ..., "code": ..., "nom": ..., "parent_id": ...} */
static void
append_lookup(StringInfo document, const LookupContent *rows, const LookupRow *row,
			  StringInfo scratch)
{
	append_json_value(document, rows, row->values[LOOKUP_ROW_ID], scratch);
	appendStringInfoString(document, ": {\"id\": ");
	append_json_value(document, rows, row->values[LOOKUP_ROW_ID], scratch);
	appendStringInfoString(document, ", \"code\": ");
	append_json_value(document, rows, row->values[LOOKUP_ROW_CODE], scratch);
	appendStringInfoString(document, ", \"nom\": ");
	append_json_value(document, rows, row->values[LOOKUP_ROW_NOM], scratch);
	appendStringInfoString(document, ", \"parent_id\": ");
	append_json_value(document, rows, row->values[LOOKUP_ROW_PARENT_ID], scratch);
	appendStringInfoChar(document, '}');
}

static void
append_json_value(StringInfo document, const LookupContent *rows, uint32 offset, StringInfo scratch)
{
	const char *value;

	if (offset == 0)
	{
		appendStringInfoString(document, "null");
		return;
	}

	/* escape_json() wants a terminated string */
	value = DatumGetPointer(catalogue_lookup_value(rows, offset));
	resetStringInfo(scratch);
	appendBinaryStringInfo(scratch, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	escape_json(document, scratch->data);
}
