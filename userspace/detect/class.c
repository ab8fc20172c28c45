/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/class.h"

#include <math.h>
#include <string.h>

#include "detect/stats.h"

#define FAMILY_CAP 20.0

const char *const class_name[CLASS_MAX] = {
	[CLASS_PEOPLE] = "people",
	[CLASS_RELAY] = "people behind relays",
	[CLASS_TUNNELS] = "people with far ends of their own",
	[CLASS_SLOW_CLIENT] = "a slow client program",
	[CLASS_FLEET] = "a fleet",
	[CLASS_PROXIED_FLEET] = "a fleet behind a proxy",
	[CLASS_NAT] = "large NATs",
	[CLASS_MONITORING] = "monitoring",
	[CLASS_LOAD_TEST] = "a load test",
};

/* clang-format off */
const char *const fact_name[FACT_MAX] = {
	[FACT_SPLIT] = "split",	  [FACT_WAITING] = "waiting", [FACT_LEG] = "leg",
	[FACT_TCP] = "tcp",	  [FACT_EVEN] = "even",	      [FACT_GAPS] = "gaps",
	[FACT_TOTAL] = "total",	  [FACT_ORIGIN] = "origin",   [FACT_SPREAD] = "spread",
	[FACT_NETS] = "networks", [FACT_SHARED] = "shared",   [FACT_MIX] = "mix",
};

const enum evidence_family fact_family[FACT_MAX] = {
	[FACT_SPLIT] = FAMILY_CONCEALMENT, [FACT_WAITING] = FAMILY_CONCEALMENT,
	[FACT_LEG] = FAMILY_CONCEALMENT,   [FACT_TCP] = FAMILY_CONCEALMENT,
	[FACT_EVEN] = FAMILY_COORDINATION, [FACT_GAPS] = FAMILY_COORDINATION,
	[FACT_TOTAL] = FAMILY_COORDINATION, [FACT_ORIGIN] = FAMILY_OPERATOR,
	[FACT_SPREAD] = FAMILY_DISPERSION, [FACT_NETS] = FAMILY_DISPERSION,
	[FACT_SHARED] = FAMILY_DISPERSION, [FACT_MIX] = FAMILY_CONCEALMENT,
};

/* clang-format on */
struct expectation {
	double middle, scatter;
};

struct kind {
	double prior; /* log2 */
	bool conceals, coordinates, one_operator;
	bool people; /* it is told by its pace, too: see class.h */
	double cv2;  /* of the sources' rates: FACT_EVEN's middle is ln(1 + mean * cv2) */
	struct expectation fact[FACT_MAX]; /* FACT_EVEN: scatter of ln cv2 */
};

/* clang-format off */
/* ln odds | share | MAD of ln | bits || ln cv2 | bits | ln Fano || atanh || ratio | ln | share ||
 * bits */
#define EXPECT(split, split_s, wait, wait_s, leg, leg_s, tcp, tcp_s, even_s, gaps, gaps_s, total,  \
	       total_s, origin, origin_s, spread, spread_s, nets, nets_s, shared, shared_s, mix,   \
	       mix_s)                                                                              \
	{                                                                                          \
		[FACT_SPLIT] = { split, split_s }, [FACT_WAITING] = { wait, wait_s },              \
		[FACT_LEG] = { leg, leg_s }, [FACT_TCP] = { tcp, tcp_s },                          \
		[FACT_EVEN] = { 0, even_s }, [FACT_GAPS] = { gaps, gaps_s },                       \
		[FACT_TOTAL] = { total, total_s }, [FACT_ORIGIN] = { origin, origin_s },           \
		[FACT_SPREAD] = { spread, spread_s }, [FACT_NETS] = { nets, nets_s },              \
		[FACT_SHARED] = { shared, shared_s }, [FACT_MIX] = { mix, mix_s },                 \
	}

/* A farm that its queue paces; one that paces itself like people; and one that its queue
 * paces and whose TLS ends at its exits: direct, from everybody's machines. */
