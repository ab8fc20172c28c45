/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/product.h, cells.h, ledger.h: cells, what was expected of them, and what is more. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/features.h"
#include "detect/ledger.h"
#include "detect/stats.h"

static struct mixture_row row_of(const char *x)
{
	struct mixture_row r = {};

	for (int f = 0; f < FEATURES; f++)
		r.x[f] = x[f] - '0';
	return r;
}

static void a_cell_is_its_row_and_back(void **state)
{
	struct mixture_row highest = row_of("544363");

	assert_int_equal(cell_of(&highest), CELLS - 1);
	for (int c = 0; c < CELLS; c++) {
		struct mixture_row r = cell_row(c);

		assert_int_equal(cell_of(&r), c);
	}
	assert_int_equal(cell_pattern(&highest), PATTERNS - 1);
	highest.x[2] = 0;
	assert_int_equal(cell_pattern(&highest), PATTERNS - 1 - 4);
}

static void full_counts_are_packed_and_added_back(void **state)
{
	float *full = calloc(CELLS, sizeof(*full)), *back = calloc(CELLS, sizeof(*back));
	struct cells c;

	full[3] = 2, full[700] = 5;
	assert_int_equal(cells_pack(full, &c), 0);
	assert_int_equal(c.len, 2);
	assert_true(c.sum == 7);
	cells_add(&c, 0.5, back);
	assert_true(back[3] == 1 && back[700] == 2.5F);
	cells_clear(&c);
	free(full);
	free(back);
}

/* By hand: two cells that differ in one feature, expected 10 and 10, seen 30 and 10:
 * (30.5 / 10.5) * 10 = 29.05 and 10 after one sweep over that margin. */
static void raking_takes_a_margin_as_it_is(void **state)
{
	struct mixture_row rows[2] = { row_of("111111"), row_of("111121") };
	float rest[2] = { 30, 10 }, b[2] = { 10, 10 };

	product_rake(rows, rest, b, 2, 8, 0);
	assert_true(fabs(b[0] - 30) < 0.3);
	assert_true(fabs(b[1] - 10) < 0.3);
}

/* ---- a stack of 20,000 sources ------------------------------------------------------ */

static uint64_t seed;

static double chance(void)
{
	return (stats_random(&seed) >> 11) / 9007199254740992.0;
}

static uint8_t level(const double *p, int n)
{
	double u = chance();
	int x = 1;

	while (x < n && (u -= p[x - 1]) > 0)
		x++;
	return x;
}

/* Two kinds: direct people and 4% behind relays; `drift` moves a margin. */
static struct mixture_row honest(double drift)
{
	static const double tcp[] = { .5, .3, .15, .05 }, rate[] = { .3, .3, .2, .1, .05, .05 };
	bool relay = chance() < 0.04;
	struct mixture_row r = {};

	r.x[0] = relay ? 3 + (chance() < .4) : 1;
	r.x[1] = relay ? 2 + (chance() < .5) : 1;
	r.x[2] = level(tcp, 4);
	r.x[3] = chance() < .6 + drift ? 3 : 2;
	r.x[4] = level(rate, 6);
	r.x[5] = chance() < .1 ? 1 : 3;
	return r;
}

static struct mixture_row exit_of_a_farm(void)
{
	struct mixture_row r = {};

	r.x[0] = 3 + (chance() < .5);
	r.x[1] = 2 + (chance() < .5);
	r.x[2] = 1 + (uint8_t)(4 * chance());
	r.x[3] = 1;
	r.x[4] = 2;
	r.x[5] = 2;
	return r;
}

#define N 20000

static void day(struct cells *out, size_t farm, double drift)
{
	float *full = calloc(CELLS, sizeof(*full));

	for (size_t i = 0; i < N; i++) {
		struct mixture_row r = honest(drift);

		full[cell_of(&r)]++;
	}
	for (size_t i = 0; i < farm; i++) {
		struct mixture_row r = exit_of_a_farm();

		full[cell_of(&r)]++;
	}
	assert_int_equal(cells_pack(full, out), 0);
	free(full);
}

