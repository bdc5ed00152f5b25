/*
 * delete_batch.c
 *		The walk: a professor's dependents go, children first, in sets.
 *
 * A batch is up to batch_size rows of one table, locked FOR UPDATE and held by
 * their TIDs.  For each edge below it the children are read once, as TIDs,
 * into a tuplestore, and taken from there in batches of their own: locked,
 * walked and deleted where they have dependents, else deleted at once.  Memory
 * is one batch for each level of the graph.  A child edge with an index whose
 * rows have no dependents needs no list: the statement asks the index.
 *
 * Every statement looks at the join of child and parent batch again, so a row
 * that has changed hands since it was read stays, and a row that has moved is
 * found in another pass.
 *
 * An edge is proven when, since the parents were locked, a pass over it in
 * READ COMMITTED has come to its end and deleted all that it found: whoever
 * would add a child needs FOR KEY SHARE on a parent and waits.
 *
 * Locks: one deletion at a time for each professors table (see
 * catalogue_lock_professor), the professor's row, then each batch in primary
 * key order.
 *
 * Memory: batches and lists live in the deletion's context; the parameters of
 * a statement in one of its own.
 */
#include "deletion.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

/* A list of children goes to disk beyond this, whatever work_mem says. */
#define CANDIDATES_KILOBYTES 1024

/* What a statement on a batch is, besides its saved plan. */
typedef struct Statement
{
	Oid owner;			/* as whom it runs */
	DestReceiver *dest; /* NULL: the rows come as the result */
	uint64 limit;		/* 0: none */
	List *proven;		/* constraints whose triggers are left out */
} Statement;

static bool note_professor(Deletion *deletion, const char *query);
static List *walk_children(Deletion *deletion, DeletionTable *table, DeletionBatch *batch);
static bool walk_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool delete_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static SPIPlanPtr prepare_delete_by_index(const DeletionEdge *edge);
static Tuplestorestate *read_candidates(Deletion *deletion, DeletionEdge *edge,
										DeletionBatch *parents);
static bool next_candidates(Deletion *deletion, Tuplestorestate *store, TupleTableSlot *slot,
							DeletionBatch *batch);
static void lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents,
					   DeletionBatch *batch);
static uint64 apply_to_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents,
							 const DeletionBatch *batch);
static uint64 delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch,
						   List *proven);
static void follow_moved_rows(const DeletionTable *table, DeletionBatch *batch);
static void batch_done(Deletion *deletion, uint64 rows);
static void relock_frame(Deletion *deletion, DeletionFrame *frame);
static bool has_dependents(const DeletionTable *table);
static void check_may_delete(Oid relid, Oid caller);
static int plan_options(const Deletion *deletion, const DeletionEdge *edge);
static SPIPlanPtr prepare(const char *query, int nargs, int cursor_options);
static uint64 run_statement(Deletion *deletion, SPIPlanPtr plan, const Statement *statement,
							DeletionBatch *parents, const DeletionBatch *children);
static uint64 run_on_professor(Deletion *deletion, const char *format, Oid user, List *proven);
static uint64 execute(SPIPlanPtr plan, SPIExecuteOptions *options);
static TupleDesc plan_result_desc(SPIPlanPtr plan);
static Datum tid_array(const DeletionBatch *batch);
static void append_tid(Deletion *deletion, DeletionBatch *batch, ItemPointer tid);

/*
 * What the caller must be allowed to do himself: delete from the professors
 * and chapters tables, and from every table that the mapping adds to what the
 * schema's own keys delete.  Rows that a policy hides from him cannot be
 * told from rows that are not there, so policies on the latter are refused.
 */
void
catalogue_check_deletion_privileges(const Deletion *deletion)
{
	const Attachment *attachment = deletion->attachment;
	ListCell *lc;
	ListCell *lc2;

	check_may_delete(attachment->professors, deletion->caller);
	if (OidIsValid(attachment->chapters))
		check_may_delete(attachment->chapters, deletion->caller);

	foreach(lc, deletion->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->children)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!edge->beyond_schema)
				continue;
			check_may_delete(edge->child->reported, deletion->caller);
			if (check_enable_rls(edge->child->reported, deletion->caller, true) == RLS_ENABLED)
				ereport(ERROR,
						errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("deletion would be affected by row-level security policy for table \"%s\"",
							   get_rel_name(edge->child->reported)));
		}
	}
}

