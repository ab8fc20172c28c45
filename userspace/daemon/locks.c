/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/locks.h"

#include <errno.h>

#include "daemon/check.h"

#define CROWD_EVERY (60 * NSEC_PER_SEC)

static bool stops(const struct rule_spec *s)
{
	return s->action == RULE_LIMIT || s->action == RULE_DROP || s->action == RULE_RESET ||
	       s->action == RULE_REJECT;
}

static int addresses(struct daemon *d, const struct rule_spec *s, const struct protect *guard,
		     struct reason *r)
{
	static const struct protect nobody;
	const struct allow_entry *allow = NULL;
	char rule[ADDR_TEXT], net[ADDR_TEXT];
	int err = protect_check(&nobody, s, r); /* too wide? */

	if (err)
		return err;
	if (s->has_src && s->action != RULE_PASS)
		allow = allowbook_overlap(&d->allows, &s->src);
	if (allow)
		return reason_set(r, -EACCES, "src %s covers %s, which is on the allow list%s%s",
				  cidr_text(&s->src, rule), cidr_text(&allow->net, net),
				  *allow->reason ? ": " : "", allow->reason);
	return protect_check(guard, s, r);
}

static int share(struct daemon *d, const struct rule_entry *e, const struct blast_view *view,
		 struct reason *r)
{
	struct blast b;
	double part;

	if (e->spec.has_src || rule_asks_state(&e->spec))
		return 0;
	blast_of(view, e, BLAST_DAY, &b);
	part = b.all_outside ? (double)b.outside / b.all_outside : 0;
	if (part <= d->cfg.max_share)
		return 0;
	return reason_set(r, -EACCES,
			  "it would have hit %llu of %llu proved sources outside farms in the last "
			  "day (%.2g%%, max_share is %.2g%%). Try: src or a state, or action count",
			  (unsigned long long)b.outside, (unsigned long long)b.all_outside,
			  100 * part, 100 * d->cfg.max_share);
}

static int crowd(const struct rule_entry *e, const struct blast_view *view, struct reason *r)
{
	const struct blast_crowd *c = &view->crowd;
	char addr[ADDR_TEXT];

	if (!e->spec.has_src || rule_asks_state(&e->spec) || !view->crowded ||
	    !cidr_has(&e->spec.src, c->addr))
		return 0;
	return reason_set(r, -EACCES,
			  "%s carries %zu of the %zu stacks seen: a balancer or CDN, and everybody "
			  "behind it. Try: proxy_from, so that its PROXY headers tell them apart",
			  addr_text(c->addr, addr), c->stacks, c->of);
}

int locks_check(struct daemon *d, const struct rule_entry *e, bool acts,
		const struct protect *guard, const struct blast_view *view, struct reason *r)
{
	int err = addresses(d, &e->spec, guard, r);

	if (err || !acts || !stops(&e->spec))
		return err;
	err = share(d, e, view, r);
	return err ? err : crowd(e, view, r);
}

static void look_for_crowd(struct daemon *d)
{
	struct blast_view view;
	const struct blast_crowd *c = &view.crowd;
	char addr[ADDR_TEXT];

	if (blast_look(d, &view))
		return;
	if (view.crowded)
		trouble_set(
			d, "balancer",
			"%s carries %zu of the %zu stacks seen: rules on it would hit everybody "
			"behind it and are refused. Try: proxy_from = %s, if it sends PROXY "
			"headers",
			addr_text(c->addr, addr), c->stacks, c->of, addr);
	else
		trouble_set(d, "balancer", NULL);
	blast_clear(&view);
}

void locks_tick(struct daemon *d, const struct clock *c)
{
	struct protect guard = {};
	struct reason r = {};

	protect_friends(&guard);
	if (allowbook_builtin(&d->allows, c, &guard, &r))
		trouble_set(d, "allow", "%s", r.text);
	protect_clear(&guard);
	if (c->mono < d->next_crowd)
		return;
	d->next_crowd = c->mono + CROWD_EVERY;
	look_for_crowd(d);
}
