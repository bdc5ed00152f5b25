/*
 * pruning.c
 *		Which partitions can have chapters of a filière, and in which order.
 *
 * As the planner would: by the bounds of a table that is partitioned by the filière
 * alone, at each level; by its hash, its list or its range.  At a level that is
 * partitioned by anything else all partitions count.  A partition that the
 * reference plan does not read is left out.
 *
 * Partitions by ranges of created_at are read one after the other, the newest
 * first, as an ordered Append reads them: an older one is not opened before the
 * newer are at their end.  Those newer than the page's position are left out.
 * Undated chapters are in the default partition, which has no place in the order.
 *
 * Locking: partitioned tables are locked as they are come by, to the end of the
 * transaction; the bound one is.
 */
#include "feed/pruning.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

typedef struct Pruning
{
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	const ChapterPosition *position;
	Datum		filiere;
	PrunedTargets *result;
	bool		dated;			/* what is added has no undated chapters ... */
	bool		follows;		/* ... and continues a run */
} Pruning;

static PrunedTargets *shrink(PrunedTargets *pruned, int room);
static bool is_by_filiere(const Pruning *pruning, Relation rel);
static bool is_by_time(const Pruning *pruning, Relation rel);
static bool is_key_column(Relation rel, int i, const char *column);
static void prune(Pruning *pruning, Relation rel);
static void prune_by_time(Pruning *pruning, Relation rel);
static int	newest_partition(const Pruning *pruning, Relation rel);
static bool narrow(Datum value, Oid type, Datum *narrowed);
static int	find_partition(Relation rel, Datum value);
static void add_partition(Pruning *pruning, Oid relid, bool is_leaf);
static void add_target(Pruning *pruning, int number);

/*
 * The targets of the reference plan that can have chapters of a filière behind a
 * position, in the current memory context.
 */
PrunedTargets *
catalogue_feed_prune(const ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
					 const ChapterPosition *position, Datum filiere)
{
	Pruning		pruning = {
		.feed = feed,
		.plan = plan,
		.position = position,
		.filiere = filiere,
	};

	pruning.result = palloc(offsetof(PrunedTargets, targets) +
							sizeof(PrunedTarget) * plan->ntargets);
	pruning.result->ntargets = pruning.result->nruns = 0;
	pruning.result->for_any_filiere = true;

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && plan->ntargets > 1)
		prune(&pruning, rel);
	else
	{
		for (int i = 0; i < plan->ntargets; i++)
			add_target(&pruning, i);
	}

	return shrink(pruning.result, plan->ntargets);
}

/*
 * Of thousands of partitions a filière is in few, and of filières there may be
 * thousands too.
 */
static PrunedTargets *
shrink(PrunedTargets *pruned, int room)
{
	PrunedTargets *result;
	Size		size = offsetof(PrunedTargets, targets) + sizeof(PrunedTarget) * pruned->ntargets;

	if (pruned->ntargets == room)
		return pruned;
	result = memcpy(palloc(size), pruned, size);
	pfree(pruned);

	return result;
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
		get_op_opfamily_strategy(pruning->plan->equality_operator, key->partopfamily[0]) == equal;
}

/* Whether a table's partitions are ranges of the feed's order. */
static bool
is_by_time(const Pruning *pruning, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);

	return key->strategy == PARTITION_STRATEGY_RANGE &&
		is_key_column(rel, 0, pruning->feed->attachment->chapters_created_at) &&
		(key->partnatts == 1 ||
		 (key->partnatts == 2 && is_key_column(rel, 1, pruning->feed->attachment->chapters_id)));
}

/* Whether a column is the key's at this place, in the order that its type has by itself. */
static bool
is_key_column(Relation rel, int i, const char *column)
{
	PartitionKey key = RelationGetPartitionKey(rel);

	return key->partattrs[i] == get_attnum(RelationGetRelid(rel), column) &&
		key->partcollation[i] == key->parttypcoll[i] &&
		key->partopfamily[i] == lookup_type_cache(getBaseType(key->parttypid[i]),
												  TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

/* Adds the partitions of a table that can have the filière. */
static void
prune(Pruning *pruning, Relation rel)
{
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	Datum		value;
	int			i;

	check_stack_depth();

	if (desc->nparts == 0)
		return;
	if (is_by_time(pruning, rel))
		prune_by_time(pruning, rel);
	else if (is_by_filiere(pruning, rel))
	{
		pruning->result->for_any_filiere = false;

		/* What the column cannot hold is in no partition. */
		if (!narrow(pruning->filiere, RelationGetPartitionKey(rel)->parttypid[0], &value))
			return;
		i = find_partition(rel, value);
		if (i >= 0)
			add_partition(pruning, desc->oids[i], desc->is_leaf[i]);
	}
	else
	{
		for (i = 0; i < desc->nparts; i++)
		{
			pruning->follows = false;
			add_partition(pruning, desc->oids[i], desc->is_leaf[i]);
		}
		pruning->follows = false;
	}
}

/*
 * Adds the partitions of a table that is partitioned by time: the ranges, newest
 * first, as a run if each is one target or one run, and the default partition.
 */
static void
prune_by_time(Pruning *pruning, Relation rel)
{
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	int			default_index = desc->boundinfo->default_index;
	bool		was_dated = pruning->dated;

	pruning->dated = true;
	for (int i = newest_partition(pruning, rel); i >= 0; i--)
	{
		int			nruns = pruning->result->nruns;
		int			ntargets = pruning->result->ntargets;
		bool		followed = pruning->follows;

		if (i == default_index)
			continue;
		add_partition(pruning, desc->oids[i], desc->is_leaf[i]);
		pruning->follows = pruning->result->ntargets == ntargets
			? followed
			: pruning->result->nruns - nruns == (followed ? 0 : 1);
	}
	pruning->follows = false;
	pruning->dated = was_dated;
	if (default_index >= 0)
		add_partition(pruning, desc->oids[default_index], desc->is_leaf[default_index]);
}

/*
 * The number of the newest partition that can have chapters behind the position: of
 * ranges they are in the order of these.
 */
static int
newest_partition(const Pruning *pruning, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	const ChapterPosition *position = pruning->position;
	Datum		before_at;
	bool		equal;
	int			i;

	switch (position->first_range)
	{
		case KEY_RANGE_BEFORE:
		case KEY_RANGE_AFTER:
			break;
		case KEY_RANGE_NEWEST:
			return desc->nparts - 1;
		default:
			return -1;
	}
	if (key->partnatts > 1 || !narrow(position->before_at.value, key->parttypid[0], &before_at))
		return desc->nparts - 1;

	/* Below the lowest bound, or in a gap, there is a lower one or none. */
	i = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, desc->boundinfo, 1,
									  &before_at, &equal);
	for (; i >= -1; i--)
	{
		if (desc->boundinfo->indexes[i + 1] >= 0)
			return desc->boundinfo->indexes[i + 1];
	}

	return -1;
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

/*
 * The number of the partition that a value belongs to, as for a row that is inserted;
 * -1 for none.
 */
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
	if (!is_leaf)
	{
		Relation	rel = table_open(relid, AccessShareLock);

		prune(pruning, rel);
		table_close(rel, NoLock);
	}
	else
	{
		int			number = catalogue_feed_target_number(pruning->plan, relid);

		if (number >= 0)
			add_target(pruning, number);
	}
}

static void
add_target(Pruning *pruning, int number)
{
	PrunedTargets *result = pruning->result;
	PrunedTarget *target = &result->targets[result->ntargets++];

	target->number = number;
	target->follows = pruning->follows;
	target->dated = pruning->dated;
	if (!target->follows)
		result->nruns++;
}
