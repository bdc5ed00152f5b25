/*
 * recorder.c
 *		What is deleted while a deletion runs, by whatever statement.
 *
 * Rows of a professor are deleted by the deletion's statements, by the server's
 * cascades (where the graph has a cycle, or an RI trigger is not known to be
 * redundant) and by user triggers.  Two executor hooks see them all, so that
 * counts are right whatever deletes:
 *
 * - When a DELETE ends, the rows that it processed are counted.
 * - When a statement of the deletion itself starts, the redundant RI triggers
 *   are left out of its own copy of the trigger descriptor.
 *
 * The copy belongs to the statement's executor state and dies with it: no
 * other statement sees the change.  Outside a deletion the hooks only call the
 * next ones.
 */
#include "deletion/recorder.h"


#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/rel.h"

static DeletionRecorder *current_recorder = NULL;

static ExecutorStart_hook_type previous_executor_start = NULL;
static ExecutorEnd_hook_type previous_executor_end = NULL;

static void recorder_executor_start(QueryDesc *query, int eflags);
static void recorder_executor_end(QueryDesc *query);
static bool is_own_statement(const DeletionRecorder *recorder, const QueryDesc *query);
static void impose_limit(DeletionRecorder *recorder, PlanState *rows);
static TupleTableSlot *next_row_within_limit(PlanState *rows);
static void leave_out_triggers(EState *estate, ResultRelInfo *target, const List *redundant);
static bool is_redundant(const Trigger *trigger, const List *redundant);
static void count_cascaded_update(DeletionRecorder *recorder, Oid relid, uint64 rows);

void
catalogue_deletion_init(void)
{
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = recorder_executor_start;
	previous_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = recorder_executor_end;
}

/* Everything until stop, which the caller reaches through PG_FINALLY, counts. */
void
catalogue_start_recorder(DeletionRecorder *recorder)
{
	recorder->outer = current_recorder;
	current_recorder = recorder;
}

/* The recorder around this one, of a deletion whose trigger deletes, is current again. */
void
catalogue_stop_recorder(DeletionRecorder *recorder)
{
	Assert(current_recorder == recorder);
	current_recorder = recorder->outer;
}

/* Rows deleted or changed so far. */
uint64
catalogue_recorded_rows(const DeletionRecorder *recorder)
{
	uint64		rows = 0;
	ListCell   *lc;

	foreach(lc, recorder->counts)
		rows += ((DeletionCount *) lfirst(lc))->rows;
	return rows;
}

/* Adjusts a DELETE that the server has set up and not run yet. */
static void
recorder_executor_start(QueryDesc *query, int eflags)
{
	DeletionRecorder *recorder = current_recorder;
	ListCell   *lc;

	if (previous_executor_start)
		previous_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);

	if (recorder == NULL || query->operation != CMD_DELETE || (eflags & EXEC_FLAG_EXPLAIN_ONLY))
		return;

	if (is_own_statement(recorder, query) && recorder->limit > 0)
		impose_limit(recorder, outerPlanState(castNode(ModifyTableState, query->planstate)));

	if (!is_own_statement(recorder, query) || recorder->redundant == NIL)
		return;
	foreach(lc, query->estate->es_opened_result_relations)
	{
		ResultRelInfo *target = lfirst(lc);

		if (target->ri_TrigDesc != NULL)
			leave_out_triggers(query->estate, target, recorder->redundant);
	}
}

/* Counts what a statement has deleted, or has set where the server cascades. */
static void
recorder_executor_end(QueryDesc *query)
{
	DeletionRecorder *recorder = current_recorder;

	if (recorder != NULL && query->estate->es_processed > 0 &&
		query->estate->es_opened_result_relations != NIL &&
		(query->operation == CMD_DELETE || query->operation == CMD_UPDATE))
	{
		ResultRelInfo *target = linitial(query->estate->es_opened_result_relations);
		Oid			relid = RelationGetRelid(target->ri_RelationDesc);

		if (query->operation == CMD_DELETE)
			catalogue_record_rows(recorder, relid, EDGE_DELETE, query->estate->es_processed);
		else if (!is_own_statement(recorder, query))
			count_cascaded_update(recorder, relid, query->estate->es_processed);
	}

	if (previous_executor_end)
		previous_executor_end(query);
	else
		standard_ExecutorEnd(query);
}

