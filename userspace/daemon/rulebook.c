/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rulebook.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/rulebook_internal.h"

void stop_at(const char *step)
{
	const char *at = getenv("WINNOW_STOP_AT");

	if (at && !strcmp(at, step))
		raise(SIGSTOP);
}

int rulebook_init(struct rulebook *b, struct kern *k, struct store *s, struct namebook *names)
{
	*b = (struct rulebook){ .kern = k, .store = s, .names = names };
	kern_rules(k, &b->n_slots);
	b->free = calloc(b->n_slots, sizeof(b->free[0]));
	if (!b->free)
		return -ENOMEM;
	return 0;
}

void rulebook_clear(struct rulebook *b)
{
	for (size_t i = 0; i < b->n; i++) {
		rule_entry_clear(b->at[i]);
		free(b->at[i]);
	}
	free(b->at);
	free(b->free);
	*b = (struct rulebook){};
}

/* ---- places -------------------------------------------------------------------- */

void slot_release(struct rulebook *b, uint32_t index)
{
	b->free[(b->free_at + b->n_free++) % b->n_slots] = index;
}

static uint32_t slot_take(struct rulebook *b)
{
	uint32_t index;

	if (!b->n_free)
		return 0;
	index = b->free[b->free_at];
	b->free_at = (b->free_at + 1) % b->n_slots;
	b->n_free--;
	return index;
}

size_t rulebook_place(const struct rulebook *b, uint32_t handle)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (b->at[mid]->handle < handle)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct rule_entry *rulebook_find(const struct rulebook *b, uint32_t handle)
{
	size_t i = rulebook_place(b, handle);

	return i < b->n && b->at[i]->handle == handle ? b->at[i] : NULL;
}

static int make_room(struct rulebook *b, size_t n)
{
	size_t room = b->room ? b->room : 64;
	struct rule_entry **more;

	while (room < b->n + n)
		room *= 2;
	if (room == b->room)
		return 0;
	more = reallocarray(b->at, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	b->at = more;
	b->room = room;
	return 0;
}

static void use_names(struct rulebook *b, const struct rule_entry *e, int by)
{
	namebook_use(b->names, NAME_JA4, e->ja4_key, by);
	namebook_use(b->names, NAME_STACK, e->stack_key, by);
	namebook_use(b->names, NAME_ORDER, e->order_key, by);
}

static void count(struct rulebook *b, const struct rule_entry *e, int by)
{
	if (!rule_bound(e))
		b->n_unbound += by;
	else if (!e->index)
		b->n_waiting += by;
}

/* Takes *e over; the caller has made room. */
int book_keep(struct rulebook *b, struct rule_entry *e)
{
	struct rule_entry *own;
	size_t i;

	if (make_room(b, 1))
		return -ENOMEM;
	own = malloc(sizeof(*own));
	if (!own)
		return -ENOMEM;
	*own = *e;
	*e = (struct rule_entry){};
	i = rulebook_place(b, own->handle);
	memmove(b->at + i + 1, b->at + i, (b->n - i) * sizeof(b->at[0]));
	b->at[i] = own;
	b->n++;
	b->due = 0;
	count(b, own, 1);
	use_names(b, own, 1);
	return 0;
}

/* Entries marked with handle 0 leave, in one pass. */
static void book_compact(struct rulebook *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct rule_entry *e = b->at[i];

		if (e->handle) {
			b->at[kept++] = e;
			continue;
		}
		rule_entry_clear(e);
		free(e);
	}
	b->n = kept;
}

/* ---- keys -------------------------------------------------------------------- */

static int key_of(struct rulebook *b, enum name_kind kind, const char *what, const char *word,
		  uint64_t *key, struct reason *r)
{
	int err;

	if (!word || *key)
		return 0;
	err = namebook_key(b->names, kind, word, key);
	if (err == -ENOENT) {
		*key = 0;
		return kind == NAME_ORDER ? namebook_want_order(b->names, word) : 0;
	}
	if (err)
		*key = 0;
	if (err == -EEXIST)
		return reason_set(r, err,
				  "%s %s: two fingerprints share that name. Try: the raw form "
				  "that `winnow fp show %s` prints",
				  what, word, word);
	return err ? reason_set(r, err, "%s %s: no key can be computed", what, word) : 0;
}

