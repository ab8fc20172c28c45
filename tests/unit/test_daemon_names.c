/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of recorded hellos, and rules that wait for them, with the real tables
 * (not pinned). The rules part needs root; skipped without.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/rulebook.h"

#define HELLOS "tests/data/hellos"

static const struct secret secret = { { 1, 2, 3, 4 } };
static char dir[] = "/tmp/winnow-names-XXXXXX", path[PATH_MAX];
static struct namebook book;
static struct store *store;
static struct clock now;

static struct store *opened(void)
{
	struct store *s = NULL;
	struct reason r = {};

	if (store_open(path, &s, &r))
		fail_msg("%s", r.text);
	return s;
}

static int start(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	store = opened();
	now = clock_now();
	return namebook_init(&book, &secret);
}

static int end(void **state)
{
	char cmd[PATH_MAX];

	(void)state;
	namebook_clear(&book);
	store_free(store);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* The event the kernel would send for a handshake message. */
static struct event_hello *event_of(const uint8_t *msg, size_t len, const struct secret *s)
{
	struct event_hello *e = calloc(1, sizeof(*e) + len);
	struct namer *n = NULL;

	assert_int_equal(namer_new(&n), 0);
	memcpy(e->bytes, msg, len);
	e->hello_len = len;
	e->result = namer_parse(n, msg, len, s, 't', &e->hello);
	e->head = (struct event_head){ .type = EVENT_HELLO,
				       .len = sizeof(*e) + len,
				       .time = now.mono };
	namer_free(n);
	return e;
}

static struct event_hello *recorded(const char *name)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char file[PATH_MAX];
	uint8_t msg[HELLO_MAX];
	size_t len;

	snprintf(file, sizeof(file), HELLOS "/%s", name);
	f = fopen(file, "r");
	assert_non_null(f);
	len = fread(msg, 1, sizeof(msg), f);
	return event_of(msg, len, &secret);
}

static unsigned int take(struct event_hello *e)
{
	unsigned int fresh;

	assert_int_equal(namebook_event(&book, store, &now, e, &fresh), 0);
	return fresh;
}

static void a_hello_is_named_once_and_remembered(void **state)
{
	struct event_hello *e = recorded("curl.bin");
	const char *name;
	uint64_t key;

	(void)state;
	assert_int_equal(e->result, HELLO_OK);
	assert_int_equal(take(e), MATCH_JA4 | MATCH_STACK);
	assert_int_equal(take(e), 0);
	name = namebook_name(&book, NAME_JA4, e->hello.ja4_key);
	assert_non_null(name);
	assert_int_equal(namebook_key(&book, NAME_JA4, name, &key), 0);
	assert_true(key == e->hello.ja4_key);
	/* The raw form gives the same key without having been seen. */
	assert_int_equal(namebook_key(&book, NAME_STACK,
				      namebook_get(&book, NAME_STACK, e->hello.stack_key)->raw,
				      &key),
			 0);
	assert_true(key == e->hello.stack_key);

	namebook_clear(&book);
	assert_int_equal(namebook_init(&book, &secret), 0);
	assert_int_equal(namebook_load(&book, store), 0);
	assert_non_null(namebook_name(&book, NAME_JA4, e->hello.ja4_key));
	assert_int_equal(take(e), 0);
	free(e);
}

/* All recorded hellos, keyed under another secret: every name has the key that
 * hello_parse() gives under it. */
static void a_new_secret_finds_every_name_again(void **state)
{
	static const struct secret other = { { 5, 6, 7, 8 } };
	_cleanup_(freep) struct dirent **list = NULL;
	int n = scandir(HELLOS, &list, NULL, alphasort), seen = 0;
	size_t before;

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		if (strstr(list[i]->d_name, ".bin")) {
			struct event_hello *e = recorded(list[i]->d_name);

			take(e);
			seen += e->result == HELLO_OK;
			free(e);
		}
	}
	assert_true(seen >= 20);
	before = book.names.n;
	assert_int_equal(store_begin(store), 0);
	assert_int_equal(namebook_rekey(&book, store, &other), 0);
	assert_int_equal(store_commit(store), 0);
	assert_int_equal(book.names.n, before);
	for (int i = 0; i < n; i++) {
		if (strstr(list[i]->d_name, ".bin")) {
			struct event_hello *e = recorded(list[i]->d_name), *again;

			again = event_of(e->bytes, e->hello_len, &other);
			if (again->result == HELLO_OK) {
				const struct name_entry *name =
					namebook_get(&book, NAME_JA4, again->hello.ja4_key);

				assert_non_null(name);
				assert_true(name->stack == again->hello.stack_key);
				assert_int_equal(take(again), 0);
			}
			free(again);
			free(e);
		}
		free(list[i]);
	}
	assert_int_equal(book.mismatches, 0);
}

