/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pinned state of another layout, or of other table sizes, is moved: rules, allowed
 * networks, ports and settings when it is opened; what is known of clients, last of all,
 * in kern_switch(), just before one link update puts the new programs in the place of
 * the old. Until then the old programs go on in the old tables, whatever happens to us.
 * Rows are read by the names of their fields (layout.h); what cannot be read begins anew.
 *
 * Not moved, because it is back within seconds: hellos in pieces, token buckets, which
 * keys were named. What the old programs learn between the copy of a table and the link
 * update is not known to the new ones: all of it is 50 ms of processor time with 131,072
 * flows, 65,536 tallies and 65,536 handshakes.
 */
#include "kern/internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/btf.h>

#include "kern/move.h"

/* ---- an old table ------------------------------------------------------------------- */

void old_close(struct old_table *t)
{
	if (t->mapped)
		munmap(t->bytes, t->len);
	else
		free(t->bytes);
	conversion_clear(&t->key);
	conversion_clear(&t->value);
	closep(&t->fd);
}

/* -ENOENT: the old state has no such table, or this program has none. */
int old_open(const struct kern *k, const char *name, struct old_table *t)
{
	const struct bpf_map *m = bpf_object__find_map_by_name(kern_object(k), name);
	const struct move *v = k->move;
	uint32_t len = sizeof(t->info);
	char path[PATH_MAX];
	int err;

	*t = (struct old_table){ .fd = -1 };
	if (!m || pin_path(k, path, "maps", name))
		return -ENOENT;
	t->fd = bpf_obj_get(path);
	if (t->fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(t->fd, &t->info, &len) ? -errno : 0;
	if (!err)
		err = layout_convert(v->was, v->now, name, "key", &t->key);
	if (!err)
		err = layout_convert(v->was, v->now, name, "value", &t->value);
	if (!err &&
	    (t->key.from_size != t->info.key_size || t->value.from_size != t->info.value_size ||
	     t->key.to_size != bpf_map__key_size(m) || t->value.to_size != bpf_map__value_size(m)))
		err = -EINVAL;
	return err;
}

int old_read(struct old_table *t)
{
	int err = 0;

	t->stride = ((size_t)t->info.value_size + 7) / 8 * 8;
	t->len = t->stride * t->info.max_entries;
	if (t->info.map_flags & BPF_F_MMAPABLE) {
		size_t page = sysconf(_SC_PAGESIZE);
		void *at;

		t->len = (t->len + page - 1) / page * page;
		at = mmap(NULL, t->len, PROT_READ, MAP_SHARED, t->fd, 0);
		if (at == MAP_FAILED)
			return -errno;
		t->bytes = at;
		t->mapped = true;
		return 0;
	}
	t->bytes = malloc(t->len);
	if (!t->bytes)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < t->info.max_entries; i++)
		err = map_get(t->fd, &i, (char *)t->bytes + i * t->stride);
	return err;
}

const void *old_row(const struct old_table *t, size_t i)
{
	return (const char *)t->bytes + i * t->stride;
}

int old_entries(const struct kern *k, const char *name, entry_fn fn, void *ctx)
{
	_cleanup_(old_close) struct old_table t;
	uint64_t was[2][16], key[16], value[16], *prev = NULL;
	int err = old_open(k, name, &t);
	uint32_t steps = 0;

	if (!err && (t.key.from_size > sizeof(key) || t.key.to_size > sizeof(key) ||
		     t.value.from_size > sizeof(value) || t.value.to_size > sizeof(value)))
		err = -EINVAL;
	/* A key that went is followed by the first one: packets add and evict meanwhile. */
	for (; !err && steps++ < 2 * t.info.max_entries; prev = was[0]) {
		err = map_next(t.fd, prev, was[0]);
		if (err || map_get(t.fd, was[0], was[1]))
			continue;
		conversion_apply(&t.key, was[0], key);
		conversion_apply(&t.value, was[1], value);
		fn(ctx, key, value);
	}
	return err == -ENOENT ? 0 : err;
}

/* ---- settings, rules, allowed networks --------------------------------------------------- */

static int move_settings(struct kern *k)
{
	_cleanup_(old_close) struct old_table c, p;
	struct control was, *now = k->control.at;
	int err = old_open(k, "control", &c), ports = old_open(k, "ports", &p);

	if (!err)
		err = old_read(&c);
	if (err)
		return err;
	conversion_apply(&c.value, old_row(&c, 0), &was);
	now->secret = was.secret;
	now->proof = was.proof;
	now->mirror = was.mirror;
	now->panic = was.panic;
	now->heartbeat = was.heartbeat;
	now->max_unattended = was.max_unattended;
	now->name_budget = was.name_budget;
	now->source_name_budget = was.source_name_budget;
	memcpy(now->s0, was.s0, sizeof(now->s0));
	now->abi = WINNOW_ABI_VERSION;
	if (!ports && !old_read(&p))
		conversion_apply(&p.value, old_row(&p, 0), k->ports.at);
	((struct ports *)k->ports.at)->any = 0; /* until such a rule is put */
	return 0;
}

int move_read_rules(struct kern *k)
{
	_cleanup_(old_close) struct old_table t;
	struct move *v = k->move;
	int err = old_open(k, "rules", &t);

	if (!err)
		err = old_read(&t);
	if (err)
		return err;
	free(v->rule);
	v->rule = calloc(t.info.max_entries, sizeof(*v->rule));
	v->n_rules = v->rule ? t.info.max_entries : 0;
	if (!v->rule)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_rules; i++)
		conversion_apply(&t.value, old_row(&t, i), &v->rule[i]);
	return 0;
}

struct found {
	const struct move *v;
	struct rule_match *match; /* by old slot */
	uint8_t *reached;
};

