/*
 * deletion.c
 *		How the deletion's entry points begin: arguments, attachment, graph.
 *
 * A root is a row of any table, which its primary key names; or a professor, whom
 * the mapping's username column does.  What differs between the two is decided
 * here, but for the rights that a professor's deletion needs besides
 * (privileges.c).
 */
#include "deletion/deletion.h"

#include "names.h"

#include "miscadmin.h"
#include "utils/builtins.h"

static void check_argument(FunctionCallInfo fcinfo, int number, const char *name);

/*
 * Reads the arguments that the deletion's functions have in common: username, or
 * relation and key, and where there is one more, batch_size.
 */
Deletion *
catalogue_begin_deletion(FunctionCallInfo fcinfo, bool of_professor)
{
	Deletion   *deletion = palloc0(sizeof(Deletion));
	int			key = of_professor ? 0 : 1;

	if (!of_professor)
	{
		check_argument(fcinfo, 0, "relation");
		deletion->relid = PG_GETARG_OID(0);
	}
	check_argument(fcinfo, key, of_professor ? "username" : "key");
	deletion->first_option = key + 1;
	if (PG_NARGS() > deletion->first_option)
	{
		check_argument(fcinfo, deletion->first_option, "batch size");
		deletion->batch_size = PG_GETARG_INT32(deletion->first_option);
		if (deletion->batch_size < 1)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("batch size must be greater than zero"),
					errdetail("The call asked for a batch size of %d.", deletion->batch_size));
	}

	deletion->cxt = CurrentMemoryContext;
	deletion->of_professor = of_professor;
	deletion->key = text_to_cstring(PG_GETARG_TEXT_PP(key));
	deletion->current_key = deletion->key;
	deletion->caller = GetUserId();
	deletion->funcid = fcinfo->flinfo->fn_oid;
	deletion->attachment = catalogue_attachment_of_function(deletion->funcid, NULL);
	if (of_professor)
		deletion->relid = deletion->attachment->professors;
	deletion->counts.cxt = deletion->cxt;
	catalogue_init_pin(&deletion->graph_pin, deletion->cxt);
	if (of_professor && !OidIsValid(deletion->relid))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without a professors table",
					   deletion->attachment->schema_name));

	return deletion;
}

/* Raises 22004 for a null. */
static void
check_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("%s must not be null", name));
}

/* Pins the graph as it is now, in place of the one from the transaction before. */
void
catalogue_lock_graph(Deletion *deletion, LOCKMODE lockmode)
{
	catalogue_unpin(&deletion->graph_pin);
	deletion->graph = catalogue_pin_current_graph(deletion, &deletion->graph_pin, lockmode);
	deletion->attachment = deletion->graph->attachment;
}

/* The graph that the deletion would have if it began now. */
DeletionGraph *
catalogue_pin_current_graph(const Deletion *deletion, CachedPin *pin, LOCKMODE lockmode)
{
	RootRelation root = {.relid = deletion->relid};

	if (deletion->of_professor)
	{
		const Attachment *attachment = catalogue_attachment_of_function(deletion->funcid, NULL);

		root.key = attachment->professors_username;
		root.identity = attachment->professors_id;
	}

	return catalogue_pin_graph(pin, deletion->funcid, &root, lockmode);
}

/* The root in messages, as the caller knows it. */
char *
catalogue_describe_root(const Deletion *deletion)
{
	if (deletion->of_professor)
		return psprintf("professor \"%s\"", deletion->key);

	return psprintf("row \"%s\" of table \"%s\"", deletion->key,
					catalogue_relation_name(deletion->relid));
}

/* There is none, or the caller may not see the row. */
void
catalogue_report_unknown_root(const Deletion *deletion)
{
	ereport(ERROR,
			errcode(ERRCODE_NO_DATA_FOUND),
			errmsg("%s does not exist", catalogue_describe_root(deletion)));
}
