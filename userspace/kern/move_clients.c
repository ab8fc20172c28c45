/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of clients moves to the new tables: tallies, orders, handshakes, flows. */
#include "kern/move.h"

#include <errno.h>
#include <string.h>

#include "base/table.h"
#include "key.h"

#define NOWHERE UINT32_MAX

/* Slots changed since the rules were put: the database had its say. By handle. */
static int find_rules(struct kern *k)
{
	_cleanup_(table_clearp) struct table slot;
	struct rule *now = k->rules.at;
	struct move *v = k->move;
	int err = move_read_rules(k); /* what they have hit since */

	table_init(&slot, sizeof(uint64_t), sizeof(uint32_t));
	free(v->rule_now);
	v->rule_now = err ? NULL : calloc(v->n_rules + 1, sizeof(*v->rule_now));
	if (!v->rule_now)
		return err ?: -ENOMEM;
	for (uint32_t i = 1; i < v->n_rules; i++) {
		uint32_t *at;

		if (!v->rule[i].gen)
			continue;
		at = table_add(&slot, &(uint64_t){ v->rule[i].handle }, NULL);
		if (!at)
			return -ENOMEM;
		*at = i;
	}
	for (uint32_t i = 1; i < k->rules.n; i++) {
		const uint32_t *at =
			now[i].gen ? table_find(&slot, &(uint64_t){ now[i].handle }) : NULL;
		const struct rule *was = at ? &v->rule[*at] : NULL;

		if (!was)
			continue;
		v->rule_now[*at] = i;
		now[i].hits = was->hits;
		now[i].hit_packets = was->hit_packets;
		now[i].hit_bytes = was->hit_bytes;
		now[i].would_hit = was->would_hit;
		now[i].unproved = was->unproved;
		now[i].last_hit = was->last_hit;
	}
	return 0;
}

/* A verdict is obeyed while its rule lives; that one may have another place now. */
static void fix_verdict(const struct kern *k, uint32_t *rule, uint32_t *gen)
{
	const struct rule *now = k->rules.at;
	const struct move *v = k->move;
	uint32_t to = 0;

	if (*rule && *rule < v->n_rules && v->rule[*rule].gen == *gen)
		to = v->rule_now[*rule];
	*rule = to;
	*gen = to ? now[to].gen : 0;
}

static uint32_t fix_tally(const struct kern *k, uint32_t row)
{
	const struct move *v = k->move;

	if (!v->tally_now)
		return row;
	return row < v->n_tallies ? v->tally_now[row] : NOWHERE;
}

/* One of the tables of sets. `fit` mends a row, or says no; `key` says where it lies. */
struct sets {
	const char *table;
	size_t row;
	bool (*fit)(const struct kern *k, void *row);
	uint64_t (*key)(const struct kern *k, const void *row);
};

/* As table.bpf.h has it. */
static uint32_t tag_of(uint64_t key)
{
	return key >> 32 ?: 1;
}

static const struct secret *secret(const struct kern *k)
{
	return &((const struct control *)k->control.at)->secret;
}

static bool fit_tally(const struct kern *k, void *row)
{
	return !(((struct tally_row *)row)->gen & 1);
}

static uint64_t tally_key(const struct kern *k, const void *row)
{
	const struct tally_row *t = row;

	return key_tally(secret(k), t->src, t->stack, t->service, t->family, t->proto);
}

static bool fit_order(const struct kern *k, void *row)
{
	return !(((struct order_tally *)row)->gen & 1);
}

static uint64_t order_key(const struct kern *k, const void *row)
{
	const struct order_tally *o = row;

	return key_pair(secret(k), o->stack, o->order);
}

static bool fit_flow(const struct kern *k, void *row)
{
	struct flow *f = row;

	if (f->gen & 1)
		return false;
	fix_verdict(k, &f->rule, &f->rule_gen);
	if (f->flags & FLOW_SILENT)
		return true;
	f->tally = fix_tally(k, f->tally);
	return f->tally != NOWHERE;
}

static uint64_t flow_key(const struct kern *k, const void *row)
{
	return ((const struct flow *)row)->key;
}

static bool fit_handshake(const struct kern *k, void *row)
{
	struct handshake *h = row;

	fix_verdict(k, &h->rule, &h->rule_gen);
	return true;
}

static uint64_t handshake_key(const struct kern *k, const void *row)
{
	return ((const struct handshake *)row)->key;
}

static const struct sets tally_sets = { "tallies", sizeof(struct tally_row), fit_tally, tally_key };
static const struct sets order_sets = { "orders", sizeof(struct order_tally), fit_order,
					order_key };
static const struct sets handshake_sets = { "handshakes", sizeof(struct handshake), fit_handshake,
					    handshake_key };
static const struct sets flow_sets = { "flows", sizeof(struct flow), fit_flow, flow_key };

/* A set as it lies in memory, whatever its rows are. */
struct any_set {
	uint32_t tag[WAYS];
	uint32_t heat[WAYS];
	char slot[];
};

