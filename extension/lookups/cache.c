/*
 * cache.c
 *		Content of the lookup tables, cached by each backend, never stale.
 *
 * Coherence.  A change of a lookup table sends an invalidation message with
 * its commit (sentinel.c), DDL on the tables sends others.  What is known of an
 * attachment's tables (tables.c) has registered all of these before any of it is
 * read.  A call first accepts the messages that have arrived, and where one
 * concerns its tables, drops all entries that were read from them.  A load
 * publishes its entry only if no message has come once it has read everything.
 *
 * Visibility.  A call answers as of its statement's snapshot, as a SELECT in its
 * place would: from an entry where the tables have not changed between that
 * snapshot and now, else from the tables under that very snapshot.  A
 * transaction that has written a lookup table, or that has one snapshot for all
 * its statements (REPEATABLE READ and up), bypasses the cache, as does a caller to
 * whom row-level security applies.  An entry that is loaded by a transaction with
 * an XID may show what that does to the tables by DDL: it is uncommitted, kept
 * when the transaction commits, dropped when it or a part of it rolls back.
 *
 * Memory.  Each entry is immutable and has a memory context of its own.  A load
 * builds it below the caller's context; it becomes a child of lookup_cxt when
 * nothing can fail any more.  Pins keep it alive: an entry that was dropped or
 * evicted while it is pinned is freed by the last pin.  A pin belongs to a
 * memory context of the caller's, whose reset releases it, so that no ERROR
 * leaves one behind.  The bound, catalogue.cache_size, holds for what later
 * calls can find: published entries and the structures that find them.  These
 * shrink with the entries; what is known of tables is dropped when it takes too
 * much of the bound.
 */
#include "lookups/cache.h"

#include "lookups/document.h"
#include "lookups/id_index.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define MIN_BUCKETS 32

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

typedef struct TablesSlot
{
	Oid			schema;			/* hash key (must be first) */
	LookupTables *tables;
} TablesSlot;

static MemoryContext lookup_cxt = NULL; /* parent of everything; NULL before
										 * the first use */
static MemoryContext index_cxt = NULL;	/* holds the two hash tables */
static HTAB *tables_hash = NULL;	/* of TablesSlot; NULL while empty */

/* The published entries: by key, and the latest used first. */
static LookupEntry **buckets = NULL;
static uint32 nbuckets = 0;		/* a power of two */
static uint32 nentries = 0;
static dlist_head entries = DLIST_STATIC_INIT(entries);

static Size entry_bytes = 0;	/* of all of them */
static Size tables_bytes = 0;	/* of what is known of their tables */
static Size index_bytes = 0;	/* of what finds both */
static LookupCounts counts;

static bool has_uncommitted = false;	/* whether an entry is uncommitted */

static void create_cache(void);
static bool may_use_cache(const LookupRequest *request);
static LookupEntry *find_usable_entry(const LookupRequest *request);
static LookupEntry *load_entry(const LookupRequest *request, const char **cache);
static LookupEntry *read_entry(const LookupRequest *request, LookupTables *tables, Snapshot snapshot);
static LookupEntry *make_entry(const LookupKey *key, const char *scope_text);
static LookupTables *lock_tables(const LookupRequest *request, CachedPin *pin);
static LookupTables *find_tables(const Attachment *attachment);
static void add_tables(LookupTables *tables);
static void drop_tables(LookupTables *tables);
static void drop_all_tables(void);
static LookupEntry *find_entry(const LookupKey *key);
static void keep_entry(LookupEntry *entry, LookupTables *tables);
static void keep_version(const LookupEntry *document, LookupTables *tables);
static void publish_entry(LookupEntry *entry, LookupTables *tables);
static void drop_entry(LookupEntry *entry);
static uint64 drop_entries_of(LookupTables *tables);
static uint64 drop_all_entries(void);
static void evict_entries(Size bytes);
static void fit_buckets(uint32 n);
static Size cache_limit(void);
static Size cache_bytes(void);
static void count_index_bytes(void);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId mySubid,
								  SubTransactionId parentSubid, void *arg);
