/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>

#include "model/snapshot.h"

struct control *kern_control(struct kern *k)
{
	return k->control.at;
}

struct ports *kern_ports(struct kern *k)
{
	return k->ports.at;
}

const struct tally_set *kern_tallies(const struct kern *k, size_t *n_sets)
{
	*n_sets = k->tallies.n;
	return k->tallies.at;
}

const struct order_set *kern_orders(const struct kern *k, size_t *n_sets)
{
	*n_sets = k->orders.n;
	return k->orders.at;
}

struct flow_set *kern_flows(struct kern *k, size_t *n_sets)
{
	*n_sets = k->flows.n;
	return k->flows.at;
}

struct rule *kern_rules(struct kern *k, size_t *n)
{
	*n = k->rules.n;
	return k->rules.at;
}

/* A per-CPU look-up answers for every *possible* CPU, which may be more than
 * are online; the buffer is sized by that. */
int kern_counters(const struct kern *k, uint64_t out[COUNTER_MAX])
{
	_cleanup_(freep) uint64_t *all = NULL;
	uint32_t zero = 0;
	int fd = kern_map_fd(k, "counters");

	memset(out, 0, COUNTER_MAX * sizeof(out[0]));
	if (fd < 0)
		return fd;
	all = calloc((size_t)k->n_cpus * COUNTER_MAX, sizeof(all[0]));
	if (!all)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, all))
		return -errno;
	for (int cpu = 0; cpu < k->n_cpus; cpu++)
		for (int i = 0; i < COUNTER_MAX; i++)
			out[i] += all[(size_t)cpu * COUNTER_MAX + i];

	out[COUNTER_PACKETS] += k->short_frames;
	out[COUNTER_PARSE_SHORT] += k->short_frames;
	out[COUNTER_PASS] += k->short_frames;
	out[COUNTER_BYTES] += k->short_bytes;
	return 0;
}

int kern_verifier_instructions(const struct kern *k, const char *program, uint32_t *out)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int fd = kern_prog_fd(k, program);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*out = info.verified_insns;
	return 0;
}

int kern_events_fd(struct kern *k)
{
	return ring_buffer__epoll_fd(k->ring);
}

int kern_events_drain(struct kern *k, kern_event_fn fn, void *ctx)
{
	int n;

	k->event_fn = fn;
	k->event_ctx = ctx;
	n = ring_buffer__consume(k->ring);
	k->event_fn = NULL;
	return n;
}

int kern_losses(const struct kern *k, struct losses *out)
{
	uint64_t c[COUNTER_MAX];
	int err = kern_counters(k, c);

	if (err)
		return err;
	out->tally_evicted = c[COUNTER_TALLY_EVICTED];
	out->order_evicted = c[COUNTER_ORDER_EVICTED];
	out->flow_evicted = c[COUNTER_FLOW_EVICTED];
	out->handshake_evicted = c[COUNTER_HANDSHAKE_EVICTED];
	out->ring_lost = c[COUNTER_RING_LOST];
	out->hello_unproved = c[COUNTER_HELLO_UNPROVED];
	return 0;
}
