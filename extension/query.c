/*
 * query.c
 *		The two ways into SPI: a plan that is kept, and a query that is run once.
 */
#include "query.h"

#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/resowner.h"

static void turn_off(const char *setting);
static void free_plan(void *plan);

/*
 * Prepares a query whose plan lives as long as a memory context, and must not
 * be running when that is reset.  Cursor options may ask for a generic or a
 * custom plan.
 */
SPIPlanPtr
catalogue_prepare(MemoryContext cxt, const char *query, int nargs, Oid *argtypes,
				  int cursor_options)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(query, nargs, argtypes, cursor_options);
	MemoryContextCallback *callback;

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));

	/*
	 * Not before: what cannot be prepared is tried again, and leaves nothing
	 * behind each time.
	 */
	callback = MemoryContextAlloc(cxt, sizeof(MemoryContextCallback));
	SPI_keepplan(plan);
	callback->func = free_plan;
	callback->arg = plan;
	MemoryContextRegisterResetCallback(cxt, callback);

	return plan;
}

/*
 * Makes the generic plan of a query that has one, if it is not there yet: where
 * there are many keys, one scan of an index for all of them, then the rows in the
 * order of the table; where there are few, each row as it is found; or the rows by
 * their TIDs.  Other plans are bad for a whole batch but may look good to the
 * planner, which expects ten elements of an array.  Without an index it has to
 * read the table all the same, at a cost that calls for JIT compilation, in vain.
 */
void
catalogue_plan_by_index(SPIPlanPtr plan, bool many)
{
	const CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	int			save_nestlevel;

	if (!(source->cursor_options & CURSOR_OPT_GENERIC_PLAN) ||
		(source->is_valid && source->gplan != NULL && source->gplan->is_valid))
		return;

	save_nestlevel = NewGUCNestLevel();
	turn_off("enable_seqscan");
	turn_off(many ? "enable_indexscan" : "enable_bitmapscan");
	turn_off("jit");
	ReleaseCachedPlan(SPI_plan_get_cached_plan(plan), CurrentResourceOwner);
	AtEOXact_GUC(true, save_nestlevel);
}

/* To the end of the GUC nest level. */
static void
turn_off(const char *setting)
{
	(void) set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* Runs a plan; returns the number of rows. */
uint64
catalogue_execute_plan(SPIPlanPtr plan, const SPIExecuteOptions *options)
{
	int			ret = SPI_execute_plan_extended(plan, options);

	if (ret < 0)
		elog(ERROR, "could not execute a saved plan: %s", SPI_result_code_string(ret));

	return SPI_processed;
}

/* Plans and runs a query once; returns the number of rows. */
uint64
catalogue_execute(const char *query, const SPIExecuteOptions *options)
{
	int			ret = SPI_execute_extended(query, options);

	if (ret < 0)
		elog(ERROR, "could not execute \"%s\": %s", query, SPI_result_code_string(ret));

	return SPI_processed;
}

/* Parameters for either, in the current memory context; the planner may look at their values. */
ParamListInfo
catalogue_make_params(int n, const Oid *types, const NullableDatum *values)
{
	ParamListInfo params = makeParamList(n);

	for (int i = 0; i < n; i++)
		params->params[i] = (ParamExternData)
	{
		.value = values[i].value,
			.isnull = values[i].isnull,
			.pflags = PARAM_FLAG_CONST,
			.ptype = types[i],
	};

	return params;
}

/* Reset callback of the memory context that a plan belongs to. */
static void
free_plan(void *plan)
{
	SPI_freeplan(plan);
}
