/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/standing.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "detect/window.h"

int standing_add(const struct plan_rule *before, size_t n_before, const struct cohort *all,
		 uint64_t now, struct plan_rule *rules, size_t *n)
{
	_cleanup_(table_clearp) struct table in_view;

	table_init(&in_view, sizeof(struct source_id), 0);
	for (size_t i = 0; n_before && i < all->n; i++) {
		struct source_id id = { all->members[i].src, all->members[i].family };

		if (!table_add(&in_view, &id, NULL))
			return -ENOMEM;
	}
	for (size_t i = 0; i < n_before; i++) {
		struct source_id id = { before[i].src, before[i].family };

		/* Those on networks are found anew at each look. */
		if (before[i].plen || before[i].expires <= now || table_find(&in_view, &id))
			continue;
		rules[*n] = before[i];
		rules[*n].exchanges = 0; /* of the view */
		rules[(*n)++].seen = 0;
	}
	return 0;
}
