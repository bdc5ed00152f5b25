/*
 * names.c
 *		Names of database objects, for SQL text and for messages.
 *
 * Everything that becomes part of a statement is qualified and quoted here, so
 * that neither a search path nor a name's spelling can change what it means.
 */
#include "names.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static char *qualified_name(Oid schema, const char *name);

/* A table of the extension's own, by its name; 42P01 where it is gone. */
Oid
catalogue_member_relid(const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("catalogue", false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation \"catalogue.%s\" does not exist", name),
				errhint("Run CREATE EXTENSION catalogue."));

	return relid;
}

/* A function of the extension's own that takes no arguments, by its name; 42883 where it is gone. */
Oid
catalogue_member_function(const char *name)
{
	oidvector  *no_arguments = buildoidvector(NULL, 0);
	Oid			funcid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
										 PointerGetDatum(no_arguments),
										 ObjectIdGetDatum(get_namespace_oid("catalogue", false)));

	if (!OidIsValid(funcid))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function catalogue.%s() does not exist", name),
				errhint("Run CREATE EXTENSION catalogue."));

	return funcid;
}

/* A relation's name alone, as messages quote it; 42P01 where it is gone. */
char *
catalogue_relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid),
				errhint("If the mapping names a table that was dropped, run catalogue.attach() with another mapping."));

	return name;
}

/* A relation's name for SQL text; 42P01 where it is gone. */
char *
catalogue_qualified_relation_name(Oid relid)
{
	char	   *name = catalogue_relation_name(relid);

	return qualified_name(get_rel_namespace(relid), name);
}

/* The number of a column that the mapping names; 42703 where there is none. */
AttrNumber
catalogue_column_number(Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of relation \"%s\" does not exist", column,
					   catalogue_relation_name(relid)),
				errhint("Run catalogue.attach() with a mapping that names the column."));

	return attnum;
}

/* An operator in the form OPERATOR(schema.=). */
char *
catalogue_operator_name(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char	   *schema;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("operator with OID %u does not exist", opno));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	schema = get_namespace_name(form->oprnamespace);
	if (schema == NULL)
		elog(ERROR, "cache lookup failed for schema %u", form->oprnamespace);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(schema), NameStr(form->oprname));
	ReleaseSysCache(tuple);

	return name;
}

/*
 * A type whose values keep their length: without the flag, character and bit
 * would be spelt in a way that means a length of one.
 */
char *
catalogue_type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

char *
catalogue_collation_name(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("collation with OID %u does not exist", collation));
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = qualified_name(form->collnamespace, NameStr(form->collname));
	ReleaseSysCache(tuple);

	return name;
}

static char *
qualified_name(Oid schema, const char *name)
{
	char	   *schema_name = get_namespace_name(schema);

	if (schema_name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema with OID %u does not exist", schema));

	return quote_qualified_identifier(schema_name, name);
}
