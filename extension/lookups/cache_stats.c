/*
 * cache_stats.c
 *		The SQL functions that show and reset the lookup cache of a session.
 */
#include "lookups/cache.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Columns of catalogue.cache_stats(). */
enum
{
	STATS_SCHEMA_NAME,
	STATS_SCOPE,
	STATS_FORM,
	STATS_ROW_COUNT,
	STATS_BYTES,
	STATS_AGE,
	STATS_EXPIRES_IN,
	STATS_HITS,
	STATS_MISSES,
	STATS_INVALIDATIONS,
	STATS_EXPIRIES,
	STATS_EVICTIONS,
	STATS_BYPASSES,
	STATS_DISCARDED_LOADS,
	STATS_HIT_RATE,
	STATS_NATTS
};

PG_FUNCTION_INFO_V1(catalogue_cache_stats);
PG_FUNCTION_INFO_V1(catalogue_cache_reset);

static void put_totals(ReturnSetInfo *rsinfo, const LookupCacheStats *stats);
static void put_entry(ReturnSetInfo *rsinfo, const LookupEntryStats *entry);
static const char *form_name(LookupForm form);
static Datum seconds(double n);

/*
 * catalogue.cache_stats() RETURNS SETOF record
 *
 * This backend's totals in the first row, then a row for each entry, the
 * latest used first.
 */
Datum
catalogue_cache_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LookupCacheStats stats;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);

	catalogue_get_lookup_cache_stats(&stats);
	put_totals(rsinfo, &stats);
	foreach(lc, stats.entries)
		put_entry(rsinfo, lfirst(lc));

	return (Datum) 0;
}

/*
 * catalogue.cache_reset() RETURNS void
 *
 * Drops this backend's entries and sets its totals to zero.
 */
Datum
catalogue_cache_reset(PG_FUNCTION_ARGS)
{
	catalogue_reset_lookup_cache();

	PG_RETURN_VOID();
}

static void
put_totals(ReturnSetInfo *rsinfo, const LookupCacheStats *stats)
{
	const LookupCounts *counts = &stats->counts;
	uint64		calls = counts->hits + counts->misses + counts->bypasses;
	uint64		row_count = 0;
	Datum		values[STATS_NATTS] = {0};
	bool		isnull[STATS_NATTS] = {false};
	ListCell   *lc;

	foreach(lc, stats->entries)
		row_count += ((LookupEntryStats *) lfirst(lc))->nrows;

	isnull[STATS_SCHEMA_NAME] = isnull[STATS_SCOPE] = isnull[STATS_FORM] = true;
	isnull[STATS_AGE] = isnull[STATS_EXPIRES_IN] = true;
	values[STATS_ROW_COUNT] = Int64GetDatum(row_count);
	values[STATS_BYTES] = Int64GetDatum(stats->bytes);
	values[STATS_HITS] = Int64GetDatum(counts->hits);
	values[STATS_MISSES] = Int64GetDatum(counts->misses);
	values[STATS_INVALIDATIONS] = Int64GetDatum(counts->invalidations);
	values[STATS_EXPIRIES] = Int64GetDatum(counts->expiries);
	values[STATS_EVICTIONS] = Int64GetDatum(counts->evictions);
	values[STATS_BYPASSES] = Int64GetDatum(counts->bypasses);
	values[STATS_DISCARDED_LOADS] = Int64GetDatum(counts->discarded_loads);
	if (calls == 0)
		isnull[STATS_HIT_RATE] = true;
	else
		values[STATS_HIT_RATE] = Float8GetDatum((double) counts->hits / calls);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

static void
put_entry(ReturnSetInfo *rsinfo, const LookupEntryStats *entry)
{
	const char *schema = get_namespace_name(entry->schema);
	NameData	schema_name;
	Datum		values[STATS_NATTS] = {0};
	bool		isnull[STATS_NATTS];

	/* Misses and the like are those of the backend. */
	for (int i = 0; i < STATS_NATTS; i++)
		isnull[i] = i > STATS_HITS;

	isnull[STATS_SCHEMA_NAME] = schema == NULL;
	if (schema != NULL)
	{
		namestrcpy(&schema_name, schema);
		values[STATS_SCHEMA_NAME] = NameGetDatum(&schema_name);
	}
	isnull[STATS_SCOPE] = entry->scope == NULL;
	if (entry->scope != NULL)
		values[STATS_SCOPE] = CStringGetTextDatum(entry->scope);
	values[STATS_FORM] = CStringGetTextDatum(form_name(entry->form));
	values[STATS_ROW_COUNT] = Int64GetDatum(entry->nrows);
	values[STATS_BYTES] = Int64GetDatum(entry->bytes);
	values[STATS_AGE] = seconds(entry->age);
	values[STATS_EXPIRES_IN] = seconds(entry->expires_in);
	values[STATS_HITS] = Int64GetDatum(entry->hits);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

static const char *
form_name(LookupForm form)
{
	switch (form)
	{
		case LOOKUP_ROWS:
			return "rows";
		case LOOKUP_DOCUMENT:
			return "document";
		case LOOKUP_VERSION:
			return "version";
	}
	pg_unreachable();
}

static Datum
seconds(double n)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (TimeOffset) (n * USECS_PER_SEC);

	return IntervalPGetDatum(interval);
}
