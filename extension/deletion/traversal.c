/*
 * delete_batch.c
 *		The walk: a professor's dependents go, children first, in sets.
 *
 * A batch is up to batch_size rows of one table, locked FOR UPDATE: their
 * TIDs, and the values that their children refer to.  For each edge below it
 * the children are read once into a tuplestore, and taken from there in
 * batches of their own: walked where they have dependents, then deleted by
 * their TIDs.  Memory is one batch for each level of the graph.  Children with
 * an index whose rows have no dependents need no list: the statement asks the
 * index.
 *
 * Children are locked as they are read, all locks being held to the end of
 * the transaction anyway.  There are two exceptions, for which each batch is
 * locked when its turn comes, and looked at again whether it still belongs to
 * its parents: a purge, whose locks end with each commit, and tables whose
 * rows a trigger could change before we come to them.
 *
 * An edge is proven when, since the parents were locked, a pass over it in
 * READ COMMITTED has come to its end and deleted all that it found: whoever
 * would add a child needs FOR KEY SHARE on a parent and waits.
 *
 * Locks: one deletion at a time for each professors table (see
 * catalogue_lock_professor), the professor's row, then each list or batch in
 * primary key order.
 *
 * Memory: batches and lists live in the deletion's context; the parameters of
 * a statement in one of its own.
 */
#include "deletion/deletion.h"

#include "names.h"
#include "query.h"
#include "rights.h"

#include "access/htup_details.h"
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
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

/* A list of children goes to disk beyond this, whatever work_mem says. */
#define LIST_KILOBYTES 1024

/* What a statement on a batch is, besides its saved plan. */
typedef struct Statement
{
	SPIPlanPtr plan;
	Oid relid;					  /* its table, as whose owner it runs */
	const DeletionEdge *edge;	  /* its keys are the first parameters; may be NULL */
	const DeletionBatch *parents; /* whose they are */
	int first;					  /* of the parents */
	int nparents;
	const DeletionBatch *batch; /* its TIDs are the last parameter; may be NULL */
	DestReceiver *dest;			/* NULL: no rows come back */
	uint64 limit;				/* of rows that a DELETE takes; 0: none */
	List *proven;				/* constraints whose triggers are left out */
} Statement;

static List *walk_children(Deletion *deletion, DeletionTable *table, DeletionBatch *batch);
static bool walk_edge(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static bool delete_by_index(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents);
static int next_slice(int batch_size, int nparents, uint64 nchildren);
static char *delete_children(const DeletionEdge *edge);
static Tuplestorestate *read_children(Deletion *deletion, DeletionEdge *edge,
									  DeletionBatch *parents, bool lock);
static void lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents,
					   DeletionBatch *batch);
static char *select_children(const DeletionEdge *edge, const char *condition, const char *match,
							 bool lock);
static uint64 delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch,
						   List *proven);
static uint64 set_keys(Deletion *deletion, DeletionEdge *edge, DeletionBatch *batch);
static void follow_moved_rows(const DeletionTable *table, DeletionBatch *batch);
static bool is_quiet(const DeletionTable *table);
static void batch_done(Deletion *deletion, uint64 rows);
static void relock_frame(Deletion *deletion, DeletionFrame *frame);
static bool has_dependents(const DeletionTable *table);
static char *parents_as_rows(const DeletionEdge *edge);
static char *key_columns(const List *keys);
static SPIPlanPtr prepare(const Deletion *deletion, const DeletionEdge *edge, bool tids,
						  int cursor_options, const char *query);
static void make_generic_plan(SPIPlanPtr plan);
static TupleDesc plan_result_desc(SPIPlanPtr plan);
static Tuplestorestate *collect(Deletion *deletion, Statement *statement);
static uint64 run_statement(Deletion *deletion, const Statement *statement);
static bool note_professor(Deletion *deletion, ProfessorStatement statement);
static uint64 run_on_professor(Deletion *deletion, ProfessorStatement statement, List *proven);
static SPIPlanPtr prepare_on_professor(const Deletion *deletion, ProfessorStatement statement,
									   Oid type);
static bool fill_batch(Deletion *deletion, const DeletionTable *table, Tuplestorestate *list,
					   TupleTableSlot *slot, DeletionBatch *batch);
static void append_row(Deletion *deletion, const DeletionTable *table, DeletionBatch *batch,
					   const Datum *values, const bool *isnull);
