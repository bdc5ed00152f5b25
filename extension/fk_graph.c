/*
 * fk_graph.c
 *		What a professor's deletion reaches: the foreign keys below the
 *		professors table, and the mapping's own edges, as a graph.
 *
 * The graph is read from the catalogs with the newest snapshot, by queries
 * that name everything in full, and kept for the backend's life, one for
 * each attachment, in a memory context of its own below CacheMemoryContext.
 * Every ALTER TABLE, CREATE TRIGGER or CREATE INDEX that could change it sends
 * a relcache message for one of its tables; the callback raises a counter,
 * and the next caller builds anew.  A graph in use stays until it is released.
 *
 * Locking: the caller's lock mode is taken on every table of the graph.  With
 * RowExclusiveLock nobody can add a foreign key to one of them until the end
 * of the transaction, so what was read stays true that long.
 */
#include "deletion.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* One row for a table; a partitioned table has none, its leaves have theirs. */
static const char *const table_query =
	"SELECT t.relid::oid, coalesce(pg_partition_root(t.relid), t.relid)::oid, c.relowner,"
	" format('ONLY %I.%I', n.nspname, c.relname), c.relkind = 'r', c.relispartition,"
	" (SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY u.i)"
	"  FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS u (attnum, i), pg_attribute a"
	"  WHERE i.indrelid = c.oid AND i.indisprimary AND u.i <= i.indnkeyatts"
	"  AND a.attrelid = c.oid AND a.attnum = u.attnum),"
	" EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal"
	"  AND g.tgenabled <> 'D' AND g.tgtype & 2 <> 0 AND g.tgtype & 8 <> 0)"
	" OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid),"
	" EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal"
	"  AND g.tgenabled <> 'D' AND g.tgtype & 24 <> 0)"
	" OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)"
	" FROM (SELECT $1::regclass UNION ALL"
	"  SELECT relid FROM pg_partition_tree($1::regclass) WHERE level > 0 AND isleaf) AS t (relid)"
	" JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
	" WHERE c.relkind <> 'p' ORDER BY 4";

/*
 * The foreign keys to a table or to what it is a partition of.  An index
 * serves an edge when the key's columns are its first ones.
 */
