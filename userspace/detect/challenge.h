/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * challenge.h - the stack and state that a challenge of a fast farm should match.
 *
 * Due where half of the members live less than CHALLENGE_LIFE: at people's pace a source is
 * known for the farm's after days (README.md), and a rule on who is gone stops nothing.
 *
 *   dstar>=T     three quarters of the D* that nine in ten members reach; 10 ms at least
 *   resumed=0    if no more than one in 20 of the members that came twice ever resumed
 *
 * In:     all of the cohort, and its members; their median life in seconds, below 0: not
 *         known, then nothing is due.
 * Errors: none; no memory: nothing is due.
 * Source: detection.md 5.7, 8.3 (T7).
 */
#ifndef WINNOW_DETECT_CHALLENGE_H
#define WINNOW_DETECT_CHALLENGE_H

#include "detect/window.h"
#include "model/challenge.h"
#include "model/cohort.h"

#define CHALLENGE_LIFE 86400.0

struct farm_challenge challenge_of(const struct windows *w, const struct cohort *all,
				   const struct cohort *members, double life);

#endif
