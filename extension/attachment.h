/*
 * attachment.h
 *		What a function is bound to.
 *
 * All strings and lists live in the attachment's own memory context.  Column
 * names are not quoted.  Relation OIDs may name a relation that has been
 * dropped since: whoever opens one takes its lock and finds out.
 */
#ifndef CATALOGUE_ATTACHMENT_H
#define CATALOGUE_ATTACHMENT_H

#include "catalogue.h"

#include "invalidation.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct LookupBinding
{
	char	   *kind;			/* "universite", "ufr", ... */
	Oid			relid;
	char	   *id;
	char	   *code;
	char	   *nom;
	char	   *parent;			/* NULL at the root of the tree */
} LookupBinding;

typedef struct FileBinding
{
	Oid			outbox;			/* which attachment's */
	Oid			relid;
	char	   *column;
	char	   *separator;		/* NULL where a value is one path */
	char	   *prefix;			/* of relative paths; NULL where they have it */
	bool		replaced;		/* a path that an UPDATE replaces goes too */
	bool		shared;			/* several rows may name one file */
} FileBinding;

/* A foreign key whose rows go too, whatever its ON DELETE action says. */
typedef struct AlsoDeleteBinding
{
	Oid			relid;
	List	   *columns;		/* of char * */
} AlsoDeleteBinding;

/* Rows that name the professor without a foreign key. */
typedef struct SoftReferenceBinding
{
	Oid			relid;
	char	   *column;			/* holds the professor's id */
	char	   *type_column;	/* NULL where the column alone decides */
	List	   *type_values;	/* of char *: the values that mean a professor */
} SoftReferenceBinding;

typedef struct Attachment
{
	CachedThing base;			/* (must be first) */
	Oid			schema;			/* where the functions live; hash key */
	char	   *schema_name;

	Oid			chapters;		/* InvalidOid where the mapping has none */
	char	   *chapters_id;
	char	   *chapters_filiere;
	char	   *chapters_created_at;
	char	   *chapters_author;	/* may be NULL */

	Oid			professors;		/* InvalidOid where the mapping has none */
	char	   *professors_id;
	char	   *professors_username;

	Oid			deleted_files;	/* the outbox */
	Interval	unlink_delay;	/* before a path in it is due */
	Oid			professor_purges;	/* progress of purges */

	/* Not of one that was read alone. */
	List	   *lookups;		/* of LookupBinding *, in tree order */
	List	   *files;			/* of FileBinding * */
	List	   *also_delete;	/* of AlsoDeleteBinding * */
	List	   *soft_references;	/* of SoftReferenceBinding * */
} Attachment;

extern const Attachment *catalogue_attachment_of_function(Oid funcid, Dependencies *dependencies);
extern const Attachment *catalogue_read_attachment_alone(Oid funcid, Dependencies *dependencies);
extern List *catalogue_file_bindings(Oid relid);
extern Interval catalogue_unlink_delay(Oid outbox);
extern Oid	catalogue_config_relid(void);
extern Oid	catalogue_purges_of_outbox(Oid outbox);

#endif							/* CATALOGUE_ATTACHMENT_H */
