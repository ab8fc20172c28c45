/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpsig.h - the p0f v3 raw signature of a SYN, "4:64+0:0:1460:mss*10,7:mss,sok,
 * ts,nop,ws:df,id+:0".
 *
 * In:     struct syn_raw of abi.h: TTL, lengths and flags of the IP header, and
 *         the TCP header with its options.
 * Out:    text, character for character what p0f 3.09b logs as raw_sig; but for
 *         IPv6 extension headers, which p0f does not see, their length.
 * Errors: -EINVAL when the header lengths are impossible or no SYN was seen.
 * Source: p0f's README, "TCP signatures"; where it is silent, what p0f printed
 *         (tests/data/syns says for which SYNs).
 */
#ifndef WINNOW_TLS_TCPSIG_H
#define WINNOW_TLS_TCPSIG_H

#include "abi.h"

#define TCPSIG_TEXT 384 /* 40 options of "nop," and each quirk fit */

int tcpsig_text(const struct syn_raw *s, char out[TCPSIG_TEXT]);

#endif
