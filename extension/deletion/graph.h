/*
 * graph.h
 *		What the deletion of a row reaches: tables, and edges between them.
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

/* What of the users acts when rows are deleted from a table, or updated. */
typedef struct TableTriggers
{
	bool		any;			/* triggers or rules, partitioned ancestors'
								 * too */
	bool		rules;
	bool		before_row;		/* triggers that can keep a row as it is */
	bool		partition_statements;	/* triggers for each statement, of the
										 * partition or an ancestor */
} TableTriggers;

typedef struct DeletionTable
{
	Oid			relid;
	Oid			reported;		/* itself, or the partitioned table that it is
								 * a leaf of */
	Oid			owner;
	char	   *name;			/* with ONLY */
	char	   *order_by;		/* primary key columns of t; NULL without one */
	List	   *keys;			/* of DeletionKey * */
	List	   *edges;			/* of DeletionEdge *: what references it, in
								 * the order of traversal */
	bool		delete_target;	/* rows of it are deleted */
	bool		partition;
	bool		has_triggers;	/* any user trigger or rule on DELETE or
								 * UPDATE */
	TableTriggers on_delete;
	TableTriggers on_update;
	bool		updated;		/* by the deletion, or an ON UPDATE action */
	bool		gets_values;	/* other ones than NULL, then, */
	bool		follows_keys;	/* by an ON UPDATE action */
	bool		whole_statements;	/* a trigger waits for a DELETE to come to
									 * its end */
	bool		no_triggers_below;	/* nothing of that on any table that
									 * references it, however far */
	bool		in_cycle;
	bool		others_below;	/* a table of another owner references it,
								 * however far, or follows its keys */
	bool		leads_beyond;	/* what references it, however far, does so by
								 * an edge beyond the schema */
	int			order;			/* referencing tables first */
	SPIPlanPtr	delete_batch;
} DeletionTable;

/* How to ask an index whether a row references another one. */
typedef struct IndexProbe
{
	Oid			index;			/* a b-tree; InvalidOid: there is none */
	Oid			subtype;		/* of the value */
	Oid			collation;
	RegProcedure equal;			/* column = value */
} IndexProbe;

typedef struct DeletionEdge
{
	Oid			constraint;		/* InvalidOid for a reference of the mapping */
	char	   *label;			/* constraint or column name */
	DeletionTable *referenced;
	DeletionTable *referencing;
	EdgeAction	action;
	List	   *columns;		/* of char *: of referencing, that refer */
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
	List	   *set_columns;	/* of char *: that these set */
	Oid			named;			/* the table that the key or the mapping
								 * names: referencing, or what that is a
								 * partition of or inherits from */
	bool		beyond_schema;	/* asked for by the mapping: needs the
								 * caller's own rights */
	bool		comparable;		/* match is the whole condition (no PERIOD) */
	bool		indexed;
	IndexProbe	probe;
	bool		traversed;		/* by the deletion; else the server's triggers
								 * do it */
	bool		redundant_ri_trigger;	/* once the edge has been traversed */
	bool		generated;		/* a column of it that refers */
	bool		moves_rows;		/* to another partition, when it sets keys */
	bool		calls_volatile; /* to set keys to their defaults */
	int			position;		/* among the RI triggers of referenced */
	int			chunk;			/* referenced rows for one statement, as
								 * learned */
	SPIPlanPtr	reach;			/* reads the referencing rows for a closure */
	SPIPlanPtr	count;			/* the same where their number will do */
	SPIPlanPtr	read;
	SPIPlanPtr	read_and_lock;
	SPIPlanPtr	lock;
	SPIPlanPtr	set;
	SPIPlanPtr	delete_by_index;
	SPIPlanPtr	delete_few_by_index;
	SPIPlanPtr	delete_some_by_index;
} DeletionEdge;

/*
 * Where a root is, and by which columns it is known.  Each value of either is one
 * row's.  NULL: by the primary key.
 */
typedef struct RootRelation
{
	Oid			relid;
	const char *key;			/* the column by which callers name it */
	const char *identity;		/* the column that stays when that changes */
} RootRelation;

/* A column of a root, and the type that values of it are read as. */
typedef struct RootColumn
{
	char	   *name;
	char	   *expression;		/* of t, in that type */
	Oid			type;
} RootColumn;

/* Statements on the root. */
typedef enum RootStatement
{
	ROOT_SEE,
	ROOT_FIND,
	ROOT_LOCK,
	ROOT_LOCK_BY_IDENTITY,
	ROOT_DELETE,
	ROOT_DELETE_BY_TID,
	ROOT_NSTATEMENTS
} RootStatement;

typedef struct DeletionGraph
{
	CachedThing base;			/* (must be first) */
	const Attachment *attachment;
	CachedPin	attachment_pin;
	Oid			root;			/* the relation that the root is in */
	bool		by_primary_key; /* was asked for without naming columns */
	RootColumn	key;
	RootColumn	identity;
	List	   *root_tables;	/* of DeletionTable *: that relation, its
								 * leaves or its inheritance children */
	List	   *tables;			/* of DeletionTable *, referencing tables
								 * first */
	SPIPlanPtr	root_statements[ROOT_NSTATEMENTS];
	List	   *also_written;	/* of Oid: other tables that a deletion may
								 * change, locked with the graph's */
	bool		by_server;		/* only the server's own cascades get it
								 * right: see graph_by_server.c */
	bool		counts_sets;	/* what is updated are keys that are set */
	bool		server_sets;	/* some of them by the server's triggers */
} DeletionGraph;

/* Does the edge change rows, and keep them? */
static inline bool
catalogue_sets_keys(const DeletionEdge *edge)
{
	return edge->action == EDGE_SET_NULL || edge->action == EDGE_SET_DEFAULT;
}

extern DeletionGraph *catalogue_pin_graph(CachedPin *pin, Oid funcid, const RootRelation *root,
										  LOCKMODE lockmode);
extern DeletionTable *catalogue_graph_table(const DeletionGraph *graph, Oid relid);
extern Oid	catalogue_topmost_relation(Oid relid);
extern const char *catalogue_action_name(EdgeAction action);

#endif							/* CATALOGUE_GRAPH_H */
