/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * again.h - what the kernel is too busy for now is asked for again.
 *
 * A table answers EBUSY (from Linux 6.15 on EDEADLK) while a lock in it is held by what
 * this call interrupted, tc and links EAGAIN. AGAIN_MOST calls are made, with pauses
 * of 1, 2, 4, 8 and 16 ms between them; then the error is the caller's. Each call
 * after a first one is counted.
 *
 * Errors: -errno, the last call's. -ENOENT: no such key, or no next one.
 */
#ifndef WINNOW_KERN_AGAIN_H
#define WINNOW_KERN_AGAIN_H

#include <stdbool.h>
#include <stdint.h>

#define AGAIN_MOST 6

/* For other calls: `do err = call(); while (again(&tries, err));`, tries 0 at first.
 * True after a pause, if err is worth another call. */
bool again(unsigned int *tries, int err);
/* Calls made again by this process. */
uint64_t again_count(void);

int map_get(int fd, const void *key, void *value);
int map_put(int fd, const void *key, const void *value, uint64_t flags);
int map_remove(int fd, const void *key);
/* The key behind `prev`, the first one if that is NULL or no longer there. */
int map_next(int fd, const void *prev, void *key);

#endif