static void keep_uncommitted(void);
static void drop_uncommitted(void);
static LookupKey request_key(const LookupRequest *request);
static uint32 hash_key(const LookupKey *key);
static bool same_key(const LookupKey *a, const LookupKey *b);
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
 * What the cache has for a request, or NULL.  Good until the next use of the cache.
 */
const LookupContent *
catalogue_find_lookups(const LookupRequest *request)
{
	LookupEntry *entry = find_usable_entry(request);

	return entry != NULL ? entry->content : NULL;
}

/*
 * Pins content for a request, from the cache or from the tables.
 *
 * A pin serves the calls of one statement by one role: what it holds since an earlier
 * one still answers as of the statement's snapshot.
 */
void
catalogue_pin_lookups(LookupPin *pin, const LookupRequest *request)
{
	LookupEntry *entry = (LookupEntry *) pin->base.thing;
	LookupKey	key = request_key(request);

	if (entry != NULL && same_key(&entry->key, &key))
		return;

	catalogue_unpin_lookups(pin);
	entry = find_usable_entry(request);
	if (entry != NULL)
		pin->cache = "hit";
	else
		entry = load_entry(request, &pin->cache);

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

/* The index of a pinned entry's rows by id. */
const LookupIdIndex *
catalogue_pinned_id_index(LookupPin *pin)
{
	LookupEntry *entry = (LookupEntry *) pin->base.thing;

	if (entry->id_index == NULL)
	{
		Size		before = entry->bytes;

		entry->id_index = catalogue_index_ids(entry->content, entry->base.cxt);
		entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);
		if (!entry->base.dropped)
			entry_bytes += entry->bytes - before;
		evict_entries(0);
	}

	return entry->id_index;
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
		copy->scope = entry->scope_text != NULL ? pstrdup(entry->scope_text) : NULL;
		copy->nrows = entry->content->nrows;
		copy->bytes = entry->bytes;
		copy->age = entry_age(entry);
		/* Stale entries are dropped at the next call. */
		copy->expires_in = catalogue_lookup_tables_current(entry->tables)
			? Max(catalogue_lookup_ttl - copy->age, 0) : 0;
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

	buckets = MemoryContextAllocZero(child_cxt, MIN_BUCKETS * sizeof(LookupEntry *));
	nbuckets = MIN_BUCKETS;

	/* From here on nothing can fail. */
	MemoryContextSetParent(cxt, CacheMemoryContext);
	lookup_cxt = cxt;
	index_cxt = child_cxt;
	count_index_bytes();
}

/*
 * Whether a call may be answered from the cache, and fill it, as far as that does
 * not depend on the tables.
 *
 * An attachment that has changed since the call began may be bound to other tables
 * now than those for which the role's rights were checked.
 */
static bool
may_use_cache(const LookupRequest *request)
{
	return catalogue_lookup_ttl > 0 && !request->row_security && !IsolationUsesXactSnapshot() &&
		catalogue_is_current(request->attachment->base.dependencies);
}

/* The entry that answers a request as of its snapshot, or NULL; counts it as a hit. */
static LookupEntry *
find_usable_entry(const LookupRequest *request)
{
	LookupTables *tables;
	LookupEntry *entry;
	LookupKey	key;

	if (lookup_cxt == NULL)
		create_cache();

	AcceptInvalidationMessages();
	if (catalogue_lookup_ttl == 0)
		counts.expiries += drop_all_entries();
	evict_entries(0);

	if (!may_use_cache(request) || (tables = find_tables(request->attachment)) == NULL ||
		!catalogue_lookups_unchanged_since(tables, request->snapshot) ||
		catalogue_wrote_lookups(tables))
		return NULL;
	key = request_key(request);
	entry = find_entry(&key);
	if (entry != NULL)
	{
		counts.hits++;
		entry->hits++;
		dlist_move_head(&entries, &entry->recency);
	}

	return entry;
}

