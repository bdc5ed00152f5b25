/*
 * lookup_cache.h
 *		The rooms behind cached_lookups(): content, cache, and what pins it.
 *
 * Data flows one way: cached_lookups.c asks the cache for a piece of content
 * and hands it out; lookup_cache.c keeps it; lookup_content.c reads it from
 * the tables.
 */
#ifndef CATALOGUE_LOOKUP_CACHE_H
#define CATALOGUE_LOOKUP_CACHE_H

#include "attachment.h"

#include "utils/snapshot.h"

typedef enum LookupForm
{
	LOOKUP_ROWS,	/* for cached_lookups() */
	LOOKUP_DOCUMENT /* for cached_lookups_json() */
} LookupForm;

/* What a call asks for. */
typedef struct LookupRequest
{
	const Attachment *attachment;
	LookupForm form;
	const char *scope; /* the university's id as text; NULL for all */
	Datum scope_value; /* the same as it was given, where scope is set */
	Oid scope_type;
} LookupRequest;

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
	uint32 values[LOOKUP_ROW_NATTS];
} LookupRow;

/*
 * The answer to a request: immutable, in one piece of memory, without
 * pointers.  Values are varlenas, found by catalogue_lookup_value().
 */
typedef struct LookupContent
{
	Size size;							   /* all of it, in bytes */
	Size values;						   /* where offsets count from */
	uint64 nrows;						   /* lookups that were read */
	uint32 version;						   /* text; LOOKUP_DOCUMENT only */
	uint32 document;					   /* json; LOOKUP_DOCUMENT only */
	LookupRow rows[FLEXIBLE_ARRAY_MEMBER]; /* LOOKUP_ROWS only */
} LookupContent;

static inline Datum
catalogue_lookup_value(const LookupContent *content, uint32 offset)
{
	return PointerGetDatum((const char *) content + content->values + offset);
}

/* cached_lookups.c */
extern Datum catalogue_cached_lookups(PG_FUNCTION_ARGS);

/* statistics.c */
extern void catalogue_lookup_statistics_init(void);
extern double catalogue_lookup_table_rows(const LookupBinding *lookup);

/* content.c */
extern bool catalogue_lock_lookups(const Attachment *attachment, Dependencies *dependencies);
extern LookupContent *catalogue_read_lookups(const LookupRequest *request, Snapshot snapshot,
											 MemoryContext cxt);

/*
 * cache.c: a pin keeps content in memory, from catalogue_pin_lookups() until
 * catalogue_unpin_lookups(), at the latest until the memory context that it was
 * initialised for is reset.  It can be used again and again.
 */
typedef struct LookupPin
{
	CachedPin base;
	const LookupContent *content; /* NULL while released */
	const char *cache;			  /* "hit", "miss" or "bypass"; NULL before the first use */
} LookupPin;

extern void catalogue_init_lookup_pin(LookupPin *pin, MemoryContext cxt);
extern void catalogue_pin_lookups(LookupPin *pin, const LookupRequest *request, bool row_security);
extern void catalogue_unpin_lookups(LookupPin *pin);

#endif /* CATALOGUE_LOOKUP_CACHE_H */
