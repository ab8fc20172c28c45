/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.h - the few distributions the detector needs.
 *
 * All are pure. Arguments outside the domain give the nearest sensible value
 * (named below), never NaN.
 *
 * Sources: regularised incomplete beta by Lentz's continued fraction, Abramowitz
 *          and Stegun 26.5.8; F and Clopper-Pearson through it; median absolute
 *          deviation with the factor 1.4826 for normal data.
 */
#ifndef WINNOW_DETECT_STATS_H
#define WINNOW_DETECT_STATS_H

#include <stddef.h>
#include <stdint.h>

/* I_x(a, b); 0 below x = 0, 1 above x = 1. */
double stats_beta(double a, double b, double x);
/* P(F > f) with d1, d2 degrees of freedom; 1 if f <= 0. */
double stats_f_tail(double f, double d1, double d2);
/* log2 of the Student t density with 5 degrees of freedom at (x - mu) / sd. */
double stats_t5_bits(double x, double mu, double sd);
/* Bounds of a share, k of n, `level` e.g. 0.95, both sides. n = 0: 0 and 1. */
void stats_share(double k, double n, double level, double *lo, double *hi);
/* The smallest count that a sum of rare events with mean `mean` stays at or below
 * with probability 0.95; `design` >= 1 widens for events that come in clusters. */
double stats_upper95(double mean, double design);
/* The same where all means are off by one factor, a Gamma of mean 1 and that shape. Between
 * whole counts in proportion to their probability: the next whole one is the count. */
double stats_upper95_shared(double mean, double shape);

/* Sorts v. q in [0, 1], linear between ranks; 0 for n = 0. */
double stats_quantile(double *v, size_t n, double q);
double stats_quantile_sorted(const double *v, size_t n, double q);
/* Of sorted values; scaled to a standard deviation. */
double stats_mad_sorted(const double *v, size_t n, double median);

/* A small generator for permutations: the same seed, the same answer. */
uint64_t stats_random(uint64_t *state);

#endif