#define FARMS 3
static const struct kind farm[FARMS] = {
	{ -5, true, true, true, false, .05,
		EXPECT(3.5, 1.2, .6, .4, .5, .3, .8, .8, .8, .7, .6, 0, .4, .7, .6, .93, .08, 4.3, 1,
		       .05, .1, 1.8, .5) },
	{ -7, true, false, true, false, .7,
		EXPECT(3.5, 1.2, .6, .4, .5, .3, .8, .8, .8, -.3, .5, 1, .8, 1.2, .6, .93, .08, 4.3, 1,
		       .05, .1, 1.8, .5) },
	{ -7, true, true, true, false, .05,
		EXPECT(-3.5, 1, .02, .05, .5, .4, .8, .8, .8, .7, .6, 0, .4, .05, .1, .93, .08, 4.3, 1,
		       .05, .1, 1.8, .5) },
};

static const struct kind kinds[CLASS_MAX] = {
	[CLASS_PEOPLE] = { -1, false, false, false, true, .7,
		EXPECT(-3, 1, .02, .05, .5, .4, .08, .1, .8, -.5, .4, 1.5, .8, .05, .1, .93, .06,
		       4.8, 1, .02, .1, 1.5, .5) },
	[CLASS_RELAY] = { -2.5, true, false, false, true, .7,
		EXPECT(3, 1.2, .5, .4, .6, .3, .8, .8, .8, -.5, .4, 1.2, .8, .1, .15, .5, .2, 2, .9,
		       .5, .3, .5, .5) },
	[CLASS_TUNNELS] = { -4, true, false, false, true, .7,
		EXPECT(3, 1.2, .5, .4, .7, .3, .8, .8, .8, -.5, .4, 1.2, .8, .05, .1, .93, .06, 4.5,
		       1, .05, .1, 1.5, .5) },
	[CLASS_SLOW_CLIENT] = { -2.5, false, false, false, false, .7,
		EXPECT(3, 1.5, .02, .05, .1, .1, .08, .1, .8, -.4, .5, 1.5, .8, .15, .2, .93, .06,
		       4.8, 1, .05, .1, 1.2, .8) },
	[CLASS_FLEET] = { -2.5, false, true, true, false, .05,
		EXPECT(-3.5, 1, .02, .05, .3, .3, .3, .5, .8, .5, .7, .7, .8, .2, .3, .3, .15, 1.2,
		       .7, .1, .15, .2, .3) },
	[CLASS_PROXIED_FLEET] = { -5, true, true, true, false, .1,
		EXPECT(3, 1.2, .6, .4, .5, .3, .8, .8, .8, .3, .7, .7, .8, .4, .4, .4, .2, 2, .8,
		       .4, .3, .2, .3) },
	[CLASS_NAT] = { -3.5, false, false, false, true, .7,
		EXPECT(-3, 1, .02, .05, .5, .4, .3, .4, .8, -.3, .4, 1.5, .8, .1, .15, .8, .1, 4, 1,
		       .1, .15, 1.5, .5) },
	[CLASS_MONITORING] = { -4, false, true, true, false, .02,
		EXPECT(-3.5, 1, .02, .05, .4, .4, .2, .3, .8, 1, .6, -1, 1, .2, .3, .95, .05, 4.3, .8,
		       .05, .1, .4, .4) },
	[CLASS_LOAD_TEST] = { -4, false, true, true, false, .5,
		EXPECT(-3.5, 1, .02, .05, .3, .3, .5, .7, .8, .8, .7, .5, 1, .2, .3, .3, .2, 1, .8,
		       .1, .15, .2, .3) },
};

/* clang-format on */

/* Where kind k puts fact i, and its scatter there. */
static struct expectation expect(const struct kind *k, int i, double x, double mean)
{
	struct expectation e = k->fact[i];

	if (i == FACT_EVEN) {
		double rise = mean * k->cv2;

		e.middle = log(1 + rise);
		e.scatter *= rise / (1 + rise); /* d ln(1 + mc) / d ln c */
	}
	if ((i == FACT_EVEN || i == FACT_TOTAL) && k->coordinates && x < e.middle)
		e.middle = x; /* flat below */
	if (i == FACT_EVEN && !k->coordinates && x > e.middle)
		e.middle = x; /* flat above */
	return e;
}

