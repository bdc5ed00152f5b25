/*
 * page_position.h
 *		Where the next page's cursor is looked up.
 */
#ifndef CATALOGUE_PAGE_POSITION_H
#define CATALOGUE_PAGE_POSITION_H

#include "feed/feed.h"
#include "feed/key_range.h"
#include "feed/reference_plan.h"

#include "utils/relcache.h"
#include "utils/snapshot.h"

extern void catalogue_feed_find_position(ChapterFeed *feed, const ReferencePlan *plan, Relation rel,
										 Snapshot snapshot, const NullableDatum *before_id,
										 const NullableDatum *before_at, ChapterPosition *position);

#endif							/* CATALOGUE_PAGE_POSITION_H */
