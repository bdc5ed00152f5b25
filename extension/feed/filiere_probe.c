/*
 * filiere_probe.c
 *		Which of many filières exist.
 *
 * To search for each of thousands that do not takes a descent of the index for each.
 * So the index is asked, behind one that has no chapters, for the next that is there.
 *
 * Lifetime: everything is allocated in the context that is current at begin; the index
 * scan and its pins belong to the current resource owner.
 */
#include "feed/filiere_probe.h"

#include "feed/heap_fetch.h"
#include "feed/scan_keys.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

struct FiliereProbe
{
	const ScanTarget *target;
	const ChapterFeed *feed;
	bool		same_order;		/* of the index, and of filières by their
								 * type */
	IndexScanDesc scan;
	TupleTableSlot *slot;
	FmgrInfo	order;			/* the index's, of filières */
};

static bool next_existing(FiliereProbe *probe, Datum after, Datum *value);

/* All arguments must live as long as the probe; the target is open. */
FiliereProbe *
catalogue_feed_begin_probe(const ScanTarget *target, Snapshot snapshot, const ChapterFeed *feed)
{
	FiliereProbe *probe = palloc0(sizeof(FiliereProbe));
	Relation	index = target->index;

	probe->target = target;
	probe->feed = feed;
	probe->same_order = index->rd_opfamily[INDEX_FILIERE - 1] ==
		lookup_type_cache(feed->filiere.oid, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	fmgr_info(get_opfamily_proc(index->rd_opfamily[INDEX_FILIERE - 1],
								catalogue_feed_key_type(index, INDEX_FILIERE, feed->filiere.oid),
								index->rd_opcintype[INDEX_FILIERE - 1], BTORDER_PROC),
			  &probe->order);
	probe->scan = index_beginscan(target->rel, index, snapshot, NULL, 1, 0, SO_NONE);
	probe->slot = table_slot_create(target->rel, NULL);

	return probe;
}

/*
 * Which of some filières in ascending order, behind one that has no chapters, may
 * have some: the first that is not less than the next one in the index.  An index can
 * have another order than the type, and then it is the next one.
 */
int
catalogue_feed_skip_missing(FiliereProbe *probe, const Datum *filieres, int nfilieres, int missing)
{
	Oid			collation = probe->target->index->rd_indcollation[INDEX_FILIERE - 1];
	Datum		next;
	int			i = missing + 1;

	if (!probe->same_order)
		return i;
	if (!next_existing(probe, filieres[missing], &next))
		return nfilieres;

	while (i < nfilieres &&
		   DatumGetInt32(FunctionCall2Coll(&probe->order, collation, filieres[i], next)) < 0)
		i++;

	return i;
}

/* The filière of the first chapter behind a filière; false if there is none. */
static bool
next_existing(FiliereProbe *probe, Datum after, Datum *value)
{
	Relation	index = probe->target->index;
	bool		descending = (index->rd_indoption[INDEX_FILIERE - 1] & INDOPTION_DESC) != 0;
	ScanKeyData key;
	bool		isnull;

	catalogue_feed_init_key(&key, index, INDEX_FILIERE, BTGreaterStrategyNumber,
							probe->feed->filiere.oid, after);
	index_rescan(probe->scan, &key, 1, NULL, 0);
	if (!catalogue_heap_getnext_slot(probe->scan,
									 descending ? BackwardScanDirection : ForwardScanDirection,
									 probe->slot, NULL))
		return false;
	*value = slot_getattr(probe->slot, probe->target->plan->filiere_attno, &isnull);

	return true;
}

/* Releases pins and the index scan; memory is freed with its context. */
void
catalogue_feed_end_probe(FiliereProbe *probe)
{
	index_endscan(probe->scan);
	ExecDropSingleTupleTableSlot(probe->slot);
}
