/*
 * batch.c
 *		Rows of one table: their TIDs, and the values that other rows refer to.
 *
 * A batch grows in the memory context that its user names, and is used again
 * for the next rows of its table; values by reference are in a context of its
 * own, which is reset with the first of them.
 */
#include "deletion/batch.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

static void enlarge_batch(DeletionBatch *batch, int nkeys, MemoryContext cxt);

/* What a batch carries along, as further columns of a SELECT. */
char *
catalogue_key_columns(const List *keys)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, keys)
		appendStringInfo(&columns, ", %s", ((DeletionKey *) lfirst(lc))->expression);

	return columns.data;
}

/* The keys of referenced rows as the FROM item r, from an array each, or those of one row. */
char *
catalogue_referenced_rows(const DeletionEdge *edge, bool arrays)
{
	StringInfoData parameters;
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&parameters);
	initStringInfo(&columns);
	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->referenced->keys, lfirst_int(lc));
		int			n = foreach_current_index(lc) + 1;
		const char *separator = n > 1 ? ", " : "";

		appendStringInfo(&parameters, arrays ? "%spg_catalog.unnest($%d)" : "%s$%d", separator, n);
		appendStringInfo(&columns, "%s%s", separator, quote_identifier(key->column));
	}

	return psprintf(arrays ? "ROWS FROM (%s) AS r (%s)" : "(SELECT %s) AS r (%s)",
					parameters.data, columns.data);
}

/* Fills an empty batch of a table from a list; false at the list's end. */
bool
catalogue_fill_batch(DeletionBatch *batch, const DeletionTable *table, int max_rows,
					 MemoryContext cxt, Tuplestorestate *list, TupleTableSlot *slot)
{
	while (batch->nrows < max_rows && tuplestore_gettupleslot(list, true, false, slot))
	{
		slot_getallattrs(slot);
		catalogue_append_to_batch(batch, table, cxt, slot->tts_values, slot->tts_isnull);
	}

	return batch->nrows > 0;
}

/* Appends a row, its TID and then its keys, to a batch of a table. */
void
catalogue_append_to_batch(DeletionBatch *batch, const DeletionTable *table, MemoryContext cxt,
						  const Datum *values, const bool *isnull)
{
	int			nkeys = list_length(table->keys);
	int			row = batch->nrows;

	if (row == batch->allocated)
		enlarge_batch(batch, nkeys, cxt);
	if (row == 0)
		MemoryContextReset(batch->cxt);

	batch->tids[row] = *(ItemPointer) DatumGetPointer(values[0]);
	for (int i = 0; i < nkeys; i++)
	{
		const DeletionKey *key = list_nth(table->keys, i);
		DeletionColumn *column = &batch->keys[i];

		column->nulls[row] = isnull[i + 1];
		column->values[row] = values[i + 1];
		if (!key->typbyval && !isnull[i + 1])
		{
			MemoryContext oldcxt = MemoryContextSwitchTo(batch->cxt);

			/*
			 * construct_md_array() would put a detoasted copy of its own in
			 * its place
			 */
			column->values[row] = key->typlen == -1
				? PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i + 1]))
				: datumCopy(values[i + 1], false, key->typlen);
			MemoryContextSwitchTo(oldcxt);
		}
	}
	batch->nrows++;
}

/* Frees what a batch holds; it is empty then, and may become another table's. */
void
catalogue_free_batch(DeletionBatch *batch)
{
	if (batch->allocated > 0)
	{
		for (int i = 0; i < batch->nkeys; i++)
		{
			pfree(batch->keys[i].values);
			pfree(batch->keys[i].nulls);
		}
		pfree(batch->keys);
		pfree(batch->tids);
		MemoryContextDelete(batch->cxt);
	}
	*batch = (DeletionBatch)
	{
		0
	};
}

Datum
catalogue_key_array(const DeletionKey *key, const DeletionColumn *column, int first, int n)
{
	int			dims[1] = {n};
	int			lbounds[1] = {1};

	return PointerGetDatum(construct_md_array(column->values + first, column->nulls + first, 1,
											  dims, lbounds, key->type, key->typlen, key->typbyval,
											  key->typalign));
}

Datum
catalogue_tid_array(const DeletionBatch *batch)
{
	Datum	   *elements = palloc(Max(batch->nrows, 1) * sizeof(Datum));

	for (int i = 0; i < batch->nrows; i++)
		elements[i] = PointerGetDatum(&batch->tids[i]);

	return PointerGetDatum(construct_array(elements, batch->nrows, TIDOID, sizeof(ItemPointerData),
										   false, TYPALIGN_SHORT));
}

static void
enlarge_batch(DeletionBatch *batch, int nkeys, MemoryContext cxt)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	int			allocated = Max(64, 2 * batch->allocated);

	if (batch->allocated == 0)
	{
		batch->cxt = AllocSetContextCreate(cxt, "catalogue deletion batch", ALLOCSET_SMALL_SIZES);
		batch->tids = palloc(allocated * sizeof(ItemPointerData));
		batch->nkeys = nkeys;
		batch->keys = palloc(nkeys * sizeof(DeletionColumn));
		for (int i = 0; i < nkeys; i++)
		{
			batch->keys[i].values = palloc(allocated * sizeof(Datum));
			batch->keys[i].nulls = palloc(allocated * sizeof(bool));
		}
	}
	else
	{
		batch->tids = repalloc(batch->tids, allocated * sizeof(ItemPointerData));
		for (int i = 0; i < nkeys; i++)
		{
			batch->keys[i].values = repalloc(batch->keys[i].values, allocated * sizeof(Datum));
			batch->keys[i].nulls = repalloc(batch->keys[i].nulls, allocated * sizeof(bool));
		}
	}
	batch->allocated = allocated;
	MemoryContextSwitchTo(oldcxt);
}
