/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * coordination.h - does one hand pace these sources?
 *
 * even    ln of the variance-to-mean ratio of exchanges (or connections) a source, each against
 * what its own time in view would give it: VMR = sum (n_i - l t_i)^2 / (l t_i) / (N - 1), l = sum n
 * / sum t. One queue thinned at random: 1. People: 1 + mean * cv^2 of their rates. Sources need 3
 * handshakes to be known, which cuts off small counts: se grows as exp(-(mean - 3) / 2). gaps bits
 * a gap by which the best scheduler (Gamma shape 1, 2, 4 or 16, mean 0.5 s .. 1.5 d) fits the gap
 * histogram better than the best sessions (lognormal about 8 .. 120 s, sigma 1.3, mixed with 0 ..
 * 50% pauses about 1 .. 9 h, sigma 1.2), both cut at the time in view. A source counts 8 gaps at
 * most, three of them as one independent one. total   ln of the Fano factor of exchanges a window
 * over all of them, against a moving mean of 5 windows; 12 windows or it is not known.
 *
 * Source: detection.md 3.5-3.7; ServeGen and RSC for the shape of people.
 */
#ifndef WINNOW_DETECT_COORDINATION_H
#define WINNOW_DETECT_COORDINATION_H

#include <stddef.h>

#include "detect/evidence.h"
#include "model/cohort.h"

/* *mean: exchanges a source, for what classes expect. */
struct fact coordination_even(const struct cohort *c, double *mean);
struct fact coordination_gaps(const struct cohort *c);
/* totals[n]: oldest first. */
struct fact coordination_total(const double *totals, size_t n);

#endif
