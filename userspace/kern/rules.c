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

enum way { WAY_MATCH, WAY_NET };

/* Of a slot whose rule was removed, but is in force until the commit. */
#define LEAVING UINT64_MAX

/* Where a rule is found: `match`, or the tables of nets.c. */
struct place {
	enum way way;
	int fd;
	unsigned int kind; /* of a match key */
	struct match_key match;
	struct cidr net; /* of the slot: where it is found, or a predicate; plen 0: none */
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
		p->match =
			(struct match_key){ .ja4 = m->ja4, .stack = m->stack, .order = m->order };
		if (m->src.plen && is_source(&m->src)) {
			p->match.src = m->src.net;
			p->match.plen = m->src.plen;
		} else {
			p->net = m->src;
		}
		p->kind = kind_of(&p->match);
		p->fd = k->match_fd;
	} else if (!m->src.plen) {
		return -EINVAL;
	} else {
		p->way = WAY_NET;
		p->net = m->src;
	}
	return 0;
}

/* First rule of the chain, 0 if there is none. */
static int head_of(const struct kern *k, const struct place *p, uint32_t *head)
{
	uint32_t first = 0;
	int err = 0;

	if (p->way == WAY_NET)
		first = nets_find(k, &p->net);
	else
		err = map_get(p->fd, &p->match, &first);
	if (err && err != -ENOENT)
		return err;
	*head = first;
	return first < k->rules.n ? 0 : -EUCLEAN;
}

static int head_set(struct kern *k, const struct place *p, uint32_t head)
{
	if (p->way == WAY_NET)
		return head ? nets_put(k, &p->net, head) : nets_remove(k, &p->net);
	if (head)
		return map_put(p->fd, &p->match, &head, BPF_ANY);
	return map_remove(p->fd, &p->match);
}

static void count_match(struct kern *k, unsigned int kind, int by)
{
	k->counts.kind[kind] += by;
}

static void count_net(struct kern *k, const struct rule *r, int by)
{
	const struct cidr c = { r->net, r->plen };

	k->counts.source += by;
	if (!is_source(&c))
		k->counts.prefix += by;
	if (r->flags & RULE_PORTS_ANY)
		k->counts.any_port += by;
}

static void count(struct kern *k, const struct place *p, const struct rule *r, int by)
{
	if (p->way == WAY_MATCH)
		count_match(k, p->kind, by);
	else
		count_net(k, r, by);
}

static void store_count(const struct kern *k, __u32 *at, uint32_t n)
{
	/* Rules on their way out are in force until the commit. */
	if (!k->nets.open || n > *at)
		__atomic_store_n(at, n, __ATOMIC_RELEASE);
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
	store_count(k, &c->n_source_rules, k->counts.source);
	store_count(k, &c->n_any_port_rules, k->counts.any_port);
	__atomic_store_n(&((struct ports *)k->ports.at)->any, c->n_any_port_rules,
			 __ATOMIC_RELEASE);
}

void grace_await(struct kern *k, uint64_t period)
{
	if (period <= k->grace)
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
	if (err == -E2BIG || err == -ENOSPC)
		return reason_set(why, -ENOSPC, "rule table full (%zu)", k->rules.n - 1);
	return reason_set(why, err, "write table %s: %s",
			  p->way == WAY_MATCH ? "match" : "net_rules", strerror(-err));
}

