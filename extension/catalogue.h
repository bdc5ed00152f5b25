/*
 * catalogue.h
 *		What the rooms of the extension share.
 *
 * Data flows one way: SQL entry point -> attachment -> source -> scan.  Each
 * section below belongs to the file that it names; a room that needs nothing
 * from another includes nothing of it.
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "compat.h"

/* catalogue.c: settings */
extern int catalogue_lookup_ttl; /* seconds; 0 turns the lookup cache off */
extern int catalogue_cache_size; /* kilobytes a backend */
extern bool catalogue_notify_lookups;
extern bool catalogue_enable_stream;
extern bool catalogue_skip_proven_checks;

/*
 * attachment.c: which tables a function is bound to.
 *
 * All strings and lists live in the attachment's own memory context.  Column
 * names are not quoted.  Relation OIDs may name a relation that has been
 * dropped since: whoever opens one takes its lock and finds out.
 */
typedef struct LookupBinding
{
	char *kind; /* "universite", "ufr", ... */
	Oid relid;
	char *id;
	char *code;
	char *nom;
	char *parent; /* NULL at the root of the tree */
} LookupBinding;

typedef struct FileBinding
{
	Oid relid;
	char *column;
	char *separator; /* NULL where a value is one path */
} FileBinding;

/* A foreign key whose rows go too, whatever its ON DELETE action says. */
typedef struct AlsoDeleteBinding
{
	Oid relid;
	List *columns; /* of char * */
} AlsoDeleteBinding;

/* Rows that name the professor without a foreign key. */
typedef struct SoftReferenceBinding
{
	Oid relid;
	char *column;	   /* holds the professor's id */
	char *type_column; /* NULL where the column alone decides */
	List *type_values; /* of char *: the values that mean a professor */
} SoftReferenceBinding;

typedef struct Attachment
{
	Oid schema;		   /* where the functions live; hash key */
	uint64 serial;	   /* differs for every load, even of the same schema */
	MemoryContext cxt; /* holds everything below */
	char *schema_name;

	Oid chapters; /* InvalidOid where the mapping has none */
	char *chapters_id;
	char *chapters_filiere;
	char *chapters_created_at;
	char *chapters_author; /* may be NULL */

	Oid professors; /* InvalidOid where the mapping has none */
	char *professors_id;
	char *professors_username;

	Oid deleted_files;	  /* the outbox */
	Oid professor_purges; /* progress of purges */

	List *lookups;		   /* of LookupBinding *, in tree order */
	List *files;		   /* of FileBinding * */
	List *also_delete;	   /* of AlsoDeleteBinding * */
	List *soft_references; /* of SoftReferenceBinding * */
} Attachment;

extern const Attachment *catalogue_attachment_of_function(Oid funcid);
extern Oid catalogue_config_relid(void);
extern void catalogue_attachment_relcache_callback(Oid relid);

/* fk_graph.c and deletion_watch.c; what their room shares is in deletion.h */
extern void catalogue_fk_graph_relcache_callback(Oid relid);
extern void catalogue_deletion_watch_init(void);

/* chapter_feed.c: called for every relcache message */
extern void catalogue_chapter_relcache_callback(void);

/* lookup_cache.c */
extern void catalogue_lookup_relcache_callback(Oid relid);

#endif /* CATALOGUE_H */
