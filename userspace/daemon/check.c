/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time.h"

enum fit { FIT_NO, FIT_POSSIBLE, FIT_CERTAIN };

static unsigned int split_count(const struct tally *t, uint16_t least)
{
	unsigned int n = 0;

	for (int i = 0; i < DSTAR_KEPT; i++)
		n += t->dstar[i] != DSTAR_NONE && (t->dstar[i] & ~DSTAR_RESUMED) >= least;
	return n;
}

/* The states of a rule against what earlier connections showed. */
static enum fit fit_state(const struct rule_spec *s, const struct snapshot *snap,
			  const struct tally *t)
{
	uint64_t age = snap->time + snap->epoch - snapshot_ns(snap, t->first_seen);

	if (s->split_min && split_count(t, s->split_dstar) < s->split_min)
		return FIT_NO;
	if (s->not_resumed && t->resumed)
		return FIT_NO;
	if (s->seen_min > t->connections)
		return FIT_NO;
	if (s->age_max && age > s->age_max)
		return FIT_NO;
	return s->d1_min || s->dstar_min ? FIT_POSSIBLE : FIT_CERTAIN;
}

/* Fingerprints of a rule against one stack; a JA4 belongs to one stack. */
static enum fit fit_stack(const struct daemon *d, const struct rule_entry *e, uint64_t stack)
{
	const struct name_entry *ja4 = namebook_get(&d->names, NAME_JA4, e->ja4_key);

	if (!rule_bound(e))
		return FIT_NO;
	if (e->spec.stack && e->stack_key != stack)
		return FIT_NO;
	if (e->spec.ja4 && ja4 && ja4->stack != stack)
		return FIT_NO;
	return e->spec.ja4 || e->spec.order ? FIT_POSSIBLE : FIT_CERTAIN;
}

static enum fit fit_tally(const struct daemon *d, const struct rule_entry *e,
			  const struct snapshot *snap, const struct tally *t)
{
	enum fit stack = fit_stack(d, e, t->stack), state;

	if (!stack)
		return FIT_NO;
	state = fit_state(&e->spec, snap, t);
	return stack < state ? stack : state;
}

static bool has_addr(const struct rule_spec *s, struct addr a)
{
	return !s->has_src || cidr_has(&s->src, a);
}

/* ---- one source ------------------------------------------------------------------ */

struct question {
	struct daemon *d;
	struct addr addr;
	uint64_t stack, src;
	uint8_t family;
	const struct snapshot *snap;
};

/* The best fit over the rows of the source; a rule on the source alone needs none. */
static enum fit fit_source(const struct question *q, const struct rule_entry *e)
{
	bool hello = e->spec.ja4 || e->spec.stack || e->spec.order;
	enum fit best = FIT_NO;

	if (!has_addr(&e->spec, q->addr))
		return FIT_NO;
	if (!hello && !rule_asks_state(&e->spec))
		return FIT_CERTAIN;
	if (q->stack && !rule_asks_state(&e->spec))
		return fit_stack(q->d, e, q->stack);
	for (size_t i = 0; i < q->snap->n_rows; i++) {
		const struct tally *t = &q->snap->rows[i];
		enum fit fit;

		if (t->src != q->src || t->family != q->family ||
		    (q->stack && t->stack != q->stack))
			continue;
		fit = fit_tally(q->d, e, q->snap, t);
		if (fit > best)
			best = fit;
	}
	return best;
}

static bool drops(enum rule_action a)
{
	return a == RULE_DROP || a == RULE_RESET || a == RULE_REJECT;
}

struct found {
	const struct rule_entry **rules;
	size_t n;
	const struct rule_entry *drop, *pass, *other, *possible; /* the newest of each */
};

static int find_rules(const struct question *q, struct found *f)
{
	const struct rulebook *b = &q->d->rules;

	f->rules = calloc(b->n ? b->n : 1, sizeof(f->rules[0]));
	if (!f->rules)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++) {
		const struct rule_entry *e = b->at[i];
		enum fit fit = fit_source(q, e);

		if (!fit)
			continue;
		f->rules[f->n++] = e;
		if (fit == FIT_POSSIBLE)
			f->possible = e;
		else if (e->spec.action == RULE_PASS)
			f->pass = e;
		else if (drops(e->spec.action) && !e->shadow)
			f->drop = e;
		else
			f->other = e;
	}
	return 0;
}

