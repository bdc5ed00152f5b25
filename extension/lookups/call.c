/*
 * call.c
 *		What is settled once for a call of a lookup function: the function's types,
 *		the attachment, the role and its rights.
 *
 * The privileges that a SELECT from the lookup tables needs are checked for
 * every execution, hit or miss: USAGE of their schema, SELECT on the table or
 * on the columns that are bound.  They are those of the role that begins it,
 * as are the rows under row-level security; a cursor may be fetched from by
 * another.  That a role has been found to have all of them is remembered until
 * anything changes that it follows from.
 *
 * All universities are asked for by leaving the argument out, never by a NULL, which
 * an application may pass for somebody who has no university: nothing is theirs.  By
 * its value the default could not be told from a NULL, so it is a call of
 * catalogue.everything(), found in the expression.
 */
#include "lookups/call.h"

#include "rights.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#define ARG_UNIVERSITE 0		/* the first argument of every function */

typedef struct FunctionSlot
{
	Oid			funcid;			/* hash key (must be first) */
	LookupFunction *function;
} FunctionSlot;

/* That a role may read all rows of an attachment's lookup tables. */
typedef struct LookupRight
{
	CachedThing base;			/* (must be first) */
	Oid			schema;
	Oid			role;
	bool		restricted;		/* row-level security applies to it */
	bool		lasting;		/* as long as the dependencies are current */
} LookupRight;

/* What a right is read for. */
typedef struct RightRequest
{
	const Attachment *attachment;
	Oid			role;
} RightRequest;

#define REMEMBERED_RIGHTS 32

PG_FUNCTION_INFO_V1(catalogue_everything);

static HTAB *function_hash = NULL;
static LookupRight *rights[REMEMBERED_RIGHTS];	/* by a hash of schema and
												 * role */

static bool is_everything(const LookupFunction *function, const List *args);
static LookupFunction *find_function(Oid funcid);
static void drop_stale_functions(void);
static void read_function(CachedThing *thing, void *funcid);
static bool check_access(const Attachment *attachment, Oid role);
static void read_right(CachedThing *thing, void *arg);
static void check_privileges(const Attachment *attachment, Oid role, Dependencies *dependencies);
static bool may_select(const LookupBinding *lookup, Oid role);

/*
 * catalogue.everything(anyelement) RETURNS anyelement
 *
 * The default of an argument that is left out in order to ask for all: NULL.
 */
Datum
catalogue_everything(PG_FUNCTION_ARGS)
{
	PG_RETURN_NULL();
}

const Attachment *
catalogue_attachment_with_lookups(Oid funcid)
{
	const Attachment *attachment = catalogue_attachment_of_function(funcid, NULL);

	if (attachment->lookups == NIL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" is attached without lookup tables",
					   attachment->schema_name),
				errhint("Run catalogue.attach() with a mapping that names them."));

	return attachment;
}

/*
 * Settles a call that begins now, under the snapshot of its statement; raises what
 * keeps the role from making it.  Good to the end of the transaction, but for the
 * function, which a later call may drop unless it is pinned.
 */
void
catalogue_begin_lookup_call(LookupCall *call, Oid funcid, const List *args, Snapshot snapshot)
{
	call->attachment = catalogue_attachment_with_lookups(funcid);
	call->function = find_function(funcid);
	call->role = GetUserId();
	call->row_security = check_access(call->attachment, call->role);
	call->everything = is_everything(call->function, args);
	call->snapshot = snapshot;
}

/* Whether a call with these argument expressions, defaults included, asks for all. */
bool
catalogue_asks_for_everything(Oid funcid, const List *args)
{
	return is_everything(find_function(funcid), args);
}

/* Whether a call's university is nobody's. */
bool
catalogue_asks_for_nothing(const LookupCall *call, const NullableDatum *universite)
{
	return universite->isnull && !call->everything;
}

