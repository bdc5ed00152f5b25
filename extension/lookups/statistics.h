/*
 * statistics.h
 *		What the planner is told about cached_lookups().
 */
#ifndef CATALOGUE_LOOKUPS_STATISTICS_H
#define CATALOGUE_LOOKUPS_STATISTICS_H

#include "attachment.h"

extern void catalogue_lookup_statistics_init(void);
extern double catalogue_lookup_table_rows(const LookupBinding *lookup);

#endif							/* CATALOGUE_LOOKUPS_STATISTICS_H */
