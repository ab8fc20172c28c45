/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rule is a slot of `rules` (mapped, so a plain store) that a table entry or
 * another rule's `next` points to. Order of writing:
 *
 *     put:     the slot, its gen last; then the way to it; then the counts
 *              that make packets look (control.kinds and the others)
 *     remove:  the way to it; then the counts; then its gen
 *
 * so a packet finds a whole rule or none. A process killed in between leaves a
 * slot nobody reaches or counts that are off by one: rules_open() mends both.
 */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include <linux/membarrier.h>

enum way { WAY_MATCH, WAY_SOURCE, WAY_PREFIX };

static const char *const way_maps[] = { "match", "source_rules", "prefix_rules" };

/* Where a rule is found. */
struct place {
	enum way way;
	int fd;
	unsigned int kind;  /* of a match key */
	struct cidr narrow; /* predicate left for the slot; plen 0: none */
	union {
		struct match_key match;
		struct source_key source;
		struct prefix_key prefix;
	} key;
};

static struct rule *slots(const struct kern *k)
{
	return k->rules.at;
}

static struct control *control(const struct kern *k)
{
	return k->control.at;
}

static bool is_source(const struct cidr *c)
{
	return c->plen == 128 || (c->plen == 64 && !addr_is_v4(c->net));
}

static struct prefix_key prefix_of(const struct cidr *c)
{
	struct prefix_key p = { .plen = c->plen };

	addr_to_bytes(c->net, p.addr);
	return p;
}

static unsigned int kind_of(const struct match_key *m)
{
	return (m->ja4 ? MATCH_JA4 : 0) | (m->stack ? MATCH_STACK : 0) |
	       (m->order ? MATCH_ORDER : 0) |
	       (m->plen == 128 ? 1 << 3
		: m->plen      ? 2 << 3
			       : 0);
}

static int place_of(const struct kern *k, const struct rule_match *m, struct place *p)
{
	memset(p, 0, sizeof(*p));
	if (m->ja4 || m->stack || m->order) {
		p->way = WAY_MATCH;
		p->key.match =
			(struct match_key){ .ja4 = m->ja4, .stack = m->stack, .order = m->order };
		if (m->src.plen && is_source(&m->src)) {
			p->key.match.src = m->src.net;
			p->key.match.plen = m->src.plen;
		} else {
			p->narrow = m->src;
		}
		p->kind = kind_of(&p->key.match);
	} else if (!m->src.plen) {
		return -EINVAL;
	} else if (is_source(&m->src)) {
		p->way = WAY_SOURCE;
		p->key.source = (struct source_key){ .src = m->src.net, .plen = m->src.plen };
	} else {
		p->way = WAY_PREFIX;
		p->key.prefix = prefix_of(&m->src);
	}
	p->fd = kern_map_fd(k, way_maps[p->way]);
	return p->fd < 0 ? p->fd : 0;
}

/* First rule of the chain, 0 if there is none. An LPM look-up answers for the
 * longest prefix that covers the key, so the found rule's own must be the same. */
static int head_of(const struct kern *k, const struct place *p, uint32_t *head)
{
	const struct rule *r;
	uint32_t first;

	*head = 0;
	if (bpf_map_lookup_elem(p->fd, &p->key, &first))
		return errno == ENOENT ? 0 : -errno;
	if (first == 0 || first >= k->rules.n)
		return -EUCLEAN;
	r = &slots(k)[first];
	if (p->way == WAY_PREFIX && r->plen != p->key.prefix.plen)
		return 0;
	*head = first;
	return 0;
}

static void count(struct kern *k, enum way way, unsigned int kind, uint8_t flags, int by)
{
	struct rule_counts *n = &k->counts;

	if (way == WAY_MATCH) {
		n->kind[kind] += by;
		return;
	}
	*(way == WAY_SOURCE ? &n->source : &n->prefix) += by;
	if (flags & RULE_PORTS_ANY)
		n->any_port += by;
}

/* What makes packets look. Each number is stored whole: an old state that is
 * adopted keeps its rules in force meanwhile. */
static void publish(struct kern *k)
{
	struct control *c = control(k);
	uint32_t kinds = 0;

	for (unsigned int i = 0; i < MATCH_KINDS; i++)
		kinds |= (uint32_t) !!k->counts.kind[i] << i;
	__atomic_store_n(&c->kinds, kinds, __ATOMIC_RELEASE);
	__atomic_store_n(&c->n_source_rules, k->counts.source, __ATOMIC_RELEASE);
	__atomic_store_n(&c->n_prefix_rules, k->counts.prefix, __ATOMIC_RELEASE);
	__atomic_store_n(&c->n_any_port_rules, k->counts.any_port, __ATOMIC_RELEASE);
}

