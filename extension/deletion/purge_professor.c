/*
 * purge_professor.c
 *		purge_professor(): a professor's deletion that commits as it goes.
 *
 * The traversal is that of traversal.c, which calls this file when a batch has
 * been deleted: progress is recorded, the transaction committed, and what the
 * traversal works on locked again.  Nothing needs to be remembered for the next
 * call: what is left is what is still there, and the professor's row is deleted
 * last.
 *
 * Lifetime: the traversal's memory is in the procedure's context, which outlives
 * the transactions.  The attachment and the graph are looked up again in each
 * transaction; when the graph has changed, the traversal unwinds and starts
 * again.  Until then the old graph is pinned.
 *
 * Locking: besides what a deletion takes in each transaction, a session lock
 * on the professor from the first batch to the last, so that a second purge
 * of the same professor waits for the first.
 */
#include "deletion/deletion.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/rls.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PG_FUNCTION_INFO_V1(catalogue_purge_professor);

typedef struct Purge
{
	double		pause;			/* milliseconds */
	uint64		reported;		/* rows that the progress table knows of */
	CachedPin	next_pin;		/* of the graph after a commit */
	bool		gone;			/* somebody else has deleted the professor */
} Purge;

static void refuse_row_security(const Deletion *deletion);
static void delete_by_commits(Deletion *deletion);
static void start_progress(Deletion *deletion);
static void record_progress(Deletion *deletion, bool finished);
static void run_on_progress(Deletion *deletion, const char *query, int nargs, const Oid *types,
							const NullableDatum *args);
static void commit_batch(Deletion *deletion);
static void lock_again(Deletion *deletion);
static double pause_milliseconds(const Interval *pause);
static void lock_purge(const Deletion *deletion, LOCKTAG *tag);
static void sleep_milliseconds(double milliseconds);

/*
 * PROCEDURE purge_professor(username text, batch_size integer DEFAULT 1000,
 *							 pause interval DEFAULT '0')
 *
 * Deletes a professor with all that depends on them, with a commit when at least
 * batch_size rows have been deleted, and a pause after each.  When it is
 * cancelled or crashes, what was committed stays deleted; called again, it
 * goes on.  professor_purges has its progress.
 *
 * Errors: those of delete_professor_batch(), 2D000 inside a transaction block,
 * 22023 for a pause that is negative or longer than a day, 0A000 where
 * row-level security on the professors table applies to the caller.
 */
Datum
catalogue_purge_professor(PG_FUNCTION_ARGS)
{
	Deletion   *deletion;
	Purge	   *purge;
	LOCKTAG		tag;

	PreventCommandIfReadOnly("purge_professor()");
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				errmsg("purge_professor() cannot run inside a transaction block"),
				errhint("Use delete_professor_batch() to delete in one transaction."));
	deletion = catalogue_begin_deletion(fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("pause must not be null"));
	purge = palloc0(sizeof(Purge));
	catalogue_init_pin(&purge->next_pin, deletion->cxt);
	purge->pause = pause_milliseconds(PG_GETARG_INTERVAL_P(2));
	deletion->commit = commit_batch;
	deletion->commit_arg = purge;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	lock_purge(deletion, &tag);
	catalogue_lock_graph(deletion, RowExclusiveLock);
	catalogue_start_recorder(&deletion->recorder);
	PG_TRY();
	{
		catalogue_check_deletion_privileges(deletion);
		refuse_row_security(deletion);
		if (!catalogue_find_professor(deletion))
			catalogue_report_unknown_professor(deletion);
		start_progress(deletion);
		commit_batch(deletion);
		delete_by_commits(deletion);
		record_progress(deletion, true);
	}
	PG_FINALLY();
	{
		catalogue_cleanup_traversal(deletion);
		catalogue_stop_recorder(&deletion->recorder);
		catalogue_unpin(&deletion->graph_pin);
	}
	PG_END_TRY();
	SPI_commit();
	LockRelease(&tag, ShareUpdateExclusiveLock, true);
	SPI_finish();

	PG_RETURN_VOID();
}

/* Whether a policy allows the last step would be known only after all others are committed. */
static void
refuse_row_security(const Deletion *deletion)
{
	Oid			relid = deletion->attachment->professors;

	if (check_enable_rls(relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot purge under row-level security on table \"%s\"",
					   catalogue_relation_name(relid)),
				errdetail("Whether a policy lets the professor go is known only at the end."),
				errhint("Use delete_professor_batch()."));
}

/* Deletes the professor, starting again with the graph as it is now where it has changed. */
static void
delete_by_commits(Deletion *deletion)
{
	const Purge *purge = deletion->commit_arg;

	while (!purge->gone)
	{
		if (deletion->restart)
			catalogue_lock_graph(deletion, RowExclusiveLock);
		deletion->restart = false;
		if (!catalogue_lock_professor(deletion))
			break;
		catalogue_delete_locked_professor(deletion);
		if (!deletion->restart)
			break;
	}
}

/*
 * Commits what has been deleted, and locks again what the traversal works on.
 *
 * A purge commits often.  What that takes of memory is freed each time with
 * connections to SPI of its own: a context of ours would not do, since every
 * statement leaves the connection's as the current one.
 */
static void
commit_batch(Deletion *deletion)
{
	SPI_connect();
	record_progress(deletion, false);
	SPI_finish();
	SPI_commit();
	deletion->transaction_count++;
	deletion->pending = 0;

	sleep_milliseconds(((Purge *) deletion->commit_arg)->pause);
	CHECK_FOR_INTERRUPTS();

	EnsurePortalSnapshotExists();
	SPI_connect();
	lock_again(deletion);
	SPI_finish();
}

