/*
 * cache.h
 *		The lookup cache of a backend: pins on its content, and its statistics.
 */
#ifndef CATALOGUE_LOOKUPS_CACHE_H
#define CATALOGUE_LOOKUPS_CACHE_H

#include "invalidation.h"
#include "lookups/content.h"
#include "lookups/id_index.h"
#include "lookups/tables.h"

/*
 * A pin keeps content in memory, from catalogue_pin_lookups() until the next request
 * for other content or catalogue_unpin_lookups(), at the latest until the memory
 * context that it was initialised for is reset.  It serves one role and snapshot.
 */
typedef struct LookupPin
{
	CachedPin	base;
	const LookupContent *content;	/* NULL while nothing is pinned */
	bool		is_part;		/* it is no more than the part that was asked
								 * for */
	uint64		spent;			/* on parts, as history.c counts */
	const char *cache;			/* "hit", "miss" or "bypass"; NULL before the
								 * first use */
} LookupPin;

typedef struct LookupCounts
{
	uint64		hits;
	uint64		misses;
	uint64		invalidations;	/* entries dropped because a table changed */
	uint64		expiries;		/* entries older than catalogue.lookup_ttl */
	uint64		evictions;		/* entries dropped to stay within
								 * catalogue.cache_size */
	uint64		bypasses;
	uint64		discarded_loads;	/* not published, since a table changed
									 * meanwhile */
} LookupCounts;

typedef struct LookupEntryStats
{
	Oid			schema;
	LookupForm	form;
	const char *scope;			/* NULL for all */
	uint64		nrows;
	Size		bytes;
	double		age;			/* in seconds */
	double		expires_in;		/* in seconds */
	uint64		hits;
} LookupEntryStats;

typedef struct LookupCacheStats
{
	LookupCounts counts;		/* since the backend began, or the last reset */
	Size		bytes;
	List	   *entries;		/* of LookupEntryStats *, the latest used
								 * first */
} LookupCacheStats;

extern void catalogue_lookup_entries_init(void);
extern void catalogue_init_lookup_pin(LookupPin *pin, MemoryContext cxt);
extern const LookupContent *catalogue_find_lookups(const LookupRequest *request);
extern void catalogue_pin_lookups(LookupPin *pin, const LookupRequest *request);
extern const LookupIdIndex *catalogue_pinned_id_index(LookupPin *pin);
extern void catalogue_unpin_lookups(LookupPin *pin);
extern void catalogue_get_lookup_cache_stats(LookupCacheStats *stats);
extern void catalogue_reset_lookup_cache(void);

#endif							/* CATALOGUE_LOOKUPS_CACHE_H */
