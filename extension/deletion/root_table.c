/*
 * root_table.c
 *		Which relations a deletion may begin in, and by what it knows their rows.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static void check_kind(const RootRelation *root);
static bool is_reserved(const Attachment *attachment, Oid relid);
static char *single_key_column(Oid relid);
static RootColumn root_column(Oid relid, const char *column);

/*
 * Makes a relation the root's of a graph, locked.  It must be a table of the
 * application's, or the error is 42809; without a column that names its rows they
 * are known by their primary key, which must then be of one column, or the error
 * is 0A000.
 */
void
catalogue_check_root(GraphBuilder *builder, const RootRelation *root)
{
	DeletionGraph *graph = builder->graph;
	const char *key = root->key;
	const char *identity = root->identity;

	catalogue_depend_on_relation(graph->base.dependencies, root->relid);
	LockRelationOid(root->relid, builder->lockmode);
	check_kind(root);
	if (is_reserved(builder->attachment, root->relid))
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("cannot delete from \"%s\"", catalogue_relation_name(root->relid)),
				errdetail("It belongs to the server, to the extension or to another session."));

	if (key == NULL)
		key = identity = single_key_column(root->relid);
	graph->root = root->relid;
	graph->by_primary_key = root->key == NULL;
	graph->key = root_column(root->relid, key);
	graph->identity = root_column(root->relid, identity);
}

/* An error of its own where the relation is gone: the caller has named it, not the mapping. */
static void
check_kind(const RootRelation *root)
{
	char	   *name = get_rel_name(root->relid);
	char		relkind = get_rel_relkind(root->relid);

	if (name == NULL && root->key != NULL)
		(void) catalogue_relation_name(root->relid);	/* the mapping's */
	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", root->relid));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is not a table", name),
				errdetail("A deletion needs an ordinary or a partitioned table."));
}

/* Is it a table whose rows mean something to others than the application? */
static bool
is_reserved(const Attachment *attachment, Oid relid)
{
	Oid			schema = get_rel_namespace(relid);

	return IsCatalogNamespace(schema) || IsToastNamespace(schema) ||
		isOtherTempNamespace(schema) ||
		schema == get_namespace_oid("information_schema", true) ||
		schema == get_namespace_oid("catalogue", true) ||
		relid == attachment->deleted_files || relid == attachment->professor_purges;
}

static char *
single_key_column(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *key = catalogue_primary_key(rel);

	table_close(rel, NoLock);
	if (list_length(key) != 1)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("table \"%s\" has no primary key of exactly one column",
					   catalogue_relation_name(relid)),
				errdetail("A deletion knows a row by its primary key."));

	return get_attname(relid, linitial_int(key), false);
}

/*
 * Values of a domain are read as its base type: one that it does not allow is nobody's.
 * The column is compared as that too, since a domain over an enum has no operators.
 */
static RootColumn
root_column(Oid relid, const char *column)
{
	Oid			declared = get_atttype(relid, catalogue_column_number(relid, column));
	RootColumn	result = {
		.name = pstrdup(column),
		.expression = psprintf("t.%s", quote_identifier(column)),
		.type = getBaseType(declared),
	};

	if (result.type != declared)
		result.expression = psprintf("%s::%s", result.expression, catalogue_type_name(result.type));

	return result;
}

/* The numbers of the primary key's columns; NIL without one. */
List *
catalogue_primary_key(Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		index = (Form_pg_index) GETSTRUCT(tuple);
		for (int i = 0; index->indisprimary && i < index->indnkeyatts; i++)
			columns = lappend_int(columns, index->indkey.values[i]);
		ReleaseSysCache(tuple);
	}
	list_free(indexes);

	return columns;
}
