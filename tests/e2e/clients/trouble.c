/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trouble.c - preloaded into a program, it makes one call fail, or moves the clock of the
 * wall. What it shall do stands in the file $TROUBLE, five 64-bit numbers, shared:
 *
 *	clock		seconds that the wall clock is ahead
 *	malloc_in	the so-manieth allocation from now on fails; 0: none
 *	call_in		the same for system calls, with EIO (ENOMEM, ENOSPC)
 *	mallocs, calls	how many there were
 *
 * With a second file, $TROUBLE_SITES, allocations are told apart by who asks: it holds
 * rows of 34 64-bit numbers, first the site that shall fail once (0: none) and how many did,
 * then each site that was seen, how often and its innermost 32 return addresses; behind them
 * 256 bytes, the file of the code whose allocation failed. A site is a hash of the return
 * addresses up to main; `setarch -R` makes them the same in each run.
 *
 * pthread_mutex and others are left alone: they do not fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#define SITES (1 << 14)
#define DEPTH 32
#define WHERE 256

struct trouble {
	int64_t clock, malloc_in, call_in, mallocs, calls;
};
struct site {
	uint64_t who, n, from[DEPTH];
};

static struct trouble *shared;
static struct site *sites; /* the first one is who shall fail */

static void *whole_file(const char *variable, size_t len)
{
	const char *path = getenv(variable);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

__attribute__((constructor)) static void begin(void)
{
	shared = whole_file("TROUBLE", sizeof(*shared));
	sites = whole_file("TROUBLE_SITES", SITES * sizeof(*sites) + WHERE);
}

/* ---- who asks ------------------------------------------------------------------------------ */

struct walk {
	uint64_t hash, n, from[DEPTH];
};

static _Unwind_Reason_Code mix(struct _Unwind_Context *at, void *walk)
{
	struct walk *w = walk;
	uint64_t ip = _Unwind_GetIP(at);

	w->hash = (w->hash ^ ip) * 0x9e3779b97f4a7c15;
	w->hash ^= w->hash >> 29;
	if (w->n < DEPTH)
		w->from[w->n++] = ip;
	return _URC_NO_REASON;
}

static void say_where(void *caller)
{
	char *to = (char *)(sites + SITES);
	Dl_info at;

	if (!dladdr(caller, &at) || !at.dli_fname)
		return;
	for (int i = 0; i < WHERE - 1 && (!i || to[i - 1]); i++)
		to[i] = at.dli_fname[i];
}

static int site_hit(void *caller)
{
	static __thread int inside;
	struct walk w = { .hash = 1 };
	uint64_t h, nobody;

	if (!sites || inside)
		return 0;
	inside = 1;
	_Unwind_Backtrace(mix, &w);
	inside = 0;
	h = w.hash;
	for (uint64_t i = h % (SITES - 1) + 1;; i = i % (SITES - 1) + 1) {
		nobody = 0;
		if (__atomic_compare_exchange_n(&sites[i].who, &nobody, h, 0, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED) ||
		    nobody == h) {
			if (!__atomic_fetch_add(&sites[i].n, 1, __ATOMIC_RELAXED))
				memcpy(sites[i].from, w.from, sizeof(w.from));
			break;
		}
	}
	if (!__atomic_compare_exchange_n(&sites[0].who, &h, 0, 0, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return 0;
	say_where(caller);
	__atomic_fetch_add(&sites[0].n, 1, __ATOMIC_RELAXED);
	return 1;
}

static int hit(int64_t *count, int64_t *in)
{
	if (!shared)
		return 0;
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(in, __ATOMIC_RELAXED) <= 0)
		return 0;
	return __atomic_fetch_sub(in, 1, __ATOMIC_RELAXED) == 1;
}

#define no_memory()                               \
	(site_hit(__builtin_return_address(0)) || \
	 (shared && hit(&shared->mallocs, &shared->malloc_in)))
#define no_call() (shared && hit(&shared->calls, &shared->call_in))

/* ---- memory: glibc's own under another name, so that nothing is looked up ------------- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t n)
{
	if (no_memory()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	if (no_memory()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	if (no_memory()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n * size);
}

int posix_memalign(void **p, size_t to, size_t n)
{
	if (no_memory())
		return ENOMEM;
	*p = __libc_memalign(to, n);
	return *p ? 0 : ENOMEM;
}

/* ---- system calls ------------------------------------------------------------------------ */

#define CALL(ret, name, err, args, names)                                       \
	ret name args                                                           \
	{                                                                       \
		static ret(*next) args;                                         \
                                                                                \
		if (!next)                                                      \
			next = (ret(*) args)(uintptr_t)dlsym(RTLD_NEXT, #name); \
		if (no_call()) {                                                \
			errno = err;                                            \
			return (ret)-1;                                         \
		}                                                               \
		return next names;                                              \
	}

CALL(ssize_t, read, EIO, (int fd, void *b, size_t n), (fd, b, n))
CALL(ssize_t, write, ENOSPC, (int fd, const void *b, size_t n), (fd, b, n))
CALL(ssize_t, pread64, EIO, (int fd, void *b, size_t n, off64_t at), (fd, b, n, at))
CALL(ssize_t, pwrite64, ENOSPC, (int fd, const void *b, size_t n, off64_t at), (fd, b, n, at))
CALL(ssize_t, recv, EIO, (int fd, void *b, size_t n, int f), (fd, b, n, f))
CALL(ssize_t, send, EIO, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
CALL(int, fsync, EIO, (int fd), (fd))
CALL(int, fdatasync, EIO, (int fd), (fd))
CALL(int, ftruncate64, ENOSPC, (int fd, off64_t n), (fd, n))
CALL(int, mkdir, ENOSPC, (const char *p, mode_t m), (p, m))
CALL(int, rename, ENOSPC, (const char *a, const char *b), (a, b))
CALL(int, socket, EMFILE, (int a, int b, int c), (a, b, c))
CALL(int, bind, EACCES, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, listen, EIO, (int fd, int n), (fd, n))
CALL(int, accept4, EMFILE, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f))
CALL(int, epoll_create1, EMFILE, (int f), (f))
CALL(int, epoll_ctl, ENOSPC, (int fd, int op, int of, struct epoll_event *e), (fd, op, of, e))

#define OPEN(name)                                                                          \
	int name(const char *path, int flags, ...)                                          \
	{                                                                                   \
		static int (*next)(const char *, int, ...);                                 \
		va_list ap;                                                                 \
		mode_t mode;                                                                \
                                                                                            \
		if (!next)                                                                  \
			next = (int (*)(const char *, int, ...))(uintptr_t)dlsym(RTLD_NEXT, \
										 #name);    \
		va_start(ap, flags);                                                        \
		mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;              \
		va_end(ap);                                                                 \
		if (no_call()) {                                                            \
			errno = EMFILE;                                                     \
			return -1;                                                          \
		}                                                                           \
		return next(path, flags, mode);                                             \
	}

OPEN(open)
OPEN(open64)

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t off)
{
	static void *(*next)(void *, size_t, int, int, int, off64_t);

	if (!next)
		next = (void *(*)(void *, size_t, int, int, int, off64_t))(
			uintptr_t)dlsym(RTLD_NEXT, "mmap64");
	if (no_call()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return next(at, n, prot, flags, fd, off);
}

/* libbpf's way into the kernel. */
long syscall(long nr, ...)
{
	static long (*next)(long, ...);
	long a[6];
	va_list ap;

	if (!next)
		next = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (no_call()) {
		errno = ENOMEM;
		return -1;
	}
	return next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- the clock of the wall ------------------------------------------------------------------ */

int clock_gettime(clockid_t which, struct timespec *t)
{
	static int (*next)(clockid_t, struct timespec *);
	int err;

	if (!next)
		next = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT,
									       "clock_gettime");
	err = next(which, t);
	if (!err && which == CLOCK_REALTIME && shared)
		t->tv_sec += __atomic_load_n(&shared->clock, __ATOMIC_RELAXED);
	return err;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}
