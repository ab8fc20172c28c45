/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/sessions.h"

#include <math.h>

#define LATER_LEAST 2
#define SIZE_LEAST  0.2 /* a + b: all differ */
#define SIZE_MOST   30. /*  all alike; sensors have doubts of their own */

struct sessions_seen sessions_seen(uint32_t connections, uint32_t resumed)
{
	struct sessions_seen x = { .later = connections > 1 ? connections - 1 : 0 };

	x.resumed = fmin(resumed, x.later);
	return x;
}

void sessions_add(struct sessions_sum *sum, const struct sessions_seen *x)
{
	double p;

	if (x->later < LATER_LEAST)
		return;
	p = x->resumed / x->later;
	sum->n++;
	sum->share += p;
	sum->square += p * p;
	sum->noise += p * (1 - p) / (x->later - 1);
}

struct sessions sessions_of(const struct sessions_sum *sum)
{
	double mean, between, size;

	if (sum->n < SESSIONS_LEAST)
		return (struct sessions){ 1, 1, 0 };
	/* Half a source of each kind more than were seen. */
	mean = (sum->share + 0.5) / (sum->n + 1);
	between = (sum->square - sum->share * sum->share / sum->n) / (sum->n - 1) -
		  sum->noise / sum->n;
	size = between > 0 ? mean * (1 - mean) / between - 1 : SIZE_MOST;
	size = fmax(SIZE_LEAST, fmin(SIZE_MOST, size));
	return (struct sessions){ size * mean, size * (1 - mean), log(sum->n) };
}

static double ln_beta(double a, double b)
{
	return lgamma(a) + lgamma(b) - lgamma(a + b);
}

static double ln_given(const struct sessions *s, const struct sessions_seen *life,
		       const struct sessions_seen *today)
{
	return ln_beta(s->a + life->resumed, s->b + life->later - life->resumed) -
	       ln_beta(s->a + today->resumed, s->b + today->later - today->resumed);
}

double sessions_nats(const struct sessions *farm, const struct sessions *honest,
		     const struct sessions_seen *life, const struct sessions_seen *today)
{
	double nats;

	if (life->later <= today->later || life->resumed < today->resumed ||
	    life->later - life->resumed < today->later - today->resumed)
		return 0;
	nats = ln_given(farm, life, today) - ln_given(honest, life, today);
	return fmax(-SESSIONS_NATS, fmin(fmax(SESSIONS_NATS, honest->nats), nats));
}