/*
 * The deletion's own statements are known by their parameters.  Between two of
 * them it has none, and neither have many statements of triggers.
 */
static bool
is_own_statement(const DeletionRecorder *recorder, const QueryDesc *query)
{
	return recorder->own_params != NULL && query->params == recorder->own_params;
}

/*
 * Lets a DELETE have no more rows than the limit, as a LIMIT clause would that it
 * cannot have.
 */
static void
impose_limit(DeletionRecorder *recorder, PlanState *rows)
{
	recorder->next_row = rows->ExecProcNodeReal;
	ExecSetExecProcNode(rows, next_row_within_limit);
}

static TupleTableSlot *
next_row_within_limit(PlanState *rows)
{
	DeletionRecorder *recorder = current_recorder;
	TupleTableSlot *slot = recorder->next_row(rows);

	if (TupIsNull(slot))
		return NULL;
	if (recorder->limit == 0)
	{
		recorder->limit_reached = true;
		return NULL;
	}
	recorder->limit--;
	return slot;
}

/* Rebuilds a statement's triggers on one of its tables without the redundant ones. */
static void
leave_out_triggers(EState *estate, ResultRelInfo *target, const List *redundant)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(estate->es_query_cxt);
	const TriggerDesc *old = target->ri_TrigDesc;
	TriggerDesc *desc = palloc(sizeof(TriggerDesc));
	Trigger    *triggers = palloc0(old->numtriggers * sizeof(Trigger));
	int			n = 0;

	*desc = *old;
	desc->trig_delete_after_row = false;
	for (int i = 0; i < old->numtriggers; i++)
	{
		if (is_redundant(&old->triggers[i], redundant))
			continue;
		triggers[n] = old->triggers[i];
		if (TRIGGER_TYPE_MATCHES(triggers[n].tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER,
								 TRIGGER_TYPE_DELETE))
			desc->trig_delete_after_row = true;
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

	MemoryContextSwitchTo(oldcxt);
}

static bool
is_redundant(const Trigger *trigger, const List *redundant)
{
	return trigger->tgisinternal && OidIsValid(trigger->tgconstraint) &&
		TRIGGER_FOR_DELETE(trigger->tgtype) && list_member_oid(redundant, trigger->tgconstraint);
}

/* Keys that the deletion does not traverse are set by the server's own triggers. */
static void
count_cascaded_update(DeletionRecorder *recorder, Oid relid, uint64 rows)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, recorder->graph->tables)
	{
		const DeletionTable *table = lfirst(lc);

		foreach(lc2, table->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!edge->traversed && edge->referencing->relid == relid &&
				(edge->action == EDGE_SET_NULL || edge->action == EDGE_SET_DEFAULT))
			{
				catalogue_record_rows(recorder, relid, edge->action, rows);
				return;
			}
		}
	}
}

/* Counts rows of a table, for the partitioned table that it belongs to. */
void
catalogue_record_rows(DeletionRecorder *recorder, Oid relid, EdgeAction action, uint64 rows)
{
	DeletionCount *count;
	MemoryContext oldcxt;
	ListCell   *lc;

	relid = catalogue_topmost_relation(relid);
	foreach(lc, recorder->counts)
	{
		count = lfirst(lc);
		if (count->relid == relid && count->action == action)
		{
			count->rows += rows;
			return;
		}
	}

	oldcxt = MemoryContextSwitchTo(recorder->cxt);
	count = palloc(sizeof(DeletionCount));
	*count = (DeletionCount)
	{
		.relid = relid,
			.action = action,
			.rows = rows,
	};
	recorder->counts = lappend(recorder->counts, count);
	MemoryContextSwitchTo(oldcxt);
}
