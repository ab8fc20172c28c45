/* SPDX-License-Identifier: BSD-2-Clause */
/* model/event.h and tallies.h: the inlet for events that never were packets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/time.h"
#include "model/event.h"
#include "model/farm.h"
#include "model/plan.h"
#include "model/tallies.h"
#include "tally.h"

#define SECOND NSEC_PER_SEC

/* The answer to one text; *e of the last event read. */
static int read_all(const void *text, size_t len, struct event_conn *last, size_t *n,
		    struct reason *r)
{
	FILE *in = fmemopen((void *)text, len, "r");
	struct event_reader *reader;
	struct event_conn e;
	int err;

	assert_non_null(in);
	*n = 0;
	err = event_open(in, &reader, r);
	if (!err) {
		while ((err = event_next(reader, &e, r)) == 1) {
			*last = e;
			++*n;
		}
		event_close(reader);
	}
	fclose(in);
	return err;
}

static int refused(const char *text, const char *why)
{
	struct event_conn e;
	struct reason r = {};
	size_t n;
	int err = read_all(text, strlen(text), &e, &n, &r);

	if (err != -EINVAL || !strstr(r.text, why))
		print_message("%d \"%s\" for %s\n", err, r.text, text);
	return err == -EINVAL && strstr(r.text, why);
}

#define GOOD "\"t\":100.5,\"src\":\"192.0.2.1\",\"hello\":\"0102\""

static void a_full_line_gives_every_field(void **state)
{
	static const char line[] =
		"{\"t\":\"2026-01-01T00:00:00.25Z\",\"src\":\"2001:db8::1\",\"sport\":1,\"dport\":8443,"
		"\"hello\":\"01020a\",\"tcp\":\"4:64:0:1460:mss*44,7:mss:df:0\",\"rtt_us\":20000,"
		"\"d1_us\":500,\"d2_us\":null,\"dstar_us\":1200,\"piggy\":true,\"psk\":1,"
		"\"order\":\"00000000000000ff\",\"exchanges\":[[0,300,4000],[1500,200,10]]}\n";
	struct event_conn e;
	struct reason r;
	size_t n;

	(void)state;
	assert_int_equal(read_all(line, strlen(line), &e, &n, &r), 0);
	assert_int_equal(n, 1);
	assert_true(e.t == 1767225600 * SECOND + SECOND / 4);
	assert_true(e.src.hi == 0x20010db800000000ULL);
	assert_int_equal(e.dport, 8443);
	assert_int_equal(e.d1_us, 500);
	assert_int_equal(e.d2_us, US_UNKNOWN);
	assert_true(e.piggy && e.psk && e.has_order && e.order == 0xff);
	assert_int_equal(e.n_exchanges, 2);
	assert_int_not_equal(e.tcp_key, 0);
}

static void what_is_missing_is_unknown_and_not_zero(void **state)
{
	static const char line[] = "{" GOOD "}\n\n{\"t\":101,\"src\":\"192.0.2.2\",\"hello\":0}";
	struct event_conn e;
	struct reason r;
	size_t n;

	(void)state;
	assert_int_equal(read_all(line, strlen(line), &e, &n, &r), 0);
	assert_int_equal(n, 2);
	assert_int_equal(e.rtt_us, US_UNKNOWN);
	assert_int_equal(e.d1_us, US_UNKNOWN);
	assert_int_equal(e.dstar_us, US_UNKNOWN);
	assert_int_equal(e.tcp_key, 0);
	assert_int_equal(e.dport, 443);
	assert_false(e.has_order);
	assert_int_equal(e.hello, 0);
}

static void every_fault_is_named_with_its_line_and_field(void **state)
{
	(void)state;
	assert_true(refused("{" GOOD "}\n{" GOOD ",\"rtt\":5}", "line 2: unknown field \"rtt\""));
	assert_true(refused("{" GOOD ",\"rtt_us\":-1}", "line 1: bad value of \"rtt_us\""));
	assert_true(refused("{" GOOD ",\"d1_us\":\"5\"}", "bad value of \"d1_us\""));
	assert_true(refused("{" GOOD ",\"sport\":70000}", "bad value of \"sport\""));
	assert_true(refused("{" GOOD ",\"exchanges\":[[1,2]]}", "bad value of \"exchanges\""));
	assert_true(refused("{" GOOD ",\"order\":\"ff\"}", "bad value of \"order\""));
	assert_true(refused("{\"src\":\"192.0.2.1\",\"hello\":\"01\"}", "line 1: no \"t\""));
	assert_true(
		refused("{\"t\":1,\"src\":\"192.0.2.1\",\"hello\":0}", "bad value of \"hello\""));
	assert_true(refused("{\"t\":1,\"src\":\"192.0.2.1\",\"hello\":\"0g\"}", "\"hello\""));
	assert_true(refused("{\"t\":1,\"src\":\"192.0.2\",\"hello\":\"01\"}", "\"src\""));
	assert_true(refused("{\"t\":-1,\"src\":\"192.0.2.1\",\"hello\":\"01\"}", "\"t\""));
	assert_true(refused("{" GOOD ",\"t\":5}", "line 1: duplicate"));
	assert_true(refused("[1]", "not an object"));
	assert_true(refused("{" GOOD, "line 1:"));
	assert_true(refused("WINNOWE9........", "neither JSON lines nor binary"));
}

