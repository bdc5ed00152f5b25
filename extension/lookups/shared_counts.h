/*
 * shared_counts.h
 *		What the lookup caches of all sessions have done.
 */
#ifndef CATALOGUE_LOOKUPS_SHARED_COUNTS_H
#define CATALOGUE_LOOKUPS_SHARED_COUNTS_H

extern void catalogue_attach_shared_counts(void);
extern void catalogue_share_counts(void);
extern void catalogue_reset_counts(void);

#endif							/* CATALOGUE_LOOKUPS_SHARED_COUNTS_H */
