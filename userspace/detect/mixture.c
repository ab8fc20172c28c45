/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/mixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint8_t feature_levels[FEATURES] = { 5, 4, 4, 3, 6, 3 };

void mixture_count(const struct mixture_row *rows, const float *w, size_t n, double kappa,
		   const double prior[FEATURES][FEATURE_LEVELS],
		   double out[FEATURES][FEATURE_LEVELS])
{
	double count[FEATURES][FEATURE_LEVELS];

	for (int f = 0; f < FEATURES; f++)
		for (int x = 0; x < FEATURE_LEVELS; x++)
			count[f][x] = kappa * (prior ? prior[f][x] : 1.0 / feature_levels[f]);
	/* Six sums that do not wait for each other; what is not known goes to [f][0]. */
	for (size_t i = 0; i < n; i++) {
		double more = w ? w[i] : 1;

		for (int f = 0; f < FEATURES; f++)
			count[f][rows[i].x[f]] += more;
	}
	for (int f = 0; f < FEATURES; f++) {
		double sum = 0;

		for (int x = 1; x <= feature_levels[f]; x++)
			sum += count[f][x];
		for (int x = 1; x <= feature_levels[f]; x++)
			out[f][x] = (1 - MIXTURE_FLAT) * (sum > 0 ? count[f][x] / sum : 0) +
				    (sum > 0 ? MIXTURE_FLAT : 1) / feature_levels[f];
		out[f][0] = 1;
	}
}

double mixture_product(const double theta[FEATURES][FEATURE_LEVELS], const struct mixture_row *row)
{
	double p = 1;

	for (int f = 0; f < FEATURES; f++) {
		if (row->x[f])
			p *= theta[f][row->x[f]];
	}
	return p;
}

double mixture_ln(const double theta[FEATURES][FEATURE_LEVELS], const struct mixture_row *row)
{
	return log(mixture_product(theta, row));
}

static double product(const double theta[FEATURES][FEATURE_LEVELS], const struct mixture_row *row)
{
	double p = 1;

	for (int f = 0; f < FEATURES; f++)
		p *= theta[f][row->x[f]]; /* [0] is 1 */
	return p;
}

void mixture_refine(struct mixture *m, const struct mixture_row *rows, size_t n,
		    unsigned int rounds, double kappa, const double prior[FEATURES][FEATURE_LEVELS])
{
	float *w = calloc(n ? n * m->n : 1, sizeof(*w)); /* class by class */

	if (!w)
		return; /* the classes stay as they were: coarser, not wrong */
	for (unsigned int round = 0; round < rounds; round++) {
		double sum[MIXTURE_CLASSES] = {}, total = 0;

		for (size_t i = 0; i < n; i++) {
			double p[MIXTURE_CLASSES], all = 0;

			for (size_t k = 0; k < m->n; k++) {
				p[k] = m->class[k].weight * product(m->class[k].theta, &rows[i]);
				all += p[k];
			}
			for (size_t k = 0; k < m->n; k++) {
				w[k * n + i] = all > 0 ? p[k] / all : 0;
				sum[k] += w[k * n + i];
			}
		}
		for (size_t k = 0; k < m->n; k++) {
			mixture_count(rows, w + k * n, n, kappa, prior, m->class[k].theta);
			sum[k] += 0.5;
			total += sum[k];
		}
		for (size_t k = 0; k < m->n; k++)
			m->class[k].weight = sum[k] / total;
	}
	free(w);
}

/* pi as wanted, none over its cap; what is cut off goes to those below theirs. */
static void capped(const struct mixture *m, double pi[MIXTURE_CLASSES])
{
	for (int round = 0; round < 8; round++) {
		double over = 0, room = 0;

		for (size_t k = 0; k < m->n; k++) {
			if (pi[k] > m->class[k].cap) {
				over += pi[k] - m->class[k].cap;
				pi[k] = m->class[k].cap;
			} else {
				room += m->class[k].cap < 1 ? m->class[k].cap - pi[k] : 1;
			}
		}
		if (over < 1e-9)
			return;
		for (size_t k = 0; k < m->n && room > 0; k++) {
			if (pi[k] < m->class[k].cap)
				pi[k] += over *
					 (m->class[k].cap < 1 ? m->class[k].cap - pi[k] : 1) / room;
		}
	}
}

/* One round of EM over pi and s; the log-likelihood before it. p[k * n + i] are the
 * products, `q` those of the component (NULL: none). */
