/*
 * graph_builder.h
 *		What the files that read a graph share.
 *
 * graph.c has the worklist and the tables, root_table.c says what a root may be,
 * foreign_keys.c and soft_references.c find what refers to a table, graph_edges.c
 * makes edges of that, graph_writes.c says what a deletion writes and whose code
 * may run then, and graph_order.c decides which edges the deletion traverses, and
 * in which order.  The current memory context is the graph's.
 */
#ifndef CATALOGUE_GRAPH_BUILDER_H
#define CATALOGUE_GRAPH_BUILDER_H

#include "deletion/graph.h"

#include "utils/relcache.h"

typedef struct GraphBuilder
{
	DeletionGraph *graph;
	const Attachment *attachment;
	LOCKMODE	lockmode;
	List	   *worklist;		/* of DeletionTable *: rows of them are
								 * deleted, edges not read yet */
	List	   *professors;		/* of Oid: the professors table, with its
								 * partitions or inheritance children */
	bool		author_is_key;	/* a foreign key says whose the chapters are */
	bool		user_code;		/* may run when a deletion writes */
} GraphBuilder;

/* One pair of columns that an edge compares. */
typedef struct ColumnPair
{
	char	   *referenced;
	Oid			referenced_type;
	Oid			referenced_collation;
	char	   *referencing;
	Oid			referencing_type;
	Oid			referencing_collation;
	Oid			equal;			/* referenced = referencing */
} ColumnPair;

extern List *catalogue_add_tables(GraphBuilder *builder, Oid relid, bool with_children);
extern void catalogue_check_root(GraphBuilder *builder, const RootRelation *root);
extern List *catalogue_primary_key(Relation rel);
extern void catalogue_add_foreign_keys(GraphBuilder *builder, DeletionTable *referenced);
extern void catalogue_add_soft_references(GraphBuilder *builder, DeletionTable *referenced);
extern void catalogue_add_edge(GraphBuilder *builder, DeletionTable *referenced, Oid referencing,
							   DeletionEdge *model, const List *pairs);
extern void catalogue_note_triggers(GraphBuilder *builder, DeletionTable *table, Relation rel);
extern void catalogue_find_writes(GraphBuilder *builder);
extern void catalogue_order_graph(GraphBuilder *builder);

#endif							/* CATALOGUE_GRAPH_BUILDER_H */
