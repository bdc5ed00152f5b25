/*
 * fk_graph.c
 *		What a professor's deletion reaches: the foreign keys below the
 *		professors table, and the mapping's own edges, as a graph.
 *
 * The graph is read from the server's own caches, which always know the newest
 * committed state, and kept for the backend's life, one for each attachment,
 * in a memory context of its own below CacheMemoryContext.
 * Every ALTER TABLE, CREATE TRIGGER or CREATE INDEX that could change it sends
 * an invalidation message for one of its tables, and the next caller reads it
 * anew.  A graph in use stays until its last pin is released.
 *
 * Locking: the caller's lock mode is taken on every table of the graph.  With
 * RowExclusiveLock nobody can add a foreign key to one of them until the end
 * of the transaction, so what was read stays true that long.
 */
#include "deletion/deletion.h"

#include "names.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static List *graphs = NIL; /* of DeletionGraph *, one for each attachment */

/* One pair of columns that an edge compares. */
typedef struct ColumnPair
{
	char *parent;
	Oid parent_type;
	Oid parent_collation;
	char *child;
	Oid child_type;
	Oid child_collation;
	Oid equal; /* parent = child */
} ColumnPair;

/* What a graph is read for. */
typedef struct GraphRequest
{
	Oid funcid;
	LOCKMODE lockmode;
} GraphRequest;

typedef struct GraphBuilder
{
	DeletionGraph *graph;
	const Attachment *attachment;
	LOCKMODE lockmode;
	List *losing;		/* of DeletionTable *: lose rows, edges not read yet */
	bool author_is_key; /* a foreign key says whose the chapters are */
} GraphBuilder;

static DeletionGraph *find_graph(Oid funcid);
static void read_graph(CachedThing *thing, void *arg);
static List *add_tables(GraphBuilder *builder, Oid relid);
static DeletionTable *make_table(GraphBuilder *builder, Oid relid);
static void note_triggers(DeletionTable *table, const TriggerDesc *triggers);
static char *primary_key_columns(Relation rel);
static void add_foreign_keys(GraphBuilder *builder, DeletionTable *parent);
static List *referencing_constraints(const DeletionTable *parent);
static Oid topmost_constraint(Oid constraint);
static void add_foreign_key(GraphBuilder *builder, DeletionTable *parent, Oid constraint);
static ColumnPair *foreign_key_pair(const FormData_pg_constraint *form, AttrNumber parent,
									AttrNumber child, Oid equal);
static void add_references_of_mapping(GraphBuilder *builder, DeletionTable *parent);
static void add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column,
						  Oid child, const char *column, const char *condition);
static void add_edge(GraphBuilder *builder, DeletionTable *parent, Oid child, DeletionEdge *model,
					 const List *pairs);
static void set_conditions(GraphBuilder *builder, DeletionEdge *edge, const List *pairs);
static int add_key(GraphBuilder *builder, DeletionTable *parent, const ColumnPair *pair);
static char *any_condition(const ColumnPair *pair, const char *values);
static bool has_index(Oid relid, const List *pairs);
static bool index_serves(const FormData_pg_index *index, HeapTuple tuple, Oid relid,
						 const List *pairs);
static bool is_also_delete(const Attachment *attachment, Oid relid, const List *pairs);
static void order_tables(GraphBuilder *builder);
static bool has_array_types(const DeletionEdge *edge);
static void number_table(DeletionTable *table, List **ordered);
static int compare_labels(const ListCell *a, const ListCell *b);
static int compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);

/*
 * Pins the graph of a function's attachment, whose mapping must have
 * professors, with every table of it locked.
 */
