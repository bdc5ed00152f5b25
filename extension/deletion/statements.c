/*
 * statements.c
 *		The saved statements on rows of a table, or on those that reference a batch.
 *
 * Each is prepared when it is first needed, and lives as long as the graph.  It
 * reads one table, and is parsed, planned and run as the owner of that, as the
 * server's own cascades are: no owner's code (an operator, an index predicate, a
 * policy) ever runs as another.
 *
 * Memory: lists of rows are in the deletion's context, the parameters of a
 * statement in one of its own.
 */
#include "deletion/statements.h"
#include "deletion/run.h"

#include "query.h"
#include "rights.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/tstoreReceiver.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A list of rows goes to disk beyond this, whatever work_mem says. */
#define LIST_KILOBYTES 1024

/* Rows of so few keys need not be put in the order of the table. */
#define FEW_ROWS 8

typedef struct Statement Statement;

/* A statement on a batch. */
struct Statement
{
	SPIPlanPtr *plan;			/* where its plan is kept */
	char	   *(*query) (const Statement *statement);	/* what that is made of */
	int			cursor_options;
	CmdType		operation;
	Oid			relid;			/* its table, as whose owner it runs */
	const DeletionTable *table; /* the same, where rows of it go by their TIDs */
	const DeletionEdge *set_by; /* whose keys it sets, by TIDs */
	const DeletionEdge *edge;	/* its keys are the first parameters; may be
								 * NULL */
	const DeletionBatch *referenced;	/* the rows that the keys are of */
	int			first;			/* of those rows, and how many */
	int			nreferenced;
	const DeletionBatch *batch; /* its TIDs are the last parameter; may be
								 * NULL */
	DestReceiver *dest;			/* NULL: no rows come back */
	uint64		limit;			/* of rows that a DELETE takes; 0: none */
	List	   *redundant;		/* constraints whose triggers are left out */
	bool		part_of_statement;
	bool		few;			/* referenced rows */
};

static char *read_query(const Statement *statement);
static char *read_and_lock_query(const Statement *statement);
static char *lock_query(const Statement *statement);
static char *delete_batch_query(const Statement *statement);
static char *set_query(const Statement *statement);
static char *delete_by_index_query(const Statement *statement);
static char *delete_some_by_index_query(const Statement *statement);
static char *select_referencing(const DeletionEdge *edge, const char *condition, const char *match,
								bool lock);
static SPIPlanPtr prepare(const Deletion *deletion, const Statement *statement);
static ParamListInfo make_params(const Statement *statement);
static Tuplestorestate *collect(Deletion *deletion, Statement *statement);
static uint64 run_statement(const Deletion *deletion, const Statement *statement);
static TupleTableSlot *make_slot(SPIPlanPtr plan);

/*
 * The rows that reference a batch, with the values that other rows refer to, in
 * primary key order.  The list outlives a commit.
 */
Tuplestorestate *
catalogue_read_referencing(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced,
						   bool lock)
{
	/*
	 * Without an index the planner must see how many keys there are, to hash
	 * them.
	 */
	Statement	statement = {
		.plan = lock ? &edge->read_and_lock : &edge->read,
		.query = lock ? read_and_lock_query : read_query,
		.cursor_options = edge->indexed ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN,
		.operation = CMD_SELECT,
		.relid = edge->referencing->relid,
		.edge = edge,
		.referenced = referenced,
		.nreferenced = referenced->nrows,
	};

	return collect(deletion, &statement);
}

/* Locks those of a batch that still reference the others, and keeps those. */
void
catalogue_lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *referenced,
					 DeletionBatch *batch)
{
	Statement	statement = {
		.plan = &edge->lock,
		.query = lock_query,
		.cursor_options = edge->match_hashed != NULL ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN,
		.operation = CMD_SELECT,
		.relid = edge->referencing->relid,
		.edge = edge,
		.referenced = referenced,
		.nreferenced = referenced->nrows,
		.batch = batch,
	};
	Tuplestorestate *locked;
	TupleTableSlot *slot;

	locked = collect(deletion, &statement);
	slot = make_slot(edge->lock);
	batch->nrows = 0;
	(void) catalogue_fill_batch(batch, edge->referencing, deletion->batch_size, deletion->cxt,
								locked, slot);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(locked);
}

/*
 * User triggers on referencing tables, or a cycle, may update rows that a batch
 * has the TIDs of: a trigger on the comments that counts them in their chapter.
 * The rows are locked, so it was this transaction, and each chain of versions is
 * complete.
 */
