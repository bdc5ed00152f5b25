/*
 * foreign_keys.c
 *		The foreign keys to a table, as edges of a graph.
 */
#include "deletion/graph_builder.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static List *referencing_constraints(const DeletionTable *parent);
static Oid topmost_constraint(Oid constraint);
static void add_foreign_key(GraphBuilder *builder, DeletionTable *parent, Oid constraint);
static ColumnPair *foreign_key_pair(const FormData_pg_constraint *form, AttrNumber parent,
									AttrNumber child, Oid equal);
static bool is_also_delete(const Attachment *attachment, Oid relid, const List *pairs);
static int compare_labels(const ListCell *a, const ListCell *b);

void
catalogue_add_foreign_keys(GraphBuilder *builder, DeletionTable *parent)
{
	List *constraints = referencing_constraints(parent);
	ListCell *lc;

	foreach(lc, constraints)
		add_foreign_key(builder, parent, lfirst_oid(lc));
	list_free(constraints);
	list_sort(parent->children, compare_labels);
}

/*
 * The foreign keys to a table, or to what it is a partition of.  There is no
 * index on pg_constraint to find them by, but each that is enforced has its
 * triggers on the table, which the relation cache knows.
 */
static List *
referencing_constraints(const DeletionTable *parent)
{
	Relation rel = table_open(parent->relid, NoLock);
	List *constraints = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (OidIsValid(trigger->tgconstraint) && TRIGGER_FOR_DELETE(trigger->tgtype) &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK)
			constraints =
				list_append_unique_oid(constraints, topmost_constraint(trigger->tgconstraint));
	}
	table_close(rel, NoLock);

	return constraints;
}

/* The constraint as it was declared, where a partition has a copy of it. */
static Oid
topmost_constraint(Oid constraint)
{
	for (;;)
	{
		HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
		Oid parent;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", constraint);
		parent = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent))
			return constraint;
		constraint = parent;
	}
}

static void
add_foreign_key(GraphBuilder *builder, DeletionTable *parent, Oid constraint)
{
	const Attachment *attachment = builder->attachment;
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	DeletionEdge model = {.constraint = constraint};
	int nkeys;
	AttrNumber child[INDEX_MAX_KEYS];
	AttrNumber referenced[INDEX_MAX_KEYS];
	Oid equal[INDEX_MAX_KEYS];
	Oid unused[INDEX_MAX_KEYS];
	int nset;
	AttrNumber set[INDEX_MAX_KEYS];
	StringInfoData assignments;
	List *pairs = NIL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	/* The child must be locked before its columns are looked at. */
	catalogue_depend_on_relation(builder->graph->base.dependencies, form->conrelid);
	LockRelationOid(form->conrelid, builder->lockmode);
	DeconstructFkConstraintRow(tuple, &nkeys, child, referenced, equal, unused, unused, &nset, set);

	for (int i = 0; i < nkeys; i++)
		pairs = lappend(pairs, foreign_key_pair(form, referenced[i], child[i], equal[i]));
	model.label = pstrdup(NameStr(form->conname));
	model.comparable = !catalogue_constraint_has_period(form);

	switch (form->confdeltype)
	{
		case FKCONSTR_ACTION_CASCADE:
			model.action = EDGE_DELETE;
			break;
		case FKCONSTR_ACTION_SETNULL:
			model.action = EDGE_SET_NULL;
			break;
		case FKCONSTR_ACTION_SETDEFAULT:
			model.action = EDGE_SET_DEFAULT;
			break;
		default:
			model.action = EDGE_BLOCK;
			break;
	}
	if (model.action != EDGE_DELETE && is_also_delete(attachment, form->conrelid, pairs))
	{
		model.action = EDGE_DELETE;
		model.beyond_schema = true;
	}

	initStringInfo(&assignments);
	for (int i = 0; i < (nset > 0 ? nset : nkeys); i++)
		appendStringInfo(&assignments, "%s%s = %s", i > 0 ? ", " : "",
						 quote_identifier(
							 get_attname(form->conrelid, nset > 0 ? set[i] : child[i], false)),
						 model.action == EDGE_SET_NULL ? "NULL" : "DEFAULT");
	model.assignments = assignments.data;

	/* A default may be the very key that goes: its trigger has to look. */
	model.provable = !form->condeferrable && form->confdeltype != FKCONSTR_ACTION_SETDEFAULT &&
					 get_rel_relkind(form->conrelid) != RELKIND_PARTITIONED_TABLE &&
					 get_rel_relkind(form->confrelid) != RELKIND_PARTITIONED_TABLE;

	if (form->conrelid == attachment->chapters && attachment->chapters_author != NULL &&
		nkeys == 1 &&
		strcmp(((ColumnPair *) linitial(pairs))->child, attachment->chapters_author) == 0 &&
		list_member_ptr(builder->graph->roots, parent))
		builder->author_is_key = true;

	catalogue_add_edge(builder, parent, form->conrelid, &model, pairs);
	list_free_deep(pairs);
	ReleaseSysCache(tuple);
}

static ColumnPair *
foreign_key_pair(const FormData_pg_constraint *form, AttrNumber parent, AttrNumber child, Oid equal)
{
	ColumnPair *pair = palloc(sizeof(ColumnPair));
	int32 typmod;

	pair->parent = get_attname(form->confrelid, parent, false);
	get_atttypetypmodcoll(form->confrelid, parent, &pair->parent_type, &typmod,
						  &pair->parent_collation);
	pair->child = get_attname(form->conrelid, child, false);
	get_atttypetypmodcoll(form->conrelid, child, &pair->child_type, &typmod,
						  &pair->child_collation);
	pair->equal = equal;

	return pair;
}

static bool
is_also_delete(const Attachment *attachment, Oid relid, const List *pairs)
{
	ListCell *lc;
	ListCell *lc2;

	foreach(lc, attachment->also_delete)
	{
		const AlsoDeleteBinding *binding = lfirst(lc);
		bool same = binding->relid == relid && list_length(binding->columns) == list_length(pairs);
		ListCell *lc3;

		forboth(lc2, binding->columns, lc3, pairs)
			same = same && strcmp(lfirst(lc2), ((ColumnPair *) lfirst(lc3))->child) == 0;
		if (same)
			return true;
	}
	return false;
}

static int
compare_labels(const ListCell *a, const ListCell *b)
{
	const DeletionEdge *left = lfirst(a);
	const DeletionEdge *right = lfirst(b);
	int order = strcmp(left->label, right->label);

	return order != 0 ? order : oid_cmp(&left->child->relid, &right->child->relid);
}
