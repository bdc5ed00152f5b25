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
 * whom row-level security applies.
 *
 * Worth.  A call that asks for a part only may read just that.  Where what is kept for a scope is invalidated again and again before it is
 * asked for, the cache steps aside for a while (history.c).
 *
 * Memory.  Entries and their bound are entries.c's.  A pin belongs to a memory context
 * of the caller's, whose reset releases it, so that no ERROR leaves one behind.  What
 * is known of tables counts against the bound, and is dropped when it takes too much.
 */
#include "lookups/cache.h"

#include "lookups/document.h"
#include "lookups/entries.h"
#include "lookups/history.h"
#include "lookups/reading_plan.h"
#include "lookups/shared_counts.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct TablesSlot
{
	Oid			schema;			/* hash key (must be first) */
	LookupTables *tables;
} TablesSlot;

static HTAB *tables_hash = NULL;	/* of TablesSlot; NULL while empty */
static Size tables_bytes = 0;	/* of what is known of tables */

static bool may_use_cache(const LookupRequest *request);
static LookupEntry *find_usable_entry(const LookupRequest *request);
static LookupEntry *load_entry(const LookupRequest *request, LookupPin *pin);
static LookupEntry *read_whole(const LookupRequest *request, LookupTables *tables, Snapshot snapshot);
static LookupEntry *read_entry(const LookupRequest *request, LookupTables *tables, Snapshot snapshot);
static LookupTables *lock_tables(const LookupRequest *request, CachedPin *pin);
static LookupTables *find_tables(const Attachment *attachment);
static void note_change(LookupTables *tables);
static void add_tables(LookupTables *tables);
static void count_tables_bytes(LookupTables *tables);
static void drop_tables(LookupTables *tables);
static void drop_all_tables(void);
static void keep_entry(LookupEntry *entry, LookupTables *tables);
static void make_room(Size bytes);
static void keep_version(const LookupEntry *document, LookupTables *tables);
static LookupKey request_key(const LookupRequest *request);

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

	if (entry != NULL && !pin->is_part && catalogue_same_key(&entry->key, &key))
		return;

	catalogue_unpin_lookups(pin);
	pin->is_part = false;
	entry = find_usable_entry(request);
	if (entry != NULL)
		pin->cache = "hit";
	else
		entry = load_entry(request, pin);

	/*
	 * From here on nothing can fail; what is not published is freed by its
	 * last pin.
	 */
	MemoryContextSetParent(entry->base.cxt, catalogue_lookup_cxt);
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
		entry->id_index = catalogue_index_ids(entry->content, entry->base.cxt);
		catalogue_count_entry_bytes(entry);
		make_room(0);
	}

	return entry->id_index;
}

/* Copies the counts and a description of each entry into the current memory context. */
void
catalogue_get_lookup_cache_stats(LookupCacheStats *stats)
{
	if (catalogue_lookup_cxt == NULL)
		catalogue_create_entries();
	AcceptInvalidationMessages();

	stats->counts = catalogue_lookup_counts;
	stats->bytes = catalogue_entries_bytes() + tables_bytes;
	stats->entries = catalogue_describe_entries();
}

/* Drops all entries, sets the counts to zero and forgets what was worth while. */
void
catalogue_reset_lookup_cache(void)
{
	catalogue_drop_all_entries();
	catalogue_reset_counts();
	catalogue_forget_histories();
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

	if (catalogue_lookup_cxt == NULL)
		catalogue_create_entries();

	AcceptInvalidationMessages();
	if (catalogue_lookup_ttl == 0)
		catalogue_lookup_counts.expiries += catalogue_drop_all_entries();
	make_room(0);

	if (!may_use_cache(request) || (tables = find_tables(request->attachment)) == NULL ||
		!catalogue_lookups_unchanged_since(tables, request->snapshot) ||
		catalogue_wrote_lookups(tables))
		return NULL;
	key = request_key(request);
	entry = catalogue_find_entry(&key);
	if (entry != NULL)
		catalogue_use_entry(entry);

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
load_entry(const LookupRequest *request, LookupPin *lookup_pin)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue lookup load",
											  ALLOCSET_SMALL_SIZES);
	CachedPin  *pin = MemoryContextAlloc(cxt, sizeof(CachedPin));
	LookupTables *tables;
	Snapshot	snapshot = request->snapshot;
	LookupKey	key = request_key(request);
	uint64		renewals;
	bool		keeps;
	LookupEntry *entry;

	catalogue_init_pin(pin, cxt);
	tables = lock_tables(request, pin);
	renewals = tables->renewals;
	if (!IsolationUsesXactSnapshot() && catalogue_lookups_rewritten_since(tables, snapshot))
		snapshot = RegisterSnapshot(catalogue_newest_snapshot());

	keeps = may_use_cache(request) && tables->cacheable && !catalogue_wrote_lookups(tables) &&
		catalogue_lookups_unchanged_since(tables, snapshot);

	if (catalogue_can_read_part(request, tables) &&
		catalogue_prefers_part(&key, renewals, keeps, lookup_pin->spent))
	{
		catalogue_lookup_counts.bypasses++;
		lookup_pin->cache = "bypass";
		lookup_pin->is_part = true;
		entry = read_entry(request, tables, snapshot);
		lookup_pin->spent += catalogue_note_part(&key, renewals, entry->content->nrows);
	}
	else if (!keeps || (request->part == NULL && catalogue_steps_aside(&key, renewals)))
	{
		catalogue_lookup_counts.bypasses++;
		lookup_pin->cache = "bypass";
		entry = read_whole(request, tables, snapshot);
	}
	else
	{
		catalogue_lookup_counts.misses++;
		lookup_pin->cache = "miss";
		entry = read_whole(request, tables, snapshot);

		/*
		 * A call nested in the load (by an output function, say) may have
		 * noticed a change already.
		 */
		if (tables->renewals != renewals || !catalogue_lookup_tables_current(tables) ||
			!may_use_cache(request))
		{
			catalogue_lookup_counts.discarded_loads++;
			catalogue_note_change(&key, false, renewals);
		}
		else if (!catalogue_row_security_applies(request->attachment, request->role))
		{
			if (request->form == LOOKUP_DOCUMENT)
				keep_version(entry, tables);
			keep_entry(entry, tables);
		}
	}
	if (snapshot != request->snapshot)
		UnregisterSnapshot(snapshot);
	MemoryContextDelete(cxt);

	return entry;
}

