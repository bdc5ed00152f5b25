/*
 * compat.h
 *		What differs between the supported server versions, and nothing else.
 *
 * The rest of the sources are written for the newest server; here the older
 * ones are taught its names.  PostgreSQL 16 has no test run of its own: of
 * the interfaces below it has either 15's or 17's, as the conditions say.
 */
#ifndef CATALOGUE_COMPAT_H
#define CATALOGUE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "catalogue needs PostgreSQL 15 or later"
#endif

/* 16: one object_aclcheck() for every catalog in place of pg_proc_aclcheck() and its kin. */
#if PG_VERSION_NUM < 160000
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"

static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	Assert(classid == ProcedureRelationId || classid == NamespaceRelationId);
	return classid == ProcedureRelationId ? pg_proc_aclcheck(objectid, roleid, mode)
		: pg_namespace_aclcheck(objectid, roleid, mode);
}
#endif

/* 16: a relation's file has a locator, which was a node. */
#if PG_VERSION_NUM < 160000
#define rd_locator rd_node
#endif

/* 16: what a varlena is made of has a header of its own. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18: a module can name itself and its version to pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define CATALOGUE_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "catalogue", .version = "1.0")
#else
#define CATALOGUE_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18: a function that never returns says so in front. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18: index scans can be instrumented; 19: and take options. */
#include "access/genam.h"
#if PG_VERSION_NUM < 180000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys, flags) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)
#elif PG_VERSION_NUM < 190000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys, flags) \
	index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys)
#endif
#if PG_VERSION_NUM < 190000
#define SO_NONE 0
#endif

/* 19: a table scan takes options. */
#include "access/tableam.h"
#if PG_VERSION_NUM < 190000
#define table_beginscan(rel, snapshot, nkeys, keys, flags) \
	table_beginscan(rel, snapshot, nkeys, keys)
#define table_index_fetch_begin(rel, flags) table_index_fetch_begin(rel)
#endif

/*
 * What heap_fetch.c and read_ahead.c take from the inside of the server is known up
 * to 19.  A later one reads rows by index_getnext_slot(), and nothing ahead, until
 * somebody has looked at these: that index_getnext_tid() and heap_hot_search_buffer()
 * still do together what heapam_index_fetch_tuple() does; ReadRecentBuffer() and
 * StrategySyncStart(); and currPos of a B-tree scan's BTScanOpaque (currPage,
 * firstItem, lastItem, itemIndex, items[].heapTid).  Where the server itself reads
 * ahead in index scans, drop read_ahead.c.
 *
 * 17 has read streams and 18 asynchronous I/O behind them, but blocks are asked for
 * by PrefetchBuffer() in every version.  A stream pins what it reads ahead, and may pin
 * shared_buffers by the number of processes that there can be: with 2 MB and 100
 * connections that is one buffer, and it reads nothing ahead.  Measured on 18 and 19,
 * a page of 100 rows on as many blocks, effective_io_concurrency = 32, in ms:
 *
 *											plain SQL	prefetch	stream
 *		2 MB, reads of 0.2 ms, worker or sync	27		1.8		22 to 35
 *		128 MB, the same, 3 or 16 workers		33		2.2 to 3.4	6 to 15
 *		128 MB, the same, sync					35		2.0		3.2 to 4.2
 *		128 MB, an SSD, 3 workers				12		2.4 to 4.0	4.1
 *		128 MB, an SSD, io_uring				15		3.6 to 4.4	2.9 to 3.2
 *
 * io_uring alone gains by a stream, where there are buffers enough.
 */
#if PG_VERSION_NUM >= 200000 && !defined(CATALOGUE_PLAIN_HEAP_FETCH)
#define CATALOGUE_PLAIN_HEAP_FETCH
#endif

/* 19: pruning a page that is read may also mark it all-visible. */
#include "access/heapam.h"
#if PG_VERSION_NUM < 190000
#define heap_page_prune_opt(relation, buffer, vmbuffer, rel_read_only) \
	heap_page_prune_opt(relation, buffer)
#endif

/* 18: the executor no longer asks whether it will run again. */
#include "executor/executor.h"
#if PG_VERSION_NUM < 180000
#define ExecutorRun(query, direction, count) ExecutorRun(query, direction, count, true)
#endif

/* 16: what the statistics know a table by. */
#include "pgstat.h"
#if PG_VERSION_NUM >= 160000
#define catalogue_counted_table(status) ((status)->id)
#else
#define catalogue_counted_table(status) ((status)->t_id)
#endif

/* 18: a foreign key may compare periods; none that acts on DELETE does. */
#if PG_VERSION_NUM >= 180000
#define catalogue_constraint_has_period(form) ((form)->conperiod)
#else
#define catalogue_constraint_has_period(form) false
#endif

