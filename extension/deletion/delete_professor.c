/*
 * delete_professor.c
 *		delete_professor_batch() and preview_professor_deletion().
 *
 * The deletion is one transaction, the caller's; what it did is one row for
 * each relation and action.  The preview asks the same graph for the same
 * rows by one query, which changes and locks nothing, so it also runs on a
 * standby and in a read-only transaction.
 *
 * Locking: RowExclusiveLock on every table of the graph for the deletion,
 * AccessShareLock for the preview; rows as delete_batch.c says.
 */
#include "deletion/deletion.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(catalogue_delete_professor_batch);
PG_FUNCTION_INFO_V1(catalogue_preview_professor_deletion);

static void report_deletion(const Deletion *deletion, ReturnSetInfo *rsinfo);
static void report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid);
static void put_row(ReturnSetInfo *rsinfo, Oid relid, const char *action, int64 rows);
static const char *action_name(EdgeAction action);
static char *preview_query(const Deletion *deletion);
static void report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo);
static SPITupleTable *run_preview(const Deletion *deletion);

/*
 * delete_professor_batch(username text, batch_size integer DEFAULT 1000,
 *						  missing_ok boolean DEFAULT false)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * Deletes a professor with all that depends on him, in the caller's
 * transaction, in statements of at most batch_size rows.  Returns a row for
 * each relation that was touched, dependents first, the professors table last.
 *
 * Errors: 22004 for a null argument, 22023 for a batch size below one, 25006
 * in a read-only transaction or on a standby, 42501 without the rights, 55000
 * where the schema is not attached, P0002 for an unknown professor, unless
 * missing_ok (then no rows).
 */
Datum
catalogue_delete_professor_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Deletion *deletion;
	bool missing_ok;

	PreventCommandIfReadOnly("delete_professor_batch()");
	deletion = catalogue_begin_deletion(fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("missing_ok must not be null"));
	missing_ok = PG_GETARG_BOOL(2);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_lock_graph(deletion, RowExclusiveLock);
	catalogue_deletion_watch_start(&deletion->watch);
	PG_TRY();
	{
		catalogue_check_deletion_privileges(deletion);
		if (catalogue_lock_professor(deletion))
		{
			catalogue_delete_locked_professor(deletion);
			catalogue_deletion_watch_flush(&deletion->watch);
			report_deletion(deletion, rsinfo);
		}
		else if (!missing_ok)
			catalogue_report_unknown_professor(deletion);
	}
	PG_FINALLY();
	{
		catalogue_end_walk(deletion);
		catalogue_deletion_watch_stop(&deletion->watch);
		catalogue_unpin(&deletion->graph_pin);
	}
	PG_END_TRY();
	SPI_finish();

	return (Datum) 0;
}

/*
 * preview_professor_deletion(username text)
 *		RETURNS TABLE (relation regclass, action text, row_count bigint)
 *
 * What delete_professor_batch() would do, and what would be in its way:
 * "blocked" counts rows whose key says NO ACTION or RESTRICT, and
 * "no index" names a relation that each batch reads as a whole, with the
 * planner's idea of its size.
 *
 * Errors: those of the deletion, but for those about writing.
 */
Datum
catalogue_preview_professor_deletion(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Deletion *deletion = catalogue_begin_deletion(fcinfo);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	SPI_connect();
	catalogue_lock_graph(deletion, AccessShareLock);
	catalogue_check_deletion_privileges(deletion);
	if (!catalogue_find_professor(deletion))
		catalogue_report_unknown_professor(deletion);
	report_preview(deletion, rsinfo);
	catalogue_unpin(&deletion->graph_pin);
	SPI_finish();

	return (Datum) 0;
}

/*
 * Reads the arguments that the deletion's functions have in common: username
 * and, where there is a second one, batch_size.
 */
Deletion *
catalogue_begin_deletion(FunctionCallInfo fcinfo)
{
	Deletion *deletion = palloc0(sizeof(Deletion));

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("username must not be null"));
	if (PG_NARGS() > 1)
	{
		if (PG_ARGISNULL(1))
			ereport(ERROR,
					errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("batch size must not be null"));
		deletion->batch_size = PG_GETARG_INT32(1);
		if (deletion->batch_size < 1)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("batch size must be greater than zero"),
					errdetail("The call asked for a batch size of %d.", deletion->batch_size));
	}

	deletion->cxt = CurrentMemoryContext;
	deletion->username = text_to_cstring(PG_GETARG_TEXT_PP(0));
	deletion->caller = GetUserId();
	deletion->funcid = fcinfo->flinfo->fn_oid;
	deletion->attachment = catalogue_attachment_of_function(deletion->funcid, NULL);
	deletion->watch = (DeletionWatch){.funcid = deletion->funcid, .cxt = deletion->cxt};
	catalogue_init_pin(&deletion->graph_pin, deletion->cxt);
	if (!OidIsValid(deletion->attachment->professors))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a professors table",
					   deletion->attachment->schema_name));

	return deletion;
}