int book_keys(struct rulebook *b, struct rule_entry *e, struct reason *r)
{
	int err = key_of(b, NAME_JA4, "ja4", e->spec.ja4, &e->ja4_key, r);

	if (!err)
		err = key_of(b, NAME_STACK, "stack", e->spec.stack, &e->stack_key, r);
	if (!err)
		err = key_of(b, NAME_ORDER, "order", e->spec.order, &e->order_key, r);
	return err;
}

/* ---- kernel --------------------------------------------------------------------- */

struct rule_match book_match(const struct rule_entry *e)
{
	struct rule_match m = { .ja4 = e->ja4_key, .stack = e->stack_key, .order = e->order_key };

	if (e->spec.has_src)
		m.src = e->spec.src;
	return m;
}

static bool cuts(const struct rule_entry *e)
{
	enum rule_action a = e->spec.action;

	return !e->spec.existing_keep && (a == RULE_DROP || a == RULE_RESET || a == RULE_REJECT);
}

int book_put(struct rulebook *b, struct rule_entry *e, struct reason *r)
{
	struct rule_match m = book_match(e);
	uint32_t index = slot_take(b);
	struct rule slot;
	int err;

	if (!index)
		return reason_set(r, -ENOSPC, "rule table full (%zu)", b->n_slots - 1);
	rule_slot(e, b->shadow, &slot);
	err = kern_rule_put(b->kern, index, &slot, &m, r);
	if (err) {
		slot_release(b, index);
		return err;
	}
	e->index = index;
	return 0;
}

int book_take_out(struct rulebook *b, struct rule_entry *e)
{
	struct rule_match m = book_match(e);
	int err;

	if (!e->index)
		return 0;
	err = kern_rule_remove(b->kern, e->index, &m);
	if (err && err != -ENOENT)
		return err;
	slot_release(b, e->index);
	e->index = 0;
	return 0;
}

/* Rules on a source alone meet every packet anyway. One look over 262,144 flows is
 * 0.3 ms to 3 ms, so there is one for all rules. */
void book_sweep(struct rulebook *b, const struct rule_entry *list, size_t n)
{
	_cleanup_(freep) struct rule_sweep *todo = calloc(n, sizeof(*todo));
	size_t k = 0;

	for (size_t i = 0; todo && i < n; i++) {
		struct rule_match m = book_match(&list[i]);

		if (list[i].index && m.stack && !b->shadow && !list[i].shadow && cuts(&list[i]))
			todo[k++] = (struct rule_sweep){ list[i].index, m };
	}
	if (k)
		kern_rules_sweep(b->kern, todo, k);
}

/* ---- adding ---------------------------------------------------------------------- */

static int write_pending(struct rulebook *b, struct rule_entry *list, size_t n)
{
	int err = store_begin(b->store);

	if (!err)
		err = store_rules_add(b->store, list, n);
	return store_end(b->store, err);
}

static int write_live(struct rulebook *b, const struct rule_entry *list, size_t n,
		      struct audit_row *audit)
{
	char detail[48];
	int err = store_begin(b->store);

	if (!err)
		err = store_rules_live(b->store, list[0].handle, list[n - 1].handle);
	if (!err && audit) {
		snprintf(detail, sizeof(detail), "rule %u%s", list[0].handle,
			 n > 1 ? " and more" : "");
		audit->detail = detail;
		err = store_audit(b->store, audit);
		audit->detail = NULL;
	}
	return store_end(b->store, err);
}

/* After a failure: out of the kernel again; the rows say abandoned if they can,
 * else they stay pending, which means the same after a restart. */
