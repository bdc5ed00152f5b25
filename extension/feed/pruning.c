/*
 * pruning.c
 *		Which partitions can have chapters of a filière.
 *
 * As the planner would: by the bounds of a table that is partitioned by the filière
 * alone, at each level; by its hash, its list or its range.  At a level that is
 * partitioned by anything else all partitions count.  A partition that the
 * reference plan does not read is left out.
 *
 * Locking: the reference plan has locked the partitions, and the partitioned
 * tables between them and the bound one.
 */
#include "feed/pruning.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

typedef struct Pruning
{
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	Datum		filiere;
	int		   *targets;
	int			ntargets;
} Pruning;

static bool is_by_filiere(const Pruning *pruning, Relation rel);
static void prune(Pruning *pruning, Relation rel);
static bool narrow(Datum value, Oid type, Datum *narrowed);
static int	find_partition(Relation rel, Datum value);
static void add_partition(Pruning *pruning, Oid relid, bool is_leaf);

/*
 * Sets the targets of the reference plan, by their numbers, that can have chapters
 * of a filière; returns how many.  There must be room for all of them.
 */
int
catalogue_feed_prune(const ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
					 Datum filiere, int *targets)
{
	Pruning		pruning = {
		.feed = feed,
		.plan = plan,
		.filiere = filiere,
		.targets = targets,
	};

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && plan->ntargets > 1 &&
		is_by_filiere(&pruning, rel))
		prune(&pruning, rel);
	else
	{
		for (int i = 0; i < plan->ntargets; i++)
			targets[pruning.ntargets++] = i;
	}

	return pruning.ntargets;
}

/* Whether a partitioned table's only key is the filière, compared as the feed does. */
static bool
is_by_filiere(const Pruning *pruning, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), pruning->feed->attachment->chapters_filiere);
	StrategyNumber equal =
		key->strategy == PARTITION_STRATEGY_HASH ? HTEqualStrategyNumber : BTEqualStrategyNumber;

	return key->partnatts == 1 && key->partattrs[0] == attno &&
		key->partcollation[0] == key->parttypcoll[0] &&
		get_op_opfamily_strategy(pruning->plan->targets[0].equality_operator,
								 key->partopfamily[0]) == equal;
}

/* Adds the partition of a table that can have the filière, if there is one. */
static void
prune(Pruning *pruning, Relation rel)
{
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	Datum		value;
	int			i;

	if (!is_by_filiere(pruning, rel))
	{
		for (i = 0; i < desc->nparts; i++)
			add_partition(pruning, desc->oids[i], desc->is_leaf[i]);
		return;
	}

	/* What the column cannot hold is in no partition. */
	if (desc->nparts == 0 ||
		!narrow(pruning->filiere, RelationGetPartitionKey(rel)->parttypid[0], &value))
		return;
	i = find_partition(rel, value);
	if (i >= 0)
		add_partition(pruning, desc->oids[i], desc->is_leaf[i]);
}

/* An argument as the partition key's type; false if that cannot hold it. */
static bool
narrow(Datum value, Oid type, Datum *narrowed)
{
	switch (getBaseType(type))
	{
		case INT2OID:
			*narrowed = Int16GetDatum((int16) DatumGetInt64(value));
			return DatumGetInt64(value) == (int16) DatumGetInt64(value);
		case INT4OID:
			*narrowed = Int32GetDatum((int32) DatumGetInt64(value));
			return DatumGetInt64(value) == (int32) DatumGetInt64(value);
		default:
			*narrowed = value;
			return true;
	}
}

/* The number of the partition that a value belongs to, as for a row that is inserted; -1 for none. */
static int
find_partition(Relation rel, Datum value)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionBoundInfo bounds = RelationGetPartitionDesc(rel, false)->boundinfo;
	bool		isnull = false;
	bool		equal = false;
	int			i = -1;

	switch (key->strategy)
	{
		case PARTITION_STRATEGY_HASH:
			return bounds->indexes[compute_partition_hash_value(1, key->partsupfunc,
																key->partcollation, &value,
																&isnull) % bounds->nindexes];
		case PARTITION_STRATEGY_LIST:
			i = partition_list_bsearch(key->partsupfunc, key->partcollation, bounds, value, &equal);
			i = i >= 0 && equal ? bounds->indexes[i] : -1;
			break;
		case PARTITION_STRATEGY_RANGE:
			i = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
											  &value, &equal);
			i = bounds->indexes[i + 1];
			break;
	}

	return i >= 0 ? i : bounds->default_index;
}

static void
add_partition(Pruning *pruning, Oid relid, bool is_leaf)
{
	const ReferencePlan *plan = pruning->plan;

	if (!is_leaf)
	{
		Relation	rel = table_open(relid, AccessShareLock);

		prune(pruning, rel);
		table_close(rel, NoLock);
		return;
	}

	for (int i = 0; i < plan->ntargets; i++)
	{
		if (plan->targets[i].relid == relid)
		{
			pruning->targets[pruning->ntargets++] = i;
			return;
		}
	}
}
