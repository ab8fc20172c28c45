/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinned tables of other sizes, or another layout, move to new ones. Fault 60; the story
 * with two programs, and probes meanwhile, is tests/e2e/32-layout.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/internal.h"
#include "key.h"
#include "lib_kern.h"

#define STACK 0x1234567890abcdefULL

static struct kern *open_with(const struct kern_config *c)
{
	struct kern *k = NULL;
	struct reason r;

	if (kern_open(c, &k, &r))
		fail_msg("%s", r.text);
	return k;
}

static unsigned int xdp_id(void)
{
	char text[64];

	lab_read(text, sizeof(text),
		 "ip -d link show w0 | sed -n 's/.*prog\\/xdp id \\([0-9]*\\).*/\\1/p'");
	return atoi(text);
}

static struct cidr net(uint32_t a, unsigned int plen)
{
	return (struct cidr){ { 0, ADDR_V4_MARK | a }, 96 + plen };
}

/* ---- what the old state holds ------------------------------------------------------- */

enum { SOURCES = 40, RULES = 5 };

static struct rule_match match_of(uint32_t i)
{
	switch (i) {
	case 1: /* one source */
		return (struct rule_match){ .src = net(0x0a000001, 32) };
	case 2: /* a prefix */
		return (struct rule_match){ .src = net(0x0a010000, 16) };
	case 3: /* source and stack */
		return (struct rule_match){ .src = net(0x0a000001, 32), .stack = STACK };
	case 4: /* a stack, narrowed to a prefix */
		return (struct rule_match){ .src = net(0x0a020000, 16), .stack = STACK };
	default: /* a second rule of the same match */
		return (struct rule_match){ .src = net(0x0a000001, 32), .stack = STACK };
	}
}

static uint64_t row_key(struct kern *k, uint32_t src)
{
	return key_tally(&kern_control(k)->secret, src, STACK, 443, 4, 6);
}

static struct tally_row *tally_of(struct kern *k, uint32_t src, uint32_t *row)
{
	uint64_t key = row_key(k, src);
	size_t n;
	struct tally_set *set = (struct tally_set *)kern_tallies(k, &n) + (key & (n - 1));

	for (int w = 0; w < WAYS; w++)
		if (set->tag[w] == (key >> 32) && set->slot[w].src == src) {
			*row = (key & (n - 1)) * WAYS + w;
			return &set->slot[w];
		}
	return NULL;
}

static void put_tally(struct kern *k, uint32_t src)
{
	uint64_t key = row_key(k, src);
	size_t n;
	struct tally_set *set = (struct tally_set *)kern_tallies(k, &n) + (key & (n - 1));
	int w = 0;

	while (set->tag[w])
		assert_true(++w < WAYS);
	set->tag[w] = key >> 32;
	set->slot[w] = (struct tally_row){
		.src = src,
		.stack = STACK,
		.service = 443,
		.family = 4,
		.proto = 6,
		.gen = 2,
		.connections = src,
		.bytes_out = 1ULL << 40 | src,
	};
}

/* Any key will do: the programs' keys of flows are no different. */
static uint64_t flow_key(uint32_t src)
{
	return mix64(src) | 1ULL << 63;
}

static void put_flow(struct kern *k, uint32_t src, uint32_t rule, uint32_t gen)
{
	uint64_t key = flow_key(src);
	uint32_t row;
	size_t n;
	struct flow_set *set = kern_flows(k, &n) + (key & (n - 1));
	int w = 0;

	assert_non_null(tally_of(k, src, &row));
	while (set->tag[w])
		assert_true(++w < WAYS);
	set->tag[w] = key >> 32;
	set->slot[w] = (struct flow){
		.key = key, .tally = row, .tally_gen = 2, .rule = rule, .rule_gen = gen, .gen = 4
	};
}

static struct flow *flow_of(struct kern *k, uint32_t src)
{
	uint64_t key = flow_key(src);
	size_t n;
	struct flow_set *set = kern_flows(k, &n) + (key & (n - 1));

	for (int w = 0; w < WAYS; w++)
		if (set->tag[w] == key >> 32 && set->slot[w].key == key)
			return &set->slot[w];
	return NULL;
}

