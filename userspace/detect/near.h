/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * near.h - what lies beside a split source: members of the farm, over the same leg?
 *
 * A provider's exits lie together in networks (/20, v6 /44), and one operator's leg is a
 * function of where the exit is (origin.h). Both are learnt from *anchors*, members whose
 * own evidence is enough for a rule, so that look-alikes cannot convict each other; of
 * another source that has k of the n anchors in its network
 *
 *   place = [(k + A h) / (n + A)] / [(s + B h) / (S + B)]
 *   leg   = 1 - rho + rho N(y - mean of the k; sigma) / N(y - mean of all; sigma of all)
 *   nats  = ln place + ln leg, within NEAR_NATS either way
 *
 * h is the network's share of the stack's other sources (one more in each), s of S those
 * that were split when clean: a relay is where many of them are. A and B say how far n draws
 * scatter, from the number K of networks they are in: A ln(1 + n / A) = K (Ewens); of a
 * farm whose exits lie each by itself A is large and place 1. y = ln of the median D*;
 * sigma and rho: how near anchors lie to the others of their network, by the median, and
 * how many within three of those. Legs that do not depend on the network give leg 1.
 *
 * Errors: -ENOMEM.
 * Source: detection.md 3.2, 3.9; Ewens 1972, "The sampling theory of selectively neutral
 *         alleles".
 */
#ifndef WINNOW_DETECT_NEAR_H
#define WINNOW_DETECT_NEAR_H

#include "model/cohort.h"

#define NEAR_NATS 6.0

struct near;

/* `all` has weights of each source's own evidence; anchor: from this one on. */
int near_new(const struct cohort *all, double anchor, struct near **out);
void near_free(struct near *n);
void near_freep(struct near **n);

/* Of one of `all`, itself left out; 0 where there are too few anchors. */
double near_nats(const struct near *n, const struct cohort_member *m);

/* A of K networks that n draws are in; K >= n: so large that it is no bound. */
double near_scatter(double n, double networks);

#endif