/*
 * Finds the professor's row and notes where it is; false when there is none
 * that the caller can see.
 */
bool
catalogue_find_professor(Deletion *deletion)
{
	return note_professor(deletion, "SELECT p.tableoid, p.ctid FROM %s AS p WHERE %s");
}

/*
 * The same, and locks it.
 *
 * Two deletions can meet in the same rows from opposite sides (each
 * professor's comments on the other's chapters), so only one at a time works
 * on a professors table: it holds a lock on the table as an object, which
 * nothing else takes, to the end of its transaction.
 */
bool
catalogue_lock_professor(Deletion *deletion)
{
	LockDatabaseObject(RelationRelationId, deletion->attachment->professors, 0,
					   ShareUpdateExclusiveLock);

	return note_professor(deletion, "SELECT p.tableoid, p.ctid FROM %s AS p WHERE %s FOR UPDATE");
}

/*
 * Deletes the locked professor with all that depends on him, himself last
 * and with the caller's own rights.  Returns early when restart was set.
 */
void
catalogue_delete_locked_professor(Deletion *deletion)
{
	Oid relid = deletion->attachment->professors;
	List *proven = walk_children(deletion, deletion->professors, &deletion->professor);

	if (deletion->restart)
		return;

	if (run_on_professor(deletion, "DELETE FROM %s AS p WHERE %s", deletion->caller, proven) > 0)
		return;

	if (check_enable_rls(relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("row-level security policy for table \"%s\" keeps professor \"%s\"",
					   get_rel_name(relid), deletion->username));
	ereport(ERROR,
			errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("a trigger or rule on table \"%s\" keeps professor \"%s\"",
				   get_rel_name(relid), deletion->username));
}

/*
 * Locks again what the walk had locked when the last transaction ended; rows
 * that are gone or have changed hands leave their batch.  The professor's row
 * is the caller's to lock.
 */
void
catalogue_relock_batches(Deletion *deletion)
{
	if (deletion->frames != NULL)
		relock_frame(deletion, deletion->frames);
}

/* Ends the lists of a walk that an ERROR has cut short. */
void
catalogue_end_walk(Deletion *deletion)
{
	for (DeletionFrame *frame = deletion->frames; frame != NULL; frame = frame->outer)
		tuplestore_end(frame->candidates);
	deletion->frames = NULL;
}

/*
 * Walks all edges below a batch; returns the constraints of those that are
 * proven.  Locks end with a transaction, and proofs with the locks: after a
 * commit the edges are walked once more, which finds little.
 */
static List *
walk_children(Deletion *deletion, DeletionTable *table, DeletionBatch *batch)
{
	bool skip = catalogue_skip_proven_checks && XactIsoLevel == XACT_READ_COMMITTED;
	List *proven;
	uint64 epoch;
	ListCell *lc;

	check_stack_depth();

	do
	{
		epoch = deletion->epoch;
		proven = NIL;
		foreach(lc, table->children)
		{
			DeletionEdge *edge = lfirst(lc);

			if (!edge->walked || batch->ntids == 0)
				continue;
			if (walk_edge(deletion, edge, batch) && edge->provable && skip)
				proven = lappend_oid(proven, edge->constraint);
			if (deletion->restart)
				return NIL;
		}
	} while (deletion->epoch != epoch);

	return proven;
}

/*
 * Walks one edge until nothing is left, or a pass over it changes nothing;
 * true when nothing is left.
 */
static bool
walk_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	uint64 before;

	if (edge->indexed && edge->action == EDGE_DELETE && !has_dependents(edge->child))
		return delete_by_index(deletion, edge, parents);

	do
	{
		before = catalogue_deletion_watch_rows(&deletion->watch);
		if (walk_once(deletion, edge, parents))
			return true;
	} while (catalogue_deletion_watch_rows(&deletion->watch) > before && !deletion->restart);

	return false;
}

/*
 * Runs one of the above as the table's owner, once the caller has seen the
 * row with his own rights: column privileges and policies are his.
 */
