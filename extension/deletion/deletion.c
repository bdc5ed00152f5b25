/*
 * deletion.c
 *		How the deletion's entry points begin: arguments, attachment, graph.
 */
#include "deletion/deletion.h"

#include "miscadmin.h"
#include "utils/builtins.h"

/*
 * Reads the arguments that the deletion's functions have in common: username
 * and, where there is a second one, batch_size.
 */
Deletion *
catalogue_begin_deletion(FunctionCallInfo fcinfo)
{
	Deletion   *deletion = palloc0(sizeof(Deletion));

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("username must not be null"));
	if (PG_NARGS() > 1)
	{
		if (PG_ARGISNULL(1))
			ereport(ERROR,
					errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("batch size must not be null"));
		deletion->batch_size = PG_GETARG_INT32(1);
		if (deletion->batch_size < 1)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("batch size must be greater than zero"),
					errdetail("The call asked for a batch size of %d.", deletion->batch_size));
	}

	deletion->cxt = CurrentMemoryContext;
	deletion->username = text_to_cstring(PG_GETARG_TEXT_PP(0));
	deletion->caller = GetUserId();
	deletion->funcid = fcinfo->flinfo->fn_oid;
	deletion->attachment = catalogue_attachment_of_function(deletion->funcid, NULL);
	deletion->recorder = (DeletionRecorder)
	{
		.cxt = deletion->cxt,
	};
	catalogue_init_pin(&deletion->graph_pin, deletion->cxt);
	if (!OidIsValid(deletion->attachment->professors))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a professors table",
					   deletion->attachment->schema_name));

	return deletion;
}

/* Pins the graph as it is now, in place of the one from the transaction before. */
void
catalogue_lock_graph(Deletion *deletion, LOCKMODE lockmode)
{
	catalogue_unpin(&deletion->graph_pin);
	deletion->graph = catalogue_pin_graph(&deletion->graph_pin, deletion->funcid, lockmode);
	deletion->attachment = deletion->graph->attachment;
	deletion->recorder.attachment = deletion->attachment;
	deletion->recorder.graph = deletion->graph;
}

/* There is none, or the caller may not see the row. */
void
catalogue_report_unknown_professor(const Deletion *deletion)
{
	ereport(ERROR,
			errcode(ERRCODE_NO_DATA_FOUND),
			errmsg("professor \"%s\" does not exist", deletion->username));
}
