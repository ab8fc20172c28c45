/* SPDX-License-Identifier: BSD-2-Clause */
/* `existing drop`: verdicts for connections that are already there. */
#include "kern/internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"

static bool tally_matches(const struct tally_row *t, const struct rule_match *m)
{
	struct addr a = source_addr(t->src, t->family);

	if (m->stack && t->stack != m->stack)
		return false;
	if (!m->src.plen)
		return true;
	/* A tally knows an IPv6 source to 64 bits; a longer prefix cannot be told. */
	return m->src.plen <= (t->family == 4 ? 128 : 64) && cidr_has(&m->src, a);
}

/* (rule, rule_gen) lie in one aligned word, so a verdict is set whole, and only
 * over the one that was read. If the slot changed owner meanwhile, it is undone. */
static bool set_verdict(struct flow *f, uint32_t gen, uint32_t rule, uint32_t rule_gen)
{
	uint64_t *word = (uint64_t *)&f->rule, old, new;

	_Static_assert(offsetof(struct flow, rule) % 8 == 0 &&
			       offsetof(struct flow, rule_gen) == offsetof(struct flow, rule) + 4,
		       "a verdict is one word");
	old = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	memcpy((char *)&new, &rule, 4);
	memcpy((char *)&new + 4, &rule_gen, 4);
	if (old == new || !__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_ACQ_REL,
						       __ATOMIC_ACQUIRE))
		return false;
	if (__atomic_load_n(&f->gen, __ATOMIC_ACQUIRE) == gen)
		return true;
	__atomic_compare_exchange_n(word, &new, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return false;
}

/* A source as tallies have it, and a stack: most rules name exactly that. */
struct exact {
	uint64_t hi, lo, stack;
};

static bool is_exact(const struct rule_match *m)
{
	return m->stack && m->src.plen == (addr_is_v4(m->src.net) ? 128 : 64);
}

/* Exact rules by what they name; the numbers of the others. */
static int sort_out(const struct rule_sweep *list, size_t n, struct table *exact,
		    struct table *others)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule_match *m = &list[i].m;
		struct exact key = { m->src.net.hi, m->src.net.lo, m->stack };
		uint64_t at = i;
		uint32_t *number;
		bool added;

		if (!is_exact(m)) {
			if (!table_add(others, &at, NULL))
				return -ENOMEM;
			continue;
		}
		number = table_add(exact, &key, &added);
		if (!number)
			return -ENOMEM;
		if (added)
			*number = i;
	}
	return 0;
}

static const struct rule_sweep *rule_of(const struct rule_sweep *list, const struct table *exact,
					const struct table *others, const struct tally_row *t)
{
	struct addr a = source_addr(t->src, t->family);
	struct exact key = { a.hi, a.lo, t->stack };
	const uint32_t *number = table_find(exact, &key);

	if (number)
		return &list[*number];
	for (size_t i = 0; i < others->n; i++) {
		const struct rule_sweep *r = &list[*(const uint64_t *)table_key(others, i)];

		if (tally_matches(t, &r->m))
			return r;
	}
	return NULL;
}

static int sweep(struct kern *k, const struct rule_sweep *list, size_t n)
{
	_cleanup_(table_clearp) struct table exact, others;
	size_t n_tallies, n_flows;
	const struct tally_set *tallies = kern_tallies(k, &n_tallies);
	struct flow_set *flows = kern_flows(k, &n_flows);
	const struct rule *slots = k->rules.at;
	int hit = 0;

	table_init(&exact, sizeof(struct exact), sizeof(uint32_t));
	table_init(&others, sizeof(uint64_t), 0);
	for (size_t i = 0; i < n; i++) {
		if (!list[i].index || list[i].index >= k->rules.n || !slots[list[i].index].gen)
			return -EINVAL;
		if (list[i].m.ja4 || list[i].m.order)
			return -EOPNOTSUPP;
	}
	if (!tallies || !flows || sort_out(list, n, &exact, &others))
		return -ENOMEM;
	for (size_t s = 0; s < n_flows; s++) {
		for (int w = 0; w < WAYS; w++) {
			struct flow *f = &flows[s].slot[w];
			uint32_t gen = __atomic_load_n(&f->gen, __ATOMIC_ACQUIRE);
			uint32_t at = f->tally, tally_gen = f->tally_gen;
			const struct rule_sweep *r;
			const struct tally_row *t;

			if (!flows[s].tag[w] || gen & 1 || f->flags & FLOW_SILENT ||
			    at / WAYS >= n_tallies)
				continue;
			t = &tallies[at / WAYS].slot[at % WAYS];
			if (__atomic_load_n(&t->gen, __ATOMIC_ACQUIRE) != tally_gen)
				continue;
			r = rule_of(list, &exact, &others, t);
			if (r)
				hit += set_verdict(f, gen, r->index, slots[r->index].gen);
		}
	}
	return hit;
}

int kern_rules_sweep(struct kern *k, const struct rule_sweep *list, size_t n)
{
	bool held = k->tallies.at || k->flows.at;
	int hit = sweep(k, list, n);

	if (!held)
		kern_tables_release(k);
	return hit;
}

int kern_rule_sweep(struct kern *k, uint32_t index, const struct rule_match *m)
{
	return kern_rules_sweep(k, &(struct rule_sweep){ index, *m }, 1);
}
