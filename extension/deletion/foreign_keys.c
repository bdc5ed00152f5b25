/*
 * foreign_keys.c
 *		The foreign keys to a table, as edges of a graph.
 */
#include "deletion/graph_builder.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static List *referencing_constraints(const DeletionTable *referenced);
static Oid	topmost_constraint(Oid constraint);
static void add_foreign_key(GraphBuilder *builder, DeletionTable *referenced, Oid constraint,
							int position);
static EdgeAction edge_action(char confdeltype);
static char *assignments(Oid relid, int n, const AttrNumber *columns, EdgeAction action);
static ColumnPair *foreign_key_pair(const FormData_pg_constraint *form, AttrNumber referenced,
									AttrNumber referencing, Oid equal);
static bool is_also_delete(const Attachment *attachment, Oid relid, const List *pairs);
static int	compare_labels(const ListCell *a, const ListCell *b);
static bool moves_rows(GraphBuilder *builder, Oid relid, int n, const AttrNumber *columns);
static bool calls_volatile_default(Oid relid, int n, const AttrNumber *columns);

/* Adds an edge for each foreign key to a table, in an order that a restored dump has too. */
void
catalogue_add_foreign_keys(GraphBuilder *builder, DeletionTable *referenced)
{
	List	   *constraints = referencing_constraints(referenced);
	ListCell   *lc;

	foreach(lc, constraints)
		add_foreign_key(builder, referenced, lfirst_oid(lc), foreach_current_index(lc));
	list_free(constraints);
	list_sort(referenced->edges, compare_labels);
}

/*
 * The foreign keys to a table, or to what it is a partition of.  There is no
 * index on pg_constraint to find them by, but each that is enforced has its
 * triggers on the table, which the relation cache knows.
 */
static List *
referencing_constraints(const DeletionTable *referenced)
{
	Relation	rel = table_open(referenced->relid, NoLock);
	List	   *constraints = NIL;

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
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
		Oid			parent;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", constraint);
		parent = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent))
			return constraint;
		constraint = parent;
	}
}

/* Adds the edges of one foreign key: one for each physical table that has it. */
static void
add_foreign_key(GraphBuilder *builder, DeletionTable *referenced, Oid constraint, int position)
{
	const Attachment *attachment = builder->attachment;
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	DeletionEdge model = {.constraint = constraint,
	.position = position};
	int			nkeys;
	AttrNumber	referencing_columns[INDEX_MAX_KEYS];
	AttrNumber	referenced_columns[INDEX_MAX_KEYS];
	Oid			equal[INDEX_MAX_KEYS];
	Oid			unused[INDEX_MAX_KEYS];
	int			nset;
	AttrNumber	set_columns[INDEX_MAX_KEYS];
	List	   *pairs = NIL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	/* The referencing table must be locked before its columns are looked at. */
	catalogue_depend_on_relation(builder->graph->base.dependencies, form->conrelid);
	LockRelationOid(form->conrelid, builder->lockmode);
	DeconstructFkConstraintRow(tuple, &nkeys, referencing_columns, referenced_columns, equal,
							   unused, unused, &nset, set_columns);

	for (int i = 0; i < nkeys; i++)
	{
		pairs = lappend(pairs, foreign_key_pair(form, referenced_columns[i], referencing_columns[i],
												equal[i]));
		model.generated = model.generated ||
			get_attgenerated(form->conrelid, referencing_columns[i]) != '\0';
	}
	model.label = pstrdup(NameStr(form->conname));
	model.comparable = !catalogue_constraint_has_period(form);
	model.action = edge_action(form->confdeltype);
	if (model.action != EDGE_DELETE && is_also_delete(attachment, form->conrelid, pairs))
	{
		model.action = EDGE_DELETE;
		model.beyond_schema = true;
	}

	/* SET NULL and SET DEFAULT may name some of the columns. */
	if (nset == 0)
	{
		nset = nkeys;
		memcpy(set_columns, referencing_columns, nkeys * sizeof(AttrNumber));
	}
	if (catalogue_sets_keys(&model))
	{
		model.assignments = assignments(form->conrelid, nset, set_columns, model.action);
		for (int i = 0; i < nset; i++)
			model.set_columns = lappend(model.set_columns,
										get_attname(form->conrelid, set_columns[i], false));
		model.moves_rows = moves_rows(builder, form->conrelid, nset, set_columns);
		model.calls_volatile = model.action == EDGE_SET_DEFAULT &&
			calls_volatile_default(form->conrelid, nset, set_columns);
	}

	/*
	 * A default may be the very key that is deleted: the trigger has to look.
	 * What else must hold is decided when the whole graph is known.
	 */
	model.redundant_ri_trigger = !form->condeferrable && model.comparable &&
		form->confdeltype != FKCONSTR_ACTION_SETDEFAULT &&
		get_rel_relkind(form->conrelid) != RELKIND_PARTITIONED_TABLE &&
		get_rel_relkind(form->confrelid) != RELKIND_PARTITIONED_TABLE;

	if (form->conrelid == attachment->chapters && attachment->chapters_author != NULL &&
		nkeys == 1 &&
		strcmp(((ColumnPair *) linitial(pairs))->referencing, attachment->chapters_author) == 0 &&
		list_member_oid(builder->professors, referenced->relid))
		builder->author_is_key = true;

	catalogue_add_edge(builder, referenced, form->conrelid, &model, pairs);
	list_free_deep(pairs);
	ReleaseSysCache(tuple);
}

