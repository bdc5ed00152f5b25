/*
 * recent_chapters.c
 *		The newest chapters of a filière, or of several: a tuple source.
 *
 * Order: created_at DESC NULLS LAST, id DESC.  It is total, so that pages
 * neither repeat nor skip a chapter; undated chapters come last.
 *
 * Ask the planner, don't guess.  For every function there is one saved plan
 * of the reference query, which anyone would write by hand.  Where its
 * generic plan is Limit over an index scan of the bound table, with no filter
 * and an index on (filière, created_at, id), the source reads that index
 * itself, without the executor: one descent a page.  Any other plan means
 * that the planner knows something which we don't (row-level security,
 * partitions, inheritance, a foreign or distributed table, a missing index);
 * then the saved plan runs through the executor into a tuplestore.
 *
 * A page is read in at most two legs, each one index range.  What follows a
 * dated chapter is first a row comparison, which no undated chapter meets,
 * and then the undated ones; what follows an undated chapter is a range of
 * those.
 *
 * Several filières are one ordered scan each, merged through a binary heap:
 * n + k index entries are read for n rows of k filières, where a single query
 * with = ANY reads every chapter of all of them.
 *
 * Lifetime: a ChapterFeed and its plans live as long as the backend, or until
 * the schema is attached anew.  A source lives in a context of its own, below
 * the caller's; buffer pins and index scans belong to the resource owner, so
 * that an ERROR leaves nothing behind.  Locks are those of the reference
 * plan, held to the end of the transaction like a query's.
 */
#include "tuple_source.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Arguments of recent_chapters(), and parameters of the saved plans. */
enum
{
	ARG_FILIERE,
	ARG_N,
	ARG_BEFORE_ID,
	ARG_BEFORE_AT,
	ARG_COUNT
};

/* A range of the order, as one condition. */
typedef enum ChapterLeg
{
	LEG_NEWEST,					/* from the start */
	LEG_BEFORE,					/* created_at < before_at */
	LEG_AFTER,					/* (created_at, id) < (before_at, before_id) */
	LEG_UNDATED,				/* created_at IS NULL */
	LEG_UNDATED_AFTER,			/* created_at IS NULL AND id < before_id */
	LEG_END
} ChapterLeg;

/* Index columns that a leg's scan keys name. */
#define INDEX_FILIERE 1
#define INDEX_CREATED_AT 2
#define INDEX_ID 3

/* What the reference query's generic plan says. */
typedef struct ReferencePlan
{
	int			generation;		/* of the cached plan that this was read from */
	bool		depends_on_role;
	double		rows;			/* of a whole filière */
	Cost		startup_cost;
	Cost		total_cost;
	AttrNumber	filiere_attno;
	AttrNumber	created_at_attno;
	AttrNumber	id_attno;
	const char *not_streamed;	/* why the index cannot be read here; NULL if it can */
	Oid			indexid;
	ScanDirection direction;
	FmgrInfo	equality;		/* filière column = argument */
} ReferencePlan;

/* What a function reads, and the plans saved for it. */
typedef struct ChapterFeed
{
	Oid			funcid;			/* hash key (must be first) */
	uint64		serial;			/* of the attachment that this was made from */
	Oid			relid;
	bool		several;		/* takes an array of filières */
	Oid			filiere_type;	/* of the column */
	Oid			id_type;
	Oid			created_at_type;
	Oid			argument_type;	/* filiere_type, or its array type */
	SPIPlanPtr	reference;		/* one filière from the start */
	ReferencePlan plan;			/* what it looked like last */
	SPIPlanPtr	legs[LEG_END];	/* what runs where the source cannot stream */
	SPIPlanPtr	position;		/* created_at of an id */
} ChapterFeed;

/* One ordered index scan: one filière. */
typedef struct ChapterScan
{
	Datum		filiere;
	ChapterLeg	leg;
	IndexScanDesc scan;			/* NULL between legs, and at the end */
	TupleTableSlot *slot;		/* current row, where several are merged */
	bool		undated;
	Datum		created_at;		/* of the current row, in the slot's memory */
	Datum		id;
} ChapterScan;

typedef struct ChapterSource
{
	TupleSource base;			/* (must be first) */
	const Attachment *attachment;
	ChapterFeed *feed;
	Snapshot	snapshot;
	MemoryContext cxt;			/* holds the source */
	MemoryContext page_cxt;		/* what one open() makes; reset by close() */

	Relation	rel;
	ReferencePlan plan;			/* as it was at begin */

	/* Streaming: index is NULL where the executor has to do it. */
	Relation	index;
	SortSupportData order[2];	/* created_at, id: for merging */

	/* The page. */
	NullableDatum before_at;
	NullableDatum before_id;
	ChapterLeg	first_leg;
	int64		remaining;
	ChapterScan *scans;
	int			nscans;
	binaryheap *heap;			/* of scans that have a current row; NULL for one */
	ChapterScan *last_returned; /* has to be moved on before the next row */

	/* Rows from the executor. */
	Tuplestorestate *stored;
	TupleTableSlot *stored_slot;

	/* For EXPLAIN ANALYZE. */
	uint64		rows_read;
	int			max_scans;
} ChapterSource;

static HTAB *feed_hash = NULL;

PG_FUNCTION_INFO_V1(catalogue_recent_chapters);
PG_FUNCTION_INFO_V1(catalogue_recent_chapters_support);

