/*
 * purge.c
 *		purge_with_dependents(), purge_professor(): a deletion that commits as it
 *		goes.
 *
 * The traversal is that of traversal.c, which calls this file when a batch has
 * been deleted: progress is recorded, the transaction committed, and what the
 * traversal works on locked again.  Nothing needs to be remembered for the next
 * call: what is left is what is still there, and the root is deleted last.
 *
 * Lifetime: the traversal's memory is in the procedure's context, which outlives
 * the transactions.  The attachment and the graph are looked up again in each
 * transaction; when the graph has changed, the traversal unwinds and starts
 * again.  Until then the old graph is pinned.
 *
 * Locking: besides what a deletion takes in each transaction, a session lock
 * on the root from the first batch to the last, so that a second purge of the
 * same one waits for the first.
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

PG_FUNCTION_INFO_V1(catalogue_purge_with_dependents);
PG_FUNCTION_INFO_V1(catalogue_purge_professor);

/* How much of a purge a transaction records. */
typedef enum PurgePhase
{
	PURGE_DELETING,
	PURGE_FINISHED,
	PURGE_GONE					/* somebody else has deleted the root, or it
								 * has another primary key */
} PurgePhase;

typedef struct Purge
{
	double		pause;			/* milliseconds */
	uint64		reported;		/* rows that the progress table knows of */
	CachedPin	next_pin;		/* of the graph after a commit */
	PurgePhase	phase;
} Purge;

static void purge_root(FunctionCallInfo fcinfo, bool of_professor, const char *name);
static void refuse_transaction_block(FunctionCallInfo fcinfo, bool of_professor, const char *name);
static void refuse_row_security(const Deletion *deletion);
static void run_purge(Deletion *deletion);
static void report_missing_root(Deletion *deletion);
static void delete_by_commits(Deletion *deletion);
static void start_progress(Deletion *deletion);
static void record_progress(Deletion *deletion);
static const char *phase_name(const Deletion *deletion);
static uint64 run_on_progress(Deletion *deletion, const char *query, int nargs, const Oid *types,
							  const NullableDatum *args);
static void commit_batch(Deletion *deletion);
static void lock_again(Deletion *deletion);
static double pause_milliseconds(const Interval *pause);
static void lock_purge(const Deletion *deletion, LOCKTAG *tag);
static void sleep_milliseconds(double milliseconds);

/*
 * PROCEDURE purge_with_dependents(relation regclass, key text,
 *								   batch_size integer DEFAULT 1000,
 *								   pause interval DEFAULT '0')
 *
 * Deletes the row of a table that has this primary key with all that depends on
 * it, with a commit when at least batch_size rows have been deleted, and a pause
 * after each.  When it is cancelled or crashes, what was committed stays deleted;
 * called again, it goes on.  professor_purges has its progress.
 *
 * Errors: those of delete_with_dependents(), 2D000 inside a transaction block or a
 * subtransaction, 22023 for a pause that is negative or longer than a day, 0A000
 * where row-level security on the root's table applies to the caller, 23503 where
 * a key that says NO ACTION or RESTRICT is in the way.
 */
Datum
catalogue_purge_with_dependents(PG_FUNCTION_ARGS)
{
	purge_root(fcinfo, false, "purge_with_dependents()");

	PG_RETURN_VOID();
}

/*
 * PROCEDURE purge_professor(username text, batch_size integer DEFAULT 1000,
 *							 pause interval DEFAULT '0')
 *
 * The same for a professor, by their username.
 */
Datum
catalogue_purge_professor(PG_FUNCTION_ARGS)
{
	purge_root(fcinfo, true, "purge_professor()");

	PG_RETURN_VOID();
}

static void
purge_root(FunctionCallInfo fcinfo, bool of_professor, const char *name)
{
	Deletion   *deletion;
	Purge	   *purge;
	LOCKTAG		tag;

	PreventCommandIfReadOnly(name);
	refuse_transaction_block(fcinfo, of_professor, name);
	deletion = catalogue_begin_deletion(fcinfo, of_professor);
	if (PG_ARGISNULL(deletion->first_option + 1))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("pause must not be null"));
	purge = palloc0(sizeof(Purge));
	catalogue_init_pin(&purge->next_pin, deletion->cxt);
	purge->pause = pause_milliseconds(PG_GETARG_INTERVAL_P(deletion->first_option + 1));
	deletion->commit = commit_batch;
	deletion->commit_arg = purge;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	lock_purge(deletion, &tag);
	catalogue_lock_graph(deletion, RowExclusiveLock);
	PG_TRY();
	{
		run_purge(deletion);
	}
	PG_FINALLY();
	{
		catalogue_cleanup_traversal(deletion);
		catalogue_unpin(&deletion->graph_pin);
	}
	PG_END_TRY();
	SPI_commit();
	LockRelease(&tag, ShareUpdateExclusiveLock, true);
	SPI_finish();
}