static const char *const edge_query =
	"SELECT k.oid, k.conname::text, k.conrelid, k.confdeltype,"
	" (SELECT string_agg(format('p.%I::%I.%I OPERATOR(%I.%s) c.%I::%I.%I%s', pa.attname,"
	"   ln.nspname, lt.typname, opn.nspname, o.oprname, ca.attname, rn.nspname, rt.typname,"
	"   CASE WHEN pa.attcollation <> ca.attcollation AND pa.attcollation <> 0"
	"    THEN (SELECT format(' COLLATE %I.%I', cn.nspname, cl.collname) FROM pg_collation cl"
	"     JOIN pg_namespace cn ON cn.oid = cl.collnamespace WHERE cl.oid = pa.attcollation) END),"
	"   ' AND ' ORDER BY u.i)"
	"  FROM ROWS FROM (unnest(k.conkey), unnest(k.confkey), unnest(k.conpfeqop))"
	"   WITH ORDINALITY AS u (childatt, parentatt, op, i)"
	"  JOIN pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.childatt"
	"  JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parentatt"
	"  JOIN pg_operator o ON o.oid = u.op JOIN pg_namespace opn ON opn.oid = o.oprnamespace"
	"  JOIN pg_type lt ON lt.oid = o.oprleft JOIN pg_namespace ln ON ln.oid = lt.typnamespace"
	"  JOIN pg_type rt ON rt.oid = o.oprright JOIN pg_namespace rn ON rn.oid = rt.typnamespace),"
	" (SELECT string_agg(format('%I = %s', a.attname,"
	"   CASE k.confdeltype WHEN 'n' THEN 'NULL' ELSE 'DEFAULT' END), ', ' ORDER BY u.i)"
	"  FROM unnest(coalesce(k.confdelsetcols, k.conkey)) WITH ORDINALITY AS u (attnum, i)"
	"  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),"
	" ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, i)"
	"  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.i),"
	" (to_jsonb(k) ->> 'conperiod') IS DISTINCT FROM 'true',"
	" k.condeferrable OR EXISTS (SELECT FROM pg_class c"
	"  WHERE c.oid IN (k.conrelid, k.confrelid) AND c.relkind = 'p'),"
	" (SELECT format('c.%I::%I.%I OPERATOR(%I.%s) ANY (ARRAY(SELECT p.%I::%I.%I', ca.attname,"
	"   rn.nspname, rt.typname, opn.nspname, o.oprname, pa.attname, ln.nspname, lt.typname)"
	"  FROM pg_attribute ca, pg_attribute pa, pg_operator o"
	"  JOIN pg_namespace opn ON opn.oid = o.oprnamespace"
	"  JOIN pg_type lt ON lt.oid = o.oprright JOIN pg_namespace ln ON ln.oid = lt.typnamespace"
	"  JOIN pg_type rt ON rt.oid = o.oprleft JOIN pg_namespace rn ON rn.oid = rt.typnamespace"
	"  WHERE cardinality(k.conkey) = 1 AND ca.attrelid = k.conrelid AND ca.attnum = k.conkey[1]"
	"  AND pa.attrelid = k.confrelid AND pa.attnum = k.confkey[1]"
	"  AND pa.attcollation = ca.attcollation AND lt.typtype = 'b' AND rt.typtype = 'b'"
	"  AND o.oid = (SELECT f.oprcom FROM pg_operator f WHERE f.oid = k.conpfeqop[1]))"
	" FROM pg_constraint k"
	" WHERE k.contype = 'f' AND k.conparentid = 0"
	" AND (to_jsonb(k) ->> 'conenforced') IS DISTINCT FROM 'false'"
	" AND k.confrelid IN (SELECT $1 UNION SELECT relid FROM pg_partition_ancestors($1::regclass))"
	" ORDER BY k.conname, k.oid";

static const char *const index_query =
	"SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisvalid"
	" AND i.indpred IS NULL AND (i.indkey::int2[])[0:cardinality($2) - 1] @> ARRAY("
	"  SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = ANY ($2)))";

static List *graphs = NIL;			/* of DeletionGraph *: the current ones */
static uint64 graph_generation = 0; /* raised by the callback */

/* Tables of all graphs, for the callback: plain memory, sorted. */
static Oid *watched_relids = NULL;
static int nwatched_relids = 0;

typedef struct GraphBuilder
{
	DeletionGraph *graph;
	const Attachment *attachment;
	LOCKMODE lockmode;
	List *roots;  /* of DeletionTable *: the professors table, or its leaves */
	List *losing; /* of DeletionTable *: lose rows, edges not read yet */
} GraphBuilder;

static DeletionGraph *build_graph(const Attachment *attachment, LOCKMODE lockmode);
static List *add_tables(GraphBuilder *builder, Oid relid);
static void add_foreign_keys(GraphBuilder *builder, DeletionTable *parent);
static void add_references_of_mapping(GraphBuilder *builder, DeletionTable *parent);
static void add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column,
						  Oid child, const char *column, const char *condition);
static void add_edge(GraphBuilder *builder, DeletionTable *parent, Oid child,
					 const DeletionEdge *model, Datum columns);
static char *equality(Oid parent, const char *parent_column, Oid child, const char *column);
static bool has_index(Oid relid, Datum columns);
static bool has_foreign_key(const DeletionTable *parent, Oid relid, const char *column);
static bool is_also_delete(const Attachment *attachment, Oid relid, ArrayType *columns);
static void order_tables(GraphBuilder *builder);
static void number_table(DeletionTable *table, List **ordered);
static int compare_edges(const ListCell *a, const ListCell *b);
static bool reaches(const DeletionTable *from, const DeletionTable *to, List **visited);
static SPITupleTable *run_catalog_query(const char *query, int nargs, Oid *argtypes, Datum *args);
static void watch_tables(void);
static void forget_graphs(void);
static void free_graph(DeletionGraph *graph);
static void free_plan(SPIPlanPtr plan);
static char *column_text(SPITupleTable *rows, uint64 row, int column);
static Datum column_datum(SPITupleTable *rows, uint64 row, int column);

