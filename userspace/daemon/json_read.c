/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/json_read.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/json.h"

static __thread struct {
	char *at; /* NULL: nothing is being read */
	size_t room, used;
	bool needed;
} reserve;

static void *take(size_t n)
{
	size_t whole = (n + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	void *p = malloc(n);

	if (p || !reserve.at) {
		if (!p)
			json_miss();
		return p;
	}
	reserve.needed = true;
	if (whole < n || whole > reserve.room - reserve.used)
		return NULL;
	p = reserve.at + reserve.used;
	reserve.used += whole;
	return p;
}

static void give(void *p)
{
	uintptr_t at = (uintptr_t)p, from = (uintptr_t)reserve.at;

	if (!reserve.at || at < from || at >= from + reserve.room)
		free(p);
}

json_t *json_read(const char *bytes, size_t len, json_error_t *e)
{
	json_t *doc = NULL;

	json_set_alloc_funcs(take, give);
	reserve.room = JSON_RESERVE + len * JSON_RESERVE_EACH;
	reserve.used = 0;
	reserve.needed = false;
	reserve.at = malloc(reserve.room);
	if (reserve.at)
		doc = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, e);
	if (!reserve.at || reserve.needed) {
		json_decref(doc);
		doc = NULL;
		snprintf(e->text, sizeof(e->text), "out of memory");
	}
	free(reserve.at);
	reserve.at = NULL;
	return doc;
}