DeletionGraph *
catalogue_pin_fk_graph(CachedPin *pin, Oid funcid, LOCKMODE lockmode)
{
	GraphRequest request = {.funcid = funcid, .lockmode = lockmode};
	DeletionGraph *graph;
	MemoryContext oldcxt;
	ListCell *lc;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		graph = find_graph(funcid);
		if (graph == NULL)
			break;

		/* Taking the locks reads the messages; one that counts means: again. */
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
catalogue_fk_graph_table(const DeletionGraph *graph, Oid relid)
{
	ListCell *lc;

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
	List *ancestors;

	if (!get_rel_relispartition(relid))
		return relid;
	ancestors = get_partition_ancestors(relid);
	if (ancestors != NIL)
		relid = llast_oid(ancestors);
	list_free(ancestors);
	return relid;
}

/*
 * The current graph of a function's attachment, or NULL; those that are stale go.
 * An attachment depends on more than the graph (its outbox): where it has been
 * replaced, nobody finds the graph any more.
 */
static DeletionGraph *
find_graph(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid, NULL);
	DeletionGraph *found = NULL;
	ListCell *lc;

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

	graph->roots = add_tables(&builder, attachment->professors);
	if (graph->roots == NIL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"",
					   catalogue_relation_name(attachment->professors)),
				errdetail("A deletion needs an ordinary or a partitioned table."));

	builder.losing = list_copy(graph->roots);
	while (builder.losing != NIL)
	{
		DeletionTable *table = linitial(builder.losing);

		CHECK_FOR_INTERRUPTS();
		builder.losing = list_delete_first(builder.losing);
		if (table->loses_rows)
			continue;
		table->loses_rows = true;
		add_foreign_keys(&builder, table);
		if (list_member_ptr(graph->roots, table))
			add_references_of_mapping(&builder, table);
	}

	order_tables(&builder);

	MemoryContextSwitchTo(oldcxt);
}

/*
 * The physical tables of a relation, locked, as new or known members of the
 * graph: itself, or its leaves.
 */
static List *
add_tables(GraphBuilder *builder, Oid relid)
{
	List *members;
	List *tables = NIL;
	ListCell *lc;

	catalogue_depend_on_relation(builder->graph->base.dependencies, relid);
	LockRelationOid(relid, builder->lockmode);
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
												 builder->lockmode);
	else
		members = list_make1_oid(relid);

	foreach(lc, members)
	{
		DeletionTable *table = catalogue_fk_graph_table(builder->graph, lfirst_oid(lc));

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

static DeletionTable *
make_table(GraphBuilder *builder, Oid relid)
{
	Relation rel = table_open(relid, NoLock);
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

static void
note_triggers(DeletionTable *table, const TriggerDesc *triggers)
{
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		if (TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype))
			table->has_triggers = true;
		if (TRIGGER_FOR_DELETE(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype))
			table->has_before_triggers = true;
	}
}

/* The primary key's columns of c, as for ORDER BY; NULL without one. */
static char *
primary_key_columns(Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	StringInfoData columns = {0};
	ListCell *lc;

	foreach(lc, indexes)
	{
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary)
		{
			initStringInfo(&columns);
			for (int i = 0; i < index->indnkeyatts; i++)
				appendStringInfo(&columns, "%sc.%s", i > 0 ? ", " : "",
								 quote_identifier(
									 get_attname(rel->rd_id, index->indkey.values[i], false)));
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);

	return columns.data;
}

static void
add_foreign_keys(GraphBuilder *builder, DeletionTable *parent)
{
	List *constraints = referencing_constraints(parent);
	ListCell *lc;

	foreach(lc, constraints)
		add_foreign_key(builder, parent, lfirst_oid(lc));
	list_free(constraints);
	list_sort(parent->children, compare_labels);
}

/*
 * The foreign keys to a table, or to what it is a partition of.  There is no
 * index on pg_constraint to find them by, but each that is enforced has its
 * triggers on the table, which the relation cache knows.
 */
static List *
referencing_constraints(const DeletionTable *parent)
{
	Relation rel = table_open(parent->relid, NoLock);
	List *constraints = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (OidIsValid(trigger->tgconstraint) && TRIGGER_FOR_DELETE(trigger->tgtype) &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK)
			constraints =
				list_append_unique_oid(constraints, topmost_constraint(trigger->tgconstraint));
	}
	table_close(rel, NoLock);

	return constraints;
}

/* The constraint as it was declared, where a partition has a copy of it. */
static Oid
topmost_constraint(Oid constraint)
{
	for (;;)
	{
		HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
		Oid parent;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", constraint);
		parent = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent))
			return constraint;
		constraint = parent;
	}
}

