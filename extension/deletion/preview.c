/*
 * preview.c
 *		preview_deletion(), preview_professor_deletion(): what a deletion would do.
 *
 * The preview reads the rows that the deletion would reach, which changes and
 * locks nothing, so it also runs on a standby and in a read-only transaction.
 *
 * Locking: AccessShareLock on every table of the graph.
 */
#include "deletion/closure.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(catalogue_preview_deletion);
PG_FUNCTION_INFO_V1(catalogue_preview_professor_deletion);

/* The action of a row about an edge that has no index. */
#define NO_INDEX "no index"

/* A row of the result. */
typedef struct PreviewRow
{
	int			place;
	Oid			relid;
	const char *action;
	int64		rows;
} PreviewRow;

static Datum preview_root(FunctionCallInfo fcinfo, bool of_professor);
static void report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo);
static List *preview_rows(const DeletionClosure *closure);
static PreviewRow *find_row(List **rows, int place, Oid relid, const char *action);
static int	compare_rows(const ListCell *a, const ListCell *b);
static int64 estimated_rows(Oid relid);

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

/*
 * What the deletion of the root that was found would do, in READ COMMITTED as
 * of now.
 */
DeletionForecast
catalogue_forecast(const Deletion *deletion)
{
	DeletionForecast forecast = {0};
	DeletionClosure *closure;
	ListCell   *lc;
	ListCell   *lc2;

	PushActiveSnapshot(GetTransactionSnapshot());
	closure = catalogue_read_closure(deletion, false);
	PopActiveSnapshot();

	foreach(lc, closure->tables)
	{
		const ClosureTable *table = lfirst(lc);

		forecast.rows += table->deleted;
		foreach(lc2, table->edges)
		{
			const ClosureEdge *edge = lfirst(lc2);

			if (edge->edge->action == EDGE_BLOCK)
				forecast.blocked += edge->rows;
			else if (edge->edge->action != EDGE_DELETE)
				forecast.rows += edge->rows;
		}
	}
	MemoryContextDelete(closure->cxt);

	return forecast;
}

static void
report_preview(const Deletion *deletion, ReturnSetInfo *rsinfo)
{
	DeletionClosure *closure = catalogue_read_closure(deletion, false);
	List	   *rows = preview_rows(closure);
	ListCell   *lc;

	list_sort(rows, compare_rows);
	foreach(lc, rows)
	{
		const PreviewRow *row = lfirst(lc);
		Datum		values[] = {ObjectIdGetDatum(row->relid), CStringGetTextDatum(row->action),
		Int64GetDatum(row->rows)};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	MemoryContextDelete(closure->cxt);
}

/* A row for each relation and action of which there is something to say. */
static List *
preview_rows(const DeletionClosure *closure)
{
	List	   *rows = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, closure->tables)
	{
		const ClosureTable *table = lfirst(lc);

		if (table->deleted > 0)
			find_row(&rows, table->table->order * 4, table->table->reported,
					 catalogue_action_name(EDGE_DELETE))->rows += table->deleted;
		foreach(lc2, table->edges)
		{
			const ClosureEdge *edge = lfirst(lc2);
			EdgeAction	action = edge->edge->action;
			const DeletionTable *referencing = edge->edge->referencing;

			if (action != EDGE_DELETE && edge->rows > 0)
				find_row(&rows, referencing->order * 4 + action, referencing->reported,
						 catalogue_action_name(action))->rows += edge->rows;
			if (!edge->edge->indexed)
				find_row(&rows, referencing->order * 4 + 3, referencing->reported,
						 NO_INDEX)->rows = estimated_rows(referencing->reported);
		}
	}

	return rows;
}

/*
 * The row for a relation and an action, made where there is none.  It stands
 * where the last of the relation's partitions does.
 */
static PreviewRow *
find_row(List **rows, int place, Oid relid, const char *action)
{
	PreviewRow *row;
	ListCell   *lc;

	foreach(lc, *rows)
	{
		row = lfirst(lc);
		if (row->relid == relid && strcmp(row->action, action) == 0)
		{
			row->place = Max(row->place, place);
			return row;
		}
	}

	row = palloc0(sizeof(PreviewRow));
	row->place = place;
	row->relid = relid;
	row->action = action;
	*rows = lappend(*rows, row);

	return row;
}

/* Dependents first, as the deletion reports them. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const PreviewRow *left = lfirst(a);
	const PreviewRow *right = lfirst(b);

	if (left->place != right->place)
		return left->place - right->place;
	if (left->relid != right->relid)
		return left->relid < right->relid ? -1 : 1;
	return strcmp(left->action, right->action);
}

/* What the planner knows of a relation's size. */
static int64
estimated_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int64		rows;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	rows = (int64) Max(((Form_pg_class) GETSTRUCT(tuple))->reltuples, 0);
	ReleaseSysCache(tuple);

	return rows;
}
