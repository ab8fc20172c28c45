/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rival_forest.c - isolation forest (Liu, Ting, Zhou 2008) on the features of a source:
 * 100 trees of 256 sources, score 2^(-depth / c(256)).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/chance.h"
#include "tests/sim/rival.h"

#define TREES  100
#define SAMPLE 256
#define DEPTH  8
#define NODES  (2 << (DEPTH + 1))

struct node {
	int feature; /* -1: a leaf */
	double at;
	uint32_t n;
};

/* Mean path length of an unsuccessful search in a binary tree of n. */
static double path(uint32_t n)
{
	return n < 2 ? 0 : 2 * (log(n - 1) + .5772156649) - 2. * (n - 1) / n;
}

static void grow(struct node *t, uint32_t i, const double (*x)[RIVAL_SPREAD], uint32_t *who,
		 uint32_t n, int depth, uint64_t *s)
{
	double lo = INFINITY, hi = -INFINITY, at;
	uint32_t left = 0;
	int f = below(s, RIVAL_SPREAD);

	t[i] = (struct node){ -1, 0, n };
	for (uint32_t k = 0; k < n; k++) {
		lo = fmin(lo, x[who[k]][f]);
		hi = fmax(hi, x[who[k]][f]);
	}
	if (depth == DEPTH || n < 2 || lo >= hi)
		return;
	at = range(s, lo, hi);
	for (uint32_t k = 0; k < n; k++) {
		if (x[who[k]][f] < at) {
			uint32_t was = who[left];

			who[left++] = who[k];
			who[k] = was;
		}
	}
	t[i] = (struct node){ f, at, n };
	grow(t, 2 * i + 1, x, who, left, depth + 1, s);
	grow(t, 2 * i + 2, x, who + left, n - left, depth + 1, s);
}

static double depth_of(const struct node *t, const double *x)
{
	uint32_t i = 0;
	int depth = 0;

	for (; t[i].feature >= 0; depth++)
		i = 2 * i + (x[t[i].feature] < t[i].at ? 1 : 2);
	return depth + path(t[i].n);
}

int rival_forest(const struct rivals *r, double *score)
{
	double(*x)[RIVAL_SPREAD] = malloc((r->n + 1) * sizeof(*x));
	uint32_t *number = malloc((r->n + 1) * sizeof(*number)), who[SAMPLE], n = 0;
	struct node *tree = malloc(NODES * sizeof(*tree));
	double *depth = calloc(r->n + 1, sizeof(*depth));
	uint64_t s = 20081215;
	int err = x && number && tree && depth ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n && !err; i++)
		if (rival_features(&r->row[i], x[n]))
			number[n++] = i;
	for (int t = 0; t < TREES && !err && n; t++) {
		uint32_t take = n < SAMPLE ? n : SAMPLE;

		for (uint32_t k = 0; k < take; k++)
			who[k] = below(&s, n);
		grow(tree, 0, (const double(*)[RIVAL_SPREAD])x, who, take, 0, &s);
		for (uint32_t k = 0; k < n; k++)
			depth[k] += depth_of(tree, x[k]);
	}
	for (uint32_t k = 0; k < n && !err; k++)
		score[number[k]] = exp2(-depth[k] / TREES / path(n < SAMPLE ? n : SAMPLE));
	free(x);
	free(number);
	free(tree);
	free(depth);
	return err;
}
