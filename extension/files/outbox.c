/*
 * outbox.c
 *		Writing to an outbox.
 *
 * Rows are inserted as the owner of the outbox, whoever deletes: they need no
 * rights on it.  The plans are kept for each outbox for the backend's life, and
 * depend on the outbox, its schema, and the configuration, which says when files
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
	SPIPlanPtr	insert_one;
	SPIPlanPtr	insert_many;
} Outbox;

/* Hash entry; what is known of an outbox is replaced as a whole. */
typedef struct OutboxSlot
{
	Oid			relid;			/* hash key (must be first) */
	Outbox	   *outbox;
} OutboxSlot;

/* The parameters of an INSERT: a path, its table and column, when it is due. */
enum
{
	INSERT_PATH,
	INSERT_RELATION,
	INSERT_COLUMN_NAME,
	INSERT_DUE_AT,
	INSERT_NARGS
};

static HTAB *outboxes = NULL;

static void insert_one(Outbox *outbox, const FileColumn *column, text *location, Datum due_at);
static void insert_many(Outbox *outbox, const FileColumn **columns, text **locations, int npaths,
						Datum due_at);
static void insert(Outbox *outbox, SPIPlanPtr *plan, const char *source, Oid *types,
				   const NullableDatum *args);
static Outbox *find_outbox(Oid relid);
static void read_outbox(CachedThing *thing, void *relid);
static void check_outbox(Oid relid, const FileColumn *column);

/* Writes paths, all of one outbox; to be called between SPI_connect() and SPI_finish(). */
void
catalogue_write_to_outbox(const FileColumn **columns, text **locations, int npaths)
{
	CachedPin  *pin = palloc(sizeof(CachedPin));
	SavedUser	saved;
	Outbox	   *outbox;
	Datum		due_at;

	check_outbox(columns[0]->outbox, columns[0]);
	catalogue_switch_to_owner(columns[0]->outbox, &saved);
	outbox = find_outbox(columns[0]->outbox);
	catalogue_init_pin(pin, CurrentMemoryContext);
	catalogue_pin(pin, &outbox->base);

	due_at = DirectFunctionCall2(timestamptz_pl_interval,
								 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
								 IntervalPGetDatum(&outbox->unlink_delay));
	if (npaths == 1)
		insert_one(outbox, columns[0], locations[0], due_at);
	else
		insert_many(outbox, columns, locations, npaths, due_at);

	catalogue_unpin(pin);
	catalogue_restore_user(&saved);
}

/* What most deletions of a single row come to: the executor has the least to set up. */
static void
insert_one(Outbox *outbox, const FileColumn *column, text *location, Datum due_at)
{
	Oid			types[INSERT_NARGS] = {TEXTOID, REGCLASSOID, NAMEOID, TIMESTAMPTZOID};
	NullableDatum args[INSERT_NARGS] = {0};

	args[INSERT_PATH].value = PointerGetDatum(location);
	args[INSERT_RELATION].value = ObjectIdGetDatum(column->relation);
	args[INSERT_COLUMN_NAME].value = NameGetDatum(&column->name);
	args[INSERT_DUE_AT].value = due_at;
	insert(outbox, &outbox->insert_one, "VALUES ($1, $2, $3, $4)", types, args);
}

static void
insert_many(Outbox *outbox, const FileColumn **columns, text **locations, int npaths, Datum due_at)
{
	Oid			types[INSERT_NARGS] = {TEXTARRAYOID, REGCLASSARRAYOID, NAMEARRAYOID, TIMESTAMPTZOID};
	NullableDatum args[INSERT_NARGS] = {0};
	Datum	   *paths = palloc(npaths * sizeof(Datum));
	Datum	   *relations = palloc(npaths * sizeof(Datum));
	Datum	   *names = palloc(npaths * sizeof(Datum));

	for (int i = 0; i < npaths; i++)
	{
		paths[i] = PointerGetDatum(locations[i]);
		relations[i] = ObjectIdGetDatum(columns[i]->relation);
		names[i] = NameGetDatum(&columns[i]->name);
	}
	args[INSERT_PATH].value =
		PointerGetDatum(construct_array(paths, npaths, TEXTOID, -1, false, TYPALIGN_INT));
	args[INSERT_RELATION].value =
		PointerGetDatum(construct_array(relations, npaths, REGCLASSOID, sizeof(Oid), true,
										TYPALIGN_INT));
	args[INSERT_COLUMN_NAME].value =
		PointerGetDatum(construct_array(names, npaths, NAMEOID, NAMEDATALEN, false,
										TYPALIGN_CHAR));
	args[INSERT_DUE_AT].value = due_at;
	insert(outbox, &outbox->insert_many,
		   "SELECT pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), $4",
		   types, args);
}

/* Runs an INSERT of what a source gives, prepared when it is first needed. */
static void
insert(Outbox *outbox, SPIPlanPtr *plan, const char *source, Oid *types, const NullableDatum *args)
{
	SPIExecuteOptions options = {.params = catalogue_make_params(INSERT_NARGS, types, args)};

	if (*plan == NULL)
		*plan = catalogue_prepare(outbox->base.cxt,
								  psprintf("INSERT INTO %s (path, relation, column_name, due_at) %s",
										   catalogue_qualified_relation_name(outbox->relid), source),
								  INSERT_NARGS, types, CURSOR_OPT_GENERIC_PLAN);
	catalogue_execute_plan(*plan, &options);
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
