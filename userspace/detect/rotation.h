/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rotation.h - rules on IPv6 networks that a farm moves within.
 *
 * Whoever is given a /56 or a /48 takes another of its /64s when he likes, and each is a
 * source that nobody knows. Where ROTATION_LEAST sources of a stack were seen in such a
 * network, every one of them a member whose rule asks for delays, one rule names
 * the network: with the stack, and with the least delays that any of theirs asks for, so
 * that nobody who is close is meant, whatever his /64. The members' own rules stay.
 * A /48 is named when ROTATION_LEAST of its /56s hold members, else each /56 by itself.
 *
 * In:     rules[n] of one farm; room for ROTATION_MOST more behind them; the upper halves
 *         of all other IPv6 sources of the stack that were ever seen, sorted.
 * Out:    how many were written to rules[n]...; those of most members first.
 * Doubt:  that the next source there is innocent: 1 / (members + 2), nobody else having
 *         been seen there.
 * Bound:  ROTATION_MOST; the kernel looks at MATCH_CHAIN_MAX rules of one stack.
 * Source: Laplace's rule of succession; RFC 6177 (/56 for homes), RIPE-690.
 */
#ifndef WINNOW_DETECT_ROTATION_H
#define WINNOW_DETECT_ROTATION_H

#include "model/plan.h"

#define ROTATION_LEAST 8
#define ROTATION_MOST  8

size_t rotation_rules(struct plan_rule *rules, size_t n, const uint64_t *others, size_t n_others);

#endif