static bool
note_professor(Deletion *deletion, const char *query)
{
	bool found;

	found = run_on_professor(deletion, "SELECT 1 FROM %s AS p WHERE %s", deletion->caller, NIL) > 0;
	SPI_freetuptable(SPI_tuptable);
	if (!found)
		return false;

	found = run_on_professor(deletion, query,
							 catalogue_relation_owner(deletion->attachment->professors), NIL) > 0;
	if (found)
	{
		HeapTuple tuple = SPI_tuptable->vals[0];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		Oid relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));

		deletion->professors = catalogue_fk_graph_table(deletion->graph, relid);
		if (deletion->professors == NULL)
			elog(ERROR, "table %u is not part of the graph", relid);
		deletion->professor.ntids = 0;
		append_tid(deletion, &deletion->professor,
				   (ItemPointer) DatumGetPointer(SPI_getbinval(tuple, desc, 2, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);

	return found;
}

/* One pass over an edge; true when all that it found was dealt with. */
static bool
walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	DeletionTable *child = edge->child;
	bool descend = edge->action == EDGE_DELETE && has_dependents(child);
	DeletionBatch batch = {0};
	DeletionFrame *frame;
	TupleTableSlot *slot;
	bool complete;

	/* Not on the stack: after an ERROR its end is catalogue_end_walk()'s. */
	frame = MemoryContextAllocZero(deletion->cxt, sizeof(DeletionFrame));
	frame->outer = deletion->frames;
	frame->edge = edge;
	frame->parents = parents;
	frame->batch = &batch;
	frame->complete = true;
	frame->candidates = read_candidates(deletion, edge, parents);
	deletion->frames = frame;
	slot = MakeSingleTupleTableSlot(plan_result_desc(edge->read), &TTSOpsMinimalTuple);

	while (!deletion->restart && next_candidates(deletion, frame->candidates, slot, &batch))
	{
		int expected = batch.ntids;
		uint64 done;

		CHECK_FOR_INTERRUPTS();
		if (descend)
		{
			List *proven;

			lock_batch(deletion, edge, parents, &batch);
			proven = walk_children(deletion, child, &batch);
			if (deletion->restart)
				break;
			done = delete_batch(deletion, child, &batch, proven);
			list_free(proven);
		}
		else
			done = apply_to_batch(deletion, edge, parents, &batch);

		if (done < expected)
			frame->complete = false;
		batch.ntids = 0;
		batch_done(deletion, done);
	}

	ExecDropSingleTupleTableSlot(slot);
	complete = frame->complete && !deletion->restart;
	deletion->frames = frame->outer;
	tuplestore_end(frame->candidates);
	pfree(frame);
	if (batch.tids != NULL)
		pfree(batch.tids);

	return complete;
}

/*
 * Deletes children that nothing depends on, through the index, without
 * reading them first.  How many parents go into a statement that deletes
 * about a batch is learned as we go.  A parent whose children are more than a
 * batch ends that: to ask for the next ones would walk over those already
 * deleted, so the rest is read once, like any other edge.
 */
static bool
delete_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	int next = 0;

	if (edge->slice == 0)
		edge->slice = deletion->batch_size;

	while (next < parents->ntids && !deletion->restart)
	{
		DeletionBatch slice = {.tids = parents->tids + next,
							   .ntids = Min(edge->slice, parents->ntids - next)};
		Statement statement = {.owner = edge->child->owner,
							   .dest = None_Receiver,
							   .limit = deletion->batch_size};
		uint64 done;

		CHECK_FOR_INTERRUPTS();
		if (edge->delete_by_index == NULL)
			edge->delete_by_index = prepare_delete_by_index(edge);
		follow_moved_rows(edge->parent, parents);
		done = run_statement(deletion, edge->delete_by_index, &statement, &slice, NULL);

		if (done < deletion->batch_size)
		{
			next += slice.ntids;
			if (done < deletion->batch_size / 4)
				edge->slice = Min(edge->slice * 2, deletion->batch_size);
		}
		else
			edge->slice = Max(slice.ntids / 2, 1);
		batch_done(deletion, done);

		if (done >= deletion->batch_size && slice.ntids == 1)
			return walk_once(deletion, edge, parents);
	}

	return !deletion->restart;
}

