/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <netinet/in.h>

#define SYN_ACK 0x12

static bool has_port(const __u64 *bits, uint16_t port)
{
	return bits[port / 64] >> port % 64 & 1;
}

bool replay_is_client(const struct ports *ports, const struct segment *s)
{
	return s->proto == IPPROTO_TCP && has_port(ports->tcp, s->key.dport) &&
	       (s->flags & SYN_ACK) != SYN_ACK;
}

int replay_direction(const struct ports *ports, const struct segment *s)
{
	bool from, to, answer;

	if (s->proto == IPPROTO_TCP) {
		from = has_port(ports->tcp, s->key.sport);
		to = has_port(ports->tcp, s->key.dport);
		answer = (s->flags & SYN_ACK) == SYN_ACK;
	} else if (s->proto == IPPROTO_UDP && s->payload) {
		from = has_port(ports->udp, s->key.sport);
		to = has_port(ports->udp, s->key.dport);
		answer = s->first & QUIC_LONG_HEADER;
	} else {
		return REPLAY_INGRESS;
	}
	if (!from)
		return REPLAY_INGRESS;
	return (answer ? REPLAY_EGRESS : 0) | (to ? REPLAY_INGRESS : 0);
}
