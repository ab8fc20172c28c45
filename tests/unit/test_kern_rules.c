/* SPDX-License-Identifier: BSD-2-Clause */
/* The rule tables as userspace writes them. Faults 66, 67, 73, 77 (kernel half). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kern/internal.h"
#include "lib_kern.h"

static struct kern *opened(const char *pins, uint32_t rules)
{
	struct kern_config c = lab_config(pins, false);
	struct kern *k = NULL;
	struct reason r;

	c.rules = rules;
	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	return k;
}

static struct rule_match on(const char *cidr, uint64_t ja4, uint64_t stack)
{
	struct rule_match m = { .ja4 = ja4, .stack = stack };

	if (cidr && cidr_parse(cidr, &m.src))
		fail_msg("%s", cidr);
	return m;
}

static struct rule drop(uint32_t gen)
{
	return (struct rule){ .gen = gen, .handle = gen, .action = RULE_DROP };
}

static int put(struct kern *k, uint32_t index, struct rule_match m, uint8_t flags)
{
	struct rule r = drop(1000 + index);
	struct reason why = {};

	r.flags = flags;
	return kern_rule_put(k, index, &r, &m, &why);
}

static int entries(struct kern *k, const char *map)
{
	struct match_key key;
	void *prev = NULL;
	int n = 0;

	for (; !bpf_map_get_next_key(kern_map_fd(k, map), prev, &key); prev = &key)
		n++;
	return n;
}

static void one_more(void *ctx, uint32_t index)
{
	++*(int *)ctx;
}

static int networks(struct kern *k)
{
	int n = 0;

	nets_each(k, one_more, &n);
	return n;
}

static uint32_t first(struct kern *k, const char *map, const void *key)
{
	uint32_t index = 0;

	bpf_map_lookup_elem(kern_map_fd(k, map), key, &index);
	return index;
}

static void each_match_goes_to_its_own_table(void **state)
{
	struct control *c;
	struct rule *s;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	c = kern_control(k);
	s = kern_rules(k, &n);
	assert_int_equal(put(k, 1, on("192.0.2.1", 0, 0), 0), 0);
	assert_int_equal(put(k, 2, on("2001:db8::/64", 0, 0), RULE_PORTS_ANY), 0);
	assert_int_equal(c->n_source_rules, 2);
	assert_int_equal(put(k, 3, on("198.51.100.0/24", 0, 0), RULE_PORTS_ANY), 0);
	assert_int_equal(c->n_source_rules, 3);
	assert_int_equal(c->n_any_port_rules, 2);
	assert_int_equal(put(k, 4, on(NULL, 5, 0), 0), 0);
	assert_int_equal(put(k, 5, on("192.0.2.1", 0, 6), 0), 0);
	assert_int_equal(put(k, 6, on("2001:db8::/64", 5, 6), 0), 0);
	assert_int_equal(c->kinds, 1 << MATCH_JA4 | 1 << (8 + MATCH_STACK) |
					   1 << (16 + MATCH_JA4 + MATCH_STACK));
	assert_int_equal(networks(k), 3);
	assert_int_equal(entries(k, "match"), 3);
	assert_int_equal(s[4].plen, 0);

	/* a fingerprint and a prefix: under the fingerprint, narrowed by the slot */
	assert_int_equal(put(k, 7, on("198.51.100.0/24", 5, 0), 0), 0);
	assert_int_equal(entries(k, "match"), 3);
	assert_int_equal(s[7].plen, 120);
	assert_int_equal(s[4].next, 7);
	assert_int_equal(put(k, 8, on(NULL, 0, 0), 0), -EINVAL);
	kern_free(k);
}

static void rules_with_one_key_form_a_chain_that_survives_removal_anywhere(void **state)
{
	struct match_key key = { .ja4 = 9 };
	struct rule_match m = on(NULL, 9, 0);
	struct rule *s;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	s = kern_rules(k, &n);
	for (uint32_t i = 1; i <= 4; i++)
		assert_int_equal(put(k, i, m, 0), 0);
	assert_int_equal(first(k, "match", &key), 1); /* the older one speaks */
	assert_int_equal(kern_rule_remove(k, 2, &m), 0);
	assert_int_equal(s[1].next, 3);
	assert_int_equal(s[2].gen, 0);
	assert_int_equal(kern_rule_remove(k, 2, &m), -ENOENT);
	assert_int_equal(kern_rule_remove(k, 1, &m), 0);
	assert_int_equal(first(k, "match", &key), 3);
	assert_int_equal(kern_rule_remove(k, 4, &m), 0);
	assert_int_equal(s[3].next, 0);
	assert_int_equal(kern_control(k)->kinds, 1 << MATCH_JA4);
	assert_int_equal(kern_rule_remove(k, 3, &m), 0);
	assert_int_equal(kern_control(k)->kinds, 0);
	assert_int_equal(entries(k, "match"), 0);

	for (uint32_t i = 1; i <= MATCH_CHAIN_MAX; i++)
		assert_int_equal(put(k, i, m, 0), 0);
	assert_int_equal(put(k, 40, m, 0), -E2BIG);
	assert_int_equal(s[40].gen, 0);
	kern_free(k);
}

