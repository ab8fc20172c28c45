/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * concealment.h - does something stand between these sources and their client?
 *
 * split    ln odds of split sources among those known (k + 1/2 over m - k + 1/2)
 * waiting  share of their handshakes whose D1 follows D*
 * leg      spread of ln D* between sources (MAD, scaled): a far end is each source's
 *          own, a slow program is every source's the same (timing.md rule 11)
 * tcp      contradiction of TCP key and stack, bits a source:
 *          KL(members || clean) with 1/2 a cell, less (cells - 1) / (2 N ln 2)
 * mix      entropy of the TCP keys, bits, more (cells - 1) / (2 N ln 2). Of direct members
 *          only, where TLS may end at the exits: who owns his machines runs one system on
 *          them, a fleet, a load test, probes; exits are whatever people have
 *
 * In:     members with weight >= 0.5. Not known: fewer than 5 that say something.
 * Source: detection.md 3.1, 3.3; timing.md; Miller 1955 for the bias.
 */
#ifndef WINNOW_DETECT_CONCEALMENT_H
#define WINNOW_DETECT_CONCEALMENT_H

#include "detect/baseline.h"
#include "detect/evidence.h"
#include "model/cohort.h"

struct fact concealment_split(const struct cohort *c);
struct fact concealment_waiting(const struct cohort *c);
struct fact concealment_leg(const struct cohort *c);
struct fact concealment_tcp(const struct cohort *c, const struct baseline *b);
struct fact concealment_mix(const struct cohort *c);

#endif