/*
 * Reads an entry under the snapshot of its statement, and publishes it if it holds
 * for later ones too, and is not too large.
 *
 * Rows of a table that was rewritten after that snapshot was taken are not to be
 * seen by it, so these are read under the newest one.
 */
static LookupEntry *
load_entry(const LookupRequest *request, const char **cache)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup load",
											  ALLOCSET_SMALL_SIZES);
	CachedPin  *pin = MemoryContextAlloc(cxt, sizeof(CachedPin));
	LookupTables *tables;
	Snapshot	snapshot = request->snapshot;
	uint64		renewals;
	LookupEntry *entry;

	catalogue_init_pin(pin, cxt);
	tables = lock_tables(request, pin);
	renewals = tables->renewals;
	if (!IsolationUsesXactSnapshot() && catalogue_lookups_redefined_since(tables, snapshot))
		snapshot = GetLatestSnapshot();

	if (!may_use_cache(request) || !tables->cacheable || catalogue_wrote_lookups(tables) ||
		!catalogue_lookups_unchanged_since(tables, snapshot))
	{
		counts.bypasses++;
		*cache = "bypass";
		entry = read_entry(request, tables, snapshot);
	}
	else
	{
		counts.misses++;
		*cache = "miss";
		entry = read_entry(request, tables, snapshot);

		/*
		 * A call nested in the load (by an output function, say) may have
		 * noticed a change already.
		 */
		if (tables->renewals != renewals || !catalogue_lookup_tables_current(tables) ||
			!may_use_cache(request))
			counts.discarded_loads++;
		else if (!catalogue_row_security_applies(request->attachment, request->role))
		{
			if (request->form == LOOKUP_DOCUMENT)
				keep_version(entry, tables);
			keep_entry(entry, tables);
		}
	}
	MemoryContextDelete(cxt);

	return entry;
}

/* Reads an entry that is neither published nor pinned, below the current memory context. */
static LookupEntry *
read_entry(const LookupRequest *request, LookupTables *tables, Snapshot snapshot)
{
	LookupKey	key = request_key(request);
	char	   *scope_text = NULL;
	LookupEntry *entry;

	if (OidIsValid(request->scope.type))
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(request->scope.type, &output, &is_varlena);
		scope_text = OidOutputFunctionCall(output, request->scope.value);
	}
	entry = make_entry(&key, scope_text);
	entry->uncommitted = TransactionIdIsValid(GetTopTransactionIdIfAny());
	INSTR_TIME_SET_CURRENT(entry->loaded_at);
	entry->content = catalogue_read_lookups(request, tables, snapshot, entry->base.cxt);
	entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);

	return entry;
}

/* An entry without content, below the current memory context. */
static LookupEntry *
make_entry(const LookupKey *key, const char *scope_text)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup entry", ALLOCSET_SMALL_SIZES);
	LookupEntry *entry = MemoryContextAllocZero(cxt, sizeof(LookupEntry));

	entry->base.cxt = cxt;
	entry->base.dropped = true; /* until it is published */
	entry->key = *key;
	entry->hash = hash_key(key);
	if (scope_text != NULL)
	{
		entry->key.scope.image =
			memcpy(MemoryContextAlloc(cxt, key->scope.length), key->scope.image, key->scope.length);
		entry->scope_text = MemoryContextStrdup(cxt, scope_text);
	}

	return entry;
}

/*
 * The tables of a request, locked, as they are now, and pinned.  Those of an
 * attachment that has changed since the call began are nobody else's.
 */
static LookupTables *
lock_tables(const LookupRequest *request, CachedPin *pin)
{
	for (;;)
	{
		LookupTables *tables = find_tables(request->attachment);

		CHECK_FOR_INTERRUPTS();
		if (tables == NULL)
		{
			tables = catalogue_read_lookup_tables(request->attachment);
			tables->base.dropped = true;
			if (catalogue_is_current(request->attachment->base.dependencies))
				add_tables(tables);
			MemoryContextSetParent(tables->base.cxt, lookup_cxt);
		}
		catalogue_pin(pin, &tables->base);
		catalogue_lock_lookup_tables(tables);
		if (catalogue_is_current(tables->base.dependencies))
			return tables;
		catalogue_unpin(pin);
	}
}

