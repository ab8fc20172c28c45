/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/chance.h"

float chance_normal[NORMAL_CELLS + 1];
float chance_gamma[1025];

static double phi(double x)
{
	return .5 * erfc(-x * M_SQRT1_2);
}

/* Of Gamma(3/2, 1): erf(sqrt x) - 2 sqrt(x / pi) exp(-x). */
static double gamma_share(double x)
{
	return erf(sqrt(x)) - 2 * sqrt(x / M_PI) * exp(-x);
}

static double inverse(double (*f)(double), double p, double lo, double hi)
{
	for (int i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2;

		if (f(mid) < p)
			lo = mid;
		else
			hi = mid;
	}
	return (lo + hi) / 2;
}

void chance_open(void)
{
	for (int i = 0; i <= NORMAL_CELLS; i++)
		chance_normal[i] =
			inverse(phi, fmin(fmax(i, .5), NORMAL_CELLS - .5) / NORMAL_CELLS, -9, 9);
	for (int i = 0; i <= 1024; i++)
		chance_gamma[i] = inverse(gamma_share, fmin(i + .5, 1023.5) / 1024, 0, 40) / 1.5;
}

/* Beyond the quantile 1 - 1/1024: Marsaglia 1964. */
double chance_tail(uint64_t *s)
{
	static const double a = 3.0972691;
	double x;

	do
		x = sqrt(a * a - 2 * log(uniform(s)));
	while (uniform(s) * x > a);
	return x;
}