/*
 * A key of one column is looked up as a set: one scan of the index, and the
 * rows in the order of the table, where a join would scan for each parent.
 */
static SPIPlanPtr
prepare_delete_by_index(const DeletionEdge *edge)
{
	const char *parents = "p.ctid OPERATOR(pg_catalog.=) ANY ($1)";
	char *query;

	if (edge->match_any != NULL)
		query = psprintf("DELETE FROM %s AS c WHERE %s FROM %s AS p WHERE %s)) RETURNING 1",
						 edge->child->name, edge->match_any, edge->parent->name, parents);
	else
		query = psprintf("DELETE FROM %s AS c USING %s AS p WHERE %s AND %s RETURNING 1",
						 edge->child->name, edge->parent->name, parents, edge->match);

	return prepare(query, 1, CURSOR_OPT_GENERIC_PLAN);
}

/* The children of a batch, as TIDs; the list outlives a commit. */
static Tuplestorestate *
read_candidates(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(deletion->cxt);
	Statement statement = {.owner = edge->child->owner};
	Tuplestorestate *store =
		tuplestore_begin_heap(false, deletion->commit != NULL, CANDIDATES_KILOBYTES);

	MemoryContextSwitchTo(oldcxt);
	PG_TRY();
	{
		if (edge->read == NULL)
			edge->read =
				prepare(psprintf("SELECT c.ctid FROM %s AS p, %s AS c"
								 " WHERE p.ctid OPERATOR(pg_catalog.=) ANY ($1) AND %s%s%s",
								 edge->parent->name, edge->child->name, edge->match,
								 edge->child->order_by ? " ORDER BY " : "",
								 edge->child->order_by ? edge->child->order_by : ""),
						1, CURSOR_OPT_CUSTOM_PLAN);
		statement.dest = CreateDestReceiver(DestTuplestore);
		SetTuplestoreDestReceiverParams(statement.dest, store, deletion->cxt, false, NULL, NULL);
		follow_moved_rows(edge->parent, parents);
		run_statement(deletion, edge->read, &statement, parents, NULL);
	}
	PG_CATCH();
	{
		tuplestore_end(store);
		PG_RE_THROW();
	}
	PG_END_TRY();

	return store;
}

/* Fills an empty batch from a list; false at its end. */
static bool
next_candidates(Deletion *deletion, Tuplestorestate *store, TupleTableSlot *slot,
				DeletionBatch *batch)
{
	while (batch->ntids < deletion->batch_size && tuplestore_gettupleslot(store, true, false, slot))
	{
		bool isnull;

		append_tid(deletion, batch, (ItemPointer) DatumGetPointer(slot_getattr(slot, 1, &isnull)));
	}

	return batch->ntids > 0;
}

/* Locks those of a batch that still are children of the parents, and keeps those. */
static void
lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents, DeletionBatch *batch)
{
	Statement statement = {.owner = edge->child->owner};
	SPITupleTable *rows;

	if (edge->lock == NULL)
		edge->lock = prepare(psprintf("SELECT c.ctid FROM %s AS p, %s AS c"
									  " WHERE p.ctid OPERATOR(pg_catalog.=) ANY ($1)"
									  " AND c.ctid OPERATOR(pg_catalog.=) ANY ($2) AND %s%s%s"
									  " FOR UPDATE OF c",
									  edge->parent->name, edge->child->name, edge->match,
									  edge->child->order_by ? " ORDER BY " : "",
									  edge->child->order_by ? edge->child->order_by : ""),
							 2, plan_options(deletion, edge));
	follow_moved_rows(edge->parent, parents);
	run_statement(deletion, edge->lock, &statement, parents, batch);

	rows = SPI_tuptable;
	batch->ntids = 0;
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		bool isnull;

		append_tid(deletion, batch,
				   (ItemPointer) DatumGetPointer(
					   SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull)));
	}
	SPI_freetuptable(rows);
}

