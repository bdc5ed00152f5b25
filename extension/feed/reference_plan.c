/*
 * chapter_feed.c
 *		What a feed function reads, and the plans saved for it.
 *
 * Ask the planner, don't guess.  For every function there is one saved plan
 * of the reference query, which anyone would write by hand.  Where its
 * generic plan is Limit over an index scan of the bound table, with no filter
 * and an index on (filière, created_at, id), that index can be read without
 * the executor.  Any other plan means that the planner knows something which
 * we don't (row-level security, partitions, inheritance, a foreign or
 * distributed table, a missing index); then saved plans run as they are.
 *
 * Lifetime: a ChapterFeed and its plans live as long as the backend, or until
 * what they were made from has changed; whoever uses one has a pin on it.  The
 * server's plan cache replans what DDL,
 * ANALYZE or a change of role has made invalid; asking for the reference plan
 * takes the locks that running it would take, and they are held to the end of
 * the transaction.
 */
#include "feed/feed.h"

#include "names.h"
#include "query.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* Columns that an index must begin with. */
enum
{
	INDEX_FILIERE,
	INDEX_CREATED_AT,
	INDEX_ID,
	INDEX_COLUMNS
};

typedef struct FeedSlot
{
	Oid funcid; /* hash key (must be first) */
	ChapterFeed *feed;
} FeedSlot;

static HTAB *feed_hash = NULL;

static void drop_stale_feeds(void);
static void read_feed(CachedThing *thing, void *funcid);
static void describe_feed(ChapterFeed *feed);
static ColumnType column_type(Oid relid, const char *column);
static SPIPlanPtr prepare(const ChapterFeed *feed, MemoryContext cxt, Oid filiere_type,
						  const char *query);
static SPIPlanPtr saved_reference_plan(ChapterFeed *feed);
static void read_reference_plan(ChapterFeed *feed, CachedPlan *cplan, bool row_security);
static char *leg_query(const ChapterFeed *feed, const char *columns, bool several, ChapterLeg leg);
static char *select_list(Oid relid, const Bitmapset *columns);
static const char *find_streamable_index(const ChapterFeed *feed, const Plan *plan,
										 ReferencePlan *reference);
static bool is_heap(Oid relid);
static const char *why_not_index_scan(const Plan *plan);
static bool index_has_order(Oid relid, const ReferencePlan *reference);
static void set_equality(ReferencePlan *reference, Oid opno, MemoryContext cxt);
static Datum equal_text(PG_FUNCTION_ARGS);
static Oid find_id_index(Oid relid, const ReferencePlan *reference);

/* Pins the feed of a function as it is now. */
void
catalogue_pin_chapter_feed(CachedPin *pin, Oid funcid)
{
	FeedSlot *slot;
	bool found;

	if (feed_hash == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(FeedSlot)};

		feed_hash = hash_create("catalogue chapter feeds", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	AcceptInvalidationMessages();
	slot = hash_search(feed_hash, &funcid, HASH_FIND, NULL);
	if (slot == NULL || !catalogue_is_current(slot->feed->base.dependencies))
	{
		ChapterFeed *feed;

		drop_stale_feeds();
		feed = (ChapterFeed *) catalogue_read_cached("catalogue chapter feed", sizeof(ChapterFeed),
													 read_feed, &funcid);
		slot = hash_search(feed_hash, &funcid, HASH_ENTER, &found);
		slot->feed = feed;
		MemoryContextSetParent(feed->base.cxt, CacheMemoryContext);
	}
	catalogue_pin(pin, &slot->feed->base);
}

/* Empties the hash of what has changed or gone. */
static void
drop_stale_feeds(void)
{
	HASH_SEQ_STATUS status;
	FeedSlot *slot;

	hash_seq_init(&status, feed_hash);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		ChapterFeed *feed = slot->feed;

		if (!catalogue_is_current(feed->base.dependencies))
		{
			hash_search(feed_hash, &slot->funcid, HASH_REMOVE, NULL);
			catalogue_drop_cached(&feed->base);
		}
	}
}

/*
 * Reads what a function's feed is.  That the types still hold once the table is
 * locked is checked where the reference plan is read.
 */
