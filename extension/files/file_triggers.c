/*
 * file_triggers.c
 *		The triggers of tables with file columns: whatever deletes a row, or
 *		replaces a path in it, queues the files.
 *
 * Row triggers fire after the fact: a row that another trigger keeps is not
 * deleted.  What they read belongs to their statement, which has the table
 * locked.  TRUNCATE has it to itself: its trigger reads the table, below the
 * executor and its rights and policies, since the rows go whoever may see them.
 */
#include "files/file_queue.h"
#include "files/file_table.h"

#include "names.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(catalogue_queue_deleted_files);

static void row_deleted(const TriggerData *trigger);
static void row_updated(const TriggerData *trigger);
static void row_inserted(const TriggerData *trigger);
static bool any_value_changed(const FileTable *table, TupleTableSlot *before,
							  TupleTableSlot *after);
static List *replaced_paths(const FileTable *table, TupleTableSlot *slot);
static void queue_truncated(Relation rel, Oid funcid);
static bool has_truncate_trigger(Relation rel, Oid funcid);
static Oid	nearest_covered_ancestor(Oid relid, Oid funcid);
static void queue_table(Relation rel);

/*
 * catalogue.queue_deleted_files() RETURNS trigger
 *
 * For the triggers that attach() makes: AFTER ROW ones on DELETE, UPDATE and, for
 * rows that move between partitions, INSERT; AFTER STATEMENT; BEFORE TRUNCATE.
 *
 * Errors: 39P01 where it is called otherwise, 42P01 where the outbox is gone,
 * 42703 where a column that the mapping names is.
 */
Datum
catalogue_queue_deleted_files(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	TriggerEvent event;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"queue_deleted_files\" was not called by trigger manager"));
	event = trigger->tg_event;
	if (TRIGGER_FIRED_BY_TRUNCATE(event) ? !TRIGGER_FIRED_BEFORE(event)
		: !TRIGGER_FIRED_AFTER(event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"queue_deleted_files\" must be fired by an AFTER trigger, or a BEFORE TRUNCATE trigger"));

	if (TRIGGER_FIRED_BY_TRUNCATE(event))
		queue_truncated(trigger->tg_relation, fcinfo->flinfo->fn_oid);
	if (TRIGGER_FIRED_FOR_STATEMENT(event))
		catalogue_flush_files(catalogue_trigger_depth());
	else if (TRIGGER_FIRED_BY_DELETE(event))
		row_deleted(trigger);
	else if (TRIGGER_FIRED_BY_UPDATE(event))
		row_updated(trigger);
	else
		row_inserted(trigger);

	return PointerGetDatum(NULL);
}

static void
row_deleted(const TriggerData *trigger)
{
	const FileTable *table = catalogue_file_table(RelationGetRelid(trigger->tg_relation));

	if (catalogue_has_moves())
		catalogue_settle_moves(catalogue_trigger_depth(), false, NIL);
	if (HeapTupleHeaderIndicatesMovedPartitions(trigger->tg_trigtuple->t_data))
		catalogue_queue_paths(replaced_paths(table, trigger->tg_trigslot),
							  catalogue_trigger_depth());
	else
		catalogue_queue_paths(catalogue_paths_of_row(table, trigger->tg_trigslot), 0);
}

/* A path that the new row names anywhere is not replaced. */
static void
row_updated(const TriggerData *trigger)
{
	const FileTable *table = catalogue_file_table(RelationGetRelid(trigger->tg_relation));
	List	   *before;
	List	   *after;
	List	   *gone = NIL;
	ListCell   *lc;

	if (!table->replaced || !any_value_changed(table, trigger->tg_trigslot, trigger->tg_newslot))
		return;

	before = replaced_paths(table, trigger->tg_trigslot);
	after = catalogue_paths_of_row(table, trigger->tg_newslot);
	foreach(lc, before)
	{
		FilePath   *path = lfirst(lc);

		if (!catalogue_names_file(after, path->column->outbox, path->location))
			gone = lappend(gone, path);
	}
	catalogue_queue_paths(gone, 0);
}