static void
add_foreign_key(GraphBuilder *builder, DeletionTable *parent, Oid constraint)
{
	const Attachment *attachment = builder->attachment;
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	DeletionEdge model = {.constraint = constraint};
	int nkeys;
	AttrNumber child[INDEX_MAX_KEYS];
	AttrNumber referenced[INDEX_MAX_KEYS];
	Oid equal[INDEX_MAX_KEYS];
	Oid unused[INDEX_MAX_KEYS];
	int nset;
	AttrNumber set[INDEX_MAX_KEYS];
	StringInfoData assignments;
	List *pairs = NIL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	/* The child must be locked before its columns are looked at. */
	catalogue_depend_on_relation(builder->graph->base.dependencies, form->conrelid);
	LockRelationOid(form->conrelid, builder->lockmode);
	DeconstructFkConstraintRow(tuple, &nkeys, child, referenced, equal, unused, unused, &nset, set);

	for (int i = 0; i < nkeys; i++)
		pairs = lappend(pairs, foreign_key_pair(form, referenced[i], child[i], equal[i]));
	model.label = pstrdup(NameStr(form->conname));
	model.comparable = !catalogue_constraint_has_period(form);

	switch (form->confdeltype)
	{
		case FKCONSTR_ACTION_CASCADE:
			model.action = EDGE_DELETE;
			break;
		case FKCONSTR_ACTION_SETNULL:
			model.action = EDGE_SET_NULL;
			break;
		case FKCONSTR_ACTION_SETDEFAULT:
			model.action = EDGE_SET_DEFAULT;
			break;
		default:
			model.action = EDGE_BLOCK;
			break;
	}
	if (model.action != EDGE_DELETE && is_also_delete(attachment, form->conrelid, pairs))
	{
		model.action = EDGE_DELETE;
		model.beyond_schema = true;
	}

	initStringInfo(&assignments);
	for (int i = 0; i < (nset > 0 ? nset : nkeys); i++)
		appendStringInfo(&assignments, "%s%s = %s", i > 0 ? ", " : "",
						 quote_identifier(
							 get_attname(form->conrelid, nset > 0 ? set[i] : child[i], false)),
						 model.action == EDGE_SET_NULL ? "NULL" : "DEFAULT");
	model.assignments = assignments.data;

	/* A default may be the very key that goes: its trigger has to look. */
	model.provable = !form->condeferrable && form->confdeltype != FKCONSTR_ACTION_SETDEFAULT &&
					 get_rel_relkind(form->conrelid) != RELKIND_PARTITIONED_TABLE &&
					 get_rel_relkind(form->confrelid) != RELKIND_PARTITIONED_TABLE;

	if (form->conrelid == attachment->chapters && attachment->chapters_author != NULL &&
		nkeys == 1 &&
		strcmp(((ColumnPair *) linitial(pairs))->child, attachment->chapters_author) == 0 &&
		list_member_ptr(builder->graph->roots, parent))
		builder->author_is_key = true;

	add_edge(builder, parent, form->conrelid, &model, pairs);
	list_free_deep(pairs);
	ReleaseSysCache(tuple);
}

static ColumnPair *
foreign_key_pair(const FormData_pg_constraint *form, AttrNumber parent, AttrNumber child, Oid equal)
{
	ColumnPair *pair = palloc(sizeof(ColumnPair));
	int32 typmod;

	pair->parent = get_attname(form->confrelid, parent, false);
	get_atttypetypmodcoll(form->confrelid, parent, &pair->parent_type, &typmod,
						  &pair->parent_collation);
	pair->child = get_attname(form->conrelid, child, false);
	get_atttypetypmodcoll(form->conrelid, child, &pair->child_type, &typmod,
						  &pair->child_collation);
	pair->equal = equal;

	return pair;
}

