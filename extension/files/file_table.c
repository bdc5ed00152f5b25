/*
 * file_table.c
 *		What file columns a table has.
 *
 * A table is bound by itself, or as partition or child of one that is; by any
 * number of attachments.  What is known of a table is read once and kept for the
 * backend's life, in a memory context of its own below CacheMemoryContext; it
 * depends on the configuration, on the table, and on all its ancestors.
 *
 * A pointer handed out stays good until the end of the transaction, since paths
 * wait as long to be written: a table that is dropped from the cache is pinned
 * until then.  Takes no locks on the table: to be called from its triggers.
 */
#include "files/file_table.h"

#include "attachment.h"
#include "names.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Hash entry; what is known of a table is replaced as a whole. */
typedef struct FileTableSlot
{
	Oid			relid;			/* hash key (must be first) */
	FileTable  *table;
} FileTableSlot;

static HTAB *file_tables = NULL;
static FileTable *last_file_table = NULL;	/* of the last row, as a rule of
											 * the next one too */

static void drop_stale_tables(void);
static void read_file_table(CachedThing *thing, void *relid);
static void add_file_column(FileTable *table, const FileBinding *file);
static void set_form(FileColumn *column, Oid type);
static List *add_parents(List *relids, Oid relid);
static bool partitions_see_moves(Dependencies *dependencies, Oid relid);
static bool has_enabled_trigger(Oid relid, const char *name);

/*
 * Never NULL.  A statement has the table locked, but attach() need not wait for it
 * where it only changes a prefix or so: its message is asked for here.
 */
const FileTable *
catalogue_file_table(Oid relid)
{
	FileTableSlot *slot;

	AcceptInvalidationMessages();
	if (last_file_table != NULL && last_file_table->relid == relid &&
		catalogue_is_current(last_file_table->base.dependencies))
		return last_file_table;

	if (file_tables == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(FileTableSlot),
		};

		file_tables = hash_create("catalogue file tables", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	slot = hash_search(file_tables, &relid, HASH_FIND, NULL);
	if (slot == NULL || !catalogue_is_current(slot->table->base.dependencies))
	{
		FileTable  *table;

		drop_stale_tables();
		table = (FileTable *) catalogue_read_cached("catalogue file table", sizeof(FileTable),
													read_file_table, &relid);
		slot = hash_search(file_tables, &relid, HASH_ENTER, NULL);
		slot->table = table;
		MemoryContextSetParent(table->base.cxt, CacheMemoryContext);
	}
	last_file_table = slot->table;

	return slot->table;
}

/*
 * Whether a row that is moved, and that no trigger sees at its new place, has not
 * got there: it cannot have left the table that the mapping names, and the trigger
 * is enabled on all its partitions.
 */
bool
catalogue_sees_moves(const FileColumn *column)
{
	return column->keeps_rows && SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA &&
		catalogue_file_table(column->relation)->sees_moves;
}

/* Paths that wait may point to a table that has changed since: its memory stays. */
static void
drop_stale_tables(void)
{
	HASH_SEQ_STATUS status;
	FileTableSlot *slot;

	last_file_table = NULL;
	hash_seq_init(&status, file_tables);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		FileTable  *table = slot->table;

		if (!catalogue_is_current(table->base.dependencies))
		{
			CachedPin  *pin = MemoryContextAlloc(TopTransactionContext, sizeof(CachedPin));

			catalogue_init_pin(pin, TopTransactionContext);
			catalogue_pin(pin, &table->base);
			hash_search(file_tables, &slot->relid, HASH_REMOVE, NULL);
			catalogue_drop_cached(&table->base);
		}
	}
}

/* The columns with which the table, or whatever it is a part of, is bound. */
static void
read_file_table(CachedThing *thing, void *relid)
{
	FileTable  *table = (FileTable *) thing;
	List	   *relids = list_make1_oid(*(Oid *) relid);
	List	   *files = NIL;
	ListCell   *lc;

	table->relid = *(Oid *) relid;
	catalogue_depend_on_relation(thing->dependencies, catalogue_config_relid());
	for (int i = 0; i < list_length(relids); i++)
	{
		catalogue_depend_on_relation(thing->dependencies, list_nth_oid(relids, i));
		files = list_concat(files, catalogue_file_bindings(list_nth_oid(relids, i)));
		relids = add_parents(relids, list_nth_oid(relids, i));
	}

	table->columns = MemoryContextAllocZero(thing->cxt, list_length(files) * sizeof(FileColumn));
	foreach(lc, files)
		add_file_column(table, lfirst(lc));
	if (get_rel_relkind(table->relid) == RELKIND_PARTITIONED_TABLE)
		table->sees_moves = partitions_see_moves(thing->dependencies, table->relid);
}

/* Once for an attachment, where its mapping names an ancestor too: the nearest counts. */
static void
add_file_column(FileTable *table, const FileBinding *file)
{
	FileColumn *column = &table->columns[table->ncolumns];
	MemoryContext cxt = table->base.cxt;
	AttrNumber	attnum = catalogue_column_number(table->relid, file->column);

	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].outbox == file->outbox && table->columns[i].attnum == attnum)
			return;
	}

	column->outbox = file->outbox;
	column->relation = file->relid;
	namestrcpy(&column->name, file->column);
	column->attnum = attnum;
	column->separator =
		file->separator != NULL ? MemoryContextStrdup(cxt, file->separator) : NULL;
	column->prefix = MemoryContextStrdup(cxt, file->prefix != NULL ? file->prefix : "");
	column->replaced = file->replaced;
	column->keeps_rows = !get_rel_relispartition(file->relid);
	set_form(column, getBaseType(get_atttype(table->relid, column->attnum)));
	table->ncolumns++;
	table->replaced |= file->replaced;
}

/* How the paths lie in a value. */
static void
set_form(FileColumn *column, Oid type)
{
	Oid			element = get_element_type(type);
	bool		is_varlena;

	if (OidIsValid(element))
	{
		column->element_type = element;
		get_typlenbyvalalign(element, &column->element_length, &column->element_by_value,
							 &column->element_align);
		type = getBaseType(element);
	}
	column->padded = type == BPCHAROID;
	if (!column->padded && !IsBinaryCoercible(type, TEXTOID))
		getTypeOutputInfo(type, &column->output, &is_varlena);
}

/* The partitioned table, or the tables that it inherits from. */
static List *
add_parents(List *relids, Oid relid)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		relids = list_append_unique_oid(relids,
										((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	return relids;
}

/* Takes no locks: a partition that gets a row is locked by whoever asks. */
static bool
partitions_see_moves(Dependencies *dependencies, Oid relid)
{
	List	   *relids = catalogue_depend_on_partitions(dependencies, relid, NoLock);
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE &&
			!has_enabled_trigger(lfirst_oid(lc), "catalogue_files_moved"))
			return false;
	}

	return true;
}

/* Whether a table has a trigger that fires for the origin of a change. */
static bool
has_enabled_trigger(Oid relid, const char *name)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		enabled;

	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, lengthof(keys), keys);
	tuple = systable_getnext(scan);
	enabled = HeapTupleIsValid(tuple) &&
		(((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		 ((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled == TRIGGER_FIRES_ALWAYS);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	return enabled;
}
