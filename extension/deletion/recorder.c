/*
 * recorder.c
 *		What is deleted while a deletion runs, by whatever statement.
 *
 * Rows of a professor go by our own statements, by the server's cascades
 * (where the graph has a cycle, or a check is not proven needless) and by
 * user triggers.  Two executor hooks see them all, so that counts and files
 * are right whoever did it:
 *
 * - When a DELETE ends, the rows that it processed are counted.
 * - When a DELETE starts on a table with file columns, its own copy of the
 *   trigger descriptor gets one more BEFORE ROW trigger, which puts the paths
 *   of each row aside for the outbox.  It comes after the user's, so a row
 *   that one of those keeps is not recorded.
 * - When a statement of the deletion itself starts, the referential triggers
 *   that its caller has proven to find nothing are left out of that copy.
 *
 * The copy belongs to the statement's executor state and dies with it: no
 * other statement, ours or not, sees the change.  Outside a deletion the hooks
 * do nothing but pass on.
 */
#include "deletion/recorder.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Paths are written when there are this many, or when a statement is over. */
#define PATHS_PER_INSERT 1000

static DeletionWatch *current_watch = NULL;

static ExecutorStart_hook_type previous_executor_start = NULL;
static ExecutorEnd_hook_type previous_executor_end = NULL;

static void watch_executor_start(QueryDesc *query, int eflags);
static void watch_executor_end(QueryDesc *query);
static bool is_own_statement(const DeletionWatch *watch, const QueryDesc *query);
static void impose_limit(DeletionWatch *watch, PlanState *rows);
static TupleTableSlot *next_row_within_limit(PlanState *rows);
static void adjust_triggers(EState *estate, ResultRelInfo *target, const List *proven, bool record);
static bool is_proven(const Trigger *trigger, const List *proven);
static Datum record_files(PG_FUNCTION_ARGS);
static void record_paths(DeletionWatch *watch, const char *separator, char *value);
static bool has_files(const DeletionWatch *watch, Oid relid);
static void count_cascaded_update(DeletionWatch *watch, Oid relid, uint64 rows);

void
catalogue_deletion_init(void)
{
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = watch_executor_start;
	previous_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = watch_executor_end;
}

/* Everything until stop, which the caller reaches through PG_FINALLY, counts. */
void
catalogue_deletion_watch_start(DeletionWatch *watch)
{
	watch->outer = current_watch;
	watch->subxact = GetCurrentSubTransactionId();
	current_watch = watch;
}

void
catalogue_deletion_watch_stop(DeletionWatch *watch)
{
	Assert(current_watch == watch);
	current_watch = watch->outer;
}

/*
 * Writes the paths that were put aside to the outbox, as its owner.  To be
 * called before the transaction ends.
 */
void
catalogue_deletion_watch_flush(DeletionWatch *watch)
{
	List *list = watch->paths;
	int npaths = list_length(list);
	DeletionGraph *graph = watch->graph;
	Oid outbox = watch->attachment->deleted_files;
	Oid type = TEXTARRAYOID;
	SPIExecuteOptions options = {0};
	SavedUser saved;
	Datum *elements;
	NullableDatum paths = {0};

	if (npaths == 0)
		return;
	watch->paths = NIL;

	SPI_connect();
	elements = palloc(npaths * sizeof(Datum));
	for (int i = 0; i < npaths; i++)
		elements[i] = PointerGetDatum(list_nth(list, i));
	paths.value =
		PointerGetDatum(construct_array(elements, npaths, TEXTOID, -1, false, TYPALIGN_INT));
	options.params = catalogue_make_params(1, &type, &paths);

	catalogue_switch_to_owner(outbox, &saved);
	if (graph->outbox_insert == NULL)
		graph->outbox_insert =
			catalogue_prepare(graph->base.cxt,
							  psprintf("INSERT INTO %s (path) SELECT pg_catalog.unnest($1)",
									   catalogue_qualified_relation_name(outbox)),
							  1, &type, 0);
	catalogue_execute_plan(graph->outbox_insert, &options);
	catalogue_restore_user(&saved);
	SPI_finish();

	list_free_deep(list);
}

/* Rows deleted or changed so far. */
uint64
catalogue_deletion_watch_rows(const DeletionWatch *watch)
{
	uint64 rows = 0;
	ListCell *lc;

	foreach(lc, watch->counts)
		rows += ((DeletionCount *) lfirst(lc))->rows;
	return rows;
}

