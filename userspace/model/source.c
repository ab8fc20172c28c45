/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/source.h"

#include <netinet/in.h>

#include "base/addr.h"
#include "model/rule_json.h"

#define US_PER_TENTH_MS 100

static json_t *matrix_json(const uint8_t *cell)
{
	json_t *rows = json_array();

	for (int r = 0; r < D_BINS; r++) {
		json_t *row = json_array();

		for (int c = 0; c < D_BINS; c++)
			json_array_append_new(row, json_integer(cell[r * D_BINS + c]));
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *gaps_json(const struct tally *t)
{
	json_t *list = json_array();

	for (int i = 0; i < GAP_BINS; i++)
		json_array_append_new(list, json_integer(t->gaps[i]));
	return list;
}

static json_t *dstar_json(const struct tally *t, bool resumed)
{
	json_t *list = json_array();

	for (int i = 0; i < DSTAR_KEPT; i++) {
		json_t *v = json_null();

		if (t->dstar[i] != DSTAR_NONE)
			v = resumed ? json_boolean(t->dstar[i] & DSTAR_RESUMED)
				    : json_integer((t->dstar[i] & ~DSTAR_RESUMED) *
						   US_PER_TENTH_MS);
		json_array_append_new(list, v);
	}
	return list;
}

static const char *ccs_text(const struct tally *t)
{
	if (t->state & TALLY_CCS_TWICE)
		return "twice";
	return t->state & TALLY_CCS_ALONE ? "alone" : "none";
}

static json_t *stack_json(const struct tally *t, const char *name)
{
	if (name)
		return json_string(name);
	return t->stack ? json_sprintf("key:%016llx", (unsigned long long)t->stack) : json_null();
}

json_t *source_json(const struct snapshot *s, const struct tally *t, const char *stack,
		    const char *tcp)
{
	char src[ADDR_TEXT];

	return json_pack("{s:s, s:s, s:o, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:i, s:i, s:s?, s:s, s:s}",
			 "schema", "winnow.source/1", "src", source_text(t->src, t->family, src),
			 "stack", stack_json(t, stack), "service", t->service, "connections",
			 (json_int_t)t->connections, "exchanges", (json_int_t)t->exchanges,
			 "bytes_in", (json_int_t)t->bytes_in, "bytes_out", (json_int_t)t->bytes_out,
			 "first_seen", time_json(snapshot_ns(s, t->first_seen)), "last_seen",
			 time_json(snapshot_ns(s, t->last_seen)), "d1dstar",
			 matrix_json(t->d1dstar), "dstar_last_us", dstar_json(t, false),
			 "dstar_resumed", dstar_json(t, true), "gaps", gaps_json(t), "rtt_min_us",
			 t->rtt_min ? json_integer(t->rtt_min * US_PER_TENTH_MS) : json_null(),
			 "resumed", t->resumed, "piggy", t->piggy, "tcp", tcp, "ccs", ccs_text(t),
			 "transport", t->proto == IPPROTO_UDP ? "quic" : "tcp");
}