/*
 * Locks what the traversal had locked before a commit.  Sets restart where it
 * cannot continue.
 */
static void
lock_again(Deletion *deletion)
{
	Purge	   *purge = deletion->commit_arg;
	bool		same_graph;

	same_graph = catalogue_pin_graph(&purge->next_pin, deletion->funcid, RowExclusiveLock) ==
		deletion->graph;
	catalogue_unpin(&purge->next_pin);
	if (!same_graph)
	{
		deletion->restart = true;
		return;
	}
	catalogue_check_deletion_privileges(deletion);

	if (catalogue_lock_professor(deletion))
		catalogue_relock_batches(deletion);
	else
		purge->gone = deletion->restart = true;
}

/*
 * Makes or takes over the professor's line in the progress table.  What is
 * left is counted as the preview counts it; a purge that goes on adds it to
 * what was done before.
 */
static void
start_progress(Deletion *deletion)
{
	const Oid	types[] = {TEXTOID, INT8OID, INT4OID};
	const NullableDatum args[] = {{.value = CStringGetTextDatum(deletion->username)},
	{.value = Int64GetDatum(catalogue_count_dependents(deletion))},
	{.value = Int32GetDatum(MyProcPid)}};

	run_on_progress(deletion,
					"INSERT INTO %s AS w (username, phase, rows_expected, pid)"
					" VALUES ($1, 'counted', $2, $3) ON CONFLICT (username) DO UPDATE SET"
					" phase = EXCLUDED.phase, pid = EXCLUDED.pid, resumed_at = EXCLUDED.resumed_at,"
					" started_at = CASE WHEN w.finished_at IS NULL THEN w.started_at"
					"  ELSE EXCLUDED.started_at END,"
					" rows_done = CASE WHEN w.finished_at IS NULL THEN w.rows_done ELSE 0 END,"
					" rows_before = CASE WHEN w.finished_at IS NULL THEN w.rows_done ELSE 0 END,"
					" rows_expected = EXCLUDED.rows_expected OPERATOR(pg_catalog.+)"
					"  CASE WHEN w.finished_at IS NULL THEN w.rows_done ELSE 0 END,"
					" last_batch_at = NULL, finished_at = NULL",
					lengthof(args), types, args);
}

/* Adds the rows since the last call; the table being worked on is the phase. */
static void
record_progress(Deletion *deletion, bool finished)
{
	Purge	   *purge = deletion->commit_arg;
	uint64		rows = catalogue_recorded_rows(&deletion->recorder);
	const DeletionFrame *frame = deletion->frames;
	const char *phase = finished ? "finished"
		: frame != NULL
		? catalogue_relation_name(frame->edge->referencing->reported)
		: "started";
	const Oid	types[] = {TEXTOID, INT8OID, TEXTOID, BOOLOID};
	const NullableDatum args[] = {{.value = CStringGetTextDatum(deletion->username)},
	{.value = Int64GetDatum(rows - purge->reported)},
	{.value = CStringGetTextDatum(phase)},
	{.value = BoolGetDatum(finished)}};

	run_on_progress(deletion,
					"UPDATE %s SET rows_done = rows_done OPERATOR(pg_catalog.+) $2, phase = $3,"
					" last_batch_at = pg_catalog.clock_timestamp(),"
					" finished_at = CASE WHEN $4 THEN pg_catalog.clock_timestamp() END"
					" WHERE username OPERATOR(pg_catalog.=) $1",
					lengthof(args), types, args);
	if (rows > purge->reported)
		ereport(NOTICE,
				errmsg("professor \"%s\": %llu rows deleted", deletion->username,
					   (unsigned long long) rows));
	purge->reported = rows;
}

/* Runs a statement on the progress table, as its owner. */
static void
run_on_progress(Deletion *deletion, const char *query, int nargs, const Oid *types,
				const NullableDatum *args)
{
	Oid			relid = deletion->attachment->professor_purges;
	SPIExecuteOptions options = {.params = catalogue_make_params(nargs, types, args)};
	SavedUser	saved;

	catalogue_switch_to_owner(relid, &saved);
	catalogue_execute(psprintf(query, catalogue_qualified_relation_name(relid)), &options);
	catalogue_restore_user(&saved);
}

/* Months count 30 days, as intervals do; a day is the most. */
static double
pause_milliseconds(const Interval *pause)
{
	double		milliseconds =
		pause->time / 1000.0 +
		(pause->day + pause->month * (double) DAYS_PER_MONTH) * SECS_PER_DAY * 1000.0;

	if (milliseconds < 0 || milliseconds > SECS_PER_DAY * 1000.0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("pause must be between zero and one day"));
	return milliseconds;
}

/*
 * Takes the session lock that keeps a second purge of the same professor out.
 * Its tag is the professors table as an object, with a hash of the username
 * as the part of it; an ERROR releases it with all others.
 */
static void
lock_purge(const Deletion *deletion, LOCKTAG *tag)
{
	uint32		hash = DatumGetUInt32(
									  hash_any((const unsigned char *) deletion->username, strlen(deletion->username)));

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId, deletion->attachment->professors,
					   (uint16) (1 + hash % PG_UINT16_MAX));
	if (LockAcquire(tag, ShareUpdateExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		ereport(NOTICE,
				errmsg("waiting for another purge of professor \"%s\"", deletion->username));
		(void) LockAcquire(tag, ShareUpdateExclusiveLock, true, false);
	}
}

static void
sleep_milliseconds(double milliseconds)
{
	TimestampTz until = GetCurrentTimestamp() + (int64) (milliseconds * 1000.0);

	while (milliseconds > 0)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
