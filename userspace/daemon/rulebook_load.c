/* SPDX-License-Identifier: BSD-2-Clause */
/* At start: what the database says, what the kernel does, and one answer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "daemon/rulebook_internal.h"

struct row {
	struct rule_entry e;
	enum rule_phase phase;
};

struct rows {
	struct row *at;
	size_t n, room;
};

struct start {
	struct rulebook *b;
	const struct clock *c;
	struct rule *slots;
	struct rule_match *match; /* by slot */
	struct table by_handle;   /* of the kernel's rules: handle -> slot */
	bool rekeyed;
	struct rulebook_load *did;
	struct reason *r;
};

static void rows_clear(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		rule_entry_clear(&rows->at[i].e);
	free(rows->at);
}

static int collect(void *ctx, struct rule_entry *e, enum rule_phase phase)
{
	struct rows *rows = ctx;

	if (rows->n == rows->room) {
		size_t room = rows->room ? 2 * rows->room : 64;
		struct row *more = reallocarray(rows->at, room, sizeof(*more));

		if (!more) {
			rule_entry_clear(e);
			return -ENOMEM;
		}
		rows->at = more;
		rows->room = room;
	}
	rows->at[rows->n++] = (struct row){ *e, phase };
	return 0;
}

static bool same_match(const struct rule_match *a, const struct rule_match *b)
{
	return a->ja4 == b->ja4 && a->stack == b->stack && a->order == b->order &&
	       a->src.plen == b->src.plen && a->src.net.hi == b->src.net.hi &&
	       a->src.net.lo == b->src.net.lo;
}

/* The kernel's slot for a handle is no longer a stranger's. */
static uint32_t claim(struct start *s, uint32_t handle)
{
	uint32_t *slot = table_find(&s->by_handle, &(uint64_t){ handle }), index = 0;

	if (slot) {
		index = *slot;
		table_remove(&s->by_handle, &(uint64_t){ handle });
	}
	return index;
}

static int drop_slot(struct start *s, uint32_t index)
{
	int err = kern_rule_remove(s->b->kern, index, &s->match[index]);

	if (err && err != -ENOENT)
		return reason_set(s->r, err, "remove rule %u from the kernel: %s",
				  s->slots[index].handle, strerror(-err));
	slot_release(s->b, index);
	return 0;
}

static bool bare_key(const struct rule_spec *s)
{
	return (s->ja4 && fp_form(s->ja4) == FP_KEY) || (s->stack && fp_form(s->stack) == FP_KEY) ||
	       (s->order && order_form(s->order) == FP_KEY);
}

/* Keys as this secret has them; what waited for a name may find it now. */
static int refresh_keys(struct start *s, struct rule_entry *e)
{
	uint64_t ja4 = e->ja4_key, stack = e->stack_key, order = e->order_key;
	struct reason ignored;

	if (s->rekeyed)
		e->ja4_key = e->stack_key = e->order_key = 0;
	book_keys(s->b, e, &ignored);
	if (ja4 == e->ja4_key && stack == e->stack_key && order == e->order_key)
		return 0;
	return store_rule_keys(s->b->store, e);
}

static int end_row(struct start *s, struct rule_entry *e, uint32_t index, const char *why,
		   size_t *counter)
{
	int err = index ? drop_slot(s, index) : 0;

	++*counter;
	if (!err)
		err = store_rule_gone(s->b->store, e->handle, why, s->c->real, NULL);
	rule_entry_clear(e);
	return err;
}

/* While the pins last, time is the kernel's; after a reboot, people's. */
static bool over(const struct start *s, struct rule_entry *e, uint32_t index)
{
	if (index && !e->expires_boot)
		e->expires_boot = s->slots[index].expires;
	else if (!index)
		e->expires_boot = clock_boot_of_real(s->c, e->expires);
	return e->expires_boot && e->expires_boot <= s->c->boot;
}

/* Nobody confirmed in time that it may do more than count. */
static bool back_to_counting(const struct start *s, struct rule_entry *e)
{
	if (e->pending != RULE_ENFORCED || (e->then && e->then <= s->c->real))
		return false;
	e->pending = RULE_SETTLED;
	e->shadow = true;
	e->expires = e->then;
	e->expires_boot = clock_boot_of_real(s->c, e->then);
	return true;
}

