/*
 * filiere_probe.h
 *		Which of many filières exist.
 */
#ifndef CATALOGUE_FILIERE_PROBE_H
#define CATALOGUE_FILIERE_PROBE_H

#include "feed/feed.h"
#include "feed/scan_targets.h"

#include "utils/snapshot.h"

typedef struct FiliereProbe FiliereProbe;

extern FiliereProbe *catalogue_feed_begin_probe(const ScanTarget *target, Snapshot snapshot,
												const ChapterFeed *feed);
extern int	catalogue_feed_skip_missing(FiliereProbe *probe, const Datum *filieres, int nfilieres,
										int missing);
extern void catalogue_feed_end_probe(FiliereProbe *probe);

#endif							/* CATALOGUE_FILIERE_PROBE_H */