static void a_line_has_an_end(void **state)
{
	size_t len = EVENT_LINE_MAX + 100;
	char *text = malloc(len + 1);

	(void)state;
	memset(text, ' ', len);
	text[len] = '\0';
	assert_true(refused(text, "longer than 1 MiB"));
	free(text);
}

/* Distance (hops) and MSS differ, the stack is the same; the window rule is not. */
static void tcp_key_is_the_stacks_and_not_the_paths(void **state)
{
	uint32_t key = event_tcp_key("4:64-5:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0");

	(void)state;
	assert_int_equal(key, event_tcp_key("4:64+9:0:1380:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"));
	assert_int_not_equal(key,
			     event_tcp_key("4:64-5:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0"));
	assert_int_not_equal(key,
			     event_tcp_key("4:128-5:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"));
}

static void the_binary_twin_gives_the_same_event(void **state)
{
	struct event_exchange x[7] = { { 1, 2, 3 }, { 4, 5, 6 }, [6] = { 7, 8, 9 } };
	struct event_conn in = { .t = 5 * SECOND,
				 .src = addr_v4(0x0a000001),
				 .sport = 7,
				 .dport = 443,
				 .tcp_key = 9,
				 .rtt_us = 1,
				 .d1_us = US_UNKNOWN,
				 .d2_us = 3,
				 .dstar_us = 4,
				 .psk = true,
				 .has_order = true,
				 .order = 0xabc,
				 .exchanges = x,
				 .n_exchanges = 7 },
			  out;
	struct reason r;
	size_t len, n;
	char *bytes;
	FILE *f = open_memstream(&bytes, &len);

	(void)state;
	assert_int_equal(event_write_magic(f), 0);
	assert_int_equal(event_write_hello(f, (const uint8_t *)"abc", 3), 0);
	assert_int_equal(event_write(f, &in), 0);
	fclose(f);
	assert_int_equal(len, 8 + 64 + 64 + 64 + 128);
	assert_int_equal(read_all(bytes, len, &out, &n, &r), 0);
	assert_int_equal(n, 1);
	out.exchanges = in.exchanges;
	assert_memory_equal(&in, &out, sizeof(in));
	for (size_t cut = 9; cut < len; cut++) {
		int err = read_all(bytes, cut, &out, &n, &r);

		assert_true(err == -EINVAL || cut == 8 + 64 + 64);
	}
	free(bytes);
}

/* ---- tallies ------------------------------------------------------------------ */

static void a_snapshot_holds_what_happened_by_then(void **state)
{
	struct event_exchange x[] = { { 100, 10, 20 }, { 90000, 30, 40 } };
	struct event_conn e = { .t = 1000 * SECOND,
				.src = addr_v4(1),
				.dport = 443,
				.d1_us = 500,
				.dstar_us = 41000,
				.rtt_us = 20000,
				.exchanges = x,
				.n_exchanges = 2 };
	struct tallies_name name = { .stack = 77, .order = 5 };
	struct tallies *t = tallies_new();
	struct snapshot *s;

	(void)state;
	assert_int_equal(tallies_connection(t, &e, &name), 0);
	assert_int_equal(tallies_advance(t, 1060 * SECOND), 0);
	assert_int_equal(tallies_snapshot(t, false, &s), 0);
	assert_int_equal(s->n_rows, 1);
	assert_int_equal(s->rows[0].connections, 1);
	assert_int_equal(s->rows[0].exchanges, 1);
	assert_int_equal(s->rows[0].dstar[0], 410);
	assert_int_equal(s->rows[0].d1dstar[3], 1);
	assert_true(snapshot_ns(s, s->rows[0].first_seen) / SECOND >= 999);
	snapshot_free(s);
	assert_int_equal(tallies_snapshot(t, false, &s), 0);
	assert_int_equal(s->n_rows, 0); /* nothing changed */
	snapshot_free(s);
	assert_int_equal(tallies_advance(t, 1100 * SECOND), 0);
	assert_int_equal(tallies_snapshot(t, false, &s), 0);
	assert_int_equal(s->rows[0].exchanges, 2);
	assert_int_equal(s->rows[0].bytes_in, 40);
	assert_int_equal(s->rows[0].gaps[6], 1); /* 89.9 s */
	snapshot_free(s);
	tallies_free(t);
}

static void time_may_stumble_but_not_turn_back(void **state)
{
	struct event_conn e = { .t = 1000 * SECOND, .src = addr_v4(1) };
	struct tallies_name name = { .stack = 77 };
	struct tallies *t = tallies_new();

	(void)state;
	assert_int_equal(tallies_connection(t, &e, &name), 0);
	e.t -= SECOND / 2;
	assert_int_equal(tallies_connection(t, &e, &name), 0);
	e.t -= SECOND;
	assert_int_equal(tallies_connection(t, &e, &name), -ERANGE);
	tallies_free(t);
}

