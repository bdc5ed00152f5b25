/*
 * entries.c
 *		The published entries of the lookup cache, and its bound.
 *
 * Each entry is immutable and has a memory context of its own.  A load builds it below
 * the caller's context; it becomes a child of catalogue_lookup_cxt when nothing can
 * fail any more.  Pins keep it alive: an entry that was dropped or evicted while it is
 * pinned is freed by the last pin.
 *
 * The bound, catalogue.cache_size, holds for what later calls can find: published
 * entries and the structures that find them, which shrink with the entries.
 *
 * An entry that is loaded by a transaction with an XID may show what that does to the
 * tables by DDL: it is uncommitted, kept when the transaction commits, dropped when it
 * or a part of it rolls back.
 */
#include "lookups/entries.h"

#include "lookups/shared_counts.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define MIN_BUCKETS 32

MemoryContext catalogue_lookup_cxt = NULL;
MemoryContext catalogue_lookup_index_cxt = NULL;
LookupCounts catalogue_lookup_counts;

/* The published entries: by key, and the latest used first. */
static LookupEntry **buckets = NULL;
static uint32 nbuckets = 0;		/* a power of two */
static uint32 nentries = 0;
static dlist_head entries = DLIST_STATIC_INIT(entries);

static Size entry_bytes = 0;	/* of all of them */
static Size index_bytes = 0;	/* of what finds them */
static bool has_uncommitted = false;	/* whether an entry is uncommitted */

static void drop_entry(LookupEntry *entry);
static void fit_buckets(uint32 n);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId mySubid,
								  SubTransactionId parentSubid, void *arg);
static void keep_uncommitted(void);
static void drop_uncommitted(void);
static uint32 hash_key(const LookupKey *key);
static double entry_age(const LookupEntry *entry);

/* Called once, while the library is loaded. */
void
catalogue_lookup_entries_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/* Creates the cache, empty; an ERROR leaves nothing behind, and the next call starts over. */
void
catalogue_create_entries(void)
{
	MemoryContext cxt;
	MemoryContext child_cxt;

	catalogue_attach_shared_counts();
	cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookups", ALLOCSET_SMALL_SIZES);
	child_cxt = AllocSetContextCreate(cxt, "catalogue lookup index", ALLOCSET_SMALL_SIZES);
	buckets = MemoryContextAllocZero(child_cxt, MIN_BUCKETS * sizeof(LookupEntry *));
	nbuckets = MIN_BUCKETS;

	/* From here on nothing can fail. */
	MemoryContextSetParent(cxt, CacheMemoryContext);
	catalogue_lookup_cxt = cxt;
	catalogue_lookup_index_cxt = child_cxt;
	catalogue_count_index_bytes();
}

/* An entry without content, below the current memory context. */
LookupEntry *
catalogue_make_entry(const LookupKey *key, const char *scope_text)
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

/* The published entry of a key, or NULL; one that has expired is dropped. */
LookupEntry *
catalogue_find_entry(const LookupKey *key)
{
	uint32		hash = hash_key(key);
	LookupEntry *entry = buckets[hash & (nbuckets - 1)];

	while (entry != NULL && (entry->hash != hash || !catalogue_same_key(&entry->key, key)))
		entry = entry->next;
	if (entry != NULL && entry_age(entry) >= catalogue_lookup_ttl)
	{
		catalogue_lookup_counts.expiries++;
		drop_entry(entry);
		return NULL;
	}

	return entry;
}

/* Counts a hit. */
void
catalogue_use_entry(LookupEntry *entry)
{
	catalogue_lookup_counts.hits++;
	entry->hits++;
	dlist_move_head(&entries, &entry->recency);
}

/* Lets later calls find an entry, unless a call nested in its load has published the same. */
void
catalogue_publish_entry(LookupEntry *entry, LookupTables *tables)
{
	LookupEntry **bucket;

	if (catalogue_find_entry(&entry->key) != NULL)
		return;
	if (nentries >= nbuckets)
		fit_buckets(2 * nbuckets);

	MemoryContextSetParent(entry->base.cxt, catalogue_lookup_cxt);
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

/* Counts the memory that an entry takes, which may be published. */
void
catalogue_count_entry_bytes(LookupEntry *entry)
{
	Size		before = entry->bytes;

	entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);
	if (!entry->base.dropped)
		entry_bytes += entry->bytes - before;
}

/* Drops all entries read from these tables; returns how many they were. */
uint64
catalogue_drop_entries_of(LookupTables *tables)
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
uint64
catalogue_drop_all_entries(void)
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
 * Evicts the least recently used entries until the others, and so many bytes besides,
 * are within the bound.  What finds them shrinks along.
 */
void
catalogue_evict_entries(Size bytes)
{
	while (!dlist_is_empty(&entries) &&
		   catalogue_entries_bytes() + bytes > catalogue_cache_limit())
	{
		catalogue_lookup_counts.evictions++;
		drop_entry(dlist_tail_element(LookupEntry, recency, &entries));
		if (nentries < nbuckets / 8)
			fit_buckets(nbuckets / 2);
	}
	while (nbuckets > MIN_BUCKETS && nentries < nbuckets / 8)
		fit_buckets(nbuckets / 2);
}

Size
catalogue_cache_limit(void)
{
	return (Size) catalogue_cache_size * 1024;
}

/* What counts against the limit: published entries, and the structures that find them. */
Size
catalogue_entries_bytes(void)
{
	return entry_bytes + index_bytes;
}

void
catalogue_count_index_bytes(void)
{
	index_bytes = MemoryContextMemAllocated(catalogue_lookup_cxt, false) +
		MemoryContextMemAllocated(catalogue_lookup_index_cxt, true);
}

/* Describes the published entries, the latest used first, in the current memory context. */
List *
catalogue_describe_entries(void)
{
	List	   *descriptions = NIL;
	dlist_iter	iter;

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
		descriptions = lappend(descriptions, copy);
	}

	return descriptions;
}

bool
catalogue_same_key(const LookupKey *a, const LookupKey *b)
{
	return a->schema == b->schema && a->form == b->form && a->scope.type == b->scope.type &&
		a->scope.length == b->scope.length &&
		(a->scope.length == 0 || memcmp(a->scope.image, b->scope.image, a->scope.length) == 0);
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

/* Gives the entries so many buckets, if there is memory for them. */
static void
fit_buckets(uint32 n)
{
	LookupEntry **fitting;
	dlist_iter	iter;

	if (n < MIN_BUCKETS)
		return;
	fitting = MemoryContextAllocExtended(catalogue_lookup_index_cxt, n * sizeof(LookupEntry *),
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
	catalogue_count_index_bytes();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			keep_uncommitted();
			catalogue_share_counts();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			drop_uncommitted();
			catalogue_share_counts();
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
hash_key(const LookupKey *key)
{
	uint32		hash = hash_combine(murmurhash32(key->schema), key->form);

	if (OidIsValid(key->scope.type))
		hash = hash_combine(hash, hash_bytes((const unsigned char *) key->scope.image,
											 (int) key->scope.length));

	return hash;
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
