/*
 * closure.h
 *		The rows that a deletion reaches, read without changing anything.
 */
#ifndef CATALOGUE_CLOSURE_H
#define CATALOGUE_CLOSURE_H

#include "deletion/deletion.h"
#include "deletion/tid_set.h"

/* What a deletion reaches by an edge. */
typedef struct ClosureEdge
{
	DeletionEdge *edge;
	uint64		rows;			/* deleted, of which each counts for the first
								 * edge that reached it; or set or in its way,
								 * and not deleted */
	TidSet	   *tids;			/* by an edge beyond the schema, where these
								 * were asked for: all that reference; else
								 * closure.c's own */
} ClosureEdge;

/* What a deletion reaches in a table of the graph. */
typedef struct ClosureTable
{
	DeletionTable *table;
	uint64		deleted;		/* rows */
	List	   *edges;			/* of ClosureEdge *, as table->edges */
} ClosureTable;

typedef struct DeletionClosure
{
	MemoryContext cxt;			/* of all of it, to be deleted */
	const DeletionGraph *graph;
	List	   *tables;			/* of ClosureTable *, as graph->tables */
} DeletionClosure;

extern DeletionClosure *catalogue_read_closure(const Deletion *deletion, bool beyond_schema);

#endif							/* CATALOGUE_CLOSURE_H */
