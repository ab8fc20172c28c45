/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * other.bpf.h - whose protocol the first bytes of a connection are, when they begin no
 * TLS record.
 *
 * In:     up to 12 bytes. Fewer than it takes are HELLO_INCOMPLETE, only as long as they
 *         begin something known.
 * Out:    HELLO_SSLV2, _UNEXPECTED_PROXY, _HTTP, _SSH, _DTLS; HELLO_NOT_TLS for the rest.
 */
#ifndef WINNOW_OTHER_BPF_H
#define WINNOW_OTHER_BPF_H

#include "abi.h"
#include "handshake.bpf.h"
#include "proxy.bpf.h"

#define WORD(b) ((__u32)(b)[0] << 24 | (b)[1] << 16 | (b)[2] << 8 | (b)[3])

/* Whose first four bytes? A function of its own: its ways are walked once. */
__noinline __u32 other_word(__u32 word)
{
	switch (word) {
	case 0x47455420: /* GET */
	case 0x48454144: /* HEAD */
	case 0x504f5354: /* POST */
	case 0x50555420: /* PUT */
	case 0x44454c45: /* DELETE */
	case 0x434f4e4e: /* CONNECT */
	case 0x4f505449: /* OPTIONS */
	case 0x54524143: /* TRACE */
	case 0x50415443: /* PATCH */
	case 0x50524920: /* PRI, of HTTP/2 */
		return HELLO_HTTP;
	case 0x5353482d: /* SSH- */
		return HELLO_SSH;
	}
	return word >> 16 == 0x16fe ? HELLO_DTLS : HELLO_NOT_TLS;
}

/* May a word above begin with it? */
static __always_inline int other_letter(__u8 c)
{
	return c == 'G' || c == 'H' || c == 'P' || c == 'D' || c == 'C' || c == 'O' || c == 'T' ||
	       c == 'S';
}

/* First bytes that are no TLS: what else? INCOMPLETE: too few to say. */
__noinline __u32 other_class(const struct peek *k)
{
	__u32 version, len;
	const __u8 *b;

	if (!k)
		return HELLO_NOT_TLS;
	b = k->b;
	len = k->len;
	if (b[0] & 0x80) {
		if (len < 3)
			return HELLO_INCOMPLETE;
		return b[2] == 1 ? HELLO_SSLV2 : HELLO_NOT_TLS;
	}
	version = proxy_version(b, len < 12 ? len : 12);
	if (!version && len < 4)
		return other_letter(b[0]) ? HELLO_INCOMPLETE : HELLO_NOT_TLS;
	if (!version)
		return other_word(WORD(b));
	return len < (version == 1 ? 6 : 12) ? HELLO_INCOMPLETE : HELLO_UNEXPECTED_PROXY;
}

#endif
