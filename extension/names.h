/*
 * names.h
 *		Names of database objects, for SQL text and for messages.
 *
 * An object can be dropped between the moment when its OID was read and the
 * moment when its name is asked for, and the server's own look-ups answer NULL
 * then.  These raise the error instead.  What they return is palloc'd in the
 * current memory context.
 */
#ifndef CATALOGUE_NAMES_H
#define CATALOGUE_NAMES_H

#include "catalogue.h"

#include "access/attnum.h"

extern Oid	catalogue_member_relid(const char *name);
extern Oid	catalogue_member_function(const char *name);
extern char *catalogue_relation_name(Oid relid);
extern char *catalogue_qualified_relation_name(Oid relid);
extern AttrNumber catalogue_column_number(Oid relid, const char *column);
extern char *catalogue_operator_name(Oid opno);
extern char *catalogue_type_name(Oid type);
extern char *catalogue_collation_name(Oid collation);

#endif							/* CATALOGUE_NAMES_H */
