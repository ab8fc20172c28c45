/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/replay_farms.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/farm_report.h"
#include "cli/rows.h"

/* ---- events ---------------------------------------------------------------- */

static int play(struct judge *j, struct event_reader *reader, const volatile sig_atomic_t *stop,
		struct reason *r)
{
	uint32_t hellos = 0;
	struct event_conn e;
	int more, err = 0;

	while (!err && !(stop && *stop) && (more = event_next(reader, &e, r)) != 0) {
		if (more < 0)
			return more;
		while (!err && hellos <= e.hello) {
			size_t len = 0;
			const uint8_t *message = event_hello(reader, hellos, &len);

			err = judge_hello(j, message, len, &hellos);
			if (err == -EINVAL)
				return reason_set(r, err, "hello %u is no ClientHello", hellos);
			hellos++;
		}
		if (!err)
			err = judge_event(j, &e);
		if (err == -ERANGE)
			reason_set(r, err, "an event goes back in time by more than a second");
	}
	return err;
}

int farms_events(struct judge *j, FILE *in, const volatile sig_atomic_t *stop, struct reason *r)
{
	_cleanup_(event_closep) struct event_reader *reader = NULL;
	int err, closing;

	r->text[0] = '\0';
	err = event_open(in, &reader, r);
	if (!err) {
		judge_unheard(j, true);
		err = play(j, reader, stop, r);
		judge_unheard(j, false);
		/* The window that the stream ends in is judged, too. */
		if (judge_last(j)) {
			uint64_t due = judge_due(j, judge_last(j));

			closing = judge_advance(j, judge_last(j) > due ? judge_last(j) : due);
			err = err ? err : closing;
		}
	}
	if (err && !r->text[0])
		reason_set(r, err, "%s", strerror(-err));
	return err;
}

/* ---- answers ---------------------------------------------------------------- */

int farms_print(const struct judge *j, bool plan, FILE *out)
{
	struct farm_names names = judge_names(j);
	json_t *doc = plan ? plan_json(judge_plan(j), judge_farms(j), &names)
			   : farms_json(judge_farms(j), judge_plan(j), &names);
	int err = -ENOMEM;

	if (doc)
		err = json_dumpf(doc, out, JSON_COMPACT) || fputc('\n', out) == EOF ? -EIO : 0;
	json_decref(doc);
	return err;
}

int farms_explain(const struct judge *j, FILE *out)
{
	struct farm_names names = judge_names(j);
	json_t *farms = farms_json(judge_farms(j), judge_plan(j), &names), *farm;
	json_t *plan = plan_json(judge_plan(j), judge_farms(j), &names);
	size_t i;

	if (!judge_farms(j)->n) {
		fputs("No farm.\n", out);
		farm_report_blind(out);
	}
	json_array_foreach(json_object_get(farms, "farms"), i, farm) {
		if (i)
			fputc('\n', out);
		farm_report(out, farm, plan_of_farm(plan, json_text_at(farm, "id", "")));
	}
	json_decref(farms);
	json_decref(plan);
	return ferror(out) ? -EIO : 0;
}

int farms_time(const char *text, uint64_t *ns)
{
	char *end;
	double t;

	if (!time_parse(text, ns))
		return 0;
	t = strtod(text, &end);
	if (end == text || *end || !(t >= 0 && t < 18e9))
		return -EINVAL;
	*ns = (uint64_t)llround(t * 1e6) * 1000;
	return 0;
}
