/*
 * graph.h
 *		What a professor's deletion reaches: tables, and edges between them.
 *
 * Tables are physical ones: a partitioned table stands as its leaves.  Names
 * are qualified and quoted, ready for SQL text, in which r is the referenced
 * table of an edge, and t the referencing one, or the table that a statement is
 * on.  A statement on referencing rows is given the keys of the referenced ones
 * as arrays, $1 and on.
 *
 * All that a graph has, its saved statements too, lives as long as the graph,
 * which is as long as it is pinned or current.
 */
#ifndef CATALOGUE_GRAPH_H
#define CATALOGUE_GRAPH_H

#include "attachment.h"

#include "executor/spi.h"
#include "storage/lock.h"

typedef enum EdgeAction
{
	EDGE_DELETE,
	EDGE_SET_NULL,
	EDGE_SET_DEFAULT,
	EDGE_BLOCK					/* NO ACTION or RESTRICT */
} EdgeAction;

/* A column that edges refer to: batches of its table carry the values along. */
typedef struct DeletionKey
{
	char	   *column;
	char	   *expression;		/* of t, in the type that it is compared as */
	Oid			type;
	Oid			array_type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
} DeletionKey;

typedef struct DeletionTable
{
	Oid			relid;
	Oid			reported;		/* itself, or the partitioned table that it is
								 * a leaf of */
	char	   *name;			/* with ONLY */
	char	   *order_by;		/* primary key columns of t; NULL without one */
	List	   *keys;			/* of DeletionKey * */
	List	   *edges;			/* of DeletionEdge *: what references it, in
								 * the order of traversal */
	bool		delete_target;	/* rows of it are deleted */
	bool		partition;
	bool		has_before_triggers;	/* user triggers or rules that act
										 * before DELETE */
	bool		has_triggers;	/* any user trigger or rule on DELETE or
								 * UPDATE */
	bool		no_triggers_below;	/* nothing of that on any table that
									 * references it, however far */
	bool		in_cycle;
	int			order;			/* referencing tables first */
	SPIPlanPtr	delete_batch;
} DeletionTable;

typedef struct DeletionEdge
{
	Oid			constraint;		/* InvalidOid for a reference of the mapping */
	char	   *label;			/* constraint or column name */
	DeletionTable *referenced;
	DeletionTable *referencing;
	EdgeAction	action;
	List	   *keys;			/* of int: which of referenced->keys, $1 and
								 * on */
	char	   *match;			/* condition between r and t */
	char	   *match_any;		/* the same between t and $1; NULL where SQL
								 * cannot say that */
	char	   *match_hashed;	/* the same as match_any, but never asked of
								 * an index */
	const char *condition;		/* part of all of them: on t alone; may be
								 * NULL */
	char	   *assignments;	/* of SET NULL and SET DEFAULT */
	bool		beyond_schema;	/* asked for by the mapping: needs the
								 * caller's own rights */
	bool		comparable;		/* match is the whole condition (no PERIOD) */
	bool		indexed;
	bool		traversed;		/* by the deletion; else the server's triggers
								 * do it */
	bool		redundant_ri_trigger;	/* once the edge has been traversed */
	int			chunk;			/* referenced rows for one statement, as
								 * learned */
	SPIPlanPtr	read;
	SPIPlanPtr	read_and_lock;
	SPIPlanPtr	lock;
	SPIPlanPtr	set;
	SPIPlanPtr	delete_by_index;
} DeletionEdge;

/* Statements on the professor's own row. */
typedef enum ProfessorStatement
{
	PROFESSOR_SEE,
	PROFESSOR_FIND,
	PROFESSOR_LOCK,
	PROFESSOR_DELETE,
	PROFESSOR_NSTATEMENTS
} ProfessorStatement;

typedef struct DeletionGraph
{
	CachedThing base;			/* (must be first) */
	const Attachment *attachment;
	CachedPin	attachment_pin;
	List	   *roots;			/* of DeletionTable *: the professors table,
								 * or its leaves */
	List	   *tables;			/* of DeletionTable *, referencing tables
								 * first */
	SPIPlanPtr	professor[PROFESSOR_NSTATEMENTS];
} DeletionGraph;

extern DeletionGraph *catalogue_pin_graph(CachedPin *pin, Oid funcid, LOCKMODE lockmode);
extern DeletionTable *catalogue_graph_table(const DeletionGraph *graph, Oid relid);
extern Oid	catalogue_topmost_relation(Oid relid);
extern const char *catalogue_action_name(EdgeAction action);

#endif							/* CATALOGUE_GRAPH_H */
