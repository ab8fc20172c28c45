/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcap_file.h - the frames of a pcap file, a quarter of a megabyte at a time.
 *
 * libpcap asks stdio twice for each frame, which for small frames takes longer than all
 * else that is done to read them. It opens the file, and says what is wrong with one;
 * then this goes on behind the header. Other formats, and pipes, stay libpcap's.
 *
 * In:     a file's descriptor behind `read`, and its header as it stands there.
 * Out:    frames in file order; lengths and errors as libpcap has them: no more than the
 *         file's snapshot length is kept of a frame.
 * Units:  nanoseconds since 1970, bytes.
 * Memory: three quarters of a megabyte.
 */
#ifndef WINNOW_KERN_PCAP_FILE_H
#define WINNOW_KERN_PCAP_FILE_H

#include <sys/types.h>

#include "kern/capture.h"

#define PCAP_FILE_HEAD 24

struct pcap_file;

/* As read(2). */
typedef ssize_t (*pcap_read_fn)(void *ctx, char *b, size_t n);

/* The next byte that is read is the one behind `head`. 0; -EPROTONOSUPPORT: a format for
 * libpcap; -ENOMEM. */
int pcap_file_new(const uint8_t head[PCAP_FILE_HEAD], uint32_t snaplen, pcap_read_fn read_more,
		  void *ctx, struct pcap_file **out);
void pcap_file_free(struct pcap_file *p);

/* All but `back`; the data live until the next call. */
enum capture_end pcap_file_next(struct pcap_file *p, struct capture_frame *f, struct reason *r);

/* What a file says as nanoseconds, whichever way libpcap signed its 32 bits: seconds go on
 * until 2106, and what is no fraction of a second is its end. */
uint64_t pcap_time(int64_t seconds, int64_t ns);

#endif