/* A minimal hello with one cipher suite and one extension of one's choice. */
static struct event_hello *made(uint16_t cipher, uint16_t extension)
{
	uint8_t msg[] = { 1,         0, 0, 47, 3, 3,           0,      0, 0, 0, 0, 0,
			  0,         0, 0, 0,  0, 0,           0,      0, 0, 0, 0, 0,
			  0,         0, 0, 0,  0, 0,           0,      0, 0, 0, 0, 0,
			  0,         0, 0, 0,  2, cipher >> 8, cipher, 1, 0, 0, 4, extension >> 8,
			  extension, 0, 0 };
	struct event_hello *e = event_of(msg, sizeof(msg), &secret);

	assert_int_equal(e->result, HELLO_OK);
	return e;
}

/* Fault 45, the names' part. */
static void a_flood_of_hellos_does_not_push_out_what_a_rule_needs(void **state)
{
	struct event_hello *e = made(0x1301, 0x1234);
	uint64_t kept = e->hello.ja4_key;

	(void)state;
	take(e);
	free(e);
	namebook_use(&book, NAME_JA4, kept, 1);
	store_free(store);
	store = NULL; /* names in memory only: the bound is what is shown */
	for (uint32_t i = 0; i < 2 * NAMEBOOK_MAX; i++) {
		now.mono += 1000000;
		now.real += 1000000;
		e = made(0x2000 + i % 251, 0x3b3b + i / 251 * 3);
		take(e);
		free(e);
		assert_true(book.n_kind[NAME_JA4] <= NAMEBOOK_MAX);
	}
	assert_non_null(namebook_name(&book, NAME_JA4, kept));
	assert_true(book.dropped > NAMEBOOK_MAX / 2);
	store = opened();
}

/* The host reads the bytes again; a key that is not theirs names nothing. */
static void a_key_that_does_not_fit_the_bytes_names_nothing(void **state)
{
	struct event_hello *e = recorded("curl.bin");

	(void)state;
	e->hello.ja4_key ^= 1;
	assert_int_equal(take(e), 0);
	assert_int_equal(book.mismatches, 1);
	assert_int_equal(book.names.n, 0);
	free(e);
}

/* ---- rules ----------------------------------------------------------------------- */

static struct kern *kernel(void)
{
	struct kern_config c = { .tallies = 512,
				 .orders = 512,
				 .flows = 512,
				 .handshakes = 512,
				 .rules = 64,
				 .prefixes = 64,
				 .ring_bytes = 65536,
				 .reassembly = 64 };
	struct kern *k = NULL;
	struct reason r = {};

	if (kern_missing_capability())
		skip();
	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	kern_control(k)->secret = secret;
	return k;
}

static struct rule_entry entry(const char *fmt, const char *name)
{
	struct rule_entry e = { .origin = strdup("operator"), .canary = 10000 };
	struct reason r = {};
	char text[512];

	snprintf(text, sizeof(text), fmt, name);
	if (rule_parse(text, &e.spec, &r))
		fail_msg("%s", r.text);
	return e;
}

/* In the kernel at once, and whatever happens then. */
static void a_rule_asks_for_other_delays(void **state)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	const struct rule_delays delays[] = { { 200, 340 }, { 310, 620 } };
	struct rule_change change = { .what = CHANGE_DELAYS, .delays = delays };
	uint32_t handle[] = { 4711, 0 }; /* the first is not there */
	struct rulebook_load did;
	struct rule_entry list[1];
	struct rulebook rules;
	struct reason r = {};
	const struct rule *slot;
	size_t n;

	(void)state;
	assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
	assert_int_equal(rulebook_load(&rules, &now, true, false, &did, &r), 0);
	list[0] = entry("src 192.0.2.1 order %s state d1>=40ms state dstar>=50ms action reset "
			"reason x",
			"00ff00ff00ff");
	list[0].order_key = 77;
	assert_int_equal(rulebook_add(&rules, &now, list, 1, NULL, &r), 0);
	handle[1] = rules.at[0]->handle;
	assert_int_equal(rulebook_change(&rules, &now, handle, 2, &change, NULL, &r), 0);
	for (int restarted = 0; restarted < 2; restarted++) {
		if (restarted) {
			rulebook_clear(&rules);
			assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
			assert_int_equal(rulebook_load(&rules, &now, false, false, &did, &r), 0);
			assert_int_equal(did.live, 1);
		}
		slot = &kern_rules(k, &n)[rules.at[0]->index];
		assert_int_equal(slot->d1_min, 310);
		assert_int_equal(slot->dstar_min, 620);
		assert_int_equal(rules.at[0]->spec.d1_min, 310);
		assert_int_equal(rules.at[0]->spec.dstar_min, 620);
	}
	rulebook_clear(&rules);
}