static void enlarge_batch(Deletion *deletion, int nkeys, DeletionBatch *batch);
static void free_batch(DeletionBatch *batch);
static Datum key_array(const DeletionKey *key, const DeletionColumn *column, int first, int n);
static Datum tid_array(const DeletionBatch *batch);

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

	catalogue_check_table_privilege(attachment->professors, deletion->caller, ACL_DELETE);
	if (OidIsValid(attachment->chapters))
		catalogue_check_table_privilege(attachment->chapters, deletion->caller, ACL_DELETE);

	foreach(lc, deletion->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->children)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!edge->beyond_schema)
				continue;
			catalogue_check_table_privilege(edge->child->reported, deletion->caller, ACL_DELETE);
			if (check_enable_rls(edge->child->reported, deletion->caller, true) == RLS_ENABLED)
				ereport(ERROR,
						errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("deletion would be affected by row-level security policy for table \"%s\"",
							   catalogue_relation_name(edge->child->reported)));
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
	return note_professor(deletion, PROFESSOR_FIND);
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

	return note_professor(deletion, PROFESSOR_LOCK);
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

	if (run_on_professor(deletion, PROFESSOR_DELETE, proven) > 0)
		return;

	if (check_enable_rls(relid, deletion->caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("row-level security policy for table \"%s\" keeps professor \"%s\"",
					   catalogue_relation_name(relid), deletion->username));
	ereport(ERROR,
			errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("a trigger or rule on table \"%s\" keeps professor \"%s\"",
				   catalogue_relation_name(relid), deletion->username));
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
		tuplestore_end(frame->children);
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
	bool skip = catalogue_skip_redundant_ri_triggers && XactIsoLevel == XACT_READ_COMMITTED;
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

			if (!edge->walked || batch->nrows == 0)
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

/* One pass over an edge; true when all that it found was dealt with. */
static bool
walk_once(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents)
{
	DeletionTable *child = edge->child;
	bool lock_first = deletion->commit == NULL && is_quiet(child);
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
	frame->children = read_children(deletion, edge, parents, lock_first);
	deletion->frames = frame;
	slot = MakeSingleTupleTableSlot(plan_result_desc(lock_first ? edge->read_and_lock : edge->read),
									&TTSOpsMinimalTuple);

	while (!deletion->restart && fill_batch(deletion, child, frame->children, slot, &batch))
	{
		int expected = batch.nrows;
		uint64 done;
		List *proven = NIL;

		CHECK_FOR_INTERRUPTS();
		if (!lock_first)
			lock_batch(deletion, edge, parents, &batch);
		if (edge->action == EDGE_DELETE)
			proven = walk_children(deletion, child, &batch);
		if (deletion->restart)
			break;
		if (edge->action == EDGE_DELETE)
			done = delete_batch(deletion, child, &batch, proven);
		else
			done = set_keys(deletion, edge, &batch);
		list_free(proven);

		if (done < expected)
			frame->complete = false;
		batch.nrows = 0;
		batch_done(deletion, done);
	}

	ExecDropSingleTupleTableSlot(slot);
	complete = frame->complete && !deletion->restart;
	deletion->frames = frame->outer;
	tuplestore_end(frame->children);
	pfree(frame);
	free_batch(&batch);

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

	if (edge->delete_by_index == NULL)
		edge->delete_by_index =
			prepare(deletion, edge, false, CURSOR_OPT_GENERIC_PLAN, delete_children(edge));

	while (next < parents->nrows && !deletion->restart)
	{
		int slice = edge->slice > 0 ? edge->slice : deletion->batch_size;
		Statement statement = {.plan = edge->delete_by_index,
							   .relid = edge->child->relid,
							   .edge = edge,
							   .parents = parents,
							   .first = next,
							   .nparents = Min(slice, parents->nrows - next),
							   .limit = deletion->batch_size};
		uint64 done;
		bool more;

		CHECK_FOR_INTERRUPTS();
		done = run_statement(deletion, &statement);
		more = deletion->watch.limit_reached;

		if (more)
			edge->slice = Max(statement.nparents / 2, 1);
		else
		{
			next += statement.nparents;
			edge->slice = next_slice(deletion->batch_size, statement.nparents, done);
		}
		batch_done(deletion, done);

		if (more && statement.nparents == 1)
			return walk_once(deletion, edge, parents);
	}

	return !deletion->restart;
}

/* Parents whose children are a little less than a batch, if they have as many as the last ones. */
static int
next_slice(int batch_size, int nparents, uint64 nchildren)
{
	double slice = nchildren > 0 ? 0.875 * batch_size * nparents / nchildren : batch_size;

	return (int) Max(Min(slice, Min(2.0 * nparents, batch_size)), 1);
}

static char *
delete_children(const DeletionEdge *edge)
{
	if (edge->match_any != NULL)
		return psprintf("DELETE FROM %s AS c WHERE %s", edge->child->name, edge->match_any);

	return psprintf("DELETE FROM %s AS c USING %s WHERE %s", edge->child->name,
					parents_as_rows(edge), edge->match);
}

/*
 * The children of a batch, with what their own children refer to, in primary
 * key order.  The list outlives a commit.
 */
static Tuplestorestate *
read_children(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents, bool lock)
{
	SPIPlanPtr *plan = lock ? &edge->read_and_lock : &edge->read;

	/* Without an index the planner must see how many keys there are, to hash them. */
	if (*plan == NULL)
		*plan = prepare(deletion, edge, false,
						edge->indexed ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN,
						select_children(edge, "", edge->match_any, lock));

	return collect(deletion, &(Statement){.plan = *plan,
										  .relid = edge->child->relid,
										  .edge = edge,
										  .parents = parents,
										  .nparents = parents->nrows});
}

/* Locks those of a batch that still are children of the parents, and keeps those. */
static void
lock_batch(Deletion *deletion, DeletionEdge *edge, DeletionBatch *parents, DeletionBatch *batch)
{
	Tuplestorestate *locked;
	TupleTableSlot *slot;

	if (edge->lock == NULL)
		edge->lock =
			prepare(deletion, edge, true,
					edge->match_hashed != NULL ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN,
					select_children(edge,
									psprintf("c.ctid OPERATOR(pg_catalog.=) ANY ($%d) AND ",
											 list_length(edge->keys) + 1),
									edge->match_hashed, true));
	locked = collect(deletion, &(Statement){.plan = edge->lock,
											.relid = edge->child->relid,
											.edge = edge,
											.parents = parents,
											.nparents = parents->nrows,
											.batch = batch});
	slot = MakeSingleTupleTableSlot(plan_result_desc(edge->lock), &TTSOpsMinimalTuple);
	batch->nrows = 0;
	(void) fill_batch(deletion, edge->child, locked, slot, batch);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(locked);
}

/* The query of both: condition, then match, or the edge's own where that is NULL. */
static char *
select_children(const DeletionEdge *edge, const char *condition, const char *match, bool lock)
{
	const DeletionTable *child = edge->child;
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT c.ctid%s FROM ", key_columns(child->keys));
	if (match == NULL)
		appendStringInfo(&query, "%s, ", parents_as_rows(edge));
	appendStringInfo(&query, "%s AS c WHERE %s%s", child->name, condition,
					 match != NULL ? match : edge->match);
	if (child->order_by != NULL)
		appendStringInfo(&query, " ORDER BY %s", child->order_by);
	if (lock)
		appendStringInfoString(&query, " FOR UPDATE OF c");

	return query.data;
}

/* Deletes a locked batch whose dependents are gone; returns how many. */
static uint64
delete_batch(Deletion *deletion, DeletionTable *table, DeletionBatch *batch, List *proven)
{
	if (batch->nrows == 0)
		return 0;
	if (table->delete_batch == NULL)
		table->delete_batch =
			prepare(deletion, NULL, true, CURSOR_OPT_GENERIC_PLAN,
					psprintf("DELETE FROM %s AS c WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($1)",
							 table->name));

	follow_moved_rows(table, batch);
	return run_statement(deletion, &(Statement){.plan = table->delete_batch,
												.relid = table->relid,
												.batch = batch,
												.proven = proven});
}

/* Sets the keys of a locked batch to null or their default; returns how many. */
static uint64
set_keys(Deletion *deletion, DeletionEdge *edge, DeletionBatch *batch)
{
	uint64 rows;

	if (batch->nrows == 0)
		return 0;
	if (edge->set == NULL)
		edge->set =
			prepare(deletion, NULL, true, CURSOR_OPT_GENERIC_PLAN,
					psprintf("UPDATE %s AS c SET %s WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($1)",
							 edge->child->name, edge->assignments));
	rows =
		run_statement(deletion,
					  &(Statement){.plan = edge->set, .relid = edge->child->relid, .batch = batch});
	catalogue_deletion_watch_count(&deletion->watch, edge->child->relid, edge->action, rows);

	return rows;
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

	if (is_quiet(table))
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

/* Can nothing but our own statements change a table's rows while we hold them? */
static bool
is_quiet(const DeletionTable *table)
{
	return table->quiet_below && !table->has_triggers && !table->in_cycle;
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
	int before = frame->batch->nrows;

	if (frame->outer != NULL)
		relock_frame(deletion, frame->outer);
	if (before == 0)
		return;
	lock_batch(deletion, frame->edge, frame->parents, frame->batch);
	if (frame->batch->nrows < before)
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

/* The parents' keys, an array each, as the FROM item p. */
static char *
parents_as_rows(const DeletionEdge *edge)
{
	StringInfoData arrays;
	StringInfoData columns;
	ListCell *lc;

	initStringInfo(&arrays);
	initStringInfo(&columns);
	foreach(lc, edge->keys)
	{
		const DeletionKey *key = list_nth(edge->parent->keys, lfirst_int(lc));
		const char *separator = foreach_current_index(lc) > 0 ? ", " : "";

		appendStringInfo(&arrays, "%spg_catalog.unnest($%d)", separator,
						 foreach_current_index(lc) + 1);
		appendStringInfo(&columns, "%s%s", separator, quote_identifier(key->column));
	}

	return psprintf("ROWS FROM (%s) AS p (%s)", arrays.data, columns.data);
}

/* What a batch carries along, as further columns of a SELECT. */
static char *
key_columns(const List *keys)
{
	StringInfoData columns;
	ListCell *lc;

	initStringInfo(&columns);
	foreach(lc, keys)
		appendStringInfo(&columns, ", %s", ((DeletionKey *) lfirst(lc))->expression);

	return columns.data;
}

/* Parameters: the edge's keys, then the batch's TIDs; either may be missing. */
static SPIPlanPtr
prepare(const Deletion *deletion, const DeletionEdge *edge, bool tids, int cursor_options,
		const char *query)
{
	Oid argtypes[INDEX_MAX_KEYS + 1];
	int nargs = 0;

	if (edge != NULL)
	{
		ListCell *lc;

		foreach(lc, edge->keys)
			argtypes[nargs++] =
				((DeletionKey *) list_nth(edge->parent->keys, lfirst_int(lc)))->array_type;
	}
	if (tids)
		argtypes[nargs++] = get_array_type(TIDOID);

	return catalogue_prepare(deletion->graph->base.cxt, query, nargs, argtypes, cursor_options);
}

/*
 * Sees to the plan of a statement that is planned without a look at its
 * parameters: one scan of an index for all keys, then the rows in the order of
 * the table; or the rows by their TIDs.  Other plans are bad for a whole batch
 * but may look good to the planner, which expects ten of each.
 */
static void
make_generic_plan(SPIPlanPtr plan)
{
	const CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	int save_nestlevel;

	if (!(source->cursor_options & CURSOR_OPT_GENERIC_PLAN) ||
		(source->is_valid && source->gplan != NULL && source->gplan->is_valid))
		return;

	save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	(void) set_config_option("enable_indexscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	ReleaseCachedPlan(SPI_plan_get_cached_plan(plan), CurrentResourceOwner);
	AtEOXact_GUC(true, save_nestlevel);
}

/* The rows of a statement as a list, which the caller ends. */
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
 * Runs a saved plan on a batch; returns the number of rows.  In READ COMMITTED
 * each statement has a snapshot of its own.
 */
static uint64
run_statement(Deletion *deletion, const Statement *statement)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue deletion statement",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcxt = MemoryContextSwitchTo(cxt);
	const DeletionEdge *edge = statement->edge;
	int nkeys = edge != NULL ? list_length(edge->keys) : 0;
	ParamListInfo params = makeParamList(nkeys + (statement->batch != NULL ? 1 : 0));
	SPIExecuteOptions options = {.params = params, .dest = statement->dest};
	SavedUser saved;
	uint64 rows;

	for (int i = 0; i < nkeys; i++)
	{
		int number = list_nth_int(edge->keys, i);
		const DeletionKey *key = list_nth(edge->parent->keys, number);

		params->params[i] =
			(ParamExternData){.value = key_array(key, &statement->parents->keys[number],
												 statement->first, statement->nparents),
							  .pflags = PARAM_FLAG_CONST,
							  .ptype = key->array_type};
	}
	if (statement->batch != NULL)
		params->params[nkeys] = (ParamExternData){.value = tid_array(statement->batch),
												  .pflags = PARAM_FLAG_CONST,
												  .ptype = get_array_type(TIDOID)};

	deletion->watch.own_params = params;
	deletion->watch.proven = statement->proven;
	deletion->watch.limit = statement->limit;
	deletion->watch.limit_reached = false;
	catalogue_switch_to_owner(statement->relid, &saved);
	make_generic_plan(statement->plan);
	rows = catalogue_execute_plan(statement->plan, &options);
	catalogue_restore_user(&saved);
	deletion->watch.own_params = NULL;
	deletion->watch.proven = NIL;

	MemoryContextSwitchTo(oldcxt);
	MemoryContextDelete(cxt);

	return rows;
}

/*
 * Runs one of the above as the table's owner, once the caller has seen the
 * row with his own rights: column privileges and policies are his.
 */
static bool
note_professor(Deletion *deletion, ProfessorStatement statement)
{
	SavedUser saved;
	bool found;

	found = run_on_professor(deletion, PROFESSOR_SEE, NIL) > 0;
	SPI_freetuptable(SPI_tuptable);
	if (!found)
		return false;

	catalogue_switch_to_owner(deletion->attachment->professors, &saved);
	found = run_on_professor(deletion, statement, NIL) > 0;
	catalogue_restore_user(&saved);
	if (found)
	{
		TupleDesc desc = SPI_tuptable->tupdesc;
		Datum *values = palloc(desc->natts * sizeof(Datum));
		bool *isnull = palloc(desc->natts * sizeof(bool));
		Oid relid;

		heap_deform_tuple(SPI_tuptable->vals[0], desc, values, isnull);
		relid = DatumGetObjectId(values[0]);
		deletion->professors = catalogue_fk_graph_table(deletion->graph, relid);
		if (deletion->professors == NULL)
			elog(ERROR, "table %u is not part of the graph", relid);
		/* In a new graph he may have other keys. */
		free_batch(&deletion->professor);
		append_row(deletion, deletion->professors, &deletion->professor, values + 1, isnull + 1);
	}
	SPI_freetuptable(SPI_tuptable);

	return found;
}

/* Runs a statement on the professor's row as the current user; returns the number of rows. */
static uint64
run_on_professor(Deletion *deletion, ProfessorStatement statement, List *proven)
{
	const Attachment *attachment = deletion->attachment;
	Oid type = get_atttype(attachment->professors,
						   catalogue_column_number(attachment->professors,
												   attachment->professors_username));
	SPIPlanPtr *plan = &deletion->graph->professor[statement];
	NullableDatum username = {0};
	SPIExecuteOptions options = {0};
	Oid input;
	Oid ioparam;
	uint64 rows;

	getTypeInputInfo(type, &input, &ioparam);
	username.value = OidInputFunctionCall(input, deletion->username, ioparam, -1);
	options.params = catalogue_make_params(1, &type, &username);

	deletion->watch.own_params = options.params;
	deletion->watch.proven = proven;
	deletion->watch.limit = 0;
	if (*plan == NULL)
		*plan = prepare_on_professor(deletion, statement, type);
	rows = catalogue_execute_plan(*plan, &options);
	deletion->watch.own_params = NULL;
	deletion->watch.proven = NIL;

	return rows;
}

static SPIPlanPtr
prepare_on_professor(const Deletion *deletion, ProfessorStatement statement, Oid type)
{
	const Attachment *attachment = deletion->attachment;
	const DeletionTable *root = linitial(deletion->graph->roots);
	StringInfoData query;

	initStringInfo(&query);
	switch (statement)
	{
		case PROFESSOR_SEE:
			appendStringInfoString(&query, "SELECT 1");
			break;
		case PROFESSOR_FIND:
		case PROFESSOR_LOCK:
			appendStringInfo(&query, "SELECT c.tableoid, c.ctid%s", key_columns(root->keys));
			break;
		case PROFESSOR_DELETE:
			appendStringInfoString(&query, "DELETE");
			break;
		case PROFESSOR_NSTATEMENTS:
			Assert(false);
	}
	appendStringInfo(&query, " FROM %s AS c WHERE ",
					 catalogue_qualified_relation_name(attachment->professors));
	generate_operator_clause(&query,
							 psprintf("c.%s", quote_identifier(attachment->professors_username)),
							 type, lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr, "$1", type);
	if (statement == PROFESSOR_LOCK)
		appendStringInfoString(&query, " FOR UPDATE");

	return catalogue_prepare(deletion->graph->base.cxt, query.data, 1, &type, 0);
}

/* Fills an empty batch of a table from a list; false at the list's end. */
static bool
fill_batch(Deletion *deletion, const DeletionTable *table, Tuplestorestate *list,
		   TupleTableSlot *slot, DeletionBatch *batch)
{
	while (batch->nrows < deletion->batch_size && tuplestore_gettupleslot(list, true, false, slot))
	{
		slot_getallattrs(slot);
		append_row(deletion, table, batch, slot->tts_values, slot->tts_isnull);
	}

	return batch->nrows > 0;
}

/* Appends a row, its TID and then its keys, to a batch of a table. */
static void
append_row(Deletion *deletion, const DeletionTable *table, DeletionBatch *batch,
		   const Datum *values, const bool *isnull)
{
	int nkeys = list_length(table->keys);
	int row = batch->nrows;

	if (row == batch->allocated)
		enlarge_batch(deletion, nkeys, batch);
	if (row == 0)
		MemoryContextReset(batch->cxt);

	batch->tids[row] = *(ItemPointer) DatumGetPointer(values[0]);
	for (int i = 0; i < nkeys; i++)
	{
		const DeletionKey *key = list_nth(table->keys, i);
		DeletionColumn *column = &batch->keys[i];

		column->nulls[row] = isnull[i + 1];
		column->values[row] = values[i + 1];
		if (!key->typbyval && !isnull[i + 1])
		{
			MemoryContext oldcxt = MemoryContextSwitchTo(batch->cxt);

			/* construct_md_array() would put a detoasted copy of its own in its place */
			column->values[row] = key->typlen == -1
									  ? PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i + 1]))
									  : datumCopy(values[i + 1], false, key->typlen);
			MemoryContextSwitchTo(oldcxt);
		}
	}
	batch->nrows++;
}

