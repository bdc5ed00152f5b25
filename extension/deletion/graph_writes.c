/*
 * graph_writes.c
 *		What a deletion writes, and whether anybody else's code may run then.
 *
 * A deletion deletes from the delete targets of its graph.  It updates the tables
 * whose keys are set, and those that ON UPDATE actions of further keys lead to
 * from there, in the graph or not.  Where its files are queued, the outbox gets
 * rows.  Triggers and rules on any of these tables are code that may do anything.
 *
 * Locks: the caller's lock mode on what is looked at.
 */
#include "deletion/graph_builder.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static void note_relation(TableTriggers *triggers, Relation rel, CmdType event, bool partition,
						  bool ancestor);
static bool is_users(const Trigger *trigger);
static Relation open_member(GraphBuilder *builder, Oid relid);
static void find_updated(GraphBuilder *builder);
static void follow_updates(GraphBuilder *builder, Relation rel);
static void add_updated(GraphBuilder *builder, Oid relid);
static bool updates_call_code(GraphBuilder *builder, Relation rel);
static bool has_volatile_checks(Relation rel);
static bool queues_files(const GraphBuilder *builder);
static bool outbox_calls_code(GraphBuilder *builder);
static bool sets_are_told_apart(const GraphBuilder *builder);

/* What acts when rows of a table are deleted or updated. */
void
catalogue_note_triggers(GraphBuilder *builder, DeletionTable *table, Relation rel)
{
	bool		partition = rel->rd_rel->relispartition;
	List	   *ancestors = partition ? get_partition_ancestors(RelationGetRelid(rel)) : NIL;
	ListCell   *lc;

	note_relation(&table->on_delete, rel, CMD_DELETE, partition, false);
	note_relation(&table->on_update, rel, CMD_UPDATE, partition, false);
	/* A row that moves to a partition is inserted there. */
	if (partition)
		note_relation(&table->on_update, rel, CMD_INSERT, partition, false);

	/* Triggers for each row are on the partitions too; others are not. */
	foreach(lc, ancestors)
	{
		Relation	ancestor = open_member(builder, lfirst_oid(lc));

		note_relation(&table->on_delete, ancestor, CMD_DELETE, partition, true);
		note_relation(&table->on_update, ancestor, CMD_UPDATE, partition, true);
		table_close(ancestor, NoLock);
	}
	list_free(ancestors);

	table->has_triggers = table->on_delete.any || table->on_update.any;
	table->whole_statements = rel->trigdesc != NULL && rel->trigdesc->trig_delete_after_statement;
}

/* Adds the triggers and rules of one relation for one event. */
static void
note_relation(TableTriggers *triggers, Relation rel, CmdType event, bool partition, bool ancestor)
{
	for (int i = 0; rel->rd_rules != NULL && i < rel->rd_rules->numLocks; i++)
	{
		if (rel->rd_rules->rules[i]->event == event)
			triggers->any = triggers->rules = true;
	}
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (!is_users(trigger) ||
			(event == CMD_DELETE && !TRIGGER_FOR_DELETE(trigger->tgtype)) ||
			(event == CMD_UPDATE && !TRIGGER_FOR_UPDATE(trigger->tgtype)) ||
			(event == CMD_INSERT && !TRIGGER_FOR_INSERT(trigger->tgtype)))
			continue;
		if (partition && !TRIGGER_FOR_ROW(trigger->tgtype))
			triggers->partition_statements = true;
		if (!ancestor || !TRIGGER_FOR_ROW(trigger->tgtype))
			triggers->any = true;
	}
}

/*
 * Neither internal nor disabled nor one of the extension's own, which write no
 * table but the outbox.
 */
static bool
is_users(const Trigger *trigger)
{
	char	   *name;
	bool		own;

	if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	name = get_func_name(trigger->tgfoid);
	own = name != NULL &&
		get_func_namespace(trigger->tgfoid) == get_namespace_oid("catalogue", true) &&
		(strcmp(name, "queue_deleted_files") == 0 || strcmp(name, "lookup_changed") == 0);
	if (name != NULL)
		pfree(name);

	return !own;
}

/* A relation that the graph depends on from now on; its triggers are read after that. */
static Relation
open_member(GraphBuilder *builder, Oid relid)
{
	catalogue_depend_on_relation(builder->graph->base.dependencies, relid);

	return table_open(relid, builder->lockmode);
}

/* Once the graph's tables and edges are known. */
void
catalogue_find_writes(GraphBuilder *builder)
{
	DeletionGraph *graph = builder->graph;
	ListCell   *lc;

	foreach(lc, graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		builder->user_code = builder->user_code || (table->delete_target && table->on_delete.any);
	}
	find_updated(builder);
	if (queues_files(builder) && outbox_calls_code(builder))
		builder->user_code = true;
	graph->counts_sets = !builder->user_code && sets_are_told_apart(builder);
}

