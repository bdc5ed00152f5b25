/*
 * outbox.c
 *		Writing to an outbox.
 *
 * Rows are inserted as the owner of the outbox, whoever deletes: they need no
 * rights on it.  The plan is kept for each outbox for the backend's life, and
 * depends on the outbox, its schema, and the configuration, which says when files
 * are due.
 */
#include "files/outbox.h"

#include "attachment.h"
#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct Outbox
{
	CachedThing base;			/* (must be first) */
	Oid			relid;
	Interval	unlink_delay;
	SPIPlanPtr	insert;
} Outbox;

/* Hash entry; what is known of an outbox is replaced as a whole. */
typedef struct OutboxSlot
{
	Oid			relid;			/* hash key (must be first) */
	Outbox	   *outbox;
} OutboxSlot;

static Oid	insert_types[] = {TEXTARRAYOID, REGCLASSARRAYOID, NAMEARRAYOID, TIMESTAMPTZOID};

static HTAB *outboxes = NULL;

static Outbox *find_outbox(Oid relid);
static void read_outbox(CachedThing *thing, void *relid);
static void check_outbox(Oid relid, const FileColumn *column);

/* Writes paths, all of one outbox; to be called between SPI_connect() and SPI_finish(). */
void
catalogue_write_to_outbox(const FileColumn **columns, text **locations, int npaths)
{
	Datum	   *paths = palloc(npaths * sizeof(Datum));
	Datum	   *relations = palloc(npaths * sizeof(Datum));
	Datum	   *names = palloc(npaths * sizeof(Datum));
	NullableDatum args[lengthof(insert_types)] = {0};
	SPIExecuteOptions options = {0};
	CachedPin  *pin = palloc(sizeof(CachedPin));
	SavedUser	saved;
	Outbox	   *outbox;

	for (int i = 0; i < npaths; i++)
	{
		paths[i] = PointerGetDatum(locations[i]);
		relations[i] = ObjectIdGetDatum(columns[i]->relation);
		names[i] = NameGetDatum(&columns[i]->name);
	}

	check_outbox(columns[0]->outbox, columns[0]);
	catalogue_switch_to_owner(columns[0]->outbox, &saved);
	outbox = find_outbox(columns[0]->outbox);
	catalogue_init_pin(pin, CurrentMemoryContext);
	catalogue_pin(pin, &outbox->base);

	args[0].value =
		PointerGetDatum(construct_array(paths, npaths, TEXTOID, -1, false, TYPALIGN_INT));
	args[1].value = PointerGetDatum(construct_array(relations, npaths, REGCLASSOID, sizeof(Oid),
													true, TYPALIGN_INT));
	args[2].value = PointerGetDatum(construct_array(names, npaths, NAMEOID, NAMEDATALEN, false,
													TYPALIGN_CHAR));
	args[3].value = DirectFunctionCall2(timestamptz_pl_interval,
										TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
										IntervalPGetDatum(&outbox->unlink_delay));
	options.params = catalogue_make_params(lengthof(insert_types), insert_types, args);
	catalogue_execute_plan(outbox->insert, &options);

	catalogue_unpin(pin);
	catalogue_restore_user(&saved);
}

/* To be called as the owner. */
static Outbox *
find_outbox(Oid relid)
{
	OutboxSlot *slot;

	if (outboxes == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(OutboxSlot),
		};

		outboxes = hash_create("catalogue outboxes", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	AcceptInvalidationMessages();
	slot = hash_search(outboxes, &relid, HASH_FIND, NULL);
	if (slot != NULL && !catalogue_is_current(slot->outbox->base.dependencies))
	{
		Outbox	   *stale = slot->outbox;

		hash_search(outboxes, &relid, HASH_REMOVE, NULL);
		catalogue_drop_cached(&stale->base);
		slot = NULL;
	}
	if (slot == NULL)
	{
		Outbox	   *outbox = (Outbox *) catalogue_read_cached("catalogue outbox", sizeof(Outbox),
															  read_outbox, &relid);

		slot = hash_search(outboxes, &relid, HASH_ENTER, NULL);
		slot->outbox = outbox;
		MemoryContextSetParent(outbox->base.cxt, CacheMemoryContext);
	}

	return slot->outbox;
}

static void
read_outbox(CachedThing *thing, void *relid)
{
	Outbox	   *outbox = (Outbox *) thing;

	outbox->relid = *(Oid *) relid;
	catalogue_depend_on_relation(thing->dependencies, catalogue_config_relid());
	catalogue_depend_on_relation(thing->dependencies, outbox->relid);
	catalogue_depend_on_schema(thing->dependencies, get_rel_namespace(outbox->relid));
	outbox->unlink_delay = catalogue_unlink_delay(outbox->relid);
	outbox->insert =
		catalogue_prepare(thing->cxt,
						  psprintf("INSERT INTO %s (path, relation, column_name, due_at)"
								   " SELECT pg_catalog.unnest($1), pg_catalog.unnest($2),"
								   " pg_catalog.unnest($3), $4",
								   catalogue_qualified_relation_name(outbox->relid)),
						  lengthof(insert_types), insert_types, CURSOR_OPT_GENERIC_PLAN);
}

/* An outbox that was dropped takes no paths; its rows stay until somebody decides. */
static void
check_outbox(Oid relid, const FileColumn *column)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid),
				errdetail("It was the outbox for the files in column \"%s\" of table \"%s\".",
						  NameStr(column->name), catalogue_relation_name(column->relation)),
				errhint("Run catalogue.attach() or catalogue.detach() for the schema that it was in."));
}
