/*
 * virtual_columns.c
 *		Columns that are computed when they are read.
 *
 * From PostgreSQL 18 on a generated column may be virtual.  A heap row holds NULL
 * in its place, and the server puts the expression into a query in place of the
 * column when it rewrites it.  Where the feed reads rows without a query, it
 * evaluates the expressions here, as the caller, as such a query would.  A partition or
 * child may have another expression of its own: in a query of the table above, that
 * table's counts.
 *
 * Lifetime: in the memory context that is current at the beginning.  Values hold
 * until the next row's are computed.
 */
#include "feed/virtual_columns.h"

#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"

typedef struct VirtualColumn
{
	int			result;			/* where in the result slot it goes */
	ExprState  *expression;
} VirtualColumn;

struct VirtualColumns
{
	ExprContext *econtext;
	int			ncolumns;
	VirtualColumn columns[FLEXIBLE_ARRAY_MEMBER];
};

/*
 * Prepares those of a table's columns that are virtual; NULL where none is.  Rows are
 * of the table itself, or with a map, of a partition or child of it.
 */
VirtualColumns *
catalogue_feed_begin_virtual_columns(Relation rel, const AttrNumber *columns, int ncolumns,
									 const AttrMap *map)
{
	VirtualColumns *virtual_columns = NULL;

	for (int i = 0; i < ncolumns; i++)
	{
		Node	   *expression;

		if (!catalogue_column_is_virtual(TupleDescAttr(RelationGetDescr(rel), columns[i] - 1)))
			continue;
		if (virtual_columns == NULL)
		{
			virtual_columns = palloc0(offsetof(VirtualColumns, columns) +
									  sizeof(VirtualColumn) * ncolumns);
			virtual_columns->econtext = CreateStandaloneExprContext();
		}
		expression = build_generation_expression(rel, columns[i]);
		if (map != NULL)
		{
			bool		found_whole_row;

			expression = map_variable_attnos(expression, 1, 0, map, InvalidOid, &found_whole_row);
		}
		virtual_columns->columns[virtual_columns->ncolumns].result = i;
		virtual_columns->columns[virtual_columns->ncolumns].expression =
			ExecInitExpr(expression_planner((Expr *) expression), NULL);
		virtual_columns->ncolumns++;
	}

	return virtual_columns;
}

/* Puts a row's virtual columns into a slot that holds its other ones. */
void
catalogue_feed_compute_virtual_columns(VirtualColumns *virtual_columns, TupleTableSlot *row,
									   TupleTableSlot *result)
{
	ExprContext *econtext = virtual_columns->econtext;

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = row;
	for (int i = 0; i < virtual_columns->ncolumns; i++)
	{
		const VirtualColumn *column = &virtual_columns->columns[i];

		result->tts_values[column->result] =
			ExecEvalExprSwitchContext(column->expression, econtext,
									  &result->tts_isnull[column->result]);
	}
}
