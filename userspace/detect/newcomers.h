/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * newcomers.h - what a source that nobody knew a day ago is worth.
 *
 * Days in the ledger end at midnight, so they show few sources in their first hours: a
 * burst, no session yet. Honest people begin that way too, some of them behind a far end
 * of their own, and to the cells they look like the farm. Of a newcomer that is split
 *
 *   honest = direct newcomers * split / direct sources of the stack when clean
 *   farm   = split newcomers - honest, one at least
 *   odds   = farm / honest * prod q_f(x) / P(x | honest and split)
 *
 * over what a first hour shows fairly: leg, TCP, gaps; sessions come on top. A newcomer's
 * odds are no better than these, whatever its cell says. Newcomers are counted since the
 * farm's first ones came, a day at most.
 *
 * Who lies in a network that had split sources when clean is no newcomer of the farm's:
 * relays and offices grow where they are.
 *
 * Errors: none.
 * Source: detection.md 3.10, 5.7.
 */
#ifndef WINNOW_DETECT_NEWCOMERS_H
#define WINNOW_DETECT_NEWCOMERS_H

#include <stdint.h>

#include "detect/mixture.h"
#include "model/cohort.h"

struct newcomers {
	uint64_t from; /* ns since 1970 */
	double farm, honest;
};

struct detect;

/* `all` has weights by cells and days. */
struct newcomers newcomers_of(const struct detect *d, const struct cohort *all);
/* ln of the odds, without sessions. */
double newcomers_nats(const struct newcomers *n, const struct mixture *kinds,
		      const double q[FEATURES][FEATURE_LEVELS], const struct mixture_row *row);

#endif
