/*
 * order.h
 *		The order of a tuple source's rows, as the planner knows orders.
 */
#ifndef CATALOGUE_ORDER_H
#define CATALOGUE_ORDER_H

#include "scan/tuple_source.h"

#include "nodes/pathnodes.h"

extern List *catalogue_order_pathkeys(PlannerInfo *root, RelOptInfo *rel,
									  const TupleSourceOrder *order);

#endif							/* CATALOGUE_ORDER_H */
