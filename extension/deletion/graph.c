/*
 * graph.c
 *		What a professor's deletion reaches: the foreign keys to the professors
 *		table and on from there, and the mapping's own edges, as a graph.
 *
 * The graph is read from the server's own caches, which always know the newest
 * committed state, and kept for the backend's life, one for each attachment,
 * in a memory context of its own below CacheMemoryContext.  Every ALTER TABLE,
 * CREATE TRIGGER or CREATE INDEX that could change it sends an invalidation
 * message for one of its tables, and the next caller reads it again.  A graph
 * in use stays until its last pin is released.
 *
 * Locking: the caller's lock mode is taken on every table of the graph.  With
 * RowExclusiveLock nobody can add a foreign key to one of them until the end
 * of the transaction, so what was read stays true that long.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* What a graph is read for. */
typedef struct GraphRequest
{
	Oid			funcid;
	LOCKMODE	lockmode;
} GraphRequest;

static List *graphs = NIL;		/* of DeletionGraph *, one for each attachment */

static DeletionGraph *find_graph(Oid funcid);
static void read_graph(CachedThing *thing, void *arg);
static DeletionTable *make_table(GraphBuilder *builder, Oid relid);
static void note_triggers(DeletionTable *table, const TriggerDesc *triggers);
static char *primary_key_columns(Relation rel);

/*
 * Pins the graph of a function's attachment, whose mapping must have
 * professors, with every table of it locked.
 */
DeletionGraph *
catalogue_pin_graph(CachedPin *pin, Oid funcid, LOCKMODE lockmode)
{
	GraphRequest request = {
		.funcid = funcid,
		.lockmode = lockmode,
	};
	DeletionGraph *graph;
	MemoryContext oldcxt;
	ListCell   *lc;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		graph = find_graph(funcid);
		if (graph == NULL)
			break;

		/*
		 * Taking the locks processes messages, and one of them may be for the
		 * graph.
		 */
		catalogue_pin(pin, &graph->base);
		foreach(lc, graph->tables)
			LockRelationOid(((DeletionTable *) lfirst(lc))->relid, lockmode);
		if (catalogue_is_current(graph->base.dependencies))
			return graph;
		catalogue_unpin(pin);
	}

	graph = (DeletionGraph *) catalogue_read_cached("catalogue deletion graph",
													sizeof(DeletionGraph), read_graph, &request);
	oldcxt = MemoryContextSwitchTo(TopMemoryContext);
	graphs = lappend(graphs, graph);
	MemoryContextSwitchTo(oldcxt);
	MemoryContextSetParent(graph->base.cxt, CacheMemoryContext);
	catalogue_pin(pin, &graph->base);

	return graph;
}

/* The physical table of that OID; NULL when the graph does not have it. */
DeletionTable *
catalogue_graph_table(const DeletionGraph *graph, Oid relid)
{
	ListCell   *lc;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		if (table->relid == relid)
			return table;
	}
	return NULL;
}

/*
 * The partitioned table that a partition belongs to in the end; itself for other
 * tables, and for a partition that is being detached.
 */
Oid
catalogue_topmost_relation(Oid relid)
{
	List	   *ancestors;

	if (!get_rel_relispartition(relid))
		return relid;
	ancestors = get_partition_ancestors(relid);
	if (ancestors != NIL)
		relid = llast_oid(ancestors);
	list_free(ancestors);
	return relid;
}

/*
 * The current graph of a function's attachment, or NULL; stale ones are dropped.
 * An attachment depends on more than the graph (its outbox): where it has been
 * replaced, no caller finds the graph any more.
 */
static DeletionGraph *
find_graph(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid, NULL);
	DeletionGraph *found = NULL;
	ListCell   *lc;

	foreach(lc, graphs)
	{
		DeletionGraph *graph = lfirst(lc);

		if (!catalogue_is_current(graph->base.dependencies) ||
			!catalogue_is_current(graph->attachment->base.dependencies))
		{
			graphs = foreach_delete_current(graphs, lc);
			catalogue_drop_cached(&graph->base);
		}
		else if (graph->attachment == attachment)
			found = graph;
	}

	return found;
}

