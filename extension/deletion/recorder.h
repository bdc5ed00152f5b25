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
	Oid			relid;
	EdgeAction	action;
	uint64		rows;
} DeletionCount;

typedef struct DeletionRecorder
{
	struct DeletionRecorder *outer;
	const Attachment *attachment;
	DeletionGraph *graph;
	MemoryContext cxt;
	List	   *counts;			/* of DeletionCount * */
	ParamListInfo own_params;	/* mark the statement that redundant and limit
								 * are for */
	List	   *redundant;		/* of Oid: constraints whose triggers it does
								 * not fire */
	uint64		limit;			/* rows that it may delete; 0: any */
	bool		limit_reached;	/* and there were more */
	ExecProcNodeMtd next_row;	/* what the limit is imposed on */
} DeletionRecorder;

extern void catalogue_start_recorder(DeletionRecorder *recorder);
extern void catalogue_stop_recorder(DeletionRecorder *recorder);
extern uint64 catalogue_recorded_rows(const DeletionRecorder *recorder);
extern void catalogue_record_rows(DeletionRecorder *recorder, Oid relid, EdgeAction action,
								  uint64 rows);

#endif							/* CATALOGUE_RECORDER_H */
