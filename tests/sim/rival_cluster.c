/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rival_cluster.c - sources that act together.
 *
 * SynchroTrap (Cao et al. 2014): an action is (stack, minute); sources of 8-200
 * actions are linked if the Jaccard similarity of their actions is above a threshold,
 * clusters are connected components of 10 and more. Pairs that can pass are found by
 * 32 MinHashes, bands of one (a pair at .1 is met with 97%). Score: the highest
 * threshold of a ladder at which the source is in a cluster.
 *
 * BotMiner-style (Gu et al. 2008): the C-plane is k-means over flows an hour, exchanges
 * a flow, bytes an exchange, bytes a second, k of 8-64 by BIC (for X-means); the A-plane
 * is (stack, split or not, resumes or not), whose suspicious half is what is split and
 * never resumes. Score: Jaccard of the source's two clusters.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/chance.h"
#include "tests/sim/rival.h"

#define HASHES   32
#define CLUSTER  10
#define BUCKET   400 /* a larger bucket is cut: minutes that everybody has */
#define PLANE    4
#define K_MAX    64
#define ROUNDS   20
#define SPLIT_MS 10

static const double ladder[] = { .01, .02, .03, .05, .07, .1, .15, .2, .3, .4, .5, .7 };
#define STEPS (sizeof(ladder) / sizeof(ladder[0]))

/* ---- SynchroTrap ------------------------------------------------------------------------------
 */

struct hashed {
	uint64_t key;
	uint32_t row;
};

struct link {
	float similar;
	uint32_t a, b;
};

struct links {
	struct link *link;
	size_t n, room;
};

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct hashed *)a)->key, y = ((const struct hashed *)b)->key;

	return (x > y) - (x < y);
}

static int by_similar(const void *a, const void *b)
{
	float x = ((const struct link *)a)->similar, y = ((const struct link *)b)->similar;

	return (x < y) - (x > y);
}

static double jaccard(const struct rival_row *a, const struct rival_row *b)
{
	uint32_t i = 0, k = 0, both = 0;

	while (i < a->n_slots && k < b->n_slots) {
		if (a->slot[i] == b->slot[k])
			both++, i++, k++;
		else if (a->slot[i] < b->slot[k])
			i++;
		else
			k++;
	}
	return (double)both / (a->n_slots + b->n_slots - both);
}

static int add_link(struct links *l, uint32_t a, uint32_t b, double similar)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 4096;
		struct link *more = realloc(l->link, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->link = more;
		l->room = room;
	}
	l->link[l->n++] = (struct link){ similar, a, b };
	return 0;
}

static int compare(const struct rivals *r, const struct hashed *h, size_t n, struct links *l)
{
	if (n > BUCKET)
		n = BUCKET;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = i + 1; k < n; k++) {
			double j = jaccard(&r->row[h[i].row], &r->row[h[k].row]);

			if (j >= ladder[0] && add_link(l, h[i].row, h[k].row, j))
				return -ENOMEM;
		}
	}
	return 0;
}

static int link_rows(const struct rivals *r, struct hashed *h, struct links *l)
{
	int err = 0;

	for (uint64_t f = 0; f < HASHES && !err; f++) {
		size_t n = 0;

		for (size_t i = 0; i < r->n; i++) {
			const struct rival_row *w = &r->row[i];
			uint64_t least = UINT64_MAX;

			if (w->n_slots < 8 || w->n_slots >= RIVAL_SLOTS)
				continue;
			for (uint32_t k = 0; k < w->n_slots; k++) {
				uint64_t x = hash2(f << 32 | w->stack, w->slot[k]);

				least = x < least ? x : least;
			}
			h[n++] = (struct hashed){ least, i };
		}
		qsort(h, n, sizeof(*h), by_key);
		for (size_t i = 0, end; i < n && !err; i = end) {
			for (end = i + 1; end < n && h[end].key == h[i].key;)
				end++;
			err = compare(r, h + i, end - i, l);
		}
	}
	return err;
}

static uint32_t root(uint32_t *up, uint32_t i)
{
	while (up[i] != i)
		i = up[i] = up[up[i]];
	return i;
}

int rival_synchrotrap(const struct rivals *r, double *score)
{
	struct hashed *h = malloc((r->n + 1) * sizeof(*h));
	uint32_t *up = malloc((r->n + 1) * sizeof(*up)), *size = malloc((r->n + 1) * sizeof(*size));
	struct links l = {};
	size_t done = 0;
	int err = h && up && size ? link_rows(r, h, &l) : -ENOMEM;

	for (size_t i = 0; i < r->n && !err; i++) {
		up[i] = i;
		size[i] = 1;
	}
	if (!err && l.n)
		qsort(l.link, l.n, sizeof(*l.link), by_similar);
	for (size_t s = STEPS; s-- > 0 && !err;) { /* from the highest threshold down */
		for (; done < l.n && l.link[done].similar >= ladder[s]; done++) {
			uint32_t a = root(up, l.link[done].a), b = root(up, l.link[done].b);

			if (a != b) {
				up[a] = b;
				size[b] += size[a];
			}
		}
		for (size_t i = 0; i < r->n; i++)
			if (score[i] == RIVAL_NONE && size[root(up, i)] >= CLUSTER)
				score[i] = ladder[s];
	}
	free(h);
	free(up);
	free(size);
	free(l.link);
	return err;
}