/* Reads all of a request's scope, whatever part of it is asked for. */
static LookupEntry *
read_whole(const LookupRequest *request, LookupTables *tables, Snapshot snapshot)
{
	LookupRequest whole = *request;
	LookupEntry *entry;

	whole.part = NULL;
	entry = read_entry(&whole, tables, snapshot);
	catalogue_note_size(&entry->key, entry->content->nrows, entry->bytes);

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
	entry = catalogue_make_entry(&key, scope_text);
	entry->uncommitted = TransactionIdIsValid(GetTopTransactionIdIfAny());
	INSTR_TIME_SET_CURRENT(entry->loaded_at);
	entry->content = catalogue_read_lookups(request, tables, snapshot, entry->base.cxt);
	count_tables_bytes(tables);
	entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);

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
			MemoryContextSetParent(tables->base.cxt, catalogue_lookup_cxt);
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
	note_change(tables);
	catalogue_lookup_counts.invalidations += catalogue_drop_entries_of(tables);
	if (!catalogue_is_current(tables->base.dependencies))
	{
		drop_tables(tables);
		return NULL;
	}
	catalogue_renew_lookup_tables(tables);

	return tables;
}

/* Notes whether what was read from the tables before they changed has been of use. */
static void
note_change(LookupTables *tables)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tables->entries)
	{
		const LookupEntry *entry = dlist_container(LookupEntry, of_tables, iter.cur);

		catalogue_note_change(&entry->key, entry->hits > 0, tables->renewals);
	}
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
			.hcxt = catalogue_lookup_index_cxt,
		};

		tables_hash = hash_create("catalogue lookup tables", 8, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}

	slot = hash_search(tables_hash, &tables->schema, HASH_ENTER, &found);
	if (found)
		return;					/* by a call nested in the reading */

	slot->tables = tables;
	tables->base.dropped = false;
	tables->bytes = 0;
	count_tables_bytes(tables);
	catalogue_count_index_bytes();
}

/* Counts the memory that what is known of tables takes, which later calls may find. */
static void
count_tables_bytes(LookupTables *tables)
{
	Size		bytes = MemoryContextMemAllocated(tables->base.cxt, true);

	if (tables->base.dropped)
		return;
	tables_bytes += bytes - tables->bytes;
	tables->bytes = bytes;
}

/* Forgets tables that later calls could find, and what was read from them. */
static void
drop_tables(LookupTables *tables)
{
	catalogue_drop_entries_of(tables);
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
	catalogue_count_index_bytes();
}

/* Publishes an entry if there is room for it. */
static void
keep_entry(LookupEntry *entry, LookupTables *tables)
{
	if (entry->bytes > catalogue_cache_limit() / 2)
		return;

	make_room(entry->bytes);
	if (!tables->base.dropped)
		catalogue_publish_entry(entry, tables);
}

/*
 * Publishes the version of a document as an entry of its own, which stays where the
 * document is too large, or is evicted.
 */
static void
keep_version(const LookupEntry *document, LookupTables *tables)
{
	LookupKey	key = document->key;
	LookupEntry *entry;

	key.form = LOOKUP_VERSION;
	entry = catalogue_make_entry(&key, document->scope_text);
	entry->uncommitted = document->uncommitted;
	entry->loaded_at = document->loaded_at;
	entry->content = catalogue_copy_version(document->content, entry->base.cxt);
	entry->bytes = MemoryContextMemAllocated(entry->base.cxt, false);
	keep_entry(entry, tables);
	if (entry->base.dropped)
		MemoryContextDelete(entry->base.cxt);
}

/*
 * Evicts entries until so many bytes more fit into the cache.  What is known of tables
 * is dropped first where it takes too much.
 */
static void
make_room(Size bytes)
{
	if (catalogue_entries_bytes() + tables_bytes + bytes <= catalogue_cache_limit())
		return;

	if (tables_bytes > catalogue_cache_limit() / 4)
		drop_all_tables();
	catalogue_evict_entries(tables_bytes + bytes);
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
