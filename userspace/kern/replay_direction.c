/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <netinet/in.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define IPV6_EXTENSIONS_MAX 8

static uint16_t u16(const uint8_t *b)
{
	return b[0] << 8 | b[1];
}

static bool has_port(const __u64 *bits, uint16_t port)
{
	return bits[port / 64] >> port % 64 & 1;
}

/* Offset of the transport header and its protocol; 0: none that can be read. */
static size_t transport_at(const uint8_t *f, size_t len, uint8_t *proto)
{
	size_t at = ETH_HLEN;
	uint16_t type;
	bool ah;

	if (len < at)
		return 0;
	type = u16(f + 12);
	for (int tags = 0; tags < 2 && (type == ETH_P_8021Q || type == ETH_P_8021AD); tags++) {
		if (len < at + 4)
			return 0;
		type = u16(f + at + 2);
		at += 4;
	}
	if (type == ETH_P_IP) {
		if (len < at + sizeof(struct iphdr) || (u16(f + at + 6) & 0x1fff))
			return 0;
		*proto = f[at + 9];
		return at + (f[at] & 15) * 4;
	}
	if (type != ETH_P_IPV6 || len < at + sizeof(struct ipv6hdr))
		return 0;
	*proto = f[at + 6];
	at += sizeof(struct ipv6hdr);
	for (int n = 0; n < IPV6_EXTENSIONS_MAX; n++) {
		if (*proto != IPPROTO_HOPOPTS && *proto != IPPROTO_ROUTING &&
		    *proto != IPPROTO_DSTOPTS && *proto != IPPROTO_AH)
			return at;
		if (len < at + 8)
			return 0;
		ah = *proto == IPPROTO_AH;
		*proto = f[at];
		at += ah ? (f[at + 1] + 2) * 4 : (f[at + 1] + 1) * 8;
	}
	return 0;
}

int replay_direction(const struct ports *ports, const uint8_t *frame, size_t len)
{
	bool from, to, answer;
	uint8_t proto = 0;
	size_t at = transport_at(frame, len, &proto);

	if (!at)
		return REPLAY_INGRESS;
	if (proto == IPPROTO_TCP && len >= at + sizeof(struct tcphdr)) {
		from = has_port(ports->tcp, u16(frame + at));
		to = has_port(ports->tcp, u16(frame + at + 2));
		answer = (frame[at + 13] & 0x12) == 0x12; /* SYN and ACK */
	} else if (proto == IPPROTO_UDP && len > at + sizeof(struct udphdr)) {
		from = has_port(ports->udp, u16(frame + at));
		to = has_port(ports->udp, u16(frame + at + 2));
		answer = frame[at + sizeof(struct udphdr)] & 0x80; /* a long header */
	} else {
		return REPLAY_INGRESS;
	}
	if (!from)
		return REPLAY_INGRESS;
	return (answer ? REPLAY_EGRESS : 0) | (to ? REPLAY_INGRESS : 0);
}
