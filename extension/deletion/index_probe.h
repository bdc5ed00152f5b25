/*
 * index_probe.h
 *		Does any row reference some others?  As an index knows.
 */
#ifndef CATALOGUE_INDEX_PROBE_H
#define CATALOGUE_INDEX_PROBE_H

#include "deletion/batch.h"

extern bool catalogue_may_be_referenced(const DeletionEdge *edge, const DeletionBatch *referenced);

#endif							/* CATALOGUE_INDEX_PROBE_H */
