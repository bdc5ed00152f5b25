/*
 * recorder.h
 *		What is deleted while a deletion runs, by whatever statement.
 */
#ifndef CATALOGUE_RECORDER_H
#define CATALOGUE_RECORDER_H

#include "deletion/graph.h"

#include "nodes/execnodes.h"
#include "nodes/params.h"

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

#endif /* CATALOGUE_RECORDER_H */
