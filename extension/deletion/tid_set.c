/*
 * tid_set.c
 *		A set of TIDs of one table: for each block, a bitmap of offsets.
 *
 * The server's own TIDBitmap cannot be asked whether it has a TID.  This one
 * can, and knows nothing of how many rows a block may have.  It takes about a
 * hundred bytes for each block that has a row in it.
 *
 * Memory: a context below the one that it was made for.
 */
#include "deletion/tid_set.h"

#include "nodes/bitmapset.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct TidSetBlock
{
	BlockNumber block;			/* hash key (must be first) */
	Bitmapset  *offsets;
	struct TidSetBlock *next;	/* in the order in which they were added */
} TidSetBlock;

struct TidSet
{
	MemoryContext cxt;
	HTAB	   *blocks;
	TidSetBlock *first;
	TidSetBlock *last;
	TidSetBlock *current;		/* of the iteration */
	int			offset;			/* the last one of it that was returned */
};

/* An empty set. */
TidSet *
catalogue_make_tid_set(MemoryContext cxt)
{
	TidSet	   *set = MemoryContextAllocZero(cxt, sizeof(TidSet));
	HASHCTL		ctl = {
		.keysize = sizeof(BlockNumber),
		.entrysize = sizeof(TidSetBlock),
	};

	set->cxt = ctl.hcxt = AllocSetContextCreate(cxt, "catalogue TIDs", ALLOCSET_SMALL_SIZES);
	set->blocks = hash_create("catalogue TIDs", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	return set;
}

/* Adds a TID; false when the set had it. */
bool
catalogue_add_tid(TidSet *set, ItemPointer tid)
{
	BlockNumber number = ItemPointerGetBlockNumber(tid);
	int			offset = ItemPointerGetOffsetNumber(tid);
	bool		found;
	TidSetBlock *block = hash_search(set->blocks, &number, HASH_ENTER, &found);
	MemoryContext oldcxt;

	if (!found)
	{
		block->offsets = NULL;
		block->next = NULL;
		if (set->first == NULL)
			set->first = block;
		else
			set->last->next = block;
		set->last = block;
	}
	else if (bms_is_member(offset, block->offsets))
		return false;

	oldcxt = MemoryContextSwitchTo(set->cxt);
	block->offsets = bms_add_member(block->offsets, offset);
	MemoryContextSwitchTo(oldcxt);

	return true;
}

bool
catalogue_has_tid(const TidSet *set, ItemPointer tid)
{
	BlockNumber number = ItemPointerGetBlockNumber(tid);
	const TidSetBlock *block = hash_search(set->blocks, &number, HASH_FIND, NULL);

	return block != NULL && bms_is_member(ItemPointerGetOffsetNumber(tid), block->offsets);
}

/* Begins an iteration, of which a set has one at a time. */
void
catalogue_rewind_tids(TidSet *set)
{
	set->current = set->first;
	set->offset = -1;
}

/* The next TID, in the order of the blocks' first rows; false at the end. */
bool
catalogue_next_tid(TidSet *set, ItemPointer tid)
{
	while (set->current != NULL)
	{
		set->offset = bms_next_member(set->current->offsets, set->offset);
		if (set->offset >= 0)
		{
			ItemPointerSet(tid, set->current->block, set->offset);
			return true;
		}
		set->current = set->current->next;
		set->offset = -1;
	}

	return false;
}