/*
 * The graph of an attachment whose mapping has professors, built if need be,
 * with every table of it locked.  Release it when done, also after an ERROR.
 */
DeletionGraph *
catalogue_fk_graph_acquire(const Attachment *attachment, LOCKMODE lockmode)
{
	DeletionGraph *graph = NULL;
	ListCell *lc;

	/* Taking the locks reads the messages; one that counts means: again. */
	for (;;)
	{
		AcceptInvalidationMessages();
		foreach(lc, graphs)
		{
			if (((DeletionGraph *) lfirst(lc))->generation != graph_generation)
			{
				forget_graphs();
				break;
			}
		}

		graph = NULL;
		foreach(lc, graphs)
		{
			if (((DeletionGraph *) lfirst(lc))->attachment_serial == attachment->serial)
				graph = lfirst(lc);
		}

		if (graph != NULL)
		{
			foreach(lc, graph->tables)
				LockRelationOid(((DeletionTable *) lfirst(lc))->relid, lockmode);
		}
		else
		{
			MemoryContext oldcxt;
			uint64 generation = graph_generation;

			graph = build_graph(attachment, lockmode);
			graph->generation = generation;

			oldcxt = MemoryContextSwitchTo(TopMemoryContext);
			graphs = lappend(graphs, graph);
			MemoryContextSwitchTo(oldcxt);
			MemoryContextSetParent(graph->cxt, CacheMemoryContext);
			watch_tables();
		}

		if (graph->generation == graph_generation)
			break;
		CHECK_FOR_INTERRUPTS();
	}

	graph->users++;
	return graph;
}

bool
catalogue_fk_graph_is_current(const DeletionGraph *graph)
{
	return graph->generation == graph_generation;
}

void
catalogue_fk_graph_release(DeletionGraph *graph)
{
	Assert(graph->users > 0);
	if (--graph->users == 0 && graph->forgotten)
		free_graph(graph);
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

/* Called for every relcache message: compares and counts, nothing else. */
void
catalogue_fk_graph_relcache_callback(Oid relid)
{
	if (!OidIsValid(relid) ||
		(nwatched_relids > 0 &&
		 bsearch(&relid, watched_relids, nwatched_relids, sizeof(Oid), oid_cmp) != NULL))
		graph_generation++;
}

static DeletionGraph *
build_graph(const Attachment *attachment, LOCKMODE lockmode)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion graph",
											  ALLOCSET_SMALL_SIZES);
	DeletionGraph *graph = MemoryContextAllocZero(cxt, sizeof(DeletionGraph));
	GraphBuilder builder = {.graph = graph, .attachment = attachment, .lockmode = lockmode};
	MemoryContext oldcxt;
	int save_nestlevel = NewGUCNestLevel();

	graph->cxt = cxt;
	graph->attachment_serial = attachment->serial;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* The catalog queries are written in a good order: planning would cost more than running. */
	(void) set_config_option("join_collapse_limit", "1", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("from_collapse_limit", "1", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	oldcxt = MemoryContextSwitchTo(cxt);

	builder.roots = add_tables(&builder, attachment->professors);
	if (builder.roots == NIL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"", get_rel_name(attachment->professors)),
				errdetail("A deletion needs an ordinary or a partitioned table."));

	builder.losing = list_copy(builder.roots);
	while (builder.losing != NIL)
	{
		DeletionTable *table = linitial(builder.losing);

		CHECK_FOR_INTERRUPTS();
		builder.losing = list_delete_first(builder.losing);
		if (table->loses_rows)
			continue;
		table->loses_rows = true;
		add_foreign_keys(&builder, table);
		if (list_member_ptr(builder.roots, table))
			add_references_of_mapping(&builder, table);
	}

	order_tables(&builder);

	MemoryContextSwitchTo(oldcxt);
	SPI_finish();
	AtEOXact_GUC(true, save_nestlevel);

	return graph;
}

/*
 * The physical tables of a relation, locked, as new or known members of the
 * graph: itself, or its leaves.
 */
