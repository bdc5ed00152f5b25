/*
 * column_text.c
 *		What the text of a lookup table's column depends on besides its value.
 *
 * Lookups are returned as text, and what is cached must be the same text for all
 * callers as long as nothing has changed.  For most types it is.  Dates, times and
 * floating-point numbers look as the session's settings have it: so all texts are
 * read under fixed ones, in the way of postgres_fdw.  The label of an enum changes
 * with its type, for which there are invalidation messages.  A cast or an output
 * function that is not IMMUTABLE may look at anything: such a column keeps its
 * tables from being cached.
 */
#include "lookups/column_text.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

static bool text_depends_on_settings(Oid type);

/*
 * Asks what the text of a column depends on, and registers what can be: the
 * function that makes it, casts, and labels of enums.  A column that is not there
 * is left to the query that reads it, which raises the error.
 */
ColumnText
catalogue_column_text(Oid relid, const char *column, Dependencies *dependencies)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;
	Oid			function = InvalidOid;
	bool		is_varlena;

	if (attnum == InvalidAttrNumber)
		return TEXT_OF_VALUE;
	type = getBaseType(get_atttype(relid, attnum));

	catalogue_depend_on_text_forms(dependencies);
	switch (find_coercion_pathway(TEXTOID, type, COERCION_EXPLICIT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			return TEXT_OF_VALUE;
		case COERCION_PATH_FUNC:
			break;
		case COERCION_PATH_COERCEVIAIO:
			if (type_is_enum(type))
				return TEXT_OF_VALUE;
			if (text_depends_on_settings(type))
				return TEXT_OF_SETTINGS;
			getTypeOutputInfo(type, &function, &is_varlena);
			break;
		default:
			return TEXT_OF_ANYTHING;
	}

	catalogue_depend_on_function(dependencies, function);
	return func_volatile(function) == PROVOLATILE_IMMUTABLE ? TEXT_OF_VALUE : TEXT_OF_ANYTHING;
}

/*
 * The type by which rows whose column has a given text can be searched: text, if the
 * column's value is that text byte by byte; its own, if each value has one text that is
 * easily told; InvalidOid for all others.  The caller has asked catalogue_column_text(),
 * which registers what this depends on.
 */
Oid
catalogue_searched_type(Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;
	int32		typmod;
	Oid			collation;
	Oid			function;

	if (attnum == InvalidAttrNumber)
		return InvalidOid;
	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	type = getBaseType(type);

	switch (find_coercion_pathway(TEXTOID, type, COERCION_EXPLICIT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			return (type == TEXTOID || type == VARCHAROID) &&
				get_collation_isdeterministic(collation) ? TEXTOID : InvalidOid;
		case COERCION_PATH_COERCEVIAIO:
			return type == INT2OID || type == INT4OID || type == INT8OID || type == UUIDOID
				? type : InvalidOid;
		default:
			return InvalidOid;
	}
}

/*
 * Sets what texts depend on, as the server does for a dump.  To be undone by
 * AtEOXact_GUC() with the nesting level that is returned; after an ERROR the end of
 * the (sub)transaction does that.
 */
int
catalogue_fix_text_settings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);

	return nestlevel;
}

static bool
text_depends_on_settings(Oid type)
{
	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case BYTEAOID:
			return true;
		default:
			return false;
	}
}