static void smooth(struct mixture *m)
{
	memset(m, 0, sizeof(*m));
	m->n = 1;
	m->class[0].weight = 1;
	mixture_count(NULL, NULL, 0, 1, NULL, m->class[0].theta);
}

static struct product judged(struct ledger_stack *s, uint32_t number, struct cells *today,
			     unsigned int kept, float *w)
{
	float *history = calloc(CELLS, sizeof(*history));
	float *b = calloc(today->len, sizeof(*b)), *h = calloc(today->len, sizeof(*h));
	double sum = ledger_history(s, number, history);
	struct product_in in = { today->len, today->cell, today->n, b, h, ledger_phi2(s, number),
				 kept };
	struct mixture m;
	struct product p;

	smooth(&m);
	ledger_expect(history, sum, &m, today, b, h);
	assert_int_equal(product_find(&in, &p, w), 0);
	free(history);
	free(b);
	free(h);
	return p;
}

static struct ledger_stack *eight_days(void)
{
	struct ledger_stack *s = calloc(1, sizeof(*s));

	for (uint32_t i = 0; i < 8; i++) {
		struct cells c;

		day(&c, 0, i % 2 ? .03 : -.03);
		ledger_put(s, 100 + i, &c);
	}
	return s;
}

static void stack_free(struct ledger_stack *s)
{
	for (int i = 0; i < LEDGER_DAYS; i++)
		cells_clear(&s->day[i]);
	free(s);
}

/* 60 of 20,000 sources, 0.3%: far above what a clean day with a drifted margin gives. */
static void three_in_a_thousand_stand_out_and_a_drifted_margin_does_not(void **state)
{
	float *w = calloc(CELLS, sizeof(*w));
	struct ledger_stack *s;
	struct product clean, with;
	struct cells c;
	double mine = 0;

	seed = 3;
	s = eight_days();
	day(&c, 0, .1);
	clean = judged(s, 108, &c, 0, w);
	cells_clear(&c);
	day(&c, 60, 0);
	with = judged(s, 108, &c, 0, w);
	for (size_t i = 0; i < c.len; i++)
		mine += w[i] * c.n[i];
	assert_true(with.llr > clean.llr + 30);
	assert_true(mine > 40 && mine < 90);
	assert_true(with.lo < 0.003 && with.hi > 0.003);
	cells_clear(&c);
	stack_free(s);
	free(w);
}

/* 600 more people behind relays: the drift of a margin, unless that margin is held. */
static void a_surge_stands_out_where_its_margins_are_kept(void **state)
{
	float *full = calloc(CELLS, sizeof(*full)), *w = calloc(CELLS, sizeof(*w));
	struct product raked, kept;
	struct ledger_stack *s;
	struct cells c;
	double mine = 0;

	seed = 5;
	s = eight_days();
	day(&c, 0, 0);
	cells_add(&c, 1, full);
	cells_clear(&c);
	for (int i = 0; i < 600;) {
		struct mixture_row r = honest(0);

		if (r.x[FEATURE_DSTAR] == 1)
			continue;
		full[cell_of(&r)]++;
		i++;
	}
	assert_int_equal(cells_pack(full, &c), 0);
	raked = judged(s, 108, &c, 0, w);
	kept = judged(s, 108, &c, 1U << FEATURE_D1 | 1U << FEATURE_DSTAR, w);
	for (size_t i = 0; i < c.len; i++)
		mine += w[i] * c.n[i];
	assert_true(kept.llr > raked.llr + 50);
	assert_true(mine > 400 && mine < 800);
	cells_clear(&c);
	stack_free(s);
	free(full);
	free(w);
}

/* ---- ledger ------------------------------------------------------------------------- */

static void put(struct ledger_stack *s, uint32_t number, uint16_t cell, float n, double score)
{
	struct cells c = { malloc(2), malloc(4), 1, n };

	c.cell[0] = cell;
	c.n[0] = n;
	ledger_put(s, number, &c);
	ledger_score(s, number, score, 6);
}

