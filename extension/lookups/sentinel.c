/*
 * sentinel.c
 *		Invalidation messages for changes of the lookup tables.
 *
 * A write to a table raises no invalidation message by itself.  So a trigger on
 * each lookup table sends one, with the commit or not at all, for a table that
 * stands for the attachment: a message about the lookup table itself would have
 * every session build its relation cache entry and plans anew.
 *
 * An attachment's sentinel is its table of purges, professor_purges: it is there
 * for as long as the attachment, and nothing that runs often has a plan that
 * depends on it.  Where somebody has dropped it, catalogue.lookup_sentinel stands
 * in, an empty table that stands for all attachments.  Who caches depends on both.
 *
 * What is sent: the first change of a bound column in a (sub)transaction, for each
 * attachment that binds the table.  A trigger on any other table sends nothing,
 * whoever made it.
 */
#include "lookups/sentinel.h"

#include "lookups/bindings.h"
#include "names.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/sinval.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(catalogue_lookup_changed);
PG_FUNCTION_INFO_V1(catalogue_sentinel_round_trip);

static bool changes_bound_column(const TriggerData *trigger, const TableBinding *binding);
static bool same_value(TupleTableSlot *a, TupleTableSlot *b, AttrNumber attnum);
static void announce(const TableBinding *binding);
static void notify(const TableBinding *binding);
static Oid	common_sentinel(void);

/*
 * Registers what a change of an attachment's lookups sends a message for.  Its
 * table of purges may have been dropped.
 */
void
catalogue_depend_on_sentinels(Dependencies *dependencies, Oid purges)
{
	catalogue_depend_on_relation(dependencies, common_sentinel());
	catalogue_depend_on_relation(dependencies, purges);
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
 * commit, what it has cached for the attachments that are bound to the table.  One
 * message each is enough for a (sub)transaction; where that rolls back, so do the
 * rows.
 */
Datum
catalogue_lookup_changed(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = (TriggerData *) fcinfo->context;
	TransactionId xid = GetCurrentTransactionIdIfAny();
	TableBindings *bindings;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"lookup_changed\" must be fired by an AFTER trigger"));

	bindings = catalogue_lookup_bindings(RelationGetRelid(trigger->tg_relation));
	for (int i = 0; i < bindings->n; i++)
	{
		TableBinding *binding = &bindings->bindings[i];

		if ((TransactionIdIsValid(xid) && binding->announced_in == xid) ||
			!changes_bound_column(trigger, binding))
			continue;
		announce(binding);
		if (catalogue_notify_lookups)
			notify(binding);
		binding->announced_in = xid;
	}

	return PointerGetDatum(NULL);
}

/*
 * catalogue.sentinel_round_trip() RETURNS boolean
 *
 * Sends the message of the sentinel that stands for all attachments through the
 * server's queue, outside of any transaction, and returns whether it came back.
 * Every session invalidates its entries once for it.  Works on a standby too.
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
	message.rc.relId = common_sentinel();

	/* What arrived before is not the answer. */
	AcceptInvalidationMessages();
	catalogue_depend_on_relation(on_sentinel, message.rc.relId);
	SendSharedInvalidMessages(&message, 1);
	AcceptInvalidationMessages();
	came_back = !catalogue_is_current(on_sentinel);
	MemoryContextDelete(cxt);

	PG_RETURN_BOOL(came_back);
}

/*
 * Whether the row that a trigger is fired for has changed as far as a binding goes.
 * Values are compared byte by byte: equal ones can be different texts.
 */
static bool
changes_bound_column(const TriggerData *trigger, const TableBinding *binding)
{
	if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		binding->any_column)
		return true;

	for (int i = 0; i < binding->ncolumns; i++)
	{
		if (!same_value(trigger->tg_trigslot, trigger->tg_newslot, binding->columns[i]))
			return true;
	}

	return false;
}

static bool
same_value(TupleTableSlot *a, TupleTableSlot *b, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(a->tts_tupleDescriptor, attnum - 1);
	bool		a_isnull;
	bool		b_isnull;
	Datum		a_value = slot_getattr(a, attnum, &a_isnull);
	Datum		b_value = slot_getattr(b, attnum, &b_isnull);

	if (a_isnull || b_isnull)
		return a_isnull == b_isnull;

	return datum_image_eq(a_value, b_value, att->attbyval, att->attlen);
}

/* Sends the message of an attachment's sentinel, or of the one that stands in for it. */
static void
announce(const TableBinding *binding)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(binding->sentinel));

	if (HeapTupleIsValid(tuple))
	{
		CacheInvalidateRelcacheByTuple(tuple);
		ReleaseSysCache(tuple);
	}
	else
		CacheInvalidateRelcacheByRelid(common_sentinel());
}

/*
 * Tells those who listen in which schema lookups have changed, once in a transaction.
 * What their version is then is not known before all who write have committed.
 */
static void
notify(const TableBinding *binding)
{
	char	   *schema = get_namespace_name(get_rel_namespace(binding->outbox));

	if (schema == NULL)
		return;					/* the outbox has been dropped */
	Async_Notify("catalogue_lookups", schema);
	pfree(schema);
}

static Oid
common_sentinel(void)
{
	return catalogue_member_relid("lookup_sentinel");
}
