/*
 * preview.c
 *		preview_deletion(), preview_professor_deletion(): what a deletion would do.
 *
 * The preview asks the deletion's graph for the same rows by one query, which
 * changes and locks nothing, so it also runs on a standby and in a read-only
 * transaction.
 *
 * Locking: AccessShareLock on every table of the graph.
 */
#include "deletion/deletion.h"

#include "query.h"
#include "rights.h"

#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(catalogue_preview_deletion);
PG_FUNCTION_INFO_V1(catalogue_preview_professor_deletion);

static Datum preview_root(FunctionCallInfo fcinfo, bool of_professor);
static void report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo);
static SPITupleTable *run_preview(const Deletion *deletion);
static char *preview_query(const Deletion *deletion);
static void append_edge(const DeletionEdge *edge, StringInfo recursion, StringInfo counts);
static void append_rows(StringInfo query, const DeletionGraph *graph, const DeletionTable *table,
						const char *start);

/*
 * preview_deletion(relation regclass, key text)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * What delete_with_dependents() would do, and what would be in its way:
 * "blocked" counts rows whose key says NO ACTION or RESTRICT, and
 * "no index" names a relation that each batch reads as a whole, with the
 * planner's estimate of its size.
 *
 * Errors: those of the deletion, but for those about writing.
 */
Datum
catalogue_preview_deletion(PG_FUNCTION_ARGS)
{
	return preview_root(fcinfo, false);
}

/*
 * preview_professor_deletion(username text)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * The same for delete_professor_batch().
 */
Datum
catalogue_preview_professor_deletion(PG_FUNCTION_ARGS)
{
	return preview_root(fcinfo, true);
}

static Datum
preview_root(FunctionCallInfo fcinfo, bool of_professor)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Deletion   *deletion = catalogue_begin_deletion(fcinfo, of_professor);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_lock_graph(deletion, AccessShareLock);
	catalogue_check_deletion_privileges(deletion);
	if (!catalogue_find_root(deletion))
		catalogue_report_unknown_root(deletion);
	report_preview(deletion, rsinfo);
	catalogue_unpin(&deletion->graph_pin);
	SPI_finish();

	return (Datum) 0;
}

/* What the deletion of a root that was found will do. */
DeletionForecast
catalogue_forecast(Deletion *deletion)
{
	SPITupleTable *rows = run_preview(deletion);
	DeletionForecast forecast = {0};

	for (uint64 i = 0; i < rows->numvals; i++)
	{
		char	   *action = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		bool		isnull;

		if (strcmp(action, "no index") != 0)
			*(strcmp(action, "blocked") == 0 ? &forecast.blocked : &forecast.rows) +=
				DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull));
	}
	SPI_freetuptable(rows);

	return forecast;
}

static void
report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo)
{
	SPITupleTable *rows = run_preview(deletion);

	for (uint64 i = 0; i < rows->numvals; i++)
		tuplestore_puttuple(rsinfo->setResult, rows->vals[i]);
	SPI_freetuptable(rows);
}

static SPITupleTable *
run_preview(const Deletion *deletion)
{
	SPIExecuteOptions options = {.read_only = true};
	SavedUser	saved;

	catalogue_switch_to_owner(deletion->relid, &saved);
	catalogue_execute(preview_query(deletion), &options);
	catalogue_restore_user(&saved);

	return SPI_tuptable;
}

/*
 * The query behind a preview.  Each table that rows are deleted from is a CTE of
 * their TIDs, t<number>, joined from those that it references.  Where the graph
 * has a cycle, one recursive CTE gathers all of them, and the others take their
 * part of it.
 */
