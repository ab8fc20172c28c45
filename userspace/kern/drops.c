/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that rules dropped at once: the table `drops`, a row of bytes for each CPU. */
#include "kern/internal.h"

#include <errno.h>

#include "kern/move.h"

uint32_t drops_words(uint32_t rules)
{
	return (rules + 63) / 64 * 8;
}

static uint64_t sum(const uint8_t *rows, size_t stride, int n_cpus, uint32_t index)
{
	uint64_t n = 0;

	for (int cpu = 0; cpu < n_cpus; cpu++)
		n += __atomic_load_n(&rows[cpu * stride + index], __ATOMIC_RELAXED);
	return n;
}

uint64_t kern_rule_unproved(const struct kern *k, uint32_t index)
{
	const struct rule *r = k->rules.at;

	return __atomic_load_n(&r[index].unproved, __ATOMIC_RELAXED) +
	       sum(k->drops.at, k->drops.n * 8 / k->n_cpus, k->n_cpus, index);
}

void drops_clear(struct kern *k, uint32_t index)
{
	size_t stride = k->drops.n * 8 / k->n_cpus;
	uint8_t *rows = k->drops.at;

	for (int cpu = 0; cpu < k->n_cpus; cpu++)
		if (rows[cpu * stride + index])
			__atomic_store_n(&rows[cpu * stride + index], 0, __ATOMIC_RELAXED);
}

int drops_move(const struct kern *k)
{
	_cleanup_(old_close) struct old_table t;
	struct move *v = k->move;
	int err = old_open(k, "drops", &t);
	size_t stride;

	if (!err)
		err = old_read(&t);
	if (err)
		return err == -ENOENT ? 0 : err;
	stride = (size_t)t.info.max_entries * 8 / k->n_cpus;
	for (uint32_t i = 0; i < v->n_rules && i < stride; i++)
		v->rule[i].unproved += sum(t.bytes, stride, k->n_cpus, i);
	return 0;
}
