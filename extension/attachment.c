/*
 * attachment.c
 *		What a function is bound to: the configuration tables, cached.
 *
 * A function knows its catalogue by the schema that it lives in, and the
 * configuration knows a schema by its outbox, the table deleted_files there:
 * so the rows follow a schema that is renamed, and are dumped and restored
 * like any reference to a table.  The rows for a schema are read once and
 * kept for the backend's life, each attachment in a memory context of its
 * own, below CacheMemoryContext.
 *
 * Coherence: a statement trigger on every configuration table sends an
 * invalidation message for catalogue.attachment (see
 * catalogue_config_changed), on which every attachment depends.  A pointer
 * handed out stays good until the end of the transaction: an attachment that is
 * dropped is pinned until then.  A procedure that commits must look its
 * attachment up again.
 *
 * The tables are read with the catalog snapshot, as the server reads its own
 * catalogs: the newest committed state, whatever the isolation level and
 * whoever calls.
 */
#include "attachment.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Hash entry; the attachment itself is replaced as a whole. */
typedef struct AttachmentSlot
{
	Oid			schema;			/* hash key (must be first) */
	Attachment *attachment;		/* NULL while empty */
} AttachmentSlot;

/* Columns of catalogue.attachment, in order. */
enum
{
	ATTACHMENT_DELETED_FILES,
	ATTACHMENT_PROFESSOR_PURGES,
	ATTACHMENT_MAPPING,
	ATTACHMENT_CHAPTERS,
	ATTACHMENT_CHAPTERS_ID,
	ATTACHMENT_CHAPTERS_FILIERE,
	ATTACHMENT_CHAPTERS_CREATED_AT,
	ATTACHMENT_CHAPTERS_AUTHOR,
	ATTACHMENT_PROFESSORS,
	ATTACHMENT_PROFESSORS_ID,
	ATTACHMENT_PROFESSORS_USERNAME,
	ATTACHMENT_UNLINK_DELAY,
	ATTACHMENT_NATTS
};

/* The other configuration tables begin (attachment, ordinal, relation). */
enum
{
	CONFIG_ATTACHMENT,
	CONFIG_ORDINAL,
	CONFIG_RELATION,
	CONFIG_FIRST_OWN
};

#define CONFIG_MAX_NATTS 8

typedef void (*ConfigRowReader) (Attachment *attachment, const Datum *values, const bool *isnull);

static HTAB *attachment_hash = NULL;

PG_FUNCTION_INFO_V1(catalogue_bind);
PG_FUNCTION_INFO_V1(catalogue_config_changed);
PG_FUNCTION_INFO_V1(catalogue_lock_configuration);

static Oid	schema_of_function(Oid funcid, Dependencies *dependencies);
static const Attachment *attachment_of_schema(Oid schema);
static void drop_stale_attachments(void);
static void read_attachment(CachedThing *thing, void *schema);
static void read_attachment_of_schema(Attachment *attachment);
static void read_config_table(const char *name, Oid outbox, Attachment *attachment,
							  ConfigRowReader reader);
static void read_config_rows(const char *name, const char *index_name, AttrNumber column,
							 Oid value, Attachment *attachment, ConfigRowReader reader);
static void read_attachment_row(Attachment *attachment, const Datum *values, const bool *isnull);
static void read_lookup_row(Attachment *attachment, const Datum *values, const bool *isnull);
static void read_file_row(Attachment *attachment, const Datum *values, const bool *isnull);
static void read_also_delete_row(Attachment *attachment, const Datum *values, const bool *isnull);
static void read_soft_reference_row(Attachment *attachment, const Datum *values,
									const bool *isnull);
static char *name_or_null(Datum value, bool isnull);
static List *string_list(Datum array, Oid element_type);

/*
 * The attachment that a function created by attach() belongs to.
 *
 * Never NULL: a function in a schema that is not attached raises
 * object_not_in_prerequisite_state.  The result stays good until the end of
 * the transaction.  What is made from it depends on what it depends on: where
 * dependencies are given, that is added to them before it is read.
 */
const Attachment *
catalogue_attachment_of_function(Oid funcid, Dependencies *dependencies)
{
	return attachment_of_schema(schema_of_function(funcid, dependencies));
}

/*
 * The same without its lists, in the current memory context, for what is itself kept
 * and needs no more: four tables and their indexes are not opened, which takes a new
 * session longer than all else in an attachment.
 */
const Attachment *
catalogue_read_attachment_alone(Oid funcid, Dependencies *dependencies)
{
	Attachment *attachment = palloc0(sizeof(Attachment));

	attachment->base.cxt = CurrentMemoryContext;
	attachment->schema = schema_of_function(funcid, dependencies);
	read_attachment_of_schema(attachment);

	return attachment;
}

