/*
 * bindings.h
 *		Which attachments bind a lookup table, and by which columns.
 */
#ifndef CATALOGUE_LOOKUPS_BINDINGS_H
#define CATALOGUE_LOOKUPS_BINDINGS_H

#include "invalidation.h"

#include "access/attnum.h"

/* Columns of catalogue.lookup that name a bound column: id, code, nom, parent. */
#define LOOKUP_COLUMNS 4

/* One use of a table, or of a partition of it, as a lookup table. */
typedef struct TableBinding
{
	Oid			outbox;			/* that the attachment is known by */
	Oid			sentinel;		/* of the attachment */
	AttrNumber	columns[LOOKUP_COLUMNS];	/* by their numbers in the table */
	int			ncolumns;
	bool		any_column;		/* it is not known which changes matter */
	TransactionId announced_in; /* the (sub)transaction that has announced a
								 * change */
} TableBinding;

typedef struct TableBindings
{
	CachedThing base;			/* (must be first) */
	Oid			relid;			/* hash key */
	TableBinding *bindings;
	int			n;
} TableBindings;

extern TableBindings *catalogue_lookup_bindings(Oid relid);

#endif							/* CATALOGUE_LOOKUPS_BINDINGS_H */
