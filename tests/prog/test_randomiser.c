/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault 45, the tables' part: another hello with every connection, from 50 sources that
 * do complete their handshakes. The table stays as large as it is, what it loses is
 * counted, and a farm that goes on working keeps its rows. 20,000 random hellos, or as
 * many as HELLOS says: tests/full/45-randomiser.sh sends the million. */
#include <stdlib.h>

#include "lib_bench.h"

#define ROWS    4096
#define RANDOM  20000 /* unless HELLOS says otherwise */
#define MANY    2000000
#define SOURCES 50
#define FARM    200
#define ROUND   500 /* random hellos between two connections of each of the farm */

static struct bytes farm, msg;

static void farm_connects(struct bench *b, uint16_t port)
{
	struct conn c;

	for (int i = 0; i < FARM; i++) {
		struct path p = path_v6(i, port);

		conn_whole(&c, b, &p, &farm);
	}
	bench_events(b);
}

static void random_hellos_fill_the_table_and_hide_no_farm(void **state)
{
	const char *asked = getenv("HELLOS");
	int hellos = asked ? atoi(asked) : RANDOM;
	struct bench *b = bench_of(state);
	size_t kept = 0, counted = 0, used;
	size_t rounds;
	uint64_t stack, evicted;
	struct conn c;

	assert_in_range(hellos, ROUND, MANY);
	rounds = (hellos + ROUND - 1) / ROUND;
	bench_free(b);
	*state = b = bench_open(&(struct bench_sizes){
		.tallies = ROWS, .orders = ROWS, .flows = 8192, .handshakes = 8192 });
	hello_build(&farm, &(struct hello_spec){ .variant = 1 });
	stack = bench_keys(b, &farm).stack_key;
	bench_mark(b);
	for (int i = 0; i < hellos; i++) {
		struct path p = path_v4(i % SOURCES, 1024 + i);

		if (i % ROUND == 0)
			farm_connects(b, 1000 + i / ROUND);
		hello_build(&msg, &(struct hello_spec){ .variant = 2 + i });
		conn_whole(&c, b, &p, &msg);
		if (i % 100 == 0)
			bench_events(b);
	}
	used = bench_tallies(b);
	evicted = bench_count(b, COUNTER_TALLY_EVICTED);
	for (int i = 0; i < FARM; i++) {
		struct path p = path_v6(i, 0);
		const struct tally_row *t = bench_tally(b, &p, stack);

		kept += t != NULL;
		counted += t ? t->connections : 0;
	}
	print_message(
		"%d random hellos; %zu of %d rows used, %u evicted; of %d farm sources %zu kept, with "
		"%zu of %zu connections\n",
		hellos, used, ROWS, (unsigned int)evicted, FARM, kept, counted, rounds * FARM);
	assert_true(used <= ROWS);
	/* Nothing is lost uncounted: each stack and source had a row once. */
	assert_true(used + evicted >= (size_t)hellos + FARM);
	assert_true(kept * 100 >= FARM * 99);
	/* A row that was lost begins again: rare, and counted above. */
	assert_true(counted * 100 >= rounds * FARM * 95);
	assert_true(counted <= rounds * FARM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_hellos_fill_the_table_and_hide_no_farm,
						bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