/*
 * A block with an EXCEPTION clause would catch the error of the first commit, and
 * with it a session lock that only the end of a whole transaction releases.
 */
static void
refuse_transaction_block(FunctionCallInfo fcinfo, bool of_professor, const char *name)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic || IsSubTransaction())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				errmsg("%s cannot run inside a transaction block", name),
				errdetail("A block with an EXCEPTION clause is one, too."),
				errhint("Use %s to delete in one transaction.",
						of_professor ? "delete_professor_batch()" : "delete_with_dependents()"));
}

/* Whether a policy allows the last step would be known only after all others are committed. */
static void
refuse_row_security(const Deletion *deletion)
{
	if (check_enable_rls(deletion->relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot purge under row-level security on table \"%s\"",
					   catalogue_relation_name(deletion->relid)),
				errdetail("Whether a policy lets the row be deleted is known only at the end."),
				errhint("Use %s.", deletion->of_professor ? "delete_professor_batch()"
						: "delete_with_dependents()"));
}

/* The whole of a purge, but for the last commit. */
static void
run_purge(Deletion *deletion)
{
	Purge	   *purge = deletion->commit_arg;

	catalogue_check_deletion_privileges(deletion);
	refuse_row_security(deletion);
	if (!catalogue_find_root(deletion))
	{
		report_missing_root(deletion);
		return;
	}
	/* Values that are spelt in several ways are one line of progress. */
	deletion->key = deletion->current_key;

	start_progress(deletion);
	catalogue_start_counting(&deletion->counts);
	commit_batch(deletion);
	delete_by_commits(deletion);
	catalogue_stop_counting(&deletion->counts, deletion->graph);
	if (purge->phase == PURGE_DELETING)
		purge->phase = PURGE_FINISHED;
	record_progress(deletion);
	if (purge->phase == PURGE_GONE)
		ereport(NOTICE,
				errmsg("%s is gone", catalogue_describe_root(deletion)),
				errdetail("Another session has deleted the row, or changed its key."));
}

/*
 * There is no root: an error, but for one that was there when an earlier purge
 * began.
 */
static void
report_missing_root(Deletion *deletion)
{
	const Oid	types[] = {REGCLASSOID, TEXTOID};
	const NullableDatum args[] = {{.value = ObjectIdGetDatum(deletion->relid)},
	{.value = CStringGetTextDatum(deletion->key)}};
	uint64		purges =
		run_on_progress(deletion,
						"UPDATE %s SET phase = CASE WHEN finished_at IS NULL THEN 'gone' ELSE phase END,"
						" finished_at = COALESCE(finished_at, pg_catalog.clock_timestamp())"
						" WHERE relation OPERATOR(pg_catalog.=) $1 AND username OPERATOR(pg_catalog.=) $2",
						lengthof(args), types, args);

	if (purges == 0)
		catalogue_report_unknown_root(deletion);
	ereport(NOTICE,
			errmsg("%s has been purged", catalogue_describe_root(deletion)));
}

