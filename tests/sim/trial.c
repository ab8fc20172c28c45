/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.c - the generator and the judge in one process, step by step: the closed loop.
 *
 *	trial [KEY=VALUE]... >RESULT
 *
 * An hour of traffic (ten minutes in runs of up to three days; a window where rules are in
 * force, and in closed loops of up to a day) goes to the judge; what it answers is scored
 * against the truth. With enforce=DURATION, a farm's rules are in force that long after it
 * is proposed (what a person needs to say yes): who meets one fails, and the design reacts.
 * Keys: enforce, holdout=SHARE, window=SECONDS and state=DIR (of the judge), those of
 * scenario. Prints one JSON object, winnow.trial/1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "tests/sim/chance.h"
#include "tests/sim/score.h"

#define STEP     (3600 * NSEC_PER_SEC)
#define IN_FORCE 64

struct trial {
	struct sim_config c;
	struct judge_config judge_config;
	double enforce; /* s; < 0: never */
	uint64_t step;  /* ns between looks; a window once rules are in force */
	struct sim *sim;
	struct judge *judge;
	struct score *score;
	uint32_t index[STACKS]; /* of the hello, from 1 */
	char force[IN_FORCE][16];
	uint64_t due[IN_FORCE];
	bool on[IN_FORCE];
	size_t n_force;
	uint64_t connections;
	double judge_seconds;
};

static double processor(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t number_of(struct trial *t, const char *id)
{
	size_t i;

	for (i = 0; i < t->n_force && strcmp(t->force[i], id) != 0;)
		i++;
	return i;
}

static uint64_t window_of(const struct trial *t)
{
	return t->judge_config.window ? t->judge_config.window : 60 * NSEC_PER_SEC;
}

/* Somebody says yes to each proposal `enforce` seconds after it was made. */
static int decide(struct trial *t, uint64_t now)
{
	const char *ids[IN_FORCE];
	size_t n = t->enforce < 0 ? 0 : score_proposed(t->score, ids, IN_FORCE);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		size_t k = number_of(t, ids[i]);

		if (k == t->n_force && k < IN_FORCE) {
			snprintf(t->force[k], sizeof(t->force[k]), "%s", ids[i]);
			t->due[k] = now + (uint64_t)(t->enforce * 1e9);
			t->n_force++;
		}
		if (k == IN_FORCE || t->on[k] || now < t->due[k])
			continue;
		err = judge_enforce(t->judge, ids[i], true);
		t->on[k] = !err;
		if (!err)
			score_enforced(t->score, now);
		/* Who is ruled again within two connections is seen by looking as often as the
		 * judge. */
		t->step = window_of(t);
	}
	return err;
}

static bool in_force(const struct trial *t)
{
	for (size_t i = 0; i < t->n_force; i++)
		if (t->on[i])
			return true;
	return false;
}

static int hello(struct trial *t, uint32_t stack)
{
	const struct stack *k = sim_stack(t->sim, stack);
	uint32_t index;
	int err = judge_hello(t->judge, k->hello, k->len, &index);

	t->index[stack] = index + 1;
	return err;
}

static int step(struct trial *t, uint64_t now, bool last)
{
	double began = processor();
	int err = judge_advance(t->judge, now);

	t->judge_seconds += processor() - began;
	if (!err)
		err = score_look(t->score, t->judge, now, last);
	return err ? err : decide(t, now);
}

/* A source on a stack is in or out for good, as in the kernel (bpf/judge.bpf.h). */
static bool held_out(const struct trial *t, const struct event_conn *e,
		     const struct sim_truth *truth)
{
	uint64_t h = mix(e->src.hi ^ mix(e->src.lo) ^ mix(truth->stack + 1));

	return h % 10000 < t->judge_config.holdout;
}

static int one(struct trial *t, struct event_conn *e, const struct sim_truth *truth)
{
	bool matched = score_matches(t->score, e, truth);
	bool blocked = matched && in_force(t) && !held_out(t, e, truth);
	int err = t->index[truth->stack] ? 0 : hello(t, truth->stack);

	if (err)
		return err;
	t->connections++;
	e->hello = t->index[truth->stack] - 1;
	err = blocked ? judge_blocked(t->judge, e) : judge_event(t->judge, e);
	if (!err)
		err = score_event(t->score, e, truth, matched, blocked);
	if (!err && blocked)
		sim_blocked(t->sim, truth);
	return err;
}