static void undo(struct rulebook *b, const struct clock *c, struct rule_entry *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		book_take_out(b, &list[i]);
		store_rule_gone(b->store, list[i].handle, "abandoned", c->real, NULL);
	}
}

int rulebook_add(struct rulebook *b, const struct clock *c, struct rule_entry *list, size_t n,
		 struct audit_row *audit, struct reason *r)
{
	int err = make_room(b, n);

	for (size_t i = 0; !err && i < n; i++) {
		list[i].expires_boot = clock_boot_of_real(c, list[i].expires);
		err = book_keys(b, &list[i], r);
	}
	if (err)
		return err;
	if (!b->store)
		return reason_set(r, -EROFS,
				  "the state database cannot be written; no rule is added");
	err = write_pending(b, list, n);
	if (err)
		return reason_set(r, err, "%s", store_error(b->store));
	stop_at("add-pending");

	if (n > 1) /* if this fails, they come into force one by one */
		kern_rules_begin(b->kern);
	for (size_t i = 0; !err && i < n; i++)
		if (rule_bound(&list[i]))
			err = book_put(b, &list[i], r);
	if (err)
		undo(b, c, list, n);
	kern_rules_commit(b->kern);
	if (err)
		return err;
	stop_at("add-kernel");

	err = write_live(b, list, n, audit);
	if (err) {
		reason_set(r, err, "%s", store_error(b->store));
		undo(b, c, list, n);
		return err;
	}
	stop_at("add-live");
	book_sweep(b, list, n);
	for (size_t i = 0; i < n; i++) {
		err = book_keep(b, &list[i]);
		if (err)
			return reason_set(r, err, "out of memory; restart winnowd");
	}
	return 0;
}

/* ---- removing -------------------------------------------------------------------- */

static int write_leaving(struct rulebook *b, const uint32_t *handle, size_t n)
{
	int err = store_begin(b->store);

	for (size_t i = 0; !err && i < n; i++)
		err = store_rule_phase(b->store, handle[i], RULE_LEAVING);
	return store_end(b->store, err);
}

static int write_gone(struct rulebook *b, const struct clock *c, const uint32_t *handle,
		      const struct rule_hits *hits, size_t n, const char *why,
		      struct audit_row *audit)
{
	int err = store_begin(b->store);

	for (size_t i = 0; !err && i < n; i++)
		err = store_rule_gone(b->store, handle[i], why, c->real, &hits[i]);
	if (!err && audit)
		err = store_audit(b->store, audit);
	return store_end(b->store, err);
}

int rulebook_remove(struct rulebook *b, const struct clock *c, const uint32_t *handle, size_t n,
		    const char *why, struct audit_row *audit, struct reason *r)
{
	_cleanup_(freep) struct rule_hits *hits = calloc(n ? n : 1, sizeof(*hits));
	int db = b->store ? 0 : -EROFS, err;

	if (!hits)
		return reason_set(r, -ENOMEM, "out of memory");
	if (!db)
		db = write_leaving(b, handle, n);
	stop_at("del-leaving");
	if (n > 1)
		kern_rules_begin(b->kern);
	for (size_t i = 0; i < n; i++) {
		struct rule_entry *e = rulebook_find(b, handle[i]);

		if (!e)
			continue;
		hits[i] = rulebook_hits(b, c, e);
		count(b, e, -1);
		err = book_take_out(b, e);
		if (err) {
			count(b, e, 1);
			book_compact(b);
			kern_rules_commit(b->kern);
			return reason_set(r, err, "remove rule %u from the kernel: %s", e->handle,
					  strerror(-err));
		}
		use_names(b, e, -1);
	}
	kern_rules_commit(b->kern);
	stop_at("del-kernel");
	if (!db)
		db = write_gone(b, c, handle, hits, n, why, audit);
	stop_at("del-gone");
	for (size_t i = 0; i < n; i++) {
		struct rule_entry *e = rulebook_find(b, handle[i]);

		if (e)
			e->index = UINT32_MAX;
	}
	for (size_t i = 0; i < b->n; i++)
		if (b->at[i]->index == UINT32_MAX)
			b->at[i]->handle = 0;
	book_compact(b);
	if (db)
		return reason_set(
			r, -EREMOTEIO,
			"out of force now, but the state database cannot be written (%s): "
			"it would be back after a restart",
			b->store ? store_error(b->store) : "none");
	return 0;
}