/* the feed and its plans */
static ChapterFeed *feed_of_function(Oid funcid);
static void forget_plans(ChapterFeed *feed);
static Oid	column_type(Oid relid, const char *column);
static SPIPlanPtr saved_plan(SPIPlanPtr *plan, ChapterFeed *feed, const char *query);
static SPIPlanPtr reference_plan(ChapterFeed *feed, const Attachment *attachment);
static const ReferencePlan *current_reference_plan(ChapterFeed *feed,
												   const Attachment *attachment);
static void read_reference_plan(ChapterFeed *feed, const Attachment *attachment, CachedPlan *cplan);
static SPIPlanPtr leg_plan(ChapterFeed *feed, const Attachment *attachment, ChapterLeg leg);
static SPIPlanPtr position_plan(ChapterFeed *feed, const Attachment *attachment);
static char *leg_query(const ChapterFeed *feed, const Attachment *attachment, bool several,
					   ChapterLeg leg);
static char *relation_name(Oid relid);
static char *operator_name(Oid opno);
static const char *find_streamable_index(const ChapterFeed *feed, PlannedStmt *stmt,
										 ReferencePlan *reference);
static const char *why_not_index_scan(const Plan *plan);
static bool index_has_order(Oid relid, const ReferencePlan *reference);

/* the tuple source */
static void estimate_chapters(Oid funcid, List *args, TupleSourceEstimate *estimate);
static double estimated_length(const Node *array);
static double requested_rows(List *args);
static TupleSource *begin_chapters(Oid funcid, Snapshot snapshot, const Bitmapset *columns);
static void check_select_privilege(ChapterSource *source, const Bitmapset *columns);
static void open_chapters(TupleSource *base, const NullableDatum *args, Tuplestorestate *store);
static void find_position(ChapterSource *source, const NullableDatum *before_id,
						  const NullableDatum *before_at);
static void look_up_position(ChapterSource *source);
static bool next_chapter(TupleSource *base, TupleTableSlot *slot);
static void close_chapters(TupleSource *base);
static void end_chapters(TupleSource *base);
static void explain_chapters(Oid funcid, TupleSource *base, List *args, ExplainState *es);

/* streaming from the index */
static void make_scans(ChapterSource *source, const NullableDatum *filiere);
static int	sort_and_unique(ChapterSource *source, Datum *filieres, int nfilieres);
static int	compare_filieres(const void *a, const void *b, void *index);
static bool start_leg(ChapterSource *source, ChapterScan *scan);
static void init_less_key(ScanKey key, Relation index, AttrNumber attno, Datum argument);
static void init_row_member(ScanKey key, Relation index, AttrNumber attno, int flags,
							Datum argument);
static ChapterLeg next_leg(const ChapterSource *source, ChapterLeg leg);
static bool advance_scan(ChapterSource *source, ChapterScan *scan, TupleTableSlot *slot);
static void start_merge(ChapterSource *source);
static bool next_merged(ChapterSource *source, TupleTableSlot *slot);
static bool advance_merged(ChapterSource *source, ChapterScan *scan);
static int	compare_scans(Datum a, Datum b, void *arg);

/* running saved plans */
static void run_legs(ChapterSource *source, const NullableDatum *filiere, Tuplestorestate *store);
static ParamListInfo plan_params(const ChapterFeed *feed, const NullableDatum *filiere, int64 n,
								 const NullableDatum *before_at, const NullableDatum *before_id);

const TupleSourceMethods catalogue_chapter_source = {
	.function = catalogue_recent_chapters,
	.estimate = estimate_chapters,
	.begin = begin_chapters,
	.open = open_chapters,
	.next = next_chapter,
	.close = close_chapters,
	.end = end_chapters,
	.explain = explain_chapters,
};

/*
 * recent_chapters(filiere | filieres[], n integer, before_id, before_at)
 *		RETURNS SETOF chapters
 *
 * The n newest chapters of a filière, or over several of them, after the
 * chapter with the id before_id; with before_at, after that position, which
 * then need not exist any more.  NULL or unknown filières have no chapters.
 *
 * Errors: n NULL 22004, negative 22023; no chapter before_id, and no
 * before_at, P0002; no right to read 42501; schema not attached 55000.
 */
Datum
catalogue_recent_chapters(PG_FUNCTION_ARGS)
{
	return catalogue_materialize(fcinfo, &catalogue_chapter_source);
}

/*
 * Planner support: the number of rows.  It is also what loads the library in
 * time for the planner hook, so it must be there even if it knew nothing.
 */
Datum
catalogue_recent_chapters_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	if (IsA(request, SupportRequestRows))
	{
		SupportRequestRows *rows = (SupportRequestRows *) request;

		if (IsA(rows->node, FuncExpr))
		{
			TupleSourceEstimate estimate = {0};

			estimate_chapters(rows->funcid, ((FuncExpr *) rows->node)->args, &estimate);
			rows->rows = estimate.rows;
			answer = request;
		}
	}

	PG_RETURN_POINTER(answer);
}

/*
 * The feed of a function, made anew after its schema was attached anew.
 *
 * The types come from the table, not from the function's declaration: a
 * column whose type was changed since must not be compared with a value of
 * the old type.
 */
