/*
 * rights.c
 *		What a role may do, and acting as another.
 */
#include "rights.h"

#include "names.h"

#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static Oid	relation_owner(Oid relid);

/*
 * Acts as a role, which cannot be changed meanwhile unless it is the current
 * one.
 *
 * To be undone by catalogue_restore_user(); after an ERROR the end of the
 * (sub)transaction does that.
 */
void
catalogue_switch_to_role(Oid role, SavedUser *saved)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	if (role != saved->userid)
		SetUserIdAndSecContext(role, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Acts as the owner of a relation, as the server's own cascades do
 * (ri_triggers.c): role and search path cannot be changed meanwhile, and
 * policies that are not forced on the owner do not apply.
 *
 * To be undone by catalogue_restore_user(); after an ERROR the end of the
 * (sub)transaction does that.
 */
void
catalogue_switch_to_owner(Oid relid, SavedUser *saved)
{
	Oid			owner = relation_owner(relid);

	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
}

void
catalogue_restore_user(const SavedUser *saved)
{
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

/*
 * Whether a role may SELECT the table or, failing that, each of the columns:
 * what the executor asks of a query that names just these.
 */
bool
catalogue_may_select(Oid relid, Oid role, const AttrNumber *columns, int ncolumns)
{
	if (pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK)
		return true;

	for (int i = 0; i < ncolumns; i++)
	{
		if (pg_attribute_aclcheck(relid, columns[i], role, ACL_SELECT) != ACLCHECK_OK)
			return false;
	}

	return true;
}

/* Raises 42501 unless a role has a privilege on a table. */
void
catalogue_check_table_privilege(Oid relid, Oid role, AclMode privilege)
{
	if (pg_class_aclcheck(relid, role, privilege) != ACLCHECK_OK)
		catalogue_report_no_privilege(relid);
}

/* Raises 42501 in the server's own words. */
void
catalogue_report_no_privilege(Oid relid)
{
	aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)),
				   catalogue_relation_name(relid));
	pg_unreachable();
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
	{
		(void) catalogue_relation_name(relid);	/* says that it is gone */
		elog(ERROR, "cache lookup failed for relation %u", relid);
	}
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	return owner;
}
