/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/protect.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <utmpx.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/cleanup.h"

#define RTF_GATEWAY     0x0002 /* linux/route.h */
#define TCP_ESTABLISHED 1      /* state in /proc/net/tcp */

#define NUMBER_(n) #n
#define NUMBER(n)  NUMBER_(n)

void protect_clear(struct protect *p)
{
	free(p->at);
	*p = (struct protect){};
}

void protect_add(struct protect *p, struct cidr net, const char *what)
{
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct protected *more = reallocarray(p->at, room, sizeof(*more));

		if (!more) {
			p->cut = true;
			return;
		}
		p->at = more;
		p->room = room;
	}
	p->at[p->n++] = (struct protected){ net, what };
}

static void add_host(struct protect *p, struct addr a, const char *what)
{
	if (a.hi || a.lo)
		protect_add(p, (struct cidr){ a, 128 }, what);
}

void protect_constants(struct protect *p)
{
	static const struct {
		const char *net, *what;
	} never[] = {
		{ "0.0.0.0/8", "the unspecified network" },
		{ "127.0.0.0/8", "loopback" },
		{ "169.254.0.0/16", "link-local" },
		{ "224.0.0.0/4", "multicast" },
		{ "255.255.255.255", "broadcast" },
		{ "::", "the unspecified address" },
		{ "::1", "loopback" },
		{ "fe80::/10", "link-local" },
		{ "ff00::/8", "multicast" },
	};
	struct cidr c;

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (!cidr_parse(never[i].net, &c))
			protect_add(p, c, never[i].what);
}

void protect_routes_v4(struct protect *p, FILE *f)
{
	unsigned int dest, gateway, flags;
	char line[512];

	/* The heading does not scan; addresses are in network order as a number. */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %x %x %x", &dest, &gateway, &flags) == 3 && !dest &&
		    flags & RTF_GATEWAY)
			add_host(p, addr_v4(ntohl(gateway)), "the default gateway");
}

static bool hex_addr(const char *hex, struct addr *out)
{
	uint8_t b[16];

	for (int i = 0; i < 16; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &b[i]) != 1)
			return false;
	*out = addr_from_bytes(b);
	return true;
}

void protect_routes_v6(struct protect *p, FILE *f)
{
	char line[512], dest[33], via[33];
	unsigned int plen, flags;
	struct addr a;

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%32s %x %*s %*x %32s %*x %*x %*x %x", dest, &plen, via, &flags) ==
			    4 &&
		    !plen && flags & RTF_GATEWAY && strlen(via) == 32 && hex_addr(via, &a))
			add_host(p, a, "the default gateway");
}

/* /proc prints each 32-bit word of an address as a number of this machine. */
static bool proc_addr(const char *hex, struct addr *out)
{
	uint8_t b[16];
	uint32_t word;

	if (strlen(hex) == 8) {
		if (sscanf(hex, "%8x", &word) != 1)
			return false;
		*out = addr_v4(ntohl(word));
		return true;
	}
	if (strlen(hex) != 32)
		return false;
	for (int i = 0; i < 4; i++) {
		if (sscanf(hex + 8 * i, "%8x", &word) != 1)
			return false;
		memcpy(b + 4 * i, &word, 4);
	}
	*out = addr_from_bytes(b);
	return true;
}

void protect_tcp(struct protect *p, FILE *f, uint16_t port)
{
	unsigned int local, state;
	char line[512], peer[33];
	struct addr a;

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %32[0-9A-Fa-f]:%*x %x", &local, peer,
			   &state) == 3 &&
		    local == port && state == TCP_ESTABLISHED && proc_addr(peer, &a))
			add_host(p, a, "an SSH session's peer");
}

static void own_addresses(struct protect *p)
{
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in *in = (struct sockaddr_in *)i->ifa_addr;

			add_host(p, addr_v4(ntohl(in->sin_addr.s_addr)), "this host's own address");
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 *in = (struct sockaddr_in6 *)i->ifa_addr;

			add_host(p, addr_from_bytes(in->sin6_addr.s6_addr),
				 "this host's own address");
		}
	}
	freeifaddrs(list);
}