static void a_waiting_rule_comes_into_force_with_its_hello(void **state)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	struct event_hello *e = recorded("curl.bin");
	struct rule_match match[64];
	struct rule_entry list[2];
	const struct names *names;
	struct rulebook rules;
	struct namer *namer;
	struct reason r = {};

	(void)state;
	assert_int_equal(namer_new(&namer), 0);
	assert_int_equal(namer_name(namer, e->bytes, e->hello_len, &e->hello, &names), 0);
	assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
	struct rulebook_load did;
	assert_int_equal(rulebook_load(&rules, &now, true, false, &did, &r), 0);

	list[0] = entry("stack %s action reset reason x", names->stack);
	list[1] = entry("order %s action count reason y", names->order);
	assert_int_equal(rulebook_add(&rules, &now, list, 2, NULL, &r), 0);
	assert_int_equal(rules.n_unbound, 2);

	assert_int_equal(take(e), MATCH_JA4 | MATCH_STACK | MATCH_ORDER);
	assert_int_equal(rulebook_bind(&rules, &now), 2);
	assert_int_equal(rules.n_unbound, 0);
	assert_int_equal(kern_rule_matches(k, match), 0);
	assert_true(match[rules.at[0]->index].stack == e->hello.stack_key);
	assert_true(match[rules.at[1]->index].order == e->hello.order_hash);

	/* A book loaded from the same database and tables finds them as they are. */
	rulebook_clear(&rules);
	assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
	assert_int_equal(rulebook_load(&rules, &now, false, false, &did, &r), 0);
	assert_int_equal(did.live, 2);
	assert_int_equal(rules.n_unbound + rules.n_waiting, 0);
	rulebook_clear(&rules);
	namer_free(namer);
	free(e);
}

/* A rule in the kernel that no row explains is removed, unless the rows are lost. */
static void strangers_in_the_kernel_go(void **state)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	struct rule slot = { .handle = 900, .gen = 901, .action = RULE_DROP };
	struct rule_match m = {};
	struct rulebook_load did;
	struct rulebook rules;
	struct reason r = {};
	size_t n;

	(void)state;
	assert_int_equal(cidr_parse("203.0.113.9", &m.src), 0);
	assert_int_equal(kern_rule_put(k, 5, &slot, &m, &r), 0);
	assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
	assert_int_equal(rulebook_load(&rules, &now, false, false, &did, &r), 0);
	assert_int_equal(did.strangers, 1);
	assert_int_equal(kern_rules(k, &n)[5].gen, 0);
	assert_int_equal(rules.n, 0);
	/* Its numbers are not given again. */
	struct rule_entry e = entry("src %s action drop reason x", "203.0.113.9");
	assert_int_equal(rulebook_add(&rules, &now, &e, 1, NULL, &r), 0);
	assert_true(rules.at[0]->handle > 900 && rules.at[0]->gen > 901);
	rulebook_clear(&rules);
}

static void many_rules_are_added_in_one_step_or_not_at_all(void **state)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	struct rule_entry list[64];
	struct rulebook_load did;
	struct rulebook rules;
	struct reason r = {};
	char src[32];
	size_t n, used = 0;

	(void)state;
	assert_int_equal(rulebook_init(&rules, k, store, &book), 0);
	assert_int_equal(rulebook_load(&rules, &now, false, false, &did, &r), 0);
	for (int i = 0; i < 64; i++) {
		snprintf(src, sizeof(src), "203.0.113.%d", i + 1);
		list[i] = entry("src %s action drop reason x", src);
	}
	/* 63 places for 64 rules. */
	assert_int_equal(rulebook_add(&rules, &now, list, 64, NULL, &r), -ENOSPC);
	for (size_t i = 1; i < 64; i++)
		used += kern_rules(k, &n)[i].gen != 0;
	assert_int_equal(used, 0);
	assert_int_equal(rules.n, 0);
	assert_int_equal(rulebook_add(&rules, &now, list, 63, NULL, &r), 0);
	assert_int_equal(rules.n, 63);
	rule_entry_clear(&list[63]);
	rulebook_clear(&rules);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(a_hello_is_named_once_and_remembered),
		claim(a_new_secret_finds_every_name_again),
		claim(a_flood_of_hellos_does_not_push_out_what_a_rule_needs),
		claim(a_key_that_does_not_fit_the_bytes_names_nothing),
		claim(a_waiting_rule_comes_into_force_with_its_hello),
		claim(a_rule_asks_for_other_delays),
		claim(strangers_in_the_kernel_go),
		claim(many_rules_are_added_in_one_step_or_not_at_all),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