static List *
add_tables(GraphBuilder *builder, Oid relid)
{
	Oid argtypes[1] = {OIDOID};
	Datum args[1] = {ObjectIdGetDatum(relid)};
	SPITupleTable *rows;
	List *tables = NIL;

	LockRelationOid(relid, builder->lockmode);
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		(void) find_all_inheritors(relid, builder->lockmode, NULL);

	rows = run_catalog_query(table_query, lengthof(args), argtypes, args);
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		Oid member = DatumGetObjectId(column_datum(rows, i, 1));
		DeletionTable *table = catalogue_fk_graph_table(builder->graph, member);

		if (!DatumGetBool(column_datum(rows, i, 5)))
			ereport(ERROR,
					errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot delete from \"%s\"", get_rel_name(member)),
					errdetail("A deletion needs an ordinary or a partitioned table."));
		if (table == NULL)
		{
			table = palloc0(sizeof(DeletionTable));
			table->relid = member;
			table->reported = DatumGetObjectId(column_datum(rows, i, 2));
			table->owner = DatumGetObjectId(column_datum(rows, i, 3));
			table->name = column_text(rows, i, 4);
			table->partition = DatumGetBool(column_datum(rows, i, 6));
			table->order_by = column_text(rows, i, 7);
			table->has_before_triggers = DatumGetBool(column_datum(rows, i, 8));
			table->has_triggers = DatumGetBool(column_datum(rows, i, 9));
			builder->graph->tables = lappend(builder->graph->tables, table);
		}
		tables = lappend(tables, table);
	}
	SPI_freetuptable(rows);

	return tables;
}

static void
add_foreign_keys(GraphBuilder *builder, DeletionTable *parent)
{
	Oid argtypes[1] = {OIDOID};
	Datum args[1] = {ObjectIdGetDatum(parent->relid)};
	SPITupleTable *rows;

	rows = run_catalog_query(edge_query, lengthof(args), argtypes, args);
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		DeletionEdge model = {0};
		Oid child;
		char deltype;
		Datum columns;
		bool doubtful;

		model.constraint = DatumGetObjectId(column_datum(rows, i, 1));
		model.label = column_text(rows, i, 2);
		child = DatumGetObjectId(column_datum(rows, i, 3));
		deltype = DatumGetChar(column_datum(rows, i, 4));
		model.match = column_text(rows, i, 5);
		model.assignments = column_text(rows, i, 6);
		columns = datumCopy(column_datum(rows, i, 7), false, -1);
		model.comparable = DatumGetBool(column_datum(rows, i, 8));
		doubtful = DatumGetBool(column_datum(rows, i, 9));
		model.match_any = column_text(rows, i, 10);

		switch (deltype)
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
		if (model.action != EDGE_DELETE &&
			is_also_delete(builder->attachment, child, DatumGetArrayTypeP(columns)))
		{
			model.action = EDGE_DELETE;
			model.beyond_schema = true;
		}

		/* A default may be the very key that goes: its trigger has to look. */
		model.provable = !doubtful && deltype != FKCONSTR_ACTION_SETDEFAULT;
		add_edge(builder, parent, child, &model, columns);
	}
	SPI_freetuptable(rows);
}

/* The soft references, and the chapters where no foreign key covers their author. */
static void
add_references_of_mapping(GraphBuilder *builder, DeletionTable *parent)
{
	const Attachment *attachment = builder->attachment;
	ListCell *lc;

	if (OidIsValid(attachment->chapters) && attachment->chapters_author != NULL &&
		!has_foreign_key(parent, attachment->chapters, attachment->chapters_author))
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

static void
add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column, Oid child,
			  const char *column, const char *condition)
{
	DeletionEdge model = {.action = EDGE_DELETE, .beyond_schema = true, .comparable = true};
	Datum name = CStringGetTextDatum(column);

	model.label = pstrdup(column);
	model.match = equality(parent->relid, parent_column, child, column);
	if (condition != NULL)
		model.match = psprintf("%s AND %s", model.match, condition);
	add_edge(builder, parent, child, &model,
			 PointerGetDatum(construct_array(&name, 1, TEXTOID, -1, false, TYPALIGN_INT)));
}

