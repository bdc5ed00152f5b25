/*
 * statements.h
 *		The saved statements on rows of a table, or on those that reference a batch.
 */
#ifndef CATALOGUE_STATEMENTS_H
#define CATALOGUE_STATEMENTS_H

#include "deletion/deletion.h"

extern Tuplestorestate *catalogue_read_referencing(Deletion *deletion, DeletionEdge *edge,
												   DeletionBatch *referenced, bool lock);
extern TupleTableSlot *catalogue_make_referencing_slot(const DeletionEdge *edge, bool lock);
extern void catalogue_lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced,
								 DeletionBatch *batch);
extern void catalogue_follow_moved_rows(const DeletionTable *table, DeletionBatch *batch);
extern uint64 catalogue_delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch,
									 List *redundant);
extern uint64 catalogue_delete_by_index(Deletion *deletion, DeletionEdge *edge,
										const DeletionBatch *referenced, int first,
										int nreferenced);
extern uint64 catalogue_set_keys(Deletion *deletion, DeletionEdge *edge, DeletionBatch *batch);

#endif							/* CATALOGUE_STATEMENTS_H */