/*
 * The file columns that a table is bound with, by whichever attachments, in the
 * current memory context.  What is made from them depends on
 * catalogue_config_relid().
 */
List *
catalogue_file_bindings(Oid relid)
{
	Attachment	scratch = {.base.cxt = CurrentMemoryContext};

	read_config_rows("file_column", "file_column_relation_idx", CONFIG_RELATION + 1, relid,
					 &scratch, read_file_row);

	return scratch.files;
}

/*
 * How long after its row a file may be unlinked, by the attachment of an outbox
 * whatever its name and schema are now.
 */
Interval
catalogue_unlink_delay(Oid outbox)
{
	Attachment	scratch = {.base.cxt = CurrentMemoryContext};

	read_config_table("attachment", outbox, &scratch, read_attachment_row);

	return scratch.unlink_delay;
}

/* The table whose invalidation messages say that an attachment has changed. */
Oid
catalogue_config_relid(void)
{
	return catalogue_member_relid("attachment");
}

/* The table of purges of the attachment that an outbox is known by, or InvalidOid. */
Oid
catalogue_purges_of_outbox(Oid outbox)
{
	Attachment	attachment = {.base.cxt = CurrentMemoryContext};

	read_config_table("attachment", outbox, &attachment, read_attachment_row);

	return attachment.professor_purges;
}

/*
 * catalogue.bind(schema name, binding jsonb)
 *		RETURNS TABLE (status text, object text, detail text)
 *
 * Runs catalogue.bind_for(caller, schema, binding) as the extension's owner
 * and passes its rows on.  Functions in C can be created only by superusers,
 * and the configuration tables are written only by their owner; bind_for()
 * does both, for a caller whose rights it checks itself.  This is the only
 * step of attach() and detach() that runs with more than the caller's rights.
 */
Datum
catalogue_bind(PG_FUNCTION_ARGS)
{
	const Oid	types[] = {OIDOID, NAMEOID, JSONBOID};
	const NullableDatum args[] = {{.value = ObjectIdGetDatum(GetUserId())},
	{.value = PG_GETARG_DATUM(0)},
	{.value = PG_GETARG_DATUM(1)}};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SPIExecuteOptions options = {.params = catalogue_make_params(lengthof(types), types, args)};
	SavedUser	saved;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_switch_to_owner(catalogue_config_relid(), &saved);
	catalogue_execute("SELECT status, object, detail FROM catalogue.bind_for($1, $2, $3)",
					  &options);
	catalogue_restore_user(&saved);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();

	return (Datum) 0;
}

/*
 * catalogue.lock_configuration() RETURNS void
 *
 * Locks the configuration against writers, to the end of the transaction:
 * one attach() or detach() at a time.  Readers do not wait.
 */
Datum
catalogue_lock_configuration(PG_FUNCTION_ARGS)
{
	LockRelationOid(catalogue_config_relid(), ShareRowExclusiveLock);

	PG_RETURN_VOID();
}

/*
 * catalogue.config_changed() RETURNS trigger
 *
 * Statement trigger on the configuration tables: tells every backend, at
 * commit, to read them again.
 */
Datum
catalogue_config_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"config_changed\" was not called by trigger manager"));

	CacheInvalidateRelcacheByRelid(catalogue_config_relid());

	return PointerGetDatum(NULL);
}

