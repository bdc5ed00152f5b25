/*
 * shared_files.h
 *		Files that several rows name.
 */
#ifndef CATALOGUE_SHARED_FILES_H
#define CATALOGUE_SHARED_FILES_H

#include "attachment.h"

extern bool *catalogue_find_living_files(const Attachment *attachment, text **paths, int npaths);

#endif							/* CATALOGUE_SHARED_FILES_H */