static int live_row(struct start *s, struct rule_entry *e, uint32_t index)
{
	struct rule_match want;
	struct reason why;
	int err;

	if (s->rekeyed && bare_key(&e->spec))
		return end_row(s, e, index, "secret lost", &s->did->removed);
	if (over(s, e, index) && !back_to_counting(s, e))
		return end_row(s, e, index, e->pending ? "not confirmed" : "expired",
			       &s->did->expired);
	err = store_rule_state(s->b->store, e);
	if (!err)
		err = refresh_keys(s, e);
	if (err)
		return err;
	want = book_match(e);
	if (index && s->slots[index].gen == e->gen && rule_bound(e) &&
	    same_match(&want, &s->match[index])) {
		e->index = index;
		book_impose(s->b, e);
	} else {
		err = index ? drop_slot(s, index) : 0;
		if (!err && rule_bound(e))
			err = store_rule_regen(s->b->store, e);
		if (err)
			return err;
		/* No room: it waits, and status says so. */
		if (rule_bound(e))
			book_put(s->b, e, &why);
	}
	s->did->live++;
	return book_keep(s->b, e);
}

/* What a daemon began that died before it could say so. */
static int tell(struct start *s, const struct rule_entry *e, const char *verb, uint32_t uid)
{
	char args[40];
	struct audit_row row = { .time = s->c->real,
				 .uid = uid,
				 .verb = verb,
				 .args = args,
				 .detail = "begun before, finished by this start" };

	snprintf(args, sizeof(args), "{\"handle\":%u}", e->handle);
	return store_audit(s->b->store, &row);
}

static int settle_row(struct start *s, struct row *row)
{
	struct rule_entry *e = &row->e;
	uint32_t index = claim(s, e->handle);

	switch (row->phase) {
	case RULE_PENDING:
		if (!index)
			return end_row(s, e, 0, "abandoned", &s->did->abandoned);
		s->did->finished++;
		return store_rule_phase(s->b->store, e->handle, RULE_LIVE)
			       ?: tell(s, e, "rule.add", e->uid) ?: live_row(s, e, index);
	case RULE_LEAVING:
		return tell(s, e, "rule.del", geteuid())
			       ?: end_row(s, e, index, "deleted", &s->did->removed);
	default:
		return live_row(s, e, index);
	}
}

/* ---- rules that only the kernel knows ------------------------------------------ */

static int key_word(uint64_t key, char **out)
{
	if (key && asprintf(out, "key:%016llx", (unsigned long long)key) < 0)
		return -ENOMEM;
	return 0;
}

static int entry_of_slot(const struct start *s, uint32_t index, struct rule_entry *e)
{
	const struct rule *slot = &s->slots[index];
	const struct rule_match *m = &s->match[index];
	struct rule_spec *spec = &e->spec;

	*e = (struct rule_entry){
		.handle = slot->handle,
		.gen = slot->gen,
		.index = index,
		.created = s->c->real,
		.expires = clock_real_of_boot(s->c, slot->expires),
		.expires_boot = slot->expires,
		.shadow = slot->flags & RULE_SHADOW,
		.ja4_key = m->ja4,
		.stack_key = m->stack,
		.order_key = m->order,
		.holdout = slot->holdout,
		.canary = slot->canary,
		.epoch = slot->epoch,
	};
	spec->has_src = m->src.plen != 0;
	spec->src = m->src;
	spec->split_min = slot->split_min;
	spec->split_dstar = slot->split_min ? slot->split_dstar : 0;
	spec->not_resumed = slot->flags & RULE_NOT_RESUMED;
	spec->seen_min = slot->seen_min;
	spec->age_max = slot->flags & RULE_HAS_AGE ? (uint64_t)slot->age_max << STAMP_SHIFT : 0;
	spec->d1_min = slot->flags & RULE_HAS_D1 ? slot->d1_min : 0;
	spec->dstar_min = slot->flags & RULE_HAS_DSTAR ? slot->dstar_min : 0;
	spec->action = slot->action;
	spec->rate = slot->rate;
	spec->limit_all = slot->flags & RULE_LIMIT_ALL;
	spec->ports_any = slot->flags & RULE_PORTS_ANY;
	spec->existing_keep = slot->flags & RULE_EXISTING_KEEP;
	spec->reason = strdup("found in the kernel; its reason was lost with the database");
	e->origin = strdup("operator");
	if (!spec->reason || !e->origin || key_word(m->ja4, &spec->ja4) ||
	    key_word(m->stack, &spec->stack) || key_word(m->order, &spec->order))
		return -ENOMEM;
	return 0;
}

