/*
 * counts.c
 *		What a deletion has deleted and set, whoever did it.
 *
 * Rows go by the deletion's statements, by the server's cascades and by user
 * triggers, in a WITH clause and by MERGE too, and what is deleted in a
 * subtransaction may come back.  The server counts all of that for its
 * statistics: for each table in each subtransaction, merged into the outer one
 * when it commits and dropped when it aborts.  What these counters say at the
 * end more than at the start is what was deleted in between.  The rows that the
 * deletion's own statements set are counted by them; what the counters have
 * beyond those was set by the server's own triggers, or updated by those of
 * users: where there may be such, no more counts than a look ahead has expected.
 *
 * Counting starts and stops in the same transaction, at the same level.  While
 * it lasts track_counts is on; the setting comes back with the stop, or with the
 * end of the (sub)transaction after an ERROR.
 *
 * Memory: the counts are in the deletion's context.
 */
#include "deletion/counts.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"

static TableCounters *read_counters(MemoryContext cxt, int *n);
static void add_transaction(TableCounters *counters, const PgStat_TableXactStatus *trans);
static int	compare_counters(const void *a, const void *b);
static void count_difference(List **rows, DeletionCounts *counts, const DeletionGraph *graph,
							 const TableCounters *now, const TableCounters *then);
static void count_server_sets(List **rows, DeletionCounts *counts, const DeletionGraph *graph,
							  const DeletionEdge *edge, int64 updated);
static void add_rows(List **list, MemoryContext cxt, Oid relid, EdgeAction action, int64 rows);
static const DeletionEdge *set_by_server(const DeletionGraph *graph, Oid relid);
static Oid	reported_relation(const DeletionGraph *graph, Oid relid);
static int64 own_rows(const DeletionCounts *counts, Oid relid);