/* Is there a slot, and may there be one more of its kind? */
static int room_for(const struct kern *k, uint32_t index, const struct place *p, struct reason *why)
{
	if (k->removed[index] == LEAVING)
		return reason_set(why, -ENOSPC,
				  "rule table full (%zu): old rules and new ones must find room "
				  "together until they are exchanged",
				  k->rules.n - 1);
	if (slots(k)[index].gen)
		return reason_set(why, -EINVAL, "rule slot %u is in use", index);
	if (p->way == WAY_NET && !is_source(&p->net) && k->counts.prefix >= k->prefixes)
		return reason_set(why, -ENOSPC, "rule table full (%u)", k->prefixes);
	return 0;
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
	err = rule->gen ? place_of(k, m, &p) : -EINVAL;
	if (!err)
		err = head_of(k, &p, &head);
	if (err)
		return reason_set(why, err, "rule slot %u: nothing to match, or a broken chain",
				  index);
	err = room_for(k, index, &p, why);
	if (err)
		return err;
	err = chain_place(k, head, rule->action, &before);
	if (err)
		return reason_set(why, err, "%d rules match exactly this already", MATCH_CHAIN_MAX);

	/* A packet that was walking a chain may still stand on the slot's old rule. */
	grace_await(k, k->removed[index]);
	fresh.gen = 0;
	fresh.next = before ? slots(k)[before].next : head;
	fresh.net = p.net.net;
	fresh.plen = p.net.plen;
	fresh.hits = fresh.hit_packets = fresh.hit_bytes = 0;
	fresh.would_hit = fresh.unproved = fresh.last_hit = 0;
	*slot = fresh;
	__atomic_store_n(&slot->gen, rule->gen, __ATOMIC_RELEASE);

	if (before) {
		__atomic_store_n(&slots(k)[before].next, index, __ATOMIC_RELEASE);
	} else {
		err = head_set(k, &p, index);
		if (err) {
			__atomic_store_n(&slot->gen, 0, __ATOMIC_RELEASE);
			return table_full(k, &p, err, why);
		}
	}
	count(k, &p, slot, 1);
	publish(k);
	return 0;
}

/* The slot is nobody's. */
static void slot_end(struct kern *k, uint32_t index)
{
	k->removed[index] = k->grace + 1;
	__atomic_store_n(&slots(k)[index].gen, 0, __ATOMIC_RELEASE);
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
	else
		err = head_set(k, &p, slot->next);
	if (err)
		return err;
	count(k, &p, slot, -1);
	publish(k);
	if (p.way == WAY_NET && k->nets.open) {
		k->removed[index] = LEAVING;
		k->n_leaving++;
	} else {
		slot_end(k, index);
	}
	return 0;
}

int kern_rules_begin(struct kern *k)
{
	return nets_begin(k);
}

void kern_rules_commit(struct kern *k)
{
	nets_commit(k);
	/* A packet that found an old rule still obeys it. */
	if (k->n_leaving)
		grace_await(k, k->nets.left);
	publish(k);
	for (uint32_t i = 1; k->n_leaving && i < k->rules.n; i++)
		if (k->removed[i] == LEAVING) {
			slot_end(k, i);
			k->n_leaving--;
		}
}

int kern_allow_put(struct kern *k, const struct cidr *c, struct reason *why)
{
	struct prefix_key key = prefix_of(c);
	uint32_t one = ALLOW_ALWAYS;
	struct bpf_map *m = bpf_object__find_map_by_name(kern_object(k), "allow");
	int err;

	if (!m)
		return reason_set(why, -ENOENT, "table allow is not in the loaded object");
	err = map_put(bpf_map__fd(m), &key, &one, BPF_ANY);
	if (!err) {
		__atomic_store_n(&control(k)->n_allow, 1, __ATOMIC_RELEASE);
		return 0;
	}
	if (err == -ENOSPC || err == -E2BIG)
		return reason_set(why, -ENOSPC, "allow table full (%u)", bpf_map__max_entries(m));
	return reason_set(why, err, "write table allow: %s", strerror(-err));
}

int kern_allow_suspend(struct kern *k, const struct cidr *c, uint32_t second)
{
	struct prefix_key key = prefix_of(c);
	int fd = kern_map_fd(k, "allow");

	return fd < 0 ? fd : map_put(fd, &key, &second, BPF_EXIST);
}

int kern_allow_remove(struct kern *k, const struct cidr *c)
{
	struct prefix_key key = prefix_of(c);
	int fd = kern_map_fd(k, "allow");

	return fd < 0 ? fd : map_remove(fd, &key);
}

