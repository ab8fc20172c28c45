/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/segment.h"

#include <netinet/in.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "base/addr.h"

#define IPV6_EXTENSIONS_MAX 8
#define TCP_RST             0x04

static uint16_t u16(const uint8_t *b)
{
	return b[0] << 8 | b[1];
}

static uint32_t u32(const uint8_t *b)
{
	return (uint32_t)u16(b) << 16 | u16(b + 2);
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

/* Where the IP header begins and its EtherType; 0: not there. */
static size_t network_at(const uint8_t *f, size_t len, uint16_t *type)
{
	size_t at = ETH_HLEN;

	if (len < at)
		return 0;
	*type = u16(f + 12);
	for (int tags = 0; tags < 2 && (*type == ETH_P_8021Q || *type == ETH_P_8021AD); tags++) {
		if (len < at + 4)
			return 0;
		*type = u16(f + at + 2);
		at += 4;
	}
	return at;
}

/* Steps over extension headers; false: more than eight, or cut. */
static bool skip_extensions(const uint8_t *f, size_t len, size_t *at, uint8_t *proto)
{
	for (int n = 0; n < IPV6_EXTENSIONS_MAX; n++) {
		bool ah = *proto == IPPROTO_AH;

		if (!ah && *proto != IPPROTO_HOPOPTS && *proto != IPPROTO_ROUTING &&
		    *proto != IPPROTO_DSTOPTS)
			return true;
		if (len < *at + 8)
			return false;
		*proto = f[*at];
		*at += ah ? (f[*at + 1] + 2) * 4 : (f[*at + 1] + 1) * 8;
	}
	return false;
}

struct segment segment_read(const uint8_t *f, size_t len)
{
	struct segment s = {}, none = {};
	uint16_t type = 0;
	size_t at = network_at(f, len, &type), end, head;

	s.ip_at = at;
	if (at && type == ETH_P_IP) {
		if (len < at + sizeof(struct iphdr) || u16(f + at + 6) & 0x1fff)
			return none;
		s.proto = f[at + 9];
		s.key.src = addr_v4(u32(f + at + 12));
		s.key.dst = addr_v4(u32(f + at + 16));
		end = u16(f + at + 2) ? at + u16(f + at + 2) : len; /* 0: above an offload */
		at += (f[at] & 15) * 4;
	} else if (at && type == ETH_P_IPV6) {
		if (len < at + sizeof(struct ipv6hdr))
			return none;
		s.six = true;
		s.proto = f[at + 6];
		s.key.src = addr_from_bytes(f + at + 8);
		s.key.dst = addr_from_bytes(f + at + 24);
		at += sizeof(struct ipv6hdr);
		end = u16(f + at - 36) ? at + u16(f + at - 36) : len;
		if (!skip_extensions(f, len, &at, &s.proto))
			return none;
	} else {
		return none;
	}
	if (s.proto == IPPROTO_TCP && len >= at + sizeof(struct tcphdr)) {
		s.seq = u32(f + at + 4);
		s.flags = f[at + 13];
		head = (f[at + 12] >> 4) * 4;
	} else if (s.proto == IPPROTO_UDP && len >= at + sizeof(struct udphdr)) {
		head = sizeof(struct udphdr);
	} else {
		return none;
	}
	s.l4_at = at;
	s.key.sport = u16(f + at);
	s.key.dport = u16(f + at + 2);
	s.payload = end > at + head ? end - at - head : 0;
	if (s.payload && len > at + head)
		s.first = f[at + head];
	if (s.payload > 5 && len > at + head + 5)
		s.message = f[at + head + 5];
	return s;
}

size_t segment_reset(const struct segment *s, const uint8_t *head, uint32_t seq,
		     uint8_t out[SEGMENT_HEAD])
{
	size_t len = s->l4_at + sizeof(struct tcphdr);
	uint8_t *tcp = out + s->l4_at, *ip = out + s->ip_at;

	memcpy(out, head, len);
	if (s->six)
		put16(ip + 4, len - s->ip_at - sizeof(struct ipv6hdr));
	else
		put16(ip + 2, len - s->ip_at);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	tcp[12] = sizeof(struct tcphdr) / 4 << 4;
	tcp[13] = TCP_RST;
	return len;
}
