/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/rotation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/internal.h"

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int by_source(const void *a, const void *b)
{
	return by_number(&(*(const struct plan_rule *const *)a)->src,
			 &(*(const struct plan_rule *const *)b)->src);
}

/* Most members first. */
static int by_doubt(const void *a, const void *b)
{
	const struct plan_rule *x = a, *y = b;

	if (x->doubt != y->doubt)
		return x->doubt < y->doubt ? -1 : 1;
	return by_number(&x->src, &y->src);
}

static uint64_t network_at(uint64_t src, uint8_t plen)
{
	return src >> (64 - plen) << (64 - plen);
}

/* Is one of the sorted numbers in the network? */
static bool is_there(const uint64_t *list, size_t n, uint64_t net, uint8_t plen)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (list[mid] < net)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && network_at(list[lo], plen) == net;
}

static uint16_t least(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

/* A rule on the network of group[0..n), or none. */
static bool name_network(const struct plan_rule *const *group, size_t n, uint8_t plen,
			 struct plan_rule *out)
{
	size_t inner = 1; /* its /56s */

	*out = *group[0];
	for (size_t i = 0; i < n; i++) {
		if (!group[i]->dstar_min)
			return false;
		out->d1_min = least(out->d1_min, group[i]->d1_min);
		out->dstar_min = least(out->dstar_min, group[i]->dstar_min);
		if (group[i]->seen > out->seen)
			out->seen = group[i]->seen;
		inner += i && network_at(group[i]->src, 56) != network_at(group[i - 1]->src, 56);
	}
	if (n < ROTATION_LEAST || (plen < 56 && inner < ROTATION_LEAST))
		return false;
	out->src = network_at(group[0]->src, plen);
	out->plen = plen;
	out->doubt = 1.0 / (n + 2);
	out->posterior = 1 - out->doubt;
	out->exchanges = 0; /* they are their sources' */
	out->handle = 0;
	snprintf(out->reason, sizeof(out->reason),
		 "all %zu sources of this stack in the network are members; it asks for the least "
		 "delays that theirs do",
		 n);
	return true;
}

static bool covered(const struct plan_rule *rules, size_t n, uint64_t net)
{
	for (size_t i = 0; i < n; i++)
		if (network_at(net, rules[i].plen) == rules[i].src)
			return true;
	return false;
}

static size_t networks(const struct plan_rule *const *v6, size_t n, uint8_t plen,
		       const uint64_t *others, size_t n_others, struct plan_rule *out, size_t n_out)
{
	for (size_t i = 0, end; i < n; i = end) {
		uint64_t net = network_at(v6[i]->src, plen);

		for (end = i + 1; end < n && network_at(v6[end]->src, plen) == net;)
			end++;
		if (!covered(out, n_out, net) && !is_there(others, n_others, net, plen))
			n_out += name_network(v6 + i, end - i, plen, &out[n_out]);
	}
	return n_out;
}

size_t rotation_rules(struct plan_rule *rules, size_t n, const uint64_t *others, size_t n_others)
{
	_cleanup_(freep) const struct plan_rule **v6 = calloc(n + 1, sizeof(*v6));
	_cleanup_(freep) struct plan_rule *found = calloc(n + 1, sizeof(*found));
	size_t n_v6 = 0, k = 0;

	if (!v6 || !found)
		return 0; /* each source has a rule of its own */
	for (size_t i = 0; i < n; i++)
		if (rules[i].family == 6)
			v6[n_v6++] = &rules[i];
	qsort(v6, n_v6, sizeof(*v6), by_source);
	k = networks(v6, n_v6, 48, others, n_others, found, k);
	k = networks(v6, n_v6, 56, others, n_others, found, k);
	qsort(found, k, sizeof(*found), by_doubt);
	if (k > ROTATION_MOST)
		k = ROTATION_MOST;
	memcpy(rules + n, found, k * sizeof(*found));
	return k;
}

/* ---- of a cohort ------------------------------------------------------------------------- */

/* Every IPv6 source of the stack that is known and has no rule. */
static uint64_t *without_rule(const struct detect *d, uint64_t stack, const struct report *r,
			      size_t *n)
{
	_cleanup_(freep) uint64_t *ruled = calloc(r->n_rules + 1, sizeof(*ruled));
	_cleanup_(freep) uint64_t *list = calloc(d->windows.n + 1, sizeof(*list));
	size_t n_ruled = 0;

	*n = 0;
	if (!ruled || !list)
		return NULL;
	for (size_t i = 0; i < r->n_rules; i++)
		if (r->rules[i].family == 6)
			ruled[n_ruled++] = r->rules[i].src;
	qsort(ruled, n_ruled, sizeof(*ruled), by_number);
	for (size_t i = 0; i < d->windows.n; i++) {
		const struct record_id *id = record_id(&d->windows, i);

		if (id->stack == stack && id->family == 6 &&
		    !bsearch(&id->src, ruled, n_ruled, sizeof(*ruled), by_number))
			list[(*n)++] = id->src;
	}
	qsort(list, *n, sizeof(*list), by_number);
	return take_ptr(list);
}

int report_networks(const struct detect *d, uint64_t stack, double strangers, double before,
		    struct report *r)
{
	_cleanup_(freep) uint64_t *others = NULL;
	size_t n_others, more;

	for (more = 0; more < r->n_rules && r->rules[more].family != 6;)
		more++;
	if (more == r->n_rules)
		return 0;
	others = without_rule(d, stack, r, &n_others);
	if (!others)
		return -ENOMEM;
	more = rotation_rules(r->rules, r->n_rules, others, n_others);
	while (more--) {
		struct collateral_traffic none = {};
		struct plan_collateral c =
			collateral_of(r->rules, r->n_rules + 1, strangers, before, &none);

		if (c.precision < d->config.precision)
			break;
		r->n_rules++;
	}
	return 0;
}
