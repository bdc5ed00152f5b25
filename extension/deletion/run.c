/*
 * run.c
 *		A saved plan, in an executor of our own.
 *
 * A deletion starts and ends the executor itself for what it deletes and sets.
 * So between the two it has the statement in its hands, and needs no hook and
 * nothing to know it by: the plan is checked to be what was asked for, redundant
 * RI triggers are left out of the copy of the trigger descriptor that the
 * executor has made for this one statement, and rows are counted.
 *
 * All that is changed belongs to the statement's executor state and dies with
 * it.  After an ERROR the end of the (sub)transaction releases the plan, the
 * snapshot and the executor's memory, as it does for SPI.
 *
 * Whoever is the current user prepares, plans and runs.  Locks: those of the
 * plan, on its relations.
 */
#include "deletion/run.h"

#include "names.h"

#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

static PlannedStmt *checked_statement(const StatementRun *run, const CachedPlan *plan);
static bool is_expected(const PlannedStmt *statement, CmdType operation, Oid relid);
static void leave_out_triggers(ModifyTableState *modify, const List *redundant);
static void leave_out_triggers_of(TriggerDesc *triggers, const List *redundant);
static bool is_redundant(const Trigger *trigger, const List *redundant);

/*
 * Runs a saved plan; returns the number of rows.  In READ COMMITTED each
 * statement has a snapshot of its own, taken once its relations are locked.
 *
 * A limit stops the executor between two rows, so the statement must have no
 * AFTER STATEMENT triggers: they would not fire.
 */
uint64
catalogue_run_statement(const StatementRun *run)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(run->plan));
	CachedPlan *plan = GetCachedPlan(source, run->params, CurrentResourceOwner, NULL);
	PlannedStmt *statement = checked_statement(run, plan);
	QueryDesc  *query;
	uint64		rows;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	query = CreateQueryDesc(statement, source->query_string, GetActiveSnapshot(), InvalidSnapshot,
							run->dest != NULL ? run->dest : None_Receiver, run->params, NULL, 0);

	ExecutorStart(query, run->part_of_statement ? EXEC_FLAG_SKIP_TRIGGERS : 0);
	if (run->redundant != NIL)
		leave_out_triggers(castNode(ModifyTableState, query->planstate), run->redundant);
	ExecutorRun(query, ForwardScanDirection, run->limit);
	if (run->caller != NULL)
		catalogue_restore_user(run->caller);
	ExecutorFinish(query);
	rows = query->estate->es_processed;
	ExecutorEnd(query);

	FreeQueryDesc(query);
	PopActiveSnapshot();
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	CommandCounterIncrement();

	return rows;
}

/*
 * Several statements that are one to AFTER triggers, those of the server's keys
 * included: they fire when the last is over, as after a DELETE with the cascades
 * that ri_triggers.c runs.  An ERROR ends it with the (sub)transaction.
 */
void
catalogue_begin_statement(void)
{
	AfterTriggerBeginQuery();
}

void
catalogue_end_statement(void)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext oldcxt = MemoryContextSwitchTo(estate->es_query_cxt);

	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	MemoryContextSwitchTo(oldcxt);
	FreeExecutorState(estate);
	CommandCounterIncrement();
}

/*
 * The one statement of a plan.  Rules, and extensions that plan in a way of
 * their own, can make something else of what was asked for: no row is touched
 * then.
 */
static PlannedStmt *
checked_statement(const StatementRun *run, const CachedPlan *plan)
{
	PlannedStmt *statement =
		list_length(plan->stmt_list) == 1 ? linitial_node(PlannedStmt, plan->stmt_list) : NULL;

	if (statement == NULL || !is_expected(statement, run->operation, run->relid))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot delete from \"%s\"", catalogue_relation_name(run->relid)),
				errdetail("A rule or an extension gives a statement on it a plan of another kind."));

	return statement;
}

/* A relation with partitions or children is planned as its members, under its own name. */
static bool
is_expected(const PlannedStmt *statement, CmdType operation, Oid relid)
{
	const ModifyTable *modify;

	if (statement->commandType != operation || statement->utilityStmt != NULL)
		return false;
	if (operation == CMD_SELECT)
		return true;
	if (!IsA(statement->planTree, ModifyTable))
		return false;
	modify = (const ModifyTable *) statement->planTree;

	return modify->operation == operation &&
		rt_fetch(modify->nominalRelation, statement->rtable)->relid == relid;
}

/* Leaves RI triggers out of a statement on one relation, or on its children too. */
static void
leave_out_triggers(ModifyTableState *modify, const List *redundant)
{
	for (int i = 0; i < modify->mt_nrels; i++)
	{
		TriggerDesc *triggers = modify->resultRelInfo[i].ri_TrigDesc;

		if (triggers != NULL)
			leave_out_triggers_of(triggers, redundant);
	}
}

/*
 * Takes them out of the executor's copy.  What it keeps for each trigger by its
 * place is still all zeros, so only the triggers move up.
 */
static void
leave_out_triggers_of(TriggerDesc *triggers, const List *redundant)
{
	int			n = 0;

	triggers->trig_delete_after_row = false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (is_redundant(trigger, redundant))
			continue;
		if (TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER,
								 TRIGGER_TYPE_DELETE))
			triggers->trig_delete_after_row = true;
		triggers->triggers[n++] = *trigger;
	}
	triggers->numtriggers = n;
}

static bool
is_redundant(const Trigger *trigger, const List *redundant)
{
	return trigger->tgisinternal && OidIsValid(trigger->tgconstraint) &&
		TRIGGER_FOR_DELETE(trigger->tgtype) && list_member_oid(redundant, trigger->tgconstraint);
}
