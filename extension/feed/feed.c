/*
 * feed.c
 *		What a feed function is bound to: its table, columns and types.
 *
 * Lifetime: a ChapterFeed lives below CacheMemoryContext, together with all
 * plans that were prepared for it, until what it was read from has changed and
 * the last pin on it is released.
 *
 * Locking: whoever pins a feed has locked its table, to the end of the
 * transaction, and the feed was current after that.
 */
#include "feed/feed.h"

#include "feed/feed_order.h"

#include "names.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"

typedef struct FeedSlot
{
	Oid			funcid;			/* hash key (must be first) */
	ChapterFeed *feed;
} FeedSlot;

static HTAB *feed_hash = NULL;

static ChapterFeed *current_feed(Oid funcid);
static void drop_stale_feeds(void);
static void read_feed(CachedThing *thing, void *funcid);
static void read_types(ChapterFeed *feed);
static Oid	column_type(Oid relid, const char *column);
static Oid	widest_type(Oid type);
static ValueType value_type(Oid type);
pg_noreturn static void report_misfit(const ChapterFeed *feed);

/*
 * The current feed of a function, pinned, and its table locked: what the feed
 * says of it holds from then on.  Waiting for the lock can bring the message
 * that the feed has changed meanwhile; its names may be another table's then.
 */
ChapterFeed *
catalogue_feed_pin(CachedPin *pin, Oid funcid)
{
	for (;;)
	{
		ChapterFeed *feed = current_feed(funcid);

		CHECK_FOR_INTERRUPTS();
		catalogue_pin(pin, &feed->base);
		LockRelationOid(feed->relid, AccessShareLock);
		if (catalogue_is_current(feed->base.dependencies))
			return feed;
		catalogue_unpin(pin);
	}
}

static ChapterFeed *
current_feed(Oid funcid)
{
	FeedSlot   *slot;

	if (feed_hash == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(FeedSlot),
		};

		feed_hash = hash_create("catalogue chapter feeds", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	/*
	 * A feed that is found takes no lock, and so reads no invalidation
	 * messages.
	 */
	AcceptInvalidationMessages();
	slot = hash_search(feed_hash, &funcid, HASH_FIND, NULL);
	if (slot == NULL || !catalogue_is_current(slot->feed->base.dependencies))
	{
		ChapterFeed *feed;

		drop_stale_feeds();
		feed = (ChapterFeed *) catalogue_read_cached("catalogue chapter feed", sizeof(ChapterFeed),
													 read_feed, &funcid);
		slot = hash_search(feed_hash, &funcid, HASH_ENTER, NULL);
		slot->feed = feed;
		MemoryContextSetParent(feed->base.cxt, CacheMemoryContext);
	}

	return slot->feed;
}

/* Removes from the hash what has changed or was dropped. */
static void
drop_stale_feeds(void)
{
	HASH_SEQ_STATUS status;
	FeedSlot   *slot;

	hash_seq_init(&status, feed_hash);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		ChapterFeed *feed = slot->feed;

		if (!catalogue_is_current(feed->base.dependencies))
		{
			hash_search(feed_hash, &slot->funcid, HASH_REMOVE, NULL);
			catalogue_drop_cached(&feed->base);
		}
	}
}

static void
read_feed(CachedThing *thing, void *funcid)
{
	ChapterFeed *feed = (ChapterFeed *) thing;
	Dependencies *dependencies = thing->dependencies;
	MemoryContext oldcxt = MemoryContextSwitchTo(thing->cxt);
	const Attachment *attachment;

	feed->funcid = *(Oid *) funcid;
	catalogue_depend_on_function(dependencies, feed->funcid);
	feed->attachment = attachment = catalogue_read_attachment_alone(feed->funcid, dependencies);
	if (!OidIsValid(attachment->chapters))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a table of chapters",
					   attachment->schema_name),
				errhint("Run catalogue.attach() with a mapping that names it."));

	feed->config_relid = catalogue_config_relid();
	feed->relid = attachment->chapters;
	catalogue_depend_on_relation(dependencies, feed->relid);
	catalogue_depend_on_schema(dependencies, get_rel_namespace(feed->relid));
	feed->relation = catalogue_qualified_relation_name(feed->relid);
	read_types(feed);
	feed->order_by = catalogue_feed_order_by(feed, feed->relid);

	MemoryContextSwitchTo(oldcxt);
}

