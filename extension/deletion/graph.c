/*
 * graph.c
 *		What the deletion of a row reaches: the foreign keys to its table and on
 *		from there, and the mapping's own edges, as a graph.
 *
 * The graph is read from the server's own caches, which always know the newest
 * committed state, and kept for the backend's life, one for each attachment,
 * relation and column that names its rows, in a memory context of its own below
 * CacheMemoryContext.  Every ALTER TABLE,
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

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* What a graph is read for. */
typedef struct GraphRequest
{
	Oid			funcid;
	const RootRelation *root;
	LOCKMODE	lockmode;
} GraphRequest;

static List *graphs = NIL;		/* of DeletionGraph * */

static DeletionGraph *find_graph(const GraphRequest *request);
static bool has_root(const DeletionGraph *graph, const RootRelation *root);
static void read_graph(CachedThing *thing, void *arg);
static DeletionTable *make_table(GraphBuilder *builder, Oid relid);
static char *primary_key_columns(Relation rel);

/*
 * Pins the graph below a relation, for a function's attachment, with every table
 * of it locked.
 */
DeletionGraph *
catalogue_pin_graph(CachedPin *pin, Oid funcid, const RootRelation *root, LOCKMODE lockmode)
{
	GraphRequest request = {
		.funcid = funcid,
		.root = root,
		.lockmode = lockmode,
	};
	DeletionGraph *graph;
	MemoryContext oldcxt;
	ListCell   *lc;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		graph = find_graph(&request);
		if (graph == NULL)
			break;

		/*
		 * Taking the locks processes messages, and one of them may be for the
		 * graph.
		 */
		catalogue_pin(pin, &graph->base);
		foreach(lc, graph->tables)
			LockRelationOid(((DeletionTable *) lfirst(lc))->relid, lockmode);
		foreach(lc, graph->also_written)
			LockRelationOid(lfirst_oid(lc), lockmode);
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
 * The current graph that is asked for, or NULL; stale ones are dropped.
 * An attachment depends on more than the graph (its outbox): where it has been
 * replaced, no caller finds the graph any more.
 */
static DeletionGraph *
find_graph(const GraphRequest *request)
{
	const Attachment *attachment = catalogue_attachment_of_function(request->funcid, NULL);
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
		else if (graph->attachment == attachment && has_root(graph, request->root))
			found = graph;
	}

	return found;
}

static bool
has_root(const DeletionGraph *graph, const RootRelation *root)
{
	if (graph->root != root->relid)
		return false;
	if (root->key == NULL || graph->by_primary_key)
		return root->key == NULL && graph->by_primary_key;

	return strcmp(graph->key.name, root->key) == 0 &&
		strcmp(graph->identity.name, root->identity) == 0;
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

	/* Where rows of one of these are deleted, others are looked at, locked. */
	if (get_rel_name(attachment->professors) != NULL)
		builder.professors = find_all_inheritors(attachment->professors, NoLock, NULL);

	catalogue_check_root(&builder, request->root);
	graph->root_tables = catalogue_add_tables(&builder, graph->root, true);
	if (graph->root_tables == NIL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"", catalogue_relation_name(graph->root)),
				errdetail("It has no partition."));

	builder.worklist = list_copy(graph->root_tables);
	while (builder.worklist != NIL)
	{
		DeletionTable *table = linitial(builder.worklist);

		CHECK_FOR_INTERRUPTS();
		builder.worklist = list_delete_first(builder.worklist);
		if (table->delete_target)
			continue;
		table->delete_target = true;
		catalogue_add_foreign_keys(&builder, table);
		if (list_member_oid(builder.professors, table->relid))
			catalogue_add_soft_references(&builder, table);
	}

	catalogue_find_writes(&builder);
	catalogue_order_graph(&builder);

	MemoryContextSwitchTo(oldcxt);
}

/*
 * The physical tables of a relation, locked, as new or known members of the
 * graph: itself, or its leaves; with its inheritance children where they are
 * asked for, but for other sessions' temporary ones, which no statement reads.
 */
List *
catalogue_add_tables(GraphBuilder *builder, Oid relid, bool with_children)
{
	List	   *members;
	List	   *tables = NIL;
	ListCell   *lc;

	catalogue_depend_on_relation(builder->graph->base.dependencies, relid);
	LockRelationOid(relid, builder->lockmode);
	(void) catalogue_relation_name(relid);	/* raises an error where it is
											 * gone */
	if (with_children || get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
												 builder->lockmode);
	else
		members = list_make1_oid(relid);

	foreach(lc, members)
	{
		DeletionTable *table = catalogue_graph_table(builder->graph, lfirst_oid(lc));

		if (isOtherTempNamespace(get_rel_namespace(lfirst_oid(lc))))
			continue;
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
	table->owner = rel->rd_rel->relowner;
	do
		table->reported = catalogue_topmost_relation(relid);
	while (catalogue_depend_on_relation(builder->graph->base.dependencies, table->reported));
	table->name = psprintf("ONLY %s", catalogue_qualified_relation_name(relid));
	table->partition = rel->rd_rel->relispartition;
	table->order_by = primary_key_columns(rel);
	catalogue_note_triggers(builder, table, rel);
	table_close(rel, NoLock);

	return table;
}

/* The primary key's columns of t, as for ORDER BY; NULL without one. */
static char *
primary_key_columns(Relation rel)
{
	List	   *key = catalogue_primary_key(rel);
	StringInfoData columns = {0};
	ListCell   *lc;

	if (key == NIL)
		return NULL;
	initStringInfo(&columns);
	foreach(lc, key)
		appendStringInfo(&columns, "%st.%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(get_attname(rel->rd_id, lfirst_int(lc), false)));
	list_free(key);

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
