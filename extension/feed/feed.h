/*
 * chapter_feed.h
 *		What the three files of the feed share.
 *
 * chapter_feed.c knows what a function reads and what the planner says of it,
 * chapter_scan.c reads index ranges, recent_chapters.c is the tuple source
 * that puts the two together.
 */
#ifndef CATALOGUE_CHAPTER_FEED_H
#define CATALOGUE_CHAPTER_FEED_H

#include "attachment.h"

#include "access/attnum.h"
#include "access/sdir.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/params.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* Arguments of recent_chapters(). */
enum
{
	ARG_FILIERE,
	ARG_N,
	ARG_BEFORE_ID,
	ARG_BEFORE_AT,
	ARG_COUNT
};

/* A range of the order, as one condition. */
typedef enum ChapterLeg
{
	LEG_NEWEST,		   /* from the start */
	LEG_BEFORE,		   /* created_at < before_at */
	LEG_AFTER,		   /* (created_at, id) < (before_at, before_id) */
	LEG_UNDATED,	   /* created_at IS NULL */
	LEG_UNDATED_AFTER, /* created_at IS NULL AND id < before_id */
	LEG_END
} ChapterLeg;

/* Where a page begins. */
typedef struct ChapterPosition
{
	ChapterLeg first_leg;
	NullableDatum before_at;
	NullableDatum before_id;
} ChapterPosition;

/* What the reference query's generic plan says. */
typedef struct ReferencePlan
{
	int generation; /* of the cached plan that this was read from */
	bool depends_on_role;
	double rows; /* of a whole filière */
	Cost startup_cost;
	Cost total_cost;
	AttrNumber filiere_attno;
	AttrNumber created_at_attno;
	AttrNumber id_attno;
	const char *not_streamed; /* why the index cannot be read here; NULL if it can */
	Oid indexid;
	Oid id_indexid; /* unique, on the id alone; InvalidOid if there is none */
	ScanDirection direction;
	FmgrInfo equality; /* filière column = argument */
} ReferencePlan;

/* A column's type; of a domain, its base type. */
typedef struct ColumnType
{
	Oid oid;
	int16 len;
	bool byval;
	char align;
} ColumnType;

/*
 * The plans of the legs, for rows of the table's type in which some columns are
 * filled.  One for each set of columns that is asked for; kept while the last.
 */
typedef struct LegPlans
{
	CachedThing base; /* (must be first) */
	Bitmapset *columns;
	SPIPlanPtr legs[LEG_END]; /* NULL until needed */
} LegPlans;

/* What a function reads, and the plans saved for it. */
typedef struct ChapterFeed
{
	CachedThing base; /* (must be first) */
	Oid funcid;		  /* hash key */
	const Attachment *attachment;
	CachedPin attachment_pin;
	Oid relid;
	char *relation; /* its qualified name, quoted */
	bool several;	/* takes an array of filières */
	ColumnType filiere;
	ColumnType id;
	ColumnType created_at;
	Oid argument_type;	  /* filiere's type, or its array type */
	SPIPlanPtr reference; /* one filière from the start */
	ReferencePlan plan;	  /* what it looked like last */
	LegPlans *leg_plans;  /* what runs where the source cannot stream */
	SPIPlanPtr position;  /* created_at of an id */
} ChapterFeed;

/* reference_plan.c */
extern void catalogue_pin_chapter_feed(CachedPin *pin, Oid funcid);
extern const ReferencePlan *catalogue_chapter_reference_plan(ChapterFeed *feed);
extern LegPlans *catalogue_chapter_leg_plans(ChapterFeed *feed, const Bitmapset *columns);
extern SPIPlanPtr catalogue_chapter_leg_plan(ChapterFeed *feed, LegPlans *plans, ChapterLeg leg);
extern SPIPlanPtr catalogue_chapter_position_plan(ChapterFeed *feed);
extern ParamListInfo catalogue_chapter_plan_params(const ChapterFeed *feed,
												   const NullableDatum *filiere, int64 n,
												   const ChapterPosition *position);

/* index_scan.c */
typedef struct ChapterScan ChapterScan;

extern ChapterScan *catalogue_chapter_scan_begin(Relation rel, Relation index, Snapshot snapshot,
												 const ReferencePlan *plan,
												 const ChapterPosition *position, Datum *filieres,
												 int nfilieres);
extern bool catalogue_chapter_look_up(Relation rel, Snapshot snapshot, const ReferencePlan *plan,
									  Datum id, NullableDatum *created_at);
extern TupleTableSlot *catalogue_chapter_scan_next(ChapterScan *scan);
extern uint64 catalogue_chapter_scan_rows_read(const ChapterScan *scan);
extern int catalogue_chapter_scan_merged(const ChapterScan *scan);
extern void catalogue_chapter_scan_end(ChapterScan *scan);
extern ChapterLeg catalogue_chapter_next_leg(Relation rel, const ReferencePlan *plan,
											 ChapterLeg leg);

#endif /* CATALOGUE_CHAPTER_FEED_H */
