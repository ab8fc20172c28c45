/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/cells.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint16_t cell_of(const struct mixture_row *row)
{
	uint16_t cell = 0;

	for (int f = 0; f < FEATURES; f++)
		cell = cell * (feature_levels[f] + 1) + row->x[f];
	return cell;
}

struct mixture_row cell_row(uint16_t cell)
{
	struct mixture_row row = {};

	for (int f = FEATURES; f-- > 0;) {
		row.x[f] = cell % (feature_levels[f] + 1);
		cell /= feature_levels[f] + 1;
	}
	return row;
}

unsigned int cell_pattern(const struct mixture_row *row)
{
	unsigned int pattern = 0;

	for (int f = 0; f < FEATURES; f++)
		pattern |= (row->x[f] != 0) << f;
	return pattern;
}

void cells_clear(struct cells *c)
{
	free(c->cell);
	free(c->n);
	memset(c, 0, sizeof(*c));
}

int cells_pack(const float *full, struct cells *out)
{
	size_t len = 0;

	memset(out, 0, sizeof(*out));
	for (int c = 0; c < CELLS; c++)
		len += full[c] > 0;
	out->cell = malloc((len + 1) * sizeof(*out->cell));
	out->n = malloc((len + 1) * sizeof(*out->n));
	if (!out->cell || !out->n) {
		cells_clear(out);
		return -ENOMEM;
	}
	for (int c = 0; c < CELLS; c++) {
		if (!(full[c] > 0))
			continue;
		out->cell[out->len] = c;
		out->n[out->len++] = full[c];
		out->sum += full[c];
	}
	return 0;
}

void cells_add(const struct cells *c, double factor, float *full)
{
	for (size_t i = 0; i < c->len; i++)
		full[c->cell[i]] += factor * c->n[i];
}
