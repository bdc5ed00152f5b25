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

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* A table with columns that a deletion may change. */
typedef struct UpdatedTable
{
	Oid			relid;
	Oid			owner;
	bool		follows;		/* by an ON UPDATE action */
	List	   *columns;		/* of char * */
} UpdatedTable;

static void note_relation(TableTriggers *triggers, Relation rel, CmdType event, bool partition,
						  bool ancestor);
static bool is_users(const Trigger *trigger);
static Relation open_member(GraphBuilder *builder, Oid relid);
static List *find_updated(GraphBuilder *builder);
static bool add_updated(List **updated, Oid relid, List *columns, bool follows);
static bool follow_updates(GraphBuilder *builder, List **updated, UpdatedTable *table);
static bool follow_key(GraphBuilder *builder, List **updated, const UpdatedTable *table,
					   Oid constraint);
static List *physical_tables(GraphBuilder *builder, Oid relid);
static bool has_column(const List *columns, const char *name);
static void note_updated(GraphBuilder *builder, const List *updated);
static void note_owner_of_follower(const GraphBuilder *builder, const UpdatedTable *follower);
static bool updates_call_code(GraphBuilder *builder, Oid relid);
static bool has_volatile_checks(Relation rel);
static bool queues_files(const GraphBuilder *builder);
static bool outbox_calls_code(GraphBuilder *builder);
static bool sets_are_told_apart(const GraphBuilder *builder, int nupdated);

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
		if (TRIGGER_FOR_BEFORE(trigger->tgtype) && TRIGGER_FOR_ROW(trigger->tgtype))
			triggers->before_row = true;
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
	List	   *updated = find_updated(builder);
	ListCell   *lc;

	note_updated(builder, updated);
	foreach(lc, updated)
		note_owner_of_follower(builder, lfirst(lc));
	foreach(lc, graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		builder->user_code = builder->user_code || (table->delete_target && table->on_delete.any);
	}
	if (queues_files(builder) && outbox_calls_code(builder))
		builder->user_code = true;
	graph->counts_sets = !builder->user_code && sets_are_told_apart(builder, list_length(updated));
}

/* The tables whose keys are set, and those that ON UPDATE actions lead to from there. */
static List *
find_updated(GraphBuilder *builder)
{
	List	   *updated = NIL;
	bool		found_more = true;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, builder->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!catalogue_sets_keys(edge))
				continue;
			(void) add_updated(&updated, edge->referencing->relid, edge->set_columns, false);
			edge->referencing->gets_values |= edge->action == EDGE_SET_DEFAULT;
			builder->user_code |= edge->calls_volatile;
		}
	}

	while (found_more)
	{
		found_more = false;
		/* What is added meanwhile is at the end of the list. */
		for (int i = 0; i < list_length(updated); i++)
			found_more |= follow_updates(builder, &updated, list_nth(updated, i));
	}

	return updated;
}

/* Adds columns of a table that may be changed; true if they were not known. */
static bool
add_updated(List **updated, Oid relid, List *columns, bool follows)
{
	UpdatedTable *table = NULL;
	int			before;
	ListCell   *lc;

	foreach(lc, *updated)
	{
		if (((UpdatedTable *) lfirst(lc))->relid == relid)
			table = lfirst(lc);
	}
	if (table == NULL)
	{
		table = palloc0(sizeof(UpdatedTable));
		table->relid = relid;
		*updated = lappend(*updated, table);
	}
	table->follows |= follows;
	before = list_length(table->columns);
	foreach(lc, columns)
	{
		if (!has_column(table->columns, lfirst(lc)))
			table->columns = lappend(table->columns, lfirst(lc));
	}

	return list_length(table->columns) > before;
}

