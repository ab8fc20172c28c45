/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/days.c: a day closed part by part is the same day; a written day is history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "detect/internal.h"
#include "detect/state.h"
#include "detect/stats.h"
#include "model/tallies.h"

#define HOUR    (3600 * NSEC_PER_SEC)
#define START   (1767225600ULL * NSEC_PER_SEC) /* midnight */
#define STACKS  3
#define SOURCES 80 /* of each */

static struct detect *detect;
static struct past past[PAST_DAYS];
static size_t n_past, asked;

static size_t find(void *ctx, const struct past *id, struct past out[PAST_DAYS])
{
	(void)ctx;
	(void)id;
	asked++;
	memcpy(out, past, n_past * sizeof(*past));
	return n_past;
}

static struct detect *fresh(void)
{
	struct detect_config c = detect_config_default();
	struct detect *d;

	detect_config_window(&c, HOUR);
	c.baseline_until = START + 12 * HOUR;
	d = detect_new(&c);
	assert_non_null(d);
	detect_past(d, find, NULL);
	return d;
}

/* 22 hours of a day: each source once an hour or so; half of stack 1 is split, from the
 * beginning or since the clean time is over. */
static void days_of_a_site(bool late)
{
	static const struct event_exchange one = { 20, 300, 4000 };
	struct tallies *tallies = tallies_new();
	uint64_t seed = 3;

	detect = fresh();
	n_past = asked = 0;
	for (uint64_t t = 1; t <= 22; t++) {
		_cleanup_(snapshot_freep) struct snapshot *s = NULL;

		for (uint32_t i = 0; i < STACKS * SOURCES; i++) {
			uint32_t leg = i % 6 ? 0 : 30000;
			uint32_t jitter = stats_random(&seed) % 800;
			struct tallies_name name = { .stack = 1 + i % STACKS, .order = 1 };
			struct event_conn e = { .t = START + (t - 1) * HOUR + i * 1000000,
						.src = addr_v4(0x0b000000 + i * 65551),
						.dport = 443,
						.tcp_key = 5,
						.rtt_us = 20000,
						.d1_us = leg + 400 + jitter,
						.d2_us = US_UNKNOWN,
						.dstar_us = leg + 600 + jitter,
						.exchanges = &one,
						.n_exchanges = 1 };

			if ((!leg || !late || t > 12) && stats_random(&seed) % 4)
				assert_int_equal(tallies_connection(tallies, &e, &name), 0);
		}
		assert_int_equal(tallies_advance(tallies, START + t * HOUR), 0);
		assert_int_equal(tallies_snapshot(tallies, false, &s), 0);
		assert_int_equal(detect_step(detect, s, NULL, NULL), 0);
	}
	tallies_free(tallies);
}

static int set_up(void **state)
{
	(void)state;
	days_of_a_site(false);
	return 0;
}

