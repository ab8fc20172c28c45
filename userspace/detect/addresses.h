/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addresses.h - the first record of each address, and nothing else: its key lies with the
 * records' ids, and what is counted of an address in that record.
 *
 * In:     ids, a table of struct record_id; row i is record i. Rows are added in order;
 *         once one is removed, clear and add all again.
 * Cost:   5 to 11 bytes a record. Salted as base/table.h is.
 * Errors: -ENOMEM, as it was.
 */
#ifndef WINNOW_DETECT_ADDRESSES_H
#define WINNOW_DETECT_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

#include "base/table.h"

#define NO_ADDRESS SIZE_MAX

struct addresses {
	/* private */
	size_t n;
	uint32_t *slots; /* as those of a table, with the record's number */
	uint32_t mask;
};

/* Nothing is allocated: zeros are an empty one. */
void addresses_clear(struct addresses *a);

/* *first: the first record of the address of record `i` - itself where it had none. */
int addresses_add(struct addresses *a, const struct table *ids, size_t i, size_t *first);
/* NO_ADDRESS: it has no record. */
size_t addresses_find(const struct addresses *a, const struct table *ids, uint64_t src,
		      uint8_t family);
/* Memory that a look for it needs is asked for. */
void addresses_ask(const struct addresses *a, uint64_t src, uint8_t family);

#endif