/* The programs read only the head of a source's chain. */
static void the_weightiest_rule_on_a_source_is_the_head(void **state)
{
	static const uint8_t actions[] = { RULE_COUNT, RULE_DROP, RULE_LIMIT, RULE_PASS,
					   RULE_DROP };
	static const uint32_t order[] = { 4, 2, 5, 3, 1 };
	struct rule_match m = on("10.0.0.1", 0, 0);
	struct reason why;
	struct rule *s;
	struct kern *k;
	uint32_t at;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	s = kern_rules(k, &n);
	for (uint32_t i = 1; i <= 5; i++) {
		struct rule r = drop(i);

		r.action = actions[i - 1];
		assert_int_equal(kern_rule_put(k, i, &r, &m, &why), 0);
	}
	at = nets_find(k, &m.src);
	for (int i = 0; i < 5; i++, at = s[at].next)
		assert_int_equal(at, order[i]);
	assert_int_equal(at, 0);
	assert_int_equal(kern_control(k)->n_source_rules, 5);
	kern_free(k);
}

static void nested_prefixes_do_not_share_a_chain(void **state)
{
	struct rule_match wide = on("10.0.0.0/8", 0, 0), narrow = on("10.1.0.0/16", 0, 0);
	struct rule *s;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	s = kern_rules(k, &n);
	assert_int_equal(put(k, 1, wide, 0), 0);
	assert_int_equal(put(k, 2, narrow, 0), 0);
	assert_int_equal(s[2].next, 0);
	assert_int_equal(kern_rule_remove(k, 1, &narrow), -ENOENT);
	assert_int_equal(kern_rule_remove(k, 2, &narrow), 0);
	assert_int_equal(kern_rule_remove(k, 2, &narrow), -ENOENT);
	assert_int_equal(networks(k), 1);
	kern_free(k);
}

/* 66 */
static void a_full_table_refuses_and_changes_nothing(void **state)
{
	struct rule r = drop(7);
	struct reason why;
	struct rule *s;
	struct kern *k;
	char text[32];
	uint32_t before;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	s = kern_rules(k, &n);
	for (uint32_t i = 1; i <= 16; i++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", i);
		assert_int_equal(put(k, i, on(text, 0, 0), 0), 0);
	}
	before = kern_control(k)->n_source_rules;
	assert_int_equal(kern_rule_put(k, 20, &r,
				       &(struct rule_match){ .src = on("10.99.0.0/16", 0, 0).src },
				       &why),
			 -ENOSPC);
	assert_string_equal(why.text, "rule table full (16)");
	assert_int_equal(s[20].gen, 0);
	assert_int_equal(kern_control(k)->n_source_rules, before);
	assert_int_equal(put(k, 64, on(NULL, 1, 0), 0), -ENOSPC);
	for (uint32_t i = 0; i < 16; i++) {
		struct rule_match m;

		snprintf(text, sizeof(text), "172.16.%u.0/24", i);
		m = on(text, 0, 0);
		assert_int_equal(kern_allow_put(k, &m.src, &why), 0);
		assert_int_equal(kern_allow_put(k, &m.src, &why), 0); /* again: no change */
	}
	assert_int_equal(kern_allow_put(k, &(struct cidr){ addr_v4(1), 128 }, &why), -ENOSPC);
	assert_string_equal(why.text, "allow table full (16)");
	assert_int_equal(kern_allow_remove(k, &(struct cidr){ addr_v4(1), 128 }), -ENOENT);
	kern_free(k);
}

/* 77: killed between the steps of an add or a removal. */
static void adoption_mends_what_a_killed_process_left(void **state)
{
	struct rule_match m = on("192.0.2.1", 0, 3);
	struct control *c;
	struct rule *s;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(LAB_PINS, 64);
	assert_int_equal(put(k, 1, m, 0), 0);
	assert_int_equal(put(k, 2, on("10.0.0.0/8", 0, 0), RULE_PORTS_ANY), 0);
	assert_int_equal(put(k, 3, on("10.0.0.1", 0, 0), 0), 0);
	c = kern_control(k);
	s = kern_rules(k, &n);
	s[30] = drop(77); /* written, never reached */
	c->n_source_rules = 9;
	c->n_any_port_rules = 0;
	c->kinds = 0;
	kern_free(k);

	k = opened(LAB_PINS, 64);
	assert_true(kern_adopted(k));
	c = kern_control(k);
	s = kern_rules(k, &n);
	assert_int_equal(s[30].gen, 0);
	assert_int_equal(s[1].gen, 1001);
	assert_int_equal(c->n_source_rules, 2);
	assert_int_equal(c->n_any_port_rules, 1);
	assert_int_equal(c->kinds, 1 << (8 + MATCH_STACK));
	assert_int_equal(kern_rule_remove(k, 1, &m), 0);
	assert_int_equal(c->kinds, 0);
	assert_int_equal(kern_unpin(k, NULL), 0);
	kern_free(k);
}