/* The tables whose keys are set, and those that ON UPDATE actions lead to from there. */
static void
find_updated(GraphBuilder *builder)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, builder->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!catalogue_sets_keys(edge))
				continue;
			builder->updated = list_append_unique_oid(builder->updated, edge->referencing->relid);
			if (edge->action == EDGE_SET_DEFAULT)
				builder->gets_values =
					list_append_unique_oid(builder->gets_values, edge->referencing->relid);
			builder->user_code = builder->user_code || edge->calls_volatile;
		}
	}

	for (int i = 0; i < list_length(builder->updated); i++)
	{
		Oid			relid = list_nth_oid(builder->updated, i);
		DeletionTable *table = catalogue_graph_table(builder->graph, relid);
		Relation	rel = open_member(builder, relid);

		CHECK_FOR_INTERRUPTS();
		if (table != NULL)
			table->updated = true;
		else
			builder->graph->also_written = lappend_oid(builder->graph->also_written, relid);
		builder->user_code = builder->user_code || updates_call_code(builder, rel);
		follow_updates(builder, rel);
		table_close(rel, NoLock);
	}
	foreach(lc, builder->graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		table->gets_values = list_member_oid(builder->gets_values, table->relid);
	}
}

/* What a change of the table's keys would change, by the RI triggers of other tables' keys. */
static void
follow_updates(GraphBuilder *builder, Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		switch (trigger->tgfoid)
		{
			case F_RI_FKEY_CASCADE_UPD:
			case F_RI_FKEY_SETNULL_UPD:
			case F_RI_FKEY_SETDEFAULT_UPD:
				add_updated(builder, trigger->tgconstrrelid);
				break;
			default:
				break;
		}
	}
}

/* A table, or the partitions of one. */
static void
add_updated(GraphBuilder *builder, Oid relid)
{
	List	   *members = list_make1_oid(relid);
	ListCell   *lc;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
												 builder->lockmode);
	foreach(lc, members)
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_PARTITIONED_TABLE)
			continue;
		builder->updated = list_append_unique_oid(builder->updated, lfirst_oid(lc));
		builder->gets_values = list_append_unique_oid(builder->gets_values, lfirst_oid(lc));
	}
	list_free(members);
}

static bool
updates_call_code(GraphBuilder *builder, Relation rel)
{
	DeletionTable table = {0};

	catalogue_note_triggers(builder, &table, rel);

	return table.on_update.any || has_volatile_checks(rel);
}

/* A check that an UPDATE makes could do anything, by a function. */
static bool
has_volatile_checks(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		if (contain_volatile_functions(stringToNode(constr->check[i].ccbin)))
			return true;
	}
	return false;
}

/* Is there a table with file columns among those that are written? */
static bool
queues_files(const GraphBuilder *builder)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, builder->attachment->files)
	{
		const FileBinding *file = lfirst(lc);

		foreach(lc2, builder->graph->tables)
		{
			const DeletionTable *table = lfirst(lc2);

			if (file->relid == table->reported && (table->delete_target || table->updated))
				return true;
		}
		foreach(lc2, builder->graph->also_written)
		{
			if (file->relid == catalogue_topmost_relation(lfirst_oid(lc2)))
				return true;
		}
	}
	return false;
}

static bool
outbox_calls_code(GraphBuilder *builder)
{
	Oid			outbox = builder->attachment->deleted_files;
	Relation	rel = open_member(builder, outbox);
	TableTriggers triggers = {0};

	note_relation(&triggers, rel, CMD_INSERT, false, false);
	triggers.any = triggers.any || has_volatile_checks(rel);
	table_close(rel, NoLock);
	builder->graph->also_written = lappend_oid(builder->graph->also_written, outbox);

	return triggers.any;
}

/*
 * Is each row that is updated one whose key is set, in one way?  Then the
 * server's counters say how many there are.
 */
static bool
sets_are_told_apart(const GraphBuilder *builder)
{
	List	   *set_null = NIL;
	List	   *set_default = NIL;
	ListCell   *lc;
	ListCell   *lc2;
	bool		result;

	foreach(lc, builder->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);
			Oid			relid = edge->referencing->relid;

			if (edge->action == EDGE_SET_NULL)
				set_null = list_append_unique_oid(set_null, relid);
			else if (edge->action == EDGE_SET_DEFAULT)
				set_default = list_append_unique_oid(set_default, relid);
		}
	}
	result = list_length(builder->updated) == list_length(set_null) + list_length(set_default);
	foreach(lc, set_null)
		result = result && !list_member_oid(set_default, lfirst_oid(lc));
	list_free(set_null);
	list_free(set_default);

	return result;
}