static ChapterFeed *
feed_of_function(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid);
	ChapterFeed *feed;
	bool		found;
	Oid		   *argtypes;
	int			nargs;
	Oid			filiere_type;
	Oid			id_type;
	Oid			created_at_type;

	if (feed_hash == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(ChapterFeed)};

		feed_hash = hash_create("catalogue chapter feeds", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	feed = hash_search(feed_hash, &funcid, HASH_FIND, NULL);
	if (feed != NULL && feed->serial == attachment->serial)
		return feed;

	if (!OidIsValid(attachment->chapters))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a table of chapters",
					   attachment->schema_name),
				errhint("Run catalogue.attach() with a mapping that names it."));

	filiere_type = column_type(attachment->chapters, attachment->chapters_filiere);
	id_type = column_type(attachment->chapters, attachment->chapters_id);
	created_at_type = column_type(attachment->chapters, attachment->chapters_created_at);
	get_func_signature(funcid, &argtypes, &nargs);
	if (nargs != ARG_COUNT ||
		(argtypes[ARG_FILIERE] != filiere_type &&
		 argtypes[ARG_FILIERE] != get_array_type(filiere_type)) ||
		argtypes[ARG_BEFORE_ID] != id_type || argtypes[ARG_BEFORE_AT] != created_at_type)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("function %s does not fit the columns of table \"%s\" any more",
					   format_procedure(funcid), get_rel_name(attachment->chapters)),
				errhint("Run SELECT * FROM catalogue.attach(%s) again.",
						quote_literal_cstr(attachment->schema_name)));

	feed = hash_search(feed_hash, &funcid, HASH_ENTER, &found);
	if (found)
		forget_plans(feed);
	memset((char *) feed + sizeof(Oid), 0, sizeof(ChapterFeed) - sizeof(Oid));
	feed->relid = attachment->chapters;
	feed->filiere_type = filiere_type;
	feed->id_type = id_type;
	feed->created_at_type = created_at_type;
	feed->argument_type = argtypes[ARG_FILIERE];
	feed->several = argtypes[ARG_FILIERE] != filiere_type;
	feed->serial = attachment->serial;

	return feed;
}

/* A plan that is running keeps its own reference. */
static void
forget_plans(ChapterFeed *feed)
{
	if (feed->reference != NULL)
		SPI_freeplan(feed->reference);
	if (feed->position != NULL)
		SPI_freeplan(feed->position);
	for (int leg = 0; leg < LEG_END; leg++)
	{
		if (feed->legs[leg] != NULL)
			SPI_freeplan(feed->legs[leg]);
	}
}

static Oid
column_type(Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of the table of chapters does not exist", column),
				errhint("Run catalogue.attach() with a mapping that names the column."));

	return get_atttype(relid, attnum);
}

/*
 * Prepares a query once and keeps its plan.  Its parameters are the page's:
 * $1 filière or filières, $2 n, $3 before_at, $4 before_id.
 */
static SPIPlanPtr
saved_plan(SPIPlanPtr *plan, ChapterFeed *feed, const char *query)
{
	Oid			argtypes[] = {feed->argument_type, INT8OID, feed->created_at_type, feed->id_type};
	SPIPlanPtr	prepared;

	if (plan == &feed->reference)
		argtypes[0] = feed->filiere_type;

	SPI_connect();
	prepared = SPI_prepare(query, lengthof(argtypes), argtypes);
	if (prepared == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(prepared);
	SPI_finish();

	*plan = prepared;
	return prepared;
}

static SPIPlanPtr
reference_plan(ChapterFeed *feed, const Attachment *attachment)
{
	if (feed->reference != NULL)
		return feed->reference;
	return saved_plan(&feed->reference, feed, leg_query(feed, attachment, false, LEG_NEWEST));
}

/*
 * What the reference query's generic plan says, valid now and with its locks
 * taken.  The plan is looked at again only after the server has made it anew.
 */
static const ReferencePlan *
current_reference_plan(ChapterFeed *feed, const Attachment *attachment)
{
	List	   *sources = SPI_plan_get_plan_sources(reference_plan(feed, attachment));
	CachedPlan *cplan = GetCachedPlan(linitial(sources), NULL, CurrentResourceOwner, NULL);

	if (feed->plan.generation != cplan->generation)
		read_reference_plan(feed, attachment, cplan);
	ReleaseCachedPlan(cplan, CurrentResourceOwner);

	return &feed->plan;
}

static void
read_reference_plan(ChapterFeed *feed, const Attachment *attachment, CachedPlan *cplan)
{
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);
	Plan	   *plan = stmt->planTree;
	ReferencePlan *reference = &feed->plan;

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	reference->generation = 0;	/* until all is read */
	reference->depends_on_role = stmt->dependsOnRole;
	reference->rows = plan->plan_rows;
	reference->startup_cost = plan->startup_cost;
	reference->total_cost = plan->total_cost;
	reference->filiere_attno = get_attnum(feed->relid, attachment->chapters_filiere);
	reference->created_at_attno = get_attnum(feed->relid, attachment->chapters_created_at);
	reference->id_attno = get_attnum(feed->relid, attachment->chapters_id);
	reference->not_streamed = find_streamable_index(feed, stmt, reference);
	reference->generation = cplan->generation;
}

static SPIPlanPtr
leg_plan(ChapterFeed *feed, const Attachment *attachment, ChapterLeg leg)
{
	if (feed->legs[leg] != NULL)
		return feed->legs[leg];
	return saved_plan(&feed->legs[leg], feed, leg_query(feed, attachment, feed->several, leg));
}

