/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - writes the Prometheus text format, bounded.
 *
 *     struct metrics m = {};
 *     metric(&m, METRIC_FARMS, 3, "state", "flag", NULL);
 *     text = metrics_end(&m, &len);
 *
 * Families come in the order of families.h; all series of one together. Label
 * values may be any bytes: \, " and newline are escaped, what is not UTF-8 comes
 * as \xNN. A family's label names must be those of families.h.
 *
 * Bound: METRICS_SERIES_MAX series; those beyond are left out and their number is
 * winnow_metrics_dropped_series, which is always there.
 * Errors: metrics_end() gives NULL when there was no memory.
 * Source: Prometheus, "Exposition formats", text version 0.0.4.
 */
#ifndef WINNOW_EXPORT_METRICS_H
#define WINNOW_EXPORT_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "export/families.h"

#define METRICS_SERIES_MAX 500
#define METRICS_TYPE       "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
	char *text;
	size_t len, room;
	int family; /* enum metric_family + 1 of the newest series */
	size_t series, dropped;
	bool failed;
};

struct metric_family_info {
	const char *name, *type, *labels, *help;
};
extern const struct metric_family_info metric_families[METRIC_FAMILY_MAX];

/* One series: value, then label names and values in turns, then NULL. A NULL value
 * of a label is written as "". */
void metric(struct metrics *m, enum metric_family family, double value, ...)
	__attribute__((sentinel));
/* winnow_metrics_dropped_series, winnow_heap_bytes, then process_* of who asks. */
void metrics_process(struct metrics *m);

/* The text, malloc'ed; m is empty again. */
char *metrics_end(struct metrics *m, size_t *len);

#endif
