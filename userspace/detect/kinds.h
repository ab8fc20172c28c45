/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds.h - handshakes by what their delays say, and how sources differ in them.
 *
 * A handshake waits (D1 and D* both say that the far end is further on), is split (only
 * D*) or direct. A source has shares p of the three; of one that turns up with counts x
 *
 *   P(x | its shares) = prod p_k^x_k
 *   P(x | somebody)   = mean of that over the sources of a crowd
 *
 * so that one source whose line is often full, or that lives behind a relay, is neither
 * taken for many that now and then are late, nor hidden among them. Shares are kept to a
 * sixteenth, for which a crowd is at most 153 cells, however many it counts.
 *
 * In: counts of handshakes. Source: detection.md 3.10.
 */
#ifndef WINNOW_DETECT_KINDS_H
#define WINNOW_DETECT_KINDS_H

#include <stddef.h>
#include <stdint.h>

#include "model/cohort.h"
#include "tally.h"

enum kind { WAITS, SPLIT, DIRECT, KINDS };

struct kinds {
	double n[KINDS];
};

struct kinds kinds_of(const struct cohort_member *m);
/* Of handshakes whose D1 and D* are known. */
struct kinds kinds_in(const uint16_t d1dstar[D_BINS * D_BINS]);
double kinds_all(const struct kinds *k);

/* One source as one, however much it did: somebody new is some source, not some handshake. */
void kinds_add(struct kinds *sum, const struct kinds *k);
/* Shares, as if `weight` handshakes more had been as `usual` says (shares). */
struct kinds kinds_shares(const struct kinds *k, const struct kinds *usual, double weight);
double kinds_likelihood(const struct kinds *shares, const struct kinds *x);

#define CROWD_STEPS 16
#define CROWD_CELLS ((CROWD_STEPS + 1) * (CROWD_STEPS + 2) / 2)

struct crowd {
	double all;
	size_t n;
	struct crowd_cell {
		double sources;
		struct kinds shares; /* of those in it, the sum; the mean after crowd_done() */
	} cell[CROWD_CELLS];
	int16_t at[CROWD_STEPS + 1][CROWD_STEPS + 1]; /* cell, from 1, by its shares */
};

void crowd_add(struct crowd *c, const struct kinds *shares, double sources);
void crowd_done(struct crowd *c);
/* P(x | somebody). Of cells that are far for the most part - they wait, or where `!waits`
 * are split - times `far`. */
double crowd_likelihood(const struct crowd *c, const struct kinds *x, bool waits, double far);

#endif