static char *
preview_query(const Deletion *deletion)
{
	const DeletionGraph *graph = deletion->graph;
	const DeletionTable *root = deletion->root_table;
	ItemPointer tid = &deletion->root.tids[0];
	char	   *start = psprintf("'(%u,%u)'::pg_catalog.tid", ItemPointerGetBlockNumber(tid),
								 ItemPointerGetOffsetNumber(tid));
	StringInfoData query;
	StringInfoData recursion;
	StringInfoData counts;
	bool		cyclic = false;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&query);
	initStringInfo(&recursion);
	initStringInfo(&counts);

	foreach(lc, graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		cyclic = cyclic || table->in_cycle;
		foreach(lc2, table->edges)
			append_edge(lfirst(lc2), &recursion, &counts);
	}

	if (cyclic)
		appendStringInfo(&query,
						 "WITH RECURSIVE d (t, tid) AS (SELECT %d, %s UNION SELECT x.t, x.tid"
						 " FROM d CROSS JOIN LATERAL (%s) AS x (t, tid))",
						 root->order, start, recursion.data);

	/* Referenced tables come last in the list and first in the query. */
	for (int i = list_length(graph->tables) - 1; i >= 0; i--)
	{
		const DeletionTable *table = list_nth(graph->tables, i);

		if (!table->delete_target)
			continue;
		appendStringInfo(&query, "%s t%d (tid) AS MATERIALIZED (", query.len > 0 ? "," : "WITH",
						 table->order);
		if (cyclic)
			appendStringInfo(&query, "SELECT d.tid FROM d WHERE d.t OPERATOR(pg_catalog.=) %d",
							 table->order);
		else
			append_rows(&query, graph, table, table == root ? start : NULL);
		appendStringInfoChar(&query, ')');
		appendStringInfo(
						 &counts,
						 " UNION ALL SELECT %d, %u::pg_catalog.oid, 'delete', pg_catalog.count(*) FROM t%d",
						 table->order * 4, table->reported, table->order);
	}

	appendStringInfo(
					 &query,
					 " SELECT s.relid::pg_catalog.regclass, s.action,"
					 " CASE s.action WHEN 'no index' THEN pg_catalog.max(s.n)"
					 " ELSE pg_catalog.sum(s.n)::pg_catalog.int8 END"
					 " FROM (SELECT 0, 0::pg_catalog.oid, NULL::pg_catalog.text, 0::pg_catalog.int8 WHERE false%s)"
					 " AS s (place, relid, action, n) GROUP BY s.relid, s.action"
					 " HAVING pg_catalog.sum(s.n) OPERATOR(pg_catalog.>) 0 OR s.action OPERATOR(pg_catalog.=) 'no index'"
					 " ORDER BY pg_catalog.max(s.place), s.relid, s.action",
					 counts.data);

	return query.data;
}

/*
 * Appends what an edge adds to a preview: to the recursive CTE where rows are
 * deleted by it, or else a count of the rows that it changes or is blocked by.
 */
static void
append_edge(const DeletionEdge *edge, StringInfo recursion, StringInfo counts)
{
	const DeletionTable *referenced = edge->referenced;
	const DeletionTable *referencing = edge->referencing;

	if (edge->action == EDGE_DELETE)
		appendStringInfo(recursion,
						 "%sSELECT %d, t.ctid FROM %s AS r, %s AS t"
						 " WHERE d.t OPERATOR(pg_catalog.=) %d"
						 " AND r.ctid OPERATOR(pg_catalog.=) d.tid AND %s",
						 recursion->len > 0 ? " UNION ALL " : "", referencing->order,
						 referenced->name, referencing->name, referenced->order, edge->match);
	else if (edge->comparable)
	{
		appendStringInfo(counts,
						 " UNION ALL SELECT %d, %u::pg_catalog.oid, '%s', pg_catalog.count(*)"
						 " FROM t%d AS d, %s AS r, %s AS t"
						 " WHERE r.ctid OPERATOR(pg_catalog.=) d.tid AND %s",
						 referencing->order * 4 + edge->action, referencing->reported,
						 catalogue_action_name(edge->action), referenced->order, referenced->name,
						 referencing->name, edge->match);
		if (referencing->delete_target)
			appendStringInfo(counts,
							 " AND NOT EXISTS (SELECT FROM t%d AS x"
							 " WHERE x.tid OPERATOR(pg_catalog.=) t.ctid)",
							 referencing->order);
	}
	if (!edge->indexed)
		appendStringInfo(counts,
						 " UNION ALL SELECT %d, %u::pg_catalog.oid, 'no index',"
						 " (SELECT GREATEST(k.reltuples, 0)::pg_catalog.int8"
						 " FROM pg_catalog.pg_class AS k WHERE k.oid OPERATOR(pg_catalog.=) %u)",
						 referencing->order * 4 + 3, referencing->reported, referencing->reported);
}

/* Appends the query of a table's CTE: the row to start with, and rows by each edge. */
static void
append_rows(StringInfo query, const DeletionGraph *graph, const DeletionTable *table,
			const char *start)
{
	const char *separator = "";
	ListCell   *lc;
	ListCell   *lc2;

	if (start != NULL)
	{
		appendStringInfo(query, "SELECT %s", start);
		separator = " UNION ";
	}
	foreach(lc, graph->tables)
	{
		const DeletionTable *referenced = lfirst(lc);

		foreach(lc2, referenced->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->action != EDGE_DELETE || edge->referencing != table)
				continue;
			appendStringInfo(query,
							 "%sSELECT t.ctid FROM t%d AS d, %s AS r, %s AS t"
							 " WHERE r.ctid OPERATOR(pg_catalog.=) d.tid AND %s",
							 separator, referenced->order, referenced->name, table->name,
							 edge->match);
			separator = " UNION ";
		}
	}
	if (*separator == '\0')
		appendStringInfoString(query, "SELECT NULL::pg_catalog.tid WHERE false");
}