void
catalogue_follow_moved_rows(const DeletionTable *table, DeletionBatch *batch)
{
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;

	if (batch->nrows == 0)
		return;

	rel = table_open(table->relid, NoLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan_tid(rel, snapshot);
	for (int i = 0; i < batch->nrows; i++)
		table_tuple_get_latest_tid(scan, &batch->tids[i]);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

/* Deletes a locked batch whose dependents have been deleted; returns how many. */
uint64
catalogue_delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch,
					   List *redundant)
{
	Statement	statement = {
		.plan = &table->delete_batch,
		.query = delete_batch_query,
		.cursor_options = CURSOR_OPT_GENERIC_PLAN,
		.operation = CMD_DELETE,
		.relid = table->relid,
		.table = table,
		.batch = batch,
		.redundant = redundant,
		.part_of_statement = deletion->one_statement,
	};

	if (batch->nrows == 0)
		return 0;
	return run_statement(deletion, &statement);
}

/* Sets the keys of a locked batch to null or their default; returns how many. */
uint64
catalogue_set_keys(Deletion *deletion, DeletionEdge *edge, DeletionBatch *batch)
{
	Statement	statement = {
		.plan = &edge->set,
		.query = set_query,
		.cursor_options = CURSOR_OPT_GENERIC_PLAN,
		.operation = CMD_UPDATE,
		.relid = edge->referencing->relid,
		.set_by = edge,
		.batch = batch,
	};
	uint64		rows;

	if (batch->nrows == 0)
		return 0;
	rows = run_statement(deletion, &statement);
	catalogue_count_set_rows(&deletion->counts, edge->referencing->reported, edge->action, rows);

	return rows;
}

/* A slot for the rows that were read, while the statement's plan is there. */
TupleTableSlot *
catalogue_make_referencing_slot(const DeletionEdge *edge, bool lock)
{
	return make_slot(lock ? edge->read_and_lock : edge->read);
}

/*
 * Deletes what references some of the rows of a batch, without reading it first;
 * in a purge no more than a batch, and where it is a whole one, there may be more.
 */
uint64
catalogue_delete_by_index(Deletion *deletion, DeletionEdge *edge, const DeletionBatch *referenced,
						  int first, int nreferenced)
{
	bool		some = deletion->commit != NULL;
	bool		few = !some && nreferenced <= FEW_ROWS;
	Statement	statement = {
		.plan = some ? &edge->delete_some_by_index
		: few ? &edge->delete_few_by_index : &edge->delete_by_index,
		.query = some ? delete_some_by_index_query : delete_by_index_query,
		.cursor_options = CURSOR_OPT_GENERIC_PLAN,
		.operation = CMD_DELETE,
		.relid = edge->referencing->relid,
		.edge = edge,
		.referenced = referenced,
		.first = first,
		.nreferenced = nreferenced,
		.limit = some ? deletion->batch_size : 0,
		.few = few,
	};

	return run_statement(deletion, &statement);
}

static char *
read_query(const Statement *statement)
{
	return select_referencing(statement->edge, "", statement->edge->match_any, false);
}

static char *
read_and_lock_query(const Statement *statement)
{
	return select_referencing(statement->edge, "", statement->edge->match_any, true);
}

static char *
lock_query(const Statement *statement)
{
	const DeletionEdge *edge = statement->edge;

	return select_referencing(edge,
							  psprintf("t.ctid OPERATOR(pg_catalog.=) ANY ($%d) AND ",
									   list_length(edge->keys) + 1),
							  edge->match_hashed, true);
}

static char *
delete_batch_query(const Statement *statement)
{
	return psprintf("DELETE FROM %s AS t WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1)",
					statement->table->name);
}

static char *
set_query(const Statement *statement)
{
	const DeletionEdge *edge = statement->set_by;

	return psprintf("UPDATE %s AS t SET %s WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1)",
					edge->referencing->name, edge->assignments);
}

static char *
delete_by_index_query(const Statement *statement)
{
	const DeletionEdge *edge = statement->edge;

	if (edge->match_any != NULL)
		return psprintf("DELETE FROM %s AS t WHERE %s", edge->referencing->name, edge->match_any);

	return psprintf("DELETE FROM %s AS t USING %s WHERE %s", edge->referencing->name,
					catalogue_referenced_rows(edge, true), edge->match);
}

/* The executor can stop after a number of rows where rows come back. */
static char *
delete_some_by_index_query(const Statement *statement)
{
	return psprintf("%s RETURNING 1", delete_by_index_query(statement));
}

/* The query that reads or locks: condition, then match, or the edge's own where that is NULL. */
static char *
select_referencing(const DeletionEdge *edge, const char *condition, const char *match, bool lock)
{
	const DeletionTable *referencing = edge->referencing;
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT t.ctid%s FROM ", catalogue_key_columns(referencing->keys));
	if (match == NULL)
		appendStringInfo(&query, "%s, ", catalogue_referenced_rows(edge, true));
	appendStringInfo(&query, "%s AS t WHERE %s%s", referencing->name, condition,
					 match != NULL ? match : edge->match);
	if (referencing->order_by != NULL)
		appendStringInfo(&query, " ORDER BY %s", referencing->order_by);
	if (lock)
		appendStringInfoString(&query, " FOR UPDATE OF t");

	return query.data;
}

/* Prepares a statement.  Parameters: the edge's keys, then the batch's TIDs; either may be missing. */
static SPIPlanPtr
prepare(const Deletion *deletion, const Statement *statement)
{
	const DeletionEdge *edge = statement->edge;
	Oid			argtypes[INDEX_MAX_KEYS + 1];
	int			nargs = 0;

	if (edge != NULL)
	{
		ListCell   *lc;

		foreach(lc, edge->keys)
			argtypes[nargs++] =
			((DeletionKey *) list_nth(edge->referenced->keys, lfirst_int(lc)))->array_type;
	}
	if (statement->batch != NULL)
		argtypes[nargs++] = get_array_type(TIDOID);

	return catalogue_prepare(deletion->graph->base.cxt, statement->query(statement), nargs, argtypes,
							 statement->cursor_options);
}

static ParamListInfo
make_params(const Statement *statement)
{
	const DeletionEdge *edge = statement->edge;
	int			nkeys = edge != NULL ? list_length(edge->keys) : 0;
	ParamListInfo params = makeParamList(nkeys + (statement->batch != NULL ? 1 : 0));

	for (int i = 0; i < nkeys; i++)
	{
		int			number = list_nth_int(edge->keys, i);
		const DeletionKey *key = list_nth(edge->referenced->keys, number);
		ParamExternData *param = &params->params[i];

		param->value = catalogue_key_array(key, &statement->referenced->keys[number],
										   statement->first, statement->nreferenced);
		param->isnull = false;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = key->array_type;
	}
	if (statement->batch != NULL)
	{
		ParamExternData *param = &params->params[nkeys];

		param->value = catalogue_tid_array(statement->batch);
		param->isnull = false;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = get_array_type(TIDOID);
	}

	return params;
}

/* The rows of a statement as a list, which the caller frees. */
static Tuplestorestate *
collect(Deletion *deletion, Statement *statement)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(deletion->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, deletion->commit != NULL, LIST_KILOBYTES);

	MemoryContextSwitchTo(oldcxt);
	PG_TRY();
	{
		statement->dest = CreateDestReceiver(DestTuplestore);
		SetTuplestoreDestReceiverParams(statement->dest, store, deletion->cxt, false, NULL, NULL);
		run_statement(deletion, statement);
		statement->dest->rDestroy(statement->dest);
	}
	PG_CATCH();
	{
		tuplestore_end(store);
		PG_RE_THROW();
	}
	PG_END_TRY();

	return store;
}

