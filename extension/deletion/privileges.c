/*
 * privileges.c
 *		What the caller of a deletion must be allowed to do.
 */
#include "deletion/deletion.h"

#include "names.h"
#include "rights.h"

#include "utils/rls.h"

static void check_referencing_table(Oid relid, Oid caller);

/*
 * What callers must be allowed to do themselves: delete from the root's table, and
 * for a professor from the chapters, and from every table that the mapping adds to
 * what the schema's own keys delete; those do so with the rights of each table's
 * owner.
 */
void
catalogue_check_deletion_privileges(const Deletion *deletion)
{
	const Attachment *attachment = deletion->attachment;
	ListCell   *lc;
	ListCell   *lc2;

	catalogue_check_table_privilege(deletion->relid, deletion->caller, ACL_DELETE);
	if (deletion->of_professor && OidIsValid(attachment->chapters))
		catalogue_check_table_privilege(attachment->chapters, deletion->caller, ACL_DELETE);

	foreach(lc, deletion->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->edges)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (edge->beyond_schema)
				check_referencing_table(edge->named, deletion->caller);
		}
	}
}

/*
 * Rows that a policy hides from the caller cannot be told from rows that are not
 * there, so a table with policies for the caller is refused.
 */
static void
check_referencing_table(Oid relid, Oid caller)
{
	catalogue_check_table_privilege(relid, caller, ACL_DELETE);
	if (check_enable_rls(relid, caller, true) == RLS_ENABLED)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("deletion would be affected by row-level security policy for table \"%s\"",
					   catalogue_relation_name(relid)));
}
