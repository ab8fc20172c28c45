/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/dispersion.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/baseline.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Distinct networks of a size, and the sum of their squared shares. */
static size_t networks(const struct cohort *c, enum network size, double *sum_q2)
{
	_cleanup_(freep) uint64_t *v = malloc((c->n ? c->n : 1) * sizeof(*v));
	size_t distinct = 0;

	*sum_q2 = 0;
	if (!v)
		return 0;
	for (size_t i = 0; i < c->n; i++)
		v[i] = network_of(c->members[i].src, c->members[i].family, size) << 1 |
		       (c->members[i].family == 6);
	qsort(v, c->n, sizeof(*v), by_value);
	for (size_t i = 0, k; i < c->n; i += k) {
		for (k = 1; i + k < c->n && v[i + k] == v[i];)
			k++;
		*sum_q2 += (double)k / c->n * k / c->n;
		distinct++;
	}
	return distinct;
}

struct fact dispersion_spread(const struct cohort *c)
{
	struct fact f = { .known = c->n >= 10, .n = c->n };
	double q2;
	size_t small = networks(c, NETWORK_SMALL, &q2);

	if (!f.known)
		return f;
	f.x = log(small) / log(c->n);
	f.se = 0.5 / sqrt(c->n);
	snprintf(f.text, sizeof(f.text), "%zu sources in %zu /24s (v6 /48s)", c->n, small);
	return f;
}

struct fact dispersion_nets(const struct cohort *c)
{
	struct fact f = { .known = c->n >= 10, .n = c->n };
	double q2;
	size_t large = networks(c, NETWORK_LARGE, &q2);

	if (!f.known || q2 <= 0)
		return f;
	f.x = -log(q2);
	f.se = 1.0 / sqrt(c->n);
	snprintf(f.text, sizeof(f.text), "%zu /16s (v6 /40s), as if %.1f held equally many", large,
		 1 / q2);
	return f;
}

struct fact dispersion_shared(const struct cohort *c)
{
	struct fact f = { .known = c->n >= 10, .n = c->n };
	size_t shared = 0;

	for (size_t i = 0; i < c->n; i++)
		shared += c->members[i].shared;
	f.x = c->n ? (double)shared / c->n : 0;
	f.se = c->n ? sqrt((f.x * (1 - f.x) + 0.01) / c->n) : 1;
	snprintf(f.text, sizeof(f.text), "%zu of %zu addresses have another stack that is split",
		 shared, c->n);
	return f;
}

size_t dispersion_prefixes(const struct cohort *c)
{
	double q2;

	return networks(c, NETWORK_LARGE, &q2);
}
