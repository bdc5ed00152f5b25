/*
 * file_queue.h
 *		Paths that wait to be written to an outbox.
 */
#ifndef CATALOGUE_FILE_QUEUE_H
#define CATALOGUE_FILE_QUEUE_H

#include "files/file_table.h"

#include "nodes/pg_list.h"

extern int	catalogue_trigger_depth(void);
extern void catalogue_queue_paths(const List *paths, int move_depth);
extern bool catalogue_has_moves(void);
extern void catalogue_settle_moves(int depth, bool seen, const List *named);
extern bool catalogue_names_file(const List *paths, Oid outbox, const text *location);
extern void catalogue_flush_files(int depth);

#endif							/* CATALOGUE_FILE_QUEUE_H */
