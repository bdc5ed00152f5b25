/*
 * deleted_files.c
 *		take_deleted_files() and retry_deleted_file(): the application's side
 *		of the outbox.
 *
 * A row that has been taken stays, marked, until a later call of
 * take_deleted_files() finds that its taker has committed (it could not see
 * the mark otherwise) and deletes it.  So a rollback or a crash of the taker
 * gives the path back, and retry_deleted_file() still finds how often it has
 * been tried.  Nothing is kept in the backend.
 *
 * Both run with the caller's own rights on the outbox, but for one step (see
 * catalogue_retry_deleted_file).  Locking: the rows handed out, to the end of
 * the transaction; those that others have locked are skipped.
 */
#include "files/file_queue.h"
#include "files/shared_files.h"

#include "attachment.h"
#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(catalogue_take_deleted_files);
PG_FUNCTION_INFO_V1(catalogue_retry_deleted_file);

/* The condition makes the index on the taken rows usable. */
static const char *const delete_taken_query =
"DELETE FROM ONLY %1$s WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY %1$s"
" WHERE state OPERATOR(pg_catalog.=) 'taken'"
" AND taken_by OPERATOR(pg_catalog.<>) pg_catalog.pg_current_xact_id()"
" FOR UPDATE SKIP LOCKED))";

static const char *const take_query =
"WITH due AS (SELECT ctid FROM ONLY %1$s WHERE state OPERATOR(pg_catalog.=) 'queued'"
"  AND due_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
"  ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED),"
" taken AS (UPDATE ONLY %1$s AS f SET state = 'taken', taken_by = pg_catalog.pg_current_xact_id()"
"  FROM due WHERE f.ctid OPERATOR(pg_catalog.=) due.ctid"
"  RETURNING f.path, f.relation, f.column_name, f.ctid AS taken, f.due_at, f.id)"
" SELECT path, relation, column_name, taken FROM taken ORDER BY due_at, id";

/*
 * After the first attempt a minute, then twice as long each time: up to four
 * hours, since the tenth attempt is the last.  A dead row is out of the way of
 * those that are due.
 */
static const char *const retry_query =
"WITH taken AS (SELECT ctid FROM ONLY %1$s WHERE state OPERATOR(pg_catalog.=) 'taken'"
"  AND path OPERATOR(pg_catalog.=) $1 ORDER BY taken_by DESC, id LIMIT 1 FOR UPDATE)"
" UPDATE ONLY %1$s AS f SET attempts = f.attempts OPERATOR(pg_catalog.+) 1,"
"  state = CASE WHEN f.attempts OPERATOR(pg_catalog.>=) 9 THEN 'dead' ELSE 'queued' END,"
"  due_at = pg_catalog.now() OPERATOR(pg_catalog.+) CASE"
"   WHEN f.attempts OPERATOR(pg_catalog.>=) 9 THEN pg_catalog.make_interval(years => 1000)"
"   ELSE pg_catalog.make_interval(mins => 1 OPERATOR(pg_catalog.<<) f.attempts) END,"
"  last_error = $2, taken_by = NULL"
" FROM taken WHERE f.ctid OPERATOR(pg_catalog.=) taken.ctid";

static const char *const requeue_query =
"INSERT INTO %1$s (path, attempts, due_at, last_error)"
" VALUES ($1, 1, pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(mins => 1), $2)";

static const char *const drop_query =
"DELETE FROM ONLY %1$s WHERE ctid OPERATOR(pg_catalog.=) ANY ($1)";

/* Columns of what take_query returns; the result has but the first three. */
enum
{
	TAKEN_PATH,
	TAKEN_RELATION,
	TAKEN_COLUMN_NAME,
	TAKEN_CTID,
	TAKEN_NATTS
};

static uint64 hand_out(FunctionCallInfo fcinfo, const SPITupleTable *taken);
static void drop_living(FunctionCallInfo fcinfo, Datum *ctids, int n);
static uint64 run_on_outbox(FunctionCallInfo fcinfo, const char *query, int nargs, const Oid *types,
							const NullableDatum *args);

/*
 * take_deleted_files(max_files integer DEFAULT 100)
 *		RETURNS TABLE (path text, relation regclass, column_name name)
 *
 * Hands out paths that are due, those that have waited longest first, with the
 * table and column that they were in, where that is known.  The caller unlinks
 * the files and commits; no other session gets the same rows.  A path that a
 * living row names in a shared column is dropped: that row's end queues it again.
 *
 * Errors: 22004 for a null, 22023 for a negative number, 42501 without SELECT,
 * UPDATE and DELETE on the outbox.
 */
