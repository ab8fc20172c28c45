/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures (kern/capture.h): whatever the bytes, the reader ends and keeps to its bounds. A
 * file is read by kern/pcap_file.h where it can be and a pipe always by libpcap: both give
 * the same frames and the same end.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "kern/capture.h"

#define PIPE_HOLDS 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct told {
	int opened;
	size_t n;
	uint64_t sum;
	enum capture_end end;
};

static struct told read_all(int fd)
{
	struct told t = {};
	struct capture_frame f;
	struct capture *c;
	struct reason r;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	t.opened = capture_open(path, &c, &r);
	if (t.opened)
		return t;
	while ((t.end = capture_next(c, &f, &r)) == CAPTURE_FRAME) {
		if (f.len > CAPTURE_FRAME_MAX + ETH_HLEN || f.wire_len < f.len)
			__builtin_trap();
		t.sum = t.sum * 31 + f.len;
		t.sum = t.sum * 31 + f.wire_len;
		t.sum = t.sum * 31 + f.time_ns + f.back;
		for (size_t i = 0; i < f.len; i++)
			t.sum = t.sum * 31 + f.data[i];
		t.n++;
	}
	capture_free(c);
	return t;
}

static void write_all(int fd, const uint8_t *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct told of_file, of_pipe;
	int file, ends[2];

	if (len > PIPE_HOLDS)
		return -1;
	file = memfd_create("capture", MFD_CLOEXEC);
	if (file < 0 || pipe2(ends, O_CLOEXEC))
		abort();
	write_all(file, data, len);
	of_file = read_all(file);
	write_all(ends[1], data, len);
	close(ends[1]);
	of_pipe = read_all(ends[0]);
	close(ends[0]);
	close(file);
	if (of_file.opened != of_pipe.opened || of_file.n != of_pipe.n ||
	    of_file.sum != of_pipe.sum || of_file.end != of_pipe.end) {
		fprintf(stderr, "file: %d, %zu frames, %d; pipe: %d, %zu frames, %d\n",
			of_file.opened, of_file.n, of_file.end, of_pipe.opened, of_pipe.n,
			of_pipe.end);
		__builtin_trap();
	}
	return 0;
}
