/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/replay_farms.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "detect/state.h"
#include "model/event.h"
#include "model/tallies.h"
#include "tls/names.h"

#define JA4_KEPT 16

struct stack_names {
	char name[40];
	char ja4[JA4_KEPT][40];
	size_t n_ja4;
	uint32_t flags;
};

struct farms_run {
	struct detect *detect;
	struct farms farms;
	struct plan plan;
	struct table names; /* stack -> struct stack_names * */
	uint64_t due, clean_for;
};

int farms_new(const struct detect_config *c, struct farms_run **out)
{
	_cleanup_(farms_freep) struct farms_run *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	table_init(&f->names, sizeof(uint64_t), sizeof(struct stack_names *));
	f->detect = detect_new(c);
	if (!f->detect)
		return -ENOMEM;
	*out = take_ptr(f);
	return 0;
}

void farms_free(struct farms_run *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->names.n; i++)
		free(*(struct stack_names **)table_value(&f->names, i));
	table_clear(&f->names);
	plan_clear(&f->plan);
	farms_clear(&f->farms);
	detect_free(f->detect);
	free(f);
}

void farms_freep(struct farms_run **f)
{
	farms_free(*f);
}

int farms_name(struct farms_run *f, uint64_t stack, const char *name, const char *ja4,
	       uint32_t hello_flags)
{
	struct stack_names **slot = table_add(&f->names, &stack, NULL), *n;

	if (!slot)
		return -ENOMEM;
	if (!*slot)
		*slot = calloc(1, sizeof(**slot));
	n = *slot;
	if (!n)
		return -ENOMEM;
	n->flags |= hello_flags;
	if (name && !n->name[0])
		snprintf(n->name, sizeof(n->name), "%s", name);
	for (size_t i = 0; ja4 && i < n->n_ja4; i++) {
		if (!strcmp(n->ja4[i], ja4))
			return 0;
	}
	if (ja4 && n->n_ja4 < JA4_KEPT)
		snprintf(n->ja4[n->n_ja4++], sizeof(n->ja4[0]), "%s", ja4);
	return 0;
}

static const struct stack_names *names_of(const struct farms_run *f, uint64_t stack)
{
	struct stack_names **slot = table_find(&f->names, &stack);

	return slot ? *slot : NULL;
}

static const char *stack_name(void *ctx, uint64_t stack)
{
	const struct stack_names *n = names_of(ctx, stack);

	return n && n->name[0] ? n->name : NULL;
}

static size_t stack_ja4(void *ctx, uint64_t stack, const char **out, size_t max)
{
	const struct stack_names *n = names_of(ctx, stack);
	size_t i;

	for (i = 0; n && i < n->n_ja4 && i < max; i++)
		out[i] = n->ja4[i];
	return i;
}

int farms_stacks(const struct farms_run *f, struct snapshot *s)
{
	int err = 0;

	for (size_t i = 0; i < f->names.n && !err; i++)
		err = snapshot_add_stack(s, *(const uint64_t *)table_key(&f->names, i),
					 (*(struct stack_names **)table_value(&f->names, i))
						 ->flags);
	return err;
}

void farms_configure(struct farms_run *f, const struct detect_config *c)
{
	detect_configure(f->detect, c);
}

void farms_clean_for(struct farms_run *f, uint64_t baseline)
{
	f->clean_for = baseline;
}

void farms_skip(struct farms_run *f, uint64_t at)
{
	f->due = detect_next(f->detect, at);
}

uint64_t farms_due(struct farms_run *f, uint64_t now)
{
	struct detect_config c = *detect_configured(f->detect);

	if (!f->due && f->clean_for) {
		c.baseline_until = now + f->clean_for;
		detect_configure(f->detect, &c);
	}
	if (!f->due)
		f->due = detect_next(f->detect, now);
	return f->due;
}

