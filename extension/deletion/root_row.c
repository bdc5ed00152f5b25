/*
 * root_row.c
 *		The statements on the professor's own row.
 *
 * The caller must be allowed to see the row and to delete it; it is found and
 * locked as the table's owner.
 */
#include "deletion/deletion.h"
#include "deletion/run.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"

static bool locate_root(Deletion *deletion, RootStatement statement);
static uint64 run_on_root(Deletion *deletion, RootStatement statement, List *redundant);
static SPIPlanPtr prepare_on_root(const Deletion *deletion, RootStatement statement,
								  Oid type);

/*
 * Finds the professor's row and notes where it is; false when there is none
 * that the caller can see.
 */
bool
catalogue_find_root(Deletion *deletion)
{
	return locate_root(deletion, ROOT_FIND);
}

/*
 * The same, and locks it.
 *
 * Two deletions can meet in the same rows from opposite sides (each
 * professor's comments on the other's chapters), so only one at a time works
 * on a professors table: it holds a lock on the table as an object, which
 * nothing else takes, to the end of its transaction.
 */
bool
catalogue_lock_root(Deletion *deletion)
{
	LockDatabaseObject(RelationRelationId, deletion->attachment->professors, 0,
					   ShareUpdateExclusiveLock);

	return locate_root(deletion, ROOT_LOCK);
}

/*
 * Deletes the row with the caller's own rights, once all that depends on it has
 * been deleted.
 */
void
catalogue_delete_root(Deletion *deletion, List *redundant)
{
	Oid			relid = deletion->attachment->professors;

	if (run_on_root(deletion, ROOT_DELETE, redundant) > 0)
		return;

	if (check_enable_rls(relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("row-level security policy for table \"%s\" keeps professor \"%s\"",
					   catalogue_relation_name(relid), deletion->key));
	ereport(ERROR,
			errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("a trigger or rule on table \"%s\" keeps professor \"%s\"",
				   catalogue_relation_name(relid), deletion->key));
}

/*
 * Finds the row by a statement that runs as the table's owner, once the caller
 * has seen it: column privileges and policies are the caller's.
 */
static bool
locate_root(Deletion *deletion, RootStatement statement)
{
	SavedUser	saved;
	bool		found;

	found = run_on_root(deletion, ROOT_SEE, NIL) > 0;
	SPI_freetuptable(SPI_tuptable);
	if (!found)
		return false;

	catalogue_switch_to_owner(deletion->attachment->professors, &saved);
	found = run_on_root(deletion, statement, NIL) > 0;
	catalogue_restore_user(&saved);
	if (found)
	{
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum	   *values = palloc(desc->natts * sizeof(Datum));
		bool	   *isnull = palloc(desc->natts * sizeof(bool));
		Oid			relid;

		heap_deform_tuple(SPI_tuptable->vals[0], desc, values, isnull);
		relid = DatumGetObjectId(values[0]);
		deletion->root_table = catalogue_graph_table(deletion->graph, relid);
		if (deletion->root_table == NULL)
			elog(ERROR, "table %u is not part of the graph", relid);
		/* In a new graph the row may have other keys. */
		catalogue_free_batch(&deletion->root);
		catalogue_append_to_batch(&deletion->root, deletion->root_table, deletion->cxt,
								  values + 1, isnull + 1);
	}
	SPI_freetuptable(SPI_tuptable);

	return found;
}

/* Runs a statement on the professor's row as the current user; returns the number of rows. */
static uint64
run_on_root(Deletion *deletion, RootStatement statement, List *redundant)
{
	const Attachment *attachment = deletion->attachment;
	Oid			type = get_atttype(attachment->professors,
								   catalogue_column_number(attachment->professors,
														   attachment->professors_username));
	SPIPlanPtr *plan = &deletion->graph->root_statements[statement];
	NullableDatum username = {0};
	SPIExecuteOptions options = {0};
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(type, &input, &ioparam);
	username.value = OidInputFunctionCall(input, deletion->key, ioparam, -1);
	options.params = catalogue_make_params(1, &type, &username);

	if (*plan == NULL)
		*plan = prepare_on_root(deletion, statement, type);
	if (statement == ROOT_DELETE)
	{
		const StatementRun run = {
			.plan = *plan,
			.operation = CMD_DELETE,
			.relid = attachment->professors,
			.params = options.params,
			.redundant = redundant,
		};

		return catalogue_run_statement(&run);
	}

	return catalogue_execute_plan(*plan, &options);
}

static SPIPlanPtr
prepare_on_root(const Deletion *deletion, RootStatement statement, Oid type)
{
	const Attachment *attachment = deletion->attachment;
	const DeletionTable *root = linitial(deletion->graph->root_tables);
	StringInfoData query;

	initStringInfo(&query);
	switch (statement)
	{
		case ROOT_SEE:
			appendStringInfoString(&query, "SELECT 1");
			break;
		case ROOT_FIND:
		case ROOT_LOCK:
			appendStringInfo(&query, "SELECT t.tableoid, t.ctid%s",
							 catalogue_key_columns(root->keys));
			break;
		case ROOT_DELETE:
			appendStringInfoString(&query, "DELETE");
			break;
		case ROOT_NSTATEMENTS:
			Assert(false);
	}
	appendStringInfo(&query, " FROM %s AS t WHERE ",
					 catalogue_qualified_relation_name(attachment->professors));
	generate_operator_clause(&query,
							 psprintf("t.%s", quote_identifier(attachment->professors_username)),
							 type, lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr, "$1", type);
	if (statement == ROOT_LOCK)
		appendStringInfoString(&query, " FOR UPDATE");

	return catalogue_prepare(deletion->graph->base.cxt, query.data, 1, &type, 0);
}