static void read_proc(struct protect *p, const char *file, void (*fn)(struct protect *, FILE *))
{
	_cleanup_(fclosep) FILE *f = fopen(file, "re");

	if (f)
		fn(p, f);
}

static void ssh_sessions(struct protect *p, FILE *f)
{
	protect_tcp(p, f, PROTECT_SSH_PORT);
}

void protect_resolvers(struct protect *p, FILE *f)
{
	char line[512], addr[64];
	struct addr a;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " nameserver %63s", addr) != 1)
			continue;
		addr[strcspn(addr, "%")] = '\0';
		if (!addr_parse(addr, &a))
			add_host(p, a, "a DNS server");
	}
}

/* Who has logged in, not who has only reached the port: that would be anybody. */
static void logins(struct protect *p)
{
	struct utmpx *u;

	setutxent();
	while ((u = getutxent())) {
		uint8_t b[16];

		if (u->ut_type != USER_PROCESS)
			continue;
		memcpy(b, u->ut_addr_v6, sizeof(b));
		if (!u->ut_addr_v6[1] && !u->ut_addr_v6[2] && !u->ut_addr_v6[3]) {
			if (u->ut_addr_v6[0])
				add_host(p, addr_v4(ntohl(u->ut_addr_v6[0])),
					 "an administrator's login");
			continue;
		}
		add_host(p, addr_from_bytes(b), "an administrator's login");
	}
	endutxent();
}

void protect_friends(struct protect *p)
{
	static const char *const near[] = { "127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10" };
	struct cidr c;

	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		if (!cidr_parse(near[i], &c))
			protect_add(p, c, i < 2 ? "loopback" : "link-local");
	read_proc(p, "/proc/net/route", protect_routes_v4);
	read_proc(p, "/proc/net/ipv6_route", protect_routes_v6);
	read_proc(p, "/etc/resolv.conf", protect_resolvers);
	logins(p);
}

void protect_collect(struct protect *p, const char *ssh_connection)
{
	char peer[64];
	struct addr a;

	protect_constants(p);
	if (ssh_connection && sscanf(ssh_connection, "%63s", peer) == 1 && !addr_parse(peer, &a))
		add_host(p, a, "your own SSH session");
	read_proc(p, "/proc/net/route", protect_routes_v4);
	read_proc(p, "/proc/net/ipv6_route", protect_routes_v6);
	own_addresses(p);
	read_proc(p, "/etc/resolv.conf", protect_resolvers);
	logins(p);
	read_proc(p, "/proc/net/tcp", ssh_sessions);
	read_proc(p, "/proc/net/tcp6", ssh_sessions);
}

/* What is wrong with its width; NULL: nothing. */
static const char *too_wide(const struct cidr *c)
{
	static const struct cidr v4 = { { 0, ADDR_V4_MARK }, 96 };

	if (c->plen < 96 && cidr_covers(c, &v4))
		return "covers all of IPv4";
	if (cidr_covers(&v4, c) && c->plen < 96 + PROTECT_PLEN_V4)
		return "is wider than /" NUMBER(PROTECT_PLEN_V4);
	if (!addr_is_v4(c->net) && c->plen < PROTECT_PLEN_V6)
		return "is wider than /" NUMBER(PROTECT_PLEN_V6);
	return NULL;
}

int protect_check(const struct protect *p, const struct rule_spec *s, struct reason *r)
{
	const char *wide = s->has_src ? too_wide(&s->src) : NULL;
	char rule[ADDR_TEXT], net[ADDR_TEXT];

	if (wide)
		return reason_set(r, -EACCES, "src %s %s", cidr_text(&s->src, rule), wide);
	if (!s->has_src || s->action == RULE_PASS)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		if (cidr_overlaps(&s->src, &p->at[i].net))
			return reason_set(r, -EACCES, "src %s covers %s (%s)",
					  cidr_text(&s->src, rule), p->at[i].what,
					  cidr_text(&p->at[i].net, net));
	if (p->cut)
		return reason_set(r, -EACCES, "src %s: no memory to look at protected addresses",
				  cidr_text(&s->src, rule));
	return 0;
}
