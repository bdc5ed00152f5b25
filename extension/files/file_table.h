/*
 * file_table.h
 *		What file columns a table has, and the paths in its rows.
 */
#ifndef CATALOGUE_FILE_TABLE_H
#define CATALOGUE_FILE_TABLE_H

#include "catalogue.h"

#include "invalidation.h"

#include "executor/tuptable.h"

/* A column of a table as an attachment is bound to it, or to an ancestor's. */
typedef struct FileColumn
{
	Oid			outbox;
	Oid			relation;		/* the table that the mapping names */
	NameData	name;
	AttrNumber	attnum;			/* in the table with the row */
	const char *separator;		/* NULL where a value is one path */
	const char *prefix;			/* "" where there is none */
	bool		replaced;		/* a path that an UPDATE replaces is queued */
	bool		keeps_rows;		/* no UPDATE can move a row out of relation */
	bool		padded;			/* character(n): trailing blanks mean nothing */
	Oid			output;			/* of a type that is not laid out as text is */
	Oid			element_type;	/* of an array; InvalidOid */
	int16		element_length;
	bool		element_by_value;
	char		element_align;
} FileColumn;

/* Of a physical table; without columns where nothing is bound to it. */
typedef struct FileTable
{
	CachedThing base;			/* (must be first) */
	Oid			relid;			/* hash key */
	bool		replaced;		/* whether any column has that */
	bool		sees_moves;		/* of a partitioned table: a trigger sees each
								 * row that comes into a partition */
	int			ncolumns;
	FileColumn *columns;
} FileTable;

typedef struct FilePath
{
	const FileColumn *column;
	text	   *location;		/* with the prefix */
} FilePath;

extern const FileTable *catalogue_file_table(Oid relid);
extern bool catalogue_sees_moves(const FileColumn *column);
extern List *catalogue_paths_of_row(const FileTable *table, TupleTableSlot *slot);
extern text *catalogue_file_location(const char *prefix, const char *path, int length);

#endif							/* CATALOGUE_FILE_TABLE_H */
