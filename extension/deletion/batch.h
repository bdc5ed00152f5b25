/*
 * batch.h
 *		Rows of one table: their TIDs, and the values that other rows refer to.
 */
#ifndef CATALOGUE_BATCH_H
#define CATALOGUE_BATCH_H

#include "deletion/graph.h"

#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/tuplestore.h"

typedef struct DeletionColumn
{
	Datum	   *values;
	bool	   *nulls;
} DeletionColumn;

typedef struct DeletionBatch
{
	ItemPointerData *tids;
	DeletionColumn *keys;		/* one for each of the table's */
	int			nkeys;
	int			nrows;
	int			allocated;
	MemoryContext cxt;			/* of values by reference */
} DeletionBatch;

extern char *catalogue_key_columns(const List *keys);
extern char *catalogue_referenced_rows(const DeletionEdge *edge, bool arrays);
extern bool catalogue_fill_batch(DeletionBatch *batch, const DeletionTable *table, int max_rows,
								 MemoryContext cxt, Tuplestorestate *list, TupleTableSlot *slot);
extern void catalogue_append_to_batch(DeletionBatch *batch, const DeletionTable *table,
									  MemoryContext cxt, const Datum *values, const bool *isnull);
extern void catalogue_free_batch(DeletionBatch *batch);
extern Datum catalogue_key_array(const DeletionKey *key, const DeletionColumn *column, int first,
								 int n);
extern Datum catalogue_tid_array(const DeletionBatch *batch);

#endif							/* CATALOGUE_BATCH_H */
