/*
 * history.c
 *		Whether it has been worth while to keep what was read for a scope.
 *
 * Where the tables change more often than a session asks, all that it keeps is
 * invalidated before it is asked for again.  After several such loads in a row the
 * cache steps aside for the scope: calls read the tables and keep nothing.  It comes
 * back by itself, when two calls follow each other without a change in between: the
 * second would have been a hit.
 *
 * A call that asks for one kind or one row need not wait for all to be read: it may read
 * its part straight from the table.  It does until such calls have cost, since the last
 * change, what a load costs: a load is never paid that is not asked for often enough,
 * and never more than twice what it is worth.
 *
 * A scope's forms have one history, since its document is kept for the sake of the
 * version.  Scopes whose hashes collide forget each other, which costs a load or two.
 */
#include "lookups/history.h"

#include "lookups/entries.h"

#include "common/hashfn.h"

#define WASTED_LOADS 4			/* in a row, until the cache steps aside */
#define HISTORIES 256

/* What it takes to read a part, beside its rows, in rows of a load. */
#define PART_COST 32

typedef struct ScopeHistory
{
	uint32		hash;			/* of the scope; 0 where unused */
	int			wasted;			/* loads invalidated without a hit, in a row */
	uint64		noted;			/* the renewal that was noted last */
	uint64		bypassed;		/* the renewal at which a call stepped aside;
								 * 0 for none */
	uint64		nrows;			/* when all was read last; 0 for never */
	Size		bytes;			/* that these took */
	uint64		spent;			/* on parts since the renewal below, in rows */
	uint64		spent_since;
} ScopeHistory;

static ScopeHistory histories[HISTORIES];

static ScopeHistory *find_history(const LookupKey *key);

/*
 * Notes that a change has invalidated what was read for a scope, used or not.
 * Renewals tell one change from the next: several forms may go with one.
 */
void
catalogue_note_change(const LookupKey *key, bool was_used, uint64 renewals)
{
	ScopeHistory *history = find_history(key);

	if (was_used)
		history->wasted = 0;
	else if (history->noted != renewals)
		history->wasted++;
	history->noted = renewals;
}

void
catalogue_forget_histories(void)
{
	memset(histories, 0, sizeof(histories));
}

/*
 * Whether a call for a scope that is not cached should leave it at that.  A call that
 * would have been a hit ends it, for one load at first.
 */
bool
catalogue_steps_aside(const LookupKey *key, uint64 renewals)
{
	ScopeHistory *history = find_history(key);
	bool		unchanged = history->bypassed == renewals;

	history->bypassed = 0;
	if (history->wasted < WASTED_LOADS)
		return false;
	if (unchanged)
	{
		history->wasted = WASTED_LOADS - 1;
		return false;
	}
	history->bypassed = renewals;

	return true;
}

/* Notes how much all of a scope is. */
void
catalogue_note_size(const LookupKey *key, uint64 nrows, Size bytes)
{
	ScopeHistory *history = find_history(key);

	history->nrows = nrows;
	history->bytes = bytes;
}

/*
 * Whether a call that a part is enough for should read just that.  If all would be kept,
 * it is what calls have spent since the last change that decides, else what this
 * statement has.
 */
bool
catalogue_prefers_part(const LookupKey *key, uint64 renewals, bool kept, uint64 spent)
{
	const ScopeHistory *history = find_history(key);

	if (kept && history->bytes <= catalogue_cache_limit() / 2)
		spent = history->spent_since == renewals ? history->spent : 0;
	else if (spent == 0)
		return true;

	return spent + PART_COST <= history->nrows;
}

/* Notes that a part of so many rows was read; returns its cost. */
uint64
catalogue_note_part(const LookupKey *key, uint64 renewals, uint64 nrows)
{
	ScopeHistory *history = find_history(key);

	if (history->spent_since != renewals)
		history->spent = 0;
	history->spent_since = renewals;
	history->spent += PART_COST + nrows;

	return PART_COST + nrows;
}

static ScopeHistory *
find_history(const LookupKey *key)
{
	uint32		hash = murmurhash32(key->schema);
	ScopeHistory *history;

	if (OidIsValid(key->scope.type))
		hash = hash_combine(hash, hash_bytes((const unsigned char *) key->scope.image,
											 (int) key->scope.length));
	hash = Max(hash, 1);
	history = &histories[hash % HISTORIES];
	if (history->hash != hash)
	{
		memset(history, 0, sizeof(ScopeHistory));
		history->hash = hash;
	}

	return history;
}