/*
 * Runs a statement on a batch, and prepares it before the first time, as the owner
 * of its table; returns the number of rows.
 */
static uint64
run_statement(const Deletion *deletion, const Statement *statement)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion statement",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	StatementRun run = {
		.operation = statement->operation,
		.relid = statement->relid,
		.dest = statement->dest,
		.redundant = statement->redundant,
		.part_of_statement = statement->part_of_statement,
		.limit = statement->limit,
	};
	SavedUser	saved;
	uint64		rows;

	catalogue_switch_to_owner(statement->relid, &saved);
	if (*statement->plan == NULL)
	{
		*statement->plan = prepare(deletion, statement);
		MemoryContextSwitchTo(cxt);
	}
	run.plan = *statement->plan;
	run.params = make_params(statement);
	catalogue_plan_by_index(run.plan, !statement->few);

	/*
	 * AFTER triggers fire when the statement is over: its table's own, as the
	 * table's owner, and those of the tables that RI triggers have come to
	 * meanwhile.  (Only from PostgreSQL 18 on does each remember as whom.) No
	 * owner's trigger may run as another owner: as the caller it runs after
	 * any DELETE.
	 */
	if (catalogue_graph_table(deletion->graph, statement->relid)->others_below)
		run.caller = &saved;
	rows = catalogue_run_statement(&run);
	catalogue_restore_user(&saved);

	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(cxt);

	return rows;
}

static TupleTableSlot *
make_slot(SPIPlanPtr plan)
{
	const CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return MakeSingleTupleTableSlot(source->resultDesc, &TTSOpsMinimalTuple);
}
