/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_stat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static double ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

double cpu_ns(void)
{
	return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

double wall_ns(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

void series_add(struct series *s, double v)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->v = reallocarray(s->v, s->room, sizeof(s->v[0]));
		if (!s->v)
			die("out of memory");
	}
	s->v[s->n++] = v;
}

void series_free(struct series *s)
{
	free(s->v);
	*s = (struct series){};
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between the two nearest ranks. */
double series_quantile(const struct series *s, double q)
{
	double *v, at, out;
	size_t i;

	if (!s->n)
		die("no samples");
	v = malloc(s->n * sizeof(v[0]));
	if (!v)
		die("out of memory");
	memcpy(v, s->v, s->n * sizeof(v[0]));
	qsort(v, s->n, sizeof(v[0]), by_size);
	at = q * (s->n - 1);
	i = at;
	out = i + 1 < s->n ? v[i] + (at - i) * (v[i + 1] - v[i]) : v[i];
	free(v);
	return out;
}

double series_median(const struct series *s)
{
	return series_quantile(s, 0.5);
}

void series_ratio(struct series *out, const struct series *a, const struct series *b,
		  const struct series *floor)
{
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		double f = floor ? floor->v[i] : 0;

		series_add(out, (a->v[i] - f) / (b->v[i] - f));
	}
}

void series_less(struct series *out, const struct series *a, const struct series *floor)
{
	for (size_t i = 0; i < a->n && i < floor->n; i++)
		series_add(out, a->v[i] - floor->v[i]);
}

static void put_spread(json_t *o, const char *name, const struct series *s)
{
	if (s)
		json_object_set_new(o, name,
				    json_pack("[f,f]", series_quantile(s, 0.25),
					      series_quantile(s, 0.75)));
}

void result_say(const struct result *r)
{
	bool of_value = r->goal == VALUE_AT_MOST || r->goal == VALUE_AT_LEAST;
	bool at_most = r->goal == VALUE_AT_MOST || r->goal == RATIO_AT_MOST;
	double v = series_median(of_value ? r->value : r->ratio ? r->ratio : r->value);
	json_t *o = json_pack("{s:s,s:f,s:s,s:s?}", "name", r->name, "value",
			      series_median(r->value), "unit", r->unit, "against", r->against);

	if (!o)
		die("out of memory");
	put_spread(o, "value_quartiles", r->value);
	if (r->peer)
		json_object_set_new(o, "against_value", json_real(series_median(r->peer)));
	json_object_set_new(o, "ratio",
			    r->ratio ? json_real(series_median(r->ratio)) : json_null());
	put_spread(o, "ratio_quartiles", r->ratio);
	json_object_set_new(o, "samples", json_integer(r->value->n));
	json_object_set_new(o, "goal", r->goal ? json_real(r->bound) : json_null());
	if (r->goal) {
		json_object_set_new(o, "goal_of", json_string(of_value ? "value" : "ratio"));
		json_object_set_new(o, "goal_is", json_string(at_most ? "at most" : "at least"));
	}
	json_object_set_new(o, "ok",
			    !r->goal ? json_null()
				     : json_boolean(at_most ? v <= r->bound : v >= r->bound));
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}