/* Adds an edge to each physical table of child, modelled on *model. */
static void
add_edge(GraphBuilder *builder, DeletionTable *parent, Oid child, const DeletionEdge *model,
		 Datum columns)
{
	List *tables = add_tables(builder, child);
	ListCell *lc;

	foreach(lc, tables)
	{
		DeletionEdge *edge = palloc(sizeof(DeletionEdge));

		*edge = *model;
		edge->parent = parent;
		edge->child = lfirst(lc);
		edge->indexed = has_index(edge->child->relid, columns);
		parent->children = lappend(parent->children, edge);
		if (edge->action == EDGE_DELETE)
			builder->losing = lappend(builder->losing, edge->child);
	}
	list_free(tables);
}

/* "p.column = c.column" with the equality that the types' own indexes use. */
static char *
equality(Oid parent, const char *parent_column, Oid child, const char *column)
{
	Oid left = get_atttype(parent, get_attnum(parent, parent_column));
	Oid right = get_atttype(child, get_attnum(child, column));
	char *leftop = psprintf("p.%s", quote_identifier(parent_column));
	char *rightop = psprintf("c.%s", quote_identifier(column));
	Oid equal = InvalidOid;
	StringInfoData clause;

	initStringInfo(&clause);
	if (!OidIsValid(left) || !OidIsValid(right))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of relation \"%s\" does not exist",
					   OidIsValid(left) ? column : parent_column,
					   get_rel_name(OidIsValid(left) ? child : parent)),
				errhint("Run catalogue.attach() with the new name."));

	if (getBaseType(left) == getBaseType(right))
		equal = lookup_type_cache(left, TYPECACHE_EQ_OPR)->eq_opr;
	else
		equal =
			OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("=")), left, right);

	if (OidIsValid(equal))
		generate_operator_clause(&clause, leftop, left, equal, rightop, right);
	else
		appendStringInfo(&clause, "%s::pg_catalog.text OPERATOR(pg_catalog.=) %s::pg_catalog.text",
						 leftop, rightop);

	return clause.data;
}

static bool
has_index(Oid relid, Datum columns)
{
	Oid argtypes[2] = {OIDOID, TEXTARRAYOID};
	Datum args[2] = {ObjectIdGetDatum(relid), columns};
	SPITupleTable *rows;
	bool found;

	rows = run_catalog_query(index_query, lengthof(args), argtypes, args);
	found = DatumGetBool(column_datum(rows, 0, 1));
	SPI_freetuptable(rows);

	return found;
}

/* Does a foreign key already say what becomes of the rows of that relation? */
static bool
has_foreign_key(const DeletionTable *parent, Oid relid, const char *column)
{
	Oid argtypes[3] = {OIDOID, OIDOID, TEXTOID};
	Datum args[3] = {ObjectIdGetDatum(parent->reported), ObjectIdGetDatum(relid),
					 CStringGetTextDatum(column)};
	SPITupleTable *rows;
	bool found;

	rows = run_catalog_query("SELECT EXISTS (SELECT FROM pg_constraint k JOIN pg_attribute a"
							 " ON a.attrelid = k.conrelid AND a.attname = $3"
							 " WHERE k.contype = 'f' AND k.confrelid = $1 AND k.conrelid = $2"
							 " AND k.conkey = ARRAY[a.attnum])",
							 lengthof(args), argtypes, args);
	found = DatumGetBool(column_datum(rows, 0, 1));
	SPI_freetuptable(rows);

	return found;
}

static bool
is_also_delete(const Attachment *attachment, Oid relid, ArrayType *columns)
{
	Datum *names;
	int nnames;
	ListCell *lc;

	deconstruct_array(columns, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &nnames);
	foreach(lc, attachment->also_delete)
	{
		const AlsoDeleteBinding *binding = lfirst(lc);
		bool same = binding->relid == relid && list_length(binding->columns) == nnames;

		for (int i = 0; same && i < nnames; i++)
			same = strcmp(list_nth(binding->columns, i), TextDatumGetCString(names[i])) == 0;
		if (same)
			return true;
	}
	return false;
}

