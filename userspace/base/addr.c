/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct addr addr_v4(uint32_t host_order)
{
	return (struct addr){ .lo = ADDR_V4_MARK | host_order };
}

void addr_to_bytes(struct addr a, uint8_t out[16])
{
	for (int i = 0; i < 8; i++) {
		out[i] = a.hi >> (56 - 8 * i);
		out[8 + i] = a.lo >> (56 - 8 * i);
	}
}

struct addr addr_from_bytes(const uint8_t in[16])
{
	struct addr a = {};

	for (int i = 0; i < 8; i++) {
		a.hi = a.hi << 8 | in[i];
		a.lo = a.lo << 8 | in[8 + i];
	}
	return a;
}

int addr_parse(const char *text, struct addr *out)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) == 1) {
		*out = addr_v4(ntohl(four.s_addr));
		return 0;
	}
	if (inet_pton(AF_INET6, text, &six) == 1) {
		*out = addr_from_bytes(six.s6_addr);
		return 0;
	}
	return -EINVAL;
}

int cidr_parse(const char *text, struct cidr *out)
{
	const char *slash = strchr(text, '/');
	struct cidr c = { .plen = 128 };
	char host[ADDR_TEXT];
	unsigned long n;
	size_t len;
	char *end;
	int err;

	len = slash ? (size_t)(slash - text) : strlen(text);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	err = addr_parse(host, &c.net);
	if (err)
		return err;
	if (slash) {
		bool four = !strchr(host, ':');

		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		n = strtoul(slash + 1, &end, 10);
		if (*end || n > (four ? 32 : 128))
			return -EINVAL;
		c.plen = four ? 96 + n : n;
	}
	if (addr_mask(c.net, c.plen).hi != c.net.hi || addr_mask(c.net, c.plen).lo != c.net.lo)
		return -EDOM;
	*out = c;
	return 0;
}

const char *addr_text(struct addr a, char out[ADDR_TEXT])
{
	uint8_t b[16];

	addr_to_bytes(a, b);
	if (addr_is_v4(a))
		inet_ntop(AF_INET, b + 12, out, ADDR_TEXT);
	else
		inet_ntop(AF_INET6, b, out, ADDR_TEXT);
	return out;
}

const char *cidr_text(const struct cidr *c, char out[ADDR_TEXT])
{
	bool four = addr_is_v4(c->net) && c->plen >= 96;
	size_t n;

	addr_text(c->net, out);
	n = strlen(out);
	if (c->plen < 128)
		snprintf(out + n, ADDR_TEXT - n, "/%u", four ? c->plen - 96U : c->plen);
	return out;
}

struct addr addr_mask(struct addr a, uint8_t plen)
{
	if (plen == 0)
		return (struct addr){};
	if (plen <= 64)
		return (struct addr){ .hi = a.hi & ~0ULL << (64 - plen) };
	if (plen < 128)
		a.lo &= ~0ULL << (128 - plen);
	return a;
}

bool cidr_has(const struct cidr *c, struct addr a)
{
	a = addr_mask(a, c->plen);
	return a.hi == c->net.hi && a.lo == c->net.lo;
}

bool cidr_covers(const struct cidr *outer, const struct cidr *inner)
{
	return outer->plen <= inner->plen && cidr_has(outer, inner->net);
}

bool cidr_overlaps(const struct cidr *a, const struct cidr *b)
{
	return cidr_covers(a, b) || cidr_covers(b, a);
}

uint64_t source_of(struct addr a, uint8_t *family)
{
	if (addr_is_v4(a)) {
		*family = 4;
		return a.lo & 0xffffffffULL;
	}
	*family = 6;
	return a.hi;
}

struct addr source_addr(uint64_t src, uint8_t family)
{
	if (family == 4)
		return addr_v4(src);
	return (struct addr){ .hi = src };
}

const char *source_text(uint64_t src, uint8_t family, char out[ADDR_TEXT])
{
	struct cidr c = { source_addr(src, family), family == 4 ? 128 : 64 };

	return cidr_text(&c, out);
}
