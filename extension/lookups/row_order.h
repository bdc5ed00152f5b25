/*
 * row_order.h
 *		The order of rows in the answer to a lookup request.
 */
#ifndef CATALOGUE_LOOKUPS_ROW_ORDER_H
#define CATALOGUE_LOOKUPS_ROW_ORDER_H

#include "lookups/content.h"

extern void catalogue_sort_lookup_rows(LookupRow *rows, uint64 nrows, const char *values);

#endif							/* CATALOGUE_LOOKUPS_ROW_ORDER_H */
