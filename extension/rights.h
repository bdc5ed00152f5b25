/*
 * rights.h
 *		What a role may do, and acting as another.
 */
#ifndef CATALOGUE_RIGHTS_H
#define CATALOGUE_RIGHTS_H

#include "catalogue.h"

#include "access/attnum.h"
#include "nodes/parsenodes.h"

/* Who was acting before catalogue_switch_to_role() or catalogue_switch_to_owner(). */
typedef struct SavedUser
{
	Oid			userid;
	int			sec_context;
} SavedUser;

extern void catalogue_switch_to_role(Oid role, SavedUser *saved);
extern void catalogue_switch_to_owner(Oid relid, SavedUser *saved);
extern void catalogue_restore_user(const SavedUser *saved);

extern bool catalogue_may_select(Oid relid, Oid role, const AttrNumber *columns, int ncolumns);
extern void catalogue_check_table_privilege(Oid relid, Oid role, AclMode privilege);
pg_noreturn extern void catalogue_report_no_privilege(Oid relid);

#endif							/* CATALOGUE_RIGHTS_H */
