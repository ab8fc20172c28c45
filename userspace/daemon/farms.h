/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * farms.h - what the detector says, beside the rules that are in force.
 *
 * A farm with rules of its own is enforced; when the last of them is gone it
 * decays. Of a plan's rules, those that are in force carry their handles; those
 * that would touch an allowed network, this host or its operator are taken out and
 * listed as spared, with the reason.
 */
#ifndef WINNOW_DAEMON_FARMS_H
#define WINNOW_DAEMON_FARMS_H

#include "daemon/daemon.h"

/* The detector begins, with what file and database remember. */
int farms_begin(struct daemon *d);
/* A window was judged: an answer waits. */
void farms_ready(struct daemon *d);

/* winnow.farms/1 of one farm or of all (NULL), winnow.plan/1. NULL: no memory. */
json_t *document_farms(struct daemon *d, const char *id);
json_t *document_plan(struct daemon *d);
json_t *document_detector(struct daemon *d); /* part of winnow.status/1 */

bool farm_known(struct daemon *d, const char *id);

struct apply_how {
	uint32_t uid;
	const json_t *ids; /* an array of texts; empty: all farms that propose rules */
	bool dry_run;
	bool count;      /* only count; false: also rules that only count so far act */
	bool canary;     /* 1% of the sources, then 10%, then all */
	bool follow;     /* new members get rules without being asked for */
	uint64_t within; /* ns to confirm it; 0: for good */
};

/* The proposed rules of farms come into force. Fills exit, error and data of `a`: each
 * farm with what became of it, and the rules. */
void farms_apply(struct daemon *d, const struct apply_how *how, struct audit_row *audit,
		 struct answer *a);

/* What grew back since a farm's rules act (hydra.c); null: none does. */
json_t *hydra_json(struct daemon *d, const char *farm);

/* Canaries move on, or back. */
void canary_tick(struct daemon *d, const struct clock *c);
json_t *canary_json(struct daemon *d, const char *farm); /* null: it has none */

#endif
