/*
 * content.h
 *		The answer to a lookup request, as it is read from the tables.
 */
#ifndef CATALOGUE_LOOKUPS_CONTENT_H
#define CATALOGUE_LOOKUPS_CONTENT_H

#include "lookups/tables.h"

#include "utils/snapshot.h"

typedef enum LookupForm
{
	LOOKUP_ROWS,				/* for cached_lookups() */
	LOOKUP_DOCUMENT,			/* for cached_lookups_json() */
	LOOKUP_VERSION				/* the document's version without it */
} LookupForm;

/* The university that lookups are asked for, by its id. */
typedef struct LookupScope
{
	Oid			type;			/* InvalidOid for all */
	Datum		value;
	const char *image;			/* the bytes of the value, for comparisons */
	Size		length;
} LookupScope;

/* One kind, or its rows with one id. */
typedef struct LookupPart
{
	int			depth;			/* of the kind in the tree */
	const text *id;				/* NULL for the whole kind */
} LookupPart;

/* What a call asks for. */
typedef struct LookupRequest
{
	const Attachment *attachment;
	Oid			role;			/* who began the call: reads the tables */
	bool		row_security;	/* applies to it */
	Snapshot	snapshot;		/* of the call's statement */
	LookupForm	form;
	LookupScope scope;
	const LookupPart *part;		/* what is enough of LOOKUP_ROWS; NULL: all */
} LookupRequest;

/*
 * What an entry of the cache answers.  Scopes are the same if their bytes are: text
 * would depend on DateStyle and the like.
 */
typedef struct LookupKey
{
	Oid			schema;
	LookupForm	form;
	LookupScope scope;			/* less its value */
} LookupKey;

/* Columns of cached_lookups(). */
enum
{
	LOOKUP_ROW_KIND,
	LOOKUP_ROW_ID,
	LOOKUP_ROW_CODE,
	LOOKUP_ROW_NOM,
	LOOKUP_ROW_PARENT_ID,
	LOOKUP_ROW_NATTS
};

/* Offsets of a row's values; 0 is NULL. */
typedef struct LookupRow
{
	uint32		values[LOOKUP_ROW_NATTS];
} LookupRow;

/*
 * The answer to a request: immutable, in one piece of memory, without
 * pointers.  Values are varlenas, found by catalogue_lookup_value().  The rows
 * of one kind follow each other, and the values of their kind have one offset.
 */
typedef struct LookupContent
{
	Size		size;			/* all of it, in bytes */
	Size		values;			/* where offsets count from */
	uint64		nrows;			/* lookups that were read */
	uint32		version;		/* text; not in LOOKUP_ROWS */
	uint32		document;		/* json; LOOKUP_DOCUMENT only */
	LookupRow	rows[FLEXIBLE_ARRAY_MEMBER];	/* LOOKUP_ROWS only */
} LookupContent;

static inline Datum
catalogue_lookup_value(const LookupContent *content, uint32 offset)
{
	return PointerGetDatum((const char *) content + content->values + offset);
}

extern LookupContent *catalogue_read_lookups(const LookupRequest *request, LookupTables *tables,
											 Snapshot snapshot,
											 MemoryContext cxt);
extern LookupContent *catalogue_no_lookups(const Attachment *attachment, LookupForm form,
										   MemoryContext cxt);
extern bool catalogue_is_of_kind(const LookupContent *content, uint64 row, const char *kind,
								 Size length);
extern void catalogue_find_kind(const LookupContent *content, const char *kind, Size length,
								uint64 *start, uint64 *end);

#endif							/* CATALOGUE_LOOKUPS_CONTENT_H */