static SPIPlanPtr
position_plan(ChapterFeed *feed, const Attachment *attachment)
{
	if (feed->position != NULL)
		return feed->position;
	return saved_plan(&feed->position, feed,
					  psprintf("SELECT %s FROM %s WHERE %s %s $4",
							   quote_identifier(attachment->chapters_created_at),
							   relation_name(feed->relid),
							   quote_identifier(attachment->chapters_id),
							   operator_name(lookup_type_cache(feed->id_type,
															   TYPECACHE_EQ_OPR)->eq_opr)));
}

/* The best SQL for one leg, as anyone would write it by hand. */
static char *
leg_query(const ChapterFeed *feed, const Attachment *attachment, bool several, ChapterLeg leg)
{
	TypeCacheEntry *filiere = lookup_type_cache(feed->filiere_type, TYPECACHE_EQ_OPR);
	TypeCacheEntry *id = lookup_type_cache(feed->id_type, TYPECACHE_LT_OPR);
	TypeCacheEntry *created_at = lookup_type_cache(feed->created_at_type,
												   TYPECACHE_LT_OPR | TYPECACHE_EQ_OPR);
	const char *id_column = quote_identifier(attachment->chapters_id);
	const char *created_at_column = quote_identifier(attachment->chapters_created_at);
	const char *id_less = operator_name(id->lt_opr);
	const char *created_at_less = operator_name(created_at->lt_opr);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, several ? "SELECT * FROM %s WHERE %s %s ANY ($1)"
					 : "SELECT * FROM %s WHERE %s %s $1",
					 relation_name(feed->relid),
					 quote_identifier(attachment->chapters_filiere),
					 operator_name(filiere->eq_opr));
	switch (leg)
	{
		case LEG_NEWEST:
			break;
		case LEG_BEFORE:
			appendStringInfo(&buf, " AND %s %s $3", created_at_column, created_at_less);
			break;
		case LEG_AFTER:
			/* A row comparison has one operator's name for both columns. */
			if (strcmp(id_less, created_at_less) == 0)
				appendStringInfo(&buf, " AND ROW(%s, %s) %s ROW($3, $4)",
								 created_at_column, id_column, id_less);
			else
				appendStringInfo(&buf, " AND (%s %s $3 OR %s %s $3 AND %s %s $4)",
								 created_at_column, created_at_less,
								 created_at_column, operator_name(created_at->eq_opr),
								 id_column, id_less);
			break;
		case LEG_UNDATED:
			appendStringInfo(&buf, " AND %s IS NULL", created_at_column);
			break;
		case LEG_UNDATED_AFTER:
			appendStringInfo(&buf, " AND %s IS NULL AND %s %s $4", created_at_column,
							 id_column, id_less);
			break;
		case LEG_END:
			Assert(false);
	}
	appendStringInfo(&buf, " ORDER BY %s DESC NULLS LAST, %s DESC LIMIT $2",
					 created_at_column, id_column);

	return buf.data;
}

static char *
relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("the attached table of chapters does not exist any more"),
				errhint("Run catalogue.attach() with a mapping that names it."));

	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

static char *
operator_name(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);

	return name;
}

/*
 * Looks into the reference query's plan for an index that the source can read
 * by itself.  Returns NULL and notes the index if there is one, else the
 * reason for EXPLAIN.
 */
static const char *
find_streamable_index(const ChapterFeed *feed, PlannedStmt *stmt, ReferencePlan *reference)
{
	Plan	   *plan = stmt->planTree;
	List	   *indexqual;

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

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

	if (plan->qual != NIL)
		return stmt->dependsOnRole ? "row-level security filters the rows"
			: "the plan filters the rows";
	if (!index_has_order(feed->relid, reference))
		return "the plan's index is not on (filiere, created_at, id)";
	if (list_length(indexqual) != 1 || !IsA(linitial(indexqual), OpExpr))
		return "the plan filters the rows";

	fmgr_info_cxt(get_opcode(linitial_node(OpExpr, indexqual)->opno), &reference->equality,
				  CacheMemoryContext);

	return NULL;
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
 * Whether an index begins with plain filière, created_at and id.  That its
 * directions fit is what the planner said by not sorting.
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
 * Estimates a call from the reference plan: a page is that part of the
 * filière's index range which n asks for.
 */
static void
estimate_chapters(Oid funcid, List *args, TupleSourceEstimate *estimate)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid);
	ChapterFeed *feed = feed_of_function(funcid);
	const ReferencePlan *plan = current_reference_plan(feed, attachment);
	double		nfilieres = feed->several ? estimated_length(linitial(args)) : 1;

	estimate->rows = clamp_row_est(Min(requested_rows(args), plan->rows * nfilieres));
	estimate->startup_cost = plan->startup_cost * nfilieres;
	estimate->total_cost = estimate->startup_cost +
		(plan->total_cost - plan->startup_cost) * estimate->rows / Max(plan->rows, 1);
	estimate->relation_oids = list_make2_oid(feed->relid, catalogue_config_relid());
	estimate->depends_on_role = plan->depends_on_role;
}

/* How many filières an array expression holds; 10 is the planner's own guess. */
static double
estimated_length(const Node *array)
{
	if (IsA(array, ArrayExpr))
		return list_length(((const ArrayExpr *) array)->elements);
	if (IsA(array, Const))
	{
		const Const *constant = (const Const *) array;
		ArrayType  *value;

		if (constant->constisnull)
			return 0;
		value = DatumGetArrayTypeP(constant->constvalue);
		return ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value));
	}

	return 10;
}

