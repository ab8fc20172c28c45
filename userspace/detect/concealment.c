/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/concealment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/stats.h"

#define SAYS_SOMETHING 5

struct fact concealment_split(const struct cohort *c)
{
	struct fact f = {};
	double k = 0, m = 0;

	for (size_t i = 0; i < c->n; i++) {
		m += c->members[i].split != 0;
		k += c->members[i].split == 2;
	}
	f.known = m >= SAYS_SOMETHING;
	f.n = m;
	f.x = log((k + 0.5) / (m - k + 0.5));
	f.se = sqrt(1 / (k + 0.5) + 1 / (m - k + 0.5));
	snprintf(f.text, sizeof(f.text), "%.0f of %.0f sources with 3 handshakes or more are split",
		 k, m);
	return f;
}

struct fact concealment_waiting(const struct cohort *c)
{
	double n = 0, sum = 0, shares = 0;
	struct fact f = {};
	uint64_t handshakes = 0, waiting = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (!c->members[i].measured)
			continue;
		n++;
		shares += (double)c->members[i].waiting / c->members[i].measured;
		handshakes += c->members[i].measured;
		waiting += c->members[i].waiting;
	}
	sum = n ? shares / n : 0;
	f.known = n >= SAYS_SOMETHING;
	f.n = n;
	f.x = sum;
	f.se = n ? sqrt((sum * (1 - sum) + 0.01) / n) : 1;
	snprintf(
		f.text, sizeof(f.text),
		"in %llu of %llu handshakes of %.0f sources the hello waited as long as the answer",
		(unsigned long long)waiting, (unsigned long long)handshakes, n);
	return f;
}

struct fact concealment_leg(const struct cohort *c)
{
	_cleanup_(freep) double *v = malloc((c->n ? c->n : 1) * sizeof(*v));
	double low, median, high;
	struct fact f = {};
	size_t n = 0;

	if (!v)
		return f;
	for (size_t i = 0; i < c->n; i++) {
		if (c->members[i].split == 2)
			v[n++] = log(c->members[i].dstar + 1.0);
	}
	f.known = n >= SAYS_SOMETHING;
	f.n = n;
	median = stats_quantile(v, n, 0.5);
	low = n ? v[n / 20] : 0;
	high = n ? v[n - 1 - n / 20] : 0;
	f.x = stats_mad_sorted(v, n, median);
	f.se = n ? (f.x + 0.02) * 1.17 / sqrt(n) : 1;
	snprintf(f.text, sizeof(f.text),
		 "D* of %zu split sources: %.1f / %.1f / %.1f ms (5%%, median, 95%%)", n,
		 exp(low) / 10, exp(median) / 10, exp(high) / 10);
	return f;
}

static int by_key(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct fact concealment_tcp(const struct cohort *c, const struct baseline *b)
{
	_cleanup_(freep) uint32_t *keys = malloc((c->n ? c->n : 1) * sizeof(*keys));
	const struct stack_baseline *s = baseline_stack(b, c->stack);
	uint32_t strange = 0, cells = 0;
	struct fact f = {};
	size_t n = 0;

	if (!keys || !s || s->tcp_sources < 10)
		return f;
	for (size_t i = 0; i < c->n; i++) {
		if (c->members[i].tcp_key)
			keys[n++] = c->members[i].tcp_key;
	}
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0, same; i < n; i += same) {
		double q, p, seen = baseline_tcp(b, c->stack, keys[i]);

		for (same = 1; i + same < n && keys[i + same] == keys[i];)
			same++;
		cells++;
		if (!seen)
			strange += same;
		q = (double)same / n;
		p = (seen + 0.5) / (s->tcp_sources + 0.5);
		f.x += q * log2(q / p);
	}
	f.x = n ? fmax(0, f.x - (cells - 1) / (2 * n * M_LN2)) : 0;
	f.known = n >= SAYS_SOMETHING;
	f.n = n;
	/* The clean mix is as uncertain as its own sample is small. */
	f.se = sqrt(1.0 / (n + 1) + 4.0 / s->tcp_sources);
	snprintf(f.text, sizeof(f.text),
		 "%u TCP signatures of %zu sources; %u sources have one never seen with this stack",
		 cells, n, strange);
	return f;
}

struct fact concealment_mix(const struct cohort *c)
{
	_cleanup_(freep) uint32_t *keys = malloc((c->n ? c->n : 1) * sizeof(*keys));
	struct fact f = {};
	double squares = 0;
	uint32_t cells = 0;
	size_t n = 0;

	for (size_t i = 0; keys && i < c->n; i++) {
		if (c->members[i].unsplit && c->members[i].tcp_key)
			keys[n++] = c->members[i].tcp_key;
	}
	f.known = n >= SAYS_SOMETHING;
	f.n = n;
	if (!f.known)
		return f;
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0, same; i < n; i += same, cells++) {
		double q;

		for (same = 1; i + same < n && keys[i + same] == keys[i];)
			same++;
		q = (double)same / n;
		f.x -= q * log2(q);
		squares += q * log2(q) * log2(q);
	}
	f.se = sqrt((squares - f.x * f.x) / n + 1.0 / n);
	f.x += (cells - 1) / (2 * n * M_LN2);
	snprintf(f.text, sizeof(f.text),
		 "%.0f direct members have %u TCP signatures between them, %.2f bits apart", f.n,
		 cells, f.x);
	return f;
}
