/*
 * feed.h
 *		What a feed function is bound to: its table, columns and types.
 *
 * A ChapterFeed is cached for each function, and the modules of the feed keep
 * with it what they have prepared for it.  Whoever uses one has pinned it: a
 * nested call may find it stale and drop it from the cache.
 */
#ifndef CATALOGUE_FEED_H
#define CATALOGUE_FEED_H

#include "attachment.h"
#include "query.h"

#include "access/attnum.h"

/* Arguments of recent_chapters() and recent_chapters_any(). */
enum
{
	ARG_FILIERE,
	ARG_N,
	ARG_BEFORE_ID,
	ARG_BEFORE_AT,
	ARG_COUNT
};

typedef struct ValueType
{
	Oid			oid;
	int16		len;
	bool		byval;
	char		align;
} ValueType;

/* column = value, where the column belongs to an index that serves with it. */
typedef struct PageFilter
{
	AttrNumber	attno;			/* 0 for none */
	Oid			opno;
	Oid			type;			/* of the value */
} PageFilter;

/* n of a call that asks for all chapters. */
#define ALL_CHAPTERS PG_INT64_MAX

typedef struct ChapterFeed
{
	CachedThing base;			/* (must be first) */
	Oid			funcid;			/* hash key */
	const Attachment *attachment;	/* without its lists */
	Oid			config_relid;	/* which changes with the attachment */
	Oid			relid;
	char	   *relation;		/* its qualified name, quoted */
	bool		several;		/* takes an array of filières */

	/*
	 * What the arguments' values are, which can be wider than the columns';
	 * an array's elements.
	 */
	ValueType	filiere;
	ValueType	id;
	ValueType	created_at;
	Oid			argument_type;	/* filiere's type, or its array type */
	Oid			created_at_column_type;
	Oid			id_column_type;

	char	   *order_by;		/* the feed's order in SQL */

	/* Each belongs to one module, and is NULL until it is needed. */
	struct CachedReferencePlan *reference;	/* reference_plan.c */
	struct KeyRangePlans *key_ranges;	/* key_range.c */
	SPIPlanPtr	position;		/* page_position.c */
} ChapterFeed;

extern ChapterFeed *catalogue_feed_pin(CachedPin *pin, Oid funcid);
extern SPIPlanPtr catalogue_feed_prepare(const ChapterFeed *feed, MemoryContext cxt,
										 Oid filiere_type, Oid filter_type, const char *query,
										 int cursor_options);
extern ParamListInfo catalogue_feed_params(const ChapterFeed *feed, const NullableDatum *filiere,
										   int64 n, const NullableDatum *before_at,
										   const NullableDatum *before_id);
extern Datum catalogue_feed_widen(Datum value, Oid type);

#endif							/* CATALOGUE_FEED_H */
