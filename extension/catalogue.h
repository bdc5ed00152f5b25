/*
 * catalogue.h
 *		What every file of the extension includes: the server's basics, its
 *		settings, and the set-up of each part.
 *
 * Data flows one way: SQL entry point -> attachment -> source -> scan.  A
 * feature (feed, deletion, files, lookups) includes the shared headers and its own,
 * never another feature's.
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "postgres.h"

#include "fmgr.h"

#include "compat.h"

/* catalogue.c: settings */
extern int	catalogue_lookup_ttl;	/* seconds; 0 turns the lookup cache off */
extern int	catalogue_cache_size;	/* kilobytes a backend */
extern bool catalogue_notify_lookups;
extern bool catalogue_enable_stream;
extern double catalogue_read_ahead_latency;
extern bool catalogue_skip_redundant_ri_triggers;

/* Each called once, while the library is loaded. */
extern void catalogue_invalidation_init(void);
extern void catalogue_stream_scan_init(void);
extern void catalogue_feed_init(void);
extern void catalogue_lookups_init(void);
extern void catalogue_files_init(void);

#endif							/* CATALOGUE_H */