/*
 * Fills in what a call asks for, unless that is nothing, with its argument.  It may point into that, and into
 * itself.
 */
void
catalogue_make_lookup_request(const LookupCall *call, LookupForm form,
							  const NullableDatum *universite, LookupRequest *request)
{
	const LookupFunction *function = call->function;
	LookupScope *scope = &request->scope;

	request->attachment = call->attachment;
	request->role = call->role;
	request->row_security = call->row_security;
	request->snapshot = call->snapshot;
	request->form = form;
	request->part = NULL;
	memset(scope, 0, sizeof(LookupScope));
	if (call->everything)
		return;

	scope->type = function->universite_type;
	scope->value = universite->value;
	if (function->universite_by_value)
	{
		scope->image = (const char *) &scope->value;
		scope->length = sizeof(Datum);
	}
	else if (function->universite_length == -1)
	{
		scope->value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(universite->value));
		scope->image = VARDATA_ANY(DatumGetPointer(scope->value));
		scope->length = VARSIZE_ANY_EXHDR(DatumGetPointer(scope->value));
	}
	else
	{
		scope->image = DatumGetPointer(universite->value);
		scope->length = datumGetSize(universite->value, false, function->universite_length);
	}
}

static bool
is_everything(const LookupFunction *function, const List *args)
{
	const FuncExpr *universite = args != NIL ? list_nth(args, ARG_UNIVERSITE) : NULL;

	return universite != NULL && IsA(universite, FuncExpr) &&
		universite->funcid == function->everything;
}

static LookupFunction *
find_function(Oid funcid)
{
	FunctionSlot *slot;
	bool		found;

	if (function_hash == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(FunctionSlot),
		};

		function_hash = hash_create("catalogue functions", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}

	slot = hash_search(function_hash, &funcid, HASH_FIND, NULL);
	if (slot == NULL || !catalogue_is_current(slot->function->base.dependencies))
	{
		LookupFunction *function;

		drop_stale_functions();
		function = (LookupFunction *) catalogue_read_cached("catalogue function",
															sizeof(LookupFunction),
															read_function, &funcid);
		slot = hash_search(function_hash, &funcid, HASH_ENTER, &found);
		slot->function = function;
		MemoryContextSetParent(function->base.cxt, CacheMemoryContext);
	}

	return slot->function;
}

/* Those that have changed or gone; calls that have begun hold a pin. */
static void
drop_stale_functions(void)
{
	HASH_SEQ_STATUS status;
	FunctionSlot *slot;

	hash_seq_init(&status, function_hash);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		LookupFunction *function = slot->function;

		if (!catalogue_is_current(function->base.dependencies))
		{
			hash_search(function_hash, &slot->funcid, HASH_REMOVE, NULL);
			catalogue_drop_cached(&function->base);
		}
	}
}

static void
read_function(CachedThing *thing, void *arg)
{
	LookupFunction *function = (LookupFunction *) thing;
	const Oid	anyelement = ANYELEMENTOID;
	TupleDesc	tupdesc;
	Oid		   *argtypes;
	int			nargs;

	function->funcid = *(Oid *) arg;
	catalogue_depend_on_function(thing->dependencies, function->funcid);
	function->everything =
		LookupFuncName(list_make2(makeString("catalogue"), makeString("everything")), 1,
					   &anyelement, false);
	get_func_signature(function->funcid, &argtypes, &nargs);
	function->universite_type = argtypes[ARG_UNIVERSITE];
	get_typlenbyval(function->universite_type, &function->universite_length,
					&function->universite_by_value);
	if (get_func_result_type(function->funcid, NULL, &tupdesc) == TYPEFUNC_COMPOSITE)
	{
		MemoryContext oldcxt = MemoryContextSwitchTo(thing->cxt);

		function->tupdesc = CreateTupleDescCopy(tupdesc);
		MemoryContextSwitchTo(oldcxt);
	}
}

