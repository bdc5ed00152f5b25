/*
 * materialize.c
 *		Copies all rows of a tuple source into a tuplestore.
 *
 * For calls that no plan node can replace: in a select list, in a PL/pgSQL
 * expression, WITH ORDINALITY, or with catalogue.enable_stream off.  The
 * source ends inside the one call, so nothing stays open between calls.
 */
#include "scan/tuple_source.h"

#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

/*
 * Answers a set-returning call in materialize mode; the body of every SQL
 * function that has a source.
 */
Datum
catalogue_materialize(FunctionCallInfo fcinfo, const TupleSourceMethods *methods)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleSource *source;
	TupleTableSlot *slot;

	InitMaterializedSRF(fcinfo, 0);

	source = methods->begin(fcinfo->flinfo->fn_oid, catalogue_call_args(fcinfo), GetActiveSnapshot(),
							NULL, 0, NIL);
	source->max_rows = PG_INT64_MAX;
	methods->open(source, fcinfo->args, fcinfo->nargs);

	slot = MakeSingleTupleTableSlot(source->tupdesc, &TTSOpsVirtual);
	while (methods->next(source, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(rsinfo->setResult, slot);
	}
	ExecDropSingleTupleTableSlot(slot);

	methods->close(source);
	methods->end(source);

	return (Datum) 0;
}

/* The expressions of a call's arguments, defaults included; NIL where nobody knows them. */
const List *
catalogue_call_args(FunctionCallInfo fcinfo)
{
	const FuncExpr *call = (const FuncExpr *) fcinfo->flinfo->fn_expr;

	return call != NULL && IsA(call, FuncExpr) ? call->args : NIL;
}
