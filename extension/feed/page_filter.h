/*
 * page_filter.h
 *		A condition above a call by which an index reads less.
 */
#ifndef CATALOGUE_PAGE_FILTER_H
#define CATALOGUE_PAGE_FILTER_H

#include "feed/feed.h"

#include "nodes/pg_list.h"

extern List *catalogue_feed_use_conditions(Oid funcid, List *args, Index rti, List *conditions,
										   List **used);
extern PageFilter catalogue_feed_page_filter(const List *used);

#endif							/* CATALOGUE_PAGE_FILTER_H */
