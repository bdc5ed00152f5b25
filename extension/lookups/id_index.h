/*
 * id_index.h
 *		Finds the rows of cached content by their id.
 */
#ifndef CATALOGUE_LOOKUPS_ID_INDEX_H
#define CATALOGUE_LOOKUPS_ID_INDEX_H

#include "lookups/content.h"

/* A hash table with chains, each in the order of the rows; 0 ends a chain. */
typedef struct LookupIdIndex
{
	uint32		mask;			/* number of buckets, less one */
	uint32	   *next;			/* of a row: the next one, plus one */
	uint32		buckets[FLEXIBLE_ARRAY_MEMBER]; /* the first row, plus one */
} LookupIdIndex;

extern LookupIdIndex *catalogue_index_ids(const LookupContent *content, MemoryContext cxt);
extern bool catalogue_next_with_id(const LookupContent *content, const LookupIdIndex *index,
								   const char *id, Size length, uint32 *row);

#endif							/* CATALOGUE_LOOKUPS_ID_INDEX_H */
