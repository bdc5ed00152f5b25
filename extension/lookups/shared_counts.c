/*
 * shared_counts.c
 *		What the lookup caches of all sessions have done, in shared memory.
 *
 * A session counts for itself, and adds what is new to the shared counts at the end of
 * each transaction: that needs no lock and no memory, and cannot fail.  The segment is
 * made by the first session that uses its cache, and lasts until the server stops.
 *
 * Before PostgreSQL 17 an extension gets shared memory only where the server preloads
 * it, so there are no such counts.
 */
#include "lookups/shared_counts.h"

#include "lookups/entries.h"

#include "funcapi.h"
#include "port/atomics.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Says which layout it has: sessions with another build of the library use another one. */
#define SEGMENT_NAME "catalogue lookup counts 1"

#define NCOUNTS (sizeof(LookupCounts) / sizeof(uint64))

typedef struct SharedCounts
{
	pg_atomic_uint64 counts[NCOUNTS];	/* in the order of LookupCounts */
	TimestampTz since;
} SharedCounts;

StaticAssertDecl(sizeof(LookupCounts) == NCOUNTS * sizeof(uint64), "LookupCounts has padding");

/* Columns of catalogue.cache_stats_all() behind the counts, in the order of LookupCounts. */
enum
{
	STATS_HIT_RATE = NCOUNTS,
	STATS_SINCE,
	STATS_NATTS
};

PG_FUNCTION_INFO_V1(catalogue_cache_stats_all);

static SharedCounts *shared = NULL; /* NULL where there are none */
static LookupCounts added;		/* of this session's, to the shared ones */

static void init_shared_counts(void *segment CATALOGUE_SEGMENT_ARG);
static uint64 read_count(size_t offset);

/* Called before the first use of the cache; may raise that there is no more shared memory. */
void
catalogue_attach_shared_counts(void)
{
	bool		found;

	if (shared == NULL)
		shared = catalogue_named_segment(SEGMENT_NAME, sizeof(SharedCounts), init_shared_counts,
										 &found);
}

/* Adds what this session has counted since the last time. */
void
catalogue_share_counts(void)
{
	const uint64 *counts = (const uint64 *) &catalogue_lookup_counts;
	uint64	   *before = (uint64 *) &added;

	if (shared == NULL || memcmp(&catalogue_lookup_counts, &added, sizeof(added)) == 0)
		return;

	for (size_t i = 0; i < NCOUNTS; i++)
	{
		if (counts[i] != before[i])
			pg_atomic_fetch_add_u64(&shared->counts[i], (int64) (counts[i] - before[i]));
		before[i] = counts[i];
	}
}

/* Sets this session's counts to zero; the shared ones keep them. */
void
catalogue_reset_counts(void)
{
	catalogue_share_counts();
	memset(&catalogue_lookup_counts, 0, sizeof(catalogue_lookup_counts));
	memset(&added, 0, sizeof(added));
}

/*
 * catalogue.cache_stats_all() RETURNS SETOF record
 *
 * The counts of all sessions of the server, in all databases, in one row.
 *
 * Errors: a server before 17 0A000.
 */
Datum
catalogue_cache_stats_all(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[STATS_NATTS];
	bool		isnull[STATS_NATTS] = {false};
	uint64		hits;
	uint64		calls;

	InitMaterializedSRF(fcinfo, 0);
	catalogue_attach_shared_counts();
	if (shared == NULL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("numbers of all sessions need PostgreSQL 17 or later"),
				errhint("catalogue.cache_stats has those of this session."));

	catalogue_share_counts();
	for (size_t i = 0; i < NCOUNTS; i++)
		values[i] = Int64GetDatum((int64) pg_atomic_read_u64(&shared->counts[i]));
	hits = read_count(offsetof(LookupCounts, hits));
	calls = hits + read_count(offsetof(LookupCounts, misses)) +
		read_count(offsetof(LookupCounts, bypasses));
	isnull[STATS_HIT_RATE] = calls == 0;
	values[STATS_HIT_RATE] = Float8GetDatum(calls == 0 ? 0 : (double) hits / calls);
	values[STATS_SINCE] = TimestampTzGetDatum(shared->since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);

	return (Datum) 0;
}

static void
init_shared_counts(void *segment CATALOGUE_SEGMENT_ARG)
{
	SharedCounts *counts = segment;

	for (size_t i = 0; i < NCOUNTS; i++)
		pg_atomic_init_u64(&counts->counts[i], 0);
	counts->since = GetCurrentTimestamp();
}

static uint64
read_count(size_t offset)
{
	return pg_atomic_read_u64(&shared->counts[offset / sizeof(uint64)]);
}
