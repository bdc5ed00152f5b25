/*
 * filiere_runs.c
 *		Which scans the filières of a page are: each a run of targets.
 *
 * A filière is in one table, or in those partitions that pruning leaves.  Where they
 * follow one another in time, one scan reads them in turn: they are a run
 * (pruning.c).  A partition that the executor reads for several filières is read
 * once, for all of them, and is a run by itself.
 *
 * Locking: targets are locked when they are named here, and then it is asked whether
 * the reference plan that named them is current.
 *
 * Lifetime: in the memory context that is current.
 */
#include "feed/filiere_runs.h"

static PrunedTargets *prune_and_lock(FiliereRuns *runs, Datum value);

/*
 * How many runs there are; of more filières than "many", at least how many.  False
 * where the reference plan is not current any more.
 */
bool
catalogue_feed_count_runs(FiliereRuns *runs, int many, int *nruns)
{
	*nruns = runs->nfilieres;
	if (runs->nfilieres > many)
		return true;

	runs->pruned = palloc(sizeof(PrunedTargets *) * Max(runs->nfilieres, 1));
	*nruns = 0;
	for (int i = 0; i < runs->nfilieres; i++)
	{
		PrunedTargets *pruned = prune_and_lock(runs, runs->filieres[i]);

		if (pruned == NULL)
			return false;
		runs->pruned[i] = pruned;
		for (int first = 0; first < pruned->ntargets;
			 first += catalogue_feed_run_length(runs, pruned, first))
			(*nruns)++;
	}

	return true;
}

/*
 * The targets that can have a filière, all of them locked: the plan is known to be
 * current before the first row is returned.  NULL where it is not.
 */
static PrunedTargets *
prune_and_lock(FiliereRuns *runs, Datum value)
{
	ScanTargets *targets = runs->targets;
	PrunedTargets *pruned = runs->any_filiere;

	if (pruned != NULL)
		return pruned;

	pruned = catalogue_feed_prune(runs->feed, runs->plan, targets->rel, runs->position, value);
	for (int i = 0; i < pruned->ntargets; i++)
		catalogue_feed_lock_target(&targets->targets[pruned->targets[i].number]);
	if (!runs->plan->targets_locked && !catalogue_feed_plan_is_current(runs->plan))
		return NULL;
	if (pruned->for_any_filiere)
		runs->any_filiere = pruned;

	return pruned;
}

/* Those of one of the filières, which were found when runs were counted, but for many. */
PrunedTargets *
catalogue_feed_pruned_targets(FiliereRuns *runs, int number)
{
	return runs->pruned != NULL ? runs->pruned[number]
		: prune_and_lock(runs, runs->filieres[number]);
}

/* For a filière of many that proved to have no chapters. */
void
catalogue_feed_free_pruned_targets(FiliereRuns *runs, PrunedTargets *pruned)
{
	if (runs->pruned == NULL && pruned != runs->any_filiere)
		pfree(pruned);
}

/* The number of targets of the run that begins with one. */
int
catalogue_feed_run_length(const FiliereRuns *runs, const PrunedTargets *pruned, int first)
{
	int			n = first + 1;

	if (!catalogue_feed_is_for_all(runs, pruned->targets[first].number))
	{
		while (n < pruned->ntargets && pruned->targets[n].follows &&
			   !catalogue_feed_is_for_all(runs, pruned->targets[n].number))
			n++;
	}

	return n - first;
}

/* Whether the executor reads a target for several filières, which it does at once. */
bool
catalogue_feed_is_for_all(const FiliereRuns *runs, int number)
{
	return runs->nfilieres > 1 && runs->plan->targets[number].by_executor;
}
