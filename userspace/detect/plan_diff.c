/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/plan_diff.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define ORDER(a, b)     \
	if ((a) != (b)) \
	return (a) < (b) ? -1 : 1

static int compare(const struct plan_rule *a, const struct plan_rule *b)
{
	ORDER(a->stack, b->stack);
	ORDER(a->family, b->family);
	ORDER(a->src, b->src);
	ORDER(a->plen, b->plen);
	ORDER(a->action, b->action);
	ORDER(a->d1_min, b->d1_min);
	ORDER(a->dstar_min, b->dstar_min);
	ORDER(a->split_min, b->split_min);
	ORDER(a->split_min ? a->split_dstar : 0, b->split_min ? b->split_dstar : 0);
	ORDER(a->not_resumed, b->not_resumed);
	ORDER(a->holdout, b->holdout);
	return 0;
}

static int by_rule(const void *a, const void *b)
{
	return compare(*(const struct plan_rule *const *)a, *(const struct plan_rule *const *)b);
}

static const struct plan_rule **sorted(const struct plan_rule *rules, size_t n)
{
	const struct plan_rule **v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++)
		v[i] = &rules[i];
	if (v)
		qsort(v, n, sizeof(*v), by_rule);
	return v;
}

int plan_diff(const struct plan_rule *want, size_t n_want, const struct plan_rule *have,
	      size_t n_have, struct plan_step **out, size_t *n)
{
	_cleanup_(freep) const struct plan_rule **w = sorted(want, n_want);
	_cleanup_(freep) const struct plan_rule **h = sorted(have, n_have);
	_cleanup_(freep) struct plan_step *steps = calloc(n_want + n_have + 1, sizeof(*steps));
	size_t i = 0, j = 0, k = 0;

	if (!w || !h || !steps)
		return -ENOMEM;
	while (i < n_want || j < n_have) {
		int order = i == n_want ? 1 : j == n_have ? -1 : compare(w[i], h[j]);

		if (order < 0) {
			steps[k++] = (struct plan_step){ PLAN_ADD, w[i++], NULL };
		} else if (order > 0) {
			steps[k++] = (struct plan_step){ PLAN_REMOVE, NULL, h[j++] };
		} else {
			steps[k++] = (struct plan_step){ w[i]->expires > h[j]->expires ? PLAN_RENEW
										       : PLAN_KEEP,
							 w[i], h[j] };
			i++;
			j++;
		}
	}
	*n = k;
	*out = take_ptr(steps);
	return 0;
}