int kern_proxies_set(struct kern *k, const struct cidr *list, size_t n, struct reason *why)
{
	int fd = kern_map_fd(k, "proxies");
	struct control *c = kern_control(k);
	struct prefix_key key, gone;
	uint32_t one = 1;
	int err = 0;

	if (fd < 0)
		return reason_set(why, fd, "table proxies is not in the loaded object");
	for (size_t i = 0; !err && i < n; i++) {
		key = prefix_of(&list[i]);
		err = map_put(fd, &key, &one, BPF_ANY);
	}
	/* What is no longer on the list. A key that went is no place to go on from. */
	for (bool more = true; !err && more;) {
		struct prefix_key *prev = NULL;

		for (more = false; !more && !(err = map_next(fd, prev, &key)); prev = &key) {
			more = true;
			for (size_t i = 0; more && i < n; i++) {
				gone = prefix_of(&list[i]);
				more = memcmp(&gone, &key, sizeof(key)) != 0;
			}
		}
		if (more)
			err = map_remove(fd, &key);
	}
	if (err && err != -ENOENT)
		return reason_set(why, err, "write table proxies: %s", strerror(-err));
	__atomic_store_n(&c->n_proxies, n, __ATOMIC_RELEASE);
	return 0;
}

/* ---- adoption ---------------------------------------------------------------- */

struct adoption {
	struct kern *k;
	uint8_t *reached; /* by slot */
};

/* Marks a chain's rules. One that leaves the table or meets itself ends there. */
static void walk_chain(struct adoption *a, uint32_t i, const struct match_key *key)
{
	for (; i && i < a->k->rules.n && !a->reached[i]; i = slots(a->k)[i].next) {
		a->reached[i] = 1;
		if (key)
			count_match(a->k, kind_of(key), 1);
		else
			count_net(a->k, &slots(a->k)[i], 1);
	}
}

static void walk_net(void *ctx, uint32_t index)
{
	walk_chain(ctx, index, NULL);
}

static int walk_match(struct adoption *a)
{
	struct match_key key, *prev = NULL;
	uint32_t i;
	int err = 0;

	for (; !err && !(err = map_next(a->k->match_fd, prev, &key)); prev = &key) {
		err = map_get(a->k->match_fd, &key, &i);
		if (!err)
			walk_chain(a, i, &key);
	}
	return err == -ENOENT ? 0 : err;
}

/* Killed between an allowed network and the number that makes packets look for it? */
static void allow_open(const struct kern *k)
{
	struct prefix_key key;
	int fd = kern_map_fd(k, "allow");

	if (fd >= 0 && map_next(fd, NULL, &key) != -ENOENT)
		__atomic_store_n(&control(k)->n_allow, 1, __ATOMIC_RELEASE);
}

int rules_open(struct kern *k, bool adopted, struct reason *r)
{
	_cleanup_(freep) uint8_t *reached = calloc(k->rules.n, 1);
	struct adoption a = { k, reached };
	int err;

	k->match_fd = kern_map_fd(k, "match");
	k->removed = malloc(k->rules.n * sizeof(k->removed[0]));
	if (!k->removed || !reached)
		return reason_set(r, -ENOMEM, "out of memory");
	/* Really written: slots are taken in turn, and each would be 8 bytes more. */
	explicit_bzero(k->removed, k->rules.n * sizeof(k->removed[0]));
	err = nets_open(k, adopted);
	if (err)
		return reason_set(r, err, "read the rule tables: %s", strerror(-err));
	if (!adopted)
		return 0;
	allow_open(k);
	err = walk_match(&a);
	if (err)
		return reason_set(r, err, "read table match: %s", strerror(-err));
	nets_each(k, walk_net, &a);
	publish(k);
	for (size_t i = 1; i < k->rules.n; i++)
		if (!reached[i] && slots(k)[i].gen)
			slots(k)[i].gen = 0;
	return 0;
}
