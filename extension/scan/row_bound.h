/*
 * row_bound.h
 *		How many rows a LIMIT above a stream scan lets through.
 */
#ifndef CATALOGUE_ROW_BOUND_H
#define CATALOGUE_ROW_BOUND_H

#include "catalogue.h"

#include "nodes/pathnodes.h"

extern List *catalogue_row_bound_exprs(PlannerInfo *root, RelOptInfo *rel, List *pathkeys,
									   int nconditions);
extern int64 catalogue_row_bound(const NullableDatum *values, int nvalues);

#endif							/* CATALOGUE_ROW_BOUND_H */
