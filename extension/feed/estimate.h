/*
 * estimate.h
 *		What the planner is told of a call.
 */
#ifndef CATALOGUE_ESTIMATE_H
#define CATALOGUE_ESTIMATE_H

#include "scan/tuple_source.h"

extern double catalogue_feed_estimate_rows(Oid funcid, List *args);
extern void catalogue_feed_estimate(Oid funcid, List *args, TupleSourceEstimate *estimate);
extern Oid	catalogue_feed_relation(Oid funcid);

#endif							/* CATALOGUE_ESTIMATE_H */
