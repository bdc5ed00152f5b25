/*
 * invalidation.h
 *		What a cached thing depends on, and how long it lives.
 *
 * What is read from the catalogs or from tables and kept registers each thing
 * that it depends on before that is read, is read again where an invalidation
 * message came meanwhile (catalogue_read_cached), and is asked whether it is
 * current before each use.  Messages are processed by the server when it takes
 * a lock, or by AcceptInvalidationMessages(); a thing is as current as the last
 * of either.
 *
 * Dependencies belong to a memory context and end with it, so that an ERROR
 * while something is read leaves nothing behind.
 */
#ifndef CATALOGUE_INVALIDATION_H
#define CATALOGUE_INVALIDATION_H

#include "catalogue.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/palloc.h"

typedef struct Dependencies Dependencies;

extern Dependencies *catalogue_begin_dependencies(MemoryContext cxt);
extern bool catalogue_depend_on_relation(Dependencies *dependencies, Oid relid);
extern List *catalogue_depend_on_partitions(Dependencies *dependencies, Oid relid,
											LOCKMODE lockmode);
extern void catalogue_depend_on_schema(Dependencies *dependencies, Oid schema);
extern void catalogue_depend_on_function(Dependencies *dependencies, Oid funcid);
extern void catalogue_depend_on_text_forms(Dependencies *dependencies);
extern void catalogue_depend_on_roles(Dependencies *dependencies);
extern bool catalogue_end_reading(Dependencies *dependencies);
extern bool catalogue_is_current(const Dependencies *dependencies);

/*
 * The base of a thing that is kept and can be in use when it is dropped from
 * its cache.  It and all that it has lie in a memory context of its own, whose
 * reset callbacks free what does not; the last pin, or dropping it while it has
 * none, deletes that context.
 */
typedef struct CachedThing
{
	MemoryContext cxt;			/* a child of CacheMemoryContext once it is
								 * kept */
	Dependencies *dependencies; /* NULL where it shares others' */
	int			pins;
	bool		dropped;
} CachedThing;

/* Fills in a thing, registering what it depends on before reading it. */
typedef void (*CachedThingReader) (CachedThing *thing, void *arg);

/* A use of a cached thing, at the latest until its holder's context is reset. */
typedef struct CachedPin
{
	CachedThing *thing;			/* NULL while nothing is pinned */
	MemoryContextCallback release;
} CachedPin;

extern CachedThing *catalogue_read_cached(const char *name, Size size, CachedThingReader read,
										  void *arg);
extern void catalogue_drop_cached(CachedThing *thing);
extern void catalogue_init_pin(CachedPin *pin, MemoryContext holder);
extern void catalogue_pin(CachedPin *pin, CachedThing *thing);
extern void catalogue_unpin(CachedPin *pin);

#endif							/* CATALOGUE_INVALIDATION_H */
