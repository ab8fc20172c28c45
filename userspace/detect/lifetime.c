/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/lifetime.h"

#include <stdlib.h>

/* Of equal ones, those that ended first: the others lasted longer. */
static int by_seconds(const void *a, const void *b)
{
	const struct lifetime *x = a, *y = b;

	if (x->seconds != y->seconds)
		return x->seconds < y->seconds ? -1 : 1;
	return y->ended - x->ended;
}

double lifetime_median(struct lifetime *v, size_t n)
{
	double alive = 1;

	qsort(v, n, sizeof(*v), by_seconds);
	for (size_t i = 0; i < n; i++) {
		if (v[i].ended)
			alive *= 1 - 1.0 / (n - i);
		if (alive <= 0.5)
			return v[i].seconds;
	}
	return -1;
}