/* A packet that was walking the chain may still stand on a removed slot. Before
 * the slot becomes another rule, every packet of that time must be through:
 * membarrier waits for a grace period, once for all slots removed before. */
static void await_grace(struct kern *k, uint32_t index)
{
	if (k->removed[index] <= k->grace)
		return;
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	k->grace++;
}

/* The kernel's own order (judge.bpf.h): `pass` first, then the severest action.
 * Of source rules it reads the head of the chain only. */
static unsigned int weight(uint8_t action)
{
	return action == RULE_PASS ? RULE_ACTION_MAX : action;
}

/* The rule behind which a new one goes: weightier first, then the older. 0: it
 * becomes the head. -E2BIG: the chain is full. */
static int chain_place(const struct kern *k, uint32_t head, uint8_t action, uint32_t *before)
{
	int n = 0;

	*before = 0;
	for (uint32_t i = head; i; i = slots(k)[i].next) {
		if (++n >= MATCH_CHAIN_MAX)
			return -E2BIG;
		if (weight(slots(k)[i].action) >= weight(action))
			*before = i;
	}
	return 0;
}

static int table_full(const struct kern *k, const struct place *p, int err, struct reason *why)
{
	struct bpf_map *m = bpf_object__find_map_by_name(kern_object(k), way_maps[p->way]);

	if (err == -E2BIG || err == -ENOSPC)
		return reason_set(why, -ENOSPC, "rule table full (%u)", bpf_map__max_entries(m));
	return reason_set(why, err, "write table %s: %s", way_maps[p->way], strerror(-err));
}

int kern_rule_put(struct kern *k, uint32_t index, const struct rule *rule,
		  const struct rule_match *m, struct reason *why)
{
	struct rule *slot, fresh = *rule;
	struct place p;
	uint32_t head, before;
	int err;

	if (index == 0 || index >= k->rules.n)
		return reason_set(why, -ENOSPC, "rule table full (%zu)", k->rules.n - 1);
	slot = &slots(k)[index];
	if (!rule->gen || slot->gen)
		return reason_set(why, -EINVAL, "rule slot %u is in use", index);
	err = place_of(k, m, &p);
	if (!err)
		err = head_of(k, &p, &head);
	if (err)
		return reason_set(why, err, "rule slot %u: nothing to match, or a broken chain",
				  index);
	err = chain_place(k, head, rule->action, &before);
	if (err)
		return reason_set(why, err, "%d rules match exactly this already", MATCH_CHAIN_MAX);

	await_grace(k, index);
	fresh.gen = 0;
	fresh.next = before ? slots(k)[before].next : head;
	fresh.net = p.way == WAY_PREFIX ? m->src.net : p.narrow.net;
	fresh.plen = p.way == WAY_PREFIX ? m->src.plen : p.narrow.plen;
	fresh.hits = fresh.hit_packets = fresh.hit_bytes = 0;
	fresh.would_hit = fresh.unproved = fresh.last_hit = 0;
	*slot = fresh;
	__atomic_store_n(&slot->gen, rule->gen, __ATOMIC_RELEASE);

	if (before) {
		__atomic_store_n(&slots(k)[before].next, index, __ATOMIC_RELEASE);
	} else if (bpf_map_update_elem(p.fd, &p.key, &index, BPF_ANY)) {
		err = -errno;
		__atomic_store_n(&slot->gen, 0, __ATOMIC_RELEASE);
		return table_full(k, &p, err, why);
	}
	count(k, p.way, p.kind, rule->flags, 1);
	publish(k);
	return 0;
}

int kern_rule_remove(struct kern *k, uint32_t index, const struct rule_match *m)
{
	uint32_t head, before = 0, at;
	struct rule *slot;
	struct place p;
	int err;

	if (index == 0 || index >= k->rules.n)
		return -EINVAL;
	slot = &slots(k)[index];
	err = place_of(k, m, &p);
	if (!err)
		err = head_of(k, &p, &head);
	if (err)
		return err;
	for (at = head; at && at != index; at = slots(k)[at].next)
		before = at;
	if (!at)
		return -ENOENT;

	if (before)
		__atomic_store_n(&slots(k)[before].next, slot->next, __ATOMIC_RELEASE);
	else if (slot->next)
		err = bpf_map_update_elem(p.fd, &p.key, &slot->next, BPF_EXIST);
	else
		err = bpf_map_delete_elem(p.fd, &p.key);
	if (err)
		return -errno;
	count(k, p.way, p.kind, slot->flags, -1);
	publish(k);
	k->removed[index] = k->grace + 1;
	__atomic_store_n(&slot->gen, 0, __ATOMIC_RELEASE);
	return 0;
}

