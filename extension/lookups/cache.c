/*
 * cache.c
 *		Content of the lookup tables, cached by each backend, never stale.
 *
 * Coherence.  A change of a lookup table sends an invalidation message with
 * its commit (sentinel.c), DDL on the tables sends others.  All entries share
 * one set of dependencies, which covers every message that can concern any of
 * them.  A call first accepts the messages that have arrived and, where they
 * have made the dependencies stale, drops all entries; so it sees what was
 * committed before it began.  A load adds what it reads to the dependencies
 * before it takes its snapshot, and publishes its entry only if they are
 * current, and still the same set, once it has read everything.
 *
 * Visibility.  A transaction that has an XID may see rows that nobody else
 * sees, also where no trigger covers them.  An entry that it loads is
 * uncommitted: kept when the transaction commits, dropped when it or a part of
 * it rolls back.  A transaction that wrote a lookup table, or that reads
 * through one snapshot (REPEATABLE READ and up), bypasses the cache, as does a
 * caller to whom row-level security applies.
 *
 * Memory.  Each entry is immutable and has a memory context of its own.  A load
 * builds it below the caller's context; it becomes a child of lookup_cxt when
 * nothing can fail any more.  Pins keep it alive: an entry that was dropped or
 * evicted while it is pinned is freed by the last pin.  A pin belongs to a
 * memory context of the caller's, whose reset releases it, so that no ERROR
 * leaves one behind.  The bound, catalogue.cache_size, holds for what later
 * calls can find: published entries and the structures that find them.
 */
#include "lookups/cache.h"

#include "lookups/sentinel.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct LookupKey
{
	Oid			schema;
	LookupForm	form;
	const char *scope;			/* NULL for all; in the entry's memory */
} LookupKey;

typedef struct LookupEntry
{
	CachedThing base;			/* (must be first) */
	LookupKey	key;
	instr_time	loaded_at;		/* monotonic */
	uint64		hits;
	bool		uncommitted;	/* loaded by the current transaction, which
								 * has an XID */
	dlist_node	recency;
	Size		bytes;			/* of its memory context */
	const LookupContent *content;
} LookupEntry;

typedef struct LookupSlot
{
	LookupKey	key;			/* hash key (must be first) */
	LookupEntry *entry;
} LookupSlot;

static MemoryContext lookup_cxt = NULL; /* parent of everything; NULL before
										 * the first use */
static MemoryContext index_cxt = NULL;	/* holds the hash and the dependencies */
static HTAB *lookup_hash = NULL;	/* of LookupSlot: the published entries */
static dlist_head entries = DLIST_STATIC_INIT(entries); /* the same, latest used
														 * first */
static Size entry_bytes = 0;	/* of all of them */
static LookupCounts counts;

/* What all entries were read from; the version changes when the set is replaced. */
static MemoryContext dependencies_cxt = NULL;
static Dependencies *dependencies = NULL;
static uint64 dependencies_version = 0;

static bool has_uncommitted = false;	/* whether an entry is uncommitted */

static void create_cache(void);
static bool transaction_may_use_cache(void);
static LookupEntry *find_entry(const LookupRequest *request);
static LookupEntry *load_entry(const LookupRequest *request);
static LookupEntry *read_entry(const LookupRequest *request);
static void publish_entry(LookupEntry *entry);
static void drop_entry(LookupEntry *entry);
static void invalidate_if_stale(void);
static uint64 drop_all_entries(void);
static void evict_entries(Size bytes);
static Size cache_limit(void);
static Size cache_bytes(void);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId mySubid,
								  SubTransactionId parentSubid, void *arg);
static void keep_uncommitted(void);
static void drop_uncommitted(void);
static uint32 hash_key(const void *key, Size keysize);
static int	match_keys(const void *a, const void *b, Size keysize);
static double entry_age(const LookupEntry *entry);

