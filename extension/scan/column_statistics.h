/*
 * column_statistics.h
 *		Statistics of the columns of a tuple source whose rows are a relation's.
 */
#ifndef CATALOGUE_COLUMN_STATISTICS_H
#define CATALOGUE_COLUMN_STATISTICS_H

#include "catalogue.h"

#include "access/htup.h"
#include "nodes/pathnodes.h"

extern void catalogue_column_statistics_init(void);
extern HeapTuple catalogue_column_statistics(Oid relid, AttrNumber attno);
extern bool catalogue_may_use_statistics(Oid relid, AttrNumber attno);
extern void catalogue_set_column_widths(RelOptInfo *rel, Oid relid);

#endif							/* CATALOGUE_COLUMN_STATISTICS_H */
