/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - every number the operator may set, with its default.
 *
 * Durations that judge are in windows, so that a lab with 10 s windows meets the
 * same rules sooner and no other knob differs.
 */
#ifndef WINNOW_DETECT_CONFIG_H
#define WINNOW_DETECT_CONFIG_H

#include <stdint.h>

struct detect_config {
	uint64_t window;           /* ns between judgements; 60 s */
	uint64_t baseline_until;   /* ns since 1970: traffic before is clean. 0: the first
				    * baseline_windows are, and the operator vouches for it */
	uint32_t baseline_windows; /* 1440: a day */
	uint32_t horizon;          /* windows a view holds at most; 1440 */
	uint32_t min_handshakes;   /* to call a source direct or split; 3 (timing.md rule 9) */

	/* WATCH: something new */
	double watch_nats;    /* log-likelihood gain beyond the penalty; 12 */
	uint32_t min_members; /* 12 */

	/* FLAG: the gate, in flag_hits of the last flag_windows windows */
	double conceal_bits;              /* against the classes that do not conceal; 4 */
	double coordinate_bits;           /* against the classes that do not coordinate; 3 */
	double operator_bits;             /* or this much one-operator evidence instead; 8 */
	double spread;                    /* ln /24s over ln sources; 0.8: a fleet behind its
					   * company's exits may reach 0.7 */
	double flag_bits;                 /* decision bits, prior included; 4 */
	uint32_t flag_hits, flag_windows; /* 2 of 3 */
	uint32_t retract_windows;         /* decision bits below 0 for so long: WATCH again; 60 */
	uint32_t unflag_windows;          /* below unflag_bits for so long: DECAY; 4320: 3 days */
	double unflag_bits;               /* 8 */

	/* an own stack, never seen when traffic was clean */
	uint32_t own_sources;  /* 300 */
	uint32_t own_prefixes; /* 20 /16s */
	uint32_t own_windows;  /* 10 */

	/* PROPOSE */
	double propose_bits;     /* with the prior; 8 */
	double posterior;        /* of a member that gets a rule; 0.99 */
	double precision;        /* lower 95% bound over the members ruled; 0.99 */
	double collateral_all;   /* upper95 share of benign exchanges; 1e-4 */
	double collateral_stack; /* the same inside the stack; 1e-3 */
	uint32_t history_days;   /* of the stack before anything applies by itself; 7 */
	uint64_t rule_ttl;       /* ns; 24 h at most, twice a member's median life at most */
	uint16_t holdout;        /* per 10,000 sources; 0 */
};

struct detect_config detect_config_default(void);

/* Another window. Longer than the default, what is counted in windows is scaled down to
 * last about as long as it does by default; shorter (a lab), it stays as many. */
void detect_config_window(struct detect_config *c, uint64_t window);

#endif
