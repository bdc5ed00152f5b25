/*
 * sentinel.h
 *		The table whose invalidation messages tell that a lookup has changed.
 */
#ifndef CATALOGUE_LOOKUPS_SENTINEL_H
#define CATALOGUE_LOOKUPS_SENTINEL_H

#include "catalogue.h"

extern void catalogue_lookup_sentinel_init(void);
extern Oid	catalogue_lookup_sentinel_relid(void);
extern Oid	catalogue_lookup_changed_function(void);

#endif							/* CATALOGUE_LOOKUPS_SENTINEL_H */
