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
	rulebook_set_shadow(&d->rules, !d->cfg.enforce);
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

void settings_reload(struct daemon *d)
{
	_cleanup_(freep) struct config *next = malloc(sizeof(*next));
	struct clock c = clock_now();
	const char *key;
	struct reason r = {};

	if (!next)
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(c.mono / 1000));
	if (config_read(d->config_file, next, &r)) {
		trouble_set(d, "configuration", "%s; the settings before stay in force", r.text);
		sd_notify(0, "READY=1");
		return;
	}
	key = needs_restart(&d->cfg, next);
	if (key) {
		trouble_set(d, "configuration",
			    "%s has changed, which needs a restart; the settings before stay in "
			    "force",
			    key);
		sd_notify(0, "READY=1");
		return;
	}
	trouble_set(d, "configuration", NULL);
	d->cfg = *next;
	if (allowbook_configure(&d->allows, &c, &d->cfg, &r))
		trouble_set(d, "allow", "%s", r.text);
	else
		trouble_set(d, "allow", NULL);
	settings_apply(d);
	devices_settle(d);
	log_note("configuration read again");
	sd_notify(0, "READY=1");
}
