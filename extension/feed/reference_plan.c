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
 * the schema is attached anew.  The server's plan cache replans what DDL,
 * ANALYZE or a change of role has made invalid; asking for the reference plan
 * takes the locks that running it would take, and they are held to the end of
 * the transaction.
 */
#include "feed/feed.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Columns that an index must begin with. */
enum
{
	INDEX_FILIERE,
	INDEX_CREATED_AT,
	INDEX_ID,
	INDEX_COLUMNS
};

static HTAB *feed_hash = NULL;
static uint64 relcache_messages = 0; /* raised by the callback */

static void describe_feed(ChapterFeed *feed);
static void forget_feed(ChapterFeed *feed);
static void forget_legs(ChapterFeed *feed);
static ColumnType column_type(Oid relid, const char *column);
static SPIPlanPtr saved_plan(SPIPlanPtr *plan, ChapterFeed *feed, const char *query);
static SPIPlanPtr saved_reference_plan(ChapterFeed *feed);
static void read_reference_plan(ChapterFeed *feed, CachedPlan *cplan, bool row_security);
static char *leg_query(const ChapterFeed *feed, const char *columns, bool several, ChapterLeg leg);
static char *select_list(Oid relid, const Bitmapset *columns);
static char *relation_name(Oid relid);
static char *operator_name(Oid opno);
static const char *find_streamable_index(const ChapterFeed *feed, const Plan *plan,
										 ReferencePlan *reference);
static bool is_heap(Oid relid);
static const char *why_not_index_scan(const Plan *plan);
static bool index_has_order(Oid relid, const ReferencePlan *reference);
static void set_equality(ReferencePlan *reference, Oid opno);
static Datum equal_text(PG_FUNCTION_ARGS);
static Oid find_id_index(Oid relid, const ReferencePlan *reference);

/*
 * The feed of a function, with plans that name the table as it is named now.
 *
 * Relcache messages only make it look at the names and types again, which is
 * cheap; that the types still hold once the table is locked is checked where
 * the reference plan is read.
 */
ChapterFeed *
catalogue_chapter_feed(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid);
	uint64 messages = relcache_messages;
	ChapterFeed new_feed = {.funcid = funcid};
	ChapterFeed *feed;
	bool found;

	if (feed_hash == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(ChapterFeed)};

		feed_hash = hash_create("catalogue chapter feeds", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	feed = hash_search(feed_hash, &funcid, HASH_FIND, NULL);
	if (feed != NULL && feed->serial == attachment->serial && feed->checked == messages)
		return feed;

	new_feed.serial = attachment->serial;
	new_feed.checked = messages;
	new_feed.attachment = attachment;
	describe_feed(&new_feed);
	if (feed != NULL && feed->serial == attachment->serial &&
		strcmp(feed->relation, new_feed.relation) == 0)
	{
		feed->checked = messages;
		return feed;
	}

	new_feed.relation = MemoryContextStrdup(CacheMemoryContext, new_feed.relation);
	feed = hash_search(feed_hash, &funcid, HASH_ENTER, &found);
	if (found)
		forget_feed(feed);
	*feed = new_feed;

	return feed;
}

/* Counts: a feed that was checked before the last message is checked again. */
void
catalogue_chapter_relcache_callback(void)
{
	relcache_messages++;
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
	feed->relation = relation_name(feed->relid);
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
					   format_procedure(feed->funcid), get_rel_name(feed->relid)),
				errhint("Run SELECT * FROM catalogue.attach(%s) again.",
						quote_literal_cstr(attachment->schema_name)));
	feed->argument_type = argtypes[ARG_FILIERE];
	feed->several = feed->argument_type != feed->filiere.oid;
}

/* A plan that is running keeps its own reference. */
static void
forget_feed(ChapterFeed *feed)
{
	if (feed->reference != NULL)
		SPI_freeplan(feed->reference);
	if (feed->position != NULL)
		SPI_freeplan(feed->position);
	forget_legs(feed);
	pfree(feed->relation);
}

