/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/near.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "detect/baseline.h"
#include "detect/features.h"
#include "detect/members.h"
#include "detect/stats.h"

#define ANCHORS_LEAST 20
#define SIGMA_LEAST   0.02 /* of ln: 2% of a leg */
#define RHO_MOST      0.95

struct place {
	uint64_t net, family;
};

struct beside {
	double anchors, legs; /* how many, and the sum of their ln D* */
	double honest, split; /* that are no members; that were split when clean */
};

struct near {
	struct table nets; /* struct place -> struct beside */
	double anchor;     /* weight from which one is */
	double anchors, honest, split;
	double farm_scatter, split_scatter;
	double mean, spread; /* of all anchors' ln D* */
	double sigma, rho;
};

static struct place place_of(const struct cohort_member *m)
{
	return (struct place){ network_of(m->src, m->family, NETWORK_ORIGIN), m->family };
}

static double leg_of(const struct cohort_member *m)
{
	return log(m->dstar + 1.0);
}

static bool is_anchor(const struct near *n, const struct cohort_member *m)
{
	return member_is(m) && m->weight >= n->anchor;
}

static int count(struct near *n, const struct cohort *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];
		struct place at = place_of(m);
		struct beside *b = table_add(&n->nets, &at, NULL);

		if (!b)
			return -ENOMEM;
		if (is_anchor(n, m)) {
			b->anchors++;
			b->legs += leg_of(m);
			n->anchors++;
			n->mean += leg_of(m);
		} else if (!member_is(m)) {
			b->honest++;
			b->split += m->held;
			n->honest++;
			n->split += m->held;
		}
	}
	n->mean /= fmax(n->anchors, 1);
	return 0;
}

double near_scatter(double n, double networks)
{
	double lo = 1e-3, hi = 1e3 * (n + 1);

	for (int i = 0; i < 60; i++) {
		double mid = sqrt(lo * hi);

		if (mid * log1p(n / mid) < networks)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void scatter(struct near *n)
{
	double farm = 0, split = 0;

	for (size_t i = 0; i < n->nets.n; i++) {
		const struct beside *b = table_value(&n->nets, i);

		farm += b->anchors > 0;
		split += b->split > 0;
	}
	n->farm_scatter = near_scatter(n->anchors, farm);
	n->split_scatter = near_scatter(n->split, split);
}

/* How far a leg is from that of the anchors beside it; false: there are none. */
static bool off(const struct near *n, const struct cohort_member *m, double *by)
{
	struct place at = place_of(m);
	const struct beside *b = table_find(&n->nets, &at);
	double own = is_anchor(n, m), k = b ? b->anchors - own : 0;

	if (k < 1)
		return false;
	*by = leg_of(m) - (b->legs - own * leg_of(m)) / k;
	return true;
}

static int legs(struct near *n, const struct cohort *all)
{
	_cleanup_(freep) double *v = malloc((all->n + 1) * sizeof(*v));
	double sum = 0, within = 0;
	size_t k = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];
		double by;

		if (!is_anchor(n, m))
			continue;
		sum += pow(leg_of(m) - n->mean, 2);
		if (off(n, m, &by))
			v[k++] = fabs(by);
	}
	n->spread = fmax(SIGMA_LEAST, sqrt(sum / fmax(n->anchors - 1, 1)));
	if (k < ANCHORS_LEAST)
		return 0; /* rho stays 0 */
	n->sigma = fmax(SIGMA_LEAST, 1.4826 * stats_quantile(v, k, 0.5));
	for (size_t i = 0; i < k; i++)
		within += v[i] < 3 * n->sigma;
	n->rho = fmin(RHO_MOST, within / k);
	return 0;
}

int near_new(const struct cohort *all, double anchor, struct near **out)
{
	_cleanup_(near_freep) struct near *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	n->anchor = anchor;
	table_init(&n->nets, sizeof(struct place), sizeof(struct beside));
	err = count(n, all);
	if (!err)
		err = legs(n, all);
	if (err)
		return err;
	scatter(n);
	*out = take_ptr(n);
	return 0;
}

void near_free(struct near *n)
{
	if (!n)
		return;
	table_clear(&n->nets);
	free(n);
}

void near_freep(struct near **n)
{
	near_free(*n);
}

static double normal(double x, double sigma)
{
	return exp(-x * x / (2 * sigma * sigma)) / sigma;
}

double near_nats(const struct near *n, const struct cohort_member *m)
{
	struct place at = place_of(m);
	const struct beside *b = table_find(&n->nets, &at);
	double own = is_anchor(n, m), other = !member_is(m), k, h, farm, honest, by, leg = 1;

	if (!b || n->anchors < ANCHORS_LEAST)
		return 0;
	k = b->anchors - own;
	h = (b->honest - other + 1) / (n->honest - other + n->nets.n);
	farm = (k + n->farm_scatter * h) / (n->anchors - own + n->farm_scatter);
	honest = (b->split + n->split_scatter * h) / (n->split + n->split_scatter);
	if (off(n, m, &by))
		leg = 1 - n->rho +
		      n->rho * normal(by, n->sigma) / normal(leg_of(m) - n->mean, n->spread);
	return fmax(-NEAR_NATS, fmin(NEAR_NATS, log(farm / honest) + log(fmax(leg, 1e-9))));
}