/* ---- BotMiner
 * ------------------------------------------------------------------------------------ */

struct plane {
	double (*x)[PLANE];
	uint32_t *row, *best, *cluster, n;
};

static double nearest(const struct plane *p, const double (*c)[PLANE], uint32_t k, uint32_t i,
		      uint32_t *at)
{
	double least = INFINITY;

	for (uint32_t j = 0; j < k; j++) {
		double d = 0;

		for (int f = 0; f < PLANE; f++)
			d += pow(p->x[i][f] - c[j][f], 2);
		if (d < least) {
			least = d;
			*at = j;
		}
	}
	return least;
}

/* Lloyd's algorithm; returns BIC, the smaller the better. */
static double k_means(struct plane *p, uint32_t k, uint64_t *s)
{
	double c[K_MAX][PLANE], error = 0;

	for (uint32_t j = 0; j < k; j++)
		memcpy(c[j], p->x[below(s, p->n)], sizeof(c[j]));
	for (int round = 0; round < ROUNDS; round++) {
		double sum[K_MAX][PLANE] = {};
		uint32_t n[K_MAX] = {};

		error = 0;
		for (uint32_t i = 0; i < p->n; i++) {
			uint32_t j = 0;

			error += nearest(p, (const double(*)[PLANE])c, k, i, &j);
			p->cluster[i] = j;
			n[j]++;
			for (int f = 0; f < PLANE; f++)
				sum[j][f] += p->x[i][f];
		}
		for (uint32_t j = 0; j < k; j++)
			for (int f = 0; f < PLANE && n[j]; f++)
				c[j][f] = sum[j][f] / n[j];
	}
	return p->n * PLANE * log(error / p->n / PLANE + 1e-9) + k * (PLANE + 1) * log(p->n);
}

/* Each feature to mean 0, deviation 1. */
static void normalise(struct plane *p)
{
	for (int f = 0; f < PLANE; f++) {
		double sum = 0, sum2 = 0, sd;

		for (uint32_t i = 0; i < p->n; i++) {
			sum += p->x[i][f];
			sum2 += p->x[i][f] * p->x[i][f];
		}
		sd = sqrt(fmax(1e-9, sum2 / p->n - sum * sum / p->n / p->n));
		for (uint32_t i = 0; i < p->n; i++)
			p->x[i][f] = (p->x[i][f] - sum / p->n) / sd;
	}
}

static uint32_t activity_of(const struct rival_row *w)
{
	bool split = w->n_dstar && exp(w->dstar / w->n_dstar) >= SPLIT_MS;

	return w->stack << 2 | split << 1 | (w->resumed > 0);
}

static int agree(const struct rivals *r, const struct plane *p, double *score)
{
	uint32_t groups = r->stacks << 2, *a = calloc(groups, sizeof(*a)), c[K_MAX] = {};
	uint32_t(*both)[K_MAX] = calloc(groups, sizeof(*both));

	for (uint32_t i = 0; i < p->n && a && both; i++) {
		uint32_t g = activity_of(&r->row[p->row[i]]);

		a[g]++;
		c[p->best[i]]++;
		both[g][p->best[i]]++;
	}
	for (uint32_t i = 0; i < p->n && a && both; i++) {
		uint32_t g = activity_of(&r->row[p->row[i]]), j = p->best[i];

		if ((g & 3) == 2)
			score[p->row[i]] = (double)both[g][j] / (a[g] + c[j] - both[g][j]);
	}
	free(a);
	free(both);
	return a && both ? 0 : -ENOMEM;
}

int rival_botminer(const struct rivals *r, double *score)
{
	struct plane p = { .x = malloc((r->n + 1) * sizeof(*p.x)),
			   .row = malloc((r->n + 1) * sizeof(*p.row)),
			   .best = malloc((r->n + 1) * sizeof(*p.best)),
			   .cluster = malloc((r->n + 1) * sizeof(*p.cluster)) };
	double f[RIVAL_SPREAD], least = INFINITY;
	uint64_t s = 20080728;
	int err = p.x && p.row && p.best && p.cluster ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n && !err; i++) {
		if (!rival_features(&r->row[i], f))
			continue;
		memcpy(p.x[p.n], f, sizeof(p.x[0]));
		p.row[p.n++] = i;
	}
	if (!err && p.n) {
		normalise(&p);
		for (uint32_t k = 8; k <= K_MAX; k *= 2) {
			double bic = k_means(&p, k, &s);

			if (bic >= least)
				continue;
			least = bic;
			memcpy(p.best, p.cluster, p.n * sizeof(*p.best));
		}
		err = agree(r, &p, score);
	}
	free(p.x);
	free(p.row);
	free(p.best);
	free(p.cluster);
	return err;
}
