/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/emit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/addr.h"

struct emitter {
	enum form form;
	const struct sim *sim;
	FILE *out;
	struct packets *packets;
	uint32_t given, number[STACKS]; /* of the hello, from 1 */
};

int emit_open(enum form f, const struct sim *s, FILE *out, struct emitter **e)
{
	struct emitter *m = calloc(1, sizeof(*m));
	int err = 0;

	if (!m)
		return -ENOMEM;
	*m = (struct emitter){ .form = f, .sim = s, .out = out };
	setvbuf(out, NULL, _IOFBF, 1 << 18);
	if (f == BINARY)
		err = event_write_magic(out);
	if (f == PCAP)
		err = packets_open(s, out, &m->packets);
	if (err)
		free(m);
	else
		*e = m;
	return err;
}

static void print_unknown(FILE *out, const char *name, uint32_t us)
{
	if (us != US_UNKNOWN)
		fprintf(out, ",\"%s\":%u", name, us);
}

static int print(struct emitter *m, const struct event_conn *e, const struct sim_truth *t,
		 bool first)
{
	const struct stack *k = sim_stack(m->sim, t->stack);
	char text[ADDR_TEXT], tcp[96];

	tcp_signature(sim_tcp(m->sim, t->source), !addr_is_v4(e->src), tcp);
	fprintf(m->out,
		"{\"t\":%" PRIu64 ".%09" PRIu64 ",\"src\":\"%s\",\"sport\":%u,\"dport\":%u,",
		e->t / 1000000000, e->t % 1000000000, addr_text(e->src, text), e->sport, e->dport);
	if (first) {
		fputs("\"hello\":\"", m->out);
		for (size_t i = 0; i < k->len; i++)
			fprintf(m->out, "%02x", k->hello[i]);
		fputc('"', m->out);
	} else {
		fprintf(m->out, "\"hello\":%u", e->hello);
	}
	fprintf(m->out, ",\"tcp\":\"%s\"", tcp);
	print_unknown(m->out, "rtt_us", e->rtt_us);
	print_unknown(m->out, "d1_us", e->d1_us);
	print_unknown(m->out, "d2_us", e->d2_us);
	print_unknown(m->out, "dstar_us", e->dstar_us);
	fprintf(m->out, ",\"piggy\":%s,\"psk\":%s", e->piggy ? "true" : "false",
		e->psk ? "true" : "false");
	if (e->has_order)
		fprintf(m->out, ",\"order\":\"%016" PRIx64 "\"", e->order);
	fputs(",\"exchanges\":[", m->out);
	for (size_t i = 0; i < e->n_exchanges; i++)
		fprintf(m->out, "%s[%u,%u,%u]", i ? "," : "", e->exchanges[i].dt_ms,
			e->exchanges[i].in, e->exchanges[i].out);
	return fputs("]}\n", m->out) == EOF ? -EIO : 0;
}

int emit(struct emitter *m, const struct event_conn *c, const struct sim_truth *t)
{
	const struct stack *k = sim_stack(m->sim, t->stack);
	struct event_conn e = *c;
	bool first = !m->number[t->stack];
	int err = 0;

	if (m->form == PCAP)
		return packets_add(m->packets, c, t);
	if (first)
		m->number[t->stack] = ++m->given;
	e.hello = m->number[t->stack] - 1;
	if (m->form == JSONL)
		return print(m, &e, t, first);
	if (first)
		err = event_write_hello(m->out, k->hello, k->len);
	return err ? err : event_write(m->out, &e);
}

int emit_close(struct emitter *m)
{
	int err = m->form == PCAP ? packets_close(m->packets) : 0;

	if (!err && fflush(m->out))
		err = -EIO;
	free(m);
	return err;
}
