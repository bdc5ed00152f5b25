/*
 * tables.c
 *		The lookup tables of an attachment: what they are, and since when unchanged.
 *
 * Two kinds of messages can change an answer.  Those about the tables, their
 * partitions, or the configuration make all of this stale: the cache drops it and
 * reads it again.  Those of the sentinel say that rows have changed: the cache
 * drops what it has read from them, and renews the position in the order of
 * snapshots from which on nothing has changed.
 *
 * That position is how a call answers as of its statement's snapshot, although
 * what is cached was read under another one.  The sentinel is registered first,
 * the position taken then: so while no message has come, every snapshot from that
 * position on shows the same rows, and what was read under one of them answers
 * for all.  A snapshot from before it must read for itself.
 *
 * Locks: ACCESS SHARE on the tables and their partitions, kept to the end of the
 * transaction, as a query's are.
 */
#include "lookups/tables.h"

#include "lookups/column_text.h"
#include "lookups/sentinel.h"
#include "names.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static void read_tables(CachedThing *thing, void *arg);
static List *lock_table(const Attachment *attachment, const LookupBinding *lookup,
						LookupTables *tables);
static void depend_on_names(const LookupBinding *lookup, Dependencies *dependencies);
static void look_at_texts(const LookupBinding *lookup, LookupTables *tables);
static bool changes_are_announced(Oid relid, Oid function);
static Oid	file_as_of(Oid relid, Snapshot snapshot);
static void take_position(Snapshot snapshot, SnapshotPosition *position);
static uint32 count_repeated(Snapshot snapshot);

/*
 * Reads what an attachment's lookup tables are, into a thing of its own below the
 * current memory context.
 */
LookupTables *
catalogue_read_lookup_tables(const Attachment *attachment)
{
	return (LookupTables *) catalogue_read_cached("catalogue lookup tables", sizeof(LookupTables),
												  read_tables,
												  unconstify(Attachment *, attachment));
}

/* From now on is seen whether rows change.  An ERROR leaves "changes" NULL. */
void
catalogue_renew_lookup_tables(LookupTables *tables)
{
	Dependencies *changes;
	Snapshot	newest;

	tables->renewals++;
	tables->changes = NULL;
	MemoryContextReset(tables->changes_cxt);
	changes = catalogue_begin_dependencies(tables->changes_cxt);
	catalogue_depend_on_sentinels(changes, tables->purges);
	newest = catalogue_newest_snapshot();
	take_position(newest, &tables->since);
	tables->since.in_progress -= count_repeated(newest);
	catalogue_end_reading(changes);
	tables->changes = changes;
}

/* Whether no message has come that concerns the tables or their rows. */
bool
catalogue_lookup_tables_current(const LookupTables *tables)
{
	return tables->changes != NULL && catalogue_is_current(tables->changes) &&
		catalogue_is_current(tables->base.dependencies);
}

/* Locks the tables for reading; messages may come meanwhile. */
void
catalogue_lock_lookup_tables(const LookupTables *tables)
{
	for (int i = 0; i < tables->nrelids; i++)
		LockRelationOid(tables->relids[i], AccessShareLock);
}

/*
 * Whether a snapshot shows the rows as they have been since the tables were
 * renewed.  Messages that came since are the caller's to ask for.
 */
bool
catalogue_lookups_unchanged_since(const LookupTables *tables, Snapshot snapshot)
{
	SnapshotPosition position;

	if (snapshot->snapshot_type != SNAPSHOT_MVCC)
		return false;
	take_position(snapshot, &position);

	/* After a promotion the two count differently, and one is the later. */
	if (position.in_recovery != tables->since.in_recovery)
		return tables->since.in_recovery;
	if (position.xmax != tables->since.xmax)
		return TransactionIdFollows(position.xmax, tables->since.xmax);
	return position.in_progress <= tables->since.in_progress;
}

/*
 * Whether the current transaction has written a lookup table, as far as it has not
 * rolled that back: it then holds the lock of those who write.  That holds from the
 * first row on, in every trigger, and where none of ours is enabled.
 */