/* Everything until the stop counts. */
void
catalogue_start_counting(DeletionCounts *counts)
{
	counts->own = NIL;
	counts->guc_nest_level = 0;
	if (!pgstat_track_counts)
	{
		counts->guc_nest_level = NewGUCNestLevel();
		(void) set_config_option("track_counts", "on", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	}
	counts->start = read_counters(counts->cxt, &counts->nstart);
}

/* Adds what happened since the start to the counts.  To be called before a commit. */
void
catalogue_stop_counting(DeletionCounts *counts, const DeletionGraph *graph)
{
	List	   *rows = NIL;
	TableCounters *now;
	int			nnow;
	int			j = 0;
	ListCell   *lc;

	now = read_counters(counts->cxt, &nnow);
	for (int i = 0; i < nnow; i++)
	{
		TableCounters then = {0};

		while (j < counts->nstart && counts->start[j].relid < now[i].relid)
			j++;
		if (j < counts->nstart && counts->start[j].relid == now[i].relid)
			then = counts->start[j];
		count_difference(&rows, counts, graph, &now[i], &then);
	}
	foreach(lc, counts->own)
	{
		const DeletionCount *own = lfirst(lc);

		add_rows(&rows, counts->cxt, reported_relation(graph, own->relid), own->action,
				 own->rows);
	}

	/* What a TRUNCATE has set back counts as nothing. */
	foreach(lc, rows)
	{
		const DeletionCount *count = lfirst(lc);

		if (count->rows > 0)
			add_rows(&counts->rows, counts->cxt, count->relid, count->action, count->rows);
	}

	list_free_deep(rows);
	list_free_deep(counts->own);
	counts->own = NIL;
	pfree(now);
	pfree(counts->start);
	if (counts->guc_nest_level > 0)
		AtEOXact_GUC(true, counts->guc_nest_level);
}

/* Rows that will be set, by whomever. */
void
catalogue_expect_set_rows(DeletionCounts *counts, Oid relid, EdgeAction action, uint64 rows)
{
	add_rows(&counts->expected, counts->cxt, relid, action, rows);
}

/* Counts rows that a statement of the deletion has set. */
void
catalogue_count_set_rows(DeletionCounts *counts, Oid relid, EdgeAction action, uint64 rows)
{
	ListCell   *lc;

	add_rows(&counts->own, counts->cxt, relid, action, rows);
	foreach(lc, counts->expected)
	{
		DeletionCount *expected = lfirst(lc);

		if (expected->relid == relid && expected->action == action)
			expected->rows -= rows;
	}
}

/* Rows deleted or set until the last stop. */
uint64
catalogue_counted_rows(const DeletionCounts *counts)
{
	uint64		rows = 0;
	ListCell   *lc;

	foreach(lc, counts->rows)
		rows += ((DeletionCount *) lfirst(lc))->rows;
	return rows;
}

/* The server's counters of this transaction so far, all levels added up, by OID. */
static TableCounters *
read_counters(MemoryContext cxt, int *n)
{
	PgStat_SubXactStatus *innermost =
		pgstat_get_xact_stack_level(GetCurrentTransactionNestLevel());
	TableCounters *counters;
	int			nread = 0;
	int			nmerged = 0;

	for (PgStat_SubXactStatus *level = innermost; level != NULL; level = level->prev)
	{
		for (PgStat_TableXactStatus *trans = level->first; trans != NULL; trans = trans->next)
			nread++;
	}
	counters = MemoryContextAllocZero(cxt, (nread + 1) * sizeof(TableCounters));

	nread = 0;
	for (PgStat_SubXactStatus *level = innermost; level != NULL; level = level->prev)
	{
		for (PgStat_TableXactStatus *trans = level->first; trans != NULL; trans = trans->next)
			add_transaction(&counters[nread++], trans);
	}

	qsort(counters, nread, sizeof(TableCounters), compare_counters);
	for (int i = 0; i < nread; i++)
	{
		if (nmerged > 0 && counters[nmerged - 1].relid == counters[i].relid)
		{
			counters[nmerged - 1].inserted += counters[i].inserted;
			counters[nmerged - 1].updated += counters[i].updated;
			counters[nmerged - 1].deleted += counters[i].deleted;
		}
		else
			counters[nmerged++] = counters[i];
	}
	*n = nmerged;

	return counters;
}

/* TRUNCATE puts the counters so far aside, for a rollback. */
static void
add_transaction(TableCounters *counters, const PgStat_TableXactStatus *trans)
{
	counters->relid = catalogue_counted_table(trans->parent);
	counters->inserted = trans->tuples_inserted;
	counters->updated = trans->tuples_updated;
	counters->deleted = trans->tuples_deleted;
	if (trans->truncdropped)
	{
		counters->inserted += trans->inserted_pre_truncdrop;
		counters->updated += trans->updated_pre_truncdrop;
		counters->deleted += trans->deleted_pre_truncdrop;
	}
}

static int
compare_counters(const void *a, const void *b)
{
	return oid_cmp(&((const TableCounters *) a)->relid, &((const TableCounters *) b)->relid);
}

/*
 * Adds what happened to one table.  Where keys that are set move rows to another
 * partition, each counts as deleted and inserted.
 */
static void
count_difference(List **rows, DeletionCounts *counts, const DeletionGraph *graph,
				 const TableCounters *now, const TableCounters *then)
{
	int64		inserted = now->inserted - then->inserted;
	int64		updated = now->updated - then->updated;
	int64		deleted = now->deleted - then->deleted;
	Oid			reported;
	const DeletionEdge *edge;

	if ((inserted == 0 && updated == 0 && deleted == 0) || now->relid < FirstNormalObjectId ||
		get_rel_relkind(now->relid) != RELKIND_RELATION)
		return;

	reported = reported_relation(graph, now->relid);
	edge = set_by_server(graph, now->relid);
	if (edge == NULL || !edge->moves_rows)
		inserted = 0;
	if (edge != NULL)
		count_server_sets(rows, counts, graph, edge, updated + inserted);
	deleted -= inserted;
	add_rows(rows, counts->cxt, reported, EDGE_DELETE, deleted);
}

/* Adds what the server's triggers have set of the rows of a table that were updated. */
static void
count_server_sets(List **rows, DeletionCounts *counts, const DeletionGraph *graph,
				  const DeletionEdge *edge, int64 updated)
{
	Oid			relid = edge->referencing->relid;
	int64		left = updated - own_rows(counts, relid);
	ListCell   *lc;

	if (graph->counts_sets)
		add_rows(rows, counts->cxt, edge->referencing->reported, edge->action, left);
	else
	{
		foreach(lc, counts->expected)
		{
			DeletionCount *expected = lfirst(lc);
			int64		set = expected->relid == relid ? Min(expected->rows, left) : 0;

			if (set <= 0)
				continue;
			add_rows(rows, counts->cxt, edge->referencing->reported, expected->action, set);
			expected->rows -= set;
			left -= set;
		}
	}
}

static void
add_rows(List **list, MemoryContext cxt, Oid relid, EdgeAction action, int64 rows)
{
	MemoryContext oldcxt;
	DeletionCount *count;
	ListCell   *lc;

	if (rows == 0)
		return;
	foreach(lc, *list)
	{
		count = lfirst(lc);
		if (count->relid == relid && count->action == action)
		{
			count->rows += rows;
			return;
		}
	}

	oldcxt = MemoryContextSwitchTo(cxt);
	count = palloc(sizeof(DeletionCount));
	count->relid = relid;
	count->action = action;
	count->rows = rows;
	*list = lappend(*list, count);
	MemoryContextSwitchTo(oldcxt);
}

/* The edge by which the server's triggers may set keys of the table; NULL: none. */
static const DeletionEdge *
set_by_server(const DeletionGraph *graph, Oid relid)
{
	const DeletionEdge *found = NULL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->referencing->relid != relid || !catalogue_sets_keys(edge))
				continue;
			if (found == NULL || edge->moves_rows || !(edge->traversed || found->moves_rows))
				found = edge;
		}
	}
	return found;
}

/* The relation that a report names: the partitioned one that a partition belongs to. */
static Oid
reported_relation(const DeletionGraph *graph, Oid relid)
{
	const DeletionTable *table = catalogue_graph_table(graph, relid);

	return table != NULL ? table->reported : catalogue_topmost_relation(relid);
}

/* Rows of a physical table that the deletion's own statements have set. */
static int64
own_rows(const DeletionCounts *counts, Oid relid)
{
	int64		rows = 0;
	ListCell   *lc;

	foreach(lc, counts->own)
	{
		const DeletionCount *own = lfirst(lc);

		if (own->relid == relid)
			rows += own->rows;
	}
	return rows;
}