/* Browsers that permute make an order a connection; the one that a farm repeats stays. */
static void single_orders_are_forgotten_shared_ones_are_not(void **state)
{
	struct event_conn e = { .t = 1000 * SECOND, .src = addr_v4(1), .dport = 443 };
	struct tallies_name name = { .stack = 77, .order = 5 };
	struct tallies *t = tallies_new();
	size_t orders[2] = {};
	struct snapshot *s;

	(void)state;
	for (uint32_t i = 1; i <= 6; i++) { /* six sources of one order */
		e.src = addr_v4(i);
		assert_int_equal(tallies_connection(t, &e, &name), 0);
	}
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 1U << 20; i++) {
			name.order = 100 + i;
			assert_int_equal(tallies_connection(t, &e, &name), 0);
		}
		assert_int_equal(tallies_snapshot(t, false, &s), 0);
		orders[round] = s->n_orders;
		assert_true(s->losses.order_evicted >= 1U << 20);
		snapshot_free(s);
	}
	assert_int_equal(orders[0], (1U << 20) + 1);
	assert_int_equal(orders[1], 1U << 20); /* the shared one did not change */
	name.order = 5;
	assert_int_equal(tallies_connection(t, &e, &name), 0);
	assert_int_equal(tallies_snapshot(t, false, &s), 0);
	assert_int_equal(s->n_orders, 1);
	assert_int_equal(s->orders[0].connections, 7);
	assert_true(order_sources(&s->orders[0]) >= 5);
	snapshot_free(s);
	tallies_free(t);
}

/* ---- JSON ----------------------------------------------------------------------- */

static void farms_have_the_fields_that_are_promised(void **state)
{
	static const char *const fields[] = {
		"id",
		"state",
		"stack",
		"ja4",
		"onset",
		"watched_at",
		"flagged_at",
		"proposed_at",
		"exchanges_before_flag",
		"share",
		"share_ci",
		"evidence",
		"nearest_benign",
		"members",
		"rules",
		"collateral",
	};
	struct farm_member m = { .src = 0x0a000001, .family = 4, .posterior = 0.999 };
	struct farm farm = { .id = "f1",
			     .state = FARM_PROPOSE,
			     .stack = 0xabc,
			     .members = &m,
			     .n_members = 1,
			     .flagged_at = 1767225600 * SECOND,
			     .nearest_benign = "people" };
	struct farms farms = { .farm = &farm, .n = 1 };
	struct plan_rule rule = { .src = 0x0a000001,
				  .family = 4,
				  .stack = 0xabc,
				  .d1_min = 100,
				  .dstar_min = 310,
				  .action = RULE_RESET,
				  .reason = "because" };
	struct plan_farm cost = { .rules = 1, .collateral = { .upper95 = 1 } };
	struct plan plan = { .rules = &rule, .n_rules = 1, .farms = &cost, .n_farms = 1 };
	json_t *j = farms_json(&farms, &plan, NULL), *f, *p, *r;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(j, "schema")), "winnow.farms/1");
	assert_true(json_is_object(json_object_get(j, "losses")));
	f = json_array_get(json_object_get(j, "farms"), 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_non_null(json_object_get(f, fields[i]));
	assert_true(json_is_null(json_object_get(f, "onset")));
	assert_string_equal(json_string_value(json_object_get(f, "flagged_at")),
			    "2026-01-01T00:00:00.000Z");
	r = json_array_get(json_object_get(f, "rules"), 0);
	assert_string_equal(json_string_value(json_object_get(r, "origin")), "farm:f1");
	assert_string_equal(json_string_value(json_object_get(json_object_get(r, "match"), "src")),
			    "10.0.0.1");
	assert_string_equal(json_string_value(json_array_get(json_object_get(r, "state"), 0)),
			    "d1>=10ms");
	assert_string_equal(json_string_value(json_array_get(json_object_get(r, "state"), 1)),
			    "dstar>=31ms");
	p = plan_json(&plan, &farms, NULL);
	assert_string_equal(json_string_value(json_object_get(p, "schema")), "winnow.plan/1");
	assert_true(
		json_equal(r,
			   json_array_get(json_object_get(json_array_get(json_object_get(p,
											 "farms"),
									 0),
							  "rules"),
					  0)));
	json_decref(p);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_line_gives_every_field),
		cmocka_unit_test(what_is_missing_is_unknown_and_not_zero),
		cmocka_unit_test(every_fault_is_named_with_its_line_and_field),
		cmocka_unit_test(a_line_has_an_end),
		cmocka_unit_test(tcp_key_is_the_stacks_and_not_the_paths),
		cmocka_unit_test(the_binary_twin_gives_the_same_event),
		cmocka_unit_test(a_snapshot_holds_what_happened_by_then),
		cmocka_unit_test(time_may_stumble_but_not_turn_back),
		cmocka_unit_test(single_orders_are_forgotten_shared_ones_are_not),
		cmocka_unit_test(farms_have_the_fields_that_are_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
