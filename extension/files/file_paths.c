/*
 * file_paths.c
 *		The paths in a row.
 *
 * All results lie in the current memory context.
 */
#include "files/file_table.h"

#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

static List *add_paths_of_value(List *paths, const FileColumn *column, Datum value);
static List *add_parts(List *paths, const FileColumn *column, const char *value, int length);
static const char *find_separator(const FileColumn *column, const char *part, const char *end);
static bool is_absolute(const char *path, int length);

/* Of FilePath *: every path in every file column of a row. */
List *
catalogue_paths_of_row(const FileTable *table, TupleTableSlot *slot)
{
	List	   *paths = NIL;

	for (int i = 0; i < table->ncolumns; i++)
	{
		const FileColumn *column = &table->columns[i];
		bool		isnull;
		Datum		value = slot_getattr(slot, column->attnum, &isnull);
		Datum	   *elements;
		bool	   *nulls;
		int			nelements;

		if (isnull)
			continue;
		if (!OidIsValid(column->element_type))
		{
			paths = add_paths_of_value(paths, column, value);
			continue;
		}
		deconstruct_array(DatumGetArrayTypeP(value), column->element_type, column->element_length,
						  column->element_by_value, column->element_align, &elements, &nulls,
						  &nelements);
		for (int j = 0; j < nelements; j++)
		{
			if (!nulls[j])
				paths = add_paths_of_value(paths, column, elements[j]);
		}
	}

	return paths;
}

/*
 * Where the file of a path is: a relative one below the prefix, unless it says
 * so itself; an absolute one, or one of another kind of store, where it says.
 */
text *
catalogue_file_location(const char *prefix, const char *path, int length)
{
	int			prefix_length = strlen(prefix);
	text	   *location;

	if (prefix_length == 0 || is_absolute(path, length) ||
		(length >= prefix_length && memcmp(path, prefix, prefix_length) == 0))
		return cstring_to_text_with_len(path, length);

	location = palloc(VARHDRSZ + prefix_length + length);
	SET_VARSIZE(location, VARHDRSZ + prefix_length + length);
	memcpy(VARDATA(location), prefix, prefix_length);
	memcpy(VARDATA(location) + prefix_length, path, length);

	return location;
}

/* The value is not an array. */
static List *
add_paths_of_value(List *paths, const FileColumn *column, Datum value)
{
	text	   *packed;
	int			length;

	if (OidIsValid(column->output))
	{
		char	   *string = OidOutputFunctionCall(column->output, value);

		return add_parts(paths, column, string, strlen(string));
	}

	packed = DatumGetTextPP(value);
	length = VARSIZE_ANY_EXHDR(packed);
	if (column->padded)
		length = bpchartruelen(VARDATA_ANY(packed), length);

	return add_parts(paths, column, VARDATA_ANY(packed), length);
}

/* Splits a value at its separator; empty parts are no paths. */
static List *
add_parts(List *paths, const FileColumn *column, const char *value, int length)
{
	int			separator_length = column->separator != NULL ? strlen(column->separator) : 0;
	const char *end = value + length;
	const char *part = value;

	while (part < end)
	{
		const char *part_end = find_separator(column, part, end);

		if (part_end > part)
		{
			FilePath   *path = palloc(sizeof(FilePath));

			path->column = column;
			path->location = catalogue_file_location(column->prefix, part, part_end - part);
			paths = lappend(paths, path);
		}
		part = part_end + separator_length;
	}

	return paths;
}

/* Where the part of a value ends.  A separator is looked for where a character begins. */
static const char *
find_separator(const FileColumn *column, const char *part, const char *end)
{
	int			length;
	int			encoding = GetDatabaseEncoding();
	bool		by_bytes = encoding == PG_UTF8 || pg_database_encoding_max_length() == 1;

	if (column->separator == NULL)
		return end;

	length = strlen(column->separator);
	while (end - part >= length && memcmp(part, column->separator, length) != 0)
		part += by_bytes ? 1 : pg_encoding_mblen(encoding, part);

	return end - part >= length ? part : end;
}

/* "/srv/a.pdf", "s3://bucket/a.pdf" */
static bool
is_absolute(const char *path, int length)
{
	int			scheme = 0;

	while (scheme < length && path[scheme] != '/' && path[scheme] != ':')
		scheme++;

	return length > 0 &&
		(path[0] == '/' ||
		 (scheme > 0 && length - scheme >= 3 && memcmp(path + scheme, "://", 3) == 0));
}