/* Called once, while the library is loaded. */
void
catalogue_lookup_cache_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/* Makes a pin, which holds nothing yet, part of a memory context's life. */
void
catalogue_init_lookup_pin(LookupPin *pin, MemoryContext cxt)
{
	memset(pin, 0, sizeof(LookupPin));
	catalogue_init_pin(&pin->base, cxt);
}

/*
 * Pins content for a request, from the cache or from the tables.
 *
 * The role's privileges have been checked.  With row_security the content
 * depends on the role, and bypasses the cache.
 */
void
catalogue_pin_lookups(LookupPin *pin, const LookupRequest *request, bool row_security)
{
	LookupEntry *entry;

	if (lookup_cxt == NULL)
		create_cache();

	AcceptInvalidationMessages();
	invalidate_if_stale();
	if (catalogue_lookup_ttl == 0)
		counts.expiries += drop_all_entries();
	evict_entries(0);

	if (row_security || !transaction_may_use_cache())
	{
		counts.bypasses++;
		pin->cache = "bypass";
		entry = read_entry(request);
	}
	else if ((entry = find_entry(request)) != NULL)
	{
		counts.hits++;
		entry->hits++;
		dlist_move_head(&entries, &entry->recency);
		pin->cache = "hit";
	}
	else
	{
		counts.misses++;
		pin->cache = "miss";
		entry = load_entry(request);
	}

	/*
	 * From here on nothing can fail; what is not published is freed by its
	 * last pin.
	 */
	MemoryContextSetParent(entry->base.cxt, lookup_cxt);
	catalogue_pin(&pin->base, &entry->base);
	pin->content = entry->content;
}

/* Releases what a pin holds, if anything. */
void
catalogue_unpin_lookups(LookupPin *pin)
{
	pin->content = NULL;
	catalogue_unpin(&pin->base);
}

/* Copies the counts and a description of each entry into the current memory context. */
void
catalogue_get_lookup_cache_stats(LookupCacheStats *stats)
{
	dlist_iter	iter;

	if (lookup_cxt == NULL)
		create_cache();
	AcceptInvalidationMessages();

	stats->counts = counts;
	stats->bytes = cache_bytes();
	stats->entries = NIL;
	dlist_foreach(iter, &entries)
	{
		const LookupEntry *entry = dlist_container(LookupEntry, recency, iter.cur);
		LookupEntryStats *copy = palloc(sizeof(LookupEntryStats));

		copy->schema = entry->key.schema;
		copy->form = entry->key.form;
		copy->scope = entry->key.scope != NULL ? pstrdup(entry->key.scope) : NULL;
		copy->nrows = entry->content->nrows;
		copy->bytes = entry->bytes;
		copy->age = entry_age(entry);
		/* Stale entries are dropped at the next call. */
		copy->expires_in =
			catalogue_is_current(dependencies) ? Max(catalogue_lookup_ttl - copy->age, 0) : 0;
		copy->hits = entry->hits;
		stats->entries = lappend(stats->entries, copy);
	}
}

/* Drops all entries and sets the counts to zero. */
void
catalogue_reset_lookup_cache(void)
{
	drop_all_entries();
	memset(&counts, 0, sizeof(counts));
}

/* Creates the cache, empty; an ERROR leaves nothing behind, and the next call starts over. */
static void
create_cache(void)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "catalogue lookups", ALLOCSET_SMALL_SIZES);
	MemoryContext child_cxt =
		AllocSetContextCreate(cxt, "catalogue lookup index", ALLOCSET_SMALL_SIZES);
	MemoryContext empty_cxt =
		AllocSetContextCreate(child_cxt, "catalogue lookup dependencies", ALLOCSET_SMALL_SIZES);
	Dependencies *empty = catalogue_begin_dependencies(empty_cxt);
	HASHCTL		ctl = {
		.keysize = sizeof(LookupKey),
		.entrysize = sizeof(LookupSlot),
		.hash = hash_key,
		.match = match_keys,
		.hcxt = child_cxt,
	};
	HTAB	   *hash = hash_create("catalogue lookup hash", 32, &ctl,
								   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);

	/* From here on nothing can fail. */
	MemoryContextSetParent(cxt, CacheMemoryContext);
	lookup_cxt = cxt;
	index_cxt = child_cxt;
	dependencies_cxt = empty_cxt;
	dependencies = empty;
	lookup_hash = hash;
}

