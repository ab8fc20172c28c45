/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/dispersion.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/baseline.h"
#include "detect/features.h"
#include "detect/members.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t label(const struct cohort_member *m, enum network size)
{
	return network_of(m->src, m->family, size) << 1 | (m->family == 6);
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
		v[i] = label(&c->members[i], size);
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

/* Sources of the stack that are split, were not so when clean, are no members, and lie in a
 * member's network. Without memory all: what is not known speaks against a farm. */
static size_t beside(const struct cohort *members, const struct cohort *all)
{
	_cleanup_(freep) uint64_t *v = malloc((members->n ? members->n : 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return all->n;
	for (size_t i = 0; i < members->n; i++)
		v[i] = label(&members->members[i], NETWORK_SMALL);
	qsort(v, members->n, sizeof(*v), by_value);
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];
		uint64_t at = label(m, NETWORK_SMALL);

		n += m->split == DELAY_SPLIT && !m->held && !member_is(m) &&
		     bsearch(&at, v, members->n, sizeof(*v), by_value);
	}
	return n;
}

struct fact dispersion_around(const struct cohort *members, const struct cohort *all)
{
	struct fact f = dispersion_spread(members);
	size_t n = f.known ? beside(members, all) : 0, said = strlen(f.text);

	if (!n)
		return f;
	f.n = members->n + n;
	f.x *= log(members->n) / log(f.n);
	snprintf(f.text + said, sizeof(f.text) - said, ", %zu more split beside them", n);
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