/* The call's n, as far as the planner can know it. */
static double
requested_rows(List *args)
{
	Node	   *n = list_length(args) > ARG_N ? list_nth(args, ARG_N) : NULL;

	if (n != NULL && IsA(n, Const) && !((Const *) n)->constisnull)
		return Max(DatumGetInt32(((Const *) n)->constvalue), 0);

	return 100;					/* the default of n */
}

/*
 * Locks the table as the reference plan does, checks the caller's rights, and
 * opens the index if there is one to stream from.
 */
static TupleSource *
begin_chapters(Oid funcid, Snapshot snapshot, const Bitmapset *columns)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid);
	ChapterFeed *feed = feed_of_function(funcid);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "catalogue chapter source",
											  ALLOCSET_SMALL_SIZES);
	ChapterSource *source = MemoryContextAllocZero(cxt, sizeof(ChapterSource));

	source->base.methods = &catalogue_chapter_source;
	source->attachment = attachment;
	source->feed = feed;
	source->snapshot = snapshot;
	source->cxt = cxt;
	source->page_cxt = AllocSetContextCreate(cxt, "catalogue chapter page", ALLOCSET_SMALL_SIZES);

	source->plan = *current_reference_plan(feed, attachment);
	source->rel = table_open(feed->relid, AccessShareLock);
	source->base.tupdesc = RelationGetDescr(source->rel);

	if (source->plan.not_streamed == NULL)
	{
		source->index = index_open(source->plan.indexid, AccessShareLock);
		source->base.slot_ops = table_slot_callbacks(source->rel);
		check_select_privilege(source, columns);
	}
	else
		source->base.slot_ops = &TTSOpsMinimalTuple;

	return &source->base;
}

/*
 * What SELECT would check: the table, or each column that is looked at.
 * Where the executor runs the saved plan, it checks for itself.
 */
static void
check_select_privilege(ChapterSource *source, const Bitmapset *columns)
{
	Oid			relid = source->feed->relid;
	int			attnum = -1;
	bool		granted;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return;

	if (bms_is_member(0, columns))
		granted = pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT,
											ACLMASK_ALL) == ACLCHECK_OK;
	else
	{
		granted = pg_attribute_aclcheck(relid, source->plan.filiere_attno, GetUserId(),
										ACL_SELECT) == ACLCHECK_OK &&
			pg_attribute_aclcheck(relid, source->plan.created_at_attno, GetUserId(),
								  ACL_SELECT) == ACLCHECK_OK &&
			pg_attribute_aclcheck(relid, source->plan.id_attno, GetUserId(),
								  ACL_SELECT) == ACLCHECK_OK;
		while (granted && (attnum = bms_next_member(columns, attnum)) >= 0)
			granted = pg_attribute_aclcheck(relid, attnum, GetUserId(),
											ACL_SELECT) == ACLCHECK_OK;
	}
	if (!granted)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(source->rel->rd_rel->relkind),
					   RelationGetRelationName(source->rel));
}

static void
open_chapters(TupleSource *base, const NullableDatum *args, Tuplestorestate *store)
{
	ChapterSource *source = (ChapterSource *) base;
	MemoryContext oldcxt = MemoryContextSwitchTo(source->page_cxt);

	if (args[ARG_N].isnull)
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("number of chapters must not be null"));
	if (DatumGetInt32(args[ARG_N].value) < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("number of chapters must not be negative"),
				errdetail("The call asked for %d chapters.", DatumGetInt32(args[ARG_N].value)));

	source->remaining = args[ARG_FILIERE].isnull ? 0 : DatumGetInt32(args[ARG_N].value);
	find_position(source, &args[ARG_BEFORE_ID], &args[ARG_BEFORE_AT]);

	if (source->remaining > 0)
	{
		if (source->index != NULL)
			make_scans(source, &args[ARG_FILIERE]);
		else if (store != NULL)
			run_legs(source, &args[ARG_FILIERE], store);
		else
		{
			source->stored = tuplestore_begin_heap(false, false, work_mem);
			run_legs(source, &args[ARG_FILIERE], source->stored);
		}
	}

	MemoryContextSwitchTo(oldcxt);
}

/*
 * Turns the cursor into a position in the order, and that into a first leg.
 *
 * A cursor that is an id alone has its created_at looked up here, at full
 * precision: a client that carried the timestamp through milliseconds would
 * repeat or lose rows.
 */
static void
find_position(ChapterSource *source, const NullableDatum *before_id,
			  const NullableDatum *before_at)
{
	ChapterFeed *feed = source->feed;

	source->first_leg = LEG_NEWEST;
	source->before_id.isnull = true;
	source->before_at.isnull = true;
	if (before_id->isnull && before_at->isnull)
		return;

	if (!before_id->isnull)
	{
		source->before_id.value = datumCopy(before_id->value, get_typbyval(feed->id_type),
											get_typlen(feed->id_type));
		source->before_id.isnull = false;
	}
	if (!before_at->isnull)
	{
		source->before_at.value = datumCopy(before_at->value, get_typbyval(feed->created_at_type),
											get_typlen(feed->created_at_type));
		source->before_at.isnull = false;
		source->first_leg = source->before_id.isnull ? LEG_BEFORE : LEG_AFTER;
		return;
	}

	look_up_position(source);
	source->first_leg = source->before_at.isnull ? LEG_UNDATED_AFTER : LEG_AFTER;
}