static int play(struct trial *t)
{
	uint64_t next = SIM_START * NSEC_PER_SEC + t->step;
	struct sim_truth truth;
	struct event_conn e;
	int more, err = 0;

	while (!err && (more = sim_next(t->sim, &e, &truth)) > 0) {
		for (; !err && e.t >= next; next += t->step)
			err = step(t, next, false);
		if (!err)
			err = one(t, &e, &truth);
	}
	if (err || more < 0)
		return err ? err : more;
	return step(t, next, true);
}

static int answer(struct trial *t, double wall)
{
	json_t *j = score_json(t->score);
	struct rusage use;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!j || !f)
		return -ENOMEM;
	getrusage(RUSAGE_SELF, &use);
	sim_describe(&t->c, f);
	fclose(f);
	json_object_set_new(j, "settings", json_string(text));
	json_object_set_new(j, "enforce", t->enforce < 0 ? json_null() : json_real(t->enforce));
	json_object_set_new(j, "days", json_real((t->c.length - t->c.history) / DAY));
	json_object_set_new(j, "connections", json_integer(t->connections));
	json_object_set_new(j, "processor_seconds",
			    json_real(use.ru_utime.tv_sec + use.ru_utime.tv_usec / 1e6));
	json_object_set_new(j, "tick_seconds", json_real(t->judge_seconds));
	json_object_set_new(j, "wall_seconds", json_real(wall));
	json_object_set_new(j, "rss_mb", json_integer(use.ru_maxrss / 1024));
	len = json_dumpf(j, stdout, JSON_COMPACT) || fputc('\n', stdout) == EOF;
	free(text);
	json_decref(j);
	return len ? -EIO : 0;
}

static int run(struct trial *t)
{
	struct timespec a, b;
	struct reason r = {};
	int err;

	clock_gettime(CLOCK_MONOTONIC, &a);
	err = sim_new(&t->c, &t->sim, &r);
	if (!err) {
		if (t->c.history > 0)
			t->judge_config.baseline_until =
				SIM_START * NSEC_PER_SEC + (uint64_t)(t->c.history * 1e9);
		err = judge_new(&t->judge_config, &t->judge, &r);
	}
	if (!err)
		err = score_new(t->sim, &t->c, &t->score);
	if (!err)
		err = play(t);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (!err)
		err = answer(t, b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9);
	if (err)
		log_fail(err, "trial: %s", r.text[0] ? r.text : "it stopped");
	return err;
}

int main(int argc, char **argv)
{
	static struct trial t;
	struct sim_config d = sim_config_default();
	int err;

	t.c = d;
	t.enforce = -1;
	for (int i = 1; i < argc; i++) {
		struct sim_config one = d;

		if (!strncmp(argv[i], "window=", 7)) {
			t.judge_config.window = atof(argv[i] + 7) * 1e9;
		} else if (!strncmp(argv[i], "holdout=", 8)) {
			t.judge_config.holdout = atof(argv[i] + 8) * 10000;
		} else if (!strncmp(argv[i], "state=", 6)) {
			t.judge_config.state_dir = argv[i] + 6;
		} else if (!strncmp(argv[i], "enforce=", 8)) {
			char word[64];

			snprintf(word, sizeof(word), "react=%s", argv[i] + 8);
			if (sim_option(&one, word))
				goto usage;
			t.enforce = one.react;
		} else if (sim_option(&t.c, argv[i])) {
			goto usage;
		}
		continue;
	usage:
		fprintf(stderr,
			"trial: %s: no such setting, or not a value it takes; see "
			"tests/sim/README.md\n",
			argv[i]);
		return 2;
	}
	t.step = (t.c.length > 3 * DAY ? 3600 : 600) * NSEC_PER_SEC;
	if (t.enforce >= 0 && t.c.length <= DAY)
		t.step = window_of(&t);
	err = run(&t);
	score_free(t.score);
	judge_free(t.judge);
	sim_free(t.sim);
	return err ? 1 : 0;
}
