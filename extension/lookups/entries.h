/*
 * entries.h
 *		The published entries of the lookup cache, and its bound.
 */
#ifndef CATALOGUE_LOOKUPS_ENTRIES_H
#define CATALOGUE_LOOKUPS_ENTRIES_H

#include "lookups/cache.h"

#include "lib/ilist.h"
#include "portability/instr_time.h"

typedef struct LookupEntry
{
	CachedThing base;			/* (must be first) */
	LookupKey	key;			/* the scope's image in the entry's memory */
	uint32		hash;
	struct LookupEntry *next;	/* in its bucket */
	char	   *scope_text;		/* NULL for all */
	instr_time	loaded_at;		/* monotonic */
	uint64		hits;
	bool		uncommitted;	/* loaded by the current transaction, which
								 * has an XID */
	dlist_node	recency;
	dlist_node	of_tables;		/* in the list of what it was read from */
	const LookupTables *tables;
	Size		bytes;			/* of its memory context */
	const LookupContent *content;
	const LookupIdIndex *id_index;	/* NULL until it is asked for */
} LookupEntry;

extern MemoryContext catalogue_lookup_cxt;	/* parent of everything; NULL
											 * before the first use */
extern MemoryContext catalogue_lookup_index_cxt;	/* holds what finds
													 * entries and tables */
extern LookupCounts catalogue_lookup_counts;

extern void catalogue_create_entries(void);
extern LookupEntry *catalogue_make_entry(const LookupKey *key, const char *scope_text);
extern LookupEntry *catalogue_find_entry(const LookupKey *key);
extern void catalogue_use_entry(LookupEntry *entry);
extern void catalogue_publish_entry(LookupEntry *entry, LookupTables *tables);
extern void catalogue_count_entry_bytes(LookupEntry *entry);
extern uint64 catalogue_drop_entries_of(LookupTables *tables);
extern uint64 catalogue_drop_all_entries(void);
extern void catalogue_evict_entries(Size bytes);
extern Size catalogue_cache_limit(void);
extern Size catalogue_entries_bytes(void);
extern void catalogue_count_index_bytes(void);
extern List *catalogue_describe_entries(void);
extern bool catalogue_same_key(const LookupKey *a, const LookupKey *b);

#endif							/* CATALOGUE_LOOKUPS_ENTRIES_H */
