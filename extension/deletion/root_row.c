/*
 * root_row.c
 *		The statements on the root, the row that all else depends on.
 *
 * The caller must be allowed to see the row and to delete it: those two
 * statements are parsed, planned and run as the caller.  It is found and locked as
 * the table's owner.
 *
 * A purge finds its root again after each commit.  It does so by a column that
 * names the same row still when somebody has given it another key.
 */
#include "deletion/deletion.h"
#include "deletion/run.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/typcache.h"

/* Columns of a root that was found; the values that other rows refer to follow. */
enum
{
	FOUND_RELID,
	FOUND_KEY,
	FOUND_IDENTITY,
	FOUND_TID
};

static void lock_out_others(const Deletion *deletion);
static bool is_visible(Deletion *deletion);
static bool locate_root(Deletion *deletion, RootStatement statement);
static bool locate_in_child(Deletion *deletion, RootStatement statement, DeletionTable *child);
static void note_root(Deletion *deletion, DeletionTable *table);
static char *keep_text(const Deletion *deletion, char *known, int column);
static uint64 run_on_root(Deletion *deletion, RootStatement statement, List *redundant);
static bool is_deletion(RootStatement statement);
static bool stays_in_place(const Deletion *deletion);
static uint64 delete_row(const Deletion *deletion, SPIPlanPtr plan, ParamListInfo params,
						 List *redundant);
static char *root_query(const DeletionGraph *graph, RootStatement statement, const char *relation,
						const DeletionTable *table);
static Oid	equality_operator(Oid type);
static const RootColumn *root_column(const DeletionGraph *graph, RootStatement statement);
static ParamListInfo root_params(const Deletion *deletion, RootStatement statement);

/*
 * Finds the root and notes where it is; false when there is none that the caller
 * can see.
 */
bool
catalogue_find_root(Deletion *deletion)
{
	return is_visible(deletion) && locate_root(deletion, ROOT_FIND);
}

/* The same, and locks it. */
bool
catalogue_lock_root(Deletion *deletion)
{
	lock_out_others(deletion);

	return is_visible(deletion) && locate_root(deletion, ROOT_LOCK);
}

/*
 * Locks the root that was found in a transaction before, whatever its key is now;
 * false when it is gone.
 */
bool
catalogue_lock_root_again(Deletion *deletion)
{
	if (strcmp(deletion->graph->identity.name, deletion->identity_column) != 0)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("%s cannot be found again", catalogue_describe_root(deletion)),
				errdetail("It was known by column \"%s\", which has been replaced meanwhile.",
						  deletion->identity_column),
				errhint("Call the procedure again."));
	lock_out_others(deletion);

	return locate_root(deletion, deletion->identity != NULL ? ROOT_LOCK_BY_IDENTITY : ROOT_LOCK);
}

/*
 * Deletes the row with the caller's own rights, once all that depends on it has
 * been deleted.
 */