/* Where a function lives; what is read from there depends on it, and on the configuration. */
static Oid
schema_of_function(Oid funcid, Dependencies *dependencies)
{
	Oid			schema = get_func_namespace(funcid);

	if (!OidIsValid(schema))
		ereport(ERROR,			/* dropped while the call was under way */
				errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function with OID %u does not exist", funcid));

	if (dependencies != NULL)
	{
		catalogue_depend_on_relation(dependencies, catalogue_config_relid());
		catalogue_depend_on_schema(dependencies, schema);
	}

	return schema;
}

static const Attachment *
attachment_of_schema(Oid schema)
{
	AttachmentSlot *slot;
	bool		found;

	if (attachment_hash == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(AttachmentSlot),
		};

		attachment_hash = hash_create("catalogue attachments", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	AcceptInvalidationMessages();
	slot = hash_search(attachment_hash, &schema, HASH_FIND, NULL);
	if (slot == NULL || !catalogue_is_current(slot->attachment->base.dependencies))
	{
		Attachment *attachment;

		drop_stale_attachments();
		attachment =
			(Attachment *) catalogue_read_cached("catalogue attachment", sizeof(Attachment),
												 read_attachment, &schema);
		slot = hash_search(attachment_hash, &schema, HASH_ENTER, &found);
		slot->attachment = attachment;
		MemoryContextSetParent(attachment->base.cxt, CacheMemoryContext);
	}

	return slot->attachment;
}

/*
 * Empties the hash of what has changed or gone.  Callers up the stack may hold
 * such an attachment still, so each is pinned to the end of the transaction.
 */
static void
drop_stale_attachments(void)
{
	HASH_SEQ_STATUS status;
	AttachmentSlot *slot;

	hash_seq_init(&status, attachment_hash);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		Attachment *attachment = slot->attachment;

		if (!catalogue_is_current(attachment->base.dependencies))
		{
			CachedPin  *pin = MemoryContextAlloc(TopTransactionContext, sizeof(CachedPin));

			catalogue_init_pin(pin, TopTransactionContext);
			catalogue_pin(pin, &attachment->base);
			hash_search(attachment_hash, &slot->schema, HASH_REMOVE, NULL);
			catalogue_drop_cached(&attachment->base);
		}
	}
}

/* Reads a schema's configuration. */
static void
read_attachment(CachedThing *thing, void *schema)
{
	Attachment *attachment = (Attachment *) thing;
	Dependencies *dependencies = thing->dependencies;
	Oid			outbox;

	attachment->schema = *(Oid *) schema;
	catalogue_depend_on_relation(dependencies, catalogue_config_relid());
	catalogue_depend_on_schema(dependencies, attachment->schema);
	read_attachment_of_schema(attachment);
	MemoryContextSetIdentifier(thing->cxt, attachment->schema_name);

	outbox = attachment->deleted_files;
	catalogue_depend_on_relation(dependencies, outbox);
	read_config_table("lookup", outbox, attachment, read_lookup_row);
	read_config_table("file_column", outbox, attachment, read_file_row);
	read_config_table("also_delete", outbox, attachment, read_also_delete_row);
	read_config_table("soft_reference", outbox, attachment, read_soft_reference_row);
}

/* Reads all but the lists; 55000 where the schema is not attached. */
static void
read_attachment_of_schema(Attachment *attachment)
{
	char	   *name = get_namespace_name(attachment->schema);
	Oid			outbox;

	if (name == NULL)			/* dropped while the call was under way */
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema with OID %u does not exist", attachment->schema));
	attachment->schema_name = MemoryContextStrdup(attachment->base.cxt, name);

	outbox = get_relname_relid("deleted_files", attachment->schema);
	if (OidIsValid(outbox))
		read_config_table("attachment", outbox, attachment, read_attachment_row);
	if (!OidIsValid(attachment->deleted_files))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is not attached", attachment->schema_name),
				errhint("Run SELECT * FROM catalogue.attach(%s).",
						quote_literal_cstr(attachment->schema_name)));
}

/*
 * Hands the rows of one configuration table that belong to an outbox to a
 * reader, in the order of the primary key (outbox, ordinal).
 */
static void
read_config_table(const char *name, Oid outbox, Attachment *attachment, ConfigRowReader reader)
{
	read_config_rows(name, psprintf("%s_pkey", name), CONFIG_ATTACHMENT + 1, outbox, attachment,
					 reader);
}

/* The same for rows that are found by the first column of another index. */
static void
read_config_rows(const char *name, const char *index_name, AttrNumber column, Oid value,
				 Attachment *attachment, ConfigRowReader reader)
{
	Relation	rel;
	Relation	index;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext oldcxt = MemoryContextSwitchTo(attachment->base.cxt);

	/*
	 * Waiting for its lock may have shown that it is gone: then the name says
	 * what is.
	 */
	while ((rel = try_table_open(catalogue_member_relid(name), AccessShareLock)) == NULL)
		CHECK_FOR_INTERRUPTS();
	index = index_open(catalogue_member_relid(index_name), AccessShareLock);

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));

	scan = systable_beginscan_ordered(rel, index, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		Datum		values[Max(ATTACHMENT_NATTS, CONFIG_MAX_NATTS)];
		bool		isnull[Max(ATTACHMENT_NATTS, CONFIG_MAX_NATTS)];

		Assert(RelationGetDescr(rel)->natts <= lengthof(values));
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		reader(attachment, values, isnull);
	}
	systable_endscan_ordered(scan);

	MemoryContextSwitchTo(oldcxt);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
}