/* The soft references, and the chapters where no foreign key covers their author. */
static void
add_references_of_mapping(GraphBuilder *builder, DeletionTable *parent)
{
	const Attachment *attachment = builder->attachment;
	ListCell *lc;

	if (OidIsValid(attachment->chapters) && attachment->chapters_author != NULL &&
		!builder->author_is_key)
		add_reference(builder, parent, attachment->professors_username, attachment->chapters,
					  attachment->chapters_author, NULL);

	foreach(lc, attachment->soft_references)
	{
		const SoftReferenceBinding *reference = lfirst(lc);
		StringInfoData condition;
		ListCell *value;

		initStringInfo(&condition);
		if (reference->type_column != NULL)
		{
			appendStringInfo(&condition, "c.%s::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY[",
							 quote_identifier(reference->type_column));
			foreach(value, reference->type_values)
				appendStringInfo(&condition, "%s%s", foreach_current_index(value) > 0 ? ", " : "",
								 quote_literal_cstr(lfirst(value)));
			appendStringInfoString(&condition, "]::pg_catalog.text[])");
		}
		add_reference(builder, parent, attachment->professors_id, reference->relid,
					  reference->column, condition.len > 0 ? condition.data : NULL);
	}
}

/*
 * Columns of different types are compared by an operator between the two, or
 * as text where there is none.
 */
static void
add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column, Oid child,
			  const char *column, const char *condition)
{
	DeletionEdge model = {.action = EDGE_DELETE,
						  .beyond_schema = true,
						  .comparable = true,
						  .label = pstrdup(column),
						  .condition = condition};
	AttrNumber parent_attnum = catalogue_column_number(parent->relid, parent_column);
	AttrNumber attnum;
	ColumnPair pair = {.parent = unconstify(char *, parent_column),
					   .child = unconstify(char *, column)};
	int32 typmod;

	catalogue_depend_on_relation(builder->graph->base.dependencies, child);
	LockRelationOid(child, builder->lockmode);
	attnum = catalogue_column_number(child, column);
	get_atttypetypmodcoll(parent->relid, parent_attnum, &pair.parent_type, &typmod,
						  &pair.parent_collation);
	get_atttypetypmodcoll(child, attnum, &pair.child_type, &typmod, &pair.child_collation);

	if (getBaseType(pair.parent_type) == getBaseType(pair.child_type))
		pair.equal = lookup_type_cache(pair.parent_type, TYPECACHE_EQ_OPR)->eq_opr;
	else
		pair.equal = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("=")),
									  pair.parent_type, pair.child_type);
	if (!OidIsValid(pair.equal))
		pair.equal = TextEqualOperator;

	add_edge(builder, parent, child, &model, list_make1(&pair));
}

/* Adds an edge to each physical table of child, modelled on *model. */
static void
add_edge(GraphBuilder *builder, DeletionTable *parent, Oid child, DeletionEdge *model,
		 const List *pairs)
{
	List *tables = add_tables(builder, child);
	ListCell *lc;

	model->parent = parent;
	set_conditions(builder, model, pairs);

	foreach(lc, tables)
	{
		DeletionEdge *edge = palloc(sizeof(DeletionEdge));

		*edge = *model;
		edge->child = lfirst(lc);
		edge->indexed = has_index(edge->child->relid, pairs);
		parent->children = lappend(parent->children, edge);
		if (edge->action == EDGE_DELETE)
			builder->losing = lappend(builder->losing, edge->child);
	}
	list_free(tables);
}

/*
 * How the edge compares parents and children: as p and c, and where it can be
 * said so, as c and an array of keys.
 */
static void
set_conditions(GraphBuilder *builder, DeletionEdge *edge, const List *pairs)
{
	const char *condition = edge->condition != NULL ? psprintf(" AND %s", edge->condition) : "";
	StringInfoData match;
	ListCell *lc;

	initStringInfo(&match);
	foreach(lc, pairs)
	{
		const ColumnPair *pair = lfirst(lc);

		if (match.len > 0)
			appendStringInfoString(&match, " AND ");
		generate_operator_clause(&match, psprintf("p.%s", quote_identifier(pair->parent)),
								 pair->parent_type, pair->equal,
								 psprintf("c.%s", quote_identifier(pair->child)), pair->child_type);
		if (pair->parent_collation != pair->child_collation && OidIsValid(pair->parent_collation))
			appendStringInfo(&match, " COLLATE %s",
							 catalogue_collation_name(pair->parent_collation));
		edge->keys = lappend_int(edge->keys, add_key(builder, edge->parent, pair));
	}
	edge->match = psprintf("%s%s", match.data, condition);

	if (list_length(pairs) == 1)
	{
		const ColumnPair *pair = linitial(pairs);
		char *by_index = any_condition(pair, "$1");
		char *by_hash = any_condition(pair, "SELECT k.k FROM pg_catalog.unnest($1) AS k (k)");

		if (by_index != NULL)
		{
			edge->match_any = psprintf("%s%s", by_index, condition);
			/* IS TRUE keeps the planner from turning it into a join. */
			edge->match_hashed = psprintf("(%s) IS TRUE%s", by_hash, condition);
		}
	}
}

