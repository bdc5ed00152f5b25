/*
 * tuple_source.c
 *		Which tuple source answers the calls of a function.
 */
#include "scan/tuple_source.h"

#include "nodes/supportnodes.h"
#include "utils/lsyscache.h"

#define MAX_TUPLE_SOURCES 8

static const TupleSourceMethods *tuple_sources[MAX_TUPLE_SOURCES];
static int	ntuple_sources = 0;

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
 * Asking the function manager is the exact test: for a function that is
 * SECURITY DEFINER, has SET clauses, or is hooked by another module, it answers
 * with fmgr_security_definer(), and no node can replace the call.  Every
 * function with a source has a support function and few others do, so that most
 * functions are told apart without asking.
 */
int
catalogue_find_tuple_source(Oid funcid)
{
	FmgrInfo	flinfo;

	if (!OidIsValid(get_func_support(funcid)))
		return -1;

	fmgr_info(funcid, &flinfo);

	/*
	 * A function that was made STRICT is not called for a NULL; a node would
	 * be.
	 */
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
 * Planner support of every function that has a source: the number of rows.
 * Calling it also loads the library in time for the planner hook.
 */
Datum
catalogue_tuple_source_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *rows = (SupportRequestRows *) request;
	int			number;

	if (!IsA(request, SupportRequestRows) || rows->node == NULL || !IsA(rows->node, FuncExpr) ||
		(number = catalogue_find_tuple_source(rows->funcid)) < 0)
		PG_RETURN_POINTER(NULL);

	rows->rows = tuple_sources[number]->estimate_rows(rows->funcid,
													  ((FuncExpr *) rows->node)->args);

	PG_RETURN_POINTER(request);
}