/* Deletes children that nothing depends on, or sets their keys; returns how many. */
static uint64
apply_to_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents,
			   const DeletionBatch *batch)
{
	Statement statement = {.owner = edge->child->owner};
	uint64 rows;

	if (edge->apply == NULL)
	{
		const char *where = psprintf("p.ctid OPERATOR(pg_catalog.=) ANY ($1)"
									 " AND c.ctid OPERATOR(pg_catalog.=) ANY ($2) AND %s",
									 edge->match);

		edge->apply =
			prepare(edge->action == EDGE_DELETE
						? psprintf("DELETE FROM %s AS c USING %s AS p WHERE %s", edge->child->name,
								   edge->parent->name, where)
						: psprintf("UPDATE %s AS c SET %s FROM %s AS p WHERE %s", edge->child->name,
								   edge->assignments, edge->parent->name, where),
					2, plan_options(deletion, edge));
	}
	follow_moved_rows(edge->parent, parents);
	rows = run_statement(deletion, edge->apply, &statement, parents, batch);
	if (edge->action != EDGE_DELETE)
		catalogue_deletion_watch_count(&deletion->watch, edge->child->relid, edge->action, rows);

	return rows;
}

/* Deletes a locked batch whose dependents are gone; returns how many. */
static uint64
delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch, List *proven)
{
	Statement statement = {.owner = table->owner, .proven = proven};

	if (batch->ntids == 0)
		return 0;
	if (table->delete_batch == NULL)
		table->delete_batch = prepare(psprintf("DELETE FROM %s AS c"
											   " WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($1)",
											   table->name),
									  1, CURSOR_OPT_GENERIC_PLAN);

	follow_moved_rows(table, batch);
	return run_statement(deletion, table->delete_batch, &statement, batch, NULL);
}

/*
 * User triggers below a table, or a cycle, may update rows that we hold by
 * their TIDs: a trigger on the comments that counts them in their chapter.
 * The rows are locked, so it was us, and the chain of versions is whole.
 */
static void
follow_moved_rows(const DeletionTable *table, DeletionBatch *batch)
{
	Relation rel;
	Snapshot snapshot;
	TableScanDesc scan;

	if (table->quiet_below && !table->has_before_triggers && !table->in_cycle)
		return;

	rel = table_open(table->relid, NoLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan_tid(rel, snapshot);
	for (int i = 0; i < batch->ntids; i++)
		table_tuple_get_latest_tid(scan, &batch->tids[i]);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

/* A good moment for a commit, if commits are wanted and enough has been done. */
static void
batch_done(Deletion *deletion, uint64 rows)
{
	catalogue_deletion_watch_flush(&deletion->watch);
	deletion->pending += rows;
	if (deletion->commit != NULL && deletion->pending >= deletion->batch_size)
		deletion->commit(deletion);
}

static void
relock_frame(Deletion *deletion, DeletionFrame *frame)
{
	int before = frame->batch->ntids;

	if (frame->outer != NULL)
		relock_frame(deletion, frame->outer);
	if (before == 0)
		return;
	lock_batch(deletion, frame->edge, frame->parents, frame->batch);
	if (frame->batch->ntids < before)
		frame->complete = false;
}

static bool
has_dependents(const DeletionTable *table)
{
	ListCell *lc;

	foreach(lc, table->children)
	{
		if (((DeletionEdge *) lfirst(lc))->walked)
			return true;
	}
	return false;
}

/*
 * How to plan a statement that joins a batch of children to its parents.  The
 * planner must see how many there are, or it would compare each with each;
 * but for the one professor, for whom it would rather read the whole table
 * than fetch a batch of it.
 */
static int
plan_options(const Deletion *deletion, const DeletionEdge *edge)
{
	return edge->parent == deletion->professors ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN;
}

static SPIPlanPtr
prepare(const char *query, int nargs, int cursor_options)
{
	Oid tidarray = get_array_type(TIDOID);
	Oid argtypes[2] = {tidarray, tidarray};
	SPIPlanPtr plan = SPI_prepare_cursor(query, nargs, argtypes, cursor_options);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed for \"%s\": %s", query,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);

	return plan;
}

static TupleDesc
plan_result_desc(SPIPlanPtr plan)
{
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc;
}

/*
 * Runs a saved plan on one or two batches; returns the number of rows.  In
 * READ COMMITTED each statement has a snapshot of its own.
 */
static uint64
run_statement(Deletion *deletion, SPIPlanPtr plan, const Statement *statement,
			  DeletionBatch *parents, const DeletionBatch *children)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion statement",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	ParamListInfo params = makeParamList(children != NULL ? 2 : 1);
	SPIExecuteOptions options = {.params = params,
								 .tcount = statement->limit,
								 .dest = statement->dest};
	DeletionUser saved;
	uint64 rows;

	for (int i = 0; i < params->numParams; i++)
		params->params[i] = (ParamExternData){.value = tid_array(i == 0 ? parents : children),
											  .pflags = PARAM_FLAG_CONST,
											  .ptype = get_array_type(TIDOID)};

	deletion->watch.own_params = params;
	deletion->watch.proven = statement->proven;
	catalogue_become_owner(statement->owner, &saved);
	rows = execute(plan, &options);
	catalogue_restore_user(&saved);
	deletion->watch.own_params = NULL;
	deletion->watch.proven = NIL;

	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(cxt);

	return rows;
}

