/*
 * scan_keys.c
 *		Scan keys that compare an index's columns with a call's arguments.
 *
 * An argument may be of a wider type than the column (feed.c).  Then the key's
 * function is the operator family's for the two types, as it is where the planner
 * makes a key of such a comparison.
 *
 * Strategies are those of the column's type: the index AM itself turns them
 * around for a descending column.
 */
#include "feed/scan_keys.h"

#include "access/nbtree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static void init_row_key(ScanKey key, ScanKey members, Relation index, AttrNumber created_at,
						 const ChapterFeed *feed, Datum before_at, Datum before_id);
static void init_row_member(ScanKey key, int flags, Relation index, AttrNumber attno,
							Oid argument_type, Datum argument);

/*
 * The type as which the index's operator family takes an argument: its own where
 * the family knows that, else what the index is declared for (text for a varchar).
 */
Oid
catalogue_feed_key_type(Relation index, AttrNumber attno, Oid argument_type)
{
	Oid			opfamily = index->rd_opfamily[attno - 1];

	return OidIsValid(get_opfamily_proc(opfamily, argument_type, argument_type, BTORDER_PROC))
		? argument_type
		: index->rd_opcintype[attno - 1];
}

/* An index column compared with an argument that is not NULL. */
void
catalogue_feed_init_key(ScanKey key, Relation index, AttrNumber attno, StrategyNumber strategy,
						Oid argument_type, Datum argument)
{
	Oid			type = catalogue_feed_key_type(index, attno, argument_type);
	Oid			opno = get_opfamily_member(index->rd_opfamily[attno - 1],
										   index->rd_opcintype[attno - 1], type, strategy);

	ScanKeyEntryInitialize(key, 0, attno, strategy, type, index->rd_indcollation[attno - 1],
						   get_opcode(opno), argument);
}

/*
 * The keys of a range behind that for the filière; returns how many.  "created_at" is
 * the column's number in the index, and the id's is the next.  One key may point to
 * "row_members", which must live as long as the scan.
 */
int
catalogue_feed_init_range_keys(ScanKey keys, ScanKeyData row_members[2], Relation index,
							   AttrNumber created_at, const ChapterFeed *feed,
							   ChapterKeyRange range,
							   const NullableDatum *before_at, const NullableDatum *before_id)
{
	switch (range)
	{
		case KEY_RANGE_NEWEST:
		case KEY_RANGE_END:
			return 0;
		case KEY_RANGE_BEFORE:
			catalogue_feed_init_key(keys, index, created_at, BTLessStrategyNumber,
									feed->created_at.oid, before_at->value);
			return 1;
		case KEY_RANGE_AFTER:
			init_row_key(keys, row_members, index, created_at, feed, before_at->value, before_id->value);
			return 1;
		case KEY_RANGE_UNDATED_AFTER:
		case KEY_RANGE_UNDATED:
			ScanKeyEntryInitialize(keys, SK_ISNULL | SK_SEARCHNULL, created_at,
								   InvalidStrategy, InvalidOid, InvalidOid, InvalidOid, (Datum) 0);
			if (range == KEY_RANGE_UNDATED)
				return 1;
			catalogue_feed_init_key(keys + 1, index, created_at + 1, BTLessStrategyNumber, feed->id.oid,
									before_id->value);
			return 2;
	}

	return 0;
}

/*
 * (created_at, id) < (before_at, before_id), as ExecIndexBuildScanKeys() builds
 * it: a header, and members.
 */
static void
init_row_key(ScanKey key, ScanKey members, Relation index, AttrNumber created_at,
			 const ChapterFeed *feed, Datum before_at, Datum before_id)
{
	init_row_member(&members[0], SK_ROW_MEMBER, index, created_at, feed->created_at.oid,
					before_at);
	init_row_member(&members[1], SK_ROW_MEMBER | SK_ROW_END, index, created_at + 1, feed->id.oid,
					before_id);

	MemSet(key, 0, sizeof(ScanKeyData));
	key->sk_flags = SK_ROW_HEADER;
	key->sk_attno = created_at;
	key->sk_strategy = BTLessStrategyNumber;
	key->sk_argument = PointerGetDatum(members);
}

static void
init_row_member(ScanKey key, int flags, Relation index, AttrNumber attno, Oid argument_type,
				Datum argument)
{
	Oid			type = catalogue_feed_key_type(index, attno, argument_type);
	RegProcedure order = get_opfamily_proc(index->rd_opfamily[attno - 1],
										   index->rd_opcintype[attno - 1], type, BTORDER_PROC);

	ScanKeyEntryInitialize(key, flags, attno, BTLessStrategyNumber, type,
						   index->rd_indcollation[attno - 1], order, argument);
}
