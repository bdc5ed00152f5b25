/*
 * deletion.h
 *		What the files of the deletion room share.
 *
 * Data flows one way: delete_professor.c and purge_professor.c (SQL) ->
 * traversal.c (the walk, children first) -> recorder.c (counts,
 * files and proven checks of every statement that runs meanwhile), over the
 * graph of graph.c.
 */
#ifndef CATALOGUE_DELETION_H
#define CATALOGUE_DELETION_H

#include "attachment.h"

#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "storage/itemptr.h"
#include "storage/lock.h"
#include "utils/tuplestore.h"

/*
 * graph.c: what a professor's deletion reaches.
 *
 * Tables are physical ones: a partitioned table stands as its leaves.  Names
 * are qualified and quoted, ready for SQL text, in which an edge's parent is
 * p and its child c.  A statement on children is given the parents' keys as
 * arrays, $1 and on.
 */
typedef enum EdgeAction
{
	EDGE_DELETE,
	EDGE_SET_NULL,
	EDGE_SET_DEFAULT,
	EDGE_BLOCK /* NO ACTION or RESTRICT */
} EdgeAction;

/* A column that edges refer to: batches of the table carry its values along. */
typedef struct DeletionKey
{
	char *column;
	char *expression; /* of c, in the type that it is compared as */
	Oid type;
	Oid array_type;
	int16 typlen;
	bool typbyval;
	char typalign;
} DeletionKey;

typedef struct DeletionTable
{
	Oid relid;
	Oid reported;	/* itself, or the partitioned table that it is a leaf of */
	char *name;		/* with ONLY */
	char *order_by; /* primary key columns of c; NULL without one */
	List *keys;		/* of DeletionKey * */
	List *children; /* of DeletionEdge *, in the order to walk */
	bool loses_rows;
	bool partition;
	bool has_before_triggers; /* user triggers or rules that act before DELETE */
	bool has_triggers;		  /* any user trigger or rule on DELETE or UPDATE */
	bool quiet_below;		  /* no such thing on any table that is walked below */
	bool in_cycle;
	int order; /* children before parents */
	SPIPlanPtr delete_batch;
} DeletionTable;

typedef struct DeletionEdge
{
	Oid constraint; /* InvalidOid for a reference of the mapping */
	char *label;	/* constraint or column name */
	DeletionTable *parent;
	DeletionTable *child;
	EdgeAction action;
	List *keys;			   /* of int: which of parent->keys, $1 and on */
	char *match;		   /* condition between p and c */
	char *match_any;	   /* the same between c and $1; NULL: cannot be said so */
	char *match_hashed;	   /* the same as match_any, but never asked of an index */
	const char *condition; /* part of all of them: on c alone; may be NULL */
	char *assignments;	   /* of SET NULL and SET DEFAULT */
	bool beyond_schema;	   /* asked for by the mapping: needs the caller's own rights */
	bool comparable;	   /* match means something to every type (no PERIOD) */
	bool indexed;
	bool walked;   /* false: the server's own triggers do it */
	bool provable; /* once walked, its trigger can find nothing */
	int slice;	   /* parents for one statement, as learned */
	SPIPlanPtr read;
	SPIPlanPtr read_and_lock;
	SPIPlanPtr lock;
	SPIPlanPtr set;
	SPIPlanPtr delete_by_index;
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
	CachedThing base; /* (must be first) */
	const Attachment *attachment;
	CachedPin attachment_pin;
	List *roots;  /* of DeletionTable *: the professors table, or its leaves */
	List *tables; /* of DeletionTable *, children before parents */
	SPIPlanPtr professor[PROFESSOR_NSTATEMENTS];
	SPIPlanPtr outbox_insert;
} DeletionGraph;

extern DeletionGraph *catalogue_pin_fk_graph(CachedPin *pin, Oid funcid, LOCKMODE lockmode);
extern DeletionTable *catalogue_fk_graph_table(const DeletionGraph *graph, Oid relid);
extern Oid catalogue_topmost_relation(Oid relid);

