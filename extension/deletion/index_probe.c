/*
 * index_probe.c
 *		Does any row reference some others?  As an index knows.
 *
 * Most rows are not referenced by most keys that refer to their table.  To run a
 * statement for each of these costs many times what it takes to look into an
 * index, which has an entry for every row that anybody might see, and then some:
 * no entry means no row.  Rows that come later are kept out as traversal.c says.
 *
 * The index stays as long as the lock on its table: one that is dropped or
 * rebuilt concurrently is maintained until all who have the table locked are
 * gone.  Locks: AccessShareLock on the index, to the end of the transaction.
 */
#include "deletion/index_probe.h"

#include "rights.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* For more rows than this one statement is cheaper. */
#define MAX_PROBES 8

static bool probe_index(const DeletionEdge *edge, const DeletionBatch *referenced);
static bool has_entry(IndexScanDesc scan, const IndexProbe *probe, Datum value);

/*
 * Might a row reference one of a batch, by an edge?  True where there is no index
 * to ask, where there are many rows to ask for, and in SERIALIZABLE, where what is
 * looked at has to be remembered.
 *
 * Comparisons of a type may be the code of a user, and run as the table's owner.
 */
bool
catalogue_may_be_referenced(const DeletionEdge *edge, const DeletionBatch *referenced)
{
	SavedUser	saved;
	bool		result;

	if (!OidIsValid(edge->probe.index) || referenced->nrows > MAX_PROBES ||
		IsolationIsSerializable())
		return true;

	catalogue_switch_to_owner(edge->referencing->relid, &saved);
	result = probe_index(edge, referenced);
	catalogue_restore_user(&saved);

	return result;
}

static bool
probe_index(const DeletionEdge *edge, const DeletionBatch *referenced)
{
	const DeletionColumn *key = &referenced->keys[linitial_int(edge->keys)];
	Relation	rel = table_open(edge->referencing->relid, NoLock);
	Relation	index = index_open(edge->probe.index, AccessShareLock);
	IndexScanDesc scan = index_beginscan(rel, index, SnapshotAny, NULL, 1, 0, SO_NONE);
	bool		found = false;

	for (int i = 0; i < referenced->nrows && !found; i++)
		found = !key->nulls[i] && has_entry(scan, &edge->probe, key->values[i]);

	index_endscan(scan);
	index_close(index, NoLock);
	table_close(rel, NoLock);

	return found;
}

static bool
has_entry(IndexScanDesc scan, const IndexProbe *probe, Datum value)
{
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, probe->subtype, probe->collation,
						   probe->equal, value);
	index_rescan(scan, &key, 1, NULL, 0);

	return index_getnext_tid(scan, ForwardScanDirection) != NULL;
}
