/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * protect.h - addresses that no rule may name, so that nobody locks himself out.
 *
 * The host's own addresses, its default gateways, the peers of its SSH sessions,
 * and what is never a client: loopback, link-local, multicast. Read anew for
 * each rule, because all of them change.
 *
 * protect_check() is pure; the readers take what /proc says, so that tests can
 * say something else.
 */
#ifndef WINNOW_DAEMON_PROTECT_H
#define WINNOW_DAEMON_PROTECT_H

#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"
#include "model/rule.h"

#define PROTECT_PLEN_V4  16 /* shorter prefixes are refused */
#define PROTECT_PLEN_V6  32
#define PROTECT_SSH_PORT 22

struct protected
{
	struct cidr net;
	const char *what; /* "the default gateway" */
};

struct protect {
	struct protected *at;
	size_t n, room;
	bool cut; /* no memory for more: every rule on a source is refused */
};

void protect_clear(struct protect *p);

void protect_add(struct protect *p, struct cidr net, const char *what);

/* The constants, then what this host says now. `ssh_connection` is the client's
 * SSH_CONNECTION ("peer port own port"), or NULL. */
void protect_collect(struct protect *p, const char *ssh_connection);

/* Who must get through whatever the rules say: loopback, link-local, gateways, DNS
 * servers, who is logged in from elsewhere. */
void protect_friends(struct protect *p);

void protect_constants(struct protect *p);
void protect_resolvers(struct protect *p, FILE *f);          /* /etc/resolv.conf */
void protect_routes_v4(struct protect *p, FILE *f);          /* /proc/net/route */
void protect_routes_v6(struct protect *p, FILE *f);          /* /proc/net/ipv6_route */
void protect_tcp(struct protect *p, FILE *f, uint16_t port); /* /proc/net/tcp, tcp6 */

/* 0, or -EACCES and why the rule is refused (exit 6). */
int protect_check(const struct protect *p, const struct rule_spec *s, struct reason *r);

#endif