static void
read_feed(CachedThing *thing, void *funcid)
{
	ChapterFeed *feed = (ChapterFeed *) thing;
	MemoryContext oldcxt = MemoryContextSwitchTo(thing->cxt);

	feed->funcid = *(Oid *) funcid;
	catalogue_depend_on_function(thing->dependencies, feed->funcid);
	feed->attachment = catalogue_attachment_of_function(feed->funcid, thing->dependencies);
	catalogue_init_pin(&feed->attachment_pin, thing->cxt);
	catalogue_pin(&feed->attachment_pin, unconstify(CachedThing *, &feed->attachment->base));
	catalogue_depend_on_relation(thing->dependencies, feed->attachment->chapters);
	catalogue_depend_on_schema(thing->dependencies, get_rel_namespace(feed->attachment->chapters));
	describe_feed(feed);
	MemoryContextSwitchTo(oldcxt);
}

/*
 * The names and types of a feed.  Types come from the table, and must be those
 * that the function was declared with.
 */
static void
describe_feed(ChapterFeed *feed)
{
	const Attachment *attachment = feed->attachment;
	Oid *argtypes;
	int nargs;

	if (!OidIsValid(attachment->chapters))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a table of chapters",
					   attachment->schema_name),
				errhint("Run catalogue.attach() with a mapping that names it."));

	feed->relid = attachment->chapters;
	feed->relation = catalogue_qualified_relation_name(feed->relid);
	feed->filiere = column_type(feed->relid, attachment->chapters_filiere);
	feed->id = column_type(feed->relid, attachment->chapters_id);
	feed->created_at = column_type(feed->relid, attachment->chapters_created_at);

	get_func_signature(feed->funcid, &argtypes, &nargs);
	if (nargs != ARG_COUNT ||
		(argtypes[ARG_FILIERE] != feed->filiere.oid &&
		 argtypes[ARG_FILIERE] != get_array_type(feed->filiere.oid)) ||
		argtypes[ARG_BEFORE_ID] != feed->id.oid ||
		argtypes[ARG_BEFORE_AT] != feed->created_at.oid ||
		get_func_rettype(feed->funcid) != get_rel_type_id(feed->relid))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("function %s does not fit table \"%s\" any more",
					   format_procedure(feed->funcid), catalogue_relation_name(feed->relid)),
				errhint("Run SELECT * FROM catalogue.attach(%s) again.",
						quote_literal_cstr(attachment->schema_name)));
	feed->argument_type = argtypes[ARG_FILIERE];
	feed->several = feed->argument_type != feed->filiere.oid;
}

/* What a column's values are; a domain's are those of its base type. */
static ColumnType
column_type(Oid relid, const char *column)
{
	AttrNumber attnum = catalogue_column_number(relid, column);
	ColumnType type;

	type.oid = getBaseType(get_atttype(relid, attnum));
	get_typlenbyvalalign(type.oid, &type.len, &type.byval, &type.align);

	return type;
}

/*
 * Prepares a query whose parameters are the page's: $1 filière or filières,
 * $2 n, $3 before_at, $4 before_id.
 */
static SPIPlanPtr
prepare(const ChapterFeed *feed, MemoryContext cxt, Oid filiere_type, const char *query)
{
	Oid argtypes[] = {filiere_type, INT8OID, feed->created_at.oid, feed->id.oid};
	SPIPlanPtr plan;

	SPI_connect();
	plan = catalogue_prepare(cxt, query, lengthof(argtypes), argtypes, 0);
	SPI_finish();

	return plan;
}

static SPIPlanPtr
saved_reference_plan(ChapterFeed *feed)
{
	if (feed->reference == NULL)
		feed->reference = prepare(feed, feed->base.cxt, feed->filiere.oid,
								  leg_query(feed, "*", false, LEG_NEWEST));

	return feed->reference;
}

/*
 * What the reference query's generic plan says, valid now and with its locks
 * taken.  The plan is looked at again only after the server has made it anew.
 */
const ReferencePlan *
catalogue_chapter_reference_plan(ChapterFeed *feed)
{
	List *sources = SPI_plan_get_plan_sources(saved_reference_plan(feed));
	CachedPlanSource *source = linitial(sources);
	CachedPlan *cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);

	if (feed->plan.generation != cplan->generation)
		read_reference_plan(feed, cplan, source->dependsOnRLS);
	ReleaseCachedPlan(cplan, CurrentResourceOwner);

	return &feed->plan;
}