static bool
transaction_may_use_cache(void)
{
	return catalogue_lookup_ttl > 0 && !catalogue_transaction_wrote_lookups() &&
		!IsolationUsesXactSnapshot();
}

/* The published entry that answers a request, or NULL; one that has expired is dropped. */
static LookupEntry *
find_entry(const LookupRequest *request)
{
	LookupKey	key = {request->attachment->schema, request->form, request->scope};
	LookupSlot *slot = hash_search(lookup_hash, &key, HASH_FIND, NULL);
	LookupEntry *entry;

	if (slot == NULL)
		return NULL;
	entry = slot->entry;

	if (entry_age(entry) >= catalogue_lookup_ttl)
	{
		counts.expiries++;
		drop_entry(entry);
		return NULL;
	}

	return entry;
}

/*
 * Reads an entry, and publishes it if it is current and not too large.
 *
 * What it is read from is added to the dependencies before the snapshot is
 * taken: what is committed after that makes them stale, now or at the next
 * call.
 */
static LookupEntry *
load_entry(const LookupRequest *request)
{
	bool		cacheable;
	uint64		version;
	LookupEntry *entry;

	do
	{
		CHECK_FOR_INTERRUPTS();
		invalidate_if_stale();
		version = dependencies_version;
		catalogue_depend_on_relation(dependencies, catalogue_config_relid());
		catalogue_depend_on_relation(dependencies, catalogue_lookup_sentinel_relid());
		cacheable = catalogue_lock_lookups(request, dependencies);
	} while (!catalogue_end_reading(dependencies));

	entry = read_entry(request);

	/*
	 * A call nested in the load (by an output function, say) may have
	 * replaced the dependencies.  The attachment was looked up before they
	 * covered it, so it answers for itself.
	 */
	if (version != dependencies_version || !catalogue_is_current(dependencies) ||
		!catalogue_is_current(request->attachment->base.dependencies))
		counts.discarded_loads++;
	else if (cacheable && entry->bytes <= cache_limit() / 2)
	{
		evict_entries(entry->bytes);
		publish_entry(entry);
	}

	return entry;
}

/* Reads an entry that is neither published nor pinned, below the current memory context. */
static LookupEntry *
read_entry(const LookupRequest *request)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup entry", ALLOCSET_SMALL_SIZES);
	LookupEntry *entry = MemoryContextAllocZero(cxt, sizeof(LookupEntry));
	Snapshot	snapshot;

	entry->base.cxt = cxt;
	entry->base.dropped = true; /* until it is published */
	entry->key.schema = request->attachment->schema;
	entry->key.form = request->form;
	if (request->scope != NULL)
		entry->key.scope = MemoryContextStrdup(cxt, request->scope);

	/* The newest one, unless the transaction has but one. */
	snapshot = IsolationUsesXactSnapshot() ? GetActiveSnapshot() : GetTransactionSnapshot();
	entry->uncommitted = TransactionIdIsValid(GetTopTransactionIdIfAny());
	INSTR_TIME_SET_CURRENT(entry->loaded_at);
	entry->content = catalogue_read_lookups(request, snapshot, cxt);
	entry->bytes = MemoryContextMemAllocated(cxt, false);

	return entry;
}

/* Lets later calls find an entry, unless a call nested in its load has published the same. */
static void
publish_entry(LookupEntry *entry)
{
	bool		found;
	LookupSlot *slot = hash_search(lookup_hash, &entry->key, HASH_ENTER, &found);

	if (found)
		return;

	MemoryContextSetParent(entry->base.cxt, lookup_cxt);
	slot->entry = entry;
	entry->base.dropped = false;
	entry_bytes += entry->bytes;
	dlist_push_head(&entries, &entry->recency);
	has_uncommitted |= entry->uncommitted;
}

