/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim.h - labelled traffic that nobody had to send: one made-up site, from one seed,
 * connection by connection in order of time.
 *
 * In:     struct sim_config (sim_config_default(), sim_option()).
 * Out:    sim_next(): 1 with an event, 0 at the end. The event, its exchanges and its
 *         truth hold until the next call. sim_blocked() says that the last event met a
 *         rule and failed: the source, or who runs it, reacts.
 * Memory: bounded by the number of sources (96 bytes each), whatever the length.
 * Time:   ns since 1970; a run begins at SIM_START and the design at
 *         SIM_START + history.
 * README.md has every distribution and where it comes from.
 */
#ifndef WINNOW_SIM_H
#define WINNOW_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "model/event.h"
#include "tests/sim/stacks.h"

#define SIM_START     1767225600ULL /* 2026-01-01T00:00:00Z, a Thursday */
#define SIM_EXCHANGES 64            /* of one connection, at most */
#define DAY           86400.0

enum exits { RESIDENTIAL, MOBILE_EXITS, DATACENTER, MIXED };
enum far_end { DIRECT, WAITS, EARLY, FORWARDER, FAR_ANY };
enum role { ORGANIC, NEGATIVE, FARM };

struct sim_config {
	uint64_t seed;
	const char *design;
	uint32_t sources;       /* organic client programs */
	double history, length; /* s: before the design begins, and in all */
	uint32_t accounts;      /* of the farm; share > 0: that share of its stack instead */
	double share;           /* farm sources over all sources of the stack */
	double rate;            /* exchanges a day and account */
	double life;            /* s an account keeps its address */
	uint32_t sites;         /* places the operator's programs run at */
	uint32_t exits, far;    /* enum exits, far_end (of F0-F4) */
	double drift;           /* times the daily marginal .05, class .08, cell .10 */
	double top;             /* share of the first stack in its kind; 0: Zipf's */
	uint32_t copies;        /* of a negative, each on another stack */
	double poison;          /* share of the accounts that are there from the beginning */
	bool blind;             /* D1, D2 and D* are unknown */
	double react;           /* s until a banned account is replaced, median */
	uint32_t thin;          /* beside a farm's stack one source in so many is there; 1: all */
};

struct sim_truth {
	uint32_t source; /* index: one client program of one machine */
	uint32_t stack;
	enum role role;
	const char *name; /* "farm", "pods", ... */
};

struct sim;

struct sim_config sim_config_default(void);
/* "share=0.01". -EINVAL: no such option, or not a number that it takes. */
int sim_option(struct sim_config *c, const char *word);
/* Writes "share=0.01 ..." of what matters for a run. */
void sim_describe(const struct sim_config *c, FILE *out);

int sim_new(const struct sim_config *c, struct sim **out, struct reason *r);
void sim_free(struct sim *s);
void sim_freep(struct sim **s);

int sim_next(struct sim *s, struct event_conn *e, struct sim_truth *t);
/* The event is a `dead` one: it met a rule and failed. */
void sim_blocked(struct sim *s, const struct sim_truth *t);

const struct stack *sim_stack(const struct sim *s, uint32_t stack);
/* TCP stack and distance of a source, for packets. */
const struct tcp_shape *sim_tcp(const struct sim *s, uint32_t source);
/* "SRC STACK NAME" for each identity that is not organic, as it appears. NULL: none. */
void sim_labels(struct sim *s, FILE *out);
/* The stack the design lives in, UINT32_MAX if it has none; how many organic client
 * programs use it; how many accounts the farm has. */
uint32_t sim_farm_stack(const struct sim *s);
/* That one or, where the farm changes its hello, any of its stacks. */
bool sim_is_farm_stack(const struct sim *s, uint32_t stack);
uint32_t sim_stack_sources(const struct sim *s, uint32_t stack);
uint32_t sim_accounts(const struct sim *s);
/* Stacks that a negative tries the judge on: its copies, or all with 100 sources and more. */
uint32_t sim_copies(const struct sim *s);

#endif