/* The new place of a row that has moved, if its files are waiting. */
static void
row_inserted(const TriggerData *trigger)
{
	if (catalogue_has_moves())
	{
		const FileTable *table = catalogue_file_table(RelationGetRelid(trigger->tg_relation));

		catalogue_settle_moves(catalogue_trigger_depth(), true,
							   catalogue_paths_of_row(table, trigger->tg_trigslot));
	}
}

/* Byte by byte: values that a collation calls equal may name two files. */
static bool
any_value_changed(const FileTable *table, TupleTableSlot *before, TupleTableSlot *after)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		AttrNumber	attnum = table->columns[i].attnum;
		Form_pg_attribute attribute = TupleDescAttr(before->tts_tupleDescriptor, attnum - 1);
		bool		isnull_before;
		bool		isnull_after;
		Datum		value_before = slot_getattr(before, attnum, &isnull_before);
		Datum		value_after = slot_getattr(after, attnum, &isnull_after);

		if (isnull_before != isnull_after)
			return true;
		if (!isnull_before && !datumIsEqual(value_before, value_after, attribute->attbyval,
											attribute->attlen))
			return true;
	}

	return false;
}

/* The paths in columns whose replaced paths are queued. */
static List *
replaced_paths(const FileTable *table, TupleTableSlot *slot)
{
	List	   *paths = catalogue_paths_of_row(table, slot);
	ListCell   *lc;

	foreach(lc, paths)
	{
		if (!((const FilePath *) lfirst(lc))->column->replaced)
			paths = foreach_delete_current(paths, lc);
	}

	return paths;
}

/*
 * Queues what a TRUNCATE of a table takes away.  It fires the triggers of each
 * partition too, and those read their own; a partition that has none, since it was
 * made after attach(), is read by the nearest table above it that has one.
 */
static void
queue_truncated(Relation rel, Oid funcid)
{
	ListCell   *lc;
	List	   *relids;

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
	{
		queue_table(rel);
		return;
	}

	relids = find_all_inheritors(RelationGetRelid(rel), NoLock, NULL);
	foreach(lc, relids)
	{
		Oid			relid = lfirst_oid(lc);

		if (get_rel_relkind(relid) == RELKIND_RELATION)
		{
			Relation	leaf = table_open(relid, NoLock);

			if (!has_truncate_trigger(leaf, funcid) &&
				nearest_covered_ancestor(relid, funcid) == RelationGetRelid(rel))
				queue_table(leaf);
			table_close(leaf, NoLock);
		}
	}
}

static bool
has_truncate_trigger(Relation rel, Oid funcid)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == funcid && TRIGGER_FOR_TRUNCATE(trigger->tgtype))
			return true;
	}

	return false;
}

static Oid
nearest_covered_ancestor(Oid relid, Oid funcid)
{
	ListCell   *lc;

	foreach(lc, get_partition_ancestors(relid))
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);
		bool		covered = has_truncate_trigger(rel, funcid);

		table_close(rel, NoLock);
		if (covered)
			return lfirst_oid(lc);
	}

	return InvalidOid;
}

/*
 * Queues every file of a physical table, which nobody else is using.  TRUNCATE
 * takes rows that the transaction's snapshot is too old to see.
 */
static void
queue_table(Relation rel)
{
	const FileTable *table = catalogue_file_table(RelationGetRelid(rel));
	MemoryContext row_cxt;
	MemoryContext oldcxt;
	TupleTableSlot *slot;
	TableScanDesc scan;
	Snapshot	snapshot;

	if (table->ncolumns == 0)
		return;

	row_cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue truncated row",
									ALLOCSET_DEFAULT_SIZES);
	slot = table_slot_create(rel, NULL);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, snapshot, 0, NULL, SO_NONE);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		oldcxt = MemoryContextSwitchTo(row_cxt);
		catalogue_queue_paths(catalogue_paths_of_row(table, slot), 0);
		MemoryContextSwitchTo(oldcxt);
		MemoryContextReset(row_cxt);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_cxt);
}
