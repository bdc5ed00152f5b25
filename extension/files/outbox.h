/*
 * outbox.h
 *		Writing to an outbox.
 */
#ifndef CATALOGUE_OUTBOX_H
#define CATALOGUE_OUTBOX_H

#include "files/file_table.h"

extern void catalogue_write_to_outbox(const FileColumn **columns, text **locations, int npaths);

#endif							/* CATALOGUE_OUTBOX_H */
