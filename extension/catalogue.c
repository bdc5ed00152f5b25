/*
 * catalogue.c
 *		Module entry: settings, and the set-up of each part.
 *
 * The library is loaded by the first call of one of its functions (or while
 * the planner sizes such a call), never by shared_preload_libraries, so
 * everything here may run in the middle of a query.
 */
#include "catalogue.h"

#include <limits.h>

#include "utils/guc.h"

CATALOGUE_MODULE_MAGIC;

int			catalogue_lookup_ttl = 600;
int			catalogue_cache_size = 8192;
bool		catalogue_notify_lookups = false;
bool		catalogue_enable_stream = true;
double		catalogue_read_ahead_latency = 0.05;
bool		catalogue_skip_redundant_ri_triggers = true;

void		_PG_init(void);

void
_PG_init(void)
{
	DefineCustomIntVariable("catalogue.lookup_ttl",
							"Sets how long a cached lookup result may be served.",
							"0 turns the lookup cache off.",
							&catalogue_lookup_ttl,
							600, 0, INT_MAX / 1000,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomIntVariable("catalogue.cache_size",
							"Sets the memory that a backend's lookup cache may take.",
							"The least recently used entry is evicted first.",
							&catalogue_cache_size,
							8192, 0, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("catalogue.notify_lookups",
							 "Sends NOTIFY catalogue_lookups with a change of the lookup tables.",
							 NULL,
							 &catalogue_notify_lookups,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("catalogue.enable_stream",
							 "Enables the planner's use of streaming scans for the extension's functions.",
							 NULL,
							 &catalogue_enable_stream,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);

	DefineCustomRealVariable("catalogue.read_ahead_latency",
							 "Sets how long the read of a block must take for a page of chapters to be read ahead.",
							 "0 reads ahead always, -1 never.",
							 &catalogue_read_ahead_latency,
							 0.05, -1, 1000,
							 PGC_USERSET, GUC_UNIT_MS,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("catalogue.skip_redundant_ri_triggers",
							 "Skips the triggers of foreign keys that a batch deletion has shown to find nothing.",
							 NULL,
							 &catalogue_skip_redundant_ri_triggers,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("catalogue");

	catalogue_invalidation_init();
	catalogue_stream_scan_init();
	catalogue_feed_init();
	catalogue_lookups_init();
	catalogue_files_init();
}
