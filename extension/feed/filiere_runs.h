/*
 * filiere_runs.h
 *		Which scans the filières of a page are: each a run of targets.
 */
#ifndef CATALOGUE_FILIERE_RUNS_H
#define CATALOGUE_FILIERE_RUNS_H

#include "feed/pruning.h"
#include "feed/scan_targets.h"

typedef struct FiliereRuns
{
	ScanTargets *targets;
	const ChapterFeed *feed;
	const ReferencePlan *plan;
	const ChapterPosition *position;
	const Datum *filieres;
	int			nfilieres;
	PrunedTargets **pruned;		/* of each filière; NULL where they are many */
	PrunedTargets *any_filiere; /* where these are the same for all */
} FiliereRuns;

extern bool catalogue_feed_count_runs(FiliereRuns *runs, int many, int *nruns);
extern PrunedTargets *catalogue_feed_pruned_targets(FiliereRuns *runs, int number);
extern void catalogue_feed_free_pruned_targets(FiliereRuns *runs, PrunedTargets *pruned);
extern int	catalogue_feed_run_length(const FiliereRuns *runs, const PrunedTargets *pruned,
									  int first);
extern bool catalogue_feed_is_for_all(const FiliereRuns *runs, int number);

#endif							/* CATALOGUE_FILIERE_RUNS_H */
