/*
 * run.h
 *		A saved plan, in an executor of our own.
 */
#ifndef CATALOGUE_RUN_H
#define CATALOGUE_RUN_H

#include "rights.h"

#include "executor/spi.h"
#include "nodes/nodes.h"
#include "nodes/params.h"
#include "tcop/dest.h"

typedef struct StatementRun
{
	SPIPlanPtr	plan;
	CmdType		operation;		/* what the plan must be, */
	Oid			relid;			/* and on which relation */
	ParamListInfo params;
	DestReceiver *dest;			/* NULL: no rows come back */
	List	   *redundant;		/* of Oid: constraints whose RI triggers for
								 * DELETE are left out */
	bool		part_of_statement;	/* between catalogue_begin_statement() and
									 * its end */
	const SavedUser *caller;	/* as whom AFTER triggers fire; NULL: as who
								 * runs it */
	uint64		limit;			/* rows that a DELETE ... RETURNING takes; 0:
								 * all */
} StatementRun;

extern uint64 catalogue_run_statement(const StatementRun *run);
extern void catalogue_begin_statement(void);
extern void catalogue_end_statement(void);

#endif							/* CATALOGUE_RUN_H */
