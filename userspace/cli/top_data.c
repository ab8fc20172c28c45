/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "cli/farm_report.h"
#include "cli/rows.h"
#include "cli/source_report.h"

/* What one thing counted at the page before, and its rates lately. */
struct series {
	double last;
	double spark[TOP_SPARK]; /* a ring; `n` rates so far */
	uint32_t n;
	uint32_t page; /* that counted it last */
};

struct top_history {
	struct table series; /* u64 hash of its name -> struct series */
	uint64_t then;       /* ns, of the page before; 0: none yet */
	uint32_t page;
	int pid; /* of the daemon that was asked */
};

void top_documents_clear(struct top_documents *d)
{
	json_decref(d->status);
	json_decref(d->fingerprints);
	json_decref(d->farms);
	json_decref(d->sources);
	json_decref(d->rules);
	*d = (struct top_documents){ 0 };
}

struct top_history *top_history_new(void)
{
	struct top_history *h = calloc(1, sizeof(*h));

	if (h)
		table_init(&h->series, sizeof(uint64_t), sizeof(struct series));
	return h;
}

void top_history_free(struct top_history *h)
{
	if (!h)
		return;
	table_clear(&h->series);
	free(h);
}

/* FNV-1a over the three words and the ends between them. */
static uint64_t hash_of(const char *kind, const char *name, const char *more)
{
	const char *const words[] = { kind, name, more };
	uint64_t x = 0xcbf29ce484222325ULL;

	for (int i = 0; i < 3; i++)
		for (const char *p = words[i];; p++) {
			x = (x ^ (unsigned char)*p) * 0x100000001b3ULL;
			if (!*p)
				break;
		}
	return x;
}

/* The rate of a counter since the page before, NAN: not known. */
static double rate(struct top_history *h, double seconds, const char *kind, const char *name,
		   const char *more, double count, struct series **out)
{
	uint64_t key = hash_of(kind, name, more);
	bool first;
	struct series *s = table_add(&h->series, &key, &first);
	double per_s = NAN;

	*out = s;
	if (!s)
		return NAN;
	/* One that was not there before has begun since then. */
	if (seconds > 0 && !(first && h->page < 2) && count >= s->last)
		per_s = (count - s->last) / seconds;
	if (!isnan(per_s))
		s->spark[s->n++ % TOP_SPARK] = per_s;
	s->last = count;
	s->page = h->page;
	return per_s;
}

static json_t *number(double v)
{
	return isnan(v) ? json_null() : json_real(v < 1000 ? round(v * 100) / 100 : round(v));
}

/* Oldest first. */
static json_t *spark(const struct series *s)
{
	uint32_t n = s && s->n < TOP_SPARK ? s->n : TOP_SPARK;
	json_t *list = json_array();

	for (uint32_t i = 0; s && i < n; i++)
		json_array_append_new(list, number(s->spark[(s->n - n + i) % TOP_SPARK]));
	return list;
}

static json_int_t sum(const json_t *o, const char *const *keys)
{
	json_int_t n = 0;

	for (; *keys; keys++)
		n += json_int_at(o, *keys);
	return n;
}

static json_t *rates(struct top_history *h, double seconds, const json_t *counters, json_t **sparks)
{
	static const char *const dropped[] = { "verdict_drop", "verdict_reset", "verdict_reject",
					       NULL };
	json_t *out = json_object(), *lines = json_object(), *v;
	struct series *s;
	const char *name;

	json_object_foreach((json_t *)counters, name, v) {
		double r = rate(h, seconds, "counter", name, "", json_number_value(v), &s);

		json_object_set_new(out, name, number(r));
		if (!strcmp(name, "packets"))
			json_object_set_new(lines, "packets", spark(s));
		if (!strcmp(name, "conn_proved"))
			json_object_set_new(lines, "connections", spark(s));
	}
	json_object_set_new(out, "dropped",
			    number(rate(h, seconds, "counter", "dropped", "",
					(double)sum(counters, dropped), &s)));
	json_object_set_new(lines, "dropped", spark(s));
	*sparks = lines;
	return out;
}