/* ---- reading ------------------------------------------------------------------- */

static const struct rule *slot_of(const struct rulebook *b, const struct rule_entry *e)
{
	size_t n;

	return e->index ? &kern_rules(b->kern, &n)[e->index] : NULL;
}

struct rule_hits rulebook_hits(const struct rulebook *b, const struct clock *c,
			       const struct rule_entry *e)
{
	const struct rule *s = slot_of(b, e);

	if (!s)
		return (struct rule_hits){};
	return (struct rule_hits){
		.connections = __atomic_load_n(&s->hits, __ATOMIC_RELAXED),
		.packets = __atomic_load_n(&s->hit_packets, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&s->hit_bytes, __ATOMIC_RELAXED),
		.would = __atomic_load_n(&s->would_hit, __ATOMIC_RELAXED),
		.unproved = kern_rule_unproved(b->kern, e->index),
		.last = clock_real_of_mono(c, __atomic_load_n(&s->last_hit, __ATOMIC_RELAXED)),
	};
}

uint64_t rulebook_expires(const struct rulebook *b, const struct clock *c,
			  const struct rule_entry *e)
{
	const struct rule *s = slot_of(b, e);

	return s ? clock_real_of_boot(c, s->expires) : e->expires;
}

/* ---- while it runs -------------------------------------------------------------- */

int rulebook_bind(struct rulebook *b, const struct clock *c)
{
	struct reason r;
	int bound = 0;

	for (size_t i = 0; b->n_unbound && i < b->n; i++) {
		struct rule_entry *e = b->at[i];

		if (rule_bound(e))
			continue;
		count(b, e, -1);
		use_names(b, e, -1);
		/* A name that two fingerprints share leaves the rule unbound. */
		book_keys(b, e, &r);
		use_names(b, e, 1);
		if (rule_bound(e)) {
			/* If this fails, the next start computes the keys again. */
			if (b->store)
				store_rule_keys(b->store, e);
			if (!book_put(b, e, &r))
				book_sweep(b, e, 1);
			bound++;
		}
		count(b, e, 1);
	}
	return bound;
}

int rulebook_tick(struct rulebook *b, const struct clock *c)
{
	_cleanup_(freep) uint32_t *due = NULL;
	uint64_t next = UINT64_MAX;
	struct reason r;
	int n = 0;

	if (c->boot < b->due && !b->n_waiting)
		return 0;
	for (size_t i = 0; i < b->n; i++) {
		struct rule_entry *e = b->at[i];
		const struct rule *s = slot_of(b, e);
		bool over = s ? s->expires && s->expires <= c->boot
			      : e->expires && e->expires <= c->real;

		if (s && s->expires && s->expires < next)
			next = s->expires;
		else if (!s && e->expires)
			next = 0; /* by the wall clock, which may step */

		if (over) {
			if (!due)
				due = calloc(b->n, sizeof(*due));
			if (!due)
				return -ENOMEM;
			due[n++] = e->handle;
		} else if (b->n_waiting && rule_bound(e) && !s) {
			count(b, e, -1);
			book_put(b, e, &r);
			count(b, e, 1);
		}
	}
	b->due = n ? 0 : next;
	if (n)
		rulebook_remove(b, c, due, n, "expired", NULL, &r);
	return n;
}

void rulebook_set_shadow(struct rulebook *b, bool on)
{
	b->shadow = on;
	for (size_t i = 0; i < b->n; i++)
		book_impose(b, b->at[i]);
}
