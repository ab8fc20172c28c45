/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *memory_new(size_t len)
{
	void *at;

	if (posix_memalign(&at, len < MEMORY_HUGE ? MEMORY_LINE : MEMORY_HUGE, len))
		return NULL;
	/* Advice: refused, everything is as fast as before. The part of a page at the end is
	 * left to its neighbours. */
	if (len >= MEMORY_HUGE)
		madvise(at, len - len % MEMORY_HUGE, MADV_HUGEPAGE);
	return at;
}

void *memory_zeroed(size_t len)
{
	void *at = memory_new(len);

	if (at)
		memset(at, 0, len);
	return at;
}

void *memory_more(void *old, size_t used, size_t len)
{
	void *at = memory_new(len);

	if (!at)
		return NULL;
	if (used)
		memcpy(at, old, used);
	free(old);
	if (used >= MEMORY_HUGE)
		malloc_trim(0);
	return at;
}