static bool in_force(const struct control *c)
{
	return __atomic_load_n(&c->n_source_rules, __ATOMIC_ACQUIRE) == 20000 &&
	       __atomic_load_n(&c->kinds, __ATOMIC_ACQUIRE) == 1 << MATCH_STACK;
}

/* 57, 59: what packets look at never changes while another process adopts. */
static void adoption_leaves_every_rule_in_force(void **state)
{
	struct rule_match m = on(NULL, 0, 3);
	struct kern *k;
	pid_t pid;
	int status;

	need_lab();
	k = opened(LAB_PINS, 32768);
	assert_int_equal(put(k, 32767, m, 0), 0);
	for (uint32_t i = 1; i <= 20000; i++) {
		m = (struct rule_match){ .src = { addr_v4(i), 128 } };
		assert_int_equal(put(k, i, m, 0), 0);
	}
	pid = fork();
	if (pid == 0) {
		struct kern *next = opened(LAB_PINS, 32768);

		_exit(!next || !kern_adopted(next));
	}
	do
		assert_true(in_force(kern_control(k)));
	while (waitpid(pid, &status, WNOHANG) == 0);
	assert_int_equal(status, 0);
	assert_true(in_force(kern_control(k)));
	kern_free(k);
}

static void a_sweep_marks_flows_of_the_source_and_stack_only(void **state)
{
	struct tally_set *tallies;
	struct rule_match m = on("192.0.2.1", 0, 3);
	struct flow_set *flows;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(NULL, 64);
	assert_int_equal(put(k, 5, m, 0), 0);
	tallies = (struct tally_set *)kern_tallies(k, &n);
	flows = kern_flows(k, &n);
	for (int i = 0; i < 4; i++) {
		tallies[2].slot[i] = (struct tally_row){ .src = 0xc0000201 + (i == 1),
							 .stack = 3 + 2 * (i == 2),
							 .family = 4,
							 .gen = 8 };
		flows[i].tag[6] = 1;
		flows[i].slot[6] = (struct flow){
			.key = 1, .tally = 2 * WAYS + i, .tally_gen = i == 3 ? 6 : 8, .gen = 2
		};
	}
	assert_int_equal(kern_rule_sweep(k, 5, &m), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(flows[i].slot[6].rule, i ? 0 : 5);
	assert_int_equal(flows[0].slot[6].rule_gen, 1005);
	assert_int_equal(kern_rule_sweep(k, 5, &m), 0);
	/* Many at once: each flow its own rule, exact ones and prefixes. */
	assert_int_equal(put(k, 6, on("192.0.2.2", 0, 3), 0), 0);
	assert_int_equal(put(k, 7, on("192.0.2.0/24", 0, 5), 0), 0);
	assert_int_equal(kern_rules_sweep(k,
					  (struct rule_sweep[]){ { 6, on("192.0.2.2", 0, 3) },
								 { 7, on("192.0.2.0/24", 0, 5) },
								 { 5, m } },
					  3),
			 2);
	assert_int_equal(flows[0].slot[6].rule, 5);
	assert_int_equal(flows[1].slot[6].rule, 6);
	assert_int_equal(flows[2].slot[6].rule, 7);
	assert_int_equal(flows[3].slot[6].rule, 0);
	m.ja4 = 1;
	assert_int_equal(kern_rule_sweep(k, 5, &m), -EOPNOTSUPP);
	kern_free(k);
}

/* 73: the number is printed; the bound is generous, a slow machine is no bug. */
static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The last ten thousand cost no more than four times the first: no list is walked. */
static void the_last_of_a_hundred_thousand_rules_costs_what_the_first_did(void **state)
{
	double at[11];
	struct kern *k;

	need_lab();
	k = opened(NULL, 131072);
	at[0] = cpu_seconds();
	for (uint32_t i = 1; i <= 100000; i++) {
		struct rule_match m = { .src = { addr_v4(i), 128 }, .stack = i & 1 ? 3 : 0 };

		assert_int_equal(put(k, i, m, 0), 0);
		if (i % 10000 == 0)
			at[i / 10000] = cpu_seconds();
	}
	print_message("100,000 rules in %.3f s\n", at[10] - at[0]);
	assert_true(at[10] - at[9] < 4 * (at[1] - at[0]));
	kern_free(k);
}

static int no_pins(void **state)
{
	if (lab_entered)
		lab_run("rm -rf %s", LAB_PINS);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_match_goes_to_its_own_table),
		cmocka_unit_test(rules_with_one_key_form_a_chain_that_survives_removal_anywhere),
		cmocka_unit_test(the_weightiest_rule_on_a_source_is_the_head),
		cmocka_unit_test(nested_prefixes_do_not_share_a_chain),
		cmocka_unit_test(a_full_table_refuses_and_changes_nothing),
		cmocka_unit_test_teardown(adoption_mends_what_a_killed_process_left, no_pins),
		cmocka_unit_test_teardown(adoption_leaves_every_rule_in_force, no_pins),
		cmocka_unit_test(a_sweep_marks_flows_of_the_source_and_stack_only),
		cmocka_unit_test(the_last_of_a_hundred_thousand_rules_costs_what_the_first_did),
	};

	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
