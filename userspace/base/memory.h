/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - memory for large arrays: in huge pages where the kernel gives them.
 *
 * A million records are looked at in any order, and of 4 KB pages the processor knows the
 * places of a few thousand. From MEMORY_HUGE bytes on memory is aligned to a huge page and
 * the kernel is asked for them (madvise); where it has none, memory is as any other.
 *
 * Units:  bytes. free() it.
 * Cost:   less than a huge page more than was asked for, touched or not.
 * Errors: NULL: no memory.
 */
#ifndef WINNOW_BASE_MEMORY_H
#define WINNOW_BASE_MEMORY_H

#include <stddef.h>

#define MEMORY_LINE 64
#define MEMORY_HUGE (2UL << 20)

/* Aligned to a cache line, or to a huge page. */
void *memory_new(size_t len);
/* The same, all 0. */
void *memory_zeroed(size_t len);
/* The first `used` bytes of `old` in new memory; `old` is freed. NULL: it is not. */
void *memory_more(void *old, size_t used, size_t len);

#endif
