/*
 * row_order.c
 *		The order of rows in the answer to a lookup request.
 *
 * Kinds come in tree order, then rows by nom and id as in collation "C", NULL last: as
 * an ORDER BY in the query that reads the tables would have them.  Sorting the finished
 * rows takes a fraction of what the server's sort of tuples takes, where every
 * comparison begins with two kinds that are the same.  Rows with the same nom and id
 * are ordered by the rest, since a version must depend on nothing but content.
 *
 * Memory: a copy of the rows, in the current memory context, while they are sorted.
 */
#include "lookups/row_order.h"

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

typedef struct SortedRow
{
	uint64		prefix;			/* the first bytes of nom, as a number */
	LookupRow	row;
} SortedRow;

static uint64 prefix_of(uint32 offset, const char *values);
static int	compare_rows(const SortedRow *a, const SortedRow *b, const char *values);
static int	compare_values(uint32 a, uint32 b, const char *values);

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE SortedRow
#define ST_COMPARE(a, b, values) compare_rows(a, b, values)
#define ST_COMPARE_ARG_TYPE const char
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Sorts rows whose values are found by their offsets from "values".  Kinds that come
 * first in the tree have the smaller offsets.
 */
void
catalogue_sort_lookup_rows(LookupRow *rows, uint64 nrows, const char *values)
{
	SortedRow  *sorted;

	if (nrows < 2)
		return;
	sorted = MemoryContextAllocHuge(CurrentMemoryContext, nrows * sizeof(SortedRow));
	for (uint64 i = 0; i < nrows; i++)
	{
		sorted[i].prefix = prefix_of(rows[i].values[LOOKUP_ROW_NOM], values);
		sorted[i].row = rows[i];
	}
	sort_rows(sorted, nrows, values);
	for (uint64 i = 0; i < nrows; i++)
		rows[i] = sorted[i].row;
	pfree(sorted);
}

/* A number that is less only if the value is: the greatest for NULL. */
static uint64
prefix_of(uint32 offset, const char *values)
{
	const char *value = values + offset;
	uint64		prefix = 0;

	if (offset == 0)
		return PG_UINT64_MAX;
	memcpy(&prefix, VARDATA_ANY(value), Min(VARSIZE_ANY_EXHDR(value), sizeof(prefix)));

	return pg_ntoh64(prefix);
}

static int
compare_rows(const SortedRow *a, const SortedRow *b, const char *values)
{
	static const int rest[] = {LOOKUP_ROW_NOM, LOOKUP_ROW_ID, LOOKUP_ROW_CODE, LOOKUP_ROW_PARENT_ID};
	uint32		kind_a = a->row.values[LOOKUP_ROW_KIND];
	uint32		kind_b = b->row.values[LOOKUP_ROW_KIND];
	int			result = 0;

	if (kind_a != kind_b)
		return kind_a < kind_b ? -1 : 1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	for (int i = 0; i < lengthof(rest) && result == 0; i++)
		result = compare_values(a->row.values[rest[i]], b->row.values[rest[i]], values);

	return result;
}

/* As texts in collation "C". */
static int
compare_values(uint32 a, uint32 b, const char *values)
{
	const char *value_a = values + a;
	const char *value_b = values + b;
	Size		length_a;
	Size		length_b;
	int			result;

	if (a == 0 || b == 0)
		return (a == 0) - (b == 0);
	length_a = VARSIZE_ANY_EXHDR(value_a);
	length_b = VARSIZE_ANY_EXHDR(value_b);
	result = memcmp(VARDATA_ANY(value_a), VARDATA_ANY(value_b), Min(length_a, length_b));
	if (result == 0 && length_a != length_b)
		result = length_a < length_b ? -1 : 1;

	return result;
}
