/*
 * bindings.c
 *		Which attachments bind a lookup table, and by which columns.
 *
 * The trigger on the lookup tables asks that for each row, so it is kept for the
 * backend's life, in a context of its own for each table, and dropped when the
 * configuration or the table changes.  A partition counts for the tables above it.
 *
 * It is right for as long as the caller holds the lock of a writer on the table:
 * attach() takes one that conflicts with it before it binds a table, so that no
 * change is under way which an earlier binding would not have announced.
 */
#include "lookups/bindings.h"

#include "attachment.h"
#include "names.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Columns of catalogue.lookup */
enum
{
	CONFIG_ATTACHMENT,
	CONFIG_ORDINAL,
	CONFIG_RELATION,
	CONFIG_KIND,
	CONFIG_ID,
	CONFIG_NATTS = CONFIG_ID + LOOKUP_COLUMNS
};

typedef struct BindingsSlot
{
	Oid			relid;			/* hash key (must be first) */
	TableBindings *bindings;
} BindingsSlot;

static HTAB *bindings_hash = NULL;

static void read_bindings(CachedThing *thing, void *relid);
static void read_binding(TableBinding *binding, Oid relid, const Datum *values,
						 const bool *isnull);
static bool is_stored_column(Oid relid, AttrNumber attnum);

/* The bindings of a table.  Good until the next call. */
TableBindings *
catalogue_lookup_bindings(Oid relid)
{
	BindingsSlot *slot;
	TableBindings *bindings;
	bool		found;

	if (bindings_hash == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(BindingsSlot),
		};

		bindings_hash = hash_create("catalogue bindings of a table", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	slot = hash_search(bindings_hash, &relid, HASH_FIND, NULL);
	if (slot != NULL && catalogue_is_current(slot->bindings->base.dependencies))
		return slot->bindings;

	bindings = (TableBindings *) catalogue_read_cached("catalogue bindings of a table",
													   sizeof(TableBindings), read_bindings,
													   &relid);
	slot = hash_search(bindings_hash, &relid, HASH_ENTER, &found);
	if (found)
		catalogue_drop_cached(&slot->bindings->base);
	slot->bindings = bindings;
	MemoryContextSetParent(bindings->base.cxt, CacheMemoryContext);

	return bindings;
}

static void
read_bindings(CachedThing *thing, void *arg)
{
	TableBindings *bindings = (TableBindings *) thing;
	List	   *relids = list_make1_oid(*(Oid *) arg);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			allocated = 4;
	ListCell   *lc;

	bindings->relid = *(Oid *) arg;
	catalogue_depend_on_relation(thing->dependencies, catalogue_config_relid());
	catalogue_depend_on_relation(thing->dependencies, bindings->relid);
	if (get_rel_relispartition(bindings->relid))
		relids = list_concat(relids, get_partition_ancestors(bindings->relid));
	foreach(lc, relids)
		catalogue_depend_on_relation(thing->dependencies, lfirst_oid(lc));

	bindings->bindings = MemoryContextAllocZero(thing->cxt, allocated * sizeof(TableBinding));
	rel = table_open(catalogue_member_relid("lookup"), AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[CONFIG_NATTS];
		bool		isnull[CONFIG_NATTS];

		Assert(RelationGetDescr(rel)->natts == CONFIG_NATTS);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		if (!list_member_oid(relids, DatumGetObjectId(values[CONFIG_RELATION])))
			continue;
		if (bindings->n == allocated)
		{
			allocated *= 2;
			bindings->bindings =
				repalloc(bindings->bindings, allocated * sizeof(TableBinding));
		}
		read_binding(&bindings->bindings[bindings->n], bindings->relid, values, isnull);
		bindings->n++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_free(relids);
}

/* A row of catalogue.lookup, for one of the tables that it concerns. */
static void
read_binding(TableBinding *binding, Oid relid, const Datum *values, const bool *isnull)
{
	memset(binding, 0, sizeof(TableBinding));
	binding->outbox = DatumGetObjectId(values[CONFIG_ATTACHMENT]);
	binding->sentinel = catalogue_purges_of_outbox(binding->outbox);
	for (int i = 0; i < LOOKUP_COLUMNS; i++)
	{
		AttrNumber	attnum;

		if (isnull[CONFIG_ID + i])
			continue;
		attnum = get_attnum(relid, NameStr(*DatumGetName(values[CONFIG_ID + i])));
		if (is_stored_column(relid, attnum))
			binding->columns[binding->ncolumns++] = attnum;
		else
			binding->any_column = true;
	}
}

/* False for one that is not there, or that is computed when it is read. */
static bool
is_stored_column(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple;
	bool		is_stored;

	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	if (attnum == InvalidAttrNumber || !HeapTupleIsValid(tuple))
		return false;
	is_stored = !catalogue_column_is_virtual((Form_pg_attribute) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);

	return is_stored;
}
