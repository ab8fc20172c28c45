/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/features.h"

#include <math.h>

#define WAITING_USUAL 0.05 /* share of clean handshakes above which it says nothing */

/* Full handshakes where there are any. Who lives behind an exit is nearer than the farm:
 * the median of two is the larger. */
static void far_of(const struct tally *row, struct delays *d)
{
	uint16_t far[DSTAR_KEPT];
	size_t n = 0;

	for (int kind = 0; kind < 2 && !n; kind++) {
		for (int i = 0; i < DSTAR_KEPT; i++) {
			uint16_t x = row->dstar[i] & ~DSTAR_RESUMED;
			size_t at = n;

			if (row->dstar[i] == DSTAR_NONE || x < DELAYS_FAR ||
			    !!(row->dstar[i] & DSTAR_RESUMED) != kind)
				continue;
			for (; at && far[at - 1] > x; at--)
				far[at] = far[at - 1];
			far[at] = x;
			n++;
		}
	}
	d->far = n ? far[n / 2] : 0;
	d->nearest = n ? far[0] : 0;
}

struct delays delays_of(const struct baseline *b, const struct detect_config *c,
			const struct tally *row, const struct view *v)
{
	const struct stack_baseline *s = baseline_stack(b, row->stack);
	uint32_t threshold = baseline_threshold_of(b, row->stack, s, row->rtt_min);
	struct delays d = {};
	/* Of a stack nobody else has, one handshake a source shows enough of the whole;
	 * a rule needs more of the one it names (members.h). */
	uint32_t least = b->learnt && (!s || s->sources < POOL_SOURCES) ? 1 : c->min_handshakes;
	bool waits;

	d.dstar = record_dstar(row, c->min_handshakes, &d.n);
	far_of(row, &d);
	for (int r = 0; r < D_BINS; r++) {
		for (int k = 0; k < D_BINS; k++) {
			uint32_t n = v->d1dstar[r * D_BINS + k];

			d.measured += n;
			d.waiting += delays_wait(r, k) ? n : 0;
		}
	}
	if (d.n < least)
		return d;
	waits = d.measured >= least && 2 * d.waiting > d.measured && !(s ? s->waits : b->waits) &&
		(!s || s->handshakes < 20 || s->waiting < WAITING_USUAL * s->handshakes);
	d.state = d.dstar >= threshold || waits ? DELAY_SPLIT : DELAY_DIRECT;
	return d;
}

static uint8_t feature_d1(const struct view *v, const struct delays *d)
{
	uint32_t row[D_BINS] = {}, below = 0;
	int middle = 0;

	if (d->measured < 2)
		return 0;
	for (int r = 0; r < D_BINS; r++) {
		for (int k = 0; k < D_BINS; k++)
			row[r] += v->d1dstar[r * D_BINS + k];
	}
	while (middle < D_BINS - 1 && 2 * (below + row[middle]) <= d->measured)
		below += row[middle++];
	if (middle < 2)
		return 1;
	return 2 * d->waiting > d->measured ? middle + 1 : 2;
}

uint8_t feature_tcp(const struct baseline *b, uint64_t stack, uint32_t tcp_key)
{
	const struct stack_baseline *s = baseline_stack(b, stack);
	uint32_t with;

	if (!tcp_key || !b->learnt)
		return 0;
	if (!s || s->tcp_sources < 10)
		return baseline_tcp(b, 0, tcp_key) ? 0 : 4;
	with = baseline_tcp(b, stack, tcp_key);
	if (with)
		return 10 * with >= s->tcp_sources ? 1 : 2;
	return baseline_tcp(b, 0, tcp_key) ? 3 : 4;
}

static uint8_t feature_gaps(const struct view *v)
{
	uint32_t sum = 0, best = 0;
	int at = 0;

	for (int i = 0; i < GAP_BINS; i++)
		sum += v->gaps[i];
	if (sum < 4)
		return 0;
	for (int i = 0; i + 1 < GAP_BINS; i++) {
		uint32_t two = v->gaps[i] + v->gaps[i + 1];

		if (two > best) {
			best = two;
			at = v->gaps[i + 1] > v->gaps[i] ? i + 1 : i;
		}
	}
	if (4 * best < 3 * sum)
		return 3;
	return at < 6 ? 1 : 2;
}

struct mixture_row features_of(const struct baseline *b, const struct tally *row,
			       const struct view *v, const struct delays *d, double seconds)
{
	struct mixture_row r = {};
	double rate;

	r.x[0] = feature_d1(v, d);
	if (d->state == DELAY_DIRECT)
		r.x[1] = 1;
	else if (d->state == DELAY_SPLIT)
		r.x[1] = d->dstar < 300 ? 2 : d->dstar < 1000 ? 3 : 4;
	r.x[2] = feature_tcp(b, row->stack, row->tcp_key);
	if (v->connections >= 3)
		r.x[3] = v->resumed == 0 ? 1 : 2 * v->resumed <= v->connections - 1 ? 2 : 3;
	if (v->exchanges >= 2 && seconds > 0) {
		rate = v->exchanges / seconds * 3600;
		r.x[4] = rate < 1 ? 1 : fmin(RATE_BINS, 2 + floor(log2(rate) / 2));
	}
	r.x[5] = feature_gaps(v);
	return r;
}