/* Of odd sources a whole record, of even ones what a SYN has left; of those that SYN has
 * been overwritten by another connection's in every third place. */
static bool is_overwritten(uint32_t src)
{
	return src % 6 == 0;
}

static uint32_t sets_at(struct kern *k, uint64_t key)
{
	const struct bpf_map *m = bpf_object__find_map_by_name(kern_object(k), "handshakes");

	return key & (bpf_map__max_entries(m) - 1);
}

static void put_handshake(struct kern *k, uint32_t src)
{
	int heads = kern_map_fd(k, "handshake_heads"), sets = kern_map_fd(k, "handshakes");
	int syns = kern_map_fd(k, "syns"), w = 0;
	uint64_t key = flow_key(src);
	uint32_t at = sets_at(k, key);
	struct handshake_head head;
	struct handshake_set set;
	struct syn_record syn = {
		.key = is_overwritten(src) ? mix64(key) : key,
		.time = src,
		.isn_c = 10 + src,
		.isn_s = 20 + src,
		.flags = HS_HAS_ISN,
		.tcp_key = 30 + src,
		.mss = 40,
		.raw = { .present = 1, .ttl = 50, .tcp_len = 60, .tcp = { [59] = 70 } },
	};

	assert_int_equal(map_get(heads, &at, &head), 0);
	assert_int_equal(map_get(sets, &at, &set), 0);
	while (head.tag[w])
		assert_true(++w < WAYS);
	head.tag[w] = key >> 32;
	head.heat[w] = src;
	if (src % 2) {
		set.slot[w] = (struct handshake){
			.key = key, .isn_c = src, .state = HS_NAMED, .stack = STACK
		};
		if (src % 3)
			set.slot[w].rule = 61, set.slot[w].rule_gen = 21;
		assert_int_equal(map_put(sets, &at, &set, BPF_ANY), 0);
	} else {
		head.syn[w] = src;
		at = src - 1;
		assert_int_equal(map_put(syns, &at, &syn, BPF_ANY), 0);
		at = sets_at(k, key);
	}
	assert_int_equal(map_put(heads, &at, &head, BPF_ANY), 0);
}

static void fill(struct kern *k)
{
	struct cidr lan = net(0xc0a80000, 16);
	struct reason r;
	size_t n;

	for (uint32_t i = 1; i <= RULES; i++) {
		struct rule rule = { .handle = 100 + i, .gen = 7 * i, .action = RULE_DROP };
		struct rule_match m = match_of(i);

		/* the last slots: a smaller table does not have them */
		assert_int_equal(kern_rule_put(k, 58 + i, &rule, &m, &r), 0);
		kern_rules(k, &n)[58 + i].hits = 1000 + i;
	}
	assert_int_equal(kern_allow_put(k, &lan, &r), 0);
	kern_control(k)->heartbeat = 4711;
	kern_control(k)->panic = 1;
	kern_ports(k)->tcp[443 / 64] = 1ULL << 443 % 64;
	for (uint32_t src = 1; src <= SOURCES; src++) {
		put_tally(k, src);
		put_flow(k, src, src % 2 ? 61 : 0, src % 2 ? 21 : 0);
		put_handshake(k, src);
	}
}

/* ---- and what the new one must ----------------------------------------------------- */

static struct rule *rule_by(struct kern *k, uint32_t handle, uint32_t *index)
{
	size_t n;
	struct rule *rules = kern_rules(k, &n);

	for (uint32_t i = 1; i < n; i++)
		if (rules[i].gen && rules[i].handle == handle) {
			*index = i;
			return &rules[i];
		}
	fail_msg("rule %u is gone", handle);
	return NULL;
}

/* Where the new programs find it, whole. */
static bool handshake_of(struct kern *k, uint32_t src, struct handshake *out)
{
	int heads = kern_map_fd(k, "handshake_heads"), sets = kern_map_fd(k, "handshakes");
	uint64_t key = flow_key(src);
	uint32_t at = sets_at(k, key);
	struct handshake_head head;
	struct handshake_set set;

	assert_int_equal(map_get(heads, &at, &head), 0);
	assert_int_equal(map_get(sets, &at, &set), 0);
	for (int w = 0; w < WAYS; w++) {
		if (head.tag[w] != key >> 32)
			continue;
		assert_int_equal(head.syn[w], 0);
		assert_int_equal(head.heat[w], src);
		assert_int_equal(set.slot[w].key, key);
		*out = set.slot[w];
		return true;
	}
	return false;
}