/* "rule 7 (action reset), added by operator on ..., until ...: reason". */
static void describe(FILE *f, struct daemon *d, const struct rule_entry *e)
{
	struct clock c = clock_now();
	uint64_t until = rulebook_expires(&d->rules, &c, e);
	char t[TIME_TEXT];

	fprintf(f, "rule %u (action %s), added by %s on %s", e->handle,
		rule_action_text(e->spec.action), e->origin, time_text(e->created, 0, t));
	if (until)
		fprintf(f, ", until %s", time_text(until, 0, t));
	fprintf(f, ", reason: %s", e->spec.reason);
}

/* Why nothing is dropped although a rule says so; NULL: it is. */
static const char *spared_by(struct daemon *d)
{
	if (kern_control(d->kern)->panic)
		return "panic is on and nothing is dropped; otherwise by ";
	return d->rules.shadow ? "enforce = no, rules only count; otherwise by " : NULL;
}

static bool say(FILE *f, const struct question *q, const struct found *found,
		const struct allow_entry *allow)
{
	char addr[ADDR_TEXT], net[ADDR_TEXT];
	const char *spared = spared_by(q->d);

	addr_text(q->addr, addr);
	if (allow) {
		fprintf(f, "%s is let through: %s is on the allow list (%s%s%s).", addr,
			cidr_text(&allow->net, net), allow->origin, *allow->reason ? ", " : "",
			allow->reason);
		return false;
	}
	if (found->pass) {
		fprintf(f, "%s is let through by ", addr);
		describe(f, q->d, found->pass);
	} else if (found->drop) {
		fprintf(f, "%s %s", addr, spared ? "is let through: " : "would be dropped by ");
		fputs(spared ? spared : "", f);
		describe(f, q->d, found->drop);
	} else if (found->other) {
		fprintf(f, "%s is %s by ", addr,
			found->other->spec.action == RULE_LIMIT ? "limited"
								: "counted, not dropped,");
		describe(f, q->d, found->other);
	} else if (found->possible) {
		fprintf(f, "%s may be met by ", addr);
		describe(f, q->d, found->possible);
		fputs("; that depends on its next ClientHello", f);
	} else {
		fprintf(f, "%s is let through: no rule matches it", addr);
	}
	fputc('.', f);
	return found->drop && !found->pass && !spared;
}

json_t *check_source(struct daemon *d, struct addr a, uint64_t stack, bool *dropped)
{
	_cleanup_(snapshot_freep) struct snapshot *snap = daemon_snapshot(d);
	struct question q = { .d = d, .addr = a, .stack = stack, .snap = snap };
	const struct allow_entry *allow = allowbook_holds(&d->allows, a);
	_cleanup_(freep) char *text = NULL;
	struct found found = {};
	json_t *doc, *rules;
	size_t len;
	FILE *f;

	q.src = source_of(a, &q.family);
	if (!snap || find_rules(&q, &found))
		return NULL;
	f = open_memstream(&text, &len);
	if (!f) {
		free(found.rules);
		return NULL;
	}
	*dropped = say(f, &q, &found, allow);
	fclose(f);
	doc = document_rules(d, found.rules, found.n);
	rules = json_incref(json_object_get(doc, "rules"));
	json_decref(doc);
	doc = json_pack("{s:s, s:s, s:b, s:b, s:b, s:o}", "schema", "winnow.check/1", "text", text,
			"matched", found.n != 0, "dropped", *dropped, "allowed", allow != NULL,
			"rules", rules);
	free(found.rules);
	return doc;
}

/* ---- one tally --------------------------------------------------------------------- */

bool check_meets(struct daemon *d, const struct rule_entry *e, const struct snapshot *snap,
		 const struct tally *t)
{
	bool hello = e->spec.ja4 || e->spec.stack || e->spec.order;
	struct cidr net = { source_addr(t->src, t->family), t->family == 4 ? 128 : 64 };

	if (e->spec.has_src && !cidr_overlaps(&e->spec.src, &net))
		return false;
	return !(hello || rule_asks_state(&e->spec)) || fit_tally(d, e, snap, t);
}
