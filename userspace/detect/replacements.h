/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replacements.h - who turns up in a farm's stack once its rules act.
 *
 * A farm that is dropped moves: what it needs next are exits that nobody has seen. So
 * the odds that a source is the farm's are other ones after the drop than before it,
 * and a replacement is known by its first connections. Of a source first seen since
 * then, handshakes are counted by kind - waits (D1 and D* both say that the far end is
 * further on: two measurements of one connection), split (only D*), direct - and
 *
 *   P_f(x) = 0.9 prod f_k^n_k + 0.1 prod g_k^n_k   f: of the farm's members; g: half of
 *                                                  them are somebody's own, direct ones
 *   P_h(x) = mean over sources i of prod p_ik^n_k  i: that were there when it was clean
 *   odds   = s / (1 - s) P_f(x) / P_h(x)           s: of the births that are the farm's
 *
 * A newcomer is some source, so each counts once and with shares of its own (kinds.h):
 * one line that is often full and one relay explain two late handshakes better than many
 * sources that are late now and then. Half a source more is as the farm's are. Of those
 * that were far when it was clean, only the ones alone in their network count, for births
 * where others were split then are not judged here; their terms are times L, the ratio of a
 * relay's to the farm's share of the bin of D*, within a factor of four. Where fewer than 20
 * are known, they are two: one even, one as the farm's in the share of the site or stack
 * that was split. s is fitted by EM on the births themselves, one honest birth more taken
 * for granted. One birth among many honest ones says nothing, however it looks.
 *
 * Nobody is convicted this way
 *   - below REPLACEMENTS_LEAST split births, or when they lie closer together in networks
 *     than the farm has to;
 *   - who shares a /24 (v6 /48) with more than TOGETHER of them: a relay that opens lies
 *     in few. Nor is he by more connections, as long as that is so;
 *   - whose address or network had split sources when traffic was clean;
 *   - of whom only one measurement says split, or who never waited where the farm does:
 *     his rule could not tell him from who else is there;
 *   - by handshakes in a jammed window: one in which, of the stack's sources that were
 *     direct when clean, a tenth more of the handshakes (and two) waited than did then.
 *     Where only their D* was over the threshold so often when he was born, and where a
 *     window was jammed, only what waits counts.
 *
 * A single D* passes the threshold in one of a hundred honest handshakes, D1 beside it
 * in far fewer (timing.md 4).
 *
 * Bound: where sources of the clean time make fewer than two handshakes in a window, a
 *        jam is not seen.
 *
 * In:     counts of handshakes, 0.1 ms, ns since 1970.
 * Errors: -ENOMEM.
 * Source: detection.md 3.10 (birth-conditional prior), 5.7.
 */
#ifndef WINNOW_DETECT_REPLACEMENTS_H
#define WINNOW_DETECT_REPLACEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/baseline.h"
#include "detect/config.h"
#include "model/cohort.h"

#define REPLACEMENTS_LEAST 10
#define TOGETHER           4

struct replacements {
	size_t n;     /* sources born since, with a handshake that was measured */
	size_t split; /* of those, by two measurements */
	double share; /* of n that are the farm's */
};

struct replacements_in {
	const struct baseline *baseline;
	const struct windows *windows;
	const struct detect_config *config;
	uint64_t since; /* the first rule acts, ns since 1970 */
};

/* Sets weight and `reborn` of replacements among `all`, which has weights already, and
 * `together` of those who came to one network together. */
int replacements_weigh(const struct replacements_in *in, struct cohort *all,
		       struct replacements *out);

#endif
