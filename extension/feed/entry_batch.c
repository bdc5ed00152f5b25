/*
 * entry_batch.c
 *		Some index entries of a filière, kept so that no index scan stays open for it.
 *
 * An index scan takes some 30 kB; an entry 24 bytes, and what its values have by
 * reference.  So thousands of filières can be merged, each by the entries that it
 * has next: one scan reads them, filière after filière.  The rows are fetched later,
 * and only those that the page gets.
 *
 * As in any index scan with an MVCC snapshot, that the page of the index is pinned no
 * more does no harm: what VACUUM puts in the place of a row, the snapshot does not
 * see.
 *
 * Lifetime: in the memory context that is current when a batch is read.
 */
#include "feed/entry_batch.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/rel.h"

static void read_entry(IndexScanDesc scan, const IndexTarget *target, ChapterEntry *entry);
static bool must_be_together(Relation index, const IndexTarget *target, const ChapterEntry *entry,
							 const ChapterEntry *next);
static bool undated_come_first(Relation index, const IndexTarget *target);
static bool equal_keys(Relation index, AttrNumber key, Datum a, Datum b);
static Datum copy_value(Relation index, AttrNumber key, Datum value);
static void free_value(Relation index, AttrNumber key, Datum value);

/*
 * The next entries of a scan that returns index tuples, so many or more; NULL if
 * there are none.  What follows a batch is strictly behind its last entry.
 */
EntryBatch *
catalogue_feed_read_batch(IndexScanDesc scan, const IndexTarget *target, int wanted)
{
	Relation	index = scan->indexRelation;
	EntryBatch *batch = palloc0(sizeof(EntryBatch));
	bool		skip_undated = undated_come_first(index, target);
	int			room = wanted;

	batch->entries = palloc(sizeof(ChapterEntry) * room);
	batch->range_ended = true;
	while (index_getnext_tid(scan, target->direction) != NULL)
	{
		ChapterEntry entry;

		CHECK_FOR_INTERRUPTS();
		read_entry(scan, target, &entry);
		if (entry.undated && skip_undated)
			continue;
		if (batch->nentries >= wanted &&
			!must_be_together(index, target, &batch->entries[batch->nentries - 1], &entry))
		{
			batch->range_ended = false;
			break;
		}
		if (batch->nentries == room)
		{
			room *= 2;
			batch->entries = repalloc(batch->entries, sizeof(ChapterEntry) * room);
		}
		if (!entry.undated)
			entry.created_at = copy_value(index, target->created_at_key, entry.created_at);
		if (!entry.id_is_null)
			entry.id = copy_value(index, target->created_at_key + 1, entry.id);
		batch->entries[batch->nentries++] = entry;
	}
	if (batch->nentries == 0)
	{
		catalogue_feed_free_batch(batch, target, index);
		batch = NULL;
	}

	return batch;
}

/* The entry that the scan has just returned; its values are in the scan's memory. */
static void
read_entry(IndexScanDesc scan, const IndexTarget *target, ChapterEntry *entry)
{
	entry->tid = scan->xs_heaptid;
	entry->created_at = index_getattr(scan->xs_itup, target->created_at_key, scan->xs_itupdesc,
									  &entry->undated);
	entry->id = index_getattr(scan->xs_itup, target->created_at_key + 1, scan->xs_itupdesc,
							  &entry->id_is_null);
}

/*
 * Whether a batch must not end between two entries, since what is strictly behind
 * the first would leave out the second: they are versions of one row, or rows whose
 * id is NULL.
 */
static bool
must_be_together(Relation index, const IndexTarget *target, const ChapterEntry *entry,
				 const ChapterEntry *next)
{
	if (entry->id_is_null)
		return true;
	if (next->id_is_null || entry->undated != next->undated)
		return false;

	return equal_keys(index, target->created_at_key + 1, entry->id, next->id) &&
		(entry->undated ||
		 equal_keys(index, target->created_at_key, entry->created_at, next->created_at));
}

/*
 * An index that has these first, as it is read, serves only where created_at is NOT
 * NULL.  Then they are versions from before it was.
 */
static bool
undated_come_first(Relation index, const IndexTarget *target)
{
	int			options = index->rd_indoption[target->created_at_key - 1];

	return ((options & INDOPTION_NULLS_FIRST) != 0) == ScanDirectionIsForward(target->direction);
}

static bool
equal_keys(Relation index, AttrNumber key, Datum a, Datum b)
{
	return DatumGetInt32(FunctionCall2Coll(index_getprocinfo(index, key, BTORDER_PROC),
										   index->rd_indcollation[key - 1], a, b)) == 0;
}

/* As the index stores it, which is not always as the column's type has it: a name is shorter. */
static Datum
copy_value(Relation index, AttrNumber key, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(index), key - 1);

	return att->attbyval ? value : datumCopy(value, false, att->attlen);
}

static void
free_value(Relation index, AttrNumber key, Datum value)
{
	if (!TupleDescAttr(RelationGetDescr(index), key - 1)->attbyval)
		pfree(DatumGetPointer(value));
}

void
catalogue_feed_free_batch(EntryBatch *batch, const IndexTarget *target, Relation index)
{
	for (int i = 0; i < batch->nentries; i++)
	{
		if (!batch->entries[i].undated)
			free_value(index, target->created_at_key, batch->entries[i].created_at);
		if (!batch->entries[i].id_is_null)
			free_value(index, target->created_at_key + 1, batch->entries[i].id);
	}
	pfree(batch->entries);
	pfree(batch);
}