int farms_window(struct farms_run *f, const struct snapshot *s)
{
	plan_clear(&f->plan);
	farms_clear(&f->farms);
	f->due = detect_next(f->detect, s->time + s->epoch);
	return detect_step(f->detect, s, &f->farms, &f->plan);
}

/* ---- events ---------------------------------------------------------------- */

struct hellos {
	struct tallies_name *names; /* by index */
	size_t n;
	struct namer *namer;
	struct secret secret;
};

/* The meaning of hello number `index`, parsed the first time it is met. */
static int hello_meaning(struct farms_run *f, struct hellos *h, const struct event_reader *reader,
			 uint32_t index, struct tallies_name *out, struct reason *r)
{
	while (h->n <= index) {
		struct tallies_name *more = realloc(h->names, (h->n + 1) * sizeof(*more));
		const struct names *names = NULL;
		const uint8_t *message;
		struct hello hello = {};
		size_t len = 0;
		int result, err;

		if (!more)
			return -ENOMEM;
		h->names = more;
		message = event_hello(reader, h->n, &len);
		result = namer_parse(h->namer, message, len, &h->secret, 't', &hello);
		if (result != HELLO_OK)
			return reason_set(r, -EINVAL, "hello %zu is no ClientHello (result %d)",
					  h->n, result);
		err = namer_name(h->namer, message, len, &hello, &names);
		if (!err)
			err = farms_name(f, hello.stack_key, names->stack, names->ja4, hello.flags);
		if (err)
			return err;
		more[h->n++] = (struct tallies_name){ .stack = hello.stack_key,
						      .order = hello.order_hash,
						      .hello_flags = hello.flags };
	}
	*out = h->names[index];
	return 0;
}

/* Closes every window that ends before `until`. */
static int windows_close(struct farms_run *f, struct tallies *t, uint64_t until)
{
	int err = 0;

	while (!err && f->due <= until) {
		_cleanup_(snapshot_freep) struct snapshot *s = NULL;

		err = tallies_advance(t, f->due);
		if (!err)
			err = tallies_snapshot(t, false, &s);
		if (!err)
			err = farms_window(f, s);
	}
	return err;
}

static int play(struct farms_run *f, struct event_reader *reader, struct hellos *h,
		struct tallies *t, const volatile sig_atomic_t *stop, struct reason *r)
{
	struct tallies_name name;
	struct event_conn e;
	uint64_t last = 0;
	int more, err = 0;

	while (!(stop && *stop) && (more = event_next(reader, &e, r)) != 0) {
		if (more < 0) {
			err = more;
			break;
		}
		if (farms_due(f, e.t) <= e.t)
			err = windows_close(f, t, e.t);
		if (!err)
			err = hello_meaning(f, h, reader, e.hello, &name, r);
		if (!err)
			err = tallies_connection(t, &e, &name);
		if (err == -ERANGE)
			reason_set(r, err, "an event goes back in time by more than a second");
		if (err)
			break;
		last = e.t;
		for (size_t i = 0; i < e.n_exchanges; i++)
			last = last > e.t + e.exchanges[i].dt_ms * NSEC_PER_MSEC
				       ? last
				       : e.t + e.exchanges[i].dt_ms * NSEC_PER_MSEC;
	}
	/* The window that the stream ends in is judged, too. */
	if (f->due) {
		int closing = windows_close(f, t, last > f->due ? last : f->due);

		err = err ? err : closing;
	}
	return err;
}

int farms_events(struct farms_run *f, FILE *in, const volatile sig_atomic_t *stop, struct reason *r)
{
	_cleanup_(event_closep) struct event_reader *reader = NULL;
	_cleanup_(tallies_freep) struct tallies *t = tallies_new();
	_cleanup_(namer_freep) struct namer *namer = NULL;
	/* Any secret: nothing of it leaves this process. */
	struct hellos h = { .secret = { { 1, 2, 3, 4 } } };
	int err;

	r->text[0] = '\0';
	if (!t)
		return -ENOMEM;
	err = namer_new(&namer);
	if (err)
		return err;
	h.namer = namer;
	err = event_open(in, &reader, r);
	if (!err)
		err = play(f, reader, &h, t, stop, r);
	free(h.names);
	if (err && !r->text[0])
		reason_set(r, err, "%s", strerror(-err));
	return err;
}