/* Only a table that shrank has a set that is full already: then the row is lost. */
static uint32_t place_row(struct any_set *set, uint64_t key, const struct any_set *from, int way,
			  size_t size)
{
	for (int w = 0; w < WAYS; w++) {
		if (set->tag[w])
			continue;
		set->tag[w] = tag_of(key);
		set->heat[w] = from->heat[way];
		memcpy(set->slot + w * size, from->slot + way * size, size);
		return w;
	}
	return NOWHERE;
}

/* The new table, which userspace maps. */
static void *image_of(struct kern *k, const char *table, size_t *n)
{
	if (!strcmp(table, "tallies"))
		return (void *)kern_tallies(k, n);
	if (!strcmp(table, "orders"))
		return (void *)kern_orders(k, n);
	return kern_flows(k, n);
}

static bool empty(const struct any_set *set)
{
	uint32_t any = 0;

	for (int w = 0; w < WAYS; w++)
		any |= set->tag[w];
	return !any;
}

struct target {
	char *image;
	size_t n, size; /* sets, bytes of one */
	bool same_n;
	uint32_t *where; /* by old row: the new one; NULL: nobody asks */
};

/* Rows of old set s: where they were if the table is as large as it was, else where
 * their keys say. One that is not where its key says was changing under us. */
static size_t move_set(const struct kern *k, const struct sets *x, const struct target *to,
		       struct any_set *set, size_t s)
{
	size_t moved = 0;

	for (int w = 0; w < WAYS; w++) {
		void *row = set->slot + w * x->row;
		bool fits = set->tag[w] && x->fit(k, row);
		uint64_t key = fits ? x->key(k, row) : 0, at = key & (to->n - 1);
		uint32_t way = w;

		if (to->same_n)
			fits = fits && at == s && set->tag[w] == tag_of(key);
		else if (fits)
			way = place_row((void *)(to->image + at * to->size), key, set, w, x->row);
		if (!fits)
			set->tag[w] = 0;
		if (!fits || way == NOWHERE)
			continue;
		moved++;
		if (to->where)
			to->where[s * WAYS + w] = at * WAYS + way;
	}
	if (to->same_n && moved)
		memcpy(to->image + s * to->size, set, to->size);
	return moved;
}

static int move_sets(struct kern *k, const struct sets *x, size_t *moved)
{
	_cleanup_(old_close) struct old_table t;
	_cleanup_(freep) struct any_set *set = NULL;
	struct target to = { .size = sizeof(struct any_set) + WAYS * x->row };
	int err = old_open(k, x->table, &t);

	if (!err && t.value.to_size != to.size)
		err = -EINVAL;
	if (!err)
		err = old_read(&t);
	if (err)
		return err;
	set = malloc(to.size);
	to.image = image_of(k, x->table, &to.n);
	to.same_n = to.n == t.info.max_entries;
	to.where = strcmp(x->table, "tallies") ? NULL : k->move->tally_now;
	if (!set || !to.image)
		return -ENOMEM;
	for (size_t s = 0; s < t.info.max_entries; s++) {
		const struct any_set *was = old_row(&t, s);

		if (conversion_starts(&t.value, sizeof(was->tag)) && empty(was))
			continue;
		conversion_apply(&t.value, was, set);
		*moved += move_set(k, x, &to, set, s);
	}
	return 0;
}

/* ---- handshakes: their heads lie apart, and what a SYN leaves is elsewhere ------------- */

struct whole_set {
	uint32_t tag[WAYS];
	uint32_t heat[WAYS];
	struct handshake slot[WAYS];
};

/* As syn_whole() of handshake.bpf.h has it. */
static void whole_of(const struct syn_record *s, struct handshake *out)
{
	*out = (struct handshake){
		.key = s->key,
		.t_syn = s->time,
		.isn_c = s->isn_c,
		.isn_s = s->isn_s,
		.flags = s->flags,
		.hello_base = s->isn_c + 1,
		.high = s->isn_c + 1,
		.mss = s->mss,
		.tcp_key = s->tcp_key,
		.syn = s->raw,
		.state = HS_SYN,
		.d1 = US_UNKNOWN,
	};
}

struct old_handshakes {
	struct old_table heads, sets, syns;
};

static void old_handshakes_close(struct old_handshakes *t)
{
	old_close(&t->heads);
	old_close(&t->sets);
	old_close(&t->syns);
}

static int old_handshakes_read(const struct kern *k, struct old_handshakes *t)
{
	int err[] = { old_open(k, "handshake_heads", &t->heads),
		      old_open(k, "handshakes", &t->sets), old_open(k, "syns", &t->syns) };

	for (size_t i = 0; i < sizeof(err) / sizeof(err[0]); i++)
		if (err[i])
			return err[i];
	if (t->heads.value.to_size != sizeof(struct handshake_head) ||
	    t->sets.value.to_size != sizeof(struct handshake_set) ||
	    t->syns.value.to_size != sizeof(struct syn_record) ||
	    t->heads.info.max_entries != t->sets.info.max_entries)
		return -EINVAL;
	err[0] = old_read(&t->heads);
	err[1] = old_read(&t->sets);
	err[2] = old_read(&t->syns);
	return err[0] ?: err[1] ?: err[2];
}

