/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * systems.h - which operating system a SYN looks like, by p0f's own list.
 *
 * In:     p0f.fp as Debian's p0f installs it; the raw signature of tls/tcpsig.h.
 * Out:    "Linux 3.11 and newer", or NULL. Labels of applications ("!") are left out.
 * Match:  every part as p0f defines it but for its fuzzy matches: the version, a
 *         guessed distance of at most 35 hops, options and quirks exactly, * anything.
 * Errors: -errno; lines that cannot be read are skipped and counted.
 * Source: Zalewski, p0f v3 README, "Database structure" and "TCP signatures".
 */
#ifndef WINNOW_ENRICH_SYSTEMS_H
#define WINNOW_ENRICH_SYSTEMS_H

#include <stddef.h>

#include "base/log.h"

struct systems;

int systems_open(const char *file, struct systems **out, struct reason *r);
void systems_free(struct systems *s);
size_t systems_count(const struct systems *s, size_t *skipped);

/* s and raw may be NULL. The answer lives as long as s. */
const char *systems_of(const struct systems *s, const char *raw);

#endif