/* 18: a NOT NULL constraint can be not validated yet, and attnotnull is set all the same. */
#include "access/tupdesc.h"
#if PG_VERSION_NUM >= 180000
#define catalogue_column_is_not_null(tupdesc, attno) \
	(TupleDescCompactAttr(tupdesc, (attno) -1)->attnullability == ATTNULLABLE_VALID)
#else
#define catalogue_column_is_not_null(tupdesc, attno) \
	(TupleDescAttr(tupdesc, (attno) -1)->attnotnull)
#endif

/* 16: a column map may leave out columns. */
#include "access/attmap.h"
#if PG_VERSION_NUM < 160000
#define build_attrmap_by_name_if_req(indesc, outdesc, missing_ok) \
	build_attrmap_by_name_if_req(indesc, outdesc)
#endif

/* 16: where a variable may be NULL is in the variable, not in its equivalence class. */
#include "optimizer/paths.h"
#if PG_VERSION_NUM < 160000
#define get_eclass_for_sort_expr(root, expr, opfamilies, opcintype, collation, sortref, rel, create) \
	get_eclass_for_sort_expr(root, expr, NULL, opfamilies, opcintype, collation, sortref, rel, create)
#endif

/* 17: shared memory by name, without preloading.  19: its initialisation has an argument. */
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif
#if PG_VERSION_NUM >= 190000
#define CATALOGUE_SEGMENT_ARG , void *arg
#define catalogue_named_segment(name, size, init, found) \
	GetNamedDSMSegment(name, size, init, found, NULL)
#elif PG_VERSION_NUM >= 170000
#define CATALOGUE_SEGMENT_ARG
#define catalogue_named_segment(name, size, init, found) GetNamedDSMSegment(name, size, init, found)
#else
#define CATALOGUE_SEGMENT_ARG
#define catalogue_named_segment(name, size, init, found) ((void) (init), (void) (found), NULL)
#endif

/* 18: orders are known by how values compare, not by a B-tree's strategy. */
#if PG_VERSION_NUM < 180000
#include "access/stratnum.h"
#define COMPARE_GT BTGreaterStrategyNumber
#endif

/* 19: what EXPLAIN is to say is known to the planner. */
#include "tcop/tcopprot.h"
#if PG_VERSION_NUM < 190000
#define pg_plan_query(query, string, options, params, es) pg_plan_query(query, string, options, params)
#endif
#if PG_VERSION_NUM >= 190000
#define PLANNER_PARAMETERS Query *query, const char *query_string, int cursor_options, \
	ParamListInfo params, struct ExplainState *es
#define PLANNER_ARGUMENTS query, query_string, cursor_options, params, es
#else
#define PLANNER_PARAMETERS Query *query, const char *query_string, int cursor_options, \
	ParamListInfo params
#define PLANNER_ARGUMENTS query, query_string, cursor_options, params
#endif

/* 16: the rights that a plan asks for are in a list of its own. */
#include "nodes/plannodes.h"
static inline void
catalogue_ask_for_no_rights(PlannedStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->rtable)
	{
#if PG_VERSION_NUM >= 160000
		lfirst_node(RangeTblEntry, lc)->perminfoindex = 0;
#else
		lfirst_node(RangeTblEntry, lc)->requiredPerms = 0;
#endif
	}
#if PG_VERSION_NUM >= 160000
	statement->permInfos = NIL;
#endif
}

/* 19: the hook behind the description of a relation is called for what is none, too. */
#include "optimizer/pathnode.h"
#include "optimizer/plancat.h"
#if PG_VERSION_NUM >= 190000
#define relation_info_hook build_simple_rel_hook
#define relation_info_hook_type build_simple_rel_hook_type
#define RELATION_INFO_PARAMETERS PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rel_rte
#define RELATION_INFO_ARGUMENTS root, rel, rel_rte
#else
#define relation_info_hook get_relation_info_hook
#define relation_info_hook_type get_relation_info_hook_type
#define RELATION_INFO_PARAMETERS PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel
#define RELATION_INFO_ARGUMENTS root, relid, inhparent, rel
#endif

/* 18: a generated column can be computed when it is read. */
#if PG_VERSION_NUM >= 180000
#include "catalog/pg_attribute.h"
#include "rewrite/rewriteHandler.h"
#define catalogue_column_is_virtual(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define catalogue_column_is_virtual(att) false
#define build_generation_expression(rel, attno) NULL
#endif

/* 18: EXPLAIN's state and its output functions have headers of their own. */
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#endif							/* CATALOGUE_COMPAT_H */
