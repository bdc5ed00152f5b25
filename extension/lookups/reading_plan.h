/*
 * reading_plan.h
 *		The queries that read the lookup tables.
 */
#ifndef CATALOGUE_LOOKUPS_READING_PLAN_H
#define CATALOGUE_LOOKUPS_READING_PLAN_H

#include "lookups/content.h"

#include "nodes/params.h"

/* Columns of their result. */
enum
{
	QUERY_ORDINAL,
	QUERY_ID,
	QUERY_CODE,
	QUERY_NOM,
	QUERY_PARENT_ID,
	QUERY_NATTS
};

extern SPIPlanPtr catalogue_reading_plan(const LookupRequest *request, LookupTables *tables);
extern bool catalogue_make_reading_params(const LookupRequest *request, const LookupTables *tables,
										  ParamListInfo *params);
extern bool catalogue_can_read_part(const LookupRequest *request, const LookupTables *tables);
extern bool catalogue_find_part(const LookupRequest *request, const text *kind, const text *id,
								LookupPart *part);

#endif							/* CATALOGUE_LOOKUPS_READING_PLAN_H */
