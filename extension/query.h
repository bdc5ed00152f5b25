/*
 * query.h
 *		The two ways into SPI: a plan that is kept, and a query that is run once.
 *
 * Both are to be called between SPI_connect() and SPI_finish(), and leave
 * their rows in SPI_tuptable, or with the options' receiver.
 */
#ifndef CATALOGUE_QUERY_H
#define CATALOGUE_QUERY_H

#include "catalogue.h"

#include "executor/spi.h"
#include "nodes/params.h"

extern SPIPlanPtr catalogue_prepare(MemoryContext cxt, const char *query, int nargs, Oid *argtypes,
									int cursor_options);
extern void catalogue_plan_by_index(SPIPlanPtr plan);
extern void catalogue_plan_one_row(SPIPlanPtr plan);
extern uint64 catalogue_execute_plan(SPIPlanPtr plan, const SPIExecuteOptions *options);
extern uint64 catalogue_execute(const char *query, const SPIExecuteOptions *options);
extern ParamListInfo catalogue_make_params(int n, const Oid *types, const NullableDatum *values);

#endif							/* CATALOGUE_QUERY_H */