static void
read_attachment_row(Attachment *attachment, const Datum *values, const bool *isnull)
{
	if (!isnull[ATTACHMENT_CHAPTERS])
		attachment->chapters = DatumGetObjectId(values[ATTACHMENT_CHAPTERS]);
	attachment->chapters_id =
		name_or_null(values[ATTACHMENT_CHAPTERS_ID], isnull[ATTACHMENT_CHAPTERS_ID]);
	attachment->chapters_filiere =
		name_or_null(values[ATTACHMENT_CHAPTERS_FILIERE], isnull[ATTACHMENT_CHAPTERS_FILIERE]);
	attachment->chapters_created_at = name_or_null(values[ATTACHMENT_CHAPTERS_CREATED_AT],
												   isnull[ATTACHMENT_CHAPTERS_CREATED_AT]);
	attachment->chapters_author =
		name_or_null(values[ATTACHMENT_CHAPTERS_AUTHOR], isnull[ATTACHMENT_CHAPTERS_AUTHOR]);
	if (!isnull[ATTACHMENT_PROFESSORS])
		attachment->professors = DatumGetObjectId(values[ATTACHMENT_PROFESSORS]);
	attachment->professors_id =
		name_or_null(values[ATTACHMENT_PROFESSORS_ID], isnull[ATTACHMENT_PROFESSORS_ID]);
	attachment->professors_username = name_or_null(values[ATTACHMENT_PROFESSORS_USERNAME],
												   isnull[ATTACHMENT_PROFESSORS_USERNAME]);
	attachment->deleted_files = DatumGetObjectId(values[ATTACHMENT_DELETED_FILES]);
	attachment->professor_purges = DatumGetObjectId(values[ATTACHMENT_PROFESSOR_PURGES]);
	attachment->unlink_delay = *DatumGetIntervalP(values[ATTACHMENT_UNLINK_DELAY]);
}

/* catalogue.lookup: kind, id, code, nom, parent */
static void
read_lookup_row(Attachment *attachment, const Datum *values, const bool *isnull)
{
	LookupBinding *lookup = palloc(sizeof(LookupBinding));
	const int	first = CONFIG_FIRST_OWN;

	lookup->relid = DatumGetObjectId(values[CONFIG_RELATION]);
	lookup->kind = TextDatumGetCString(values[first]);
	lookup->id = name_or_null(values[first + 1], false);
	lookup->code = name_or_null(values[first + 2], false);
	lookup->nom = name_or_null(values[first + 3], false);
	lookup->parent = name_or_null(values[first + 4], isnull[first + 4]);
	attachment->lookups = lappend(attachment->lookups, lookup);
}

/* catalogue.file_column: column, separator, prefix, replaced, shared */
static void
read_file_row(Attachment *attachment, const Datum *values, const bool *isnull)
{
	FileBinding *file = palloc(sizeof(FileBinding));
	const int	first = CONFIG_FIRST_OWN;

	file->outbox = DatumGetObjectId(values[CONFIG_ATTACHMENT]);
	file->relid = DatumGetObjectId(values[CONFIG_RELATION]);
	file->column = name_or_null(values[first], false);
	file->separator = isnull[first + 1] ? NULL : TextDatumGetCString(values[first + 1]);
	file->prefix = isnull[first + 2] ? NULL : TextDatumGetCString(values[first + 2]);
	file->replaced = DatumGetBool(values[first + 3]);
	file->shared = DatumGetBool(values[first + 4]);
	attachment->files = lappend(attachment->files, file);
}

/* catalogue.also_delete: columns */
static void
read_also_delete_row(Attachment *attachment, const Datum *values, const bool *isnull)
{
	AlsoDeleteBinding *edge = palloc(sizeof(AlsoDeleteBinding));

	edge->relid = DatumGetObjectId(values[CONFIG_RELATION]);
	edge->columns = string_list(values[CONFIG_FIRST_OWN], NAMEOID);
	attachment->also_delete = lappend(attachment->also_delete, edge);
}

/* catalogue.soft_reference: column, type_column, type_values */
static void
read_soft_reference_row(Attachment *attachment, const Datum *values, const bool *isnull)
{
	SoftReferenceBinding *reference = palloc(sizeof(SoftReferenceBinding));
	const int	first = CONFIG_FIRST_OWN;

	reference->relid = DatumGetObjectId(values[CONFIG_RELATION]);
	reference->column = name_or_null(values[first], false);
	reference->type_column = name_or_null(values[first + 1], isnull[first + 1]);
	reference->type_values = isnull[first + 2] ? NIL : string_list(values[first + 2], TEXTOID);
	attachment->soft_references = lappend(attachment->soft_references, reference);
}

static char *
name_or_null(Datum value, bool isnull)
{
	return isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
}

/* The elements of a name[] or text[] without NULLs, as C strings. */
static List *
string_list(Datum array, Oid element_type)
{
	List	   *strings = NIL;
	Datum	   *elements;
	int			nelements;

	if (element_type == NAMEOID)
		deconstruct_array(DatumGetArrayTypeP(array), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
						  &elements, NULL, &nelements);
	else
		deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
						  NULL, &nelements);

	for (int i = 0; i < nelements; i++)
		strings = lappend(strings, element_type == NAMEOID ? name_or_null(elements[i], false)
						  : TextDatumGetCString(elements[i]));

	return strings;
}