bool
catalogue_wrote_lookups(const LookupTables *tables)
{
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return false;

	for (int i = 0; i < tables->nrelids; i++)
	{
		if (CheckRelationOidLockedByMe(tables->relids[i], RowExclusiveLock, false))
			return true;
	}

	return false;
}

/*
 * Whether a table was rewritten after a snapshot was taken, which does not see its
 * rows then: a SELECT would have kept that from happening by its lock.
 */
bool
catalogue_lookups_rewritten_since(const LookupTables *tables, Snapshot snapshot)
{
	for (int i = 0; i < tables->nrelids; i++)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(tables->relids[i]));
		TransactionId xmin;
		Oid			file;

		if (!HeapTupleIsValid(tuple))
			return true;
		xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);

		/* Most have not been altered in any way. */
		if (TransactionIdIsNormal(xmin) &&
			(TransactionIdIsCurrentTransactionId(xmin) || XidInMVCCSnapshot(xmin, snapshot)) &&
			file_as_of(tables->relids[i], snapshot) != file)
			return true;
	}

	return false;
}

/*
 * A snapshot of this moment, to be copied or registered at once.  It is taken as for a
 * look at a table that no catalog cache covers: GetLatestSnapshot() is not allowed while
 * a parallel query runs, whose leader may call us.
 */
Snapshot
catalogue_newest_snapshot(void)
{
	return GetCatalogSnapshot(catalogue_config_relid());
}

/* Whether a role sees a part of the rows of a lookup table only. */
bool
catalogue_row_security_applies(const Attachment *attachment, Oid role)
{
	ListCell   *lc;

	foreach(lc, attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);

		if (check_enable_rls(lookup->relid, role, true) == RLS_ENABLED)
			return true;
	}

	return false;
}

static void
read_tables(CachedThing *thing, void *arg)
{
	LookupTables *tables = (LookupTables *) thing;
	const Attachment *attachment = arg;
	Oid			function;
	List	   *relids = NIL;
	ListCell   *lc;

	tables->schema = attachment->schema;
	dlist_init(&tables->entries);
	catalogue_depend_on_relation(thing->dependencies, catalogue_config_relid());
	tables->purges = attachment->professor_purges;
	tables->cacheable = true;
	tables->plans = NULL;
	tables->id_types =
		MemoryContextAlloc(thing->cxt, list_length(attachment->lookups) * sizeof(Oid));
	foreach(lc, attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);

		relids = list_concat_unique_oid(relids, lock_table(attachment, lookup, tables));
		look_at_texts(lookup, tables);
		tables->id_types[foreach_current_index(lc)] =
			catalogue_searched_type(lookup->relid, lookup->id);
	}

	tables->nrelids = 0;
	tables->relids = MemoryContextAlloc(thing->cxt, list_length(relids) * sizeof(Oid));
	function = catalogue_lookup_changed_function();
	foreach(lc, relids)
	{
		tables->relids[tables->nrelids++] = lfirst_oid(lc);
		if (!changes_are_announced(lfirst_oid(lc), function))
			tables->cacheable = false;
	}
	list_free(relids);

	tables->changes_cxt =
		AllocSetContextCreate(thing->cxt, "catalogue lookup changes", ALLOCSET_SMALL_SIZES);
	catalogue_renew_lookup_tables(tables);
}

/*
 * Locks a lookup table and its partitions, which it returns, and registers them.
 *
 * Not cacheable is one with children by plain inheritance, whose triggers are
 * their own.
 */
static List *
lock_table(const Attachment *attachment, const LookupBinding *lookup, LookupTables *tables)
{
	catalogue_depend_on_relation(tables->base.dependencies, lookup->relid);
	LockRelationOid(lookup->relid, AccessShareLock);
	depend_on_names(lookup, tables->base.dependencies);
	switch (get_rel_relkind(lookup->relid))
	{
		case RELKIND_PARTITIONED_TABLE:
			return catalogue_depend_on_partitions(tables->base.dependencies, lookup->relid,
												  AccessShareLock);
		case '\0':
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("lookup table of kind \"%s\" does not exist", lookup->kind),
					errhint("Run SELECT * FROM catalogue.attach(%s) again.",
							quote_literal_cstr(attachment->schema_name)));
			break;
		default:
			if (has_subclass(lookup->relid))
				tables->cacheable = false;
	}

	return list_make1_oid(lookup->relid);
}

