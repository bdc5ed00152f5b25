/*
 * conditions.h
 *		The conditions that the source of cached_lookups() answers itself.
 */
#ifndef CATALOGUE_LOOKUPS_CONDITIONS_H
#define CATALOGUE_LOOKUPS_CONDITIONS_H

#include "catalogue.h"

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/* What open() gets behind the function's argument. */
#define ROWS_ARG_KIND 1
#define ROWS_ARG_ID 2
#define ROWS_ARG_TAKEN 3

/* Bits of ROWS_ARG_TAKEN: which conditions there are; a value can be NULL. */
#define TAKEN_KIND (1 << 0)
#define TAKEN_ID (1 << 1)

extern List *catalogue_take_lookup_conditions(Index rti, List **conditions);

#endif							/* CATALOGUE_LOOKUPS_CONDITIONS_H */
