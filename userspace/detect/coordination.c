/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/coordination.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAYS_SOMETHING  5
#define GAPS_A_SOURCE   8
#define GAPS_DEPENDENCE 3
#define TOTALS_LEAST    12

/* Exchanges; connections where fewer exchanges than those were seen (requests below
 * 100 bytes are none). */
static double moves(const struct cohort_member *m, bool by_connection)
{
	return by_connection ? m->connections : m->exchanges;
}

struct fact coordination_even(const struct cohort *c, double *mean)
{
	double sum = 0, time = 0, x2 = 0, low, high, cut, exchanges = 0, connections = 0;
	bool by_connection;
	struct fact f = {};
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		exchanges += c->members[i].exchanges;
		connections += c->members[i].connections;
	}
	by_connection = exchanges < connections;
	low = INFINITY;
	high = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->members[i].seconds <= 0)
			continue;
		n++;
		sum += moves(&c->members[i], by_connection);
		time += c->members[i].seconds;
		low = fmin(low, moves(&c->members[i], by_connection));
		high = fmax(high, moves(&c->members[i], by_connection));
	}
	*mean = n ? sum / n : 0;
	f.n = n;
	f.known = n >= 20 && *mean >= 2;
	if (!f.known)
		return f;
	for (size_t i = 0; i < c->n; i++) {
		double e = sum / time * c->members[i].seconds;

		if (e > 0)
			x2 += (moves(&c->members[i], by_connection) - e) *
			      (moves(&c->members[i], by_connection) - e) / e;
	}
	f.x = log(fmax(x2 / (n - 1), 1e-3));
	cut = exp(-(*mean - 3) / 2);
	f.se = sqrt(6.0 / (n - 1) + fmin(cut, 1) * fmin(cut, 1));
	snprintf(f.text, sizeof(f.text),
		 "%.0f exchanges of %zu sources, %.0f to %.0f each: variance over mean %.2f", sum,
		 n, low, high, x2 / (n - 1));
	return f;
}

/* ---- gap histograms ------------------------------------------------------- */

static double lognormal_cdf(double t, double ln_median, double sigma)
{
	return t <= 0 ? 0 : 0.5 * erfc(-(log(t) - ln_median) / (sigma * M_SQRT2));
}

/* Erlang: 1 - exp(-u) sum u^j / j! */
static double erlang_cdf(double t, double mean, int shape)
{
	double u = t > 0 ? shape * t / mean : 0, term = 1, sum = 1;

	for (int j = 1; j < shape; j++) {
		term *= u / j;
		sum += term;
	}
	return u > 700 ? 1 : 1 - exp(-u) * sum;
}

/* Bin b holds gaps of [2^b - 1, 2^(b+1) - 1) whole seconds. */
static double bin_edge(int b)
{
	return b >= GAP_BINS ? INFINITY : ldexp(1, b) - 1;
}

/* ln-likelihood of h under bin probabilities p, cut to the first `bins`. */
static double fit(const double *h, double *p, int bins)
{
	double sum = 0, ll = 0;

	for (int b = 0; b < bins; b++)
		sum += p[b] = fmax(p[b], 1e-9);
	for (int b = 0; b < bins; b++)
		ll += h[b] * log(0.98 * p[b] / sum + 0.02 / bins);
	return ll;
}

static double best_sessions(const double *h, int bins)
{
	double best = -INFINITY;

	for (double median = 8; median < 130; median *= 1.4) {
		for (double pause = 3600; pause < 40000; pause *= 3) {
			for (double share = 0; share < 0.55; share += 0.1) {
				double p[GAP_BINS];

				for (int b = 0; b < bins; b++) {
					double lo = bin_edge(b), hi = bin_edge(b + 1);

					p[b] = (1 - share) * (lognormal_cdf(hi, log(median), 1.3) -
							      lognormal_cdf(lo, log(median), 1.3)) +
					       share * (lognormal_cdf(hi, log(pause), 1.2) -
							lognormal_cdf(lo, log(pause), 1.2));
				}
				best = fmax(best, fit(h, p, bins));
			}
		}
	}
	return best;
}

static double best_scheduler(const double *h, int bins)
{
	static const int shape[] = { 1, 2, 4, 16 };
	double best = -INFINITY;

	for (size_t s = 0; s < 4; s++) {
		for (double mean = 0.5; mean < 130000; mean *= 1.3) {
			double p[GAP_BINS];

			for (int b = 0; b < bins; b++)
				p[b] = erlang_cdf(bin_edge(b + 1), mean, shape[s]) -
				       erlang_cdf(bin_edge(b), mean, shape[s]);
			best = fmax(best, fit(h, p, bins));
		}
	}
	return best;
}

struct fact coordination_gaps(const struct cohort *c)
{
	double h[GAP_BINS] = {}, n = 0, seconds = 0, people, scheduler;
	struct fact f = {};
	size_t sources = 0;
	int bins = 1;

	for (size_t i = 0; i < c->n; i++) {
		uint32_t sum = 0;

		for (int b = 0; b < GAP_BINS; b++)
			sum += c->members[i].gaps[b];
		if (!sum)
			continue;
		sources++;
		seconds = fmax(seconds, c->members[i].seconds);
		for (int b = 0; b < GAP_BINS; b++)
			h[b] += c->members[i].gaps[b] *
				(sum > GAPS_A_SOURCE ? (double)GAPS_A_SOURCE / sum : 1);
	}
	while (bins < GAP_BINS && bin_edge(bins) < seconds)
		bins++;
	for (int b = bins; b < GAP_BINS; b++)
		h[b] = 0;
	for (int b = 0; b < bins; b++)
		n += h[b];
	f.n = n;
	f.known = sources >= SAYS_SOMETHING && n >= 20 && bins >= 4;
	if (!f.known)
		return f;
	people = best_sessions(h, bins);
	scheduler = best_scheduler(h, bins);
	f.x = (scheduler - people) / n / M_LN2;
	f.se = 1.0 / sqrt(n / GAPS_DEPENDENCE);
	snprintf(f.text, sizeof(f.text),
		 "%.0f gaps of %zu sources fit a scheduler %+.2f bits a gap better than people", n,
		 sources, f.x);
	return f;
}

struct fact coordination_total(const double *totals, size_t n)
{
	double fano = 0, all = 0;
	struct fact f = {};
	size_t k = 0;

	for (size_t i = 2; i + 2 < n; i++) {
		double mean = (totals[i - 2] + totals[i - 1] + totals[i] + totals[i + 1] +
			       totals[i + 2]) /
			      5;

		all += totals[i];
		if (mean <= 0)
			continue;
		/* The window is a fifth of its own mean: 1 / (1 - 1/5). */
		fano += 1.25 * (totals[i] - mean) * (totals[i] - mean) / mean;
		k++;
	}
	f.n = k;
	f.known = n >= TOTALS_LEAST && k >= TOTALS_LEAST - 4 && all / k >= 5;
	if (!f.known)
		return f;
	f.x = log(fmax(fano / k, 1e-3));
	f.se = sqrt(2.0 / k);
	snprintf(f.text, sizeof(f.text), "%.0f exchanges in %zu windows: variance over mean %.2f",
		 all, k, fano / k);
	return f;
}
