/* SPDX-License-Identifier: BSD-2-Clause */
/* What a database that was lost has to be told: the way back from the tables. */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>

union any_key {
	struct match_key match;
	struct source_key source;
	struct prefix_key prefix;
};

static struct cidr cidr_of_prefix(const struct prefix_key *p)
{
	return (struct cidr){ addr_from_bytes(p->addr), p->plen };
}

static struct rule_match match_of(const char *map, const union any_key *key, const struct rule *r)
{
	const struct match_key *m = &key->match;
	struct rule_match out = {};

	if (!strcmp(map, "source_rules")) {
		out.src = (struct cidr){ key->source.src, key->source.plen };
	} else if (!strcmp(map, "prefix_rules")) {
		out.src = cidr_of_prefix(&key->prefix);
	} else {
		out.src = m->plen ? (struct cidr){ m->src, m->plen }
				  : (struct cidr){ r->net, r->plen };
		out.ja4 = m->ja4;
		out.stack = m->stack;
		out.order = m->order;
	}
	return out;
}

int kern_rule_matches(const struct kern *k, struct rule_match *out)
{
	static const char *const maps[] = { "match", "source_rules", "prefix_rules" };
	const struct rule *rules = k->rules.at;
	uint32_t i;

	memset(out, 0, k->rules.n * sizeof(*out));
	for (size_t m = 0; m < sizeof(maps) / sizeof(maps[0]); m++) {
		int fd = kern_map_fd(k, maps[m]);
		union any_key key, *prev = NULL;
		size_t steps = 0;

		if (fd < 0)
			return fd;
		for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
			if (bpf_map_lookup_elem(fd, &key, &i))
				continue;
			/* No chain is longer than all rules: a loop ends here. */
			for (; i && i < k->rules.n && steps++ < k->rules.n; i = rules[i].next)
				out[i] = match_of(maps[m], &key, &rules[i]);
		}
	}
	return 0;
}

int kern_allows(const struct kern *k, void (*fn)(void *ctx, const struct cidr *c), void *ctx)
{
	int fd = kern_map_fd(k, "allow");
	struct prefix_key key, *prev = NULL;

	if (fd < 0)
		return fd;
	for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
		struct cidr c = cidr_of_prefix(&key);

		fn(ctx, &c);
	}
	return 0;
}

int kern_names_forget(struct kern *k)
{
	int fd = kern_map_fd(k, "named");
	uint64_t key;

	if (fd < 0)
		return fd;
	/* The first key, until there is none; more than the table holds is enough
	 * even while packets add to it. */
	for (int i = 0; i < 1 << 20 && !bpf_map_get_next_key(fd, NULL, &key); i++)
		bpf_map_delete_elem(fd, &key);
	return 0;
}