static void reach(struct found *f, uint32_t i, const struct rule_match *m, bool narrowed)
{
	const struct rule *rule = f->v->rule;

	for (; i && i < f->v->n_rules && !f->reached[i]; i = rule[i].next) {
		f->reached[i] = 1;
		f->match[i] = *m;
		if (narrowed)
			f->match[i].src = (struct cidr){ rule[i].net, rule[i].plen };
	}
}

static void match_entry(void *ctx, void *key, void *value)
{
	const struct match_key *m = key;
	struct rule_match out = {
		.src = { m->src, m->plen }, .ja4 = m->ja4, .stack = m->stack, .order = m->order
	};

	reach(ctx, *(uint32_t *)value, &out, !m->plen);
}

/* What no match reaches is a rule on a network alone, and says itself which. */
static void reach_networks(struct found *f)
{
	for (uint32_t i = 1; i < f->v->n_rules; i++) {
		const struct rule *r = &f->v->rule[i];

		if (f->reached[i] || !r->gen || !r->plen)
			continue;
		f->reached[i] = 1;
		f->match[i] = (struct rule_match){ .src = { r->net, r->plen } };
	}
}

struct by_handle {
	uint32_t handle, slot;
};

static int handle_order(const void *a, const void *b)
{
	const struct by_handle *x = a, *y = b;

	return (x->handle > y->handle) - (x->handle < y->handle);
}

static int put_one(struct kern *k, const struct found *f, uint32_t slot, uint32_t *hole)
{
	const struct rule *now = k->rules.at, *was = &f->v->rule[slot];
	uint32_t at = slot;

	if (at >= k->rules.n || now[at].gen) {
		while (*hole < k->rules.n && now[*hole].gen)
			++*hole;
		at = *hole;
	}
	return kern_rule_put(k, at, was, &f->match[slot], NULL);
}

/* The older first, as they were made: a chain is then in the order it was. Where they
 * were, if they fit there; those that do not go into what is left. */
static int put_rules(struct kern *k, const struct found *f, size_t *moved)
{
	_cleanup_(freep) struct by_handle *list = calloc(f->v->n_rules + 1, sizeof(*list));
	uint32_t hole = 1;
	bool together;
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 1; i < f->v->n_rules; i++)
		if (f->reached[i] && f->v->rule[i].gen)
			list[n++] = (struct by_handle){ f->v->rule[i].handle, i };
	qsort(list, n, sizeof(*list), handle_order);
	together = !kern_rules_begin(k);
	for (int rest = 0; rest < 2; rest++)
		for (size_t i = 0; i < n; i++)
			if (rest == (list[i].slot >= k->rules.n))
				*moved += !put_one(k, f, list[i].slot, &hole);
	if (together)
		kern_rules_commit(k);
	return 0;
}

static int move_rules(struct kern *k, size_t *moved)
{
	struct move *v = k->move;
	int err = move_read_rules(k);
	_cleanup_(freep) struct rule_match *match = calloc(v->n_rules + 1, sizeof(*match));
	_cleanup_(freep) uint8_t *reached = calloc(v->n_rules + 1, 1);
	struct found f = { v, match, reached };

	if (err)
		return err;
	if (!match || !reached)
		return -ENOMEM;
	/* It may be missing in a state of another time: the database has the rules too. */
	old_entries(k, "match", match_entry, &f);
	reach_networks(&f);
	return put_rules(k, &f, moved);
}

static void allow_entry(void *ctx, void *key, void *value)
{
	const struct prefix_key *p = key;
	struct cidr c = { addr_from_bytes(p->addr), p->plen };
	uint32_t since = *(uint32_t *)value;

	if (!kern_allow_put(ctx, &c, NULL) && since != ALLOW_ALWAYS)
		kern_allow_suspend(ctx, &c, since);
}

int move_begin(struct kern *k, struct reason *r)
{
	_cleanup_(closep) int fd = -1;
	char path[PATH_MAX];
	struct move *v;
	int err;

	if (pin_path(k, path, "maps", LAYOUT_TABLE))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->now = bpf_object__btf(kern_object(k));
	err = layout_read(fd, &v->was);
	if (err) {
		free(v);
		return reason_set(r, err,
				  "%s cannot be read: %s. Try: remove the pins (rules and "
				  "counters are lost)",
				  path, strerror(-err));
	}
	k->move = v;
	return 0;
}

int move_open(struct kern *k, struct reason *r)
{
	int err = move_settings(k);

	if (err)
		return reason_set(r, err, "take over the settings of %s: %s", k->pin_dir,
				  strerror(-err));
	old_entries(k, "allow", allow_entry, k);
	err = move_rules(k, &k->moved.rules);
	return err ? reason_set(r, err, "take over the rules of %s: %s", k->pin_dir, strerror(-err))
		   : 0;
}

void move_end(struct kern *k)
{
	struct move *v = k->move;

	if (!v)
		return;
	btf__free(v->was);
	free(v->rule);
	free(v->rule_now);
	free(v->tally_now);
	free(v);
	k->move = NULL;
}

int kern_switch(struct kern *k, struct kern_moved *out, struct reason *r)
{
	int err;

	*out = (struct kern_moved){};
	if (!k->move)
		return 0;
	err = pin_maps_next(k, r);
	if (err)
		return err;
	err = move_clients(k);
	kern_tables_release(k);
	if (err)
		return reason_set(r, err, "take over the tables of %s: %s", k->pin_dir,
				  strerror(-err));
	err = attach_renew(k, r);
	if (!err)
		err = pin_maps_swap(k, r);
	if (!err)
		err = pin_programs(k, r);
	if (err)
		return err;
	move_end(k);
	k->moved.happened = true;
	*out = k->moved;
	return 0;
}
