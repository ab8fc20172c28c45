/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/stats.h"

#include <math.h>
#include <stdlib.h>

/* Lentz's method for the continued fraction of I_x(a, b). */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;

	if (fabs(d) < tiny)
		d = tiny;
	d = 1 / d;
	f = d;
	for (int m = 1; m <= 300; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double delta;

		for (int half = 0; half < 2; half++) {
			double n = half ? odd : even;

			d = 1 + n * d;
			c = 1 + n / c;
			if (fabs(d) < tiny)
				d = tiny;
			if (fabs(c) < tiny)
				c = tiny;
			d = 1 / d;
			delta = c * d;
			f *= delta;
		}
		if (fabs(delta - 1) < 1e-12)
			break;
	}
	return f;
}

double stats_beta(double a, double b, double x)
{
	double front;

	if (x <= 0)
		return 0;
	if (x >= 1)
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double stats_f_tail(double f, double d1, double d2)
{
	if (!(f > 0))
		return 1;
	return stats_beta(d2 / 2, d1 / 2, d2 / (d2 + d1 * f));
}

double stats_t5_bits(double x, double mu, double sd)
{
	/* Gamma(3) / (Gamma(5/2) sqrt(5 pi)) = 0.379607 */
	double z = (x - mu) / sd;

	return log2(0.3796066898) - 3 * log2(1 + z * z / 5) - log2(sd);
}

static double beta_quantile(double a, double b, double p)
{
	double lo = 0, hi = 1;

	for (int i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2;

		if (stats_beta(a, b, mid) < p)
			lo = mid;
		else
			hi = mid;
	}
	return (lo + hi) / 2;
}

void stats_share(double k, double n, double level, double *lo, double *hi)
{
	double alpha = (1 - level) / 2;

	*lo = k > 0 ? beta_quantile(k, n - k + 1, alpha) : 0;
	*hi = k < n ? beta_quantile(k + 1, n - k, 1 - alpha) : 1;
}

double stats_upper95(double mean, double design)
{
	double m = mean / design, p, sum;
	unsigned int k = 0;

	if (m > 500)
		return mean + 1.6449 * sqrt(mean * design);
	for (p = sum = exp(-m); sum < 0.95 && k < 2000; sum += p)
		p *= m / ++k;
	return k * design;
}

double stats_upper95_shared(double mean, double shape)
{
	double q = mean / (mean + shape), p, sum;
	unsigned int k = 0;

	if (mean > 500)
		return mean + 1.6449 * sqrt(mean + mean * mean / shape);
	for (p = sum = pow(1 - q, shape); sum < 0.95 && k < 10000; sum += p) {
		p *= q * (shape + k) / (k + 1);
		k++;
	}
	return k ? k - (sum - 0.95) / p : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Where rank q of n lies: behind *i by what is returned. */
static double rank_of(size_t n, double q, size_t *i)
{
	double at = q * (double)(n - 1);

	*i = (size_t)at;
	return at - (double)*i;
}

double stats_quantile(double *v, size_t n, double q)
{
	if (n)
		qsort(v, n, sizeof(v[0]), by_value);
	return stats_quantile_sorted(v, n, q);
}

double stats_quantile_sorted(const double *v, size_t n, double q)
{
	double behind;
	size_t i;

	if (!n)
		return 0;
	behind = rank_of(n, q, &i);
	if (i + 1 >= n)
		return v[n - 1];
	return v[i] + behind * (v[i + 1] - v[i]);
}

/* From the median on both ways, the nearer one next. */
double stats_mad_sorted(const double *v, size_t n, double median)
{
	double behind, at = 0, next = 0;
	size_t i, up = 0, down;

	if (!n)
		return 0;
	behind = rank_of(n, 0.5, &i);
	while (up < n && v[up] <= median)
		up++;
	down = up;
	for (size_t k = 0; k < i + 2 && k < n; k++) {
		at = next;
		if (up == n || (down && median - v[down - 1] < v[up] - median))
			next = median - v[--down];
		else
			next = v[up++] - median;
	}
	return 1.4826 * (n > 1 ? at + behind * (next - at) : next);
}

/* xorshift64*, Vigna 2016. */
uint64_t stats_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}
