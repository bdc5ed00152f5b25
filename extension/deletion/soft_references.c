/*
 * soft_references.c
 *		The mapping's own references to the professors, as edges of a graph.
 *
 * They belong wherever a professor is deleted, whatever the root is.
 */
#include "deletion/graph_builder.h"

#include "names.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static void add_reference(GraphBuilder *builder, DeletionTable *referenced,
						  const char *referenced_column, Oid referencing, const char *column,
						  const char *condition);

/* The soft references, and the chapters where no foreign key covers their author. */
void
catalogue_add_soft_references(GraphBuilder *builder, DeletionTable *referenced)
{
	const Attachment *attachment = builder->attachment;
	ListCell   *lc;

	if (OidIsValid(attachment->chapters) && attachment->chapters_author != NULL &&
		!builder->author_is_key)
		add_reference(builder, referenced, attachment->professors_username, attachment->chapters,
					  attachment->chapters_author, NULL);

	foreach(lc, attachment->soft_references)
	{
		const SoftReferenceBinding *reference = lfirst(lc);
		StringInfoData condition;
		ListCell   *value;

		initStringInfo(&condition);
		if (reference->type_column != NULL)
		{
			appendStringInfo(&condition, "t.%s::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY[",
							 quote_identifier(reference->type_column));
			foreach(value, reference->type_values)
				appendStringInfo(&condition, "%s%s", foreach_current_index(value) > 0 ? ", " : "",
								 quote_literal_cstr(lfirst(value)));
			appendStringInfoString(&condition, "]::pg_catalog.text[])");
		}
		add_reference(builder, referenced, attachment->professors_id, reference->relid,
					  reference->column, condition.len > 0 ? condition.data : NULL);
	}
}

/*
 * Columns of different types are compared by an operator between the two, or
 * as text where there is none.
 */
static void
add_reference(GraphBuilder *builder, DeletionTable *referenced, const char *referenced_column,
			  Oid referencing, const char *column, const char *condition)
{
	DeletionEdge model = {.action = EDGE_DELETE,
		.beyond_schema = true,
		.comparable = true,
		.label = pstrdup(column),
	.condition = condition};
	AttrNumber	referenced_attnum = catalogue_column_number(referenced->relid, referenced_column);
	AttrNumber	attnum;
	ColumnPair	pair = {.referenced = unconstify(char *, referenced_column),
	.referencing = unconstify(char *, column)};
	int32		typmod;

	catalogue_depend_on_relation(builder->graph->base.dependencies, referencing);
	LockRelationOid(referencing, builder->lockmode);
	attnum = catalogue_column_number(referencing, column);
	get_atttypetypmodcoll(referenced->relid, referenced_attnum, &pair.referenced_type, &typmod,
						  &pair.referenced_collation);
	get_atttypetypmodcoll(referencing, attnum, &pair.referencing_type, &typmod,
						  &pair.referencing_collation);

	if (getBaseType(pair.referenced_type) == getBaseType(pair.referencing_type))
		pair.equal = lookup_type_cache(pair.referenced_type, TYPECACHE_EQ_OPR)->eq_opr;
	else
		pair.equal = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("=")),
									  pair.referenced_type, pair.referencing_type);
	if (!OidIsValid(pair.equal))
		pair.equal = TextEqualOperator;

	catalogue_add_edge(builder, referenced, referencing, &model, list_make1(&pair));
}