static void
read_reference_plan(ChapterFeed *feed, CachedPlan *cplan, bool row_security)
{
	const Attachment *attachment = feed->attachment;
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);
	Plan *plan = stmt->planTree;
	ReferencePlan *reference = &feed->plan;
	ChapterFeed now = {.funcid = feed->funcid, .attachment = attachment};

	if (IsA(plan, Limit))
		plan = outerPlan(plan);

	/* The types were looked up before the table was locked. */
	describe_feed(&now);

	reference->generation = 0; /* until all is read */
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
	reference->id_indexid =
		reference->not_streamed == NULL ? find_id_index(feed->relid, reference) : InvalidOid;
	reference->generation = cplan->generation;
}

/*
 * The plans of the legs for these columns: the others would be copied, and ask
 * for rights, for nothing.  To be pinned while one of them runs, since a nested
 * call that looks at other columns puts its own in their place.
 */
LegPlans *
catalogue_chapter_leg_plans(ChapterFeed *feed, const Bitmapset *columns)
{
	LegPlans *plans = feed->leg_plans;

	if (plans == NULL || !bms_equal(plans->columns, columns))
	{
		MemoryContext cxt =
			AllocSetContextCreate(feed->base.cxt, "catalogue chapter plans", ALLOCSET_SMALL_SIZES);
		MemoryContext oldcxt = MemoryContextSwitchTo(cxt);

		plans = palloc0(sizeof(LegPlans));
		plans->base.cxt = cxt;
		plans->columns = bms_copy(columns);
		MemoryContextSwitchTo(oldcxt);

		if (feed->leg_plans != NULL)
			catalogue_drop_cached(&feed->leg_plans->base);
		feed->leg_plans = plans;
	}

	return plans;
}

SPIPlanPtr
catalogue_chapter_leg_plan(ChapterFeed *feed, LegPlans *plans, ChapterLeg leg)
{
	if (plans->legs[leg] == NULL)
		plans->legs[leg] =
			prepare(feed, plans->base.cxt, feed->argument_type,
					leg_query(feed, select_list(feed->relid, plans->columns), feed->several, leg));

	return plans->legs[leg];
}

SPIPlanPtr
catalogue_chapter_position_plan(ChapterFeed *feed)
{
	const Attachment *attachment = feed->attachment;

	if (feed->position == NULL)
		feed->position =
			prepare(feed, feed->base.cxt, feed->argument_type,
					psprintf("SELECT %s FROM %s WHERE %s %s $4",
							 quote_identifier(attachment->chapters_created_at), feed->relation,
							 quote_identifier(attachment->chapters_id),
							 catalogue_operator_name(
								 lookup_type_cache(feed->id.oid, TYPECACHE_EQ_OPR)->eq_opr)));

	return feed->position;
}

/* The best SQL for one leg, as anyone would write it by hand. */
static char *
leg_query(const ChapterFeed *feed, const char *columns, bool several, ChapterLeg leg)
{
	const Attachment *attachment = feed->attachment;
	TypeCacheEntry *filiere = lookup_type_cache(feed->filiere.oid, TYPECACHE_EQ_OPR);
	TypeCacheEntry *id = lookup_type_cache(feed->id.oid, TYPECACHE_LT_OPR);
	TypeCacheEntry *created_at =
		lookup_type_cache(feed->created_at.oid, TYPECACHE_LT_OPR | TYPECACHE_EQ_OPR);
	const char *id_column = quote_identifier(attachment->chapters_id);
	const char *created_at_column = quote_identifier(attachment->chapters_created_at);
	const char *id_less = catalogue_operator_name(id->lt_opr);
	const char *created_at_less = catalogue_operator_name(created_at->lt_opr);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf,
					 several ? "SELECT %s FROM %s WHERE %s %s ANY ($1)"
							 : "SELECT %s FROM %s WHERE %s %s $1",
					 columns, feed->relation, quote_identifier(attachment->chapters_filiere),
					 catalogue_operator_name(filiere->eq_opr));
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
				appendStringInfo(&buf, " AND ROW(%s, %s) %s ROW($3, $4)", created_at_column,
								 id_column, id_less);
			else
				appendStringInfo(&buf, " AND (%s %s $3 OR %s %s $3 AND %s %s $4)",
								 created_at_column, created_at_less, created_at_column,
								 catalogue_operator_name(created_at->eq_opr), id_column, id_less);
			break;
		case LEG_UNDATED:
			appendStringInfo(&buf, " AND %s IS NULL", created_at_column);
			break;
		case LEG_UNDATED_AFTER:
			appendStringInfo(&buf, " AND %s IS NULL AND %s %s $4", created_at_column, id_column,
							 id_less);
			break;
		case LEG_END:
			Assert(false);
	}
	appendStringInfo(&buf, " ORDER BY %s DESC NULLS LAST, %s DESC LIMIT $2", created_at_column,
					 id_column);

	return buf.data;
}

