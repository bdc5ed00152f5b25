/*
 * statements.h
 *		The saved statements on the rows of a table or below an edge.
 */
#ifndef CATALOGUE_STATEMENTS_H
#define CATALOGUE_STATEMENTS_H

#include "deletion/deletion.h"

extern Tuplestorestate *catalogue_read_children(Deletion *deletion, DeletionEdge *edge,
												DeletionBatch *parents, bool lock);
extern TupleTableSlot *catalogue_make_child_slot(const DeletionEdge *edge, bool lock);
extern void catalogue_lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents,
								 DeletionBatch *batch);
extern uint64 catalogue_delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch,
									 List *proven);
extern uint64 catalogue_delete_by_index(Deletion *deletion, DeletionEdge *edge,
										const DeletionBatch *parents, int first, int nparents);
extern uint64 catalogue_set_keys(Deletion *deletion, DeletionEdge *edge, DeletionBatch *batch);

#endif /* CATALOGUE_STATEMENTS_H */
