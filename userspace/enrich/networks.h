/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * networks.h - whose network an address is in: AS number, its holder, country.
 *
 * In:     MaxMind DB files of the operator's own (any that have the usual fields
 *         autonomous_system_number, autonomous_system_organization, country.iso_code).
 * Memory: a file is copied whole into a sealed memfd first and looked up there: what
 *         happens to the file afterwards - truncated, replaced, gone - cannot reach us
 *         (a mapping of the file itself would be a SIGBUS).
 * Errors: -errno and a sentence; -EUCLEAN: no MaxMind DB, or damaged. A damaged record
 *         is an address that nothing is known of.
 */
#ifndef WINNOW_ENRICH_NETWORKS_H
#define WINNOW_ENRICH_NETWORKS_H

#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"

#define NETWORKS_FILES_MAX 4

struct networks;

int networks_open(const char *const *files, size_t n, struct networks **out, struct reason *r);
void networks_free(struct networks *n);

struct network {
	uint32_t asn; /* 0: not known */
	char org[96]; /* "": not known; any UTF-8 the file has, cut */
	char country[3];
};

/* n may be NULL: nothing is known. */
struct network networks_of(const struct networks *n, struct addr a);

#endif
