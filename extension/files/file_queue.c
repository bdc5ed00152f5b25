/*
 * file_queue.c
 *		Paths that wait to be written to an outbox.
 *
 * The paths of deleted rows gather here, and are written in sets: at the end of
 * each statement, when there are many, and before the transaction ends, where a
 * statement has no trigger that would say that it is over.
 *
 * Each subtransaction has a queue of its own, from its first path on.  They are
 * dropped with it where it is rolled back, and become its parent's where it is
 * not; what it has written shares its fate anyway.  So a queue is only ever
 * written by the subtransaction that it belongs to.
 *
 * A row that an UPDATE moves to another partition is deleted there and inserted
 * here, and its files must stay.  Their paths wait, marked as moving at the depth
 * of nested triggers where the row was deleted, for the trigger that sees the new
 * row: the very next event of that depth.
 *
 * Queues lie below TopTransactionContext.  The callbacks only relink and free.
 */
#include "files/file_queue.h"

#include "files/outbox.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Paths are written when there are this many. */
#define PATHS_PER_INSERT 1000

typedef struct QueuedPath
{
	struct QueuedPath *next;
	const FileColumn *column;
	int			move_depth;		/* where a row is moving */
	bool		seen_or_gone;	/* a new place of the row would be seen */
	text		location;		/* its length is the text's own */
} QueuedPath;

typedef struct PathList
{
	QueuedPath *first;
	QueuedPath *last;
} PathList;

typedef struct FileQueue
{
	struct FileQueue *outer;	/* of a subtransaction around this one */
	SubTransactionId subxact;
	MemoryContext cxt;			/* it and its paths */
	PathList	paths;			/* to be written */
	int			npaths;
	PathList	moving;			/* of rows whose new place is not known yet */
} FileQueue;

static FileQueue *current_queue = NULL; /* the innermost that there is */

static FileQueue *own_queue(void);
static FileQueue *make_queue(void);
static void drop_queue(void);
static void append_path(PathList *list, QueuedPath *path);
static void append_list(PathList *list, const PathList *more);
static int	take_batch(const FileColumn **columns, text **locations);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId subxact,
								  SubTransactionId parent, void *arg);
static void at_transaction_end(XactEvent event, void *arg);
static void write_everything(void);

void
catalogue_files_init(void)
{
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	RegisterXactCallback(at_transaction_end, NULL);
}

/* How many triggers' functions are running, one in the statement of another. */
int
catalogue_trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/* Queues paths (of FilePath *), as those of a moving row where that has a depth. */
void
catalogue_queue_paths(const List *paths, int move_depth)
{
	FileQueue  *queue;
	ListCell   *lc;

	if (paths == NIL)
		return;

	queue = own_queue();
	if (queue == NULL)
		queue = make_queue();
	foreach(lc, paths)
	{
		const FilePath *path = lfirst(lc);
		Size		size = VARSIZE(path->location);
		QueuedPath *queued =
			MemoryContextAlloc(queue->cxt, offsetof(QueuedPath, location) + size);

		queued->column = path->column;
		queued->move_depth = move_depth;
		queued->seen_or_gone = move_depth > 0 && catalogue_sees_moves(path->column);
		memcpy(&queued->location, path->location, size);
		if (move_depth > 0)
			append_path(&queue->moving, queued);
		else
		{
			append_path(&queue->paths, queued);
			queue->npaths++;
		}
	}

	/* Deeper than here, where a row may be on the move. */
	if (queue->npaths >= PATHS_PER_INSERT)
		catalogue_flush_files(catalogue_trigger_depth() + 1);
}

/* Cheap enough to ask for every row. */
bool
catalogue_has_moves(void)
{
	const FileQueue *queue = own_queue();

	return queue != NULL && queue->moving.first != NULL;
}

/*
 * Ends what moves at a depth or deeper.  Where a trigger has seen the new row at
 * that depth, paths that it names stay with it, and others are not named any
 * more.  Where none has, the row is gone, unless it may be where no trigger sees
 * it, with its files.
 */
void
catalogue_settle_moves(int depth, bool seen, const List *named)
{
	FileQueue  *queue = own_queue();
	PathList	moving;

	if (queue == NULL)
		return;

	moving = queue->moving;
	memset(&queue->moving, 0, sizeof(PathList));
	for (QueuedPath *path = moving.first; path != NULL;)
	{
		QueuedPath *next = path->next;

		if (path->move_depth < depth)
			append_path(&queue->moving, path);
		else if (seen && path->move_depth == depth
				 ? catalogue_names_file(named, path->column->outbox, &path->location)
				 : !path->seen_or_gone)
			pfree(path);
		else
		{
			append_path(&queue->paths, path);
			queue->npaths++;
		}
		path = next;
	}
}

