/*
 * id_index.c
 *		Finds the rows of cached content by their id.
 *
 * Made when the first call asks for it, since most never do, in the memory of the
 * content.  An id can be there several times, in different kinds.
 */
#include "lookups/id_index.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

static uint32 hash_id(const char *id, Size length);

LookupIdIndex *
catalogue_index_ids(const LookupContent *content, MemoryContext cxt)
{
	Size		nrows = content->nrows;
	Size		nbuckets = pg_nextpower2_64(Max(nrows, 16));
	LookupIdIndex *index =
		MemoryContextAllocHuge(cxt, offsetof(LookupIdIndex, buckets) +
							   (nbuckets + nrows) * sizeof(uint32));

	index->mask = (uint32) (nbuckets - 1);
	index->next = index->buckets + nbuckets;
	memset(index->buckets, 0, nbuckets * sizeof(uint32));

	/* From the last row to the first, so that chains have their order. */
	for (Size row = nrows; row-- > 0;)
	{
		uint32		offset = content->rows[row].values[LOOKUP_ROW_ID];
		uint32	   *bucket;
		const char *id;

		index->next[row] = 0;
		if (offset == 0)		/* a NULL equals nothing */
			continue;
		id = DatumGetPointer(catalogue_lookup_value(content, offset));
		bucket = &index->buckets[hash_id(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)) & index->mask];
		index->next[row] = *bucket;
		*bucket = (uint32) row + 1;
	}

	return index;
}

/*
 * Advances to the next row with an id, as that row's number plus one: from 0 to the
 * first.  False at the end.
 */
bool
catalogue_next_with_id(const LookupContent *content, const LookupIdIndex *index, const char *id,
					   Size length, uint32 *row)
{
	uint32		candidate = *row == 0 ? index->buckets[hash_id(id, length) & index->mask]
		: index->next[*row - 1];

	for (; candidate != 0; candidate = index->next[candidate - 1])
	{
		uint32		offset = content->rows[candidate - 1].values[LOOKUP_ROW_ID];
		const char *value = DatumGetPointer(catalogue_lookup_value(content, offset));

		CHECK_FOR_INTERRUPTS();
		if (VARSIZE_ANY_EXHDR(value) == length && memcmp(VARDATA_ANY(value), id, length) == 0)
		{
			*row = candidate;
			return true;
		}
	}

	return false;
}

static uint32
hash_id(const char *id, Size length)
{
	return hash_bytes((const unsigned char *) id, (int) length);
}
