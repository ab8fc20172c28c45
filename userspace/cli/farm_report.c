/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/farm_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/rows.h"
#include "model/farm.h"

static double number(const json_t *o, const char *path)
{
	const json_t *v = json_at(o, path);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

/* A word of the document; it may hold anything, so it is made safe first. */
static void word(FILE *out, const char *fmt, const json_t *o, const char *path,
		 const char *otherwise)
{
	_cleanup_(freep) char *safe = text_safe(json_text_at(o, path, otherwise));

	fprintf(out, fmt, safe);
}

json_int_t farm_sum(const json_t *farm, const char *count)
{
	const json_t *member;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(farm, "members"), i, member)
		sum += json_int_at(member, count);
	return sum;
}

const json_t *plan_of_farm(const json_t *plan, const char *id)
{
	json_t *farm;
	size_t i;

	json_array_foreach(json_object_get(plan, "farms"), i, farm)
		if (!strcmp(json_text_at(farm, "farm", ""), id))
			return farm;
	return NULL;
}

static void head(FILE *out, const json_t *f)
{
	const json_t *ja4 = json_object_get(f, "ja4"), *v;
	size_t i;

	word(out, "Farm %s", f, "id", "?");
	word(out, " - %s\n\n", f, "state", "?");
	word(out, "  stack     %s", f, "stack", "?");
	fprintf(out, ", port %lld\n", (long long)json_int_at(f, "service"));
	json_array_foreach((json_t *)ja4, i, v) {
		_cleanup_(freep) char *safe = text_safe(json_string_value(v) ?: "?");

		fprintf(out, "%s%s%s", i ? ", " : "  ja4       ", safe,
			i + 1 == json_array_size(ja4) ? "\n" : "");
	}
	fprintf(out, "  members   %zu of the %lld sources this stack had lately",
		json_array_size(json_object_get(f, "members")),
		(long long)json_int_at(f, "stack_sources.lately"));
	fprintf(out,
		" (share %.1f%%, 95%%: %.1f-%.1f%%);\n            %lld sources when traffic was clean\n",
		100 * number(f, "share"),
		100 * json_number_value(json_array_get(json_object_get(f, "share_ci"), 0)),
		100 * json_number_value(json_array_get(json_object_get(f, "share_ci"), 1)),
		(long long)json_int_at(f, "stack_sources.when_clean"));
	fprintf(out,
		"  traffic   %lld connections, %lld exchanges of members; %lld exchanges before the flag\n",
		(long long)farm_sum(f, "connections"), (long long)farm_sum(f, "exchanges"),
		(long long)json_int_at(f, "exchanges_before_flag"));
	word(out, "  began     %s\n", f, "onset", "not known");
	word(out, "  watched   %s\n", f, "watched_at", "-");
	word(out, "  flagged   %s\n", f, "flagged_at", "not yet");
	word(out, "  proposed  %s\n", f, "proposed_at", "not yet");
}

static void line(FILE *out, const json_t *l, const json_t *f)
{
	word(out, "    %-9s", l, "fact", "?");
	fprintf(out, " %+6.1f  ", number(l, "bits"));
	word(out, "%s\n", l, "counts", "");
	fprintf(out, "                      measured %.2f +- %.2f; a farm %.2f, ",
		number(l, "value"), number(l, "error"), number(l, "farm"));
	word(out, "%s", f, "nearest_benign", "the nearest benign kind");
	fprintf(out, " %.2f\n", number(l, "benign"));
}

static const json_t *strongest(const json_t *f)
{
	const json_t *best = NULL;
	json_t *l;
	size_t i;

	json_array_foreach(json_object_get(f, "explanation"), i, l)
		if (number(l, "bits") > 0 && (!best || number(l, "bits") > number(best, "bits")))
			best = l;
	return best;
}

static void evidence(FILE *out, const json_t *f)
{
	const json_t *best = strongest(f);
	const char *family;
	json_t *bits, *l;
	size_t i;

	word(out, "\nWhy, in bits against the nearest benign kind (%s)\n", f, "nearest_benign",
	     "?");
	json_object_foreach(json_object_get(f, "evidence"), family, bits) {
		fprintf(out, "  %-12s %+6.1f\n", family, json_number_value(bits));
		json_array_foreach(json_object_get(f, "explanation"), i, l)
			if (!strcmp(json_text_at(l, "family", ""), family))
				line(out, l, f);
	}
	fprintf(out, "  %-12s %+6.1f  how rare farms are\n", "prior", number(f, "prior"));
	fprintf(out, "  %-12s %+6.1f\n", "decision", number(f, "bits"));
	if (json_int_at(f, "history.scored"))
		fprintf(out,
			"  Against %lld days: score %.1f nats, P(a clean day scores that) %.3g by %lld "
			"clean days; e %.3g, needs %.3g\n",
			(long long)json_int_at(f, "history.days"), number(f, "history.llr_nats"),
			number(f, "history.p"), (long long)json_int_at(f, "history.scored"),
			number(f, "history.e"), number(f, "history.e_needed"));
	if (best) {
		word(out, "  What rules out %s: ", f, "nearest_benign", "it");
		word(out, "%s\n", best, "counts", "?");
	}
	fputs("\nWithout one kind of evidence\n", out);
	json_object_foreach(json_object_get(f, "without"), family, bits)
		fprintf(out, "  no %-13s it would be %+.1f bits\n", family,
			json_number_value(bits));
}

static void gates(FILE *out, const json_t *plan)
{
	json_t *g;
	size_t i;

	json_array_foreach(json_object_get(plan, "gates"), i, g)
		if (!json_is_true(json_object_get(g, "met")))
			word(out, "  not by itself: %s\n", g, "text", "?");
}

static void would_hit(FILE *out, const json_t *f, const json_t *plan)
{
	const json_t *rules = json_object_get(plan, "rules");
	size_t in_force = 0, i;
	json_t *r;

	json_array_foreach((json_t *)rules, i, r)
		in_force += json_is_integer(json_object_get(r, "handle"));
	fputs("\nWhat the plan would hit\n", out);
	if (plan)
		fprintf(out,
			"  %zu rules, each on a source with this stack (%zu in force); %zu members spared\n",
			json_array_size(rules), in_force,
			json_array_size(json_object_get(plan, "spared")));
	if (json_array_size(rules)) {
		r = json_array_get(rules, 0);
		word(out, "  action %s", r, "action", "?");
		word(out, ", until %s", r, "expires", "for ever");
		fprintf(out, ", holdout %.1f%%\n", 100 * number(r, "holdout"));
		fprintf(out,
			"  stops %.0f of the exchanges so far; innocents among the sources: %.2f expected, at most %.0f (95%%)\n",
			number(plan, "stops_exchanges"), number(plan, "collateral.sources"),
			number(plan, "collateral.upper95"));
	}
	if (*json_text_at(f, "gate", ""))
		word(out, "  held back: %s\n", f, "gate", "");
	if (*json_text_at(f, "undecided", ""))
		word(out, "  %s\n", f, "undecided", "");
	if (*json_text_at(f, "challenge.text", ""))
		word(out, "  %s\n", f, "challenge.text", "");
	gates(out, plan);
}

void farm_report_blind(FILE *out)
{
	for (int i = 0; i < FARM_NOT_DECIDABLE; i++)
		fprintf(out, "Not decidable from packets: %s.\n", farm_not_decidable[i]);
}

void farm_report(FILE *out, const json_t *farm, const json_t *plan)
{
	head(out, farm);
	evidence(out, farm);
	would_hit(out, farm, plan);
	fputc('\n', out);
	farm_report_blind(out);
}