/*
 * Decides what is walked and in which order.
 *
 * An edge that closes a cycle of deletions is left to the server, and so is
 * one whose child has an owner who may not read the parent.  Tables are
 * numbered children first, with NO ACTION edges counted too, so that a row
 * that would block goes before the row that it refers to.
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
			edge->walked =
				edge->action != EDGE_BLOCK && !cyclic &&
				pg_class_aclcheck(table->relid, edge->child->owner, ACL_SELECT) == ACLCHECK_OK;
			if (!edge->walked && edge->action != EDGE_BLOCK && !cyclic && edge->beyond_schema)
				aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(table->relid));
			if (cyclic && edge->beyond_schema)
				ereport(ERROR,
						errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot also delete through \"%s\" of \"%s\"", edge->label,
							   get_rel_name(edge->child->relid)),
						errdetail("It is part of a cycle of deletions."));
			if (cyclic)
				edge->child->in_cycle = table->in_cycle = true;
		}
	}

	foreach(lc, builder->roots)
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

			if (edge->walked && (edge->child->has_triggers || !edge->child->quiet_below))
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

/* The rows of a query on the catalogs, as of now; the caller frees them. */
static SPITupleTable *
run_catalog_query(const char *query, int nargs, Oid *argtypes, Datum *args)
{
	MemoryContext oldcxt = CurrentMemoryContext;
	SPIPlanPtr plan = SPI_prepare(query, nargs, argtypes);
	int ret;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	ret = SPI_execute_snapshot(plan, args, NULL, GetLatestSnapshot(), InvalidSnapshot, true, false,
							   0);
	if (ret != SPI_OK_SELECT)
		elog(ERROR, "reading the foreign keys failed: %s", SPI_result_code_string(ret));
	SPI_freeplan(plan);
	MemoryContextSwitchTo(oldcxt);

	return SPI_tuptable;
}

/* Tells the callback which tables to look for. */
static void
watch_tables(void)
{
	int n = 0;
	Oid *relids;
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, graphs)
		n += 2 * list_length(((DeletionGraph *) lfirst(lc))->tables);
	relids = MemoryContextAlloc(TopMemoryContext, Max(n, 1) * sizeof(Oid));
	n = 0;
	foreach(lc, graphs)
	{
		foreach(lc2, ((DeletionGraph *) lfirst(lc))->tables)
		{
			relids[n++] = ((DeletionTable *) lfirst(lc2))->relid;
			relids[n++] = ((DeletionTable *) lfirst(lc2))->reported;
		}
	}
	qsort(relids, n, sizeof(Oid), oid_cmp);

	if (watched_relids != NULL)
		pfree(watched_relids);
	watched_relids = relids;
	nwatched_relids = n;
}

static void
forget_graphs(void)
{
	ListCell *lc;

	foreach(lc, graphs)
	{
		DeletionGraph *graph = lfirst(lc);

		graph->forgotten = true;
		if (graph->users == 0)
			free_graph(graph);
	}
	list_free(graphs);
	graphs = NIL;
	watch_tables();
}

static void
free_graph(DeletionGraph *graph)
{
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, graph->tables)
	{
		DeletionTable *table = lfirst(lc);

		free_plan(table->delete_batch);
		foreach(lc2, table->children)
		{
			DeletionEdge *edge = lfirst(lc2);

			free_plan(edge->read);
			free_plan(edge->lock);
			free_plan(edge->apply);
			free_plan(edge->delete_by_index);
		}
	}
	MemoryContextDelete(graph->cxt);
}

static void
free_plan(SPIPlanPtr plan)
{
	if (plan != NULL)
		SPI_freeplan(plan);
}

/* A text column, copied; NULL for a null. */
static char *
column_text(SPITupleTable *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(rows->vals[row], rows->tupdesc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* A column that is never null. */
static Datum
column_datum(SPITupleTable *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(rows->vals[row], rows->tupdesc, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of the foreign keys", column);
	return value;
}
