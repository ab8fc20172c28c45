/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * top_data.h - what `winnow top` shows: the daemon's documents and what changed
 * between them.
 *
 * top_history is told each set of documents in turn and answers with one page of
 * data, winnow.top/1, all plain JSON:
 *
 *   {"schema", "seconds": since the page before, null on the first,
 *    "status": winnow.status/1, "rates": {counter: per second},
 *    "spark": {"packets", "connections", "dropped": the last pages' rates},
 *    "stacks": winnow.fingerprint/1 each with "connections_s", "exchanges_s", "spark",
 *    "farms": winnow.farm/1 without members, each with "members_n", "exchanges",
 *             "in_force", "proposed",
 *    "sources": winnow.source/1 each with "exchanges_s", "dstar_us",
 *    "rules": winnow.rules/1 each with "hits_n", "would_hit_n", "hits_s",
 *    "losses": [{"name", "count", "per_s"}]}
 *
 * Rates are null on the first page and after a counter went back (a new daemon).
 */
#ifndef WINNOW_CLI_TOP_DATA_H
#define WINNOW_CLI_TOP_DATA_H

#include <stdint.h>

#include <jansson.h>

#define TOP_SPARK 20 /* pages that a sparkline looks back */

/* The daemon's answers; NULL: not asked for this time. Owned. */
struct top_documents {
	json_t *status, *fingerprints, *farms, *sources, *rules;
};

void top_documents_clear(struct top_documents *d);

struct top_history;

struct top_history *top_history_new(void); /* NULL: no memory */
void top_history_free(struct top_history *h);

/* `now`: ns of a steady clock. The documents stay the caller's. NULL: no memory. */
json_t *top_page(struct top_history *h, const struct top_documents *d, uint64_t now);

#endif
