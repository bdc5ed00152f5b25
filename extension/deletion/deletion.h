/*
 * deletion.h
 *		A deletion under way: what the entry points and the traversal share.
 *
 * Data flows one way: an entry point (delete.c, purge.c) ->
 * the caller's rights (privileges.c) and the root row (root_row.c) ->
 * traversal.c (dependents first) -> statements.c, over the graph of graph.c;
 * counts.c asks the server what was deleted meanwhile.
 */
#ifndef CATALOGUE_DELETION_H
#define CATALOGUE_DELETION_H

#include "deletion/batch.h"
#include "deletion/counts.h"
#include "deletion/graph.h"

#include "utils/tuplestore.h"

/* One level of the traversal. */
typedef struct DeletionFrame
{
	struct DeletionFrame *outer;
	DeletionEdge *edge;			/* by which the batch was reached */
	DeletionBatch *referenced;	/* locked */
	DeletionBatch *batch;		/* rows of edge->referencing, locked */
	Tuplestorestate *rows;		/* referencing rows that are not in a batch
								 * yet */
	bool		complete;		/* false once a row could not be locked,
								 * deleted or set */
} DeletionFrame;

typedef struct Deletion
{
	Oid			funcid;
	const Attachment *attachment;	/* the graph's */
	DeletionGraph *graph;
	CachedPin	graph_pin;
	DeletionTable *root_table;	/* where the root is */
	DeletionBatch root;			/* the row that all else depends on */
	bool		of_professor;	/* it is one, and called by their username */
	Oid			relid;			/* else: the relation that the caller names */
	char	   *key;			/* by which the caller names it, as text */
	char	   *current_key;	/* the same, until somebody else changes it
								 * between two commits */
	char	   *identity;		/* what stays then; NULL while not known */
	char	   *identity_column;
	int			first_option;	/* number of the argument after the key */
	int			batch_size;
	Oid			caller;
	MemoryContext cxt;			/* outlives the transaction if commit is set */
	DeletionCounts counts;
	bool		one_statement;	/* all that is deleted is, to AFTER triggers */
	DeletionFrame *frames;		/* innermost first */
	uint64		transaction_count;	/* raised by every commit: locks are new */
	uint64		pending;		/* rows since the last commit */
	bool		restart;		/* set by commit: unwind and start again */
	/* Commits and locks again, or sets restart; NULL: one transaction. */
	void		(*commit) (struct Deletion *deletion);
	void	   *commit_arg;
} Deletion;

/* What a deletion would do. */
typedef struct DeletionForecast
{
	uint64		rows;			/* to be deleted or set */
	uint64		blocked;		/* in its way */
} DeletionForecast;

/* deletion.c */
extern Deletion *catalogue_begin_deletion(FunctionCallInfo fcinfo, bool of_professor);
extern void catalogue_lock_graph(Deletion *deletion, LOCKMODE lockmode);
extern DeletionGraph *catalogue_pin_current_graph(const Deletion *deletion, CachedPin *pin,
												  LOCKMODE lockmode);
extern char *catalogue_describe_root(const Deletion *deletion);
pg_noreturn extern void catalogue_report_unknown_root(const Deletion *deletion);

/* privileges.c */
extern void catalogue_check_deletion_privileges(const Deletion *deletion);

/* root_row.c */
extern bool catalogue_find_root(Deletion *deletion);
extern bool catalogue_lock_root(Deletion *deletion);
extern bool catalogue_lock_root_again(Deletion *deletion);
extern void catalogue_delete_root(Deletion *deletion, List *redundant);

/* traversal.c */
extern void catalogue_delete_locked_root(Deletion *deletion);
extern void catalogue_relock_batches(Deletion *deletion);
extern void catalogue_cleanup_traversal(Deletion *deletion);

/* cascade.c */
extern void catalogue_cascade_root(Deletion *deletion);
extern void catalogue_expect_sets(Deletion *deletion);

/* preview.c */
extern DeletionForecast catalogue_forecast(const Deletion *deletion);

#endif							/* CATALOGUE_DELETION_H */
