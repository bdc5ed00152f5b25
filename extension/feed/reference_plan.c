/*
 * reference_plan.c
 *		What the planner answers about the feed's reference query.
 *
 * Ask the planner, don't guess.  For every function there is one saved plan of
 * the query that anyone would write by hand for a first page.  Where its
 * generic plan is a Limit over an index scan of the bound table, with no filter
 * and an index on (filière, created_at, id), that index can be streamed from
 * without the executor.  Any other plan means that the planner knows something
 * that this module doesn't (row-level security, partitions, inheritance, a
 * foreign or distributed table, a missing index); then the executor runs the
 * plans of key_range.c.
 *
 * Locking: asking for the reference plan takes the locks that running it would
 * take, and they are held to the end of the transaction.
 *
 * Lifetime: the query is prepared once for a feed.  The server's plan cache
 * replans it when DDL, ANALYZE or a change of role has made the plan invalid.
 * Planning may run functions of the user's, which may call the feed in turn; so
 * a caller gets a copy, and the feed's own is replaced at one stroke.
 */
#include "feed/reference_plan.h"

#include "feed/key_range.h"
#include "feed/scan_keys.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "nodes/plannodes.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

typedef struct CachedReferencePlan
{
	SPIPlanPtr	query;
	int			generation;		/* of the server's plan that "plan" was read
								 * from; 0 for none */
	ReferencePlan plan;
} CachedReferencePlan;

static CachedReferencePlan *prepare_reference(ChapterFeed *feed);
static void read_plan(const ChapterFeed *feed, CachedPlan *cplan, bool row_security,
					  ReferencePlan *reference);
static const char *find_streamable_index(const ChapterFeed *feed, const Plan *plan,
										 ReferencePlan *reference);
static bool is_heap(Oid relid);
static const char *why_not_index_scan(const Plan *plan);
static bool index_has_order(Oid relid, const ReferencePlan *reference);
static void set_equality(const ChapterFeed *feed, ReferencePlan *reference, Oid opno);
static Datum equal_text(PG_FUNCTION_ARGS);
static Oid	find_id_index(Oid relid, const ReferencePlan *reference);
static bool identifies_row(Relation rel, Relation index, AttrNumber attno);

/*
 * What the reference query's generic plan says, valid now and with its locks
 * taken.  The plan is read again only after the server has replanned it.
 */
void
catalogue_feed_read_reference_plan(ChapterFeed *feed, ReferencePlan *plan)
{
	CachedReferencePlan *cached = prepare_reference(feed);
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(cached->query));
	CachedPlan *cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);

	if (cached->generation == cplan->generation)
		*plan = cached->plan;
	else
	{
		read_plan(feed, cplan, source->dependsOnRLS, plan);
		cached->plan = *plan;
		cached->generation = cplan->generation;
	}
	ReleaseCachedPlan(cplan, CurrentResourceOwner);
}

static CachedReferencePlan *
prepare_reference(ChapterFeed *feed)
{
	if (feed->reference == NULL)
	{
		SPIPlanPtr	query = catalogue_feed_prepare(feed, feed->base.cxt, feed->filiere.oid,
												   catalogue_feed_key_range_query(feed, "*", false,
																				  KEY_RANGE_NEWEST), 0);

		feed->reference = MemoryContextAllocZero(feed->base.cxt, sizeof(CachedReferencePlan));
		feed->reference->query = query;
	}

	return feed->reference;
}

static void
read_plan(const ChapterFeed *feed, CachedPlan *cplan, bool row_security, ReferencePlan *reference)
{
	const Attachment *attachment = feed->attachment;
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);
	Plan	   *plan = stmt->planTree;

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	MemSet(reference, 0, sizeof(ReferencePlan));
	reference->depends_on_role = row_security || stmt->dependsOnRole;
	reference->rows = plan->plan_rows;
	reference->startup_cost = plan->startup_cost;
	reference->total_cost = plan->total_cost;
	reference->filiere_attno = get_attnum(feed->relid, attachment->chapters_filiere);
	reference->created_at_attno = get_attnum(feed->relid, attachment->chapters_created_at);
	reference->id_attno = get_attnum(feed->relid, attachment->chapters_id);
	reference->not_streamed = find_streamable_index(feed, plan, reference);
	if (reference->not_streamed != NULL && row_security)
		reference->not_streamed = "row-level security applies";
	if (reference->not_streamed == NULL)
		reference->id_indexid = find_id_index(feed->relid, reference);
}

/*
 * Looks into the reference query's plan for an index that can be streamed from.
 * Returns NULL and notes the index if there is one, else the reason for EXPLAIN.
 */
