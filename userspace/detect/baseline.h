/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * baseline.h - what each stack looked like while traffic was known to be clean.
 *
 * Threshold of D*, a stack and R bin (<10, 10-50, >50 ms), timing.md rule 10:
 *   max(5 ms, q99 of the direct sources' medians), a quarter more below 100 of
 *   them. The direct ones are the main body: medians up to the 3 MAD + 3 ms over
 *   their median, taken again until nothing changes - people behind relays are
 *   part of clean traffic and must not lift it. A bin with fewer than 5 sources
 *   takes the stack's highest bin; a stack with fewer than 5: 10 ms if its hellos
 *   carry GREASE (browsers load no CA file late), else 40 ms (curl and unknown
 *   scripts do).
 *
 * Drift: sources that were direct when clean are the control group. When their medians
 * rise - a busy server, a jammed uplink, a burdened client machine - so does the
 * threshold, by the upper end of the main body of the rises (of the stack, with 5 such
 * sources or more, else of the site). When a tenth of their handshakes wait, waiting
 * says nothing.
 *
 * Also: TCP keys and how often, kinds of sources (mixture classes), gap and rate
 * histograms, share of handshakes that wait (D1 follows D*), and for the whole site which sources
 * and /24s (v6 /48s) were seen, direct or split.
 *
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_DETECT_BASELINE_H
#define WINNOW_DETECT_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "detect/config.h"
#include "detect/mixture.h"
#include "detect/sessions.h"
#include "detect/window.h"

#define R_BINS       3
#define RATE_BINS    6
#define POOL_SOURCES 20 /* how many sources the site's pool stands for in a stack */

struct stack_baseline {
	uint32_t sources; /* seen clean */
	uint32_t split;   /* of those, concealed */
	uint32_t direct;
	uint32_t threshold[R_BINS];
	bool own_threshold;
	uint32_t drift;               /* on top of threshold now, 0.1 ms */
	bool waits;                   /* the control group's handshakes wait now */
	bool controlled;              /* by sources of its own */
	uint32_t handshakes, waiting; /* with D1 and D*; those whose D1 follows D* */
	uint32_t tcp_sources;
	double exchanges, seconds;
	double gaps[GAP_BINS]; /* a source counts 8 gaps at most */
	struct sessions_sum sessions;
};

enum site_seen { SITE_DIRECT = 1, SITE_SPLIT = 2, SITE_SEEN = 4 };

struct baseline {
	struct table flags;    /* stack -> u32 enum hello_flag, whenever seen */
	struct table stacks;   /* stack -> struct stack_baseline, which every look needs: small */
	struct table kinds;    /* stack -> struct mixture */
	struct table tcp;      /* {stack, tcp_key} -> u32 sources; stack 0: the site */
	struct table sources;  /* {src, family} -> u8 enum site_seen */
	struct table prefixes; /* {prefix, family} -> u8 */
	double pool[FEATURES][FEATURE_LEVELS]; /* direct sources of the site */
	double pool_split[FEATURES][FEATURE_LEVELS];
	double split_share; /* of the site's clean sources */
	uint32_t drift;     /* of the site's control group, 0.1 ms */
	bool waits;
	uint64_t from, until; /* ns since 1970 */
	bool learnt;
};

void baseline_init(struct baseline *b);
void baseline_clear(struct baseline *b);

/* From the clean views of all records; also recounts their direct and split. */
int baseline_learn(struct baseline *b, struct windows *w, const struct detect_config *c);

/* How the control group's delays differ from when it was clean; once a window. */
int baseline_drift(struct baseline *b, const struct windows *w, const struct detect_config *c);

/* What hellos of a stack say about it; kept for stacks never seen clean, too. */
int baseline_flags(struct baseline *b, uint64_t stack, uint32_t hello_flags);

const struct stack_baseline *baseline_stack(const struct baseline *b, uint64_t stack);
/* What kinds of sources it had when clean, or NULL. */
const struct mixture *baseline_kinds(const struct baseline *b, uint64_t stack);
/* Share of the stack's clean sources that were split; the site's where it had none. */
double baseline_split_share(const struct baseline *b, uint64_t stack);
/* Units of the row (0.1 ms). `s`: of that stack, as baseline_stack() gives it. */
uint32_t baseline_threshold_of(const struct baseline *b, uint64_t stack,
			       const struct stack_baseline *s, uint16_t rtt_min);
uint32_t baseline_threshold(const struct baseline *b, uint64_t stack, uint16_t rtt_min);
unsigned int baseline_r_bin(uint16_t rtt_min);
uint32_t baseline_source(const struct baseline *b, uint64_t src, uint8_t family);
uint32_t baseline_prefix(const struct baseline *b, uint64_t src, uint8_t family);
/* Sources of a stack (0: of the site) that had this TCP key when clean. */
uint32_t baseline_tcp(const struct baseline *b, uint64_t stack, uint32_t tcp_key);

/* Robust upper end of the main body of v (sorted by the call), see above. */
double baseline_body(double *v, size_t n);

/* Networks of about as many customers: 256, 4,096, 65,536 IPv4 addresses, or IPv6
 * /56s: /24 /20 /16, /48 /44 /40. */
enum network { NETWORK_SMALL, NETWORK_ORIGIN, NETWORK_LARGE };
uint64_t network_of(uint64_t src, uint8_t family, enum network size);

#endif