static void
forget_legs(ChapterFeed *feed)
{
	for (int leg = 0; leg < LEG_END; leg++)
	{
		if (feed->legs[leg] != NULL)
			SPI_freeplan(feed->legs[leg]);
		feed->legs[leg] = NULL;
	}
	bms_free(feed->leg_columns);
	feed->leg_columns = NULL;
}

/* What a column's values are; a domain's are those of its base type. */
static ColumnType
column_type(Oid relid, const char *column)
{
	AttrNumber attnum = get_attnum(relid, column);
	ColumnType type;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of the table of chapters does not exist", column),
				errhint("Run catalogue.attach() with a mapping that names the column."));

	type.oid = getBaseType(get_atttype(relid, attnum));
	get_typlenbyvalalign(type.oid, &type.len, &type.byval, &type.align);

	return type;
}

/*
 * Prepares a query once and keeps its plan.  Its parameters are the page's:
 * $1 filière or filières, $2 n, $3 before_at, $4 before_id.
 */
static SPIPlanPtr
saved_plan(SPIPlanPtr *plan, ChapterFeed *feed, const char *query)
{
	Oid argtypes[] = {feed->argument_type, INT8OID, feed->created_at.oid, feed->id.oid};
	SPIPlanPtr prepared;

	if (plan == &feed->reference)
		argtypes[0] = feed->filiere.oid;

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
saved_reference_plan(ChapterFeed *feed)
{
	if (feed->reference != NULL)
		return feed->reference;
	return saved_plan(&feed->reference, feed, leg_query(feed, "*", false, LEG_NEWEST));
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
 * The plan for a leg, for rows of the table's type in which only some columns
 * are filled: the others would be copied, and ask for rights, for nothing.
 * Plans are kept for the columns that were asked for last.
 */
SPIPlanPtr
catalogue_chapter_leg_plan(ChapterFeed *feed, ChapterLeg leg, const Bitmapset *columns)
{
	if (!bms_equal(feed->leg_columns, columns))
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(CacheMemoryContext);

		forget_legs(feed);
		feed->leg_columns = bms_copy(columns);
		MemoryContextSwitchTo(oldcxt);
	}
	if (feed->legs[leg] != NULL)
		return feed->legs[leg];
	return saved_plan(&feed->legs[leg], feed,
					  leg_query(feed, select_list(feed->relid, columns), feed->several, leg));
}

SPIPlanPtr
catalogue_chapter_position_plan(ChapterFeed *feed)
{
	const Attachment *attachment = feed->attachment;

	if (feed->position != NULL)
		return feed->position;
	return saved_plan(&feed->position, feed,
					  psprintf("SELECT %s FROM %s WHERE %s %s $4",
							   quote_identifier(attachment->chapters_created_at), feed->relation,
							   quote_identifier(attachment->chapters_id),
							   operator_name(
								   lookup_type_cache(feed->id.oid, TYPECACHE_EQ_OPR)->eq_opr)));
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
	const char *id_less = operator_name(id->lt_opr);
	const char *created_at_less = operator_name(created_at->lt_opr);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf,
					 several ? "SELECT %s FROM %s WHERE %s %s ANY ($1)"
							 : "SELECT %s FROM %s WHERE %s %s $1",
					 columns, feed->relation, quote_identifier(attachment->chapters_filiere),
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
				appendStringInfo(&buf, " AND ROW(%s, %s) %s ROW($3, $4)", created_at_column,
								 id_column, id_less);
			else
				appendStringInfo(&buf, " AND (%s %s $3 OR %s %s $3 AND %s %s $4)",
								 created_at_column, created_at_less, created_at_column,
								 operator_name(created_at->eq_opr), id_column, id_less);
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

static char *
relation_name(Oid relid)
{
	char *name = get_rel_name(relid);

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
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char *name;

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

	set_equality(reference, linitial_node(OpExpr, indexqual)->opno);

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
set_equality(ReferencePlan *reference, Oid opno)
{
	Relation index = index_open(reference->indexid, AccessShareLock);

	fmgr_info_cxt(get_opcode(opno), &reference->equality, CacheMemoryContext);
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
