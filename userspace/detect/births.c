/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/births.h"

#include <math.h>

#include "detect/stats.h"

#define BITS_MOST     20.0
#define SHARE_MOST    0.998 /* sensors have doubts of their own */
#define POSTERIOR_ONE 0.999 /* from a single connection */
#define PHI_LEAST     1.0001
#define STEPS         12 /* q = .1 to 1.2 */
/* A source with a direct handshake among its first is the farm's in a tenth of the cases:
 * ACKs that were held up (timing.md 3). */
#define DIRECT_BITS (-3.3)

/* ln of NB(k; mean, variance phi mean). */
static double ln_nb(double k, double mean, double phi)
{
	double r = mean / (phi - 1);

	return lgamma(k + r) - lgamma(r) - lgamma(k + 1) - r * log(phi) + k * log1p(-1 / phi);
}

struct births births_of(const struct births_ban *b)
{
	double phi = fmax(b->phi, PHI_LEAST), alive = b->ruled, sum = 0, null;
	struct births x = { .p = 1, .e = 1 };

	if (b->before <= 0 || b->after <= 0)
		return x;
	if (b->held > 0)
		alive *= fmin(b->held_alive / b->held, 1);
	/* Half a birth more than were seen: none in an hour is not none for ever. */
	x.expected = (b->born_before + 0.5 * phi) / b->before * b->after;
	phi *= 1 + b->after / b->before;
	x.upper95 = stats_upper95(x.expected, phi);
	if (b->born > 0) {
		x.p = stats_beta(b->born, x.expected / (phi - 1), 1 - 1 / phi);
		x.share = fmax(0, fmin(SHARE_MOST, 1 - x.expected / b->born));
		x.share_lo = fmax(0, fmin(SHARE_MOST, 1 - x.upper95 / b->born));
	}
	x.displaced = alive > 0 ? fmax(0, b->born - x.expected) / alive : 0;
	null = ln_nb(b->born, x.expected, phi);
	for (int q = 1; q <= STEPS; q++)
		sum += exp(fmin(700, ln_nb(b->born, x.expected + 0.1 * q * alive, phi) - null));
	x.e = sum / STEPS;
	x.bits = fmax(-BITS_MOST, fmin(BITS_MOST, log2(fmax(x.e, 1e-30))));
	return x;
}

bool births_traits(const struct births_newcomer *n)
{
	return n->split > n->direct;
}

double births_posterior(const struct births *b, const struct births_newcomer *n)
{
	double odds;

	if (!births_traits(n) || b->share_lo <= 0)
		return 0;
	odds = b->share_lo / (1 - b->share_lo) * exp2(n->bits + DIRECT_BITS * n->direct);
	return odds / (1 + odds);
}

bool births_convicted(const struct births *b, const struct births_ban *ban,
		      const struct births_newcomer *n, double posterior_least)
{
	double p = births_posterior(b, n);

	if (ban->born < BIRTHS_LEAST || p < posterior_least)
		return false;
	return n->split >= 2 || p >= POSTERIOR_ONE;
}
