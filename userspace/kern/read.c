/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/snapshot.h"

struct control *kern_control(struct kern *k)
{
	return k->control.at;
}

struct ports *kern_ports(struct kern *k)
{
	return k->ports.at;
}

/* ---- tables of sets ------------------------------------------------------------------- */

static void *mapped(struct mapping *m, size_t *n_sets)
{
	*n_sets = mapping_open(m) ? 0 : m->n;
	return m->at;
}

const struct tally_set *kern_tallies(struct kern *k, size_t *n_sets)
{
	return mapped(&k->tallies, n_sets);
}

const struct order_set *kern_orders(struct kern *k, size_t *n_sets)
{
	return mapped(&k->orders, n_sets);
}

struct flow_set *kern_flows(struct kern *k, size_t *n_sets)
{
	return mapped(&k->flows, n_sets);
}

void kern_tables_release(struct kern *k)
{
	mapping_close(&k->tallies);
	mapping_close(&k->orders);
	mapping_close(&k->flows);
}

/* A piece is about so large; a set is lines of 64 bytes, so 64 of them are pages. */
#define PIECE_BYTES (4 << 20)
#define PIECE_SETS  64

typedef int (*piece_fn)(void *ctx, const void *sets, size_t n_sets);

/* The table a piece at a time, each mapped for its turn alone. */
static int each_piece(const struct mapping *m, piece_fn fn, void *ctx)
{
	size_t step = PIECE_BYTES / m->size / PIECE_SETS * PIECE_SETS, page = sysconf(_SC_PAGESIZE);
	int err = 0;

	for (size_t at = 0; !err && at < m->n; at += step) {
		size_t n = m->n - at < step ? m->n - at : step;
		size_t len = (n * m->size + page - 1) / page * page;
		void *sets = mmap(NULL, len, PROT_READ, MAP_SHARED, m->fd, at * m->size);

		if (sets == MAP_FAILED)
			return -errno;
		err = fn(ctx, sets, n);
		munmap(sets, len);
	}
	return err;
}

static int add_tallies(void *ctx, const void *sets, size_t n_sets)
{
	return snapshot_add_sets(ctx, sets, n_sets, NULL, 0);
}

static int add_orders(void *ctx, const void *sets, size_t n_sets)
{
	return snapshot_add_sets(ctx, NULL, 0, sets, n_sets);
}

struct handing {
	struct snapshot *some;
	snapshot_rows_fn fn;
	void *ctx;
};

static int hand_tallies(void *ctx, const void *sets, size_t n_sets)
{
	struct handing *h = ctx;

	return snapshot_each_set(h->some, sets, n_sets, h->fn, h->ctx);
}

int kern_each_tally(const struct kern *k, snapshot_rows_fn fn, void *ctx, uint64_t *skipped)
{
	_cleanup_(snapshot_freep) struct snapshot *some = snapshot_new(0, 0);
	struct handing h = { some, fn, ctx };
	int err = some ? each_piece(&k->tallies, hand_tallies, &h) : -ENOMEM;

	*skipped = some ? some->losses.rows_skipped : 0;
	return err;
}

int kern_read_orders(const struct kern *k, struct snapshot *s)
{
	return each_piece(&k->orders, add_orders, s);
}

int kern_read_tables(const struct kern *k, struct snapshot *s, bool orders)
{
	int err = each_piece(&k->tallies, add_tallies, s);

	return err || !orders ? err : kern_read_orders(k, s);
}

/* Tags are read without a lock: a row that comes or goes meanwhile may count. */
#define COUNT_USED(name, type)                                    \
	static int name(void *ctx, const void *at, size_t n_sets) \
	{                                                         \
		const struct type *sets = at;                     \
		size_t *used = ctx;                               \
                                                                  \
		for (size_t i = 0; i < n_sets; i++)               \
			for (int w = 0; w < WAYS; w++)            \
				*used += sets[i].tag[w] != 0;     \
		return 0;                                         \
	}
COUNT_USED(tallies_used, tally_set)
COUNT_USED(orders_used, order_set)
COUNT_USED(flows_used, flow_set)

int kern_table_fill(const struct kern *k, enum kern_table which, size_t *used, size_t *rows)
{
	static const piece_fn count[] = { tallies_used, orders_used, flows_used };
	const struct mapping *const tables[] = { &k->tallies, &k->orders, &k->flows };

	*used = 0;
	*rows = tables[which]->n * WAYS;
	return each_piece(tables[which], count[which], used);
}

/* ---- what is read as it is -------------------------------------------------------------- */

struct rule *kern_rules(struct kern *k, size_t *n)
{
	*n = k->rules.n;
	return k->rules.at;
}

/* A per-CPU look-up answers for every *possible* CPU, which may be more than
 * are online; the buffer is sized by that. */
static int add_counters(const struct kern *k, uint32_t slot, uint64_t *all,
			uint64_t out[COUNTER_MAX])
{
	int err = map_get(kern_map_fd(k, "counters"), &slot, all);

	for (int cpu = 0; !err && cpu < k->n_cpus; cpu++)
		for (int i = 0; i < COUNTER_MAX; i++)
			out[i] += all[(size_t)cpu * COUNTER_MAX + i];
	return err;
}

static uint64_t *all_cpus(const struct kern *k)
{
	return calloc((size_t)k->n_cpus * COUNTER_MAX, sizeof(uint64_t));
}

int kern_device_counters(const struct kern *k, uint32_t ifindex, uint64_t out[COUNTER_MAX])
{
	_cleanup_(freep) uint64_t *all = all_cpus(k);

	memset(out, 0, COUNTER_MAX * sizeof(out[0]));
	return all ? add_counters(k, device_slot(ifindex), all, out) : -ENOMEM;
}

int kern_counters(const struct kern *k, uint64_t out[COUNTER_MAX])
{
	_cleanup_(freep) uint64_t *all = all_cpus(k);
	int err = all ? 0 : -ENOMEM;

	memset(out, 0, COUNTER_MAX * sizeof(out[0]));
	for (uint32_t slot = 0; !err && slot < DEVICE_SLOTS; slot++)
		err = add_counters(k, slot, all, out);
	if (err)
		return err;
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

int kern_events_take(struct kern *k, uint32_t n, kern_event_fn fn, void *ctx)
{
	int err;

	if (!n)
		return 0;
	k->events_left = n;
	err = kern_events_drain(k, fn, ctx);
	if (err >= 0 && k->events_left)
		err = -EIO; /* fewer than were told */
	k->events_left = 0;
	return err >= 0 || err == -ECANCELED ? 0 : err;
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