/*
 * What is known of an attachment's tables, or NULL.  If it is not true any more it
 * is dropped; if only rows have changed, what was read of these is.
 */
static LookupTables *
find_tables(const Attachment *attachment)
{
	TablesSlot *slot;
	LookupTables *tables;

	if (tables_hash == NULL || !catalogue_is_current(attachment->base.dependencies))
		return NULL;
	slot = hash_search(tables_hash, &attachment->schema, HASH_FIND, NULL);
	if (slot == NULL)
		return NULL;
	tables = slot->tables;

	if (catalogue_lookup_tables_current(tables))
		return tables;
	counts.invalidations += drop_entries_of(tables);
	if (!catalogue_is_current(tables->base.dependencies))
	{
		drop_tables(tables);
		return NULL;
	}
	catalogue_renew_lookup_tables(tables);

	return tables;
}

/* Lets later calls find what is known of an attachment's tables. */
static void
add_tables(LookupTables *tables)
{
	TablesSlot *slot;
	bool		found;

	if (tables_hash == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(TablesSlot),
			.hcxt = index_cxt,
		};

		tables_hash = hash_create("catalogue lookup tables", 8, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}

	slot = hash_search(tables_hash, &tables->schema, HASH_ENTER, &found);
	if (found)
		return;					/* by a call nested in the reading */

	slot->tables = tables;
	tables->base.dropped = false;
	tables->bytes = MemoryContextMemAllocated(tables->base.cxt, true);
	tables_bytes += tables->bytes;
	count_index_bytes();
}

/* Forgets tables that later calls could find, and what was read from them. */
static void
drop_tables(LookupTables *tables)
{
	drop_entries_of(tables);
	hash_search(tables_hash, &tables->schema, HASH_REMOVE, NULL);
	tables_bytes -= tables->bytes;
	catalogue_drop_cached(&tables->base);
}

static void
drop_all_tables(void)
{
	HASH_SEQ_STATUS status;
	TablesSlot *slot;

	if (tables_hash == NULL)
		return;

	hash_seq_init(&status, tables_hash);
	while ((slot = hash_seq_search(&status)) != NULL)
		drop_tables(slot->tables);
	hash_destroy(tables_hash);
	tables_hash = NULL;
	count_index_bytes();
}

/* The published entry of a key, or NULL; one that has expired is dropped. */
static LookupEntry *
find_entry(const LookupKey *key)
{
	uint32		hash = hash_key(key);
	LookupEntry *entry = buckets[hash & (nbuckets - 1)];

	while (entry != NULL && (entry->hash != hash || !same_key(&entry->key, key)))
		entry = entry->next;
	if (entry != NULL && entry_age(entry) >= catalogue_lookup_ttl)
	{
		counts.expiries++;
		drop_entry(entry);
		return NULL;
	}

	return entry;
}

/* Publishes an entry if there is room for it. */
static void
keep_entry(LookupEntry *entry, LookupTables *tables)
{
	if (entry->bytes > cache_limit() / 2)
		return;

	evict_entries(entry->bytes);
	if (!tables->base.dropped)
		publish_entry(entry, tables);
}

/*
 * Publishes the version of a document as an entry of its own, which stays where the
 * document is too large, or is evicted.
 */
static void
keep_version(const LookupEntry *document, LookupTables *tables)
{
	LookupEntry *entry = make_entry(&document->key, document->scope_text);

	entry->key.form = LOOKUP_VERSION;
	entry->hash = hash_key(&entry->key);
	entry->uncommitted = document->uncommitted;
	entry->loaded_at = document->loaded_at;
	entry->content = catalogue_copy_version(document->content, entry->base.cxt);
	entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);
	keep_entry(entry, tables);
	if (entry->base.dropped)
		MemoryContextDelete(entry->base.cxt);
}

