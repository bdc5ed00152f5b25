/*
 * page_position.c
 *		Where the next page's cursor is looked up.
 *
 * A cursor is the id of the last chapter of the page before.  Its created_at is
 * looked up here, at full precision: a client that carried the timestamp
 * through milliseconds would repeat or lose rows.  With before_at given too, a
 * page can follow a chapter that has been deleted; while the chapter exists,
 * its own time decides.
 *
 * Values are copied into the memory context that is current, and live as long
 * as that.  The caller has locked the table and pinned the feed.
 */
#include "feed/page_position.h"

#include "feed/heap_fetch.h"
#include "feed/scan_keys.h"

#include "names.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

static void look_up_position(ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
							 Snapshot snapshot, ChapterPosition *position);
static bool look_up_by_index(const ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
							 Relation index, Snapshot snapshot, Datum id,
							 NullableDatum *created_at);
static bool look_up_by_plan(ChapterFeed *feed, const ChapterPosition *position,
							NullableDatum *created_at);
static SPIPlanPtr position_plan(ChapterFeed *feed);
static NullableDatum argument_value(const ChapterFeed *feed, NullableDatum created_at);
static NullableDatum copy_value(NullableDatum value, const ValueType *type);

/*
 * Turns a page's cursor into its position in the order, which names the first
 * key range to read.  P0002 where there is no chapter before_id, and no
 * before_at.
 */
void
catalogue_feed_find_position(ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
							 Snapshot snapshot, const NullableDatum *before_id,
							 const NullableDatum *before_at, ChapterPosition *position)
{
	position->before_id = copy_value(*before_id, &feed->id);
	position->before_at = copy_value(*before_at, &feed->created_at);

	if (before_id->isnull)
		position->first_range = before_at->isnull ? KEY_RANGE_NEWEST : KEY_RANGE_BEFORE;
	else
	{
		look_up_position(feed, plan, rel, snapshot, position);
		position->first_range =
			position->before_at.isnull ? KEY_RANGE_UNDATED_AFTER : KEY_RANGE_AFTER;
	}
}

/* Sets before_at to the created_at of the chapter before_id, if there is one. */
static void
look_up_position(ChapterFeed *feed, const ReferencePlan *plan, Relation rel, Snapshot snapshot,
				 ChapterPosition *position)
{
	Datum		id = position->before_id.value;
	Relation	index = NULL;
	NullableDatum created_at;
	bool		found;

	/*
	 * This session can have dropped it since the call began: a cursor may
	 * wait.
	 */
	if (OidIsValid(plan->id_indexid))
		index = try_index_open(plan->id_indexid, AccessShareLock);
	if (index != NULL)
		found = look_up_by_index(feed, plan, rel, index, snapshot, id, &created_at);
	else
		found = look_up_by_plan(feed, position, &created_at);

	if (found)
		position->before_at = created_at;
	else if (position->before_at.isnull)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(feed->id.oid, &output, &is_varlena);
		ereport(ERROR,
				errcode(ERRCODE_NO_DATA_FOUND),
				errmsg("chapter \"%s\" does not exist", OidOutputFunctionCall(output, id)),
				errdetail("It was given as the last chapter of the page before."),
				errhint("Give its created_at as before_at too: then a page can follow a chapter that has been deleted."));
	}
}

/* By the index on the id alone, which is closed: one entry, and one row. */
static bool
look_up_by_index(const ChapterFeed *feed, const ReferencePlan *plan, Relation rel, Relation index,
				 Snapshot snapshot, Datum id, NullableDatum *created_at)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	ScanKeyData key;
	IndexScanDesc scan;
	bool		found;

	catalogue_feed_init_key(&key, index, 1, BTEqualStrategyNumber, feed->id.oid, id);
	scan = index_beginscan(rel, index, snapshot, NULL, 1, 0, SO_NONE);
	index_rescan(scan, &key, 1, NULL, 0);
	found = catalogue_heap_getnext_slot(scan, ForwardScanDirection, slot, NULL);
	if (found)
	{
		created_at->value = slot_getattr(slot, plan->created_at_attno, &created_at->isnull);
		*created_at = argument_value(feed, *created_at);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);

	return found;
}

/* By a saved plan, for a table that the feed cannot stream or that has no such index. */
static bool
look_up_by_plan(ChapterFeed *feed, const ChapterPosition *position, NullableDatum *created_at)
{
	MemoryContext caller_cxt = CurrentMemoryContext;
	NullableDatum no_filiere = {.isnull = true};
	SPIExecuteOptions options = {
		.params =
		catalogue_feed_params(feed, &no_filiere, 1, &position->before_at, &position->before_id),
		.read_only = true,
		.tcount = 1,
	};
	bool		found;

	SPI_connect();
	found = catalogue_execute_plan(position_plan(feed), &options) > 0;
	if (found)
	{
		MemoryContext spi_cxt;

		created_at->value =
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &created_at->isnull);
		spi_cxt = MemoryContextSwitchTo(caller_cxt);
		*created_at = argument_value(feed, *created_at);
		MemoryContextSwitchTo(spi_cxt);
	}
	SPI_finish();

	return found;
}

static SPIPlanPtr
position_plan(ChapterFeed *feed)
{
	if (feed->position == NULL)
	{
		Oid			equal = lookup_type_cache(feed->id.oid, TYPECACHE_EQ_OPR)->eq_opr;
		const char *query =
			psprintf("SELECT %s FROM %s WHERE %s %s $4",
					 quote_identifier(feed->attachment->chapters_created_at), feed->relation,
					 quote_identifier(feed->attachment->chapters_id),
					 catalogue_operator_name(equal));

		feed->position = catalogue_feed_prepare(feed, feed->base.cxt, feed->argument_type,
												InvalidOid, query, CURSOR_OPT_GENERIC_PLAN);
	}

	return feed->position;
}

/* A created_at out of the table as before_at. */
static NullableDatum
argument_value(const ChapterFeed *feed, NullableDatum created_at)
{
	if (!created_at.isnull)
		created_at.value = catalogue_feed_widen(created_at.value, feed->created_at_column_type);

	return copy_value(created_at, &feed->created_at);
}

static NullableDatum
copy_value(NullableDatum value, const ValueType *type)
{
	if (!value.isnull)
		value.value = datumCopy(value.value, type->byval, type->len);

	return value;
}