static EdgeAction
edge_action(char confdeltype)
{
	switch (confdeltype)
	{
		case FKCONSTR_ACTION_CASCADE:
			return EDGE_DELETE;
		case FKCONSTR_ACTION_SETNULL:
			return EDGE_SET_NULL;
		case FKCONSTR_ACTION_SETDEFAULT:
			return EDGE_SET_DEFAULT;
		default:
			return EDGE_BLOCK;
	}
}

/* What SET NULL or SET DEFAULT does to columns, as the SET clause of an UPDATE. */
static char *
assignments(Oid relid, int n, const AttrNumber *columns, EdgeAction action)
{
	StringInfoData clause;

	initStringInfo(&clause);
	for (int i = 0; i < n; i++)
		appendStringInfo(&clause, "%s%s = %s", i > 0 ? ", " : "",
						 quote_identifier(get_attname(relid, columns[i], false)),
						 action == EDGE_SET_NULL ? "NULL" : "DEFAULT");

	return clause.data;
}

static ColumnPair *
foreign_key_pair(const FormData_pg_constraint *form, AttrNumber referenced, AttrNumber referencing,
				 Oid equal)
{
	ColumnPair *pair = palloc(sizeof(ColumnPair));
	int32		typmod;

	pair->referenced = get_attname(form->confrelid, referenced, false);
	get_atttypetypmodcoll(form->confrelid, referenced, &pair->referenced_type, &typmod,
						  &pair->referenced_collation);
	pair->referencing = get_attname(form->conrelid, referencing, false);
	get_atttypetypmodcoll(form->conrelid, referencing, &pair->referencing_type, &typmod,
						  &pair->referencing_collation);
	pair->equal = equal;

	return pair;
}

/* Does the mapping list the key, by its columns? */
static bool
is_also_delete(const Attachment *attachment, Oid relid, const List *pairs)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, attachment->also_delete)
	{
		const AlsoDeleteBinding *binding = lfirst(lc);
		bool		same = binding->relid == relid && list_length(binding->columns) == list_length(pairs);
		ListCell   *lc3;

		forboth(lc2, binding->columns, lc3, pairs)
			same = same && strcmp(lfirst(lc2), ((ColumnPair *) lfirst(lc3))->referencing) == 0;
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
	int			order = strcmp(left->label, right->label);

	return order != 0 ? order : oid_cmp(&left->referencing->relid, &right->referencing->relid);
}

/* Are any of the columns in the partition key of the table, or of a part of it? */
static bool
moves_rows(GraphBuilder *builder, Oid relid, int n, const AttrNumber *columns)
{
	List	   *members;
	bool		found = false;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return false;

	members = catalogue_depend_on_partitions(builder->graph->base.dependencies, relid,
											 builder->lockmode);
	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);
		Relation	rel;
		Bitmapset  *numbers = NULL;

		if (get_rel_relkind(member) != RELKIND_PARTITIONED_TABLE)
			continue;
		for (int i = 0; i < n; i++)
			numbers =
				bms_add_member(numbers,
							   get_attnum(member, get_attname(relid, columns[i], false)) -
							   FirstLowInvalidHeapAttributeNumber);
		rel = table_open(member, NoLock);
		found = found || has_partition_attrs(rel, numbers, NULL);
		table_close(rel, NoLock);
		bms_free(numbers);
	}
	list_free(members);

	return found;
}

/* Could the default of one of the columns do anything but return a value? */
static bool
calls_volatile_default(Oid relid, int n, const AttrNumber *columns)
{
	Relation	rel = table_open(relid, NoLock);
	bool		found = false;

	for (int i = 0; i < n; i++)
		found = found || contain_volatile_functions(build_column_default(rel, columns[i]));
	table_close(rel, NoLock);

	return found;
}
