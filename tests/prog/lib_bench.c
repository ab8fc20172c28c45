/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kern/internal.h"
#include "lib_wire.h"
#include "hello.h"
#include "key.bpf.h"

/* ---- the bench ----------------------------------------------------------------- */

struct bench *bench_open(const struct bench_sizes *sizes)
{
	static const struct bench_sizes none;
	const struct bench_sizes *s = sizes ? sizes : &none;
	struct kern_config c = {
		.replay = !s->live,
		.tallies = s->tallies ? s->tallies : 1024,
		.orders = s->orders ? s->orders : 1024,
		.flows = s->flows ? s->flows : 1024,
		.handshakes = s->handshakes ? s->handshakes : 1024,
		.reassembly = s->reassembly ? s->reassembly : 64,
		.rules = s->rules ? s->rules : 256,
		.prefixes = s->rules ? s->rules : 256,
		.ring_bytes = s->ring_bytes ? s->ring_bytes : 1 << 20,
	};
	struct bench *b = calloc(1, sizeof(*b));
	struct reason r;

	if (kern_open(&c, &b->k, &r))
		fail_msg("%s", r.text);
	b->t = 1000 * SEC;
	b->c = kern_control(b->k);
	b->c->proof = PROOF_EGRESS;
	b->c->emit_all = 1;
	kern_ports(b->k)->tcp[443 / 64] |= 1ULL << 443 % 64;
	return b;
}

void bench_free(struct bench *b)
{
	if (b)
		kern_free(b->k);
	free(b);
}

static int setup(void **state, const struct bench_sizes *s)
{
	*state = geteuid() ? NULL : bench_open(s);
	return 0;
}

int bench_setup(void **state)
{
	return setup(state, NULL);
}

int bench_setup_live(void **state)
{
	return setup(state, &(struct bench_sizes){ .live = true });
}

int bench_teardown(void **state)
{
	bench_free(*state);
	return 0;
}

struct bench *bench_of(void **state)
{
	if (!*state) {
		print_message("skipped: needs root to load programs\n");
		skip();
	}
	return *state;
}

void bench_after(struct bench *b, uint64_t us)
{
	b->t += us;
}

static uint32_t run(struct bench *b, const struct frame *f, bool egress)
{
	uint32_t verdict;
	int err;

	if (b->wire) {
		*b->k->virtual_ns = b->t * 1000;
		return wire_run(b, f, egress);
	}
	err = kern_feed(b->k, b->t * 1000, f->b, f->len, egress, &verdict);
	if (err)
		fail_msg("kern_feed: %s", strerror(-err));
	return verdict;
}

int bench_in(struct bench *b, const struct frame *f)
{
	return run(b, f, false);
}

void bench_out(struct bench *b, const struct frame *f)
{
	run(b, f, true);
}

int bench_in_out(struct bench *b, const struct frame *f, size_t linear, struct frame *out,
		 uint32_t *verdict)
{
	struct xdp_md ctx = { .data_end = linear };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = f->len, .repeat = 1,
		    .data_out = out ? out->b : NULL, .data_size_out = out ? sizeof(out->b) : 0);
	int err;

	if (linear) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	*b->k->virtual_ns = b->t * 1000;
	err = bpf_prog_test_run_opts(b->k->xdp_fd, &opts);
	if (err)
		return err;
	*verdict = opts.retval;
	if (out) {
		out->len = opts.data_size_out;
		out->l3 = f->l3;
		out->l4 = f->l4;
		out->data = f->data;
	}
	return 0;
}

void bench_mark(struct bench *b)
{
	assert_int_equal(kern_counters(b->k, b->mark), 0);
}

uint64_t bench_count(struct bench *b, unsigned int counter)
{
	uint64_t now[COUNTER_MAX];

	assert_int_equal(kern_counters(b->k, now), 0);
	return now[counter] - b->mark[counter];
}

static void on_event(void *ctx, const struct event_head *e)
{
	struct bench *b = ctx;

	if (e->type == EVENT_HELLO) {
		memcpy(&b->hello.e, e, sizeof(b->hello.e));
		memcpy(b->hello.bytes, ((const struct event_hello *)e)->bytes,
		       b->hello.e.hello_len);
		b->hello.n++;
	} else if (e->type == EVENT_HANDSHAKE) {
		memcpy(&b->handshake.e, e, sizeof(b->handshake.e));
		b->handshake.n++;
	}
}

void bench_events(struct bench *b)
{
	assert_true(kern_events_drain(b->k, on_event, b) >= 0);
}

/* ---- tables ---------------------------------------------------------------------- */

size_t bench_tallies(const struct bench *b)
{
	size_t n_sets, n = 0;
	const struct tally_set *sets = kern_tallies(b->k, &n_sets);

	for (size_t i = 0; i < n_sets * WAYS; i++)
		n += sets[i / WAYS].tag[i % WAYS] != 0;
	return n;
}

const struct tally_row *bench_tally(const struct bench *b, const struct path *p, uint64_t stack)
{
	size_t n_sets;
	const struct tally_set *sets = kern_tallies(b->k, &n_sets);
	const struct tally_row *found = NULL;
	uint8_t family;
	uint64_t src = source_of(p->client, &family);

	for (size_t i = 0; i < n_sets * WAYS; i++) {
		const struct tally_row *t = &sets[i / WAYS].slot[i % WAYS];

		if (!sets[i / WAYS].tag[i % WAYS] || t->src != src || t->family != family ||
		    t->service != p->dport || (stack && t->stack != stack))
			continue;
		if (found)
			fail_msg("two rows of one source");
		found = t;
	}
	return found;
}

