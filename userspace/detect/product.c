/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/product.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/stats.h"

#define START_LEAST 5 /* sources */
#define OUTER       6
#define INNER       8
#define HELD        0.02 /* of the component's mass, a level */
#define LEAST       1e-4

void product_rake(const struct mixture_row *rows, const float *rest, float *b, size_t len,
		  int rounds, unsigned int kept)
{
	for (int round = 0; round < rounds; round++) {
		for (int f = 0; f <= FEATURES; f++) {
			double want[PATTERNS] = {}, have[PATTERNS] = {};

			if (kept >> f & 1)
				continue;
			for (size_t i = 0; i < len; i++) {
				unsigned int x =
					f < FEATURES ? rows[i].x[f] : cell_pattern(&rows[i]);

				want[x] += rest[i];
				have[x] += b[i];
			}
			for (size_t i = 0; i < len; i++) {
				unsigned int x =
					f < FEATURES ? rows[i].x[f] : cell_pattern(&rows[i]);

				/* Half a source more on both sides: an empty margin is
				 * not forever. */
				b[i] *= (want[x] + 0.5) / (have[x] + 0.5);
			}
		}
	}
}

/* What one round works on. */
struct work {
	const struct product_in *in;
	struct mixture_row *rows;
	float *b, *e, *q, *rest;
	struct product *p;
};

static void spread(struct work *k)
{
	for (size_t i = 0; i < k->in->len; i++) {
		double q = k->p->m[cell_pattern(&k->rows[i])];

		for (int f = 0; f < FEATURES; f++)
			q *= k->p->q[f][k->rows[i].x[f]];
		k->q[i] = q;
	}
}

static void trust(struct work *k)
{
	for (size_t i = 0; i < k->in->len; i++)
		k->e[i] = 1 / (1 + k->b[i] * (k->in->phi2 + 1 / (k->in->history[i] + 1)));
}

/* One table: levels 1..n of feature f, or the patterns. Returns what it was scaled by. */
static double step(struct work *k, int f)
{
	double u[PATTERNS] = {}, less[PATTERNS] = {}, sum = 0, known = 0;
	unsigned int from = f < FEATURES, to = f < FEATURES ? feature_levels[f] + 1U : PATTERNS;
	double *table = f < FEATURES ? k->p->q[f] : k->p->m;

	for (size_t i = 0; i < k->in->len; i++) {
		unsigned int x = f < FEATURES ? k->rows[i].x[f] : cell_pattern(&k->rows[i]);

		u[x] += k->e[i] * k->in->n[i] * k->q[i] / (k->b[i] + k->p->a * k->q[i]);
		less[x] += (1 - k->e[i]) * k->q[i];
	}
	for (unsigned int pattern = 0; pattern < PATTERNS; pattern++)
		known += f == FEATURES || pattern >> f & 1 ? k->p->m[pattern] : 0;
	for (unsigned int x = from; x < to; x++) {
		double mass = f < FEATURES ? table[x] * known : table[x];
		double hold = f < FEATURES ? HELD : HELD / 8;

		table[x] *= (u[x] + hold) / (fmax(mass - less[x], 0) + hold);
		table[x] = fmax(table[x], f < FEATURES ? LEAST : 1e-6);
		sum += table[x];
	}
	for (unsigned int x = from; x < to; x++)
		table[x] /= sum;
	return sum;
}

static double score(const struct work *k)
{
	double llr = -k->p->a;

	for (size_t i = 0; i < k->in->len; i++) {
		double mine = k->p->a * k->q[i];

		llr += k->e[i] * k->in->n[i] * log1p(mine / k->b[i]);
		llr += (1 - k->e[i]) * mine;
	}
	return llr;
}

