/*
 * ordered_plan.c
 *		Plans by an index that has the feed's order.
 *
 * For any filière and any n the planner may prefer another plan: it sorts a table
 * that is small yet, or, where an index on created_at alone serves a page of the
 * whole site, reads that and drops the chapters of other filières.  Such a plan is
 * kept while the table grows, and is the worst for a filière with few chapters.  So
 * the planner chooses among the indexes that can be streamed from: it sees no
 * others, and is to avoid whatever sorts.
 *
 * That holds for the one query: while it is planned, functions of the user's may run,
 * as in the predicate of an index, and plan queries of their own.  These get the
 * settings and the indexes that they get anywhere.  With row-level security nothing is
 * streamed, and every index is seen.
 *
 * Who has turned index scans off gets the planner's own choice.
 */
#include "feed/ordered_plan.h"

#include "feed/index_targets.h"

#include "optimizer/cost.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"

/* For which feed a query is planned; NULL for any other query. */
typedef struct OrderedQuery
{
	const ChapterFeed *feed;
	const PageFilter *filter;
} OrderedQuery;

typedef struct PlannerSettings
{
	bool		seqscan;
	bool		indexonlyscan;
	bool		bitmapscan;
	bool		sort;
	bool		incremental_sort;
} PlannerSettings;

static const OrderedQuery no_query = {0};

static OrderedQuery requested;	/* the next query that is planned */
static OrderedQuery planned;	/* the innermost that is being planned */
static PlannerSettings own_settings;	/* the session's, meanwhile */

static relation_info_hook_type prev_relation_info_hook = NULL;
static planner_hook_type prev_planner_hook = NULL;

static void request(const ChapterFeed *feed, const PageFilter *filter);
static PlannedStmt *plan_in_order(PLANNER_PARAMETERS);
static PlannedStmt *plan_query(PLANNER_PARAMETERS);
static PlannerSettings current_settings(void);
static void set_settings(PlannerSettings settings);
static void keep_fitting_indexes(RELATION_INFO_PARAMETERS);

/* Called once, while the library is loaded. */
void
catalogue_ordered_plan_init(void)
{
	prev_relation_info_hook = relation_info_hook;
	relation_info_hook = keep_fitting_indexes;
	prev_planner_hook = planner_hook;
	planner_hook = plan_in_order;
}

/*
 * The select list of a query that is planned here.  Where nothing is sorted a row's
 * width costs nothing, and a column more is statistics more to look up.
 */
const char *
catalogue_feed_ordered_plan_columns(const ChapterFeed *feed)
{
	return psprintf("chapter.%s", quote_identifier(feed->attachment->chapters_id));
}

/*
 * The generic plan of a reference query, made if the server holds none that is valid;
 * to be released.  The rows are read from the table, whatever the select list says.
 */
CachedPlan *
catalogue_feed_ordered_plan(const ChapterFeed *feed, const PageFilter *filter,
							CachedPlanSource *source)
{
	CachedPlan *volatile cplan = NULL;

	PG_TRY();
	{
		request(feed, filter);
		cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		requested = no_query;
	}
	PG_END_TRY();

	return cplan;
}

/* The plan of a query that has been analyzed. */
PlannedStmt *
catalogue_feed_plan_in_order(const ChapterFeed *feed, const PageFilter *filter, Query *query,
							 const char *query_string)
{
	PlannedStmt *volatile statement = NULL;

	PG_TRY();
	{
		request(feed, filter);
		statement = pg_plan_query(query, query_string, 0, NULL, NULL);
	}
	PG_FINALLY();
	{
		requested = no_query;
	}
	PG_END_TRY();

	return statement;
}

static void
request(const ChapterFeed *feed, const PageFilter *filter)
{
	requested = no_query;
	if (enable_indexscan)
	{
		requested.feed = feed;
		requested.filter = filter;
	}
}

/*
 * The planner's hook.  The settings are changed as variables: GUC's own way costs more,
 * and has to be undone by the end of a transaction.
 */
static PlannedStmt *
plan_in_order(PLANNER_PARAMETERS)
{
	const PlannerSettings nothing_that_sorts = {0};
	const PlannerSettings settings = current_settings();
	const OrderedQuery outer = planned;
	PlannedStmt *volatile statement = NULL;

	if (requested.feed == NULL && outer.feed == NULL)
		return plan_query(PLANNER_ARGUMENTS);

	planned = requested;
	requested = no_query;
	if (outer.feed == NULL)
		own_settings = settings;
	set_settings(planned.feed != NULL ? nothing_that_sorts : own_settings);
	PG_TRY();
	{
		statement = plan_query(PLANNER_ARGUMENTS);
	}
	PG_FINALLY();
	{
		planned = outer;
		set_settings(settings);
	}
	PG_END_TRY();

	return statement;
}

/* What is planned without this hook. */
static PlannedStmt *
plan_query(PLANNER_PARAMETERS)
{
	return prev_planner_hook ? prev_planner_hook(PLANNER_ARGUMENTS)
		: standard_planner(PLANNER_ARGUMENTS);
}

static PlannerSettings
current_settings(void)
{
	PlannerSettings settings = {
		.seqscan = enable_seqscan,
		.indexonlyscan = enable_indexonlyscan,
		.bitmapscan = enable_bitmapscan,
		.sort = enable_sort,
		.incremental_sort = enable_incremental_sort,
	};

	return settings;
}

static void
set_settings(PlannerSettings settings)
{
	enable_seqscan = settings.seqscan;
	enable_indexonlyscan = settings.indexonlyscan;
	enable_bitmapscan = settings.bitmapscan;
	enable_sort = settings.sort;
	enable_incremental_sort = settings.incremental_sort;
}

/* The hook: leaves the planner those indexes of a table that can be streamed from. */
static void
keep_fitting_indexes(RELATION_INFO_PARAMETERS)
{
	const RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	ListCell   *lc;

	if (prev_relation_info_hook)
		prev_relation_info_hook(RELATION_INFO_ARGUMENTS);

	if (planned.feed == NULL || rte->rtekind != RTE_RELATION || rte->inh ||
		root->parse->hasRowSecurity)
		return;
	foreach(lc, rel->indexlist)
	{
		const IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		if (!catalogue_feed_index_fits(planned.feed, planned.filter, rte->relid, index->indexoid))
			rel->indexlist = foreach_delete_current(rel->indexlist, lc);
	}
}
