/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * array.h - an array that grows, its elements aligned like cache lines.
 *
 * Doubling: n adds cost O(n). Elements move, so pointers into it hold until the
 * next add. -ENOMEM: the array is as it was.
 */
#ifndef WINNOW_BASE_ARRAY_H
#define WINNOW_BASE_ARRAY_H

#include <errno.h>
#include <stddef.h>

#include "base/memory.h"

/* Room for one more element of `size` bytes behind the `n` there are. */
static inline int array_room(void *rows_p, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 256;
	void **rows = (void **)rows_p, *bigger;

	if (n < *room)
		return 0;
	bigger = memory_more(*rows, n * size, more * size);
	if (!bigger)
		return -ENOMEM;
	*rows = bigger;
	*room = more;
	return 0;
}

#endif
