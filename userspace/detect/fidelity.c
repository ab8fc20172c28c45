/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/fidelity.h"

#include <errno.h>
#include <string.h>

#define SEEN_MAX (1U << 20) /* orders remembered; beyond, single ones are forgotten */

struct order_id {
	uint64_t stack, order;
};

void fidelity_init(struct fidelity *f)
{
	memset(f, 0, sizeof(*f));
	table_init(&f->seen, sizeof(struct order_id), sizeof(uint32_t));
	table_init(&f->stacks, sizeof(uint64_t), sizeof(struct stack_orders));
}

void fidelity_clear(struct fidelity *f)
{
	table_clear(&f->seen);
	table_clear(&f->stacks);
}

int fidelity_update(struct fidelity *f, const struct snapshot *s, bool clean)
{
	for (size_t i = 0; i < s->n_orders; i++) {
		const struct order_tally *o = &s->orders[i];
		struct order_id id = { o->stack, o->order };
		struct stack_orders *stack = table_add(&f->stacks, &o->stack, NULL);
		uint32_t *counted, fresh;
		bool added;

		if (!stack)
			return -ENOMEM;
		if (f->seen.n >= SEEN_MAX)
			table_clear(&f->seen); /* orders of old connections count anew */
		counted = table_add(&f->seen, &id, &added);
		if (!counted)
			return -ENOMEM;
		fresh = o->connections >= *counted ? o->connections - *counted : o->connections;
		*counted = o->connections;
		stack->orders += added;
		stack->connections += fresh;
		if (clean) {
			stack->clean_orders += added;
			stack->clean_connections += fresh;
		} else if (order_sources(o) > stack->shared_sources) {
			stack->shared = o->order;
			stack->shared_sources = order_sources(o);
		}
	}
	return 0;
}

const struct stack_orders *fidelity_stack(const struct fidelity *f, uint64_t stack)
{
	return table_find(&f->stacks, &stack);
}

bool fidelity_permutes(const struct stack_orders *o)
{
	return o && o->clean_connections >= 20 && 10 * o->clean_orders > 9 * o->clean_connections;
}
