/*
 * sentinel.h
 *		The tables whose invalidation messages tell that a lookup has changed.
 */
#ifndef CATALOGUE_LOOKUPS_SENTINEL_H
#define CATALOGUE_LOOKUPS_SENTINEL_H

#include "invalidation.h"

extern void catalogue_depend_on_sentinels(Dependencies *dependencies, Oid purges);
extern Oid	catalogue_lookup_changed_function(void);

#endif							/* CATALOGUE_LOOKUPS_SENTINEL_H */
