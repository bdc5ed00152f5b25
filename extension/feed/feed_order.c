/*
 * feed_order.c
 *		The feed's order in SQL, as an index of the table has it.
 *
 * created_at DESC NULLS LAST, id DESC.  In a column that is never NULL, NULLs are
 * first and last, but the planner does not see that: an index on (filière,
 * created_at DESC, id DESC) has the feed's order, and serves no query that says NULLS
 * LAST.  So the queries say what the table's index says.
 */
#include "feed/feed_order.h"

#include "feed/index_targets.h"
#include "names.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* Where NULLs are in a descending order. */
typedef struct NullsOrder
{
	bool		created_at_first;
	bool		id_first;
} NullsOrder;

/* What DESC means without further words, and what the feed says of its undated chapters. */
static const NullsOrder default_order = {
	.created_at_first = false,
	.id_first = true,
};

static NullsOrder order_of_indexes(const ChapterFeed *feed, Relation rel);
static bool order_of_index(Relation index, const AttrNumber *attnos, NullsOrder *order);

/*
 * The clause for the bound table or a part of it, in the current memory context; the
 * caller depends on it.  The columns have the alias of the queries: by itself a name
 * might be a type's too, and then that of a NULL in the select list.
 */
char *
catalogue_feed_order_by(const ChapterFeed *feed, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	NullsOrder	order = order_of_indexes(feed, rel);

	table_close(rel, NoLock);

	return psprintf("ORDER BY chapter.%s DESC NULLS %s, chapter.%s DESC NULLS %s",
					quote_identifier(feed->attachment->chapters_created_at),
					order.created_at_first ? "FIRST" : "LAST",
					quote_identifier(feed->attachment->chapters_id),
					order.id_first ? "FIRST" : "LAST");
}

/*
 * Whether a column is NULL in no row of a table, its partitions and children.  What a
 * table says of itself holds for its partitions, but not for its children.
 */
bool
catalogue_feed_is_never_null(Relation rel, AttrNumber attno)
{
	Form_pg_class form = rel->rd_rel;

	return catalogue_column_is_not_null(RelationGetDescr(rel), attno) &&
		(form->relkind == RELKIND_PARTITIONED_TABLE || !form->relhassubclass);
}

/* The default order if an index has it, or none has the feed's; else that of one which does. */
static NullsOrder
order_of_indexes(const ChapterFeed *feed, Relation rel)
{
	const AttrNumber attnos[] = {
		catalogue_column_number(RelationGetRelid(rel), feed->attachment->chapters_filiere),
		catalogue_column_number(RelationGetRelid(rel), feed->attachment->chapters_created_at),
		catalogue_column_number(RelationGetRelid(rel), feed->attachment->chapters_id)
	};
	NullsOrder	found = default_order;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		NullsOrder	order;
		bool		fits = order_of_index(index, attnos, &order);

		index_close(index, NoLock);
		if (!fits ||
			(order.created_at_first && !catalogue_feed_is_never_null(rel, attnos[1])) ||
			(!order.id_first && !catalogue_feed_is_never_null(rel, attnos[2])))
			continue;
		found = order;
		if (found.created_at_first == default_order.created_at_first &&
			found.id_first == default_order.id_first)
			break;
	}

	return found;
}

/*
 * Whether an index is on filière, created_at and id, both of these in one direction,
 * and where its NULLs are when it is read from the newest chapter on.
 */
static bool
order_of_index(Relation index, const AttrNumber *attnos, NullsOrder *order)
{
	Form_pg_index form = index->rd_index;
	int16		created_at = 0;
	int16		id = 0;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || form->indnkeyatts < INDEX_ID)
		return false;
	for (int i = 0; i < INDEX_ID; i++)
	{
		if (form->indkey.values[i] != attnos[i])
			return false;
	}
	created_at = index->rd_indoption[INDEX_CREATED_AT - 1];
	id = index->rd_indoption[INDEX_ID - 1];
	if ((created_at & INDOPTION_DESC) != (id & INDOPTION_DESC))
		return false;

	/* An ascending index is read backward. */
	order->created_at_first = ((created_at & INDOPTION_NULLS_FIRST) != 0) ==
		((created_at & INDOPTION_DESC) != 0);
	order->id_first = ((id & INDOPTION_NULLS_FIRST) != 0) == ((id & INDOPTION_DESC) != 0);

	return true;
}