/* Sets before_at to the created_at of the chapter before_id. */
static void
look_up_position(ChapterSource *source)
{
	ChapterFeed *feed = source->feed;
	MemoryContext page_cxt = CurrentMemoryContext;
	NullableDatum none = {.isnull = true};
	SPIExecuteOptions options = {
		.params = plan_params(feed, &none, 1, &none, &source->before_id),
		.read_only = true,
		.tcount = 1,
	};
	MemoryContext spi_cxt;
	Datum		created_at;
	int			ret;

	SPI_connect();
	ret = SPI_execute_plan_extended(position_plan(feed, source->attachment), &options);
	if (ret != SPI_OK_SELECT)
		elog(ERROR, "looking up a chapter failed: %s", SPI_result_code_string(ret));
	if (SPI_processed == 0)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(feed->id_type, &output, &is_varlena);
		ereport(ERROR,
				errcode(ERRCODE_NO_DATA_FOUND),
				errmsg("chapter \"%s\" does not exist",
					   OidOutputFunctionCall(output, source->before_id.value)),
				errdetail("It was given as the last chapter of the page before."),
				errhint("Give its created_at as before_at too: then a page can follow a chapter that has been deleted."));
	}
	created_at = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							   &source->before_at.isnull);
	if (!source->before_at.isnull)
	{
		spi_cxt = MemoryContextSwitchTo(page_cxt);
		source->before_at.value = datumCopy(created_at, get_typbyval(feed->created_at_type),
											get_typlen(feed->created_at_type));
		MemoryContextSwitchTo(spi_cxt);
	}
	SPI_finish();
}

static bool
next_chapter(TupleSource *base, TupleTableSlot *slot)
{
	ChapterSource *source = (ChapterSource *) base;

	if (source->remaining <= 0)
		return false;

	if (source->index == NULL)
		return source->stored != NULL &&
			tuplestore_gettupleslot(source->stored, true, false, slot);

	if (source->heap != NULL)
	{
		if (!next_merged(source, slot))
			return false;
	}
	else if (!advance_scan(source, source->scans, slot))
		return false;
	source->remaining--;

	return true;
}

static void
close_chapters(TupleSource *base)
{
	ChapterSource *source = (ChapterSource *) base;

	for (int i = 0; i < source->nscans; i++)
	{
		if (source->scans[i].slot != NULL)
			ExecDropSingleTupleTableSlot(source->scans[i].slot);
		if (source->scans[i].scan != NULL)
			index_endscan(source->scans[i].scan);
	}
	source->nscans = 0;
	source->heap = NULL;
	source->last_returned = NULL;
	if (source->stored != NULL)
		tuplestore_end(source->stored);
	source->stored = NULL;
	MemoryContextReset(source->page_cxt);
}

static void
end_chapters(TupleSource *base)
{
	ChapterSource *source = (ChapterSource *) base;

	if (source->index != NULL)
		index_close(source->index, NoLock);
	table_close(source->rel, NoLock);
	MemoryContextDelete(source->cxt);
}

static void
explain_chapters(Oid funcid, TupleSource *base, List *args, ExplainState *es)
{
	ChapterSource *source = (ChapterSource *) base;
	const Attachment *attachment = catalogue_attachment_of_function(funcid);
	ChapterFeed *feed = feed_of_function(funcid);
	const ReferencePlan *plan = current_reference_plan(feed, attachment);
	const char *before_id = list_nth(args, ARG_BEFORE_ID);
	const char *before_at = list_nth(args, ARG_BEFORE_AT);

	ExplainPropertyText("Function", get_func_name(funcid), es);
	if (plan->not_streamed == NULL)
	{
		ExplainPropertyText("Index", get_rel_name(plan->indexid), es);
		if (ScanDirectionIsBackward(plan->direction))
			ExplainPropertyText("Scan Direction", "Backward", es);
		ExplainPropertyText("Index Cond",
							psprintf(feed->several ? "(%s = ANY (%s))" : "(%s = %s)",
									 quote_identifier(attachment->chapters_filiere),
									 (char *) list_nth(args, ARG_FILIERE)), es);
	}
	else
		ExplainPropertyText("Not Streamed", plan->not_streamed, es);
	if (strncmp(before_id, "NULL", 4) != 0)
		ExplainPropertyText("Page After", before_id, es);
	if (strncmp(before_at, "NULL", 4) != 0)
		ExplainPropertyText("Page Before", before_at, es);

	if (source != NULL && es->analyze && source->index != NULL)
	{
		if (feed->several)
			ExplainPropertyInteger("Merged Scans", NULL, source->max_scans, es);
		ExplainPropertyUInteger("Rows Read", NULL, source->rows_read, es);
	}
}

/*
 * Makes one scan for each filière that was asked for; NULLs and duplicates in
 * an array are left out.  Sorting finds the duplicates, and lets the scans
 * descend the index in its own order.
 */
static void
make_scans(ChapterSource *source, const NullableDatum *filiere)
{
	ChapterFeed *feed = source->feed;
	bool		byval = get_typbyval(feed->filiere_type);
	int16		len = get_typlen(feed->filiere_type);
	Datum	   *filieres;
	int			nfilieres = 0;

	if (feed->several)
	{
		bool	   *isnull;
		int			nelements;

		deconstruct_array(DatumGetArrayTypePCopy(filiere->value), feed->filiere_type, len, byval,
						  lookup_type_cache(feed->filiere_type, 0)->typalign,
						  &filieres, &isnull, &nelements);
		for (int i = 0; i < nelements; i++)
		{
			if (!isnull[i])
				filieres[nfilieres++] = filieres[i];
		}
		nfilieres = sort_and_unique(source, filieres, nfilieres);
	}
	else
	{
		filieres = palloc(sizeof(Datum));
		filieres[nfilieres++] = datumCopy(filiere->value, byval, len);
	}

	if (nfilieres == 0)
	{
		source->remaining = 0;
		return;
	}

	source->scans = palloc0(sizeof(ChapterScan) * nfilieres);
	source->nscans = nfilieres;
	source->max_scans = Max(source->max_scans, nfilieres);
	for (int i = 0; i < nfilieres; i++)
	{
		source->scans[i].filiere = filieres[i];
		source->scans[i].leg = source->first_leg;
	}
	if (nfilieres > 1)
		start_merge(source);
}

