/* A disk that takes its time: whatever moves a mebibyte or more at once waits for it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#define LARGE (1 << 20)
#define WAITS 500000

ssize_t write(int file, const void *data, size_t length)
{
	static ssize_t (*next)(int, const void *, size_t);
	if (!next)
		next = dlsym(RTLD_NEXT, "write");
	if (length >= LARGE)
		usleep(WAITS);
	return next(file, data, length);
}

ssize_t readv(int file, const struct iovec *pieces, int count)
{
	static ssize_t (*next)(int, const struct iovec *, int);
	if (!next)
		next = dlsym(RTLD_NEXT, "readv");
	if (count && pieces[0].iov_len >= LARGE)
		usleep(WAITS);
	return next(file, pieces, count);
}
