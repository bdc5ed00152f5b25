/*
 * tuple_source.h
 *		How a feature hands out rows: begin, open, next, close, end.
 *
 * A tuple source answers the calls of one SQL function.  Its rows are used in
 * one of two ways, and the source does not know which: a plan node pulls them
 * one by one (stream_scan.c), or, where there can be no plan node, all of them
 * go to a tuplestore (materialize.c).
 *
 * begin() is called once for an execution and may take locks; open() is
 * called for each set of argument values and close() after it; end() releases
 * everything.  After an ERROR neither close() nor end() is called: what a
 * source holds must belong to the current resource owner or memory context.
 */
#ifndef CATALOGUE_TUPLE_SOURCE_H
#define CATALOGUE_TUPLE_SOURCE_H

#include "catalogue.h"

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "nodes/primnodes.h"
#include "utils/snapshot.h"

typedef struct TupleSource TupleSource;

#define MAX_ORDER_COLUMNS 2

/* The columns by which rows come in descending order, NULLs last. */
typedef struct TupleSourceOrder
{
	int			ncolumns;
	struct
	{
		AttrNumber	attno;
		Oid			type;
		int32		typmod;
		Oid			collation;
		bool		nullable;
	}			columns[MAX_ORDER_COLUMNS];
} TupleSourceOrder;

/* What the planner wants to know about one call. */
typedef struct TupleSourceEstimate
{
	double		rows;			/* set before, by whoever asks */
	Cost		startup_cost;
	Cost		total_cost;
	List	   *relation_oids;	/* relations whose change invalidates the plan */
	bool		depends_on_role;	/* the plan holds for the current role
									 * only */
	TupleSourceOrder order;
} TupleSourceEstimate;

typedef struct TupleSourceMethods
{
	/* The C function whose calls this source answers. */
	PGFunction	function;

	/*
	 * Estimates the rows of one call, from its planned argument expressions.
	 * May raise what the call itself would raise.
	 */
	double		(*estimate_rows) (Oid funcid, List *args);

	/* The rest, for a call of so many rows. */
	void		(*estimate) (Oid funcid, List *args, TupleSourceEstimate *estimate);

	/*
	 * The relation whose rows a call returns, from which the planner takes
	 * statistics of the columns.  NULL for a source with rows of its own.
	 */
	Oid			(*row_relation) (Oid funcid);

	/*
	 * Takes those conditions out of a plan's that the source can apply by
	 * itself.  Returns what they compare with: expressions that open() gets
	 * as further arguments.  NULL for a source that can apply none.
	 */
	List	   *(*take_conditions) (Index rti, List **conditions);

	/*
	 * Finds those conditions by which the source can read less, the most
	 * selective first.  They are applied above it all the same.  Returns what
	 * they compare with, for open(), and what begin() is to know of them: a
	 * list that a plan can keep.  NULL for a source that uses none.
	 */
	List	   *(*use_conditions) (Oid funcid, List *args, Index rti, List *conditions,
								   List **used);

	/*
	 * Prepares to answer calls of the function, under a snapshot that
	 * outlives the source, in the current memory context.  The columns, by
	 * their numbers, are those that will be looked at, in the order in which
	 * next() stores them; NULL for all of the row type.  Checks the caller's
	 * rights on them.  "args" begins with the expressions of the call's
	 * arguments, defaults included; NIL where nobody knows them.
	 */
	TupleSource *(*begin) (Oid funcid, const List *args, Snapshot snapshot,
						   const AttrNumber *columns, int ncolumns, const List *used);

	/*
	 * Starts over with new argument values, which need not outlive the call:
	 * those of the function, and behind them those of the conditions that
	 * were taken or are used.
	 */
	void		(*open) (TupleSource *source, const NullableDatum *args, int nargs);

	/*
	 * Stores the columns of the next row in a virtual slot of their shape;
	 * false at the end, and then the slot is empty.  The values point into
	 * memory that holds until the next call.
	 */
	bool		(*next) (TupleSource *source, TupleTableSlot *slot);

	void		(*close) (TupleSource *source);
	void		(*end) (TupleSource *source);

	/*
	 * Adds lines to EXPLAIN.  "args" are the expressions of open()'s
	 * arguments as text, NULL for a NULL constant.
	 */
	void		(*explain) (TupleSource *source, List *args, ExplainState *es);
} TupleSourceMethods;

/* Every source begins with this. */
struct TupleSource
{
	const TupleSourceMethods *methods;
	TupleDesc	tupdesc;		/* of the row type */

	/*
	 * Set before open(): no more rows than these are asked for, as far as
	 * that is known.  For what a source does ahead of need.
	 */
	int64		max_rows;
};

/* tuple_source.c */
extern void catalogue_register_tuple_source(const TupleSourceMethods *methods);
extern const TupleSourceMethods *catalogue_tuple_source(int number);
extern int	catalogue_find_tuple_source(Oid funcid);

/* materialize.c */
extern Datum catalogue_materialize(FunctionCallInfo fcinfo, const TupleSourceMethods *methods);
extern const List *catalogue_call_args(FunctionCallInfo fcinfo);

#endif							/* CATALOGUE_TUPLE_SOURCE_H */
