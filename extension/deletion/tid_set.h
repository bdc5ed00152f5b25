/*
 * tid_set.h
 *		A set of TIDs of one table.
 */
#ifndef CATALOGUE_TID_SET_H
#define CATALOGUE_TID_SET_H

#include "catalogue.h"

#include "storage/itemptr.h"

typedef struct TidSet TidSet;

extern TidSet *catalogue_make_tid_set(MemoryContext cxt);
extern bool catalogue_add_tid(TidSet *set, ItemPointer tid);
extern bool catalogue_has_tid(const TidSet *set, ItemPointer tid);
extern void catalogue_rewind_tids(TidSet *set);
extern bool catalogue_next_tid(TidSet *set, ItemPointer tid);

#endif							/* CATALOGUE_TID_SET_H */