const struct order_tally *bench_order(const struct bench *b, uint64_t stack, uint64_t order)
{
	size_t n_sets;
	const struct order_set *sets = kern_orders(b->k, &n_sets);

	for (size_t i = 0; i < n_sets * WAYS; i++) {
		const struct order_tally *o = &sets[i / WAYS].slot[i % WAYS];

		if (sets[i / WAYS].tag[i % WAYS] && o->stack == stack && o->order == order)
			return o;
	}
	return NULL;
}

static uint64_t flow_key(const struct bench *b, const struct path *p)
{
	return key_flow(&b->c->secret, &p->client, &p->server, p->sport, p->dport);
}

struct flow *bench_flow(const struct bench *b, const struct path *p)
{
	size_t n_sets;
	struct flow_set *sets = kern_flows(b->k, &n_sets);
	uint64_t key = flow_key(b, p);

	for (size_t i = 0; i < n_sets * WAYS; i++)
		if (sets[i / WAYS].tag[i % WAYS] && sets[i / WAYS].slot[i % WAYS].key == key)
			return &sets[i / WAYS].slot[i % WAYS];
	return NULL;
}

size_t bench_flows(const struct bench *b)
{
	size_t n_sets, n = 0;
	const struct flow_set *sets = kern_flows(b->k, &n_sets);

	for (size_t i = 0; i < n_sets * WAYS; i++)
		n += sets[i / WAYS].tag[i % WAYS] != 0;
	return n;
}

static uint64_t digest_add(uint64_t d, const void *at, size_t len)
{
	const uint8_t *b = at;

	for (size_t i = 0; i < len; i++)
		d = (d ^ b[i]) * 0x100000001b3ULL;
	return d;
}

/* Row by row: the scratch words of a set are no state. */
uint64_t bench_digest(const struct bench *b)
{
	uint64_t d = 0xcbf29ce484222325ULL;
	size_t n;
	const struct tally_set *tallies = kern_tallies(b->k, &n);

	for (size_t i = 0; i < n; i++)
		d = digest_add(d, tallies[i].slot, sizeof(tallies[i].slot));
	{
		const struct order_set *orders = kern_orders(b->k, &n);

		for (size_t i = 0; i < n; i++)
			d = digest_add(d, orders[i].slot, sizeof(orders[i].slot));
	}
	{
		const struct flow_set *flows = kern_flows(b->k, &n);

		for (size_t i = 0; i < n; i++)
			d = digest_add(d, flows[i].slot, sizeof(flows[i].slot));
	}
	return d;
}

int bench_handshake(const struct bench *b, const struct path *p, struct handshake *out)
{
	int heads = kern_map_fd(b->k, "handshake_heads"), sets = kern_map_fd(b->k, "handshakes");
	int syns = kern_map_fd(b->k, "syns");
	uint64_t key = flow_key(b, p);
	struct handshake_head head;
	struct handshake_set set;
	struct syn_record syn;

	for (uint32_t i = 0; !bpf_map_lookup_elem(heads, &i, &head); i++)
		for (int w = 0; w < WAYS; w++) {
			uint32_t at = head.syn[w] - 1;

			if (!head.tag[w])
				continue;
			if (!head.syn[w]) {
				assert_int_equal(bpf_map_lookup_elem(sets, &i, &set), 0);
				*out = set.slot[w];
			} else {
				assert_int_equal(bpf_map_lookup_elem(syns, &at, &syn), 0);
				*out = (struct handshake){ .key = syn.key,
							   .t_syn = syn.time,
							   .isn_c = syn.isn_c,
							   .isn_s = syn.isn_s,
							   .flags = syn.flags,
							   .tcp_key = syn.tcp_key,
							   .mss = syn.mss,
							   .syn = syn.raw,
							   .state = HS_SYN };
			}
			if (out->key == key)
				return 0;
		}
	return -ENOENT;
}

struct hello bench_keys(const struct bench *b, const struct bytes *msg)
{
	static struct hello_buf buf;
	struct hello h = { .transport = 't' };

	memset(&buf, 0, sizeof(buf));
	if (msg->len <= HELLO_MAX) {
		memcpy(buf.b, msg->b, msg->len);
		hello_parse(&buf, msg->len, &b->c->secret, &h);
	}
	return h;
}

/* ---- rules ------------------------------------------------------------------------- */

uint32_t bench_rule(struct bench *b, const struct rule *r, const struct rule_match *m)
{
	struct rule full = *r;
	struct reason why;
	uint32_t index = 1;
	size_t n;
	const struct rule *slots = kern_rules(b->k, &n);

	while (index < n && slots[index].gen)
		index++;
	full.handle = index;
	full.gen = ++b->rule_gen;
	if (!full.canary)
		full.canary = 10000;
	if (kern_rule_put(b->k, index, &full, m, &why))
		fail_msg("%s", why.text);
	return index;
}

struct rule *bench_rule_at(struct bench *b, uint32_t index)
{
	size_t n;

	return &kern_rules(b->k, &n)[index];
}

struct cidr cidr_of(const char *text)
{
	struct cidr c;

	if (cidr_parse(text, &c))
		fail_msg("%s", text);
	return c;
}
