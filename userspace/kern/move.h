/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.h - the tables of an old state, read as today's rows; shared by move.c (settings,
 * rules, allowed networks) and move_clients.c.
 */
#ifndef WINNOW_KERN_MOVE_H
#define WINNOW_KERN_MOVE_H

#include "kern/layout.h"

struct move {
	struct btf *was, *now; /* `now` is the skeleton's */
	struct rule *rule;     /* the old slots */
	size_t n_rules;
	uint32_t *rule_now;  /* by old slot: where that rule is now, 0: nowhere */
	uint32_t *tally_now; /* by old row; NULL: where it was */
	size_t n_tallies;    /* old rows */
};

struct old_table {
	int fd;
	struct bpf_map_info info;
	struct conversion key, value;
	void *bytes; /* of an array: all of it */
	size_t len, stride;
	bool mapped;
};

/* -ENOENT: the old state has no such table, or this program has none. */
int old_open(const struct kern *k, const char *name, struct old_table *t);
void old_close(struct old_table *t);
int old_read(struct old_table *t); /* an array, whole */
const void *old_row(const struct old_table *t, size_t i);

/* Calls fn with each key and value as they would be today. They are of 64 bytes at most. */
typedef void (*entry_fn)(void *ctx, void *key, void *value);

int old_entries(const struct kern *k, const char *name, entry_fn fn, void *ctx);

int move_read_rules(struct kern *k); /* the old slots, as they are now */
int move_clients(struct kern *k);

#endif