/* Old set s, its records whole; false: none. A place that a later SYN has overwritten holds
 * another tag's record. */
static bool old_handshakes_set(const struct old_handshakes *t, size_t s, struct whole_set *out)
{
	struct handshake_head head;
	struct syn_record syn;
	bool any = false;

	conversion_apply(&t->heads.value, old_row(&t->heads, s), &head);
	for (int w = 0; w < WAYS; w++)
		any = any || head.tag[w];
	if (!any)
		return false;
	conversion_apply(&t->sets.value, old_row(&t->sets, s), out->slot);
	memcpy(out->tag, head.tag, sizeof(out->tag));
	memcpy(out->heat, head.heat, sizeof(out->heat));
	for (int w = 0; w < WAYS; w++) {
		if (head.tag[w] && head.syn[w] && head.syn[w] <= t->syns.info.max_entries) {
			conversion_apply(&t->syns.value, old_row(&t->syns, head.syn[w] - 1), &syn);
			whole_of(&syn, &out->slot[w]);
		}
		if (out->tag[w] != tag_of(out->slot[w].key))
			out->tag[w] = 0;
	}
	return true;
}

static int write_handshakes(struct kern *k, const struct whole_set *image, size_t n)
{
	int heads = kern_map_fd(k, "handshake_heads"), sets = kern_map_fd(k, "handshakes"), err = 0;

	for (uint32_t i = 0; !err && i < n; i++) {
		struct handshake_head head = {};

		if (empty((const void *)&image[i]))
			continue;
		memcpy(head.tag, image[i].tag, sizeof(head.tag));
		memcpy(head.heat, image[i].heat, sizeof(head.heat));
		err = map_put(sets, &i, image[i].slot, BPF_ANY)
			      ?: map_put(heads, &i, &head, BPF_ANY);
	}
	return err;
}

static int move_handshakes(struct kern *k, size_t *moved)
{
	const struct bpf_map *m =
		bpf_object__find_map_by_name(kern_object(k), handshake_sets.table);
	_cleanup_(old_handshakes_close) struct old_handshakes t;
	_cleanup_(freep) struct whole_set *image = NULL, *set = NULL;
	struct target to = { .n = bpf_map__max_entries(m), .size = sizeof(*set) };
	int err = old_handshakes_read(k, &t);

	if (err)
		return err;
	image = calloc(to.n, sizeof(*image));
	set = malloc(sizeof(*set));
	if (!image || !set)
		return -ENOMEM;
	to.image = (char *)image;
	to.same_n = to.n == t.heads.info.max_entries;
	for (size_t s = 0; s < t.heads.info.max_entries; s++)
		if (old_handshakes_set(&t, s, set))
			*moved += move_set(k, &handshake_sets, &to, (struct any_set *)set, s);
	return write_handshakes(k, image, to.n);
}

struct entries {
	struct kern *k;
	int fd;
	bool quic_id;
};

static void copy_entry(void *ctx, void *key, void *value)
{
	const struct entries *e = ctx;
	struct quic_id *q = value;

	if (e->quic_id) {
		fix_verdict(e->k, &q->rule, &q->rule_gen);
		if (q->tally != QUIC_NO_TALLY)
			q->tally = fix_tally(e->k, q->tally);
	}
	map_put(e->fd, key, value, BPF_ANY);
}

/* Tables of live connections that are no sets. Best effort: they evict too. */
static void move_hashes(struct kern *k)
{
	static const char *const tables[] = { "proxied", "quic_names", "quic_pendings", "quic_ids",
					      "quic_tuples" };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct entries e = { k, kern_map_fd(k, tables[i]), !strcmp(tables[i], "quic_ids") };

		if (e.fd >= 0)
			old_entries(k, tables[i], copy_entry, &e);
	}
}

int move_clients(struct kern *k)
{
	struct move *v = k->move;
	_cleanup_(old_close) struct old_table t;
	int err = old_open(k, "tallies", &t);

	if (!err && t.info.max_entries != k->tallies.n) {
		v->n_tallies = (size_t)t.info.max_entries * WAYS;
		v->tally_now = malloc(v->n_tallies * sizeof(*v->tally_now));
		if (!v->tally_now)
			return -ENOMEM;
		memset(v->tally_now, 0xff, v->n_tallies * sizeof(*v->tally_now));
	}
	err = find_rules(k);
	if (err)
		return err;
	if (move_sets(k, &tally_sets, &k->moved.tallies) == -ENOMEM ||
	    move_sets(k, &order_sets, &k->moved.orders) == -ENOMEM ||
	    move_handshakes(k, &k->moved.handshakes) == -ENOMEM ||
	    move_sets(k, &flow_sets, &k->moved.flows) == -ENOMEM)
		return -ENOMEM;
	move_hashes(k);
	return 0;
}