/*
 * The plans name the table, and the operator that compares its ids, by their schemas,
 * which can exchange names without either being touched.
 */
static void
depend_on_names(const LookupBinding *lookup, Dependencies *dependencies)
{
	Oid			schema = get_rel_namespace(lookup->relid);
	AttrNumber	id = get_attnum(lookup->relid, lookup->id);
	HeapTuple	tuple;

	if (!OidIsValid(schema))
		return;					/* is being dropped */
	catalogue_depend_on_schema(dependencies, schema);
	if (id == InvalidAttrNumber)
		return;					/* the query raises the error */
	tuple = SearchSysCache1(OPEROID,
							ObjectIdGetDatum(lookup_type_cache(get_atttype(lookup->relid, id),
															   TYPECACHE_EQ_OPR)->eq_opr));
	if (HeapTupleIsValid(tuple))
	{
		catalogue_depend_on_schema(dependencies,
								   ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace);
		ReleaseSysCache(tuple);
	}
}

/* Notes what the texts of a lookup table's columns depend on. */
static void
look_at_texts(const LookupBinding *lookup, LookupTables *tables)
{
	const char *names[] = {lookup->id, lookup->code, lookup->nom, lookup->parent};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (names[i] == NULL)
			continue;
		switch (catalogue_column_text(lookup->relid, names[i], tables->base.dependencies))
		{
			case TEXT_OF_VALUE:
				break;
			case TEXT_OF_SETTINGS:
				tables->fix_settings = true;
				break;
			case TEXT_OF_ANYTHING:
				tables->fix_settings = true;
				tables->cacheable = false;
				break;
		}
	}
}

/*
 * Whether every change of a row fires our trigger, also those that replication
 * applies.  TRUNCATE has a message of its own.  A foreign table's rows change
 * without us: what is cached of them expires.
 */
static bool
changes_are_announced(Oid relid, Oid function)
{
	const int16 needed = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
	Relation	rel = table_open(relid, NoLock);
	const TriggerDesc *triggers = rel->trigdesc;
	int16		announced = 0;

	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		announced = needed;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgfoid == function && trigger->tgenabled == TRIGGER_FIRES_ALWAYS &&
			TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_AFTER(trigger->tgtype) &&
			trigger->tgqual == NULL && trigger->tgnattr == 0)
			announced |= trigger->tgtype & needed;
	}
	table_close(rel, NoLock);

	return announced == needed;
}

/* The file of a table's rows as a snapshot shows it; InvalidOid where it shows none. */
static Oid
file_as_of(Oid relid, Snapshot snapshot)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			file = InvalidOid;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);

	return file;
}

/*
 * On a primary each transaction in progress is counted once; a standby knows them
 * and their subtransactions alike.
 */
static void
take_position(Snapshot snapshot, SnapshotPosition *position)
{
	position->xmax = snapshot->xmax;
	position->in_recovery = snapshot->takenDuringRecovery;
	position->in_progress = snapshot->takenDuringRecovery ? snapshot->subxcnt : snapshot->xcnt;
}

/*
 * How many transactions a snapshot has twice: one that is being prepared, for a moment.
 * The position from which on nothing has changed must not count these, since an earlier
 * one with another transaction in progress would seem the same; that a call's snapshot
 * does only has it read for itself.
 */
static uint32
count_repeated(Snapshot snapshot)
{
	TransactionId *xids;
	size_t		ndistinct;

	if (snapshot->takenDuringRecovery || snapshot->xcnt < 2)
		return 0;
	xids = palloc(snapshot->xcnt * sizeof(TransactionId));
	memcpy(xids, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	qsort(xids, snapshot->xcnt, sizeof(TransactionId), xidComparator);
	ndistinct = qunique(xids, snapshot->xcnt, sizeof(TransactionId), xidComparator);
	pfree(xids);

	return snapshot->xcnt - ndistinct;
}