/* Reads the tables on the worklist, and what references them, until it is empty. */
static void
read_graph(CachedThing *thing, void *arg)
{
	const GraphRequest *request = arg;
	DeletionGraph *graph = (DeletionGraph *) thing;
	MemoryContext oldcxt = MemoryContextSwitchTo(thing->cxt);
	const Attachment *attachment =
		catalogue_attachment_of_function(request->funcid, thing->dependencies);
	GraphBuilder builder = {.graph = graph,
		.attachment = attachment,
	.lockmode = request->lockmode};

	graph->attachment = attachment;
	catalogue_init_pin(&graph->attachment_pin, thing->cxt);
	catalogue_pin(&graph->attachment_pin, unconstify(CachedThing *, &attachment->base));

	graph->roots = catalogue_add_tables(&builder, attachment->professors);
	if (graph->roots == NIL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"",
					   catalogue_relation_name(attachment->professors)),
				errdetail("A deletion needs an ordinary or a partitioned table."));

	builder.worklist = list_copy(graph->roots);
	while (builder.worklist != NIL)
	{
		DeletionTable *table = linitial(builder.worklist);

		CHECK_FOR_INTERRUPTS();
		builder.worklist = list_delete_first(builder.worklist);
		if (table->delete_target)
			continue;
		table->delete_target = true;
		catalogue_add_foreign_keys(&builder, table);
		if (list_member_ptr(graph->roots, table))
			catalogue_add_soft_references(&builder, table);
	}

	catalogue_order_graph(&builder);

	MemoryContextSwitchTo(oldcxt);
}

/*
 * The physical tables of a relation, locked, as new or known members of the
 * graph: itself, or its leaves.
 */
List *
catalogue_add_tables(GraphBuilder *builder, Oid relid)
{
	List	   *members;
	List	   *tables = NIL;
	ListCell   *lc;

	catalogue_depend_on_relation(builder->graph->base.dependencies, relid);
	LockRelationOid(relid, builder->lockmode);
	(void) catalogue_relation_name(relid);	/* raises an error where it is
											 * gone */
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
												 builder->lockmode);
	else
		members = list_make1_oid(relid);

	foreach(lc, members)
	{
		DeletionTable *table = catalogue_graph_table(builder->graph, lfirst_oid(lc));

		if (table == NULL && get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
		{
			table = make_table(builder, lfirst_oid(lc));
			builder->graph->tables = lappend(builder->graph->tables, table);
		}
		if (table != NULL)
			tables = lappend(tables, table);
	}
	list_free(members);

	return tables;
}

/* What statements, reports and the order of a graph need to know of a locked table. */
static DeletionTable *
make_table(GraphBuilder *builder, Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	DeletionTable *table = palloc0(sizeof(DeletionTable));

	catalogue_depend_on_schema(builder->graph->base.dependencies, RelationGetNamespace(rel));

	if (rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"", RelationGetRelationName(rel)),
				errdetail("A deletion needs an ordinary or a partitioned table."));

	table->relid = relid;
	do
		table->reported = catalogue_topmost_relation(relid);
	while (catalogue_depend_on_relation(builder->graph->base.dependencies, table->reported));
	table->name = psprintf("ONLY %s", catalogue_qualified_relation_name(relid));
	table->partition = rel->rd_rel->relispartition;
	table->order_by = primary_key_columns(rel);
	table->has_before_triggers = table->has_triggers = rel->rd_rules != NULL;
	if (rel->trigdesc != NULL)
		note_triggers(table, rel->trigdesc);
	table_close(rel, NoLock);

	return table;
}

/*
 * Which user triggers could see or change rows while the deletion works on them.
 * The one that queues files writes nothing but the outbox.
 */
static void
note_triggers(DeletionTable *table, const TriggerDesc *triggers)
{
	const Oid	own_trigger = catalogue_member_function("queue_deleted_files");

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED ||
			trigger->tgfoid == own_trigger)
			continue;
		if (TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype))
			table->has_triggers = true;
		if (TRIGGER_FOR_DELETE(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype))
			table->has_before_triggers = true;
	}
}

/* The primary key's columns of t, as for ORDER BY; NULL without one. */
static char *
primary_key_columns(Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	StringInfoData columns = {0};
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary)
		{
			initStringInfo(&columns);
			for (int i = 0; i < index->indnkeyatts; i++)
				appendStringInfo(&columns, "%st.%s", i > 0 ? ", " : "",
								 quote_identifier(
												  get_attname(rel->rd_id, index->indkey.values[i], false)));
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);

	return columns.data;
}

/* An edge's action as reports and the preview name it. */
const char *
catalogue_action_name(EdgeAction action)
{
	switch (action)
	{
		case EDGE_DELETE:
			return "delete";
		case EDGE_SET_NULL:
			return "set null";
		case EDGE_SET_DEFAULT:
			return "set default";
		case EDGE_BLOCK:
			return "blocked";
	}
	pg_unreachable();
}
