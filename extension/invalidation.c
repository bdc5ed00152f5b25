/*
 * invalidation.c
 *		What a cached thing depends on, and how long it lives.
 *
 * A backend has ten relcache callback slots for core and all extensions
 * together; this module takes one, and of the syscaches' one for each that it
 * follows.  The callbacks may run wherever a lock is taken, also where a look at a
 * catalog would corrupt the backend: they compare numbers and set flags, nothing
 * else.
 *
 * All Dependencies are in one list.  A message that names something that one
 * of them has marks it stale; one that names nothing (messages were lost)
 * marks all.  What is stale stays so: its owner begins anew.
 */
#include "invalidation.h"

#include "catalog/pg_inherits.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* What a message can name. */
typedef enum DependencyKind
{
	DEPEND_ON_RELATION,			/* key: its OID */
	DEPEND_ON_SCHEMA,			/* key: hash value in the syscache ... */
	DEPEND_ON_FUNCTION,			/* ... since that is what the messages carry */
	DEPEND_ON_TEXT_FORMS,		/* key: 0; any cast, and any label of an enum */
	DEPEND_ON_ROLES				/* key: 0; any role, and who is a member */
} DependencyKind;

typedef struct Dependency
{
	DependencyKind kind;
	uint32		key;
} Dependency;

struct Dependencies
{
	dlist_node	node;			/* in all_dependencies */
	MemoryContext cxt;
	bool		stale;
	bool		reading;		/* until catalogue_end_reading() */
	int			n;
	int			allocated;
	Dependency *items;
	MemoryContextCallback unlink;
};

static dlist_head all_dependencies = DLIST_STATIC_INIT(all_dependencies);

static bool add_dependency(Dependencies *dependencies, DependencyKind kind, uint32 key);
static bool has_dependency(const Dependencies *dependencies, DependencyKind kind, uint32 key);
static void unlink_dependencies(void *arg);
static void relcache_callback(Datum arg, Oid relid);
static void syscache_callback(Datum arg, int cacheid, uint32 hashvalue);
static void mark_stale(DependencyKind kind, uint32 key);
static void mark_all_stale(void);
static void release_pin(void *arg);

void
catalogue_invalidation_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, Int32GetDatum(DEPEND_ON_SCHEMA));
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, Int32GetDatum(DEPEND_ON_FUNCTION));
	CacheRegisterSyscacheCallback(ENUMOID, syscache_callback, Int32GetDatum(DEPEND_ON_TEXT_FORMS));
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, syscache_callback,
								  Int32GetDatum(DEPEND_ON_TEXT_FORMS));
	CacheRegisterSyscacheCallback(AUTHOID, syscache_callback, Int32GetDatum(DEPEND_ON_ROLES));
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, syscache_callback,
								  Int32GetDatum(DEPEND_ON_ROLES));
	CacheRegisterSyscacheCallback(DATABASEOID, syscache_callback, Int32GetDatum(DEPEND_ON_ROLES));
}

/* Nothing yet; to be added to before what is added is read.  Ends with the context. */
Dependencies *
catalogue_begin_dependencies(MemoryContext cxt)
{
	Dependencies *dependencies = MemoryContextAllocZero(cxt, sizeof(Dependencies));

	dependencies->cxt = cxt;
	dependencies->reading = true;
	dependencies->allocated = 8;
	dependencies->items = MemoryContextAlloc(cxt, dependencies->allocated * sizeof(Dependency));
	dependencies->unlink.func = unlink_dependencies;
	dependencies->unlink.arg = dependencies;

	/* From here on nothing can fail. */
	dlist_push_tail(&all_dependencies, &dependencies->node);
	MemoryContextRegisterResetCallback(cxt, &dependencies->unlink);

	return dependencies;
}

/*
 * Its columns, indexes, triggers, keys, rights and whatever else ALTER TABLE
 * changes.  True where that is new.
 */
bool
catalogue_depend_on_relation(Dependencies *dependencies, Oid relid)
{
	return add_dependency(dependencies, DEPEND_ON_RELATION, relid);
}

/*
 * A partitioned table and all below it, which are returned, locked.  Waiting for
 * the lock of one can bring the message that another was attached meanwhile: so
 * they are looked up until all of them were known before.
 */
List *
catalogue_depend_on_partitions(Dependencies *dependencies, Oid relid, LOCKMODE lockmode)
{
	List	   *relids;
	bool		found_new;
	ListCell   *lc;

	do
	{
		CHECK_FOR_INTERRUPTS();
		found_new = false;
		relids = find_all_inheritors(relid, lockmode, NULL);
		foreach(lc, relids)
			found_new |= catalogue_depend_on_relation(dependencies, lfirst_oid(lc));
	} while (found_new);

	return relids;
}

/* Its name and rights. */
void
catalogue_depend_on_schema(Dependencies *dependencies, Oid schema)
{
	add_dependency(dependencies, DEPEND_ON_SCHEMA,
				   GetSysCacheHashValue1(NAMESPACEOID, ObjectIdGetDatum(schema)));
}

/* Its declaration, and that it exists. */
void
catalogue_depend_on_function(Dependencies *dependencies, Oid funcid)
{
	add_dependency(dependencies, DEPEND_ON_FUNCTION,
				   GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(funcid)));
}

