/*
 * soft_references.c
 *		The mapping's own references to the professors, as edges of a graph.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static void add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column,
						  Oid child, const char *column, const char *condition);

/* The soft references, and the chapters where no foreign key covers their author. */
void
catalogue_add_soft_references(GraphBuilder *builder, DeletionTable *parent)
{
	const Attachment *attachment = builder->attachment;
	ListCell *lc;

	if (OidIsValid(attachment->chapters) && attachment->chapters_author != NULL &&
		!builder->author_is_key)
		add_reference(builder, parent, attachment->professors_username, attachment->chapters,
					  attachment->chapters_author, NULL);

	foreach(lc, attachment->soft_references)
	{
		const SoftReferenceBinding *reference = lfirst(lc);
		StringInfoData condition;
		ListCell *value;

		initStringInfo(&condition);
		if (reference->type_column != NULL)
		{
			appendStringInfo(&condition, "c.%s::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY[",
							 quote_identifier(reference->type_column));
			foreach(value, reference->type_values)
				appendStringInfo(&condition, "%s%s", foreach_current_index(value) > 0 ? ", " : "",
								 quote_literal_cstr(lfirst(value)));
			appendStringInfoString(&condition, "]::pg_catalog.text[])");
		}
		add_reference(builder, parent, attachment->professors_id, reference->relid,
					  reference->column, condition.len > 0 ? condition.data : NULL);
	}
}

/*
 * Columns of different types are compared by an operator between the two, or
 * as text where there is none.
 */
static void
add_reference(GraphBuilder *builder, DeletionTable *parent, const char *parent_column, Oid child,
			  const char *column, const char *condition)
{
	DeletionEdge model = {.action = EDGE_DELETE,
						  .beyond_schema = true,
						  .comparable = true,
						  .label = pstrdup(column),
						  .condition = condition};
	AttrNumber parent_attnum = catalogue_column_number(parent->relid, parent_column);
	AttrNumber attnum;
	ColumnPair pair = {.parent = unconstify(char *, parent_column),
					   .child = unconstify(char *, column)};
	int32 typmod;

	catalogue_depend_on_relation(builder->graph->base.dependencies, child);
	LockRelationOid(child, builder->lockmode);
	attnum = catalogue_column_number(child, column);
	get_atttypetypmodcoll(parent->relid, parent_attnum, &pair.parent_type, &typmod,
						  &pair.parent_collation);
	get_atttypetypmodcoll(child, attnum, &pair.child_type, &typmod, &pair.child_collation);

	if (getBaseType(pair.parent_type) == getBaseType(pair.child_type))
		pair.equal = lookup_type_cache(pair.parent_type, TYPECACHE_EQ_OPR)->eq_opr;
	else
		pair.equal = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("=")),
									  pair.parent_type, pair.child_type);
	if (!OidIsValid(pair.equal))
		pair.equal = TextEqualOperator;

	catalogue_add_edge(builder, parent, child, &model, list_make1(&pair));
}
