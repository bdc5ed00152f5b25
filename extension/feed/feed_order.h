/*
 * feed_order.h
 *		The feed's order in SQL, as an index of the table has it.
 */
#ifndef CATALOGUE_FEED_ORDER_H
#define CATALOGUE_FEED_ORDER_H

#include "feed/feed.h"

extern char *catalogue_feed_order_by(const ChapterFeed *feed, Oid relid);
extern bool catalogue_feed_is_never_null(Relation rel, AttrNumber attno);

#endif							/* CATALOGUE_FEED_ORDER_H */
