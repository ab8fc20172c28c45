/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time.h - instants and durations as people and JSON write them.
 *
 * Nothing here reads a clock. Times are nanoseconds since 1970-01-01T00:00:00Z
 * (up to the year 2554), durations nanoseconds.
 *
 * Source: RFC 3339. Leap second :60 is taken as the second that follows.
 */
#ifndef WINNOW_BASE_TIME_H
#define WINNOW_BASE_TIME_H

#include <stdint.h>

#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_DAY  (86400 * NSEC_PER_SEC)

#define TIME_TEXT     32 /* "2554-07-21T23:34:33.709551615Z" and a NUL */
#define DURATION_TEXT 32 /* "213503d23h34m33s709ms" and a NUL */

/* "2026-03-01T12:00:00.123Z" with 0..9 digits behind the point, cut, not rounded. */
const char *time_text(uint64_t ns, unsigned int digits, char out[TIME_TEXT]);
/* Any RFC 3339 time, with fraction and offset. -EINVAL: not one; -ERANGE: before
 * 1970 or after 2554. Digits behind the ninth are read and dropped. */
int time_parse(const char *text, uint64_t *ns);

/* "90s", "5m", "24h", "7d", "2w", "250ms", "1h30m" (largest first, each unit
 * once). A bare number is -EINVAL: nobody can tell which unit. -ERANGE: over
 * 584 years. */
int duration_parse(const char *text, uint64_t *ns);
/* The `most` largest units from days down, cut, not rounded; 0: all of them to
 * the millisecond, which duration_parse() reads back. "0s" for nothing. */
const char *duration_text(uint64_t ns, unsigned int most, char out[DURATION_TEXT]);

#endif