void
catalogue_delete_root(Deletion *deletion, List *redundant)
{
	Oid			relid = deletion->relid;

	if (run_on_root(deletion, stays_in_place(deletion) ? ROOT_DELETE_BY_TID : ROOT_DELETE,
					redundant) > 0)
		return;

	if (check_enable_rls(relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("row-level security policy for table \"%s\" keeps %s",
					   catalogue_relation_name(relid), catalogue_describe_root(deletion)));
	ereport(ERROR,
			errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("a trigger or rule on table \"%s\" keeps %s",
				   catalogue_relation_name(relid), catalogue_describe_root(deletion)));
}

/*
 * Two deletions can meet in the same rows from opposite sides (two professors'
 * comments on each other's chapters), and any two roots can, so only one at a time
 * works for an attachment: it holds a lock on the outbox as an object, which
 * nothing else takes, to the end of its transaction.
 */
static void
lock_out_others(const Deletion *deletion)
{
	LockDatabaseObject(RelationRelationId, deletion->attachment->deleted_files, 0,
					   ShareUpdateExclusiveLock);
}

/* Does the caller see the row?  Column privileges and policies are theirs. */
static bool
is_visible(Deletion *deletion)
{
	const DeletionGraph *graph = deletion->graph;
	AttrNumber	key = catalogue_column_number(graph->root, graph->key.name);
	bool		visible;

	/*
	 * Where they may read it and no policy applies, they see whatever is
	 * there.  Where they may not, the statement says so.
	 */
	if (object_aclcheck(NamespaceRelationId, get_rel_namespace(graph->root), deletion->caller,
						ACL_USAGE) == ACLCHECK_OK &&
		catalogue_may_select(graph->root, deletion->caller, &key, 1) &&
		check_enable_rls(graph->root, deletion->caller, true) != RLS_ENABLED)
		return true;

	visible = run_on_root(deletion, ROOT_SEE, NIL) > 0;
	SPI_freetuptable(SPI_tuptable);

	return visible;
}

/* Finds the row by a statement that runs as the table's owner. */
static bool
locate_root(Deletion *deletion, RootStatement statement)
{
	const DeletionTable *first = linitial(deletion->graph->root_tables);
	SavedUser	saved;
	uint64		rows;
	bool		found;

	catalogue_switch_to_owner(deletion->relid, &saved);
	rows = run_on_root(deletion, statement, NIL);
	catalogue_restore_user(&saved);

	/* A key is unique in each table, but not among inheritance children. */
	if (rows > 1)
		ereport(ERROR,
				errcode(ERRCODE_CARDINALITY_VIOLATION),
				errmsg("more than one row of table \"%s\" has the key \"%s\"",
					   catalogue_relation_name(deletion->relid), deletion->current_key));
	found = rows > 0;
	if (found)
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
														   SPI_tuptable->tupdesc,
														   FOUND_RELID + 1, &isnull));
		DeletionTable *table = catalogue_graph_table(deletion->graph, relid);

		/* Neither partitions nor children need a lock that ours keeps out. */
		if (table == NULL)
			ereport(ERROR,
					errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("%s is in a table that has just been made part of \"%s\"",
						   catalogue_describe_root(deletion),
						   catalogue_relation_name(deletion->relid)),
					errhint("The transaction might succeed if retried."));
		if (table->keys == first->keys)
			note_root(deletion, table);
		else
			found = locate_in_child(deletion, statement, table);
	}
	SPI_freetuptable(SPI_tuptable);

	return found;
}

/*
 * An inheritance child has foreign keys of its own to it, and so other values that
 * rows refer to: it is asked once more for those.
 */
static bool
locate_in_child(Deletion *deletion, RootStatement statement, DeletionTable *child)
{
	SPIExecuteOptions options = {.params = root_params(deletion, statement)};
	SavedUser	saved;
	bool		found;

	SPI_freetuptable(SPI_tuptable);
	catalogue_switch_to_owner(child->relid, &saved);
	found = catalogue_execute(root_query(deletion->graph, statement, child->name, child), &options) > 0;
	catalogue_restore_user(&saved);
	if (found)
		note_root(deletion, child);

	return found;
}

/* Where the row is that SPI has read, its keys, and for a purge what it is known by. */
static void
note_root(Deletion *deletion, DeletionTable *table)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));

	heap_deform_tuple(SPI_tuptable->vals[0], desc, values, isnull);
	deletion->root_table = table;
	/* In a new graph the row may have other keys. */
	catalogue_free_batch(&deletion->root);
	catalogue_append_to_batch(&deletion->root, table, deletion->cxt, values + FOUND_TID,
							  isnull + FOUND_TID);

	if (deletion->commit != NULL)
	{
		deletion->current_key = keep_text(deletion, deletion->current_key, FOUND_KEY);
		deletion->identity = keep_text(deletion, deletion->identity, FOUND_IDENTITY);
		if (deletion->identity_column == NULL)
			deletion->identity_column = MemoryContextStrdup(deletion->cxt,
															deletion->graph->identity.name);
	}
}

/*
 * A column of the row that SPI has read, as text that outlives the transaction: what
 * is known of it already, where that is the same.
 */
static char *
keep_text(const Deletion *deletion, char *known, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column + 1);

	if (value == NULL || (known != NULL && strcmp(value, known) == 0))
		return known;

	return MemoryContextStrdup(deletion->cxt, value);
}

/* Runs a statement on the root as the current user; returns the number of rows. */
static uint64
run_on_root(Deletion *deletion, RootStatement statement, List *redundant)
{
	const DeletionGraph *graph = deletion->graph;
	SPIPlanPtr *plan = &deletion->graph->root_statements[statement];
	ParamListInfo params = root_params(deletion, statement);
	SPIExecuteOptions options = {.params = params};

	if (*plan == NULL)
	{
		Oid			types[] = {root_column(graph, statement)->type, TIDOID};

		*plan = catalogue_prepare(graph->base.cxt,
								  root_query(graph, statement,
											 catalogue_qualified_relation_name(graph->root),
											 linitial(graph->root_tables)),
								  params->numParams, types,
								  statement == ROOT_DELETE ? 0 : CURSOR_OPT_GENERIC_PLAN);
	}
	if (is_deletion(statement))
		return delete_row(deletion, *plan, params, redundant);

	catalogue_plan_by_index(*plan, false);
	return catalogue_execute_plan(*plan, &options);
}

