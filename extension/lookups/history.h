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
extern void catalogue_note_size(const LookupKey *key, uint64 nrows, Size bytes);
extern bool catalogue_prefers_part(const LookupKey *key, uint64 renewals, bool kept,
								   uint64 spent);
extern uint64 catalogue_note_part(const LookupKey *key, uint64 renewals, uint64 nrows);

#endif							/* CATALOGUE_LOOKUPS_HISTORY_H */
