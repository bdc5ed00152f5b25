/*
 * tables.h
 *		The lookup tables of an attachment: what they are, and since when unchanged.
 */
#ifndef CATALOGUE_LOOKUPS_TABLES_H
#define CATALOGUE_LOOKUPS_TABLES_H

#include "attachment.h"

#include "executor/spi.h"
#include "lib/ilist.h"
#include "utils/snapshot.h"

/*
 * Where a snapshot stands in the order of all snapshots of a server: a later one
 * has a greater xmax, or fewer transactions in progress below the same.
 */
typedef struct SnapshotPosition
{
	TransactionId xmax;
	uint32		in_progress;
	bool		in_recovery;
} SnapshotPosition;

typedef struct LookupTables
{
	CachedThing base;			/* (must be first) depends on what the tables
								 * are */
	Oid			schema;			/* whose attachment they belong to */
	Oid			purges;			/* the attachment's own sentinel */
	Oid		   *relids;			/* the tables and their partitions */
	int			nrelids;
	bool		cacheable;		/* whether every change of content is
								 * announced */
	bool		fix_settings;	/* whether texts depend on settings */
	Oid		   *id_types;		/* by which the ids of each kind can be
								 * searched; InvalidOid: not */
	struct LookupPlan *plans;	/* of their reading, once used:
								 * reading_plan.c's */
	MemoryContext changes_cxt;
	Dependencies *changes;		/* on announcements of changed rows */
	SnapshotPosition since;		/* the content has not changed since this */
	uint64		renewals;
	Size		bytes;			/* of memory, where later calls find it */
	dlist_head	entries;		/* the cache's, read from these tables */
} LookupTables;

extern LookupTables *catalogue_read_lookup_tables(const Attachment *attachment);
extern void catalogue_renew_lookup_tables(LookupTables *tables);
extern bool catalogue_lookup_tables_current(const LookupTables *tables);
extern void catalogue_lock_lookup_tables(const LookupTables *tables);
extern bool catalogue_lookups_unchanged_since(const LookupTables *tables, Snapshot snapshot);
extern bool catalogue_wrote_lookups(const LookupTables *tables);
extern bool catalogue_lookups_rewritten_since(const LookupTables *tables, Snapshot snapshot);
extern Snapshot catalogue_newest_snapshot(void);
extern bool catalogue_row_security_applies(const Attachment *attachment, Oid role);

#endif							/* CATALOGUE_LOOKUPS_TABLES_H */
