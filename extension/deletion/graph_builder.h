/*
 * graph_builder.h
 *		What the files that read a graph share.
 *
 * graph.c has the worklist and the tables, foreign_keys.c and soft_references.c
 * find what refers to a table, graph_edges.c makes edges of that, and
 * graph_order.c decides which of them the deletion traverses, and in which
 * order.  The current memory context is the graph's.
 */
#ifndef CATALOGUE_GRAPH_BUILDER_H
#define CATALOGUE_GRAPH_BUILDER_H

#include "deletion/graph.h"

typedef struct GraphBuilder
{
	DeletionGraph *graph;
	const Attachment *attachment;
	LOCKMODE lockmode;
	List *losing;		/* of DeletionTable *: lose rows, edges not read yet */
	bool author_is_key; /* a foreign key says whose the chapters are */
} GraphBuilder;

/* One pair of columns that an edge compares. */
typedef struct ColumnPair
{
	char *parent;
	Oid parent_type;
	Oid parent_collation;
	char *child;
	Oid child_type;
	Oid child_collation;
	Oid equal; /* parent = child */
} ColumnPair;

extern List *catalogue_add_tables(GraphBuilder *builder, Oid relid);
extern void catalogue_add_foreign_keys(GraphBuilder *builder, DeletionTable *parent);
extern void catalogue_add_soft_references(GraphBuilder *builder, DeletionTable *parent);
extern void catalogue_add_edge(GraphBuilder *builder, DeletionTable *parent, Oid child,
							   DeletionEdge *model, const List *pairs);
extern void catalogue_order_graph(GraphBuilder *builder);

#endif /* CATALOGUE_GRAPH_BUILDER_H */
