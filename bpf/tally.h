/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * tally.h - the arithmetic of one tally's row, shared by the kernel program,
 * the event inlet and the tests, so that a score offline means something on
 * the wire. When it was last seen lies elsewhere: tally_seen() says what it is after
 * any of the others.
 *
 * Runs under the row's lock in BPF: no calls, no helpers, only loops that are
 * unrolled. The caller owns locking, the key, `gen` and the choice of the row.
 *
 * Units:  delays in 0.1 ms, TALLY_UNKNOWN where not measured; time in stamps
 *         (ns >> STAMP_SHIFT).
 * Bounds: every counter below 32 bits saturates or is halved with its
 *         neighbours; none wraps.
 */
#ifndef WINNOW_TALLY_H
#define WINNOW_TALLY_H

#include "abi.h"

#define TALLY_UNKNOWN   0xffffffffU
#define DSTAR_MAX       (TENTH_MS_MAX - 1) /* with DSTAR_RESUMED still not DSTAR_NONE */
#define TALLY_RING_MASK 7                  /* of tally.state */

#define tally_inline static inline __attribute__((always_inline, unused))

/* us -> 0.1 ms, rounded; unknown stays unknown. */
tally_inline __u32 tally_tenths(__u32 us)
{
	return us == US_UNKNOWN ? TALLY_UNKNOWN : us / 100 + (us % 100 >= 50);
}

/* 0..4: below 3, 10, 30, 100 ms, the rest (D_EDGES_TENTH_MS). */
tally_inline __u32 tally_delay_bin(__u32 tenths)
{
	return (tenths >= 30) + (tenths >= 100) + (tenths >= 300) + (tenths >= 1000);
}

/* min(17, floor(log2(seconds + 1))), seconds rounded down. */
tally_inline __u32 tally_gap_bin(__u32 stamps)
{
	__u64 s = ((__u64)stamps << STAMP_SHIFT) / 1000000000ULL + 1;
	__u32 bin = 0;

	if (s >> 16) {
		s >>= 16;
		bin += 16;
	}
	if (s >> 8) {
		s >>= 8;
		bin += 8;
	}
	if (s >> 4) {
		s >>= 4;
		bin += 4;
	}
	if (s >> 2) {
		s >>= 2;
		bin += 2;
	}
	if (s >> 1)
		bin += 1;
	return bin < GAP_BINS ? bin : GAP_BINS - 1;
}

/* A row that has just been given its key; everything else is zero. */
tally_inline void tally_begin(struct tally_row *t, __u32 stamp)
{
	t->first_seen = stamp;
	t->dstar[0] = DSTAR_NONE;
	t->dstar[1] = DSTAR_NONE;
	t->dstar[2] = DSTAR_NONE;
	t->dstar[3] = DSTAR_NONE;
	t->dstar[4] = DSTAR_NONE;
}

/* A proved connection whose hello was proved. `tcp_key` 0: its SYN was not seen. */
tally_inline void tally_connection(struct tally_row *t, __u32 tcp_key, int resumed)
{
	t->connections++;
	if (tcp_key)
		t->tcp_key = tcp_key;
	if (resumed && t->resumed != 0xffff)
		t->resumed++;
}

/*
 * What its handshake measured. The histogram holds handshakes with both D1 and
 * D*: an unknown D1 is no small D1. A D* without D1 still goes into the ring,
 * because its median decides. `rtt` is unknown unless a pure first ACK gave it.
 * `flags`: enum handshake_flag.
 */
tally_inline void tally_handshake(struct tally_row *t, __u32 rtt, __u32 d1, __u32 dstar,
				  __u32 flags)
{
	if (flags & HS_PIGGY && t->piggy != 0xffff)
		t->piggy++;
	if (flags & HS_CCS_ALONE)
		t->state |= TALLY_CCS_ALONE;
	if (flags & HS_CCS_TWICE)
		t->state |= TALLY_CCS_TWICE;
	if (rtt != TALLY_UNKNOWN) {
		if (rtt > 0xffff)
			rtt = 0xffff;
		if (rtt == 0) /* 0 means unknown in the row */
			rtt = 1;
		if (!t->rtt_min || rtt < t->rtt_min)
			t->rtt_min = rtt;
	}
	if (dstar == TALLY_UNKNOWN)
		return;
	if (dstar > DSTAR_MAX)
		dstar = DSTAR_MAX;
	if (d1 != TALLY_UNKNOWN) {
		__u32 cell = tally_delay_bin(d1) * D_BINS + tally_delay_bin(dstar);

		if (cell >= D_BINS * D_BINS) /* never; bounds it for the verifier */
			return;
		if (t->d1dstar[cell] == 0xff) {
#pragma GCC unroll 25
			for (int i = 0; i < D_BINS * D_BINS; i++)
				t->d1dstar[i] >>= 1;
		}
		t->d1dstar[cell]++;
	}
	{
		__u32 at = t->state & TALLY_RING_MASK;

		if (at >= DSTAR_KEPT)
			at = 0;
		t->dstar[at] = dstar | (flags & HS_RESUMED ? DSTAR_RESUMED : 0);
		at = at + 1 == DSTAR_KEPT ? 0 : at + 1;
		t->state = (t->state & ~TALLY_RING_MASK) | at;
	}
}

/* An exchange begins. One that is stamped before the newest counts as at once. */
tally_inline void tally_exchange(struct tally_row *t, __u32 stamp)
{
	__u32 gap = stamp - t->exchange_seen;
	__u32 bin;

	if (t->exchanges) {
		bin = gap >> 31 ? 0 : tally_gap_bin(gap);
		if (bin >= GAP_BINS) /* never; bounds it for the verifier */
			return;
		if (t->gaps[bin] == 0xff) {
#pragma GCC unroll 18
			for (int i = 0; i < GAP_BINS; i++)
				t->gaps[i] >>= 1;
		}
		t->gaps[bin]++;
	}
	t->exchanges++;
	if (!(gap >> 31) || t->exchanges == 1)
		t->exchange_seen = stamp;
}

/* An extension order seen from `src`; `hash` is a keyed hash of it. `o` has its
 * key already. Two sources are told apart exactly, more by new bits of the sketch. */
tally_inline void tally_order(struct order_tally *o, __u64 src, __u64 hash, __u32 stamp)
{
	__u64 bit = 1ULL << (hash & 63);

	o->connections++;
	o->last_seen = stamp;
	if (o->distinct == 0) {
		o->first[0] = src;
		o->distinct = 1;
	} else if (o->distinct == 1) {
		if (o->first[0] != src) {
			o->first[1] = src;
			o->distinct = 2;
		}
	} else if (o->first[0] != src && o->first[1] != src && !(o->sketch & bit)) {
		if (o->distinct < 64)
			o->distinct++;
	}
	o->sketch |= bit;
}

/* Payload moved, from the client and to it. */
tally_inline void tally_bytes(struct tally_row *t, __u32 in, __u32 out)
{
	t->bytes_in += in;
	t->bytes_out += out;
}

/* When a row that was last seen at `was` is that after `stamp`: bytes that were held are
 * old news. */
tally_inline __u32 tally_seen(__u32 was, __u32 stamp)
{
	return (stamp - was) >> 31 ? was : stamp;
}

#endif
