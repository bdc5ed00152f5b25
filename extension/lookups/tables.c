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

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static void read_tables(CachedThing *thing, void *arg);
static List *lock_table(const Attachment *attachment, const LookupBinding *lookup,
						LookupTables *tables);
static void look_at_texts(const LookupBinding *lookup, LookupTables *tables);
static bool changes_are_announced(Oid relid, Oid function);
static void take_position(Snapshot snapshot, SnapshotPosition *position);

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

	tables->renewals++;
	tables->changes = NULL;
	MemoryContextReset(tables->changes_cxt);
	changes = catalogue_begin_dependencies(tables->changes_cxt);
	catalogue_depend_on_sentinels(changes, tables->purges);
	take_position(GetLatestSnapshot(), &tables->since);
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
 * Whether a table was altered after a snapshot was taken.  If it was rewritten then,
 * the snapshot does not see its rows: a SELECT would have kept that from happening
 * by its lock.
 */
bool
catalogue_lookups_redefined_since(const LookupTables *tables, Snapshot snapshot)
{
	for (int i = 0; i < tables->nrelids; i++)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(tables->relids[i]));
		TransactionId xmin;

		if (!HeapTupleIsValid(tuple))
			return true;
		xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		ReleaseSysCache(tuple);
		if (TransactionIdIsNormal(xmin) && XidInMVCCSnapshot(xmin, snapshot))
			return true;
	}

	return false;
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
	foreach(lc, attachment->lookups)
	{
		relids = list_concat_unique_oid(relids, lock_table(attachment, lfirst(lc), tables));
		look_at_texts(lfirst(lc), tables);
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
