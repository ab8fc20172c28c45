/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <errno.h>

#include <linux/if_ether.h>

#include "batch.h"
#include "winnow.skel.h"

/* A test run of a tc program takes what fits a page beside the skb's own data.
 * A SYN|ACK is told by its headers, so its first bytes are enough. */
#define EGRESS_BYTES 2048

void kern_feed_short(struct kern *k, size_t len)
{
	k->short_frames++;
	k->short_bytes += len;
}

int kern_feed(struct kern *k, uint64_t time_ns, const void *frame, size_t len, bool egress,
	      uint32_t *verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len, .repeat = 1);
	int err;

	if (k->xdp_fd < 0)
		return -EOPNOTSUPP;
	if (len < ETH_HLEN) {
		kern_feed_short(k, len);
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

struct batch *kern_batch(struct kern *k, unsigned int which)
{
	return (struct batch *)k->batches.at + which % BATCHES;
}

int kern_batch_run(struct kern *k, unsigned int which, uint32_t *at, uint32_t end)
{
	static const uint8_t first[BATCH_FIRST];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = first, .data_size_in = sizeof(first),
		    .repeat = 1);
	uint32_t from;
	int err = 0;

	k->skel->bss->batch_which = which % BATCHES;
	k->skel->bss->batch_end = end;
	k->skel->bss->batch_at = *at;
	do {
		from = *at;
		run.data_size_out = 0; /* written by each run, and a bound to the next */
		err = bpf_prog_test_run_opts(k->replay_fd, &run);
		*at = k->skel->bss->batch_at;
	} while (!err && *at < end && *at - from == BATCH_RUN);
	return err;
}

int kern_batch_alone(struct kern *k, uint64_t time_ns, const void *frame, size_t len,
		     unsigned int way, struct batch_answer *answer)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len, .repeat = 1);
	int err;

	*k->virtual_ns = time_ns;
	k->skel->bss->batch_end = 0;
	k->skel->bss->batch_alone = way;
	err = bpf_prog_test_run_opts(k->replay_fd, &run);
	answer->verdict = run.retval;
	answer->events = k->skel->bss->events_told;
	return err;
}
