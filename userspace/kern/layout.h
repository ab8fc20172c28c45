/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - from the rows of one version's tables to those of another's.
 *
 * In:     the types of both programs (BTF), the name of a table.
 * Out:    a list of byte ranges: what of a new row is where in an old one. Fields of
 *         one name are one field; what the old row lacks is 0.
 * Errors: -ENOENT: one of them has no such table; -EINVAL: not to be understood.
 */
#ifndef WINNOW_KERN_LAYOUT_H
#define WINNOW_KERN_LAYOUT_H

#include "kern/internal.h"

struct btf;

struct copy {
	uint32_t from, to, len;
};

struct conversion {
	struct copy *list;
	size_t n;
	uint32_t from_size, to_size;
};

/* part: "key" or "value". */
int layout_convert(const struct btf *was, const struct btf *now, const char *table,
		   const char *part, struct conversion *out);
void conversion_apply(const struct conversion *c, const void *from, void *to);
/* The first `len` bytes are where they were. */
bool conversion_starts(const struct conversion *c, uint32_t len);
void conversion_clear(struct conversion *c);

#define LAYOUT_TABLE "layout"

int layout_store(const struct btf *b, int *fd); /* a table that holds it, to be pinned */
int layout_read(int fd, struct btf **out);      /* btf__free() */

#endif