/* By hand: 100 of yesterday, 100 of 14 days before that: 100 + 50. */
static void days_count_half_after_fourteen_and_are_forgotten_after_28(void **state)
{
	struct ledger_stack *s = calloc(1, sizeof(*s));
	float *full = calloc(CELLS, sizeof(*full));
	double scores[LEDGER_DAYS];

	put(s, 119, 7, 100, 1);
	put(s, 105, 7, 100, 2);
	put(s, 92, 7, 100, 3);
	assert_true(fabs(ledger_history(s, 120, full) - (100 + 50 + 100 * exp2(-27 / 14.0))) <
		    1e-3);
	assert_int_equal(ledger_days(s, 120), 3);
	assert_int_equal(ledger_days(s, 121), 2);
	assert_int_equal(ledger_days(s, 119), 2); /* not of itself */
	assert_int_equal(ledger_scores(s, scores), 3);
	stack_free(s);
	free(full);
}

/* A first day that is not scored, then days against 1, 2, .. before them. */
static void scores_on_few_days_are_settled_when_there_are_seven(void **state)
{
	struct ledger_stack *s = calloc(1, sizeof(*s));
	double scores[LEDGER_DAYS];
	int at[LEDGER_DAYS];

	for (int i = 0; i < 8; i++) {
		struct cells c = { malloc(2), malloc(4), 1, 100 };

		c.cell[0] = 7;
		c.n[0] = 100;
		ledger_put(s, 112 + i, &c); /* at places 0 to 7 */
		if (i)
			ledger_score(s, 112 + i, 10 * i, i);
		assert_int_equal(ledger_scores(s, scores), i < 2 ? 0 : i - 1);
		assert_int_equal(ledger_unsettled(s, 113 + i, at), i < 6 ? 0 : 5);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(at[i], i + 1); /* not the first; nor those on 6 and 7 */
		ledger_score(s, s->number[at[i]], 5, 7);
	}
	assert_int_equal(ledger_unsettled(s, 120, at), 0);
	assert_int_equal(ledger_scores(s, scores), 7);
	assert_true(scores[0] == 5 && scores[4] == 5 && scores[5] == 60);
	stack_free(s);
}

/* By hand: a cell of 100 with days 80, 100, 120: variance 400, (400 - 100) / 100^2. */
static void overdispersion_is_what_days_differ_beyond_counting(void **state)
{
	struct ledger_stack *s = calloc(1, sizeof(*s));

	for (int i = 0; i < 3; i++) {
		struct cells c = { malloc(4), malloc(8), 2, 10000 };

		c.cell[0] = 7, c.cell[1] = 9;
		c.n[0] = 80 + 20 * i, c.n[1] = 10000 - c.n[0];
		ledger_put(s, 100 + i, &c);
	}
	/* The other cell's variance is the same 400, less than its mean: it pulls down to
	 * the least there is. */
	assert_true(ledger_phi2(s, 103) == 0.01);
	assert_true(ledger_phi2(s, 102) == 0.04); /* two days know nothing */
	stack_free(s);
}

/* ---- scores -------------------------------------------------------------------------- */

static void few_scores_say_nothing_and_more_say_little_about_the_far_tail(void **state)
{
	double v[20], few[4] = { 100, 160, 110, 150 }, p, q;

	for (int i = 0; i < 20; i++)
		v[i] = 100 + 10 * i % 70;
	assert_true(product_p(v, 3, 1e6) == 1);
	p = product_p(v, 20, 200);
	q = product_p(v, 20, 400);
	assert_true(p < 0.2 && p > 0.005);
	assert_true(q < p && q > 1e-9);
	assert_true(product_p(few, 4, 400) > q); /* fewer: more careful */
	assert_true(product_p(v, 20, 90) > 0.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cell_is_its_row_and_back),
		cmocka_unit_test(full_counts_are_packed_and_added_back),
		cmocka_unit_test(raking_takes_a_margin_as_it_is),
		cmocka_unit_test(three_in_a_thousand_stand_out_and_a_drifted_margin_does_not),
		cmocka_unit_test(a_surge_stands_out_where_its_margins_are_kept),
		cmocka_unit_test(days_count_half_after_fourteen_and_are_forgotten_after_28),
		cmocka_unit_test(scores_on_few_days_are_settled_when_there_are_seven),
		cmocka_unit_test(overdispersion_is_what_days_differ_beyond_counting),
		cmocka_unit_test(few_scores_say_nothing_and_more_say_little_about_the_far_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
