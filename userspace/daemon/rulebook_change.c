/* SPDX-License-Identifier: BSD-2-Clause */
/* What changes about rules that are there: expiry, counting or acting, canary. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/rulebook_internal.h"

/* The expiry before the flag: a rule that is pending never acts beyond its deadline. */
void book_impose(struct rulebook *b, const struct rule_entry *e)
{
	struct rule *s;
	size_t n;

	b->due = 0;
	if (!e->index)
		return;
	s = &kern_rules(b->kern, &n)[e->index];
	__atomic_store_n(&s->expires, e->expires_boot, __ATOMIC_RELEASE);
	__atomic_store_n(&s->holdout, e->holdout, __ATOMIC_RELEASE);
	__atomic_store_n(&s->canary, e->canary, __ATOMIC_RELEASE);
	__atomic_store_n(&s->epoch, e->epoch, __ATOMIC_RELEASE);
	__atomic_store_n(&s->d1_min, e->spec.d1_min, __ATOMIC_RELEASE);
	__atomic_store_n(&s->dstar_min, e->spec.dstar_min, __ATOMIC_RELEASE);
	if (b->shadow || e->shadow)
		__atomic_fetch_or(&s->flags, RULE_SHADOW, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&s->flags, (uint8_t)~RULE_SHADOW, __ATOMIC_RELEASE);
	kern_rule_changed(b->kern, e->index);
}

static void set_expiry(struct rule_entry *e, const struct clock *c, uint64_t expires)
{
	e->expires = expires;
	e->expires_boot = clock_boot_of_real(c, expires);
}

static void change_one(struct rule_entry *e, const struct clock *c, const struct rule_change *w,
		       size_t i)
{
	switch (w->what) {
	case CHANGE_ENFORCE:
		if (w->deadline && e->shadow && e->pending == RULE_SETTLED) {
			e->pending = RULE_ENFORCED;
			e->then = e->expires;
			if (!e->expires || w->deadline < e->expires)
				set_expiry(e, c, w->deadline);
		}
		e->shadow = false;
		if (w->epoch) {
			e->epoch = w->epoch;
			e->canary = w->canary;
			e->holdout = w->holdout;
		}
		break;
	case CHANGE_COUNT:
		if (e->pending == RULE_ENFORCED)
			set_expiry(e, c, e->then);
		e->pending = e->pending == RULE_ADDED ? RULE_ADDED : RULE_SETTLED;
		e->shadow = true;
		break;
	case CHANGE_CONFIRM:
		if (e->pending)
			set_expiry(e, c, e->then);
		e->pending = RULE_SETTLED;
		break;
	case CHANGE_CANARY:
		e->canary = w->canary;
		break;
	case CHANGE_RENEW:
		if (e->pending)
			e->then = w->expires;
		else
			set_expiry(e, c, w->expires);
		break;
	case CHANGE_DELAYS:
		e->spec.d1_min = w->delays[i].d1;
		e->spec.dstar_min = w->delays[i].dstar;
		break;
	}
}

static int write_states(struct rulebook *b, const struct rule_entry *list, size_t n, bool text,
			struct audit_row *audit)
{
	int err = store_begin(b->store);

	for (size_t i = 0; !err && i < n; i++)
		err = text ? store_rule_text(b->store, &list[i])
			   : store_rule_state(b->store, &list[i]);
	if (!err && audit)
		err = store_audit(b->store, audit);
	return store_end(b->store, err);
}

int rulebook_change(struct rulebook *b, const struct clock *c, const uint32_t *handle, size_t n,
		    const struct rule_change *change, struct audit_row *audit, struct reason *r)
{
	_cleanup_(freep) struct rule_entry *next = calloc(n ? n : 1, sizeof(*next));
	size_t k = 0;
	int err;

	if (!next)
		return reason_set(r, -ENOMEM, "out of memory");
	if (!b->store)
		return reason_set(r, -EREMOTEIO,
				  "the state database cannot be written; nothing is changed");
	for (size_t i = 0; i < n; i++) {
		const struct rule_entry *e = rulebook_find(b, handle[i]);

		if (!e)
			continue;
		next[k] = *e; /* borrowed */
		change_one(&next[k++], c, change, i);
	}
	err = write_states(b, next, k, change->what == CHANGE_DELAYS, audit);
	if (err)
		return reason_set(r, err, "%s", store_error(b->store));
	stop_at("change-written");
	for (size_t i = 0; i < k; i++) {
		struct rule_entry *e = rulebook_find(b, next[i].handle);

		*e = next[i];
		book_impose(b, e);
	}
	if (change->what == CHANGE_ENFORCE && k)
		book_sweep(b, next, k);
	stop_at("change-kernel");
	return 0;
}

static int select_pending(const struct rulebook *b, enum rule_pending only, uint32_t **out,
			  size_t *n)
{
	*n = 0;
	*out = calloc(b->n ? b->n : 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++)
		if (b->at[i]->pending && (!only || b->at[i]->pending == only))
			(*out)[(*n)++] = b->at[i]->handle;
	return 0;
}

int rulebook_pending(const struct rulebook *b, uint32_t **out, size_t *n)
{
	return select_pending(b, RULE_SETTLED, out, n);
}

int rulebook_revert(struct rulebook *b, const struct clock *c, const char *why,
		    struct audit_row *audit, struct reason *r)
{
	_cleanup_(freep) uint32_t *added = NULL;
	_cleanup_(freep) uint32_t *enforced = NULL;
	struct rule_change count = { .what = CHANGE_COUNT };
	size_t n_added, n_enforced;
	int err, other = 0;

	if (select_pending(b, RULE_ADDED, &added, &n_added) ||
	    select_pending(b, RULE_ENFORCED, &enforced, &n_enforced))
		return reason_set(r, -ENOMEM, "out of memory");
	if (n_enforced)
		other = rulebook_change(b, c, enforced, n_enforced, &count, NULL, r);
	/* No database: the kernel at least, and its expiry is the deadline anyway. */
	for (size_t i = 0; other && i < n_enforced; i++) {
		struct rule_entry *e = rulebook_find(b, enforced[i]);

		change_one(e, c, &count, i);
		book_impose(b, e);
	}
	err = rulebook_remove(b, c, added, n_added, why, audit, r);
	if (!err && other)
		err = reason_set(r, -EREMOTEIO,
				 "reverted now, but the state database cannot be written");
	return err;
}
