/*
 * virtual_columns.h
 *		Columns that are computed when they are read.
 */
#ifndef CATALOGUE_VIRTUAL_COLUMNS_H
#define CATALOGUE_VIRTUAL_COLUMNS_H

#include "catalogue.h"

#include "access/attmap.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

typedef struct VirtualColumns VirtualColumns;

extern VirtualColumns *catalogue_feed_begin_virtual_columns(Relation rel, const AttrNumber *columns,
															int ncolumns, const AttrMap *map);
extern void catalogue_feed_compute_virtual_columns(VirtualColumns *virtual_columns,
												   TupleTableSlot *row, TupleTableSlot *result);

#endif							/* CATALOGUE_VIRTUAL_COLUMNS_H */
