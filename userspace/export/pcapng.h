/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcapng.h - packets with a comment each, as a pcapng file.
 *
 * One section, one interface: Ethernet, times in ns since 1970. libpcap writes no
 * comments, so this is written here.
 *
 * Errors: -EIO, and errno of the stream.
 * Source: draft-ietf-opsawg-pcapng, section, interface and enhanced packet blocks.
 */
#ifndef WINNOW_EXPORT_PCAPNG_H
#define WINNOW_EXPORT_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int pcapng_begin(FILE *f, uint32_t snaplen);
/* `len` of `frame_len` bytes; comment may be NULL, and is cut at 1024 bytes. */
int pcapng_packet(FILE *f, uint64_t time_ns, const void *bytes, size_t len, size_t frame_len,
		  const char *comment);

#endif
