/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sessions.h - what it says of a source how often it resumed.
 *
 * Clients of one stack differ in how often they resume, and each keeps its habit: of a
 * source's connections after its first, the share that offers a session is drawn once
 * from Beta(a, b). The beta is the stack's, by moments over its clean sources: the
 * variance between them is what is left when counting noise is taken off.
 *
 *   P(k of n) ~ B(a + k, b + n - k) / B(a, b)
 *   nats      = ln P(life | today; farm) - ln P(life | today; honest)
 *
 * `today` is in the source's cell already (features.h), so only what else its life
 * shows counts, and a habit that today showed is expected of all its life: one who
 * never resumed in three connections today was likelier one of the few who never do.
 *
 * In:     connections after the first, and how many of those resumed.
 * Bound:  within SESSIONS_NATS either way, or ln of the number of clean sources where that is
 *         more: of a habit that none of n had at most one in n has it. With fewer than
 * SESSIONS_LEAST clean sources of two such connections every share is as likely: Beta(1, 1).
 * Errors: none.
 * Source: Griffiths 1973, "Maximum likelihood estimation for the beta-binomial
 *         distribution" (moments are his starting point).
 */
#ifndef WINNOW_DETECT_SESSIONS_H
#define WINNOW_DETECT_SESSIONS_H

#include <stdint.h>

#define SESSIONS_LEAST 20
#define SESSIONS_NATS  7.0

struct sessions_seen {
	double later, resumed;
};

/* Sums over sources. */
struct sessions_sum {
	double n, share, square, noise;
};

struct sessions {
	double a, b;
	double nats; /* as much as so many sources can say of a habit that none of them has */
};

struct sessions_seen sessions_seen(uint32_t connections, uint32_t resumed);
void sessions_add(struct sessions_sum *sum, const struct sessions_seen *x);
struct sessions sessions_of(const struct sessions_sum *sum);
double sessions_nats(const struct sessions *farm, const struct sessions *honest,
		     const struct sessions_seen *life, const struct sessions_seen *today);

#endif