/* Lets later calls find an entry, unless a call nested in its load has published the same. */
static void
publish_entry(LookupEntry *entry, LookupTables *tables)
{
	LookupEntry **bucket;

	if (find_entry(&entry->key) != NULL)
		return;
	if (nentries >= nbuckets)
		fit_buckets(2 * nbuckets);

	MemoryContextSetParent(entry->base.cxt, lookup_cxt);
	bucket = &buckets[entry->hash & (nbuckets - 1)];
	entry->next = *bucket;
	*bucket = entry;
	nentries++;
	entry->base.dropped = false;
	entry->tables = tables;
	entry_bytes += entry->bytes;
	dlist_push_head(&entries, &entry->recency);
	dlist_push_head(&tables->entries, &entry->of_tables);
	has_uncommitted |= entry->uncommitted;
}

/* Removes a published entry; it is freed now, or by its last pin. */
static void
drop_entry(LookupEntry *entry)
{
	LookupEntry **link = &buckets[entry->hash & (nbuckets - 1)];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	nentries--;
	dlist_delete(&entry->recency);
	dlist_delete(&entry->of_tables);
	entry->tables = NULL;
	entry_bytes -= entry->bytes;
	catalogue_drop_cached(&entry->base);
}

/* Drops all entries read from these tables; returns how many they were. */
static uint64
drop_entries_of(LookupTables *tables)
{
	uint64		ndropped = 0;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &tables->entries)
	{
		drop_entry(dlist_container(LookupEntry, of_tables, iter.cur));
		ndropped++;
	}

	return ndropped;
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

/*
 * Evicts the least recently used entries until so many bytes more fit into the
 * cache.  What finds them shrinks along.
 */
static void
evict_entries(Size bytes)
{
	if (cache_bytes() + bytes <= cache_limit())
		return;

	if (tables_bytes > cache_limit() / 4)
		drop_all_tables();
	while (!dlist_is_empty(&entries) && cache_bytes() + bytes > cache_limit())
	{
		counts.evictions++;
		drop_entry(dlist_tail_element(LookupEntry, recency, &entries));
		if (nentries < nbuckets / 8)
			fit_buckets(nbuckets / 2);
	}
	while (nbuckets > MIN_BUCKETS && nentries < nbuckets / 8)
		fit_buckets(nbuckets / 2);
}

/* Gives the entries so many buckets, if there is memory for them. */
static void
fit_buckets(uint32 n)
{
	LookupEntry **fitting;
	dlist_iter	iter;

	if (n < MIN_BUCKETS)
		return;
	fitting = MemoryContextAllocExtended(index_cxt, n * sizeof(LookupEntry *),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (fitting == NULL)
		return;

	dlist_foreach(iter, &entries)
	{
		LookupEntry *entry = dlist_container(LookupEntry, recency, iter.cur);
		LookupEntry **bucket = &fitting[entry->hash & (n - 1)];

		entry->next = *bucket;
		*bucket = entry;
	}
	pfree(buckets);
	buckets = fitting;
	nbuckets = n;
	count_index_bytes();
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
	return entry_bytes + tables_bytes + index_bytes;
}

static void
count_index_bytes(void)
{
	index_bytes = MemoryContextMemAllocated(lookup_cxt, false) +
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

static LookupKey
request_key(const LookupRequest *request)
{
	LookupKey	key = {
		.schema = request->attachment->schema,
		.form = request->form,
		.scope = request->scope,
	};

	return key;
}

static uint32
hash_key(const LookupKey *key)
{
	uint32		hash = hash_combine(murmurhash32(key->schema), key->form);

	if (OidIsValid(key->scope.type))
		hash = hash_combine(hash, hash_bytes((const unsigned char *) key->scope.image,
											 (int) key->scope.length));

	return hash;
}

static bool
same_key(const LookupKey *a, const LookupKey *b)
{
	return a->schema == b->schema && a->form == b->form && a->scope.type == b->scope.type &&
		a->scope.length == b->scope.length &&
		(a->scope.length == 0 || memcmp(a->scope.image, b->scope.image, a->scope.length) == 0);
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
