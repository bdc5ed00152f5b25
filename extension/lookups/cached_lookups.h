/*
 * cached_lookups.h
 *		The function whose calls the planner has statistics for.
 */
#ifndef CATALOGUE_LOOKUPS_CACHED_LOOKUPS_H
#define CATALOGUE_LOOKUPS_CACHED_LOOKUPS_H

#include "catalogue.h"

extern Datum catalogue_cached_lookups(PG_FUNCTION_ARGS);

#endif							/* CATALOGUE_LOOKUPS_CACHED_LOOKUPS_H */
