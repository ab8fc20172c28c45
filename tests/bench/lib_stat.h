/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_stat.h - samples, their middle and spread, and the line that says a result.
 *
 * Contenders are run in turn, a short piece each, so that what disturbs the machine
 * disturbs all of them. A ratio is the median of the ratios of neighbouring pieces, its
 * spread their quartiles.
 */
#ifndef WINNOW_BENCH_LIB_STAT_H
#define WINNOW_BENCH_LIB_STAT_H

#include <stdbool.h>
#include <stddef.h>

struct series {
	double *v;
	size_t n, room;
};

void series_add(struct series *s, double v);
void series_free(struct series *s);
double series_quantile(const struct series *s, double q);
double series_median(const struct series *s);
/* (a - floor) / (b - floor), sample by sample; floor may be NULL. */
void series_ratio(struct series *out, const struct series *a, const struct series *b,
		  const struct series *floor);
void series_less(struct series *out, const struct series *a, const struct series *floor);

enum goal {
	NO_GOAL, /* told, not judged */
	RATIO_AT_MOST,
	RATIO_AT_LEAST,
	VALUE_AT_MOST,
	VALUE_AT_LEAST,
};

/* One line of JSON on standard output; scripts/bench makes the table of them. */
struct result {
	const char *name, *unit;
	const char *against;        /* NULL: nothing, the goal is of the value */
	const struct series *value; /* what winnow took */
	const struct series *peer;  /* what it is held against took; may be NULL */
	const struct series *ratio; /* may be NULL */
	enum goal goal;
	double bound;
};
void result_say(const struct result *r);

/* Ends the program with a sentence. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ns of this thread's processor time: what others run in between is not in it. */
double cpu_ns(void);
double wall_ns(void);

#endif