/* Which of its columns the parent's batches carry along; the number of this one. */
static int
add_key(GraphBuilder *builder, DeletionTable *parent, const ColumnPair *pair)
{
	Oid type;
	Oid right;
	DeletionKey *key;
	ListCell *lc;

	op_input_types(pair->equal, &type, &right);
	if (IsPolymorphicType(type))
		type = getBaseType(pair->parent_type);

	foreach(lc, parent->keys)
	{
		key = lfirst(lc);
		if (key->type == type && strcmp(key->column, pair->parent) == 0)
			return foreach_current_index(lc);
	}

	key = palloc(sizeof(DeletionKey));
	key->column = pstrdup(pair->parent);
	key->expression =
		psprintf("c.%s::%s", quote_identifier(pair->parent), catalogue_type_name(type));
	key->type = type;
	key->array_type = get_array_type(type);
	get_typlenbyvalalign(type, &key->typlen, &key->typbyval, &key->typalign);

	/* A professor is found before it is known in which leaf. */
	if (list_member_ptr(builder->graph->roots, parent))
	{
		List *keys = lappend(parent->keys, key);

		foreach(lc, builder->graph->roots)
			((DeletionTable *) lfirst(lc))->keys = keys;
	}
	else
		parent->keys = lappend(parent->keys, key);

	return list_length(parent->keys) - 1;
}

/* "c.column = ANY (values)", or NULL where that cannot be said. */
static char *
any_condition(const ColumnPair *pair, const char *values)
{
	Oid commutator = get_commutator(pair->equal);
	Oid left;
	Oid right;
	StringInfoData clause;
	char *column = psprintf("c.%s", quote_identifier(pair->child));

	if (!OidIsValid(commutator))
		return NULL;
	if (pair->parent_collation != pair->child_collation && OidIsValid(pair->parent_collation))
		column =
			psprintf("(%s COLLATE %s)", column, catalogue_collation_name(pair->parent_collation));

	op_input_types(commutator, &left, &right);
	initStringInfo(&clause);
	generate_operator_clause(&clause, column, pair->child_type, commutator,
							 psprintf("ANY (%s)", values), right);

	return clause.data;
}

/* Is there an index whose first columns are the child's, in any order? */
static bool
has_index(Oid relid, const List *pairs)
{
	Relation rel = table_open(relid, NoLock);
	List *indexes = RelationGetIndexList(rel);
	bool found = false;
	ListCell *lc;

	foreach(lc, indexes)
	{
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		found = found || index_serves((Form_pg_index) GETSTRUCT(tuple), tuple, relid, pairs);
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	table_close(rel, NoLock);

	return found;
}

static bool
index_serves(const FormData_pg_index *index, HeapTuple tuple, Oid relid, const List *pairs)
{
	bool isnull;
	oidvector *opclasses;
	oidvector *collations;
	ListCell *lc;

	if (!index->indisvalid || index->indnkeyatts < list_length(pairs) ||
		!heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
		return false;
	opclasses = (oidvector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &isnull));
	collations = (oidvector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indcollation, &isnull));

	foreach(lc, pairs)
	{
		const ColumnPair *pair = lfirst(lc);
		AttrNumber attnum = get_attnum(relid, pair->child);
		bool found = false;

		for (int i = 0; i < list_length(pairs); i++)
			found =
				found || (index->indkey.values[i] == attnum &&
						  collations->values[i] == pair->parent_collation &&
						  op_in_opfamily(pair->equal, get_opclass_family(opclasses->values[i])));
		if (!found)
			return false;
	}

	return true;
}