static const char *
find_streamable_index(const ChapterFeed *feed, const Plan *plan, ReferencePlan *reference)
{
	List	   *indexqual;

	if (IsA(plan, IndexScan))
	{
		IndexScan  *scan = (IndexScan *) plan;

		reference->indexid = scan->indexid;
		reference->direction = scan->indexorderdir;
		indexqual = scan->indexqual;
	}
	else if (IsA(plan, IndexOnlyScan))
	{
		IndexOnlyScan *scan = (IndexOnlyScan *) plan;

		reference->indexid = scan->indexid;
		reference->direction = scan->indexorderdir;
		indexqual = scan->indexqual;
	}
	else
		return why_not_index_scan(plan);

	if (!is_heap(feed->relid))
		return "the table is not a heap";
	if (plan->qual != NIL)
		return "the plan filters the rows";
	if (!index_has_order(feed->relid, reference))
		return "the plan's index is not on (filiere, created_at, id)";
	if (list_length(indexqual) != 1 || !IsA(linitial(indexqual), OpExpr))
		return "the plan filters the rows";

	set_equality(feed, reference, linitial_node(OpExpr, indexqual)->opno);

	return NULL;
}

/* Whether heap_fetch.c can read the table, which does without the table access method. */
static bool
is_heap(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		heap = rel->rd_tableam == GetHeapamTableAmRoutine();

	table_close(rel, NoLock);

	return heap;
}

static const char *
why_not_index_scan(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Append:
		case T_MergeAppend:
			return "the table is partitioned or has children";
		case T_ForeignScan:
			return "the table is foreign";
		case T_CustomScan:
			return "the table is scanned by another extension";
		case T_Sort:
		case T_IncrementalSort:
			return "no index has the order (filiere, created_at DESC NULLS LAST, id DESC)";
		default:
			return "the plan does not read one index in order";
	}
}

/*
 * Whether an index begins with the columns filière, created_at and id.  That its
 * directions fit is what the planner says by not sorting.
 */
static bool
index_has_order(Oid relid, const ReferencePlan *reference)
{
	Relation	index = index_open(reference->indexid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	bool		fits = form->indrelid == relid && index->rd_rel->relam == BTREE_AM_OID &&
		form->indnkeyatts >= INDEX_ID &&
		form->indkey.values[INDEX_FILIERE - 1] == reference->filiere_attno &&
		form->indkey.values[INDEX_CREATED_AT - 1] == reference->created_at_attno &&
		form->indkey.values[INDEX_ID - 1] == reference->id_attno;

	index_close(index, NoLock);

	return fits;
}

/*
 * The function that compares an index entry's filière with the argument.
 *
 * The index AM calls it for every entry of a page.  For strings whose
 * collation takes only equal bytes as equal, equal_text() does what texteq()
 * does without looking up the collation for each.
 */
static void
set_equality(const ChapterFeed *feed, ReferencePlan *reference, Oid opno)
{
	Relation	index = index_open(reference->indexid, AccessShareLock);

	fmgr_info_cxt(get_opcode(opno), &reference->equality, feed->base.cxt);
	reference->equality_type = catalogue_feed_key_type(index, INDEX_FILIERE, feed->filiere.oid);
	if (reference->equality.fn_oid == F_TEXTEQ &&
		get_collation_isdeterministic(index->rd_indcollation[INDEX_FILIERE - 1]))
		reference->equality.fn_addr = equal_text;
	index_close(index, NoLock);
}

/* texteq() under a deterministic collation; of toasted values an index has few. */
static Datum
equal_text(PG_FUNCTION_ARGS)
{
	const struct varlena *a = (const struct varlena *) PG_GETARG_POINTER(0);
	const struct varlena *b = (const struct varlena *) PG_GETARG_POINTER(1);

	if (VARATT_IS_EXTERNAL(a) || VARATT_IS_COMPRESSED(a) || VARATT_IS_EXTERNAL(b) ||
		VARATT_IS_COMPRESSED(b))
		return texteq(fcinfo);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
				   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0);
}

/* A unique index on the id alone, by which a page's position can be looked up. */
static Oid
find_id_index(Oid relid, const ReferencePlan *reference)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (identifies_row(rel, index, reference->id_attno))
			found = RelationGetRelid(index);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);

	return found;
}

/*
 * Whether id = value by this index is id = value in SQL: at any moment, of all
 * rows, and by the equality and the collation of the column.  A predicate is not
 * read: to do that would evaluate functions that it calls.
 */
static bool
identifies_row(Relation rel, Relation index, AttrNumber attno)
{
	Form_pg_index form = index->rd_index;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Oid			type = index->rd_opcintype[0];

	return form->indisunique && form->indimmediate && form->indisvalid && form->indisready &&
		!form->indcheckxmin && form->indnkeyatts == 1 && form->indkey.values[0] == attno &&
		index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		index->rd_indcollation[0] == att->attcollation &&
		get_opfamily_member(index->rd_opfamily[0], type, type, BTEqualStrategyNumber) ==
		lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_EQ_OPR)->eq_opr;
}
