/*
 * document.h
 *		The JSON document that cached_lookups_json() returns, and its version.
 */
#ifndef CATALOGUE_LOOKUPS_DOCUMENT_H
#define CATALOGUE_LOOKUPS_DOCUMENT_H

#include "lookups/content.h"

extern LookupContent *catalogue_make_document(const LookupContent *rows,
											  const Attachment *attachment, bool version_only,
											  MemoryContext cxt);
extern LookupContent *catalogue_copy_version(const LookupContent *document, MemoryContext cxt);

#endif							/* CATALOGUE_LOOKUPS_DOCUMENT_H */
