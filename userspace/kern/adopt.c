/* SPDX-License-Identifier: BSD-2-Clause */
/* What a database that was lost has to be told: the way back from the tables. */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>

static struct cidr cidr_of_prefix(const struct prefix_key *p)
{
	return (struct cidr){ addr_from_bytes(p->addr), p->plen };
}

static struct rule_match match_of(const struct match_key *m, const struct rule *r)
{
	return (struct rule_match){ .src = m->plen ? (struct cidr){ m->src, m->plen }
						   : (struct cidr){ r->net, r->plen },
				    .ja4 = m->ja4,
				    .stack = m->stack,
				    .order = m->order };
}

struct matches {
	const struct kern *k;
	struct rule_match *out;
	size_t steps; /* no chain is longer than all rules: a loop ends here */
};

static void matches_net(void *ctx, uint32_t i)
{
	struct matches *m = ctx;
	const struct rule *rules = m->k->rules.at;

	for (; i && i < m->k->rules.n && m->steps++ < m->k->rules.n; i = rules[i].next)
		m->out[i].src = (struct cidr){ rules[i].net, rules[i].plen };
}

int kern_rule_matches(const struct kern *k, struct rule_match *out)
{
	const struct rule *rules = k->rules.at;
	struct matches m = { .k = k, .out = out };
	struct match_key key, *prev = NULL;
	uint32_t i;
	int err = 0;

	memset(out, 0, k->rules.n * sizeof(*out));
	for (; !err && !(err = map_next(k->match_fd, prev, &key)); prev = &key) {
		err = map_get(k->match_fd, &key, &i);
		for (; !err && i && i < k->rules.n && m.steps++ < k->rules.n; i = rules[i].next)
			out[i] = match_of(&key, &rules[i]);
	}
	m.steps = 0;
	nets_each(k, matches_net, &m);
	return err == -ENOENT ? 0 : err;
}

int kern_allows(const struct kern *k, void (*fn)(void *ctx, const struct cidr *c), void *ctx)
{
	int fd = kern_map_fd(k, "allow");
	struct prefix_key key, *prev = NULL;
	int err;

	if (fd < 0)
		return fd;
	for (; !(err = map_next(fd, prev, &key)); prev = &key) {
		struct cidr c = cidr_of_prefix(&key);

		fn(ctx, &c);
	}
	return err == -ENOENT ? 0 : err;
}

int kern_names_forget(struct kern *k)
{
	int fd = kern_map_fd(k, "named");
	uint64_t key;
	int err = 0;

	if (fd < 0)
		return fd;
	/* The first key, until there is none; more than the table holds is enough
	 * even while packets add to it. */
	for (int i = 0; i < 1 << 20 && !(err = map_next(fd, NULL, &key)); i++)
		map_remove(fd, &key);
	return err == -ENOENT ? 0 : err;
}
