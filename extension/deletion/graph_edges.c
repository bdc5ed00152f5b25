/*
 * graph_edges.c
 *		An edge of a graph: how it compares two tables, in SQL.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static void set_conditions(GraphBuilder *builder, DeletionEdge *edge, const List *pairs);
static int	add_key(GraphBuilder *builder, DeletionTable *referenced, const ColumnPair *pair);
static char *any_condition(const ColumnPair *pair, const char *values);
static bool has_index(Oid relid, const List *pairs);
static void find_probe(Oid relid, const ColumnPair *pair, IndexProbe *probe);
static bool is_btree(Oid index);
static void check_probe(HeapTuple tuple, AttrNumber attnum, const ColumnPair *pair,
						IndexProbe *probe);
static bool index_serves(const FormData_pg_index *index, HeapTuple tuple, Oid relid,
						 const List *pairs);

/* Adds an edge from each physical table of a referencing one, modelled on *model. */
void
catalogue_add_edge(GraphBuilder *builder, DeletionTable *referenced, Oid referencing,
				   DeletionEdge *model, const List *pairs)
{
	/* A foreign key is not inherited; what the mapping names is. */
	List	   *tables =
		catalogue_add_tables(builder, referencing, !OidIsValid(model->constraint));
	ListCell   *lc;

	model->referenced = referenced;
	model->named = referencing;
	set_conditions(builder, model, pairs);

	foreach(lc, tables)
	{
		DeletionEdge *edge = palloc(sizeof(DeletionEdge));

		*edge = *model;
		edge->referencing = lfirst(lc);
		edge->indexed = has_index(edge->referencing->relid, pairs);
		if (list_length(pairs) == 1)
			find_probe(edge->referencing->relid, linitial(pairs), &edge->probe);
		referenced->edges = lappend(referenced->edges, edge);
		if (edge->action == EDGE_DELETE)
			builder->worklist = lappend(builder->worklist, edge->referencing);
	}
	list_free(tables);
}

/*
 * How the edge compares referenced and referencing rows: as r and t, and where
 * SQL can say it, as t and an array of keys.
 */
static void
set_conditions(GraphBuilder *builder, DeletionEdge *edge, const List *pairs)
{
	const char *condition = edge->condition != NULL ? psprintf(" AND %s", edge->condition) : "";
	StringInfoData match;
	ListCell   *lc;

	initStringInfo(&match);
	foreach(lc, pairs)
	{
		const ColumnPair *pair = lfirst(lc);

		if (match.len > 0)
			appendStringInfoString(&match, " AND ");
		generate_operator_clause(&match, psprintf("r.%s", quote_identifier(pair->referenced)),
								 pair->referenced_type, pair->equal,
								 psprintf("t.%s", quote_identifier(pair->referencing)),
								 pair->referencing_type);
		if (pair->referenced_collation != pair->referencing_collation &&
			OidIsValid(pair->referenced_collation))
			appendStringInfo(&match, " COLLATE %s",
							 catalogue_collation_name(pair->referenced_collation));
		edge->keys = lappend_int(edge->keys, add_key(builder, edge->referenced, pair));
		edge->columns = lappend(edge->columns, pstrdup(pair->referencing));
	}
	edge->match = psprintf("%s%s", match.data, condition);

	if (list_length(pairs) == 1)
	{
		const ColumnPair *pair = linitial(pairs);
		char	   *by_index = any_condition(pair, "$1");
		char	   *by_hash = any_condition(pair, "SELECT k.k FROM pg_catalog.unnest($1) AS k (k)");

		if (by_index != NULL)
		{
			edge->match_any = psprintf("%s%s", by_index, condition);
			/* IS TRUE keeps the planner from turning it into a join. */
			edge->match_hashed = psprintf("(%s) IS TRUE%s", by_hash, condition);
		}
	}
}