static int set_up_late(void **state)
{
	(void)state;
	days_of_a_site(true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	detect_free(detect);
	return 0;
}

static int by_order(const void *a, const void *b)
{
	return past_order(a, b);
}

static struct past *rows_of(struct detect *d, size_t *n)
{
	struct past *rows;

	assert_int_equal(detect_day(d, &rows, n), START / NSEC_PER_SEC / 86400);
	qsort(rows, *n, sizeof(*rows), by_order);
	return rows;
}

static void same_ledger(const struct detect *a, const struct detect *b)
{
	for (uint64_t stack = 1; stack <= STACKS; stack++) {
		struct cohort_id key = { stack, 443 };
		const struct ledger_stack *x = ledger_find(&a->ledger, &key),
					  *y = ledger_find(&b->ledger, &key);
		int at = START / NSEC_PER_SEC / 86400 % LEDGER_DAYS;

		assert_non_null(x);
		assert_non_null(y);
		assert_int_equal(x->number[at], y->number[at]);
		assert_int_equal(x->day[at].len, y->day[at].len);
		for (size_t i = 0; i < x->day[at].len; i++) {
			assert_int_equal(x->day[at].cell[i], y->day[at].cell[i]);
			assert_true(fabsf(x->day[at].n[i] - y->day[at].n[i]) < 0.01F);
		}
	}
}

static void a_day_closed_part_by_part_is_the_same_day(void **state)
{
	_cleanup_(freep) struct past *a = NULL, *b = NULL;
	struct detect *parts = fresh();
	uint32_t day = START / NSEC_PER_SEC / 86400;
	size_t n, m, windows = 1;
	void *bytes;
	size_t len;

	(void)state;
	assert_int_equal(detect_save(detect, &bytes, &len), 0);
	assert_int_equal(detect_restore(parts, bytes, len), 0);
	free(bytes);
	assert_int_equal(days_close(detect, day, SIZE_MAX), 0);
	assert_int_equal(detect->closing, 0);
	a = rows_of(detect, &n);
	assert_int_equal(n, STACKS * SOURCES);

	assert_int_equal(days_close(parts, day, SOURCES), 0);
	assert_int_equal(parts->closing, day);
	assert_int_equal(detect_day(parts, &b, &m), 0); /* not over yet */
	assert_null(b);
	for (; parts->closing; windows++)
		assert_int_equal(days_go_on(parts, SOURCES), 0);
	assert_int_equal(windows, STACKS);
	b = rows_of(parts, &m);
	assert_int_equal(m, n);
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(&a[i], &b[i], sizeof(a[i]));
	same_ledger(detect, parts);
	detect_free(parts);
}

static void written_days_are_history_for_a_detector_that_knows_nothing(void **state)
{
	_cleanup_(freep) struct past *rows = NULL;
	struct cohort_id key = { 2, 443 };
	struct detect *other = fresh();
	size_t n;

	(void)state;
	assert_int_equal(days_close(detect, START / NSEC_PER_SEC / 86400, SIZE_MAX), 0);
	rows = rows_of(detect, &n);
	other->windows.now = START + 30 * HOUR;
	assert_false(fit_has_days(other, &key));
	assert_int_equal(detect_recall_day(other, START / NSEC_PER_SEC / 86400, rows, n), 0);
	assert_true(fit_has_days(other, &key));
	assert_int_equal(days_known(other, &key), 1);
	same_ledger(detect, other);
	/* Of damaged rows only what can be meant counts. */
	for (size_t i = 0; i < n; i++)
		rows[i].cell = CELLS + i;
	assert_int_equal(detect_recall_day(other, 9999, rows, n), 0);
	detect_free(other);
}

/* Eight days that were written, on the third of which somebody of stack 2 was suspected. */
static void written_clean_days_are_scored_again(void **state)
{
	_cleanup_(freep) struct past *rows = NULL;
	uint32_t today = START / NSEC_PER_SEC / 86400;
	struct cohort_id key = { 1, 443 }, suspected = { 2, 443 };
	struct detect *other = fresh();
	double scores[LEDGER_DAYS];
	size_t n;

	(void)state;
	assert_int_equal(days_close(detect, today, SIZE_MAX), 0);
	rows = rows_of(detect, &n);
	other->windows.now = START + 30 * HOUR;
	for (uint32_t i = 0; i < 8; i++) {
		for (size_t k = 0; k < n; k++)
			rows[k].counted =
				i == 2 && k % SOURCES == 7 && rows[k].stack == 2 ? 9000 : 10000;
		assert_int_equal(detect_recall_day(other, today - i, rows, n), 0);
	}
	assert_int_equal(ledger_scores(ledger_find(&other->ledger, &key), scores), 0);
	assert_int_equal(days_settle(other, &key), 0);
	assert_int_equal(days_settle(other, &suspected), 0);
	/* All but the oldest; days that are alike are not unusual. */
	assert_int_equal(ledger_scores(ledger_find(&other->ledger, &key), scores), 7);
	for (int i = 0; i < 7; i++)
		assert_true(scores[i] < 5);
	assert_int_equal(ledger_scores(ledger_find(&other->ledger, &suspected), scores), 6);
	detect_free(other);
}

static void a_recalled_farm_hides_if_most_of_its_members_were_split(void **state)
{
	struct cohort_id key = { 9, 443 };
	struct farm_member member[3] = { { .split = 3, .direct = 1 },
					 { .split = 2 },
					 { .split = 1, .direct = 4 } };
	struct farm f = { .id = "f1",
			  .state = FARM_ENFORCE,
			  .stack = key.stack,
			  .service = 443,
			  .members = member,
			  .n_members = 3 };
	const struct cohort_state *now;

	(void)state;
	assert_int_equal(detect_recall(detect, &f), 0);
	now = table_find(&detect->cohorts, &key);
	assert_true(now->hides);
	member[0].split = 0;
	assert_int_equal(detect_recall(detect, &f), 0);
	assert_false(now->hides);
	f.n_members = 0;
	assert_int_equal(detect_recall(detect, &f), 0);
	assert_false(now->hides);
}

/* Closes a day of `d` before which no source of stack 1 was split. How many split ones
 * count, of 40 of 80. */
static double split_kept(struct detect *d, enum farm_state is)
{
	struct mixture_row direct = { .x = { 1, 1, 1, 1, 1, 1 } };
	struct cells c = { malloc(sizeof(uint16_t)), malloc(sizeof(float)), 1, SOURCES };
	uint32_t today = START / NSEC_PER_SEC / 86400;
	struct cohort_id key = { 1, 443 };
	struct cohort_state *state = table_add(&d->cohorts, &key, NULL);
	struct ledger_stack *s = ledger_add(&d->ledger, &key);
	double split = 0, rest = 0;

	c.cell[0] = cell_of(&direct);
	c.n[0] = SOURCES;
	ledger_put(s, today - 1, &c);
	state->verdict.state = is;
	assert_int_equal(days_close(d, today, SIZE_MAX), 0);
	c = s->day[today % LEDGER_DAYS];
	for (size_t i = 0; i < c.len; i++) {
		struct mixture_row row = cell_row(c.cell[i]);

		*(row_is_split(&row) ? &split : &rest) += c.n[i];
	}
	assert_true(rest > 0.4 * SOURCES);
	return split;
}

static void put_day(struct ledger_stack *s, uint32_t day, float odd)
{
	struct mixture_row direct = { .x = { 1, 1, 1, 1, 1, 1 } },
			   split = { .x = { 4, 3, 2, 1, 2, 2 } };
	struct cells c = { malloc(2 * sizeof(uint16_t)), malloc(2 * sizeof(float)), odd ? 2 : 1,
			   SOURCES + odd };

	c.cell[0] = cell_of(&direct);
	c.n[0] = SOURCES;
	c.cell[1] = cell_of(&split);
	c.n[1] = odd;
	ledger_put(s, day, &c);
}

/* Seven days, the second of them with 20 split sources that no other has. Against one before
 * it each scored 500, say; against all others only that one is unusual. A day that is left out
 * is in the ledger again afterwards. */
static void a_day_is_scored_again_against_all_others(void **state)
{
	uint32_t today = START / NSEC_PER_SEC / 86400;
	struct cohort_id key = { 1, 443 };
	struct ledger_stack *s = ledger_add(&detect->ledger, &key);
	double scores[LEDGER_DAYS], odd, even;

	(void)state;
	for (uint32_t i = 6; i > 0; i--) {
		put_day(s, today - i, i == 5 ? 20 : 0);
		if (i < 6)
			ledger_score(s, today - i, 500, 6 - i);
	}
	assert_int_equal(ledger_scores(s, scores), 4);
	assert_int_equal(fit_left_out(detect, &key, (today - 5) % LEDGER_DAYS, today + 1, &odd), 0);
	assert_int_equal(fit_left_out(detect, &key, (today - 4) % LEDGER_DAYS, today + 1, &even),
			 0);
	assert_true(odd > 20 && even < 5);
	assert_int_equal(ledger_days(s, today), 6);
	assert_int_equal(days_close(detect, today, SIZE_MAX), 0);
	/* All but the first, and but today, when somebody is suspected. */
	assert_int_equal(ledger_days(s, today + 1), 7);
	assert_int_equal(days_settle(detect, &key), 0);
	assert_int_equal(ledger_scores(s, scores), 5);
	for (int i = 0; i < 5; i++)
		assert_true(i == 0 ? scores[i] > 20 && scores[i] < 500 : scores[i] < 5);
}

/* Whom the fit weighs where a farm was flagged: how many, all together. */
static double weighed(struct cohort_state *state, bool *nobody)
{
	struct cohort_id key = { 1, 443 };
	const void *at = table_find(&detect->windows.cohorts, &key);
	const struct group *g;
	_cleanup_(freep) struct mixture_row *rows = NULL;
	_cleanup_(freep) uint8_t *holds = NULL;
	struct cohort all = {};
	double sum = 0;

	assert_int_equal(survey_take(detect), 0);
	g = &detect->survey.groups[table_row(&detect->windows.cohorts, at)];
	assert_int_equal(survey_cohort(detect, &key, g, &all, &rows, &holds), 0);
	assert_int_equal(fit_cohort(detect, state, &all, rows, holds), 0);
	for (size_t i = 0; i < all.n; i++)
		sum += all.members[i].weight;
	free(all.members);
	*nobody = state->nobody;
	return sum;
}

/* Half of the stack is split since noon: after six days that were as today, and after six on
 * which no source was. */
static void where_its_days_explain_all_of_a_stack_nobody_is_its_farms(void **state)
{
	uint32_t today = START / NSEC_PER_SEC / 86400;
	struct cohort_id key = { 1, 443 };
	struct cohort_state flagged = { .verdict.state = FARM_FLAG, .hides = true },
			    watched = { .verdict.state = FARM_WATCH };
	struct ledger_stack *s;
	bool nobody;

	(void)state;
	((struct cohort_state *)table_add(&detect->cohorts, &key, NULL))->verdict.state = FARM_NONE;
	assert_int_equal(days_close(detect, today, SIZE_MAX), 0);
	s = ledger_find(&detect->ledger, &key);
	for (uint32_t i = 1; i < 7; i++) {
		struct cells c = {};
		float *full = calloc(CELLS, sizeof(*full));

		cells_add(&s->day[today % LEDGER_DAYS], 1, full);
		assert_int_equal(cells_pack(full, &c), 0);
		ledger_put(s, today - i, &c);
		free(full);
	}
	assert_true(weighed(&flagged, &nobody) == 0 && nobody);
	assert_true(flagged.component.gain < 0);
	weighed(&watched, &nobody);
	assert_false(nobody);
	for (uint32_t i = 0; i < 7; i++)
		put_day(s, today - i, 0);
	assert_true(weighed(&flagged, &nobody) > 0.4 * SOURCES && !nobody);
}

/* 49: a farm that is known does not become ordinary, however like people it is. */
static void what_is_flagged_makes_no_more_split_sources_ordinary(void **state)
{
	struct detect *other = fresh();
	void *bytes;
	size_t len;

	(void)state;
	assert_int_equal(detect_save(detect, &bytes, &len), 0);
	assert_int_equal(detect_restore(other, bytes, len), 0);
	free(bytes);
	assert_true(split_kept(other, FARM_NONE) > 0.4 * SOURCES);
	assert_true(split_kept(detect, FARM_FLAG) < 1.5);
	detect_free(other);
}

static void a_source_s_days_are_looked_up_once(void **state)
{
	struct record r = {};

	(void)state;
	for (n_past = 0; n_past < 9; n_past++)
		past[n_past].cell = 100 + n_past;
	days_recall(detect, &r, record_id(&detect->windows, 0));
	days_recall(detect, &r, record_id(&detect->windows, 0));
	assert_int_equal(asked, 1);
	assert_int_equal(r.days, DAY_CELLS);
	assert_int_equal(r.cell[0], 100); /* the newest first */
	assert_int_equal(r.cell[DAY_CELLS - 1], 100 + DAY_CELLS - 1);
	r = (struct record){ .days = 2 }; /* its own days are known */
	days_recall(detect, &r, record_id(&detect->windows, 0));
	assert_int_equal(asked, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_day_closed_part_by_part_is_the_same_day),
		T(written_days_are_history_for_a_detector_that_knows_nothing),
		T(written_clean_days_are_scored_again),
		T(a_recalled_farm_hides_if_most_of_its_members_were_split),
		cmocka_unit_test_setup_teardown(
			what_is_flagged_makes_no_more_split_sources_ordinary, set_up_late,
			tear_down),
		T(a_source_s_days_are_looked_up_once),
		cmocka_unit_test_setup_teardown(
			where_its_days_explain_all_of_a_stack_nobody_is_its_farms, set_up_late,
			tear_down),
		cmocka_unit_test_setup_teardown(a_day_is_scored_again_against_all_others,
						set_up_late, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