/* Pins the graph as it is now, in place of the one from the transaction before. */
void
catalogue_lock_graph(Deletion *deletion, LOCKMODE lockmode)
{
	catalogue_unpin(&deletion->graph_pin);
	deletion->graph = catalogue_pin_fk_graph(&deletion->graph_pin, deletion->funcid, lockmode);
	deletion->attachment = deletion->graph->attachment;
	deletion->watch.attachment = deletion->attachment;
	deletion->watch.graph = deletion->graph;
}

void
catalogue_report_unknown_professor(const Deletion *deletion)
{
	ereport(ERROR,
			errcode(ERRCODE_NO_DATA_FOUND),
			errmsg("professor \"%s\" does not exist", deletion->username));
}

/* Dependents in the order of the graph, then what else user triggers deleted. */
static void
report_deletion(const Deletion *deletion, ReturnSetInfo *rsinfo)
{
	const Oid professors = deletion->attachment->professors;
	List *reported = list_make1_oid(professors);
	ListCell *lc;

	foreach(lc, deletion->graph->tables)
	{
		Oid relid = ((DeletionTable *) lfirst(lc))->reported;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	foreach(lc, deletion->watch.counts)
	{
		Oid relid = ((DeletionCount *) lfirst(lc))->relid;

		if (!list_member_oid(reported, relid))
			report_relation(deletion, rsinfo, relid);
		reported = list_append_unique_oid(reported, relid);
	}
	report_relation(deletion, rsinfo, professors);
}

static void
report_relation(const Deletion *deletion, ReturnSetInfo *rsinfo, Oid relid)
{
	for (EdgeAction action = EDGE_DELETE; action <= EDGE_SET_DEFAULT; action++)
	{
		ListCell *lc;

		foreach(lc, deletion->watch.counts)
		{
			const DeletionCount *count = lfirst(lc);

			if (count->relid == relid && count->action == action && count->rows > 0)
				put_row(rsinfo, relid, action_name(action), count->rows);
		}
	}
}

static void
put_row(ReturnSetInfo *rsinfo, Oid relid, const char *action, int64 rows)
{
	Datum values[3] = {ObjectIdGetDatum(relid), CStringGetTextDatum(action), Int64GetDatum(rows)};
	bool nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static const char *
action_name(EdgeAction action)
{
	switch (action)
	{
		case EDGE_DELETE:
			return "delete";
		case EDGE_SET_NULL:
			return "set null";
		case EDGE_SET_DEFAULT:
			return "set default";
		case EDGE_BLOCK:
			return "blocked";
	}
	pg_unreachable();
}

static void
report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo)
{
	SPITupleTable *rows = run_preview(deletion);

	for (uint64 i = 0; i < rows->numvals; i++)
		tuplestore_puttuple(rsinfo->setResult, rows->vals[i]);
	SPI_freetuptable(rows);
}

/* Rows that the deletion of a professor who was found will delete or change. */
uint64
catalogue_count_dependents(const Deletion *deletion)
{
	SPITupleTable *rows = run_preview(deletion);
	uint64 count = 0;

	for (uint64 i = 0; i < rows->numvals; i++)
	{
		char *action = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		bool isnull;

		if (strcmp(action, "blocked") != 0 && strcmp(action, "no index") != 0)
			count += DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull));
	}
	SPI_freetuptable(rows);

	return count;
}

static SPITupleTable *
run_preview(const Deletion *deletion)
{
	SPIExecuteOptions options = {.read_only = true};
	SavedUser saved;

	catalogue_switch_to_owner(deletion->attachment->professors, &saved);
	catalogue_execute(preview_query(deletion), &options);
	catalogue_restore_user(&saved);

	return SPI_tuptable;
}

/*
 * The query behind a preview.  Each table that loses rows is a CTE of their
 * TIDs, t<number>, joined from those above it.  Where the graph has a cycle,
 * one recursive CTE gathers all of them, and the others take their part of it.
 */
