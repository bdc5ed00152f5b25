/*
 * sentinel.c
 *		Invalidation messages for changes of the lookup tables.
 *
 * A write to a table raises no invalidation message by itself.  So a trigger on
 * each lookup table sends one for catalogue.lookup_sentinel, an empty table
 * that no plan depends on: with the commit, or not at all.
 */
#include "lookups/sentinel.h"

#include "invalidation.h"
#include "names.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/sinval.h"
#include "utils/inval.h"
#include "utils/memutils.h"

/* Of the current transaction. */
static TransactionId notified_xid = InvalidTransactionId;	/* (sub)transaction that
															 * sent a message */

PG_FUNCTION_INFO_V1(catalogue_lookup_changed);
PG_FUNCTION_INFO_V1(catalogue_sentinel_round_trip);

static void at_transaction_end(XactEvent event, void *arg);

/* Called once, while the library is loaded. */
void
catalogue_lookup_sentinel_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

Oid
catalogue_lookup_sentinel_relid(void)
{
	return catalogue_member_relid("lookup_sentinel");
}

/* The trigger function that sends the messages. */
Oid
catalogue_lookup_changed_function(void)
{
	List	   *name = list_make2(makeString("catalogue"), makeString("lookup_changed"));

	return LookupFuncName(name, 0, NULL, false);
}

/*
 * catalogue.lookup_changed() RETURNS trigger
 *
 * AFTER trigger on the lookup tables: makes every session invalidate, at
 * commit, what it has cached.  One message is enough for a (sub)transaction;
 * where that rolls back, so do the rows.
 */
Datum
catalogue_lookup_changed(PG_FUNCTION_ARGS)
{
	TransactionId xid = GetCurrentTransactionIdIfAny();

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"lookup_changed\" must be fired by an AFTER trigger"));

	if (!TransactionIdIsValid(xid) || xid != notified_xid)
	{
		CacheInvalidateRelcacheByRelid(catalogue_lookup_sentinel_relid());
		if (catalogue_notify_lookups)
			Async_Notify("catalogue_lookups", "");
		notified_xid = xid;
	}

	return PointerGetDatum(NULL);
}

/*
 * catalogue.sentinel_round_trip() RETURNS boolean
 *
 * Sends the sentinel's message through the server's queue, outside of any
 * transaction, and returns whether it came back.  Every session invalidates its
 * entries once for it.  Works on a standby too.
 */
Datum
catalogue_sentinel_round_trip(PG_FUNCTION_ARGS)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "catalogue sentinel", ALLOCSET_SMALL_SIZES);
	Dependencies *on_sentinel = catalogue_begin_dependencies(cxt);
	SharedInvalidationMessage message = {0};
	bool		came_back;

	message.rc.id = SHAREDINVALRELCACHE_ID;
	message.rc.dbId = MyDatabaseId;
	message.rc.relId = catalogue_lookup_sentinel_relid();

	/* What arrived before is not the answer. */
	AcceptInvalidationMessages();
	catalogue_depend_on_relation(on_sentinel, message.rc.relId);
	SendSharedInvalidMessages(&message, 1);
	AcceptInvalidationMessages();
	came_back = !catalogue_is_current(on_sentinel);
	MemoryContextDelete(cxt);

	PG_RETURN_BOOL(came_back);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			notified_xid = InvalidTransactionId;
			break;
		default:
			break;
	}
}
