/*
 * column_text.h
 *		What the text of a lookup table's column depends on besides its value.
 */
#ifndef CATALOGUE_LOOKUPS_COLUMN_TEXT_H
#define CATALOGUE_LOOKUPS_COLUMN_TEXT_H

#include "invalidation.h"

typedef enum ColumnText
{
	TEXT_OF_VALUE,				/* on nothing, or on what was registered */
	TEXT_OF_SETTINGS,			/* on those that catalogue_fix_text_settings()
								 * sets */
	TEXT_OF_ANYTHING
} ColumnText;

extern ColumnText catalogue_column_text(Oid relid, const char *column, Dependencies *dependencies);
extern Oid	catalogue_searched_type(Oid relid, const char *column);
extern int	catalogue_fix_text_settings(void);

#endif							/* CATALOGUE_LOOKUPS_COLUMN_TEXT_H */
