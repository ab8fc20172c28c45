/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <errno.h>

#include <linux/if_ether.h>

/* A test run of a tc program takes what fits a page beside the skb's own data.
 * A SYN|ACK is told by its headers, so its first bytes are enough. */
#define EGRESS_BYTES 2048

int kern_feed(struct kern *k, uint64_t time_ns, const void *frame, size_t len, bool egress,
	      uint32_t *verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len, .repeat = 1);
	int err;

	if (len < ETH_HLEN) { /* the kernel refuses to run these; a device never has them */
		k->short_frames++;
		k->short_bytes += len;
		*verdict = XDP_PASS;
		return 0;
	}
	if (egress && len > EGRESS_BYTES)
		run.data_size_in = EGRESS_BYTES;
	*k->virtual_ns = time_ns;
	err = bpf_prog_test_run_opts(egress ? k->egress_fd : k->xdp_fd, &run);
	if (err)
		return err;
	*verdict = egress ? XDP_PASS : run.retval;
	return 0;
}
