/*
 * explain.c
 *		What EXPLAIN says of a call of the feed.
 */
#include "feed/explain.h"

#include "names.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void explain_targets(const ReferencePlan *plan, ExplainState *es);
static char *index_condition(const ChapterFeed *feed, const PageFilter *filter, List *args);
static void explain_counts(const ChapterFeed *feed, const ReferencePlan *plan,
						   const ChapterCounts *counts, ExplainState *es);

/* "args" are the call's argument expressions as text, NULL for a NULL constant. */
void
catalogue_feed_explain(const ChapterFeed *feed, const ReferencePlan *plan, List *args,
					   const ChapterCounts *counts, ExplainState *es)
{
	const char *before_id = list_nth(args, ARG_BEFORE_ID);
	const char *before_at = list_nth(args, ARG_BEFORE_AT);

	if (plan->not_streamed == NULL)
	{
		if (plan->ntargets == 1)
		{
			ExplainPropertyText("Index", catalogue_relation_name(plan->targets[0].indexid), es);
			if (ScanDirectionIsBackward(plan->targets[0].direction))
				ExplainPropertyText("Scan Direction", "Backward", es);
		}
		else
			explain_targets(plan, es);
		ExplainPropertyText("Index Cond", index_condition(feed, &plan->filter, args), es);
	}
	else
		ExplainPropertyText("Not Streamed", plan->not_streamed, es);
	if (before_id != NULL)
		ExplainPropertyText("Page After", before_id, es);
	if (before_at != NULL)
		ExplainPropertyText("Page Before", before_at, es);

	if (es->analyze && plan->not_streamed == NULL)
		explain_counts(feed, plan, counts, es);
}

/* How many of the partitions have an index. */
static void
explain_targets(const ReferencePlan *plan, ExplainState *es)
{
	int			by_executor = 0;

	for (int i = 0; i < plan->ntargets; i++)
		by_executor += plan->targets[i].by_executor ? 1 : 0;
	ExplainPropertyInteger("Indexes", NULL, plan->ntargets - by_executor, es);
	if (by_executor > 0)
		ExplainPropertyInteger("Partitions Without Index", NULL, by_executor, es);
}

/* What the index is searched for. */
static char *
index_condition(const ChapterFeed *feed, const PageFilter *filter, List *args)
{
	const char *filiere = list_nth(args, ARG_FILIERE);
	char	   *condition = psprintf(feed->several ? "(%s = ANY (%s))" : "(%s = %s)",
									 quote_identifier(feed->attachment->chapters_filiere),
									 filiere ? filiere : "NULL");

	if (filter->attno != 0)
	{
		const char *column = get_attname(feed->relid, filter->attno, false);
		const char *value = list_nth(args, ARG_COUNT);

		condition = psprintf("(%s AND (%s = %s))", condition, quote_identifier(column),
							 value ? value : "NULL");
	}

	return condition;
}

static void
explain_counts(const ChapterFeed *feed, const ReferencePlan *plan, const ChapterCounts *counts,
			   ExplainState *es)
{
	if (feed->several || plan->ntargets > 1)
		ExplainPropertyInteger("Merged Scans", NULL, counts->merged, es);
	ExplainPropertyUInteger("Rows Read", NULL, counts->rows_read, es);
	if (counts->index_only)
		ExplainPropertyUInteger("Heap Fetches", NULL, counts->heap_fetches, es);
	if (counts->blocks_ahead > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyUInteger("Blocks Read Ahead", NULL, counts->blocks_ahead, es);
}