/*
 * Every column of the table, for rows of its type; NULL in the place of those
 * that nobody looks at.  A domain can refuse NULL, so it is read in any case.
 */
static char *
select_list(Oid relid, const Bitmapset *columns)
{
	Relation rel = table_open(relid, AccessShareLock);
	TupleDesc tupdesc = RelationGetDescr(rel);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attisdropped)
			continue;
		if (buf.len > 0)
			appendStringInfoString(&buf, ", ");
		if (bms_is_member(att->attnum, columns) || get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			appendStringInfoString(&buf, quote_identifier(NameStr(att->attname)));
		else
			appendStringInfo(&buf, "NULL::%s",
							 format_type_extended(att->atttypid, att->atttypmod,
												  FORMAT_TYPE_TYPEMOD_GIVEN |
													  FORMAT_TYPE_FORCE_QUALIFY));
	}
	table_close(rel, NoLock);

	return buf.data;
}

/*
 * Looks into the reference query's plan for an index that the source can read
 * by itself.  Returns NULL and notes the index if there is one, else the
 * reason for EXPLAIN.
 */
static const char *
find_streamable_index(const ChapterFeed *feed, const Plan *plan, ReferencePlan *reference)
{
	List *indexqual;

	if (IsA(plan, IndexScan))
	{
		IndexScan *scan = (IndexScan *) plan;

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

	set_equality(reference, linitial_node(OpExpr, indexqual)->opno, feed->base.cxt);

	return NULL;
}

/* Rows are fetched without the table access method's own code, see heap_fetch.c. */
static bool
is_heap(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	bool heap = rel->rd_tableam == GetHeapamTableAmRoutine();

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
 * Whether an index begins with plain filière, created_at and id.  That its
 * directions fit is what the planner said by not sorting.
 */
static bool
index_has_order(Oid relid, const ReferencePlan *reference)
{
	Relation index = index_open(reference->indexid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	bool fits = form->indrelid == relid && index->rd_rel->relam == BTREE_AM_OID &&
				form->indnkeyatts >= INDEX_COLUMNS &&
				form->indkey.values[INDEX_FILIERE] == reference->filiere_attno &&
				form->indkey.values[INDEX_CREATED_AT] == reference->created_at_attno &&
				form->indkey.values[INDEX_ID] == reference->id_attno;

	index_close(index, NoLock);

	return fits;
}

/*
 * The function that compares an index entry's filière with the argument.
 *
 * The index AM calls it for every entry of a page.  For strings whose
 * collation lets only equal bytes be equal, what texteq() does is done here
 * without its looks at the collation and for toasted values, of which an
 * index has few.
 */
static void
set_equality(ReferencePlan *reference, Oid opno, MemoryContext cxt)
{
	Relation index = index_open(reference->indexid, AccessShareLock);

	fmgr_info_cxt(get_opcode(opno), &reference->equality, cxt);
	if (reference->equality.fn_oid == F_TEXTEQ &&
		get_collation_isdeterministic(index->rd_indcollation[INDEX_FILIERE]))
		reference->equality.fn_addr = equal_text;
	index_close(index, NoLock);
}

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

/* A B-tree on the id alone, by which a page's position can be looked up. */
static Oid
find_id_index(Oid relid, const ReferencePlan *reference)
{
	Relation rel = table_open(relid, AccessShareLock);
	Oid found = InvalidOid;
	ListCell *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indisvalid && form->indisready && !form->indcheckxmin &&
			form->indnkeyatts == 1 && form->indkey.values[0] == reference->id_attno &&
			RelationGetIndexPredicate(index) == NIL && index->rd_rel->relam == BTREE_AM_OID)
			found = RelationGetRelid(index);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);

	return found;
}

/* The parameters of a saved plan, in the order that saved_plan() declares. */
ParamListInfo
catalogue_chapter_plan_params(const ChapterFeed *feed, const NullableDatum *filiere, int64 n,
							  const ChapterPosition *position)
{
	const Oid types[] = {feed->argument_type, INT8OID, feed->created_at.oid, feed->id.oid};
	const NullableDatum values[] = {*filiere,
									{.value = Int64GetDatum(n)},
									position->before_at,
									position->before_id};

	return catalogue_make_params(lengthof(types), types, values);
}