static json_t *stacks(struct top_history *h, double seconds, const json_t *list)
{
	json_t *out = json_array(), *row;
	struct series *s;
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		const char *name = json_text_at(row, "stack", "?");
		json_t *o = json_copy(row);

		json_object_set_new(o, "connections_s",
				    number(rate(h, seconds, "stack.c", name, "",
						(double)json_int_at(row, "connections"), &s)));
		json_object_set_new(o, "exchanges_s",
				    number(rate(h, seconds, "stack.x", name, "",
						(double)json_int_at(row, "exchanges"), &s)));
		json_object_set_new(o, "spark", spark(s));
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *farms(const json_t *list)
{
	json_t *out = json_array(), *row;
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		const json_t *rules = json_object_get(row, "rules"), *r;
		json_t *o = json_copy(row);
		size_t k, in_force = 0;

		json_array_foreach((json_t *)rules, k, r)
			in_force += json_is_integer(json_object_get(r, "handle"));
		json_object_set_new(o, "members_n",
				    json_integer(json_array_size(json_object_get(row, "members"))));
		json_object_set_new(o, "exchanges", json_integer(farm_sum(row, "exchanges")));
		json_object_set_new(o, "in_force", json_integer(in_force));
		json_object_set_new(o, "proposed", json_integer(json_array_size(rules)));
		json_object_del(o, "members");
		json_object_del(o, "rules");
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *sources(struct top_history *h, double seconds, const json_t *list)
{
	json_t *out = json_array(), *row;
	struct series *s;
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		json_t *o = json_copy(row);

		json_object_set_new(o, "exchanges_s",
				    number(rate(h, seconds, "source", json_text_at(row, "src", "?"),
						json_text_at(row, "stack", ""),
						(double)json_int_at(row, "exchanges"), &s)));
		json_object_set_new(o, "dstar_us", source_dstar(row));
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *rules(struct top_history *h, double seconds, const json_t *list)
{
	json_t *out = json_array(), *row;
	struct series *s;
	char handle[24];
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		json_int_t hits = json_int_at(row, "hits.connections");
		json_int_t would = json_int_at(row, "would_hit.connections");
		json_t *o = json_copy(row);

		snprintf(handle, sizeof(handle), "%lld", (long long)json_int_at(row, "handle"));
		json_object_set_new(o, "hits_n", json_integer(hits));
		json_object_set_new(o, "would_hit_n", json_integer(would));
		json_object_set_new(o, "hits_s",
				    number(rate(h, seconds, "rule", handle, "",
						(double)(hits + would), &s)));
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *losses(struct top_history *h, double seconds, const json_t *status)
{
	json_t *out = json_array(), *v;
	struct series *s;
	const char *name;

	json_object_foreach(json_object_get(status, "losses"), name, v) {
		double r = rate(h, seconds, "loss", name, "", json_number_value(v), &s);

		json_array_append_new(out, json_pack("{s:s, s:O, s:o}", "name", name, "count", v,
						     "per_s", number(r)));
	}
	return out;
}

/* What no page has counted for a while: gone sources and rules. */
static void forget(struct top_history *h)
{
	for (size_t i = h->series.n; i--;) {
		const struct series *s = table_value(&h->series, i);

		if (h->page - s->page > TOP_SPARK)
			table_remove_at(&h->series, i);
	}
}

json_t *top_page(struct top_history *h, const struct top_documents *d, uint64_t now)
{
	double seconds = h->then && now > h->then ? (double)(now - h->then) / NSEC_PER_SEC : 0;
	int pid = (int)json_int_at(d->status, "pid");
	json_t *page, *sparks = NULL, *per_s;

	if (pid != h->pid) {
		table_clear(&h->series);
		h->pid = pid;
		h->page = 0;
		seconds = 0;
	}
	h->then = now;
	h->page++;
	per_s = rates(h, seconds, json_object_get(d->status, "counters"), &sparks);
	page = json_pack("{s:s, s:o, s:O?, s:o, s:o}", "schema", "winnow.top/1", "seconds",
			 seconds > 0 ? number(seconds) : json_null(), "status", d->status, "rates",
			 per_s, "spark", sparks);
	if (!page)
		return NULL;
	json_object_set_new(page, "stacks",
			    stacks(h, seconds, json_object_get(d->fingerprints, "fingerprints")));
	json_object_set_new(page, "farms", farms(json_object_get(d->farms, "farms")));
	json_object_set_new(page, "sources",
			    sources(h, seconds, json_object_get(d->sources, "sources")));
	json_object_set_new(page, "rules", rules(h, seconds, json_object_get(d->rules, "rules")));
	json_object_set_new(page, "losses", losses(h, seconds, d->status));
	forget(h);
	return page;
}
