/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/births.h"

#include <math.h>

#include "detect/stats.h"

#define BITS_MOST 20.0
#define PHI_LEAST 1.0001
#define STEPS     12 /* q = .1 to 1.2 */

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
	if (b->born > 0)
		x.p = stats_beta(b->born, x.expected / (phi - 1), 1 - 1 / phi);
	x.displaced = alive > 0 ? fmax(0, b->born - x.expected) / alive : 0;
	null = ln_nb(b->born, x.expected, phi);
	for (int q = 1; q <= STEPS; q++)
		sum += exp(fmin(700, ln_nb(b->born, x.expected + 0.1 * q * alive, phi) - null));
	x.e = sum / STEPS;
	x.bits = fmax(-BITS_MOST, fmin(BITS_MOST, log2(fmax(x.e, 1e-30))));
	return x;
}