/* Deletes the root, starting again with the graph as it is now where it has changed. */
static void
delete_by_commits(Deletion *deletion)
{
	Purge	   *purge = deletion->commit_arg;

	while (purge->phase != PURGE_GONE)
	{
		if (deletion->restart)
			catalogue_lock_graph(deletion, RowExclusiveLock);
		deletion->restart = false;
		if (!catalogue_lock_root_again(deletion))
		{
			purge->phase = PURGE_GONE;
			break;
		}
		catalogue_delete_locked_root(deletion);
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
	catalogue_stop_counting(&deletion->counts, deletion->graph);
	SPI_connect();
	record_progress(deletion);
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
	catalogue_start_counting(&deletion->counts);
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

	same_graph = catalogue_pin_current_graph(deletion, &purge->next_pin, RowExclusiveLock) ==
		deletion->graph;
	catalogue_unpin(&purge->next_pin);
	if (!same_graph)
	{
		deletion->restart = true;
		return;
	}
	catalogue_check_deletion_privileges(deletion);

	if (catalogue_lock_root_again(deletion))
		catalogue_relock_batches(deletion);
	else
	{
		purge->phase = PURGE_GONE;
		deletion->restart = true;
	}
}

/*
 * Makes or takes over the root's line in the progress table, unless rows are in its
 * way: then nothing is committed.  What is left is counted as the preview counts
 * it; a purge that goes on adds it to what was done before.
 */
static void
start_progress(Deletion *deletion)
{
	DeletionForecast forecast = catalogue_forecast(deletion);
	const Oid	types[] = {REGCLASSOID, TEXTOID, INT8OID, INT4OID};
	const NullableDatum args[] = {{.value = ObjectIdGetDatum(deletion->relid)},
	{.value = CStringGetTextDatum(deletion->key)},
	{.value = Int64GetDatum(forecast.rows)},
	{.value = Int32GetDatum(MyProcPid)}};

	if (forecast.blocked > 0)
		ereport(ERROR,
				errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				errmsg("cannot purge %s", catalogue_describe_root(deletion)),
				errdetail_plural("%llu row references what would be deleted, by a foreign key ON DELETE NO ACTION or RESTRICT.",
								 "%llu rows reference what would be deleted, by foreign keys ON DELETE NO ACTION or RESTRICT.",
								 (unsigned long) forecast.blocked,
								 (unsigned long long) forecast.blocked),
				errhint("%s shows in which tables.", deletion->of_professor
						? "preview_professor_deletion()" : "preview_deletion()"));

	run_on_progress(deletion,
					"INSERT INTO %s AS w (relation, username, phase, rows_expected, pid)"
					" VALUES ($1, $2, 'counted', $3, $4) ON CONFLICT (relation, username) DO UPDATE SET"
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
record_progress(Deletion *deletion)
{
	Purge	   *purge = deletion->commit_arg;
	uint64		rows = catalogue_counted_rows(&deletion->counts);
	const Oid	types[] = {REGCLASSOID, TEXTOID, INT8OID, TEXTOID, BOOLOID};
	const NullableDatum args[] = {{.value = ObjectIdGetDatum(deletion->relid)},
	{.value = CStringGetTextDatum(deletion->key)},
	{.value = Int64GetDatum(rows - purge->reported)},
	{.value = CStringGetTextDatum(phase_name(deletion))},
	{.value = BoolGetDatum(purge->phase != PURGE_DELETING)}};

	run_on_progress(deletion,
					"UPDATE %s SET rows_done = rows_done OPERATOR(pg_catalog.+) $3, phase = $4,"
					" last_batch_at = pg_catalog.clock_timestamp(),"
					" finished_at = CASE WHEN $5 THEN pg_catalog.clock_timestamp() END"
					" WHERE relation OPERATOR(pg_catalog.=) $1 AND username OPERATOR(pg_catalog.=) $2",
					lengthof(args), types, args);
	if (rows > purge->reported)
		ereport(NOTICE,
				errmsg_plural("%s: %llu row deleted", "%s: %llu rows deleted", (unsigned long) rows,
							  catalogue_describe_root(deletion), (unsigned long long) rows));
	purge->reported = rows;
}

static const char *
phase_name(const Deletion *deletion)
{
	const Purge *purge = deletion->commit_arg;

	if (purge->phase == PURGE_FINISHED)
		return "finished";
	if (purge->phase == PURGE_GONE)
		return "gone";
	if (deletion->frames == NULL)
		return "started";

	return catalogue_relation_name(deletion->frames->edge->referencing->reported);
}

/* Runs a statement on the progress table, as its owner; returns the number of rows. */
static uint64
run_on_progress(Deletion *deletion, const char *query, int nargs, const Oid *types,
				const NullableDatum *args)
{
	Oid			relid = deletion->attachment->professor_purges;
	SPIExecuteOptions options = {.params = catalogue_make_params(nargs, types, args)};
	SavedUser	saved;
	uint64		rows;

	catalogue_switch_to_owner(relid, &saved);
	rows = catalogue_execute(psprintf(query, catalogue_qualified_relation_name(relid)), &options);
	catalogue_restore_user(&saved);

	return rows;
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
 * Takes the session lock that keeps a second purge of the same root out.  Its tag
 * is the relation as an object, with a hash of the key as the part of it; an ERROR
 * releases it with all others, as there is no subtransaction to catch it.
 */
static void
lock_purge(const Deletion *deletion, LOCKTAG *tag)
{
	uint32		hash = DatumGetUInt32(
									  hash_any((const unsigned char *) deletion->key, strlen(deletion->key)));

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId, deletion->relid,
					   (uint16) (1 + hash % PG_UINT16_MAX));
	if (LockAcquire(tag, ShareUpdateExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		ereport(NOTICE,
				errmsg("waiting for another purge of %s", catalogue_describe_root(deletion)));
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
