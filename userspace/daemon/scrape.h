/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scrape.h - what the daemon knows, as metrics (export/families.h), and their server.
 *
 * Kernel counters go on over a restart; hits of rules are summed by (reason, action)
 * from differences, so that a rule that goes takes nothing away.
 */
#ifndef WINNOW_DAEMON_SCRAPE_H
#define WINNOW_DAEMON_SCRAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "base/table.h"

struct daemon;
struct http;

enum rule_reason { REASON_OPERATOR, REASON_FARM, RULE_REASON_N };

struct scrape {
	struct http *http; /* NULL: off, or it could not listen */
	struct table seen; /* handle -> the rule's counts when they were last summed */
	uint64_t hits[RULE_REASON_N][RULE_ACTION_MAX], would[RULE_REASON_N][RULE_ACTION_MAX];
	uint64_t expiries;
	uint64_t reloads, refused; /* of the configuration */
	bool last_refused;
};

void scrape_init(struct scrape *s);
void scrape_clear(struct scrape *s);

/* Listens where the configuration says; again after a reload that changed it
 * (`was`: where it listened). What fails is a trouble, never the end. */
void scrape_listen(struct daemon *d, const char *was);
/* The differences since the last look, and the server's own clock. Each tick, and
 * before a rule goes. */
void scrape_tick(struct daemon *d);

/* The whole answer, malloc'ed; NULL: no memory. ctx: the daemon. */
char *scrape_text(void *ctx, size_t *len);

#endif