Datum
catalogue_take_deleted_files(PG_FUNCTION_ARGS)
{
	Oid			type = INT4OID;
	NullableDatum wanted = {0};
	uint64		handed;
	uint64		taken;

	PreventCommandIfReadOnly("take_deleted_files()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("max_files must not be null"));
	if (PG_GETARG_INT32(0) < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_files must not be negative"),
				errdetail("The call asked for %d files.", PG_GETARG_INT32(0)));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	catalogue_flush_files(catalogue_trigger_depth() + 1);
	SPI_connect();
	run_on_outbox(fcinfo, delete_taken_query, 0, NULL, NULL);
	wanted.value = PG_GETARG_DATUM(0);
	do
	{
		CHECK_FOR_INTERRUPTS();
		taken = run_on_outbox(fcinfo, take_query, 1, &type, &wanted);
		handed = hand_out(fcinfo, SPI_tuptable);
		wanted.value = Int32GetDatum(DatumGetInt32(wanted.value) - (int32) handed);
	} while (handed < taken);	/* those dropped make room for others */
	SPI_finish();

	return (Datum) 0;
}

/*
 * retry_deleted_file(path text, error text) RETURNS void
 *
 * Puts a path that could not be unlinked back, due later each time; the tenth
 * attempt was the last, after which it stays as dead, for a person to see.
 *
 * A path that is not known as taken (a later call has deleted its row) is put in
 * as if it had been, as the outbox's owner: whoever may UPDATE rows may name any
 * path anyhow, and shall not lose one for lack of INSERT.  Where policies apply
 * to the caller, it is put in with the caller's own rights.
 *
 * Errors: 22004 for a null path, 42501 without SELECT and UPDATE on the outbox.
 */
Datum
catalogue_retry_deleted_file(PG_FUNCTION_ARGS)
{
	const Oid	types[] = {TEXTOID, TEXTOID};
	const int	nargs = lengthof(types);

	PreventCommandIfReadOnly("retry_deleted_file()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("path must not be null"));

	SPI_connect();
	if (run_on_outbox(fcinfo, retry_query, nargs, types, fcinfo->args) == 0)
	{
		Oid			outbox = catalogue_attachment_of_function(fcinfo->flinfo->fn_oid, NULL)->deleted_files;
		bool		restricted = check_enable_rls(outbox, InvalidOid, true) == RLS_ENABLED;
		SavedUser	saved;

		if (!restricted)
			catalogue_switch_to_owner(outbox, &saved);
		run_on_outbox(fcinfo, requeue_query, nargs, types, fcinfo->args);
		if (!restricted)
			catalogue_restore_user(&saved);
	}
	SPI_finish();

	PG_RETURN_VOID();
}

/* Adds what has been taken to the result, or drops it; returns how many were added. */
static uint64
hand_out(FunctionCallInfo fcinfo, const SPITupleTable *taken)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Attachment *attachment =
		catalogue_attachment_of_function(fcinfo->flinfo->fn_oid, NULL);
	text	  **paths = palloc(taken->numvals * sizeof(text *));
	Datum	   *dropped = palloc(taken->numvals * sizeof(Datum));
	int			ndropped = 0;
	bool	   *living;

	for (uint64 i = 0; i < taken->numvals; i++)
	{
		bool		isnull;

		paths[i] = DatumGetTextPP(SPI_getbinval(taken->vals[i], taken->tupdesc, TAKEN_PATH + 1,
												&isnull));
	}
	living = catalogue_find_living_files(attachment, paths, taken->numvals);

	for (uint64 i = 0; i < taken->numvals; i++)
	{
		Datum		values[TAKEN_NATTS];
		bool		isnull[TAKEN_NATTS];

		heap_deform_tuple(taken->vals[i], taken->tupdesc, values, isnull);
		if (living[i])
			dropped[ndropped++] = values[TAKEN_CTID];
		else
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	if (ndropped > 0)
		drop_living(fcinfo, dropped, ndropped);

	return taken->numvals - ndropped;
}

static void
drop_living(FunctionCallInfo fcinfo, Datum *ctids, int n)
{
	Oid			type = TIDARRAYOID;
	NullableDatum arg = {0};

	arg.value = PointerGetDatum(construct_array(ctids, n, TIDOID, sizeof(ItemPointerData), false,
												TYPALIGN_SHORT));
	run_on_outbox(fcinfo, drop_query, 1, &type, &arg);
}

/* Runs a query whose %1$s is the outbox of the called function's schema. */
static uint64
run_on_outbox(FunctionCallInfo fcinfo, const char *query, int nargs, const Oid *types,
			  const NullableDatum *args)
{
	const Attachment *attachment = catalogue_attachment_of_function(fcinfo->flinfo->fn_oid, NULL);
	SPIExecuteOptions options = {.params = catalogue_make_params(nargs, types, args)};

	return catalogue_execute(psprintf(query,
									  catalogue_qualified_relation_name(attachment->deleted_files)),
							 &options);
}
