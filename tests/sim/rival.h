/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rival.h - what other detectors of detection.md 8.2 would see of a run, and what each
 * makes of it: one score a source, the higher the more suspect.
 *
 * A row is an (address, stack) while the design runs; what was before only feeds
 * `history_*`. A method scores every row; rival_best() finds the threshold with its
 * best F1 against the labels, which no real deployment could know: a bound from above.
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_SIM_RIVAL_H
#define WINNOW_SIM_RIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RIVAL_SLOTS  200 /* one-minute slots kept */
#define RIVAL_DAYS   32
#define RIVAL_OS     8
#define RIVAL_CELLS  (5 * 4 * RIVAL_OS * 3 * 7)
#define RIVAL_NONE   (-1e30)
#define RIVAL_SPREAD 8 /* features of rival_features() */

struct rival_row {
	uint32_t stack, connections, exchanges, resumed, gaps;
	uint32_t hour, in_hour, most_in_hour;
	uint64_t first, last; /* ms since the design began */
	double gap, gap2;     /* sums over ln(1 + s) */
	double d1, dstar;     /* ms, sums of logs over those known */
	uint32_t n_d1, n_dstar;
	double in, out; /* bytes */
	bool farm;
	uint16_t n_slots, n_cells;
	uint32_t slot[RIVAL_SLOTS];
	uint16_t cell[RIVAL_DAYS]; /* of each day */
	/* the day at hand */
	uint32_t day, day_connections, day_resumed, day_n;
	double day_d1, day_dstar;
	uint8_t os;
};

struct rivals {
	struct rival_row *row;
	size_t n;
	uint32_t *history_sources; /* [stacks] source-days before the design */
	float *history, *now;      /* [stacks][RIVAL_CELLS], NULL for small stacks */
	uint32_t stacks;
};

struct rival_best {
	double f1, precision, recall, threshold;
};

/* score[n]; RIVAL_NONE: never. */
typedef int rival_method(const struct rivals *r, double *score);

rival_method rival_rate_hour, rival_rate_total; /* rival_simple.c */
rival_method rival_vmr, rival_gini, rival_rare; /* rival_simple.c */
rival_method rival_subset;                      /* LTSS; rival_simple.c */
rival_method rival_synchrotrap, rival_botminer; /* rival_cluster.c */
rival_method rival_forest;                      /* rival_forest.c */

/* ln connections an hour, exchanges a connection, bytes an exchange, bytes a second,
 * gap and its spread, D*, D1. false: fewer than 2 connections. */
bool rival_features(const struct rival_row *r, double f[RIVAL_SPREAD]);
int rival_best(const struct rivals *r, const double *score, struct rival_best *out);

#endif