static int recover(struct start *s, uint32_t index)
{
	struct rule_entry e = {};
	int err = entry_of_slot(s, index, &e);

	if (!err && s->b->store)
		err = store_rule_put(s->b->store, &e, RULE_LIVE);
	if (!err && s->b->store)
		err = store_rule_floor(s->b->store, e.handle, e.gen);
	if (!err)
		err = book_keep(s->b, &e);
	rule_entry_clear(&e);
	s->did->recovered += !err;
	return err;
}

static int settle_strangers(struct start *s, bool db_lost)
{
	int err = 0;

	for (size_t i = 0; !err && i < s->by_handle.n; i++) {
		uint32_t index = *(uint32_t *)table_value(&s->by_handle, i);

		if (db_lost) {
			err = recover(s, index);
		} else {
			err = drop_slot(s, index);
			s->did->strangers++;
		}
	}
	return err;
}

/* ---- the whole --------------------------------------------------------------------- */

static int read_slots(struct start *s, size_t n)
{
	int err = kern_rule_matches(s->b->kern, s->match);

	for (uint32_t i = 1; !err && i < n; i++) {
		uint32_t *at;

		if (!s->slots[i].gen) {
			slot_release(s->b, i);
			continue;
		}
		at = table_add(&s->by_handle, &(uint64_t){ s->slots[i].handle }, NULL);
		if (!at)
			return -ENOMEM;
		*at = i;
	}
	return err;
}

/* Handles and gens of flows and people must not come back. */
static int raise_floor(struct start *s, size_t n)
{
	uint32_t handle = 0, gen = 0;

	for (size_t i = 1; i < n; i++) {
		if (s->slots[i].handle > handle)
			handle = s->slots[i].handle;
		if (s->slots[i].gen > gen)
			gen = s->slots[i].gen;
	}
	return store_rule_floor(s->b->store, handle, gen);
}

static int settle(struct start *s, struct rows *rows, size_t n_slots, bool db_lost)
{
	int err = 0;

	if (!s->b->store)
		return settle_strangers(s, true);
	err = store_begin(s->b->store);
	if (!err)
		err = raise_floor(s, n_slots);
	for (size_t i = 0; !err && i < rows->n; i++)
		err = settle_row(s, &rows->at[i]);
	if (!err)
		err = settle_strangers(s, db_lost);
	return store_end(s->b->store, err);
}

int rulebook_load(struct rulebook *b, const struct clock *c, bool db_lost, bool rekeyed,
		  struct rulebook_load *out, struct reason *r)
{
	_cleanup_(freep) struct rule_match *match = calloc(b->n_slots, sizeof(*match));
	struct start s = { .b = b, .c = c, .match = match, .rekeyed = rekeyed, .did = out, .r = r };
	struct rows rows = {};
	size_t n;
	int err;

	*out = (struct rulebook_load){};
	if (!match)
		return reason_set(r, -ENOMEM, "out of memory");
	s.slots = kern_rules(b->kern, &n);
	table_init(&s.by_handle, sizeof(uint64_t), sizeof(uint32_t));
	r->text[0] = '\0';
	err = read_slots(&s, n);
	if (!err && b->store)
		err = store_rules(b->store, collect, &rows);
	if (!err)
		err = settle(&s, &rows, n, db_lost);
	if (err && !r->text[0])
		reason_set(r, err, "make rules, database and kernel agree: %s",
			   b->store && store_error(b->store)[0] ? store_error(b->store)
								: strerror(-err));
	rows_clear(&rows);
	table_clear(&s.by_handle);
	return err;
}