static bool
is_deletion(RootStatement statement)
{
	return statement == ROOT_DELETE || statement == ROOT_DELETE_BY_TID;
}

/*
 * Is the row where it was locked, since nothing has changed it, and may the caller
 * say so?  To name a system column needs SELECT on the whole table.
 */
static bool
stays_in_place(const Deletion *deletion)
{
	const DeletionTable *table = deletion->root_table;

	return table->no_triggers_below && !table->has_triggers && !table->in_cycle &&
		!table->updated &&
		pg_class_aclcheck(deletion->relid, deletion->caller, ACL_SELECT) == ACLCHECK_OK;
}

/* Runs the DELETE, in a context of its own. */
static uint64
delete_row(const Deletion *deletion, SPIPlanPtr plan, ParamListInfo params, List *redundant)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion statement",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	const StatementRun run = {
		.plan = plan,
		.operation = CMD_DELETE,
		.relid = deletion->graph->root,
		.params = params,
		.redundant = redundant,
		.part_of_statement = deletion->one_statement,
	};
	uint64		rows = catalogue_run_statement(&run);

	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(cxt);

	return rows;
}

/* A statement on the root in a relation, with the keys of one of its tables. */
static char *
root_query(const DeletionGraph *graph, RootStatement statement, const char *relation,
		   const DeletionTable *table)
{
	const RootColumn *column = root_column(graph, statement);
	StringInfoData query;

	initStringInfo(&query);
	switch (statement)
	{
		case ROOT_SEE:
			appendStringInfoString(&query, "SELECT 1");
			break;
		case ROOT_FIND:
		case ROOT_LOCK:
		case ROOT_LOCK_BY_IDENTITY:
			appendStringInfo(&query, "SELECT t.tableoid, t.%s, t.%s, t.ctid%s",
							 quote_identifier(graph->key.name),
							 quote_identifier(graph->identity.name),
							 catalogue_key_columns(table->keys));
			break;
		case ROOT_DELETE:
		case ROOT_DELETE_BY_TID:
			appendStringInfoString(&query, "DELETE");
			break;
		case ROOT_NSTATEMENTS:
			Assert(false);
	}
	appendStringInfo(&query, " FROM %s AS t WHERE ", relation);
	if (statement == ROOT_DELETE_BY_TID)
		appendStringInfoString(&query, "t.ctid OPERATOR(pg_catalog.=) $2 AND ");
	generate_operator_clause(&query, column->expression, column->type,
							 equality_operator(column->type), "$1", column->type);
	if (statement == ROOT_LOCK || statement == ROOT_LOCK_BY_IDENTITY)
		appendStringInfoString(&query, " FOR UPDATE");

	return query.data;
}

/* The type cache finds out for varchar too, but by going through all that there is. */
static Oid
equality_operator(Oid type)
{
	if (type == VARCHAROID)
		return TextEqualOperator;

	return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* The column by which a statement knows the root. */
static const RootColumn *
root_column(const DeletionGraph *graph, RootStatement statement)
{
	return statement == ROOT_LOCK_BY_IDENTITY ? &graph->identity : &graph->key;
}

/* Its value there; an error of the type's own, 22P02 for most, where the caller's is none. */
static ParamListInfo
root_params(const Deletion *deletion, RootStatement statement)
{
	char	   *known_by = statement == ROOT_LOCK_BY_IDENTITY ? deletion->identity
		: deletion->current_key;
	const Oid	types[] = {root_column(deletion->graph, statement)->type, TIDOID};
	NullableDatum values[lengthof(types)] = {0};
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(types[0], &input, &ioparam);
	values[0].value = OidInputFunctionCall(input, known_by, ioparam, -1);
	if (statement == ROOT_DELETE_BY_TID)
		values[1].value = PointerGetDatum(&deletion->root.tids[0]);

	return catalogue_make_params(statement == ROOT_DELETE_BY_TID ? 2 : 1, types, values);
}