/* Patterns as those sources have them that the start speaks of. */
static void begin(struct work *k, const double start[FEATURES][FEATURE_LEVELS], double a)
{
	double sum = 0;

	memcpy(k->p->q, start, sizeof(k->p->q));
	for (int f = 0; f < FEATURES; f++)
		k->p->q[f][0] = 1;
	for (int i = 0; i < PATTERNS; i++)
		k->p->m[i] = 1e-6;
	for (size_t i = 0; i < k->in->len; i++) {
		double q = 1;

		for (int f = 0; f < FEATURES; f++)
			q *= k->p->q[f][k->rows[i].x[f]];
		k->p->m[cell_pattern(&k->rows[i])] += k->in->n[i] * q;
	}
	for (int i = 0; i < PATTERNS; i++)
		sum += k->p->m[i];
	for (int i = 0; i < PATTERNS; i++)
		k->p->m[i] /= sum;
	k->p->a = a;
}

static int work_new(struct work *k, const struct product_in *in, struct product *out)
{
	size_t len = in->len + 1;

	*k = (struct work){ .in = in, .p = out };
	k->rows = malloc(len * sizeof(*k->rows));
	k->b = malloc(4 * len * sizeof(*k->b));
	if (!k->rows || !k->b)
		return -ENOMEM;
	k->e = k->b + len;
	k->q = k->e + len;
	k->rest = k->q + len;
	for (size_t i = 0; i < in->len; i++)
		k->rows[i] = cell_row(in->cell[i]);
	return 0;
}

static int fit(const struct product_in *in, const double start[FEATURES][FEATURE_LEVELS], double a,
	       int outers, struct product *out, float *w)
{
	_cleanup_(freep) struct mixture_row *rows = NULL;
	_cleanup_(freep) float *arrays = NULL;
	double n = 0, info = 0;
	struct work k;
	int err;

	memset(out, 0, sizeof(*out));
	err = work_new(&k, in, out);
	rows = k.rows;
	arrays = k.b;
	if (err)
		return err;
	for (size_t i = 0; i < in->len; i++)
		n += in->n[i];
	if (n <= 0)
		return 0;
	memcpy(k.b, in->b, in->len * sizeof(*k.b));
	begin(&k, start, fmin(a, n / 2));
	for (int outer = 0; outer < outers; outer++) {
		spread(&k);
		for (size_t i = 0; i < in->len; i++)
			k.rest[i] = in->n[i] * k.b[i] / (k.b[i] + out->a * k.q[i]);
		product_rake(k.rows, k.rest, k.b, in->len, 3, in->kept);
		trust(&k);
		for (int inner = 0; inner < INNER; inner++) {
			for (int f = 0; f <= FEATURES; f++) {
				out->a = fmin(out->a * step(&k, f), n / 2);
				spread(&k);
			}
		}
	}
	out->llr = score(&k);
	for (size_t i = 0; i < in->len; i++) {
		double lambda = k.b[i] + out->a * k.q[i];

		w[i] = out->a * k.q[i] / lambda;
		info += k.e[i] * in->n[i] * k.q[i] * k.q[i] / lambda / lambda;
	}
	out->share = out->a / n;
	out->lo = fmax(0, out->a - 1.96 / sqrt(fmax(info, 1e-12))) / n;
	out->hi = fmin(n, out->a + 1.96 / sqrt(fmax(info, 1e-12))) / n;
	return 0;
}

/* ---- where to begin ------------------------------------------------------------------ */

/* Kinds of farms as they may look: which levels of a feature (bit x), 0: any. */
static const uint8_t templates[][FEATURES] = {
	/* D1 waits | split | TCP | no session | rate | regular */
	{ 0x38, 0x1c, 0, 0x02, 0, 0x06 }, /* a scheduler behind waiting proxies */
	{ 0x38, 0x1c, 0, 0x02, 0, 0 },    /* with people's timing */
	{ 0x38, 0x1c, 0, 0, 0, 0 },       /* and sessions */
	{ 0x06, 0x1c, 0, 0, 0, 0 },       /* behind exits that answer early */
	{ 0x06, 0x02, 0x1c, 0x02, 0, 6 }, /* TLS at the exit, its own scheduler */
};
#define TEMPLATES (sizeof(templates) / sizeof(templates[0]))