static char *
preview_query(const Deletion *deletion)
{
	const DeletionGraph *graph = deletion->graph;
	const DeletionTable *root = deletion->professors;
	ItemPointer tid = &deletion->professor.tids[0];
	char *start = psprintf("'(%u,%u)'::pg_catalog.tid", ItemPointerGetBlockNumber(tid),
						   ItemPointerGetOffsetNumber(tid));
	StringInfoData query;
	StringInfoData recursion;
	StringInfoData counts;
	bool cyclic = false;
	ListCell *lc;
	ListCell *lc2;

	initStringInfo(&query);
	initStringInfo(&recursion);
	initStringInfo(&counts);

	foreach(lc, graph->tables)
	{
		const DeletionTable *parent = lfirst(lc);

		cyclic = cyclic || parent->in_cycle;
		foreach(lc2, parent->children)
		{
			const DeletionEdge *edge = lfirst(lc2);
			const DeletionTable *child = edge->child;

			if (edge->action == EDGE_DELETE)
				appendStringInfo(&recursion,
								 "%sSELECT %d, c.ctid FROM %s AS p, %s AS c"
								 " WHERE d.t OPERATOR(pg_catalog.=) %d"
								 " AND p.ctid OPERATOR(pg_catalog.=) d.tid AND %s",
								 recursion.len > 0 ? " UNION ALL " : "", child->order, parent->name,
								 child->name, parent->order, edge->match);
			else if (edge->comparable)
			{
				appendStringInfo(
					&counts,
					" UNION ALL SELECT %d, %u::pg_catalog.oid, '%s', pg_catalog.count(*)"
					" FROM t%d AS t, %s AS p, %s AS c"
					" WHERE p.ctid OPERATOR(pg_catalog.=) t.tid AND %s",
					child->order * 4 + edge->action, child->reported, action_name(edge->action),
					parent->order, parent->name, child->name, edge->match);
				if (child->loses_rows)
					appendStringInfo(&counts,
									 " AND NOT EXISTS (SELECT FROM t%d AS x"
									 " WHERE x.tid OPERATOR(pg_catalog.=) c.ctid)",
									 child->order);
			}
			if (!edge->indexed)
				appendStringInfo(
					&counts,
					" UNION ALL SELECT %d, %u::pg_catalog.oid, 'no index',"
					" (SELECT GREATEST(k.reltuples, 0)::pg_catalog.int8"
					" FROM pg_catalog.pg_class AS k WHERE k.oid OPERATOR(pg_catalog.=) %u)",
					child->order * 4 + 3, child->reported, child->reported);
		}
	}

	if (cyclic)
		appendStringInfo(&query,
						 "WITH RECURSIVE d (t, tid) AS (SELECT %d, %s UNION SELECT x.t, x.tid"
						 " FROM d CROSS JOIN LATERAL (%s) AS x (t, tid))",
						 root->order, start, recursion.data);

	/* Parents come last in the list and first in the query. */
	for (int i = list_length(graph->tables) - 1; i >= 0; i--)
	{
		const DeletionTable *table = list_nth(graph->tables, i);
		const char *separator = "";

		if (!table->loses_rows)
			continue;
		appendStringInfo(&query, "%s t%d (tid) AS MATERIALIZED (", query.len > 0 ? "," : "WITH",
						 table->order);
		if (cyclic)
			appendStringInfo(&query, "SELECT d.tid FROM d WHERE d.t OPERATOR(pg_catalog.=) %d",
							 table->order);
		else
		{
			if (table == root)
			{
				appendStringInfo(&query, "SELECT %s", start);
				separator = " UNION ";
			}
			foreach(lc, graph->tables)
			{
				const DeletionTable *parent = lfirst(lc);

				foreach(lc2, parent->children)
				{
					const DeletionEdge *edge = lfirst(lc2);

					if (edge->action != EDGE_DELETE || edge->child != table)
						continue;
					appendStringInfo(&query,
									 "%sSELECT c.ctid FROM t%d AS t, %s AS p, %s AS c"
									 " WHERE p.ctid OPERATOR(pg_catalog.=) t.tid AND %s",
									 separator, parent->order, parent->name, table->name,
									 edge->match);
					separator = " UNION ";
				}
			}
			if (*separator == '\0')
				appendStringInfoString(&query, "SELECT NULL::pg_catalog.tid WHERE false");
		}
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
