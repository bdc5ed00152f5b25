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
 * A scope's forms have one history, since its document is kept for the sake of the
 * version.  Scopes whose hashes collide forget each other, which costs a load or two.
 */
#include "lookups/history.h"

#include "common/hashfn.h"

#define WASTED_LOADS 4			/* in a row, until the cache steps aside */
#define HISTORIES 256

typedef struct ScopeHistory
{
	uint32		hash;			/* of the scope; 0 where unused */
	int			wasted;			/* loads invalidated without a hit, in a row */
	uint64		noted;			/* the renewal that was noted last */
	uint64		bypassed;		/* the renewal at which a call stepped aside;
								 * 0 for none */
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
