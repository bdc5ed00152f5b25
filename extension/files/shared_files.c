/*
 * shared_files.c
 *		Files that several rows name: which of them a living row still does.
 *
 * The tables of the columns that the mapping calls shared are read as their
 * owners, with the newest snapshot whatever the isolation level.  A row that
 * another transaction has not committed yet is not seen.
 *
 * An index is of use where a column holds one path a value; where it holds
 * several, its table is read once a call.
 */
#include "files/shared_files.h"

#include "files/file_table.h"

#include "names.h"
#include "rights.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static void find_in_column(const FileBinding *file, text **paths, int npaths, bool *living);
static char *search_query(const FileBinding *file);
static Datum values_to_search(const FileBinding *file, text **paths, int npaths);

/*
 * Which of some paths a row names in any shared column of an attachment.  To be
 * called between SPI_connect() and SPI_finish().
 */
bool *
catalogue_find_living_files(const Attachment *attachment, text **paths, int npaths)
{
	bool	   *living = palloc0(npaths * sizeof(bool));
	ListCell   *lc;

	foreach(lc, attachment->files)
	{
		const FileBinding *file = lfirst(lc);

		if (file->shared && npaths > 0)
			find_in_column(file, paths, npaths, living);
	}

	return living;
}

/*
 * The search finds what a column's collation calls equal; whether it is the very
 * path is decided here.
 */
static void
find_in_column(const FileBinding *file, text **paths, int npaths, bool *living)
{
	Oid			types[] = {TEXTARRAYOID, TEXTOID};
	Datum		values[lengthof(types)];
	SPIPlanPtr	plan;
	Snapshot	snapshot;
	SavedUser	saved;

	values[0] = values_to_search(file, paths, npaths);
	values[1] = CStringGetTextDatum(file->separator != NULL ? file->separator : "");

	catalogue_switch_to_owner(file->relid, &saved);
	plan = SPI_prepare(search_query(file), lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "could not prepare a search for files: %s",
			 SPI_result_code_string(SPI_result));
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot, true, false, 0) < 0)
		elog(ERROR, "could not search for files");
	UnregisterSnapshot(snapshot);
	catalogue_restore_user(&saved);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		text	   *location = catalogue_file_location(file->prefix != NULL ? file->prefix : "",
													   value, strlen(value));

		for (int j = 0; j < npaths; j++)
		{
			if (VARSIZE_ANY_EXHDR(paths[j]) == VARSIZE_ANY_EXHDR(location) &&
				memcmp(VARDATA_ANY(paths[j]), VARDATA_ANY(location),
					   VARSIZE_ANY_EXHDR(location)) == 0)
				living[j] = true;
		}
	}
}

/* Those of the values $1, split at $2 where the column says so, that rows have. */
static char *
search_query(const FileBinding *file)
{
	AttrNumber	attnum = catalogue_column_number(file->relid, file->column);
	bool		is_array =
		OidIsValid(get_element_type(getBaseType(get_atttype(file->relid, attnum))));
	const char *column = quote_identifier(file->column);
	StringInfoData query;

	initStringInfo(&query);
	if (!is_array && file->separator == NULL)
		appendStringInfo(&query, "SELECT DISTINCT t.%1$s::pg_catalog.text COLLATE pg_catalog.\"C\""
						 " FROM %2$s AS t WHERE t.%1$s OPERATOR(pg_catalog.=) ANY ($1)",
						 column, catalogue_qualified_relation_name(file->relid));
	else
		appendStringInfo(&query, "SELECT DISTINCT p.path COLLATE pg_catalog.\"C\" FROM %s AS t,"
						 " pg_catalog.unnest(%s) AS v (value), pg_catalog.unnest(%s) AS p (path)"
						 " WHERE p.path COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) ANY ($1)",
						 catalogue_qualified_relation_name(file->relid),
						 psprintf(is_array ? "t.%s::pg_catalog.text[]"
								  : "ARRAY[t.%s::pg_catalog.text]", column),
						 file->separator != NULL ? "pg_catalog.string_to_array(v.value, $2)"
						 : "ARRAY[v.value]");

	return query.data;
}

/* As a row may have written them: each path, with the prefix and without. */
static Datum
values_to_search(const FileBinding *file, text **paths, int npaths)
{
	Datum	   *values = palloc(2 * npaths * sizeof(Datum));
	int			prefix_length = file->prefix != NULL ? strlen(file->prefix) : 0;
	int			n = 0;

	for (int i = 0; i < npaths; i++)
	{
		const char *path = VARDATA_ANY(paths[i]);
		int			length = VARSIZE_ANY_EXHDR(paths[i]);

		values[n++] = PointerGetDatum(paths[i]);
		if (prefix_length > 0 && length > prefix_length &&
			memcmp(path, file->prefix, prefix_length) == 0)
			values[n++] = PointerGetDatum(cstring_to_text_with_len(path + prefix_length,
																   length - prefix_length));
	}

	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}
