/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"
#include "daemon/detector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"

/* Hellos a second that are named live; a source that permutes everything gets
 * this many of them. */
#define NAME_BUDGET        1000
#define REPLY_BUDGET       10000 /* 0.6 MB a second */
#define SOURCE_NAME_BUDGET 8

/* The old ports stay until the new ones are there: no packet sees neither. */
static void apply_ports(struct daemon *d)
{
	struct ports *p = kern_ports(d->kern);
	struct ports want = {};

	for (size_t i = 0; i < d->cfg.n_ports; i++)
		want.tcp[d->cfg.ports[i] / 64] |= 1ULL << d->cfg.ports[i] % 64;
	memcpy(want.udp, want.tcp, sizeof(want.udp)); /* QUIC */
	for (int w = 0; w < PORT_WORDS; w++) {
		if (p->tcp[w] != want.tcp[w])
			__atomic_store_n(&p->tcp[w], want.tcp[w], __ATOMIC_RELEASE);
		if (p->udp[w] != want.udp[w])
			__atomic_store_n(&p->udp[w], want.udp[w], __ATOMIC_RELEASE);
	}
}

void settings_apply(struct daemon *d)
{
	struct control *c = kern_control(d->kern);
	struct reason r = {};

	apply_ports(d);
	if (kern_proxies_set(d->kern, d->cfg.proxies, d->cfg.n_proxies, &r))
		trouble_set(d, "proxy_from", "%s", r.text);
	else
		trouble_set(d, "proxy_from", NULL);
	c->max_unattended = d->cfg.max_unattended;
	c->name_budget = NAME_BUDGET;
	c->source_name_budget = SOURCE_NAME_BUDGET;
	c->reply_budget = REPLY_BUDGET;
	rulebook_set_shadow(&d->rules, d->cfg.enforce == ENFORCE_NO);
	if (d->detector)
		detector_configure(d->detector, &d->cfg.detect);
}

/* What a running daemon cannot change. */
static const char *needs_restart(const struct config *a, const struct config *b)
{
	if (strcmp(a->state_dir, b->state_dir))
		return "state_dir";
	if (strcmp(a->run_dir, b->run_dir))
		return "run_dir";
	if (strcmp(a->bpffs, b->bpffs))
		return "bpffs";
	if (strcmp(a->group, b->group))
		return "group";
	if (memcmp(&a->tables, &b->tables, sizeof(a->tables)))
		return "[tables]";
	return NULL;
}

static int reload_refused(struct daemon *d, struct reason *out, const char *why)
{
	d->scrape.refused++;
	d->scrape.last_refused = true;
	trouble_set(d, "configuration", "%s; the settings before stay in force", why);
	return reason_set(out, -EINVAL, "%s; the settings before stay in force", why);
}

/* Allow wins in the kernel; who allows a network during an incident must not be
 * stopped by the rules it is about. */
static void say_overlaps(const struct daemon *d)
{
	char net[ADDR_TEXT];

	for (size_t i = 0; i < d->cfg.n_allow; i++) {
		size_t n = 0;

		for (size_t k = 0; k < d->rules.n; k++) {
			const struct rule_spec *s = &d->rules.at[k]->spec;

			n += s->has_src && s->action != RULE_PASS &&
			     cidr_overlaps(&s->src, &d->cfg.allow[i]);
		}
		if (n)
			log_warn("allow = %s: %zu rules do nothing there now",
				 cidr_text(&d->cfg.allow[i], net), n);
	}
}

static int reload(struct daemon *d, struct config *next, struct reason *out)
{
	struct clock c = clock_now();
	char was[sizeof(d->cfg.metrics)];
	struct reason r = {};
	const char *key;

	if (config_read(d->config_file, next, &r))
		return reload_refused(d, out, r.text);
	key = needs_restart(&d->cfg, next);
	if (key) {
		snprintf(r.text, sizeof(r.text), "%s has changed, which needs a restart", key);
		return reload_refused(d, out, r.text);
	}
	trouble_set(d, "configuration", NULL);
	d->scrape.reloads++;
	d->scrape.last_refused = false;
	strcpy(was, d->cfg.metrics);
	d->cfg = *next;
	if (allowbook_configure(&d->allows, &c, &d->cfg, &r))
		trouble_set(d, "allow", "%s", r.text);
	else
		trouble_set(d, "allow", NULL);
	say_overlaps(d);
	settings_apply(d);
	scrape_listen(d, was);
	labels_open(d);
	devices_settle(d);
	log_note("configuration read again");
	return 0;
}

int settings_reload(struct daemon *d, struct reason *r)
{
	_cleanup_(freep) struct config *next = malloc(sizeof(*next));
	int err;

	if (!next)
		return reason_set(r, -ENOMEM, "out of memory");
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)(clock_read(CLOCK_MONOTONIC) / 1000));
	err = reload(d, next, r);
	sd_notify(0, "READY=1");
	return err;
}