/* recorder.c: what is deleted while a deletion runs, by whatever statement. */
typedef struct DeletionCount
{
	Oid relid;
	EdgeAction action;
	uint64 rows;
} DeletionCount;

typedef struct DeletionWatch
{
	struct DeletionWatch *outer;
	const Attachment *attachment;
	DeletionGraph *graph;
	Oid funcid; /* the function that deletes */
	MemoryContext cxt;
	List *counts;			  /* of DeletionCount * */
	ParamListInfo own_params; /* marks the statement that proven belongs to */
	List *proven;			  /* of Oid: constraints */
	uint64 limit;			  /* rows that that statement may delete; 0: any */
	bool limit_reached;		  /* and there were more */
	ExecProcNodeMtd next_row; /* what the limit is imposed on */
	List *paths;			  /* of Datum: text, not yet in the outbox */
	SubTransactionId subxact; /* in which paths were gathered */
} DeletionWatch;

extern void catalogue_deletion_watch_start(DeletionWatch *watch);
extern void catalogue_deletion_watch_stop(DeletionWatch *watch);
extern void catalogue_deletion_watch_flush(DeletionWatch *watch);
extern uint64 catalogue_deletion_watch_rows(const DeletionWatch *watch);
extern void catalogue_deletion_watch_count(DeletionWatch *watch, Oid relid, EdgeAction action,
										   uint64 rows);

/* traversal.c: the walk. */
typedef struct DeletionColumn
{
	Datum *values;
	bool *nulls;
} DeletionColumn;

/* Rows of one table. */
typedef struct DeletionBatch
{
	ItemPointerData *tids;
	DeletionColumn *keys; /* one for each of the table's */
	int nkeys;
	int nrows;
	int allocated;
	MemoryContext cxt; /* of values by reference */
} DeletionBatch;

/* One level of the walk. */
typedef struct DeletionFrame
{
	struct DeletionFrame *outer;
	DeletionEdge *edge;		   /* by which the batch was reached */
	DeletionBatch *parents;	   /* locked */
	DeletionBatch *batch;	   /* rows of edge->child, locked while we walk below them */
	Tuplestorestate *children; /* those still to come */
	bool complete;			   /* false once a row was not where it had been */
} DeletionFrame;

typedef struct Deletion
{
	Oid funcid;
	const Attachment *attachment; /* the graph's */
	DeletionGraph *graph;
	CachedPin graph_pin;
	DeletionTable *professors; /* where the professor's row is */
	DeletionBatch professor;   /* that row */
	char *username;
	int batch_size;
	Oid caller;
	MemoryContext cxt; /* outlives the transaction if commit is set */
	DeletionWatch watch;
	DeletionFrame *frames; /* innermost first */
	uint64 epoch;		   /* raised by every commit: locks are new */
	uint64 pending;		   /* rows since the last commit */
	bool restart;		   /* set by commit: unwind and begin anew */
	/* Commits and locks again, or sets restart; NULL: one transaction. */
	void (*commit)(struct Deletion *deletion);
	void *commit_arg;
} Deletion;

extern void catalogue_check_deletion_privileges(const Deletion *deletion);
extern bool catalogue_find_professor(Deletion *deletion);
extern bool catalogue_lock_professor(Deletion *deletion);
extern void catalogue_delete_locked_professor(Deletion *deletion);
extern void catalogue_relock_batches(Deletion *deletion);
extern void catalogue_end_walk(Deletion *deletion);

/* delete_professor.c */
extern Deletion *catalogue_begin_deletion(FunctionCallInfo fcinfo);
extern void catalogue_lock_graph(Deletion *deletion, LOCKMODE lockmode);
extern uint64 catalogue_count_dependents(const Deletion *deletion);
pg_noreturn extern void catalogue_report_unknown_professor(const Deletion *deletion);

#endif /* CATALOGUE_DELETION_H */
