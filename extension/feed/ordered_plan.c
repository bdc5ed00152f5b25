/*
 * ordered_plan.c
 *		The reference query's plan by an index that has the feed's order.
 *
 * For any filière and any n the planner may prefer another plan: it sorts a table
 * that is small yet, or, where an index on created_at alone serves a page of the
 * whole site, reads that and drops the chapters of other filières.  Such a plan is
 * kept while the table grows, and is the worst for a filière with few chapters.  So
 * the planner chooses among the indexes that can be streamed from: it sees no
 * others, and is to avoid whatever sorts.
 *
 * With row-level security nothing is streamed, and policies may call functions that
 * plan queries of their own: then it sees every index.
 */
#include "feed/ordered_plan.h"

#include "feed/index_targets.h"

#include "optimizer/cost.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"

/* What is being planned for; NULL outside. */
static const ChapterFeed *planned_feed = NULL;
static const PageFilter *planned_filter = NULL;

static relation_info_hook_type prev_relation_info_hook = NULL;

static void keep_fitting_indexes(RELATION_INFO_PARAMETERS);

/* Called once, while the library is loaded. */
void
catalogue_ordered_plan_init(void)
{
	prev_relation_info_hook = relation_info_hook;
	relation_info_hook = keep_fitting_indexes;
}

/*
 * The generic plan of a reference query, made if the server holds none that is valid;
 * to be released.  Who has turned index scans off gets the planner's own choice.
 *
 * The settings are changed as variables: GUC's own way costs more than what is asked
 * for most of the time, a plan that is there.
 */
CachedPlan *
catalogue_feed_ordered_plan(const ChapterFeed *feed, const PageFilter *filter,
							CachedPlanSource *source)
{
	const ChapterFeed *save_feed = planned_feed;
	const PageFilter *save_filter = planned_filter;
	const bool	save_seqscan = enable_seqscan;
	const bool	save_bitmapscan = enable_bitmapscan;
	const bool	save_sort = enable_sort;
	const bool	save_incremental_sort = enable_incremental_sort;
	CachedPlan *volatile cplan = NULL;

	PG_TRY();
	{
		if (enable_indexscan)
		{
			planned_feed = feed;
			planned_filter = filter;
			enable_seqscan = enable_bitmapscan = false;
			enable_sort = enable_incremental_sort = false;
		}
		cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		planned_feed = save_feed;
		planned_filter = save_filter;
		enable_seqscan = save_seqscan;
		enable_bitmapscan = save_bitmapscan;
		enable_sort = save_sort;
		enable_incremental_sort = save_incremental_sort;
	}
	PG_END_TRY();

	return cplan;
}

/* The hook: leaves the planner those indexes of a table that can be streamed from. */
static void
keep_fitting_indexes(RELATION_INFO_PARAMETERS)
{
	const RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	ListCell   *lc;

	if (prev_relation_info_hook)
		prev_relation_info_hook(RELATION_INFO_ARGUMENTS);

	if (planned_feed == NULL || rte->rtekind != RTE_RELATION || rte->inh ||
		root->parse->hasRowSecurity)
		return;
	foreach(lc, rel->indexlist)
	{
		const IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		if (!catalogue_feed_index_fits(planned_feed, planned_filter, rte->relid, index->indexoid))
			rel->indexlist = foreach_delete_current(rel->indexlist, lc);
	}
}
