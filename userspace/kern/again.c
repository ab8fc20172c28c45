/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/again.h"

#include <errno.h>
#include <time.h>

#include <bpf/bpf.h>

#include "base/time.h"

static uint64_t made_again;

bool again(unsigned int *tries, int err)
{
	struct timespec pause = { .tv_nsec = (long)(NSEC_PER_MSEC << *tries) };

	if (err != -EBUSY && err != -EAGAIN && err != -EDEADLK)
		return false;
	if (++*tries == AGAIN_MOST)
		return false;
	nanosleep(&pause, NULL);
	__atomic_fetch_add(&made_again, 1, __ATOMIC_RELAXED);
	return true;
}

uint64_t again_count(void)
{
	return __atomic_load_n(&made_again, __ATOMIC_RELAXED);
}

int map_get(int fd, const void *key, void *value)
{
	unsigned int tries = 0;
	int err;

	do
		err = bpf_map_lookup_elem(fd, key, value);
	while (again(&tries, err));
	return err;
}

int map_put(int fd, const void *key, const void *value, uint64_t flags)
{
	unsigned int tries = 0;
	int err;

	do
		err = bpf_map_update_elem(fd, key, value, flags);
	while (again(&tries, err));
	return err;
}

int map_remove(int fd, const void *key)
{
	unsigned int tries = 0;
	int err;

	do
		err = bpf_map_delete_elem(fd, key);
	while (again(&tries, err));
	return err;
}

int map_next(int fd, const void *prev, void *key)
{
	unsigned int tries = 0;
	int err;

	do
		err = bpf_map_get_next_key(fd, prev, key);
	while (again(&tries, err));
	return err;
}