static void
watch_executor_start(QueryDesc *query, int eflags)
{
	DeletionWatch *watch = current_watch;
	ListCell *lc;

	if (previous_executor_start)
		previous_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);

	if (watch == NULL || query->operation != CMD_DELETE || (eflags & EXEC_FLAG_EXPLAIN_ONLY))
		return;

	if (is_own_statement(watch, query) && watch->limit > 0)
		impose_limit(watch, outerPlanState(castNode(ModifyTableState, query->planstate)));

	foreach(lc, query->estate->es_opened_result_relations)
	{
		ResultRelInfo *target = lfirst(lc);
		const List *proven = is_own_statement(watch, query) ? watch->proven : NIL;
		bool files =
			has_files(watch, catalogue_topmost_relation(RelationGetRelid(target->ri_RelationDesc)));

		if (files || (proven != NIL && target->ri_TrigDesc != NULL))
			adjust_triggers(query->estate, target, proven, files);
	}
}

static void
watch_executor_end(QueryDesc *query)
{
	DeletionWatch *watch = current_watch;

	if (watch != NULL && query->estate->es_processed > 0 &&
		query->estate->es_opened_result_relations != NIL &&
		(query->operation == CMD_DELETE || query->operation == CMD_UPDATE))
	{
		ResultRelInfo *target = linitial(query->estate->es_opened_result_relations);
		Oid relid = RelationGetRelid(target->ri_RelationDesc);

		if (query->operation == CMD_DELETE)
			catalogue_deletion_watch_count(watch, relid, EDGE_DELETE, query->estate->es_processed);
		else if (!is_own_statement(watch, query))
			count_cascaded_update(watch, relid, query->estate->es_processed);
	}

	if (previous_executor_end)
		previous_executor_end(query);
	else
		standard_ExecutorEnd(query);
}

/* Is it the deletion's own that runs, and not one of a trigger, which may have no parameters? */
static bool
is_own_statement(const DeletionWatch *watch, const QueryDesc *query)
{
	return watch->own_params != NULL && query->params == watch->own_params;
}

/*
 * Lets a DELETE have no more rows than the limit: as if it had a LIMIT clause,
 * with no second look at the rows that RETURNING would take.
 */
static void
impose_limit(DeletionWatch *watch, PlanState *rows)
{
	watch->next_row = rows->ExecProcNodeReal;
	ExecSetExecProcNode(rows, next_row_within_limit);
}

static TupleTableSlot *
next_row_within_limit(PlanState *rows)
{
	DeletionWatch *watch = current_watch;
	TupleTableSlot *slot = watch->next_row(rows);

	if (TupIsNull(slot))
		return NULL;
	if (watch->limit == 0)
	{
		watch->limit_reached = true;
		return NULL;
	}
	watch->limit--;
	return slot;
}

/*
 * Rebuilds a statement's triggers on one of its tables: without the proven
 * referential ones, with the recorder of files at the end.
 */
static void
adjust_triggers(EState *estate, ResultRelInfo *target, const List *proven, bool record)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(estate->es_query_cxt);
	TriggerDesc *old = target->ri_TrigDesc;
	TriggerDesc *desc = palloc0(sizeof(TriggerDesc));
	int nold = old != NULL ? old->numtriggers : 0;
	Trigger *triggers = palloc0((nold + 1) * sizeof(Trigger));
	int n = 0;

	if (old != NULL)
		*desc = *old;
	desc->trig_delete_after_row = false;
	for (int i = 0; i < nold; i++)
	{
		if (is_proven(&old->triggers[i], proven))
			continue;
		triggers[n] = old->triggers[i];
		if (TRIGGER_TYPE_MATCHES(triggers[n].tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER,
								 TRIGGER_TYPE_DELETE))
			desc->trig_delete_after_row = true;
		n++;
	}
	if (record)
	{
		triggers[n].tgfoid = current_watch->funcid;
		triggers[n].tgname = pstrdup("catalogue record files");
		triggers[n].tgtype = TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_DELETE;
		triggers[n].tgenabled = TRIGGER_FIRES_ALWAYS;
		triggers[n].tgisinternal = true;
		desc->trig_delete_before_row = true;
		n++;
	}
	desc->triggers = triggers;
	desc->numtriggers = n;

	/* As InitResultRelInfo() makes them; nothing has run yet. */
	target->ri_TrigDesc = desc;
	target->ri_TrigFunctions = palloc0((n + 1) * sizeof(FmgrInfo));
	target->ri_TrigWhenExprs = palloc0((n + 1) * sizeof(ExprState *));
	if (estate->es_instrument)
		target->ri_TrigInstrument = InstrAllocTrigger(n + 1, estate->es_instrument);

	/* The recorder is called directly: it has no entry in pg_proc. */
	if (record)
	{
		FmgrInfo *function = &target->ri_TrigFunctions[n - 1];

		function->fn_addr = record_files;
		function->fn_oid = current_watch->funcid;
		function->fn_stats = TRACK_FUNC_ALL; /* never counted */
		function->fn_mcxt = estate->es_query_cxt;
	}

	MemoryContextSwitchTo(oldcxt);
}