static void has_the_handshakes(struct kern *k)
{
	struct handshake h;
	uint32_t index = 0;

	for (uint32_t src = 1; src <= SOURCES; src++) {
		if (is_overwritten(src)) {
			assert_false(handshake_of(k, src, &h));
			continue;
		}
		assert_true(handshake_of(k, src, &h));
		if (src % 2) {
			assert_int_equal(h.isn_c, src);
			assert_int_equal(h.state, HS_NAMED);
			assert_int_equal(h.stack, STACK);
			if (src % 3)
				rule_by(k, 103, &index);
			assert_int_equal(h.rule, src % 3 ? index : 0);
			continue;
		}
		assert_int_equal(h.state, HS_SYN);
		assert_int_equal(h.t_syn, src);
		assert_int_equal(h.isn_c, 10 + src);
		assert_int_equal(h.isn_s, 20 + src);
		assert_int_equal(h.hello_base, 11 + src);
		assert_int_equal(h.high, 11 + src);
		assert_int_equal(h.flags, HS_HAS_ISN);
		assert_int_equal(h.tcp_key, 30 + src);
		assert_int_equal(h.mss, 40);
		assert_int_equal(h.d1, US_UNKNOWN);
		assert_int_equal(h.syn.ttl, 50);
		assert_int_equal(h.syn.tcp[59], 70);
	}
}

static void count_allow(void *ctx, const struct cidr *c)
{
	assert_int_equal(c->net.lo, ADDR_V4_MARK | 0xc0a80000);
	assert_int_equal(c->plen, 112);
	++*(int *)ctx;
}

static void has_the_rules(struct kern *k)
{
	struct rule_match match[256] = {};
	uint32_t index = 0;
	int allows = 0;

	assert_int_equal(kern_rule_matches(k, match), 0);
	for (uint32_t i = 1; i <= RULES; i++) {
		struct rule *rule = rule_by(k, 100 + i, &index);
		struct rule_match want = match_of(i);

		assert_int_equal(rule->gen, 7 * i);
		assert_int_equal(rule->action, RULE_DROP);
		assert_memory_equal(&match[index], &want, sizeof(want));
	}
	assert_int_equal(kern_allows(k, count_allow, &allows), 0);
	assert_int_equal(allows, 1);
	assert_int_equal(kern_control(k)->panic, 1);
	assert_int_equal(kern_control(k)->abi, WINNOW_ABI_VERSION);
	assert_int_equal(kern_ports(k)->tcp[443 / 64], 1ULL << 443 % 64);
}

static void has_the_clients(struct kern *k)
{
	uint32_t row, index = 0;

	for (uint32_t src = 1; src <= SOURCES; src++) {
		struct tally_row *t = tally_of(k, src, &row);
		struct flow *f = flow_of(k, src);

		assert_non_null(t);
		assert_int_equal(t->connections, src);
		assert_int_equal(t->bytes_out, 1ULL << 40 | src);
		assert_non_null(f);
		assert_int_equal(f->tally, row);
		assert_int_equal(f->tally_gen, t->gen);
		if (src % 2) {
			rule_by(k, 103, &index);
			assert_int_equal(f->rule, index);
			assert_int_equal(f->rule_gen, 21);
		} else {
			assert_int_equal(f->rule, 0);
		}
	}
	for (uint32_t i = 1; i <= RULES; i++)
		assert_int_equal(rule_by(k, 100 + i, &index)->hits, 1000 + i);
	has_the_handshakes(k);
}

