/*
 * slow_reads.c
 *		A disk that takes 0.2 ms for each read, to be preloaded into a server.
 *
 * A read of a block waits until that time has passed since it was asked for by
 * posix_fadvise(), or else since now.  Reads do not wait for each other: it is a
 * disk that does many at a time.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES 8192
#define LATENCY_NS 200000
#define MAX_ASKED 1024

static struct
{
	int			fd;
	off_t		offset;
	int64_t		ready;
}			asked[MAX_ASKED];

static int64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);

	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Where a block's time is kept; another's is overwritten. */
static unsigned
place(int fd, off_t offset)
{
	return ((unsigned) fd * 31 + (unsigned) (offset / BLOCK_BYTES)) % MAX_ASKED;
}

static void
ask(int fd, off_t offset)
{
	unsigned	i = place(fd, offset);

	asked[i].fd = fd;
	asked[i].offset = offset;
	asked[i].ready = now() + LATENCY_NS;
}

/* Busily: a sleep takes longer than it is told. */
static void
wait_for(int fd, off_t offset)
{
	unsigned	i = place(fd, offset);
	int64_t		ready = now() + LATENCY_NS;

	if (asked[i].ready != 0 && asked[i].fd == fd && asked[i].offset == offset)
		ready = asked[i].ready;
	asked[i].ready = 0;
	while (now() < ready)
		;
}

int
posix_fadvise(int fd, off_t offset, off_t len, int advice)
{
	if (advice == POSIX_FADV_WILLNEED)
	{
		for (off_t block = offset; block < offset + len; block += BLOCK_BYTES)
			ask(fd, block);
	}

	return 0;
}

int
posix_fadvise64(int fd, off64_t offset, off64_t len, int advice)
{
	return posix_fadvise(fd, offset, len, advice);
}

ssize_t
pread(int fd, void *buf, size_t count, off_t offset)
{
	static ssize_t (*next) (int, void *, size_t, off_t);

	if (next == NULL)
		next = (ssize_t (*) (int, void *, size_t, off_t)) dlsym(RTLD_NEXT, "pread");
	if (count == BLOCK_BYTES && offset % BLOCK_BYTES == 0)
		wait_for(fd, offset);

	return next(fd, buf, count, offset);
}

ssize_t
pread64(int fd, void *buf, size_t count, off64_t offset)
{
	return pread(fd, buf, count, offset);
}

ssize_t
preadv(int fd, const struct iovec *iov, int iovcnt, off_t offset)
{
	static ssize_t (*next) (int, const struct iovec *, int, off_t);

	if (next == NULL)
		next = (ssize_t (*) (int, const struct iovec *, int, off_t)) dlsym(RTLD_NEXT, "preadv");
	if (iov[0].iov_len == BLOCK_BYTES && offset % BLOCK_BYTES == 0)
		wait_for(fd, offset);

	return next(fd, iov, iovcnt, offset);
}

ssize_t
preadv64(int fd, const struct iovec *iov, int iovcnt, off64_t offset)
{
	return preadv(fd, iov, iovcnt, offset);
}