/* What is more than expected and looks like the template. */
static void from_template(const struct product_in *in, const struct mixture_row *rows,
			  const uint8_t t[FEATURES], float *w)
{
	for (size_t i = 0; i < in->len; i++) {
		w[i] = fmaxf(in->n[i] - in->b[i], 0);
		for (int f = 0; f < FEATURES; f++) {
			if (t[f] && rows[i].x[f] && !(t[f] >> rows[i].x[f] & 1))
				w[i] *= 0.02F;
		}
	}
}

struct ratio {
	float n, b;
	size_t i;
};

static int by_ratio(const void *a, const void *b)
{
	const struct ratio *x = a, *y = b;
	float l = x->n * y->b, r = y->n * x->b;

	return l != r ? (l < r) - (l > r) : (x->i > y->i) - (x->i < y->i);
}

/* Linear-time subset scanning: of all subsets the one with the largest Poisson excess
 * N ln(N / B) - (N - B) is a prefix of the cells sorted by n / b (Neill 2012). */
static int from_scan(const struct product_in *in, float *w)
{
	_cleanup_(freep) struct ratio *r = malloc((in->len + 1) * sizeof(*r));
	double n = 0, b = 0, best = 0;
	size_t upto = 0;

	if (!r)
		return -ENOMEM;
	memset(w, 0, in->len * sizeof(*w));
	for (size_t i = 0; i < in->len; i++)
		r[i] = (struct ratio){ in->n[i], in->b[i], i };
	qsort(r, in->len, sizeof(*r), by_ratio);
	for (size_t i = 0; i < in->len; i++) {
		double score;

		n += r[i].n;
		b += r[i].b;
		score = n > b ? n * log(n / b) - (n - b) : 0;
		if (score <= best)
			continue;
		best = score;
		upto = i + 1;
	}
	for (size_t i = 0; i < upto; i++)
		w[r[i].i] = fmaxf(r[i].n - r[i].b, 0);
	return 0;
}

int product_find(const struct product_in *in, struct product *out, float *w)
{
	_cleanup_(freep) struct mixture_row *rows = malloc((in->len + 1) * sizeof(*rows));
	double start[FEATURES][FEATURE_LEVELS], best[FEATURES][FEATURE_LEVELS];
	double highest = -INFINITY, best_a = 0, a;
	struct product p;
	int err = 0;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < in->len; i++)
		rows[i] = cell_row(in->cell[i]);
	for (size_t t = 0; t <= TEMPLATES && !err; t++) {
		if (t < TEMPLATES)
			from_template(in, rows, templates[t], w);
		else
			err = from_scan(in, w);
		mixture_count(rows, w, in->len, 1, NULL, start);
		a = START_LEAST;
		for (size_t i = 0; i < in->len; i++)
			a += w[i];
		if (!err)
			err = fit(in, start, a, 1, &p, w);
		if (err || p.llr <= highest)
			continue;
		highest = p.llr;
		best_a = fmax(p.a, START_LEAST);
		memcpy(best, p.q, sizeof(best));
	}
	return err ? err : fit(in, best, best_a, OUTER, out, w);
}

/* ---- how unusual ---------------------------------------------------------------------- */

double product_p(const double *scores, size_t n, double llr)
{
	double mean = 0, var = 0, beta, gumbel, tail = 0, median;
	_cleanup_(freep) double *sorted = NULL;
	size_t over = 0;

	if (n < SCORES_LEAST)
		return 1;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return 1;
	memcpy(sorted, scores, n * sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		mean += scores[i] / n;
	for (size_t i = 0; i < n; i++)
		var += (scores[i] - mean) * (scores[i] - mean) / (n - 1);
	/* Few scores know their own scatter badly: it is taken larger. */
	beta = fmax(sqrt(var) * (1 + 2 / sqrt((double)n)), 1) * sqrt(6) / M_PI;
	gumbel = -expm1(-exp(-(llr - mean + 0.5772 * beta) / beta));
	median = stats_quantile(sorted, n, 0.5);
	for (size_t i = 0; i < n; i++) {
		if (scores[i] <= median)
			continue;
		tail += scores[i] - median;
		over++;
	}
	if (llr > median && over)
		gumbel = fmax(gumbel, (double)over / n * exp(-(llr - median) / (tail / over)));
	return fmin(gumbel, 1);
}