static void moves_to(const struct kern_config *c, uint32_t abi)
{
	struct kern_config first = lab_config(LAB_PINS, false);
	struct kern *k = open_with(&first);
	struct kern_moved moved;
	unsigned int before, after;
	struct secret secret;
	struct reason r;

	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	fill(k);
	secret = kern_control(k)->secret;
	kern_control(k)->abi = abi;
	kern_free(k);
	before = xdp_id();
	assert_true(before);

	/* killed before the end of it: as if nothing had been */
	k = open_with(c);
	assert_int_equal(xdp_id(), before);
	kern_free(k);
	assert_int_equal(xdp_id(), before);

	k = open_with(c);
	assert_true(kern_adopted(k));
	assert_memory_equal(&kern_control(k)->secret, &secret, sizeof(secret));
	assert_int_equal(kern_control(k)->heartbeat, 4711);
	has_the_rules(k);
	assert_int_equal(xdp_id(), before);
	if (kern_switch(k, &moved, &r))
		fail_msg("%s", r.text);
	assert_true(moved.happened);
	assert_int_equal(moved.rules, RULES);
	assert_int_equal(moved.tallies, SOURCES);
	assert_int_equal(moved.flows, SOURCES);
	assert_int_equal(moved.handshakes, SOURCES - SOURCES / 6);
	after = xdp_id();
	assert_true(after && after != before);
	has_the_rules(k);
	has_the_clients(k);
	assert_int_equal(access(LAB_PINS "/maps:next", F_OK), -1);
	kern_free(k);

	/* from now on it is a state like any other */
	k = open_with(c);
	assert_true(kern_adopted(k));
	assert_true(xdp_id() && xdp_id() != after);
	has_the_rules(k);
	has_the_clients(k);
	assert_int_equal(kern_switch(k, &moved, &r), 0);
	assert_false(moved.happened);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	kern_free(k);
}

/* ---- fault 60 ------------------------------------------------------------------------ */

static void another_layout_version_is_moved(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);

	need_lab();
	moves_to(&c, WINNOW_ABI_VERSION + 1);
}

static void larger_tables_take_over_every_row(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);

	need_lab();
	c.tallies = c.flows = c.handshakes = 8192;
	c.orders = 1024;
	c.rules = c.prefixes = 256;
	moves_to(&c, WINNOW_ABI_VERSION);
}

static void smaller_tables_take_over_what_fits(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);

	need_lab();
	c.tallies = c.flows = c.handshakes = 512;
	c.orders = 128;
	c.rules = 32; /* the rules are in slots from 59 on */
	moves_to(&c, WINNOW_ABI_VERSION);
}

static void a_state_that_does_not_say_what_its_rows_are_is_refused(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct kern *k = NULL;
	struct reason r;

	need_lab();
	k = open_with(&c);
	kern_control(k)->abi = WINNOW_ABI_VERSION + 1;
	kern_free(k);
	lab_run("rm %s/maps/layout", LAB_PINS);
	k = NULL;
	assert_int_equal(kern_open(&c, &k, &r), -ESTALE);
	assert_non_null(strstr(r.text, "has layout"));
	assert_non_null(strstr(r.text, "Try: "));
}

/* Killed while it was pinning: what was half there goes, the old state is the state. */
static void a_move_that_was_cut_short_begins_again(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct kern_moved moved;
	struct kern *k;
	struct reason r;

	need_lab();
	k = open_with(&c);
	fill(k);
	kern_free(k);
	lab_run("mkdir %s/maps:next && cd %s && for m in rules flows; do "
		"bpftool map pin pinned maps/$m maps:next/$m; done",
		LAB_PINS, LAB_PINS);
	c.tallies = 8192;
	k = open_with(&c);
	assert_int_equal(access(LAB_PINS "/maps:next", F_OK), -1);
	assert_int_equal(kern_switch(k, &moved, &r), 0);
	assert_true(moved.happened);
	has_the_rules(k);
	has_the_clients(k);
	kern_free(k);
}

#define wired(f) cmocka_unit_test_setup_teardown(f, lab_wires, lab_no_wires)

int main(void)
{
	const struct CMUnitTest tests[] = {
		wired(another_layout_version_is_moved),
		wired(larger_tables_take_over_every_row),
		wired(smaller_tables_take_over_what_fits),
		wired(a_state_that_does_not_say_what_its_rows_are_is_refused),
		wired(a_move_that_was_cut_short_begins_again),
	};

	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