/* Adds a column to those that batches of the referenced table carry along; its number. */
static int
add_key(GraphBuilder *builder, DeletionTable *referenced, const ColumnPair *pair)
{
	Oid			type;
	Oid			right;
	DeletionKey *key;
	ListCell   *lc;

	op_input_types(pair->equal, &type, &right);
	if (IsPolymorphicType(type))
		type = getBaseType(pair->referenced_type);

	foreach(lc, referenced->keys)
	{
		key = lfirst(lc);
		if (key->type == type && strcmp(key->column, pair->referenced) == 0)
			return foreach_current_index(lc);
	}

	key = palloc(sizeof(DeletionKey));
	key->column = pstrdup(pair->referenced);
	key->expression =
		psprintf("t.%s::%s", quote_identifier(pair->referenced), catalogue_type_name(type));
	key->type = type;
	key->array_type = get_array_type(type);
	get_typlenbyvalalign(type, &key->typlen, &key->typbyval, &key->typalign);

	/* Which leaf the root is in is not known before the row is found. */
	if (referenced->partition && list_member_ptr(builder->graph->root_tables, referenced))
	{
		List	   *keys = lappend(referenced->keys, key);

		foreach(lc, builder->graph->root_tables)
			((DeletionTable *) lfirst(lc))->keys = keys;
	}
	else
		referenced->keys = lappend(referenced->keys, key);

	return list_length(referenced->keys) - 1;
}

/* "t.column = ANY (values)", or NULL where the operator has no commutator. */
static char *
any_condition(const ColumnPair *pair, const char *values)
{
	Oid			commutator = get_commutator(pair->equal);
	Oid			left;
	Oid			right;
	StringInfoData clause;
	char	   *column = psprintf("t.%s", quote_identifier(pair->referencing));

	if (!OidIsValid(commutator))
		return NULL;
	if (pair->referenced_collation != pair->referencing_collation &&
		OidIsValid(pair->referenced_collation))
		column = psprintf("(%s COLLATE %s)", column,
						  catalogue_collation_name(pair->referenced_collation));

	op_input_types(commutator, &left, &right);
	initStringInfo(&clause);
	generate_operator_clause(&clause, column, pair->referencing_type, commutator,
							 psprintf("ANY (%s)", values), right);

	return clause.data;
}

/* Is there an index whose first columns are those that reference, in any order? */
static bool
has_index(Oid relid, const List *pairs)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		found = found || index_serves((Form_pg_index) GETSTRUCT(tuple), tuple, relid, pairs);
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	table_close(rel, NoLock);

	return found;
}

/* An index that has an entry for each row, by which a key of one column can be looked for. */
static void
find_probe(Oid relid, const ColumnPair *pair, IndexProbe *probe)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	AttrNumber	attnum = get_attnum(relid, pair->referencing);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		if (!OidIsValid(probe->index))
			check_probe(tuple, attnum, pair, probe);
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	table_close(rel, NoLock);
}

static bool
is_btree(Oid index)
{
	Relation	rel = index_open(index, AccessShareLock);
	bool		result = rel->rd_rel->relam == BTREE_AM_OID;

	index_close(rel, NoLock);

	return result;
}

/*
 * Fills a probe if an index serves.  One that was built where a HOT chain was
 * broken may have no entry yet for what an old snapshot sees.
 */
static void
check_probe(HeapTuple tuple, AttrNumber attnum, const ColumnPair *pair, IndexProbe *probe)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
	Oid			commutator = get_commutator(pair->equal);
	oidvector  *opclasses;
	oidvector  *collations;
	Oid			left;
	int			strategy;
	bool		isnull;
	Oid			family;

	if (!index->indisvalid || index->indcheckxmin || index->indkey.values[0] != attnum ||
		!OidIsValid(commutator) || !heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
		return;
	opclasses = (oidvector *) DatumGetPointer(
											  SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &isnull));
	collations = (oidvector *) DatumGetPointer(
											   SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indcollation, &isnull));
	family = get_opclass_family(opclasses->values[0]);
	if (collations->values[0] != pair->referenced_collation ||
		!is_btree(index->indexrelid) ||
		!op_in_opfamily(commutator, family))
		return;

	get_op_opfamily_properties(commutator, family, false, &strategy, &left, &probe->subtype);
	if (strategy != BTEqualStrategyNumber)
		return;
	probe->collation = collations->values[0];
	probe->equal = get_opcode(commutator);
	probe->index = index->indexrelid;
}

static bool
index_serves(const FormData_pg_index *index, HeapTuple tuple, Oid relid, const List *pairs)
{
	bool		isnull;
	oidvector  *opclasses;
	oidvector  *collations;
	ListCell   *lc;

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
		AttrNumber	attnum = get_attnum(relid, pair->referencing);
		bool		found = false;

		for (int i = 0; i < list_length(pairs); i++)
			found =
				found || (index->indkey.values[i] == attnum &&
						  collations->values[i] == pair->referenced_collation &&
						  op_in_opfamily(pair->equal, get_opclass_family(opclasses->values[i])));
		if (!found)
			return false;
	}

	return true;
}