/* Adds what changes with columns of a table, by the ON UPDATE actions of keys to them. */
static bool
follow_updates(GraphBuilder *builder, List **updated, UpdatedTable *table)
{
	Relation	rel = open_member(builder, table->relid);
	bool		found = false;

	table->owner = rel->rd_rel->relowner;
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		switch (trigger->tgfoid)
		{
			case F_RI_FKEY_CASCADE_UPD:
			case F_RI_FKEY_SETNULL_UPD:
			case F_RI_FKEY_SETDEFAULT_UPD:
				found |= follow_key(builder, updated, table, trigger->tgconstraint);
				break;
			default:
				break;
		}
	}
	table_close(rel, NoLock);

	return found;
}

/* The same for one key; a generated column may change with any other. */
static bool
follow_key(GraphBuilder *builder, List **updated, const UpdatedTable *table, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	int			nkeys;
	AttrNumber	referencing[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
	Oid			unused[INDEX_MAX_KEYS];
	int			nset;
	AttrNumber	set_columns[INDEX_MAX_KEYS];
	List	   *columns = NIL;
	bool		follows = false;
	bool		found = false;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	catalogue_depend_on_relation(builder->graph->base.dependencies, form->conrelid);
	LockRelationOid(form->conrelid, builder->lockmode);
	DeconstructFkConstraintRow(tuple, &nkeys, referencing, referenced, unused, unused, unused,
							   &nset, set_columns);
	for (int i = 0; i < nkeys; i++)
	{
		follows |= get_attgenerated(form->confrelid, referenced[i]) != '\0' ||
			has_column(table->columns, get_attname(form->confrelid, referenced[i], false));
		columns = lappend(columns, get_attname(form->conrelid, referencing[i], false));
	}

	if (follows)
	{
		List	   *members = physical_tables(builder, form->conrelid);

		foreach(lc, members)
		{
			DeletionTable *member = catalogue_graph_table(builder->graph, lfirst_oid(lc));

			found |= add_updated(updated, lfirst_oid(lc), columns, true);
			if (member != NULL)
				member->gets_values = member->follows_keys = true;
		}
		list_free(members);
	}
	ReleaseSysCache(tuple);

	return found;
}

/* A table, or the leaves of one. */
static List *
physical_tables(GraphBuilder *builder, Oid relid)
{
	List	   *members;
	List	   *tables = NIL;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);

	members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
											 builder->lockmode);
	foreach(lc, members)
	{
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
			tables = lappend_oid(tables, lfirst_oid(lc));
	}
	list_free(members);

	return tables;
}

static bool
has_column(const List *columns, const char *name)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* Notes what is updated in the graph, and what besides. */
static void
note_updated(GraphBuilder *builder, const List *updated)
{
	ListCell   *lc;

	foreach(lc, updated)
	{
		Oid			relid = ((UpdatedTable *) lfirst(lc))->relid;
		DeletionTable *table = catalogue_graph_table(builder->graph, relid);

		if (table != NULL)
			table->updated = true;
		else
			builder->graph->also_written = lappend_oid(builder->graph->also_written, relid);
		builder->user_code |= updates_call_code(builder, relid);
	}
}

/*
 * The server updates a follower within the statements that set keys, at whose end
 * its AFTER triggers fire: where it is another owner's, that is to be known.  Which
 * of the tables it follows does not matter.
 */
static void
note_owner_of_follower(const GraphBuilder *builder, const UpdatedTable *follower)
{
	ListCell   *lc;

	foreach(lc, builder->graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		if (follower->follows && table->updated && table->owner != follower->owner)
			table->others_below = true;
	}
}

/* Do UPDATEs of the table call anything but what the deletion knows? */
static bool
updates_call_code(GraphBuilder *builder, Oid relid)
{
	Relation	rel = open_member(builder, relid);
	DeletionTable table = {0};
	bool		result;

	catalogue_note_triggers(builder, &table, rel);
	result = table.on_update.any || has_volatile_checks(rel);
	table_close(rel, NoLock);

	return result;
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
sets_are_told_apart(const GraphBuilder *builder, int nupdated)
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
	result = nupdated == list_length(set_null) + list_length(set_default);
	foreach(lc, set_null)
		result = result && !list_member_oid(set_default, lfirst_oid(lc));
	list_free(set_null);
	list_free(set_default);

	return result;
}