static void
enlarge_batch(Deletion *deletion, int nkeys, DeletionBatch *batch)
{
	MemoryContext oldcxt = MemoryContextSwitchTo(deletion->cxt);
	int allocated = Max(64, 2 * batch->allocated);

	if (batch->allocated == 0)
	{
		batch->cxt =
			AllocSetContextCreate(deletion->cxt, "catalogue deletion batch", ALLOCSET_SMALL_SIZES);
		batch->tids = palloc(allocated * sizeof(ItemPointerData));
		batch->nkeys = nkeys;
		batch->keys = palloc(nkeys * sizeof(DeletionColumn));
		for (int i = 0; i < nkeys; i++)
		{
			batch->keys[i].values = palloc(allocated * sizeof(Datum));
			batch->keys[i].nulls = palloc(allocated * sizeof(bool));
		}
	}
	else
	{
		batch->tids = repalloc(batch->tids, allocated * sizeof(ItemPointerData));
		for (int i = 0; i < nkeys; i++)
		{
			batch->keys[i].values = repalloc(batch->keys[i].values, allocated * sizeof(Datum));
			batch->keys[i].nulls = repalloc(batch->keys[i].nulls, allocated * sizeof(bool));
		}
	}
	batch->allocated = allocated;
	MemoryContextSwitchTo(oldcxt);
}