static int
sort_and_unique(ChapterSource *source, Datum *filieres, int nfilieres)
{
	int			nunique = 0;

	if (nfilieres < 2)
		return nfilieres;

	qsort_arg(filieres, nfilieres, sizeof(Datum), compare_filieres, source->index);
	for (int i = 1; i < nfilieres; i++)
	{
		if (compare_filieres(&filieres[nunique], &filieres[i], source->index) != 0)
			filieres[++nunique] = filieres[i];
	}

	return nunique + 1;
}

static int
compare_filieres(const void *a, const void *b, void *index)
{
	FmgrInfo   *order = index_getprocinfo((Relation) index, INDEX_FILIERE, BTORDER_PROC);

	return DatumGetInt32(FunctionCall2Coll(order,
										   ((Relation) index)->rd_indcollation[INDEX_FILIERE - 1],
										   *(const Datum *) a, *(const Datum *) b));
}

/*
 * Begins the index scan of a scan's leg; false when there is no leg left.
 *
 * Strategies are those of the order by type: the index AM itself turns them
 * around for a descending column.
 */
static bool
start_leg(ChapterSource *source, ChapterScan *scan)
{
	Relation	index = source->index;
	ScanKeyData keys[INDEX_ID];
	ScanKey		row;
	int			nkeys = 0;

	if (scan->leg == LEG_END)
		return false;

	ScanKeyEntryInitializeWithInfo(&keys[nkeys++], 0, INDEX_FILIERE, BTEqualStrategyNumber,
								   InvalidOid, index->rd_indcollation[INDEX_FILIERE - 1],
								   &source->plan.equality, scan->filiere);
	switch (scan->leg)
	{
		case LEG_NEWEST:
			break;
		case LEG_BEFORE:
			init_less_key(&keys[nkeys++], index, INDEX_CREATED_AT, source->before_at.value);
			break;
		case LEG_AFTER:
			/* The members must live as long as the scan. */
			row = MemoryContextAlloc(source->page_cxt, sizeof(ScanKeyData) * 2);
			init_row_member(&row[0], index, INDEX_CREATED_AT, 0, source->before_at.value);
			init_row_member(&row[1], index, INDEX_ID, SK_ROW_END, source->before_id.value);
			MemSet(&keys[nkeys], 0, sizeof(ScanKeyData));
			keys[nkeys].sk_flags = SK_ROW_HEADER;
			keys[nkeys].sk_attno = INDEX_CREATED_AT;
			keys[nkeys].sk_strategy = BTLessStrategyNumber;
			keys[nkeys].sk_argument = PointerGetDatum(row);
			nkeys++;
			break;
		case LEG_UNDATED_AFTER:
		case LEG_UNDATED:
			ScanKeyEntryInitialize(&keys[nkeys++], SK_ISNULL | SK_SEARCHNULL, INDEX_CREATED_AT,
								   InvalidStrategy, InvalidOid, InvalidOid, InvalidOid, (Datum) 0);
			if (scan->leg == LEG_UNDATED_AFTER)
				init_less_key(&keys[nkeys++], index, INDEX_ID, source->before_id.value);
			break;
		case LEG_END:
			Assert(false);
	}

	scan->scan = index_beginscan(source->rel, index, source->snapshot, nkeys, 0);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);

	return true;
}

static void
init_less_key(ScanKey key, Relation index, AttrNumber attno, Datum argument)
{
	Oid			type = index->rd_opcintype[attno - 1];
	Oid			less = get_opfamily_member(index->rd_opfamily[attno - 1], type, type,
										   BTLessStrategyNumber);

	ScanKeyEntryInitialize(key, 0, attno, BTLessStrategyNumber, InvalidOid,
						   index->rd_indcollation[attno - 1], get_opcode(less), argument);
}

/* A column of a row comparison: compared by the ordering support function. */
static void
init_row_member(ScanKey key, Relation index, AttrNumber attno, int flags, Datum argument)
{
	ScanKeyEntryInitializeWithInfo(key, SK_ROW_MEMBER | flags, attno, BTLessStrategyNumber,
								   InvalidOid, index->rd_indcollation[attno - 1],
								   index_getprocinfo(index, attno, BTORDER_PROC), argument);
}

/* The range that follows a leg's: what is dated is followed by what is not. */
static ChapterLeg
next_leg(const ChapterSource *source, ChapterLeg leg)
{
	Form_pg_attribute created_at = TupleDescAttr(source->base.tupdesc,
												 source->plan.created_at_attno - 1);

	return (leg == LEG_AFTER || leg == LEG_BEFORE) && !created_at->attnotnull
		? LEG_UNDATED : LEG_END;
}