static bool
is_proven(const Trigger *trigger, const List *proven)
{
	return trigger->tgisinternal && OidIsValid(trigger->tgconstraint) &&
		   TRIGGER_FOR_DELETE(trigger->tgtype) && list_member_oid(proven, trigger->tgconstraint);
}

/* Trigger function: puts the paths of a row that is about to go aside. */
static Datum
record_files(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	DeletionWatch *watch = current_watch;
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	Oid relid = catalogue_topmost_relation(RelationGetRelid(trigger->tg_relation));
	bool nested = GetCurrentSubTransactionId() != watch->subxact;
	ListCell *lc;

	/* What a subtransaction deletes may come back: write it there and then. */
	if (nested)
		catalogue_deletion_watch_flush(watch);

	foreach(lc, watch->attachment->files)
	{
		const FileBinding *file = lfirst(lc);
		char *value;

		if (file->relid != relid)
			continue;
		value = SPI_getvalue(trigger->tg_trigtuple, desc,
							 catalogue_column_number(RelationGetRelid(trigger->tg_relation),
													 file->column));
		if (value != NULL)
			record_paths(watch, file->separator, value);
	}

	if (nested || list_length(watch->paths) >= PATHS_PER_INSERT)
		catalogue_deletion_watch_flush(watch);

	return PointerGetDatum(trigger->tg_trigtuple);
}

/* Splits a value at its separator; empty parts are no paths. */
static void
record_paths(DeletionWatch *watch, const char *separator, char *value)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(watch->cxt);

	for (char *path = value; path != NULL;)
	{
		char *end = separator != NULL && *separator ? strstr(path, separator) : NULL;

		if (end != NULL)
			*end = '\0';
		if (*path != '\0')
			watch->paths = lappend(watch->paths, cstring_to_text(path));
		path = end != NULL ? end + strlen(separator) : NULL;
	}
	MemoryContextSwitchTo(oldcxt);
}

static bool
has_files(const DeletionWatch *watch, Oid relid)
{
	ListCell *lc;

	foreach(lc, watch->attachment->files)
	{
		if (((const FileBinding *) lfirst(lc))->relid == relid)
			return true;
	}
	return false;
}

/* Keys that we do not walk are set by the server's own triggers. */
static void
count_cascaded_update(DeletionWatch *watch, Oid relid, uint64 rows)
{
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, watch->graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		foreach(lc2, table->children)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!edge->walked && edge->child->relid == relid &&
				(edge->action == EDGE_SET_NULL || edge->action == EDGE_SET_DEFAULT))
			{
				catalogue_deletion_watch_count(watch, relid, edge->action, rows);
				return;
			}
		}
	}
}

void
catalogue_deletion_watch_count(DeletionWatch *watch, Oid relid, EdgeAction action, uint64 rows)
{
	DeletionCount *count;
	MemoryContext oldcxt;
	ListCell *lc;

	relid = catalogue_topmost_relation(relid);
	foreach(lc, watch->counts)
	{
		count = lfirst(lc);
		if (count->relid == relid && count->action == action)
		{
			count->rows += rows;
			return;
		}
	}

	oldcxt = MemoryContextSwitchTo(watch->cxt);
	count = palloc(sizeof(DeletionCount));
	*count = (DeletionCount){.relid = relid, .action = action, .rows = rows};
	watch->counts = lappend(watch->counts, count);
	MemoryContextSwitchTo(oldcxt);
}
