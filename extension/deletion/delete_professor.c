/*
 * delete_professor.c
 *		delete_professor_batch().
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

PG_FUNCTION_INFO_V1(catalogue_delete_professor_batch);

static void report_deletion(const Deletion *deletion, ReturnSetInfo *rsinfo);
static void report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid);
static void put_row(ReturnSetInfo *rsinfo, Oid relid, const char *action, int64 rows);

/*
 * delete_professor_batch(username text, batch_size integer DEFAULT 1000,
 *						  missing_ok boolean DEFAULT false)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * Deletes a professor with all that depends on them, in the caller's
 * transaction, in statements of at most batch_size rows.  Returns a row for
 * each relation that was touched, dependents first, the professors table last.
 *
 * Errors: 22004 for a null argument, 22023 for a batch size below one, 25006
 * in a read-only transaction or on a standby, 42501 without the rights, 55000
 * where the schema is not attached, P0002 for an unknown professor, unless
 * missing_ok (then no rows).
 */
Datum
catalogue_delete_professor_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Deletion   *deletion;
	bool		missing_ok;

	PreventCommandIfReadOnly("delete_professor_batch()");
	deletion = catalogue_begin_deletion(fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("missing_ok must not be null"));
	missing_ok = PG_GETARG_BOOL(2);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_lock_graph(deletion, RowExclusiveLock);
	catalogue_start_recorder(&deletion->recorder);
	PG_TRY();
	{
		catalogue_check_deletion_privileges(deletion);
		if (catalogue_lock_professor(deletion))
		{
			catalogue_delete_locked_professor(deletion);
			report_deletion(deletion, rsinfo);
		}
		else if (!missing_ok)
			catalogue_report_unknown_professor(deletion);
	}
	PG_FINALLY();
	{
		catalogue_cleanup_traversal(deletion);
		catalogue_stop_recorder(&deletion->recorder);
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
	const Oid	professors = deletion->attachment->professors;
	List	   *reported = list_make1_oid(professors);
	ListCell   *lc;

	foreach(lc, deletion->graph->tables)
	{
		Oid			relid = ((DeletionTable *) lfirst(lc))->reported;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	foreach(lc, deletion->recorder.counts)
	{
		Oid			relid = ((DeletionCount *) lfirst(lc))->relid;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	report_relation(deletion, rsinfo, professors);
}

static void
report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid)
{
	for (EdgeAction action = EDGE_DELETE; action <= EDGE_SET_DEFAULT; action++)
	{
		ListCell   *lc;

		foreach(lc, deletion->recorder.counts)
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