int kern_allow_put(struct kern *k, const struct cidr *c, struct reason *why)
{
	struct prefix_key key = prefix_of(c);
	uint32_t one = 1;
	struct bpf_map *m = bpf_object__find_map_by_name(kern_object(k), "allow");

	if (!m)
		return reason_set(why, -ENOENT, "table allow is not in the loaded object");
	if (!bpf_map_update_elem(bpf_map__fd(m), &key, &one, BPF_ANY))
		return 0;
	if (errno == ENOSPC || errno == E2BIG)
		return reason_set(why, -ENOSPC, "allow table full (%u)", bpf_map__max_entries(m));
	return reason_set(why, -errno, "write table allow: %s", strerror(errno));
}

int kern_allow_remove(struct kern *k, const struct cidr *c)
{
	struct prefix_key key = prefix_of(c);
	int fd = kern_map_fd(k, "allow");

	return fd < 0 ? fd : bpf_map_delete_elem(fd, &key) ? -errno : 0;
}

int kern_proxies_set(struct kern *k, const struct cidr *list, size_t n, struct reason *why)
{
	int fd = kern_map_fd(k, "proxies");
	struct control *c = kern_control(k);
	struct prefix_key key, gone;
	uint32_t one = 1;

	if (fd < 0)
		return reason_set(why, fd, "table proxies is not in the loaded object");
	for (size_t i = 0; i < n; i++) {
		key = prefix_of(&list[i]);
		if (bpf_map_update_elem(fd, &key, &one, BPF_ANY))
			return reason_set(why, -errno, "write table proxies: %s", strerror(errno));
	}
	/* What is no longer on the list. A key that went is no place to go on from. */
	for (bool more = true; more;) {
		struct prefix_key *prev = NULL;

		for (more = false; !more && !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
			more = true;
			for (size_t i = 0; more && i < n; i++) {
				gone = prefix_of(&list[i]);
				more = memcmp(&gone, &key, sizeof(key)) != 0;
			}
		}
		if (more && bpf_map_delete_elem(fd, &key))
			return reason_set(why, -errno, "write table proxies: %s", strerror(errno));
	}
	__atomic_store_n(&c->n_proxies, n, __ATOMIC_RELEASE);
	return 0;
}

/* ---- adoption ---------------------------------------------------------------- */

/* Marks what a table reaches and counts it. A chain that leaves the table or
 * meets itself ends there. */
static int walk_table(struct kern *k, enum way way, uint8_t *reached)
{
	union {
		struct match_key match;
		struct source_key source;
		struct prefix_key prefix;
	} key, *prev = NULL;
	int fd = kern_map_fd(k, way_maps[way]);
	uint32_t i;

	if (fd < 0)
		return fd;
	for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
		unsigned int kind = way == WAY_MATCH ? kind_of(&key.match) : 0;

		if (bpf_map_lookup_elem(fd, &key, &i))
			continue;
		for (; i && i < k->rules.n && !reached[i]; i = slots(k)[i].next) {
			reached[i] = 1;
			count(k, way, kind, slots(k)[i].flags, 1);
		}
	}
	return 0;
}

int rules_open(struct kern *k, struct reason *r)
{
	_cleanup_(freep) uint8_t *reached = calloc(k->rules.n, 1);
	int err = 0;

	k->removed = calloc(k->rules.n, sizeof(k->removed[0]));
	if (!k->removed || !reached)
		return reason_set(r, -ENOMEM, "out of memory");
	for (int way = WAY_MATCH; !err && way <= WAY_PREFIX; way++)
		err = walk_table(k, way, reached);
	if (err)
		return reason_set(r, err, "read the rule tables: %s", strerror(-err));
	publish(k);
	for (size_t i = 1; i < k->rules.n; i++)
		if (!reached[i] && slots(k)[i].gen)
			slots(k)[i].gen = 0;
	return 0;
}