/* How values become text: what casts there are, and the labels of enums. */
void
catalogue_depend_on_text_forms(Dependencies *dependencies)
{
	add_dependency(dependencies, DEPEND_ON_TEXT_FORMS, 0);
}

/* Roles, who is a member of which, and who owns the database: what rights follow from. */
void
catalogue_depend_on_roles(Dependencies *dependencies)
{
	add_dependency(dependencies, DEPEND_ON_ROLES, 0);
}

/* All has been read; false where a message came meanwhile, and it must be read again. */
bool
catalogue_end_reading(Dependencies *dependencies)
{
	dependencies->reading = false;

	return !dependencies->stale;
}

bool
catalogue_is_current(const Dependencies *dependencies)
{
	return !dependencies->stale;
}

/*
 * Makes a thing of so many bytes, zeroed and filled in by a reader, and current.
 * It lies below the current memory context, until its cache has taken it over
 * by a call of MemoryContextSetParent().  The name is a constant.
 */
CachedThing *
catalogue_read_cached(const char *name, Size size, CachedThingReader read, void *arg)
{
	for (;;)
	{
		MemoryContext cxt =
			AllocSetContextCreateInternal(CurrentMemoryContext, name, ALLOCSET_SMALL_SIZES);
		CachedThing *thing = MemoryContextAllocZero(cxt, size);

		CHECK_FOR_INTERRUPTS();
		thing->cxt = cxt;
		thing->dependencies = catalogue_begin_dependencies(cxt);
		read(thing, arg);
		if (catalogue_end_reading(thing->dependencies))
			return thing;
		MemoryContextDelete(cxt);
	}
}

/* Frees a thing that its cache does not find any more, now or with its last pin. */
void
catalogue_drop_cached(CachedThing *thing)
{
	thing->dropped = true;
	if (thing->pins == 0)
		MemoryContextDelete(thing->cxt);
}

/* Makes a pin, which holds nothing yet, part of a memory context's life. */
void
catalogue_init_pin(CachedPin *pin, MemoryContext holder)
{
	pin->thing = NULL;
	pin->release.func = release_pin;
	pin->release.arg = pin;
	MemoryContextRegisterResetCallback(holder, &pin->release);
}

void
catalogue_pin(CachedPin *pin, CachedThing *thing)
{
	Assert(pin->thing == NULL);
	thing->pins++;
	pin->thing = thing;
}

/* Releases what a pin holds, if anything; it can be used again. */
void
catalogue_unpin(CachedPin *pin)
{
	CachedThing *thing = pin->thing;

	pin->thing = NULL;
	if (thing != NULL && --thing->pins == 0 && thing->dropped)
		MemoryContextDelete(thing->cxt);
}

/* False where it is there already. */
static bool
add_dependency(Dependencies *dependencies, DependencyKind kind, uint32 key)
{
	if (has_dependency(dependencies, kind, key))
		return false;

	if (dependencies->n == dependencies->allocated)
	{
		int			allocated = 2 * dependencies->allocated;

		dependencies->items = repalloc(dependencies->items, allocated * sizeof(Dependency));
		dependencies->allocated = allocated;
	}
	dependencies->items[dependencies->n++] = (Dependency)
	{
		.kind = kind,
			.key = key,
	};

	return true;
}

static bool
has_dependency(const Dependencies *dependencies, DependencyKind kind, uint32 key)
{
	for (int i = 0; i < dependencies->n; i++)
	{
		if (dependencies->items[i].key == key && dependencies->items[i].kind == kind)
			return true;
	}

	return false;
}

/* Reset callback of the context that dependencies belong to. */
static void
unlink_dependencies(void *arg)
{
	dlist_delete(&((Dependencies *) arg)->node);
}

static void
relcache_callback(Datum arg, Oid relid)
{
	if (OidIsValid(relid))
		mark_stale(DEPEND_ON_RELATION, relid);
	else
		mark_all_stale();
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	DependencyKind kind = (DependencyKind) DatumGetInt32(arg);

	if (hashvalue != 0)
		mark_stale(kind, kind == DEPEND_ON_SCHEMA || kind == DEPEND_ON_FUNCTION ? hashvalue : 0);
	else
		mark_all_stale();
}

static void
mark_stale(DependencyKind kind, uint32 key)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_dependencies)
	{
		Dependencies *dependencies = dlist_container(Dependencies, node, iter.cur);

		if (!dependencies->stale && has_dependency(dependencies, kind, key))
			dependencies->stale = true;
	}
}

/*
 * A server under debug_discard_caches invalidates everything whenever it reads
 * its messages.  What is being read would never be complete then; as the
 * relation cache does in that case, it is left alone until it is.
 */
static void
mark_all_stale(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_dependencies)
	{
		Dependencies *dependencies = dlist_container(Dependencies, node, iter.cur);

		if (!dependencies->reading || debug_discard_caches == 0)
			dependencies->stale = true;
	}
}

/* Reset callback of the memory context that a pin was initialised for. */
static void
release_pin(void *arg)
{
	catalogue_unpin(arg);
}