/*
 * Runs a statement on the professor's row; format has the place of the table
 * and of the condition.  Returns the number of rows.
 */
static uint64
run_on_professor(Deletion *deletion, const char *format, Oid user, List *proven)
{
	const Attachment *attachment = deletion->attachment;
	Oid type = get_atttype(attachment->professors,
						   get_attnum(attachment->professors, attachment->professors_username));
	ParamListInfo params = makeParamList(1);
	SPIExecuteOptions options = {.params = params};
	char *column = psprintf("p.%s", quote_identifier(attachment->professors_username));
	StringInfoData condition;
	Oid input;
	Oid ioparam;
	DeletionUser saved;
	SPIPlanPtr plan;
	uint64 rows;

	if (!OidIsValid(type))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of relation \"%s\" does not exist",
					   attachment->professors_username, get_rel_name(attachment->professors)),
				errhint("Run catalogue.attach() with the new name."));

	initStringInfo(&condition);
	generate_operator_clause(&condition, column, type,
							 lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr, "$1", type);
	getTypeInputInfo(type, &input, &ioparam);
	params->params[0] =
		(ParamExternData){.value = OidInputFunctionCall(input, deletion->username, ioparam, -1),
						  .pflags = PARAM_FLAG_CONST,
						  .ptype = type};

	plan = SPI_prepare(psprintf(format, catalogue_relation_name(attachment->professors),
								condition.data),
					   1, &type);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));

	deletion->watch.own_params = params;
	deletion->watch.proven = proven;
	if (user == deletion->caller)
		rows = execute(plan, &options);
	else
	{
		catalogue_become_owner(user, &saved);
		rows = execute(plan, &options);
		catalogue_restore_user(&saved);
	}
	deletion->watch.own_params = NULL;
	deletion->watch.proven = NIL;
	SPI_freeplan(plan);

	return rows;
}

static uint64
execute(SPIPlanPtr plan, SPIExecuteOptions *options)
{
	int ret = SPI_execute_plan_extended(plan, options);

	if (ret < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(ret));

	return SPI_processed;
}

static void
check_may_delete(Oid relid, Oid caller)
{
	AclResult result = pg_class_aclcheck(relid, caller, ACL_DELETE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

static Datum
tid_array(const DeletionBatch *batch)
{
	Datum *elements = palloc(Max(batch->ntids, 1) * sizeof(Datum));

	for (int i = 0; i < batch->ntids; i++)
		elements[i] = PointerGetDatum(&batch->tids[i]);

	return PointerGetDatum(construct_array(elements, batch->ntids, TIDOID, sizeof(ItemPointerData),
										   false, TYPALIGN_SHORT));
}

static void
append_tid(Deletion *deletion, DeletionBatch *batch, ItemPointer tid)
{
	if (batch->ntids == batch->allocated)
	{
		batch->allocated = Max(64, 2 * batch->allocated);
		batch->tids =
			batch->tids == NULL
				? MemoryContextAlloc(deletion->cxt, batch->allocated * sizeof(ItemPointerData))
				: repalloc(batch->tids, batch->allocated * sizeof(ItemPointerData));
	}
	batch->tids[batch->ntids++] = *tid;
}
