/*
 * call.h
 *		What is settled once for a call of a lookup function.
 */
#ifndef CATALOGUE_LOOKUPS_CALL_H
#define CATALOGUE_LOOKUPS_CALL_H

#include "lookups/content.h"

#include "access/tupdesc.h"

/* What a function's declaration says, kept for the backend's life. */
typedef struct LookupFunction
{
	CachedThing base;			/* (must be first) */
	Oid			funcid;			/* hash key */
	Oid			universite_type;
	int16		universite_length;
	bool		universite_by_value;
	TupleDesc	tupdesc;		/* NULL where the result is no row */
	Oid			everything;		/* the function by which its default says all */
} LookupFunction;

typedef struct LookupCall
{
	LookupFunction *function;	/* for the caller to pin */
	const Attachment *attachment;
	Oid			role;			/* that began the call */
	bool		row_security;	/* applies to it */
	bool		everything;		/* asked for, by leaving the university out */
	Snapshot	snapshot;		/* of the call's statement */
} LookupCall;

extern const Attachment *catalogue_attachment_with_lookups(Oid funcid);
extern bool catalogue_asks_for_everything(Oid funcid, const List *args);
extern void catalogue_begin_lookup_call(LookupCall *call, Oid funcid, const List *args,
										Snapshot snapshot);
extern bool catalogue_asks_for_nothing(const LookupCall *call, const NullableDatum *universite);
extern void catalogue_make_lookup_request(const LookupCall *call, LookupForm form,
										  const NullableDatum *universite,
										  LookupRequest *request);

#endif							/* CATALOGUE_LOOKUPS_CALL_H */
