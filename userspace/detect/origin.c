/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/origin.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/baseline.h"
#include "detect/stats.h"

#define GROUP_LEAST  2
#define GROUPS_LEAST 5
#define ALIKE        0.5
#define DRAWS        999
#define SURE         1e-9

struct point {
	uint64_t group;
	double y;
};

static int by_leg(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	return (x->y > y->y) - (x->y < y->y);
}

static int by_group(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	return x->group != y->group ? (x->group > y->group) - (x->group < y->group)
				    : (x->y > y->y) - (x->y < y->y);
}

/* Sorted by group; between and within sums of squares. */
static void squares(const struct point *p, size_t n, double *between, double *within,
		    size_t *groups, double *sum_n2)
{
	double mean = 0;

	*between = *within = *sum_n2 = 0;
	*groups = 0;
	for (size_t i = 0; i < n; i++)
		mean += p[i].y / n;
	for (size_t i = 0, k; i < n; i += k) {
		double m = 0;

		for (k = 0; i + k < n && p[i + k].group == p[i].group; k++)
			m += p[i + k].y;
		m /= k;
		*between += k * (m - mean) * (m - mean);
		for (size_t j = i; j < i + k; j++)
			*within += (p[j].y - m) * (p[j].y - m);
		*sum_n2 += (double)k * k;
		++*groups;
	}
}

/* Sum of s^2 / n over the groups, for doubled ranks: grows as `between` does, the total
 * being the same for each relabelling. `seed`: after one more of those (Fisher and Yates,
 * from the end, each value summed where it comes to rest). */
static double relabelled(uint32_t *v, const uint32_t *size, size_t groups, size_t n, uint64_t *seed)
{
	double q = 0;

	while (groups-- > 0) {
		uint64_t sum = 0;

		for (size_t last = n - size[groups]; n > last; n--) {
			if (seed && n > 1) {
				size_t j = stats_random(seed) % n;
				uint32_t t = v[n - 1];

				v[n - 1] = v[j];
				v[j] = t;
			}
			sum += v[n - 1];
		}
		q += (double)sum * sum / size[groups];
	}
	return q;
}

/* How many of DRAWS relabellings have as much between their groups. -1: no memory. */
static int as_much(const struct point *p, size_t n, size_t groups)
{
	_cleanup_(freep) uint32_t *v = malloc(n * sizeof(*v));
	_cleanup_(freep) uint32_t *size = calloc(groups, sizeof(*size));
	uint64_t seed = 1;
	double have;
	int more = 0;

	if (!v || !size)
		return -1;
	for (size_t i = 0, g = 0; i < n; i++) {
		g += i && p[i].group != p[i - 1].group;
		v[i] = 2 * p[i].y;
		size[g]++;
	}
	have = relabelled(v, size, groups, n, NULL);
	for (int draw = 0; draw < DRAWS; draw++)
		more += relabelled(v, size, groups, n, &seed) >= have;
	return more;
}

struct origin origin_anova(const double *y, const uint64_t *group, size_t n)
{
	_cleanup_(freep) struct point *p = malloc((n ? n : 1) * sizeof(*p));
	double between, within, sum_n2, msb, msw, n0;
	struct origin o = { .p = 1, .f = 1 };
	size_t k = 0;
	int more;