/* The types of a feed: those for the table's, which the function must have been declared with. */
static void
read_types(ChapterFeed *feed)
{
	const Attachment *attachment = feed->attachment;
	Oid		   *argtypes;
	int			nargs;

	feed->created_at_column_type = column_type(feed->relid, attachment->chapters_created_at);
	feed->filiere = value_type(widest_type(column_type(feed->relid, attachment->chapters_filiere)));
	feed->id_column_type = column_type(feed->relid, attachment->chapters_id);
	feed->id = value_type(widest_type(feed->id_column_type));
	feed->created_at = value_type(widest_type(feed->created_at_column_type));

	get_func_signature(feed->funcid, &argtypes, &nargs);
	if (nargs != ARG_COUNT ||
		(argtypes[ARG_FILIERE] != feed->filiere.oid &&
		 argtypes[ARG_FILIERE] != get_array_type(feed->filiere.oid)) ||
		argtypes[ARG_BEFORE_ID] != feed->id.oid ||
		argtypes[ARG_BEFORE_AT] != feed->created_at.oid ||
		get_func_rettype(feed->funcid) != get_rel_type_id(feed->relid))
		report_misfit(feed);
	feed->argument_type = argtypes[ARG_FILIERE];
	feed->several = feed->argument_type != feed->filiere.oid;
}

/* A column's type; of a domain, its base type. */
static Oid
column_type(Oid relid, const char *column)
{
	return getBaseType(get_atttype(relid, catalogue_column_number(relid, column)));
}

/* An argument's type for a column's, as catalogue.widest_type() has it for attach(). */
static Oid
widest_type(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
			return INT8OID;
		case VARCHAROID:
			return TEXTOID;
		default:
			return type;
	}
}

/* A column's value as its argument has it. */
Datum
catalogue_feed_widen(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return Int64GetDatum(DatumGetInt16(value));
		case INT4OID:
			return Int64GetDatum(DatumGetInt32(value));
		default:
			return value;
	}
}

static ValueType
value_type(Oid oid)
{
	ValueType	type = {.oid = oid};

	get_typlenbyvalalign(oid, &type.len, &type.byval, &type.align);

	return type;
}

static void
report_misfit(const ChapterFeed *feed)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("function %s does not fit table \"%s\" any more", format_procedure(feed->funcid),
				   catalogue_relation_name(feed->relid)),
			errhint("Run SELECT * FROM catalogue.attach(%s) again.",
					quote_literal_cstr(feed->attachment->schema_name)));
}

/*
 * Prepares a query for as long as a memory context.  Its parameters are those of
 * catalogue_feed_params(): $1 filière or filières, $2 n, $3 before_at, $4 before_id;
 * with a filter, $5 its value.
 */
SPIPlanPtr
catalogue_feed_prepare(const ChapterFeed *feed, MemoryContext cxt, Oid filiere_type,
					   Oid filter_type, const char *query, int cursor_options)
{
	Oid			argtypes[] = {filiere_type, INT8OID, feed->created_at.oid, feed->id.oid, filter_type};
	int			nargs = OidIsValid(filter_type) ? 5 : 4;
	SPIPlanPtr	plan;

	SPI_connect();
	plan = catalogue_prepare(cxt, query, nargs, argtypes, cursor_options);
	SPI_finish();

	return plan;
}

/* The values of such a query's parameters, in the current memory context. */
ParamListInfo
catalogue_feed_params(const ChapterFeed *feed, const NullableDatum *filiere, int64 n,
					  const NullableDatum *before_at, const NullableDatum *before_id)
{
	const Oid	types[] = {feed->argument_type, INT8OID, feed->created_at.oid, feed->id.oid};
	const NullableDatum limit = {
		.value = Int64GetDatum(n),
		.isnull = n == ALL_CHAPTERS,
	};
	const NullableDatum values[] = {*filiere, limit, *before_at, *before_id};

	return catalogue_make_params(lengthof(types), types, values);
}