/* Whether a file of an outbox is among paths. */
bool
catalogue_names_file(const List *paths, Oid outbox, const text *location)
{
	ListCell   *lc;

	foreach(lc, paths)
	{
		const FilePath *path = lfirst(lc);

		if (path->column->outbox == outbox && VARSIZE(path->location) == VARSIZE(location) &&
			memcmp(path->location, location, VARSIZE(location)) == 0)
			return true;
	}

	return false;
}

/*
 * Writes what the current subtransaction has queued, but for what moves at a
 * lesser depth.
 */
void
catalogue_flush_files(int depth)
{
	const FileColumn **columns;
	text	  **locations;
	int			npaths;

	if (own_queue() == NULL)
		return;

	catalogue_settle_moves(depth, false, NIL);
	SPI_connect();
	columns = palloc(PATHS_PER_INSERT * sizeof(FileColumn *));
	locations = palloc(PATHS_PER_INSERT * sizeof(text *));
	while ((npaths = take_batch(columns, locations)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		catalogue_write_to_outbox(columns, locations, npaths);
	}
	SPI_finish();
}

/* That of the current subtransaction; NULL where it has none. */
static FileQueue *
own_queue(void)
{
	if (current_queue != NULL && current_queue->subxact == GetCurrentSubTransactionId())
		return current_queue;
	return NULL;
}

static FileQueue *
make_queue(void)
{
	MemoryContext cxt = AllocSetContextCreate(TopTransactionContext, "catalogue file queue",
											  ALLOCSET_DEFAULT_SIZES);
	FileQueue  *queue = MemoryContextAllocZero(cxt, sizeof(FileQueue));

	queue->cxt = cxt;
	queue->subxact = GetCurrentSubTransactionId();
	queue->outer = current_queue;
	current_queue = queue;

	return queue;
}

/* The innermost, with all that is left in it. */
static void
drop_queue(void)
{
	FileQueue  *queue = current_queue;

	current_queue = queue->outer;
	MemoryContextDelete(queue->cxt);
}

static void
append_path(PathList *list, QueuedPath *path)
{
	const PathList one = {
		.first = path,
		.last = path,
	};

	path->next = NULL;
	append_list(list, &one);
}

static void
append_list(PathList *list, const PathList *more)
{
	if (more->first == NULL)
		return;
	if (list->last != NULL)
		list->last->next = more->first;
	else
		list->first = more->first;
	list->last = more->last;
}

/*
 * Takes paths of one outbox out of the queue, copied into the current memory
 * context: writing them may run triggers that queue more.
 */
static int
take_batch(const FileColumn **columns, text **locations)
{
	FileQueue  *queue = own_queue();
	PathList	others = {0};
	int			npaths = 0;

	if (queue == NULL)
		return 0;

	while (queue->paths.first != NULL && npaths < PATHS_PER_INSERT)
	{
		QueuedPath *path = queue->paths.first;

		queue->paths.first = path->next;
		if (npaths > 0 && path->column->outbox != columns[0]->outbox)
			append_path(&others, path);
		else
		{
			Size		size = VARSIZE(&path->location);

			columns[npaths] = path->column;
			locations[npaths] = palloc(size);
			memcpy(locations[npaths], &path->location, size);
			npaths++;
			queue->npaths--;
			pfree(path);
		}
	}
	append_list(&others, &queue->paths);
	queue->paths = others;
	if (queue->paths.first == NULL && queue->moving.first == NULL)
		drop_queue();

	return npaths;
}

/* Paths of a subtransaction are its parent's, or nobody's. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subxact, SubTransactionId parent,
					  void *arg)
{
	FileQueue  *queue = current_queue;
	FileQueue  *outer;

	if (queue == NULL || queue->subxact != subxact)
		return;

	outer = queue->outer;
	switch (event)
	{
		case SUBXACT_EVENT_ABORT_SUB:
			drop_queue();
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			queue->subxact = parent;
			if (outer != NULL && outer->subxact == parent)
			{
				append_list(&outer->paths, &queue->paths);
				append_list(&outer->moving, &queue->moving);
				outer->npaths += queue->npaths;
				MemoryContextSetParent(queue->cxt, outer->cxt);
				current_queue = outer;
			}
			break;
		default:
			break;
	}
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			write_everything();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* The memory goes with the transaction. */
			current_queue = NULL;
			break;
		default:
			break;
	}
}

/* Deferred triggers of an outbox may delete rows with files. */
static void
write_everything(void)
{
	while (current_queue != NULL)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		catalogue_flush_files(1);
		PopActiveSnapshot();
		AfterTriggerFireDeferred();
	}
}