/* ---- answers ---------------------------------------------------------------- */

int farms_print(const struct farms_run *f, bool plan, FILE *out)
{
	struct farm_names names = { (void *)f, stack_name, stack_ja4 };
	json_t *j = plan ? plan_json(&f->plan, &f->farms, &names)
			 : farms_json(&f->farms, &f->plan, &names);
	int err = -ENOMEM;

	if (j)
		err = json_dumpf(j, out, JSON_COMPACT) || fputc('\n', out) == EOF ? -EIO : 0;
	json_decref(j);
	return err;
}

static void explain(const struct farms_run *f, size_t i, FILE *out)
{
	const struct farm *a = &f->farms.farm[i];
	const struct plan_farm *p = i < f->plan.n_farms ? &f->plan.farms[i] : NULL;
	const char *name = stack_name((void *)f, a->stack);
	char when[TIME_TEXT];

	fprintf(out, "%s %s %s: %zu members among %u sources of %s\n", a->id,
		farm_state_name[a->state], a->onset ? time_text(a->onset, 0, when) : "",
		a->n_members, a->sources, name ? name : "an unnamed stack");
	fprintf(out,
		"  one more kind of source than when clean: gain %.1f nats, share %.1f%% "
		"(%.1f-%.1f%%); %u sources when clean\n",
		a->gain, 100 * a->share, 100 * a->share_lo, 100 * a->share_hi, a->clean_sources);
	for (size_t k = 0; k < a->n_lines; k++) {
		const struct farm_line *l = &a->line[k];

		fprintf(out, "  %-13s%-9s %+6.1f bits  %s (%.2f; a farm %.2f, %s %.2f)\n",
			evidence_family_name[l->family], l->name, l->bits, l->text, l->value,
			l->farm, a->nearest_benign, l->benign);
	}
	fprintf(out, "  prior %+.1f", a->prior);
	for (int k = 0; k < FAMILY_MAX; k++)
		fprintf(out, ", %s %+.1f", evidence_family_name[k], a->evidence[k]);
	fprintf(out, " = %+.1f bits against %s\n", a->bits, a->nearest_benign);
	for (int k = 0; k < FAMILY_MAX; k++)
		fprintf(out, "  without %s it would be %+.1f\n", evidence_family_name[k],
			a->without[k]);
	if (a->gate[0])
		fprintf(out, "  held back: %s\n", a->gate);
	if (p)
		fprintf(out,
			"  plan: %zu rules, %zu members spared; innocents expected %.2f, at most "
			"%.0f (95%%)\n",
			p->rules, p->spared, p->collateral.sources, p->collateral.upper95);
	for (size_t k = 0; k < f->plan.n_gates; k++) {
		if (f->plan.gates[k].farm == i && !f->plan.gates[k].met)
			fprintf(out, "  not by itself: %s\n", f->plan.gates[k].text);
	}
}

int farms_explain(const struct farms_run *f, FILE *out)
{
	if (!f->farms.n)
		fputs("no farm\n", out);
	for (size_t i = 0; i < f->farms.n; i++)
		explain(f, i, out);
	return ferror(out) ? -EIO : 0;
}

int farms_time(const char *text, uint64_t *ns)
{
	char *end;
	double t;

	if (!time_parse(text, ns))
		return 0;
	t = strtod(text, &end);
	if (end == text || *end || !(t >= 0 && t < 18e9))
		return -EINVAL;
	*ns = (uint64_t)llround(t * 1e6) * 1000;
	return 0;
}
