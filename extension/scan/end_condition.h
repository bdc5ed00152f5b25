/*
 * end_condition.h
 *		Conditions that no row meets behind one that does not.
 */
#ifndef CATALOGUE_END_CONDITION_H
#define CATALOGUE_END_CONDITION_H

#include "catalogue.h"

#include "access/attnum.h"
#include "nodes/pathnodes.h"

extern List *catalogue_end_conditions(Index rti, AttrNumber attno, List *conditions);

#endif							/* CATALOGUE_END_CONDITION_H */