static bool
is_also_delete(const Attachment *attachment, Oid relid, const List *pairs)
{
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, attachment->also_delete)
	{
		const AlsoDeleteBinding *binding = lfirst(lc);
		bool same = binding->relid == relid && list_length(binding->columns) == list_length(pairs);
		ListCell *lc3;

		forboth(lc2, binding->columns, lc3, pairs)
			same = same && strcmp(lfirst(lc2), ((ColumnPair *) lfirst(lc3))->child) == 0;
		if (same)
			return true;
	}
	return false;
}

/*
 * Decides what is walked and in which order.
 *
 * An edge that closes a cycle of deletions is left to the server, and so is
 * one whose key has no array type.  Tables are numbered children first, with
 * NO ACTION edges counted too, so that a row that would block goes before the
 * row that it refers to.
 */
static void
order_tables(GraphBuilder *builder)
{
	DeletionGraph *graph = builder->graph;
	List *ordered = NIL;
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);
			List *visited = NIL;
			bool cyclic = edge->action != EDGE_BLOCK && reaches(edge->child, table, &visited);

			list_free(visited);
			edge->walked = edge->action != EDGE_BLOCK && !cyclic && has_array_types(edge);
			if (!edge->walked && edge->beyond_schema)
				ereport(ERROR,
						errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
							   catalogue_relation_name(edge->child->relid)),
						cyclic ? errdetail("It is part of a cycle of deletions.")
							   : errdetail("Its type has no array type."));
			if (cyclic)
				edge->child->in_cycle = table->in_cycle = true;
		}
	}

	foreach(lc, builder->graph->roots)
		number_table(lfirst(lc), &ordered);
	graph->tables = ordered;
	foreach(lc, ordered)
		((DeletionTable *) lfirst(lc))->order = foreach_current_index(lc);

	/* Children come first, so what is below a table is known when we reach it. */
	foreach(lc, ordered)
	{
		DeletionTable *table = lfirst(lc);

		list_sort(table->children, compare_edges);
		table->quiet_below = true;
		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);

			if (edge->action != EDGE_BLOCK &&
				(edge->child->has_triggers || !edge->child->quiet_below))
				table->quiet_below = false;
		}
		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);

			edge->provable = edge->provable && edge->walked && OidIsValid(edge->constraint) &&
							 table->quiet_below && !table->has_before_triggers &&
							 !table->in_cycle && !edge->child->in_cycle && !table->partition &&
							 !edge->child->partition;
		}
	}
}

static bool
has_array_types(const DeletionEdge *edge)
{
	ListCell *lc;

	foreach(lc, edge->keys)
	{
		if (!OidIsValid(((DeletionKey *) list_nth(edge->parent->keys, lfirst_int(lc)))->array_type))
			return false;
	}
	return true;
}

/* Depth first: appends a table when everything below it is in the list. */
static void
number_table(DeletionTable *table, List **ordered)
{
	ListCell *lc;

	check_stack_depth();
	if (table->order != 0)
		return;
	table->order = -1; /* on the way down */
	foreach(lc, table->children)
		number_table(((DeletionEdge *) lfirst(lc))->child, ordered);
	*ordered = lappend(*ordered, table);
}

static int
compare_labels(const ListCell *a, const ListCell *b)
{
	const DeletionEdge *left = lfirst(a);
	const DeletionEdge *right = lfirst(b);
	int order = strcmp(left->label, right->label);

	return order != 0 ? order : oid_cmp(&left->child->relid, &right->child->relid);
}

static int
compare_edges(const ListCell *a, const ListCell *b)
{
	const DeletionEdge *left = lfirst(a);
	const DeletionEdge *right = lfirst(b);

	return left->child->order - right->child->order;
}

/* Can deletions from one table come down to the other? */
static bool
reaches(const DeletionTable *from, const DeletionTable *to, List **visited)
{
	ListCell *lc;

	check_stack_depth();
	if (from == to)
		return true;
	if (list_member_ptr(*visited, from))
		return false;
	*visited = lappend(*visited, unconstify(DeletionTable *, from));
	foreach(lc, from->children)
	{
		const DeletionEdge *edge = lfirst(lc);

		if (edge->action == EDGE_DELETE && reaches(edge->child, to, visited))
			return true;
	}
	return false;
}
