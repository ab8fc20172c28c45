/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/farms_internal.h"

struct capture {
	uint64_t id, asked; /* monotonic */
	char farm[32];      /* "": any */
	uint64_t lost;
	size_t n;
	struct event_packet packet[CAPTURE_WAITING];
};

int capture_start(struct daemon *d, const struct capture_wish *w, uint64_t *id, struct reason *r)
{
	struct control *k = kern_control(d->kern);
	static uint64_t last;

	if (d->capture)
		return reason_set(r, -EALREADY,
				  "a capture runs already. Try: when it has ended; one that nobody "
				  "reads ends after 10 s");
	d->capture = calloc(1, sizeof(*d->capture));
	if (!d->capture)
		return reason_set(r, -ENOMEM, "out of memory");
	d->capture->id = *id = ++last;
	d->capture->asked = clock_read(CLOCK_MONOTONIC);
	if (w->farm)
		snprintf(d->capture->farm, sizeof(d->capture->farm), "%s", w->farm);
	__atomic_store_n(&k->capture_budget, w->rate, __ATOMIC_RELEASE);
	__atomic_store_n(&k->capture, w->rule ? w->rule : CAPTURE_ANY, __ATOMIC_RELEASE);
	return 0;
}

void capture_stop(struct daemon *d)
{
	__atomic_store_n(&kern_control(d->kern)->capture, 0, __ATOMIC_RELEASE);
	free(d->capture);
	d->capture = NULL;
}

void capture_event(struct daemon *d, const struct event_packet *e, const struct clock *c)
{
	struct capture *m = d->capture;
	const struct rule_entry *rule = rulebook_find(&d->rules, e->rule);
	const char *farm = rule ? rule_farm(rule) : NULL;

	if (!m || (m->farm[0] && (!farm || strcmp(farm, m->farm))))
		return;
	if (m->n == CAPTURE_WAITING) {
		m->lost++;
		return;
	}
	m->packet[m->n] = *e;
	m->packet[m->n++].head.time = clock_real_of_mono(c, e->head.time);
}

static json_t *packet_json(struct daemon *d, const struct event_packet *e)
{
	const struct rule_entry *rule = rulebook_find(&d->rules, e->rule);
	char hex[2 * CAPTURE_BYTES + 1], comment[512];

	for (size_t i = 0; i < e->len && i < CAPTURE_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", e->bytes[i]);
	hex[2 * (e->len < CAPTURE_BYTES ? e->len : CAPTURE_BYTES)] = '\0';
	snprintf(comment, sizeof(comment), "rule %u: %s%s; %s; %s", e->rule,
		 e->acted ? "" : "would ", rule_action_text(e->action),
		 rule ? rule->origin : "gone", rule ? rule->spec.reason : "the rule is gone");
	return json_pack("{s:I, s:I, s:s, s:b, s:I, s:s, s:s}", "time_ns", (json_int_t)e->head.time,
			 "rule", (json_int_t)e->rule, "action", rule_action_text(e->action),
			 "acted", (int)e->acted, "frame_len", (json_int_t)e->frame_len, "comment",
			 comment, "bytes", hex);
}

json_t *capture_fetch(struct daemon *d, uint64_t id)
{
	struct capture *m = d->capture;
	json_t *packets;

	if (!m || m->id != id)
		return NULL;
	m->asked = clock_read(CLOCK_MONOTONIC);
	packets = json_array();
	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(packets, packet_json(d, &m->packet[i]));
	m->n = 0;
	return json_pack("{s:s, s:o, s:I}", "schema", "winnow.capture/1", "packets", packets,
			 "lost", (json_int_t)m->lost);
}

void capture_tick(struct daemon *d, const struct clock *c)
{
	if (d->capture && c->mono > d->capture->asked + CAPTURE_IDLE)
		capture_stop(d);
}
