/*
 * history.h
 *		Whether it has been worth while to keep what was read for a scope.
 */
#ifndef CATALOGUE_LOOKUPS_HISTORY_H
#define CATALOGUE_LOOKUPS_HISTORY_H

#include "lookups/content.h"

extern void catalogue_note_change(const LookupKey *key, bool was_used, uint64 renewals);
extern void catalogue_forget_histories(void);
extern bool catalogue_steps_aside(const LookupKey *key, uint64 renewals);

#endif							/* CATALOGUE_LOOKUPS_HISTORY_H */
