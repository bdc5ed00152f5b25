/*
 * delete.c
 *		delete_with_dependents(), delete_professor_batch().
 *
 * The deletion is one transaction, the caller's; what it did is one row for
 * each relation and action.
 *
 * Locking: RowExclusiveLock on every table of the graph; rows as traversal.c
 * says.
 */
#include "deletion/deletion.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(catalogue_delete_with_dependents);
PG_FUNCTION_INFO_V1(catalogue_delete_professor_batch);

static Datum delete_root(FunctionCallInfo fcinfo, bool of_professor);
static void report_deletion(const Deletion *deletion, ReturnSetInfo *rsinfo);
static void report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid);
static void put_row(ReturnSetInfo *rsinfo, Oid relid, const char *action, int64 rows);

/*
 * delete_with_dependents(relation regclass, key text, batch_size integer DEFAULT 1000,
 *						  missing_ok boolean DEFAULT false)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * Deletes the row of a table that has this primary key with all that depends on
 * it, in the caller's transaction, in statements of about batch_size rows.
 * Returns a row for each relation that was touched, dependents first, the row's
 * own table last.
 *
 * Errors: 22004 for a null argument, 22P02 for a key that is no value of the
 * column, 22023 for a batch size below one, 25006 in a read-only transaction or on
 * a standby, 42501 without the rights, 42809 for what is no table of an
 * application, 0A000 for a table without a primary key of one column, 55000 where
 * the schema is not attached, P0002 where there is no such row, unless missing_ok
 * (then no rows).
 */
Datum
catalogue_delete_with_dependents(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("delete_with_dependents()");

	return delete_root(fcinfo, false);
}

/*
 * delete_professor_batch(username text, batch_size integer DEFAULT 1000,
 *						  missing_ok boolean DEFAULT false)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * The same for a professor, by their username.
 */
Datum
catalogue_delete_professor_batch(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("delete_professor_batch()");

	return delete_root(fcinfo, true);
}

static Datum
delete_root(FunctionCallInfo fcinfo, bool of_professor)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Deletion   *deletion = catalogue_begin_deletion(fcinfo, of_professor);
	bool		missing_ok;

	if (PG_ARGISNULL(deletion->first_option + 1))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("missing_ok must not be null"));
	missing_ok = PG_GETARG_BOOL(deletion->first_option + 1);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_lock_graph(deletion, RowExclusiveLock);
	PG_TRY();
	{
		catalogue_check_deletion_privileges(deletion);
		if (catalogue_lock_root(deletion))
		{
			catalogue_start_counting(&deletion->counts);
			catalogue_delete_locked_root(deletion);
			catalogue_stop_counting(&deletion->counts, deletion->graph);
			report_deletion(deletion, rsinfo);
		}
		else if (!missing_ok)
			catalogue_report_unknown_root(deletion);
	}
	PG_FINALLY();
	{
		catalogue_cleanup_traversal(deletion);
		catalogue_unpin(&deletion->graph_pin);
	}
	PG_END_TRY();
	SPI_finish();

	return (Datum) 0;
}

/* Dependents in the order of the graph, then other tables that user triggers deleted from. */
static void
report_deletion(const Deletion *deletion, ReturnSetInfo *rsinfo)
{
	Oid			last = deletion->root_table->reported;
	List	   *reported = list_make1_oid(last);
	ListCell   *lc;

	foreach(lc, deletion->graph->tables)
	{
		Oid			relid = ((DeletionTable *) lfirst(lc))->reported;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	foreach(lc, deletion->counts.rows)
	{
		Oid			relid = ((DeletionCount *) lfirst(lc))->relid;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	report_relation(deletion, rsinfo, last);
}

static void
report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid)
{
	for (EdgeAction action = EDGE_DELETE; action <= EDGE_SET_DEFAULT; action++)
	{
		ListCell   *lc;

		foreach(lc, deletion->counts.rows)
		{
			const DeletionCount *count = lfirst(lc);

			if (count->relid == relid && count->action == action && count->rows > 0)
				put_row(rsinfo, relid, catalogue_action_name(action), count->rows);
		}
	}
}

static void
put_row(ReturnSetInfo *rsinfo, Oid relid, const char *action, int64 rows)
{
	Datum		values[3] = {ObjectIdGetDatum(relid), CStringGetTextDatum(action), Int64GetDatum(rows)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