/*
 * Checks that a role may read all columns that are bound; returns whether
 * row-level security applies to it.
 */
static bool
check_access(const Attachment *attachment, Oid role)
{
	RightRequest request = {
		.attachment = attachment,
		.role = role,
	};
	LookupRight **slot =
		&rights[hash_combine(murmurhash32(attachment->schema), role) % REMEMBERED_RIGHTS];
	LookupRight *right = *slot;
	bool		restricted;

	if (right != NULL && right->schema == attachment->schema && right->role == role &&
		catalogue_is_current(right->base.dependencies))
		return false;

	right = (LookupRight *) catalogue_read_cached("catalogue right", sizeof(LookupRight),
												  read_right, &request);
	restricted = right->restricted;
	if (right->lasting && catalogue_is_current(attachment->base.dependencies))
	{
		if (*slot != NULL)
			catalogue_drop_cached(&(*slot)->base);
		*slot = right;
		MemoryContextSetParent(right->base.cxt, CacheMemoryContext);
	}
	else
		catalogue_drop_cached(&right->base);

	return restricted;
}

/*
 * Finds out whether a role has a right; raises what it lacks.
 *
 * It lasts only where no table has row-level security: whether that applies depends
 * on more than roles and tables.
 */
static void
read_right(CachedThing *thing, void *arg)
{
	LookupRight *right = (LookupRight *) thing;
	const RightRequest *request = arg;
	ListCell   *lc;

	right->schema = request->attachment->schema;
	right->role = request->role;
	right->lasting = true;
	catalogue_depend_on_relation(thing->dependencies, catalogue_config_relid());
	catalogue_depend_on_roles(thing->dependencies);
	check_privileges(request->attachment, request->role, thing->dependencies);
	foreach(lc, request->attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);
		int			applies = check_enable_rls(lookup->relid, request->role, true);

		right->lasting &= applies == RLS_NONE;
		right->restricted |= applies == RLS_ENABLED;
	}
}

/* Checks that a role has the privileges, and registers what they are read from. */
static void
check_privileges(const Attachment *attachment, Oid role, Dependencies *dependencies)
{
	Oid			checked_namespace = InvalidOid;
	ListCell   *lc;

	foreach(lc, attachment->lookups)
	{
		const LookupBinding *lookup = lfirst(lc);
		Oid			namespace;

		catalogue_depend_on_relation(dependencies, lookup->relid);
		namespace = get_rel_namespace(lookup->relid);
		if (OidIsValid(namespace) && namespace != checked_namespace)
		{
			AclResult	aclresult;

			catalogue_depend_on_schema(dependencies, namespace);
			aclresult = object_aclcheck(NamespaceRelationId, namespace, role, ACL_USAGE);
			if (aclresult != ACLCHECK_OK)
				aclcheck_error(aclresult, OBJECT_SCHEMA, get_namespace_name(namespace));
			checked_namespace = namespace;
		}
		if (!may_select(lookup, role))
			catalogue_report_no_privilege(lookup->relid);
	}
}

/* Whether a role may read the columns of a lookup table that are bound. */
static bool
may_select(const LookupBinding *lookup, Oid role)
{
	const char *names[] = {lookup->id, lookup->code, lookup->nom, lookup->parent};
	AttrNumber	columns[lengthof(names)];
	int			n = 0;

	/* The common case needs no column numbers, which take longer to look up. */
	if (pg_class_aclcheck(lookup->relid, role, ACL_SELECT) == ACLCHECK_OK)
		return true;

	for (int i = 0; i < lengthof(names); i++)
	{
		/*
		 * The query that reads the tables raises the error for a missing
		 * column.
		 */
		AttrNumber	attnum = names[i] ? get_attnum(lookup->relid, names[i]) : InvalidAttrNumber;

		if (attnum != InvalidAttrNumber)
			columns[n++] = attnum;
	}

	return catalogue_may_select(lookup->relid, role, columns, n);
}