/* Frees what a batch holds; it is empty then, and may become another table's. */
static void
free_batch(DeletionBatch *batch)
{
	if (batch->allocated > 0)
	{
		for (int i = 0; i < batch->nkeys; i++)
		{
			pfree(batch->keys[i].values);
			pfree(batch->keys[i].nulls);
		}
		pfree(batch->keys);
		pfree(batch->tids);
		MemoryContextDelete(batch->cxt);
	}
	*batch = (DeletionBatch){0};
}

static Datum
key_array(const DeletionKey *key, const DeletionColumn *column, int first, int n)
{
	int dims[1] = {n};
	int lbounds[1] = {1};

	return PointerGetDatum(construct_md_array(column->values + first, column->nulls + first, 1,
											  dims, lbounds, key->type, key->typlen, key->typbyval,
											  key->typalign));
}

static Datum
tid_array(const DeletionBatch *batch)
{
	Datum *elements = palloc(Max(batch->nrows, 1) * sizeof(Datum));

	for (int i = 0; i < batch->nrows; i++)
		elements[i] = PointerGetDatum(&batch->tids[i]);

	return PointerGetDatum(construct_array(elements, batch->nrows, TIDOID, sizeof(ItemPointerData),
										   false, TYPALIGN_SHORT));
}

static TupleDesc
plan_result_desc(SPIPlanPtr plan)
{
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc;
}