	if (!p)
		return o;
	for (size_t i = 0; i < n; i++) {
		if (group[i])
			p[k++] = (struct point){ group[i], y[i] };
	}
	o.n = k;
	qsort(p, k, sizeof(*p), by_leg);
	for (size_t i = 0, same; i < k; i += same) {
		for (same = 1; i + same < k && p[i + same].y == p[i].y;)
			same++;
		for (size_t j = i; j < i + same; j++)
			p[j].y = i + (same - 1) / 2.0;
	}
	qsort(p, k, sizeof(*p), by_group);
	squares(p, k, &between, &within, &o.groups, &sum_n2);
	if (o.groups < 2 || k <= o.groups)
		return o;
	msb = between / (o.groups - 1);
	msw = fmax(within / (k - o.groups), 1e-9);
	n0 = (k - sum_n2 / k) / (o.groups - 1);
	o.f = msb / msw;
	o.icc = (msb - msw) / (msb + (n0 - 1) * msw);
	o.p = stats_f_tail(o.f, o.groups - 1, k - o.groups);
	if (o.p < SURE || between + within <= 0)
		return o;
	more = as_much(p, k, o.groups);
	o.draws = more < 0 ? 0 : DRAWS;
	if (more > 0 && (more + 1.0) / (DRAWS + 1) > o.p)
		o.p = (more + 1.0) / (DRAWS + 1);
	return o;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static size_t count_of(const uint64_t *sorted, size_t n, uint64_t key)
{
	size_t lo = 0, hi = n, k = 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (sorted[mid] < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + k < n && sorted[lo + k] == key)
		k++;
	return k;
}

/* A label no other size or family has. */
static uint64_t label(const struct cohort_member *m, enum network size)
{
	return network_of(m->src, m->family, size) << 4 | (m->family == 6) << 2 | (size + 1);
}

/* Whose legs are asked: of everybody who is split, or of those who look like the farm by
 * what they show themselves. */
static bool counts(const struct cohort_member *m, bool alike)
{
	return m->split == 2 && !m->held && (!alike || m->alone >= ALIKE);
}

/* Labels of `size`; 0 where fewer than GROUP_LEAST share it. */
static void group_by(const struct cohort *c, bool alike, enum network size, uint64_t *group,
		     uint64_t *sorted)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (counts(&c->members[i], alike) && !group[i])
			sorted[n++] = label(&c->members[i], size);
	}
	qsort(sorted, n, sizeof(*sorted), by_value);
	for (size_t i = 0; i < c->n; i++) {
		uint64_t l = label(&c->members[i], size);

		if (counts(&c->members[i], alike) && !group[i] &&
		    count_of(sorted, n, l) >= GROUP_LEAST)
			group[i] = l;
	}
}

static int ask(const struct cohort *c, bool alike, struct origin *out)
{
	_cleanup_(freep) uint64_t *group = calloc(c->n + 1, sizeof(*group));
	_cleanup_(freep) uint64_t *sorted = calloc(c->n + 1, sizeof(*sorted));
	_cleanup_(freep) double *y = calloc(c->n + 1, sizeof(*y));

	*out = (struct origin){ .p = 1, .f = 1 };
	if (!group || !sorted || !y)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		y[i] = log(c->members[i].dstar + 1.0);
	group_by(c, alike, NETWORK_ORIGIN, group, sorted);
	group_by(c, alike, NETWORK_LARGE, group, sorted);
	*out = origin_anova(y, group, c->n);
	return 0;
}

/* The better of two answers: its p is twice as large for having been chosen. */
static void choose(struct origin *of_all, const struct origin *of_alike)
{
	double p = fmin(1, 2 * fmin(of_all->p, of_alike->p));

	if (of_alike->groups < GROUPS_LEAST || of_alike->n == of_all->n)
		return;
	if (of_alike->p < of_all->p)
		*of_all = *of_alike;
	of_all->p = p;
}

struct fact origin_common(const struct cohort *c, struct origin *out)
{
	struct origin of_alike;
	struct fact f = {};

	if (ask(c, false, out) || ask(c, true, &of_alike)) {
		*out = (struct origin){ .p = 1, .f = 1 };
		return f;
	}
	of_alike.alike = true;
	choose(out, &of_alike);
	f.known = out->groups >= GROUPS_LEAST;
	f.n = out->n;
	f.x = atanh(fmin(fmax(out->icc, -0.9), 0.99));
	f.se = out->groups ? 1.5 / sqrt(out->groups) : 1;
	snprintf(f.text, sizeof(f.text),
		 "legs of %zu sources%s in %zu networks: F %.2f, ICC %.2f, p %.2g (%s)", out->n,
		 out->alike ? " like it" : "", out->groups, out->f, out->icc, out->p,
		 out->draws ? "999 permutations" : "F alone");
	return f;
}
