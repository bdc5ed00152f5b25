/*
 * tuple_source.c
 *		The tuple sources there are, and which one answers a function's calls.
 */
#include "scan/tuple_source.h"

#include "nodes/supportnodes.h"
#include "utils/lsyscache.h"

#define MAX_TUPLE_SOURCES 8

static const TupleSourceMethods *tuple_sources[MAX_TUPLE_SOURCES];
static int ntuple_sources = 0;

PG_FUNCTION_INFO_V1(catalogue_tuple_source_support);

/* Called by each feature while the library is loaded. */
void
catalogue_register_tuple_source(const TupleSourceMethods *methods)
{
	Assert(ntuple_sources < MAX_TUPLE_SOURCES);
	tuple_sources[ntuple_sources++] = methods;
}

/* A source by its number, which is the same in every backend of one version. */
const TupleSourceMethods *
catalogue_tuple_source(int number)
{
	Assert(number >= 0 && number < ntuple_sources);

	return tuple_sources[number];
}

/*
 * The number of the source that answers the calls of a function, or -1.
 *
 * Asking the function manager is the exact test: for a function that a DBA
 * made SECURITY DEFINER, gave SET clauses, or that a loaded module hooks, it
 * answers with fmgr_security_definer(), and no node can stand for the call.
 * All our functions have a support function, few others do: that spares most
 * calls the question.
 */
int
catalogue_find_tuple_source(Oid funcid)
{
	FmgrInfo flinfo;

	if (!OidIsValid(get_func_support(funcid)))
		return -1;

	fmgr_info(funcid, &flinfo);
	/* Made STRICT, a call is skipped for NULLs that the source would take. */
	if (flinfo.fn_strict)
		return -1;
	for (int i = 0; i < ntuple_sources; i++)
	{
		if (flinfo.fn_addr == tuple_sources[i]->function)
			return i;
	}

	return -1;
}

/*
 * catalogue.tuple_source_support(internal) RETURNS internal
 *
 * Planner support of every function that has a source: the number of rows.  It
 * is also what loads the library in time for the planner hook, so it must be
 * there even if it knew nothing.
 */
Datum
catalogue_tuple_source_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *rows = (SupportRequestRows *) request;
	TupleSourceEstimate estimate = {0};
	int number;

	if (!IsA(request, SupportRequestRows) || rows->node == NULL || !IsA(rows->node, FuncExpr) ||
		(number = catalogue_find_tuple_source(rows->funcid)) < 0)
		PG_RETURN_POINTER(NULL);

	tuple_sources[number]->estimate(rows->funcid, ((FuncExpr *) rows->node)->args, &estimate);
	rows->rows = estimate.rows;

	PG_RETURN_POINTER(request);
}
