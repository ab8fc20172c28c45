/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lifetime.h - how long a farm keeps an address, and so how long a rule may name it.
 *
 * Addresses get new tenants: a rule lives at most twice the median life of its farm's
 * sources. Most of them are still there when one looks, so the median is that of the
 * product-limit estimate: at each end, the share of those that lasted as long and did
 * end. Who is still there, or was ruled, had lasted so long at least. While fewer than
 * half are known to have ended, the median is not known.
 *
 * Source: Kaplan and Meier 1958.
 */
#ifndef WINNOW_DETECT_LIFETIME_H
#define WINNOW_DETECT_LIFETIME_H

#include <stdbool.h>
#include <stddef.h>

struct lifetime {
	double seconds;
	bool ended; /* false: at least so long */
};

/* Sorts v. Below 0: not known. */
double lifetime_median(struct lifetime *v, size_t n);

#endif