static double fact_bits(const struct kind *k, int i, const struct fact *f, double mean)
{
	struct expectation e = expect(k, i, f->x, mean);

	return stats_t5_bits(f->x, e.middle, sqrt(e.scatter * e.scatter + f->se * f->se));
}

/* The largest whole, the rest half, the sum within the cap. */
static double family_bits(const double bits[FACT_MAX], const struct fact fact[FACT_MAX],
			  enum evidence_family family, double one_operator)
{
	double largest = family == FAMILY_OPERATOR ? one_operator : 0, sum = largest;

	for (int i = 0; i < FACT_MAX; i++) {
		if (fact_family[i] != family || !fact[i].known)
			continue;
		sum += bits[i];
		if (fabs(bits[i]) > fabs(largest))
			largest = bits[i];
	}
	sum = largest + (sum - largest) / 2;
	return fmax(-FAMILY_CAP, fmin(FAMILY_CAP, sum));
}

/* One kind of farm against every benign one. */
static struct judgement judge(const struct kind *f, const struct fact fact[FACT_MAX], double mean,
			      double one_operator)
{
	struct judgement j = { .bits = INFINITY,
			       .conceal = INFINITY,
			       .coordinate = INFINITY,
			       .one_operator = INFINITY };
	double all[CLASS_MAX][FAMILY_MAX], total[CLASS_MAX];

	for (int c = 0; c < CLASS_MAX; c++) {
		double bits[FACT_MAX] = {}, sum = f->prior - kinds[c].prior;

		for (int i = 0; i < FACT_MAX; i++) {
			if (fact[i].known)
				bits[i] = fact_bits(f, i, &fact[i], mean) -
					  fact_bits(&kinds[c], i, &fact[i], mean);
		}
		for (int k = 0; k < FAMILY_MAX; k++) {
			all[c][k] = family_bits(bits, fact, k, one_operator);
			sum += all[c][k];
		}
		total[c] = sum;
		if (!kinds[c].coordinates)
			j.coordinate = fmin(j.coordinate, all[c][FAMILY_COORDINATION]);
		if (!kinds[c].one_operator)
			j.one_operator = fmin(j.one_operator, all[c][FAMILY_OPERATOR]);
		if (sum >= j.bits)
			continue;
		j.bits = sum;
		j.prior = f->prior - kinds[c].prior;
		j.nearest = c;
		memcpy(j.family, all[c], sizeof(j.family));
		memcpy(j.fact, bits, sizeof(j.fact));
		for (int i = 0; i < FACT_MAX; i++) {
			j.farm[i] = expect(f, i, fact[i].x, mean).middle;
			j.benign[i] = expect(&kinds[c], i, fact[i].x, mean).middle;
		}
	}
	for (int c = 0; c < CLASS_MAX; c++) {
		double behind = kinds[c].people ? total[c] - j.bits : 0;

		if (!kinds[c].conceals)
			j.conceal = fmin(j.conceal, all[c][FAMILY_CONCEALMENT] + behind);
	}
	/* The counterfactual looks for its own nearest kind. */
	for (int out = 0; out < FAMILY_MAX; out++) {
		j.without[out] = INFINITY;
		for (int c = 0; c < CLASS_MAX; c++) {
			double sum = f->prior - kinds[c].prior;

			for (int k = 0; k < FAMILY_MAX; k++)
				sum += k == out ? 0 : all[c][k];
			j.without[out] = fmin(j.without[out], sum);
		}
	}
	return j;
}

struct judgement class_judge(const struct fact fact[FACT_MAX], double mean, double one_operator)
{
	struct judgement best = judge(&farm[0], fact, mean, one_operator);

	for (int i = 1; i < FARMS; i++) {
		struct judgement j = judge(&farm[i], fact, mean, one_operator);

		if (j.bits > best.bits)
			best = j;
	}
	return best;
}
