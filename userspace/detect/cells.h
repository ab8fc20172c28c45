/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cells.h - every combination of features as one number, and counts of sources in few
 * of them.
 *
 * A cell is the row of mixture.h in mixed radix, a feature that is not known being a
 * level of its own. Which features are known (a *pattern*) depends on how much was seen
 * of a source; a product form stands on the known ones, and has a table over patterns.
 *
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_DETECT_CELLS_H
#define WINNOW_DETECT_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "detect/mixture.h"

#define CELLS    16800 /* (5+1) (4+1) (4+1) (3+1) (6+1) (3+1) */
#define PATTERNS (1 << FEATURES)

uint16_t cell_of(const struct mixture_row *row);
struct mixture_row cell_row(uint16_t cell);
unsigned int cell_pattern(const struct mixture_row *row);

/* Cells with something in them, in order of the cell. */
struct cells {
	uint16_t *cell;
	float *n;
	size_t len;
	double sum;
};

void cells_clear(struct cells *c);
/* Of a full array of CELLS counts; the array is left as it is. */
int cells_pack(const float *full, struct cells *out);
/* full[c] += factor * n */
void cells_add(const struct cells *c, double factor, float *full);

#endif
