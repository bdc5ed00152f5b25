/*
 * stream_scan.h
 *		The stream scan's node, between planner (stream_path.c) and executor.
 */
#ifndef CATALOGUE_STREAM_SCAN_H
#define CATALOGUE_STREAM_SCAN_H

#include "scan/tuple_source.h"

#include "nodes/extensible.h"

/* stream_scan.c */
extern const CustomScanMethods catalogue_stream_scan_methods;
extern const TupleSourceMethods *catalogue_stream_source(List *custom_private);

/* stream_path.c */
extern void catalogue_stream_path_init(void);

#endif							/* CATALOGUE_STREAM_SCAN_H */