/* Removes a published entry; it is freed now, or by its last pin. */
static void
drop_entry(LookupEntry *entry)
{
	hash_search(lookup_hash, &entry->key, HASH_REMOVE, NULL);
	dlist_delete(&entry->recency);
	entry_bytes -= entry->bytes;
	catalogue_drop_cached(&entry->base);
}

/* Drops all entries if anything that they were read from has changed since. */
static void
invalidate_if_stale(void)
{
	if (catalogue_is_current(dependencies))
		return;

	counts.invalidations += drop_all_entries();

	/*
	 * An empty set fits into the block that a reset keeps, so this cannot
	 * fail.
	 */
	MemoryContextReset(dependencies_cxt);
	dependencies = catalogue_begin_dependencies(dependencies_cxt);
	dependencies_version++;
}

/* Drops all entries; returns how many they were. */
static uint64
drop_all_entries(void)
{
	uint64		ndropped = 0;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &entries)
	{
		drop_entry(dlist_container(LookupEntry, recency, iter.cur));
		ndropped++;
	}

	return ndropped;
}

/* Evicts the least recently used entries until so many bytes more fit into the cache. */
static void
evict_entries(Size bytes)
{
	while (!dlist_is_empty(&entries) && cache_bytes() + bytes > cache_limit())
	{
		counts.evictions++;
		drop_entry(dlist_tail_element(LookupEntry, recency, &entries));
	}
}

static Size
cache_limit(void)
{
	return (Size) catalogue_cache_size * 1024;
}

/* What counts against the limit: published entries, and the structures that find them. */
static Size
cache_bytes(void)
{
	return entry_bytes + MemoryContextMemAllocated(lookup_cxt, false) +
		MemoryContextMemAllocated(index_cxt, true);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			keep_uncommitted();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			drop_uncommitted();
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid,
					  void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		drop_uncommitted();
}

/* The transaction has committed what its entries show. */
static void
keep_uncommitted(void)
{
	dlist_iter	iter;

	if (!has_uncommitted)
		return;

	dlist_foreach(iter, &entries)
		dlist_container(LookupEntry, recency, iter.cur)->uncommitted = false;
	has_uncommitted = false;
}

/* A transaction or subtransaction has rolled back what its entries may show. */
static void
drop_uncommitted(void)
{
	dlist_mutable_iter iter;

	if (!has_uncommitted)
		return;

	dlist_foreach_modify(iter, &entries)
	{
		LookupEntry *entry = dlist_container(LookupEntry, recency, iter.cur);

		if (entry->uncommitted)
			drop_entry(entry);
	}
	has_uncommitted = false;
}

static uint32
hash_key(const void *key, Size keysize)
{
	const LookupKey *k = key;
	uint32		hash = hash_combine(murmurhash32(k->schema), k->form);

	if (k->scope != NULL)
		hash = hash_combine(hash, string_hash(k->scope, strlen(k->scope) + 1));

	return hash;
}

static int
match_keys(const void *a, const void *b, Size keysize)
{
	const LookupKey *ka = a;
	const LookupKey *kb = b;

	if (ka->schema != kb->schema || ka->form != kb->form)
		return 1;
	if (ka->scope == NULL || kb->scope == NULL)
		return ka->scope != kb->scope;
	return strcmp(ka->scope, kb->scope);
}

/* In seconds, by a monotonic clock. */
static double
entry_age(const LookupEntry *entry)
{
	instr_time	age;

	INSTR_TIME_SET_CURRENT(age);
	INSTR_TIME_SUBTRACT(age, entry->loaded_at);

	return INSTR_TIME_GET_DOUBLE(age);
}
