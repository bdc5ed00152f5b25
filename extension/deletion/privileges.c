/*
 * privileges.c
 *		What the caller of a deletion must be allowed to do.
 */
#include "deletion/deletion.h"

#include "names.h"
#include "rights.h"

#include "utils/rls.h"

/*
 * What the caller must be allowed to do himself: delete from the professors
 * and chapters tables, and from every table that the mapping adds to what the
 * schema's own keys delete.  Rows that a policy hides from him cannot be
 * told from rows that are not there, so policies on the latter are refused.
 */
void
catalogue_check_deletion_privileges(const Deletion *deletion)
{
	const Attachment *attachment = deletion->attachment;
	ListCell *lc;
	ListCell *lc2;

	catalogue_check_table_privilege(attachment->professors, deletion->caller, ACL_DELETE);
	if (OidIsValid(attachment->chapters))
		catalogue_check_table_privilege(attachment->chapters, deletion->caller, ACL_DELETE);

	foreach(lc, deletion->graph->tables)
	{
		foreach(lc2, ((DeletionTable *) lfirst(lc))->children)
		{
			const DeletionEdge *edge = lfirst(lc2);

			if (!edge->beyond_schema)
				continue;
			catalogue_check_table_privilege(edge->child->reported, deletion->caller, ACL_DELETE);
			if (check_enable_rls(edge->child->reported, deletion->caller, true) == RLS_ENABLED)
				ereport(ERROR,
						errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("deletion would be affected by row-level security policy for table \"%s\"",
							   catalogue_relation_name(edge->child->reported)));
		}
	}
}