/* Puts a scan's next row into the slot; false when all its legs are done. */
static bool
advance_scan(ChapterSource *source, ChapterScan *scan, TupleTableSlot *slot)
{
	while (scan->scan != NULL || start_leg(source, scan))
	{
		CHECK_FOR_INTERRUPTS();

		if (index_getnext_slot(scan->scan, source->plan.direction, slot))
		{
			source->rows_read++;
			return true;
		}
		index_endscan(scan->scan);
		scan->scan = NULL;
		scan->leg = next_leg(source, scan->leg);
	}

	return false;
}

/* Reads the first row of each scan into the heap. */
static void
start_merge(ChapterSource *source)
{
	const AttrNumber columns[] = {INDEX_CREATED_AT, INDEX_ID};

	for (int i = 0; i < lengthof(columns); i++)
	{
		AttrNumber	attno = columns[i];
		Oid			type = source->index->rd_opcintype[attno - 1];
		SortSupport ssup = &source->order[i];

		MemSet(ssup, 0, sizeof(SortSupportData));
		ssup->ssup_cxt = source->page_cxt;
		ssup->ssup_collation = source->index->rd_indcollation[attno - 1];
		ssup->ssup_nulls_first = false;
		PrepareSortSupportFromOrderingOp(get_opfamily_member(source->index->rd_opfamily[attno - 1],
															 type, type, BTGreaterStrategyNumber),
										 ssup);
	}

	source->heap = binaryheap_allocate(source->nscans, compare_scans, source);
	for (int i = 0; i < source->nscans; i++)
	{
		ChapterScan *scan = &source->scans[i];

		scan->slot = MakeSingleTupleTableSlot(source->base.tupdesc, source->base.slot_ops);
		if (advance_merged(source, scan))
			binaryheap_add_unordered(source->heap, PointerGetDatum(scan));
	}
	binaryheap_build(source->heap);
}

/*
 * The row at the top of the heap.  Its scan is moved on only when the next
 * row is asked for, so that n rows cost n + k reads and not one more each.
 */
static bool
next_merged(ChapterSource *source, TupleTableSlot *slot)
{
	ChapterScan *scan = source->last_returned;

	if (scan != NULL)
	{
		if (advance_merged(source, scan))
			binaryheap_replace_first(source->heap, PointerGetDatum(scan));
		else
			binaryheap_remove_first(source->heap);
	}
	if (binaryheap_empty(source->heap))
	{
		source->last_returned = NULL;
		source->remaining = 0;
		return false;
	}

	scan = (ChapterScan *) DatumGetPointer(binaryheap_first(source->heap));
	ExecCopySlot(slot, scan->slot);
	source->last_returned = scan;

	return true;
}

static bool
advance_merged(ChapterSource *source, ChapterScan *scan)
{
	bool		isnull;

	if (!advance_scan(source, scan, scan->slot))
		return false;
	scan->created_at = slot_getattr(scan->slot, source->plan.created_at_attno, &scan->undated);
	scan->id = slot_getattr(scan->slot, source->plan.id_attno, &isnull);

	return true;
}

/* The server's heap keeps its greatest at the top: the first of our order. */
static int
compare_scans(Datum a, Datum b, void *arg)
{
	ChapterSource *source = (ChapterSource *) arg;
	const ChapterScan *scan_a = (const ChapterScan *) DatumGetPointer(a);
	const ChapterScan *scan_b = (const ChapterScan *) DatumGetPointer(b);
	int			order = ApplySortComparator(scan_a->created_at, scan_a->undated,
											scan_b->created_at, scan_b->undated,
											&source->order[0]);

	if (order == 0)
		order = ApplySortComparator(scan_a->id, false, scan_b->id, false, &source->order[1]);

	return -order;
}

/*
 * Runs the saved plans of a page, leg after leg, straight into a tuplestore.
 * They run as the caller, who is checked as for any query.
 */
static void
run_legs(ChapterSource *source, const NullableDatum *filiere, Tuplestorestate *store)
{
	int64		remaining = source->remaining;

	SPI_connect();
	for (ChapterLeg leg = source->first_leg; leg != LEG_END && remaining > 0;
		 leg = next_leg(source, leg))
	{
		DestReceiver *dest = CreateTuplestoreDestReceiver();
		SPIExecuteOptions options = {
			.params = plan_params(source->feed, filiere, remaining, &source->before_at,
								  &source->before_id),
			.read_only = true,
			.dest = dest,
		};
		int			ret;

		SetTuplestoreDestReceiverParams(dest, store, source->page_cxt, false,
										source->base.tupdesc,
										gettext_noop("the table of chapters has changed"));
		ret = SPI_execute_plan_extended(leg_plan(source->feed, source->attachment, leg), &options);
		if (ret != SPI_OK_SELECT)
			elog(ERROR, "reading chapters failed: %s", SPI_result_code_string(ret));
		remaining -= SPI_processed;
		dest->rDestroy(dest);
	}
	SPI_finish();
}

static ParamListInfo
plan_params(const ChapterFeed *feed, const NullableDatum *filiere, int64 n,
			const NullableDatum *before_at, const NullableDatum *before_id)
{
	const Oid	types[] = {feed->argument_type, INT8OID, feed->created_at_type, feed->id_type};
	const NullableDatum values[] = {*filiere, {.value = Int64GetDatum(n)}, *before_at, *before_id};
	ParamListInfo params = makeParamList(lengthof(types));

	for (int i = 0; i < lengthof(types); i++)
	{
		params->params[i].value = values[i].value;
		params->params[i].isnull = values[i].isnull;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}

	return params;
}