static double round_weights(const struct mixture *m, const double *p, const double *q,
			    const float *count, size_t n, double pi[MIXTURE_CLASSES], double *s,
			    float *posterior)
{
	double next[MIXTURE_CLASSES] = {}, mass = 0, sum = 0, ll = 0, total = 0;

	for (size_t i = 0; i < n; i++) {
		double times = count ? count[i] : 1;
		double base = 0, mine = q ? *s * q[i] : 0, all;

		for (size_t k = 0; k < m->n; k++)
			base += pi[k] * p[k * n + i];
		all = (q ? 1 - *s : 1) * base + mine;
		ll += times * log(all);
		if (posterior)
			posterior[i] = mine / all;
		mass += times * mine / all;
		total += times;
		for (size_t k = 0; k < m->n; k++)
			next[k] += times * (1 - mine / all) * pi[k] * p[k * n + i] / base;
	}
	for (size_t k = 0; k < m->n; k++) {
		next[k] += m->class[k].weight; /* as if one more had been seen clean */
		sum += next[k];
	}
	for (size_t k = 0; k < m->n; k++)
		pi[k] = next[k] / sum;
	capped(m, pi);
	if (q && total > 0)
		*s = fmin(fmax(mass / total, 1e-6), 1 - 1e-3);
	return ll;
}

static void weights_start(const struct mixture *m, double pi[MIXTURE_CLASSES])
{
	for (size_t k = 0; k < m->n; k++)
		pi[k] = m->class[k].weight;
	capped(m, pi);
}

/* Free parameters that were really used: levels with at least one source's worth. */
static unsigned int parameters(const struct mixture_row *rows, const float *w, size_t n)
{
	unsigned int used = 1;

	for (int f = 0; f < FEATURES; f++) {
		double count[FEATURE_LEVELS] = {};
		int levels = 0;

		for (size_t i = 0; i < n; i++)
			count[rows[i].x[f]] += w[i];
		for (int x = 1; x <= feature_levels[f]; x++)
			levels += count[x] >= 1;
		used += levels > 1 ? levels - 1 : 0;
	}
	return used;
}

void mixture_fit(const struct mixture *base, const struct mixture_row *rows, const uint8_t *held,
		 const float *count, size_t n, const double start[FEATURES][FEATURE_LEVELS],
		 struct mixture_component *out, float *posterior)
{
	double pi[MIXTURE_CLASSES] = {}, null_pi[MIXTURE_CLASSES] = {}, s = 0.05;
	double null = 0, with = 0, info = 0, total = 0, before = -INFINITY;
	float *mine = calloc(n ? n : 1, sizeof(*mine));
	double *p = calloc((base->n + 1) * (n ? n : 1), sizeof(*p)), *q;

	memset(out, 0, sizeof(*out));
	memcpy(out->q, start, sizeof(out->q));
	memset(posterior, 0, n * sizeof(*posterior));
	if (!p || !n || !mine) {
		free(mine);
		free(p);
		return;
	}
	q = p + base->n * n;
	for (size_t k = 0; k < base->n; k++) {
		for (size_t i = 0; i < n; i++)
			p[k * n + i] = product(base->class[k].theta, &rows[i]);
	}
	weights_start(base, null_pi);
	for (int round = 0; round < 60; round++) {
		null = round_weights(base, p, NULL, count, n, null_pi, NULL, NULL);
		if (fabs(null - before) < 1e-4)
			break;
		before = null;
	}
	weights_start(base, pi);
	before = -INFINITY;
	for (int round = 0; round < 60; round++) {
		for (size_t i = 0; i < n; i++)
			q[i] = held && held[i] ? 0 : product(out->q, &rows[i]);
		with = round_weights(base, p, q, count, n, pi, &s, posterior);
		if (round > 4 && fabs(with - before) < 1e-4)
			break;
		before = with;
		/* The start holds the tables for a few rounds, then the data do. */
		for (size_t i = 0; i < n; i++)
			mine[i] = posterior[i] * (count ? count[i] : 1);
		mixture_count(rows, mine, n, round < 4 ? 4 : 0.5, round < 4 ? start : NULL, out->q);
	}
	for (size_t i = 0; i < n; i++) {
		double b = 0, d;

		for (size_t k = 0; k < base->n; k++)
			b += pi[k] * p[k * n + i];
		d = (q[i] - b) / ((1 - s) * b + s * q[i]);
		info += d * d * (count ? count[i] : 1);
		total += count ? count[i] : 1;
	}
	out->share = s;
	out->lo = fmax(0, s - 1.96 / sqrt(info > 0 ? info : 1e-9));
	out->hi = fmin(1, s + 1.96 / sqrt(info > 0 ? info : 1e-9));
	out->gain = with - null - 0.5 * parameters(rows, mine, n) * log(total);
	free(mine);
	free(p);
}
