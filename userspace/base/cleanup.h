/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cleanup.h - owned locals that clean up after themselves.
 *
 * `_cleanup_(thing_freep) struct thing *t = NULL;` frees t when it goes out of
 * scope; `return take_ptr(t)` hands it over instead. A cleanup twin takes the
 * address of the local.
 */
#ifndef WINNOW_BASE_CLEANUP_H
#define WINNOW_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

#define take_fd(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#endif
