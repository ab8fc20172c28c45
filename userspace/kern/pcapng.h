/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcapng.h - a capture of several devices as libpcap can read it.
 *
 * libpcap wants one snapshot length for the whole file and gives up at the first
 * interface that has another one. The lengths are only bounds; so each interface is
 * given the same while the file is read.
 *
 * In:     a stream at its first byte; one that is no pcapng is answered as it is.
 * Out:    a stream to read instead. Closing it closes `in`, unless that is stdin.
 * Errors: NULL, no memory; `in` is still open.
 */
#ifndef WINNOW_KERN_PCAPNG_H
#define WINNOW_KERN_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

FILE *pcapng_even(FILE *in, uint32_t snaplen);

#endif
