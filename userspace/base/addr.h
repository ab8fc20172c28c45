/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addr.h - addresses, sources and CIDR arithmetic over inet_pton.
 *
 * Everything is `struct addr` of bpf/abi.h: two host-order words, IPv4 as
 * ::ffff:a.b.c.d, prefix lengths 0..128 with IPv4 /n stored as 96 + n.
 * Text is RFC 5952 (inet_ntop); IPv4-mapped prints as IPv4.
 */
#ifndef WINNOW_BASE_ADDR_H
#define WINNOW_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define ADDR_TEXT 56 /* "ffff:...:255.255.255.255/128" and a NUL */

struct cidr {
	struct addr net; /* masked */
	uint8_t plen;	 /* 0..128; IPv4 /n is 96 + n */
};

static inline bool addr_is_v4(struct addr a)
{
	return a.hi == 0 && (a.lo >> 32) == 0xffff;
}

struct addr addr_v4(uint32_t host_order);
void addr_to_bytes(struct addr a, uint8_t out[16]);	 /* network order */
struct addr addr_from_bytes(const uint8_t in[16]);

/* 0, or -EINVAL: not an IPv4 or IPv6 address. */
int addr_parse(const char *text, struct addr *out);
/* "a.b.c.d", "a.b.c.d/n", "v6", "v6/n". -EINVAL: none of these; -EDOM: host bits
 * beyond the prefix ("10.0.0.1/8 has host bits set" is the caller's sentence). */
int cidr_parse(const char *text, struct cidr *out);

const char *addr_text(struct addr a, char out[ADDR_TEXT]);
const char *cidr_text(const struct cidr *c, char out[ADDR_TEXT]); /* no /n for one host */

struct addr addr_mask(struct addr a, uint8_t plen);
bool cidr_has(const struct cidr *c, struct addr a);
bool cidr_covers(const struct cidr *outer, const struct cidr *inner);
bool cidr_overlaps(const struct cidr *a, const struct cidr *b);

/* The source an address belongs to, as the tally keeps it: one word and family. */
uint64_t source_of(struct addr a, uint8_t *family);
struct addr source_addr(uint64_t src, uint8_t family);		       /* IPv6: lower half 0 */
const char *source_text(uint64_t src, uint8_t family, char out[ADDR_TEXT]); /* "2001:db8::/64" */

#endif
