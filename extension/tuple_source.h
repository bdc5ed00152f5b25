/*
 * tuple_source.h
 *		How a feature hands out rows: begin, open, next, close, end.
 *
 * A tuple source stands behind one SQL function.  The function's call is
 * answered in one of two ways, and the source does not know which: a plan
 * node pulls rows one by one (stream_scan.c), or, where no plan node can
 * stand, all rows go to a tuplestore (materialize.c).
 *
 * begin() is called once for an execution and may take locks; open() is
 * called for each set of argument values and close() after it; end() releases
 * everything.  After an ERROR neither close() nor end() is called: what a
 * source holds must belong to the current resource owner or memory context.
 */
#ifndef CATALOGUE_TUPLE_SOURCE_H
#define CATALOGUE_TUPLE_SOURCE_H

#include "catalogue.h"

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/primnodes.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

typedef struct TupleSource TupleSource;

/* What the planner wants to know about one call. */
typedef struct TupleSourceEstimate
{
	double rows;
	Cost startup_cost;
	Cost total_cost;
	List *relation_oids;  /* relations whose change must end the plan */
	bool depends_on_role; /* the plan holds for the current role only */
} TupleSourceEstimate;

typedef struct TupleSourceMethods
{
	/* The C function whose calls this source answers. */
	PGFunction function;

	/*
	 * A text column, by its number, of which the source can hand out one
	 * value's rows alone, or 0.  open() then takes that value as one more
	 * argument, NULL where every row is wanted.
	 */
	AttrNumber selected_column;

	/*
	 * Estimates one call, from its planned argument expressions.  May raise
	 * what the call itself would raise.
	 */
	void (*estimate)(Oid funcid, List *args, TupleSourceEstimate *estimate);

	/*
	 * Prepares to answer calls of the function, under a snapshot, in the
	 * current memory context.  Checks the caller's rights on the columns that
	 * will be looked at: attribute numbers, 0 for all of them.
	 */
	TupleSource *(*begin)(Oid funcid, Snapshot snapshot, const Bitmapset *columns);

	/*
	 * Has next() store these columns alone, by their numbers, in this order, in
	 * a virtual slot of that shape.  Not called where all of them are wanted in
	 * a slot of the row type.  NULL for a source whose rows are tuples.
	 */
	void (*project)(TupleSource *source, int ncolumns, const AttrNumber *columns);

	/*
	 * Starts over with new argument values, which need not outlive the call.
	 * A source that finds it cannot stream may put all its rows into "store"
	 * where that is given, and then has nothing left for next().
	 */
	void (*open)(TupleSource *source, const NullableDatum *args, Tuplestorestate *store);

	/* Stores the next row in a slot of the source's kind; false at the end. */
	bool (*next)(TupleSource *source, TupleTableSlot *slot);

	void (*close)(TupleSource *source);
	void (*end)(TupleSource *source);

	/*
	 * Adds lines to EXPLAIN.  "args" are the call's expressions as text, NULL
	 * for a NULL constant.
	 */
	void (*explain)(TupleSource *source, List *args, ExplainState *es);
} TupleSourceMethods;

/* Every source begins with this. */
struct TupleSource
{
	const TupleSourceMethods *methods;
	TupleDesc tupdesc;				   /* of the slots that next() takes ... */
	const TupleTableSlotOps *slot_ops; /* ... and their kind */
};

/* recent_chapters.c */
extern const TupleSourceMethods catalogue_chapter_source;

/* cached_lookups.c */
extern const TupleSourceMethods catalogue_lookup_row_source;
extern const TupleSourceMethods catalogue_lookup_document_source;

/* lookup_statistics.c */
extern void catalogue_lookup_statistics_init(void);

/* stream_scan.c */
extern void catalogue_stream_scan_init(void);

/* materialize.c */
extern Datum catalogue_materialize(FunctionCallInfo fcinfo, const TupleSourceMethods *methods);

#endif /* CATALOGUE_TUPLE_SOURCE_H */
