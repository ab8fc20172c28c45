/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dispersion.h - how thinly the sources lie over networks.
 *
 * spread  ln(distinct /24, v6 /48) over ln(sources). Sources of the stack that are split and lie
 *         beside members count with them: a company's fleet of which a few are taken for
 *         members lies as close together as it does
 * nets    ln of the effective number of /16s (v6 /40s): 1 / sum q^2
 * shared  share of the addresses with another split stack: an exit that many
 *         programs of many people leave by
 *
 * Source: detection.md 3.9; Simpson 1949 for the effective number.
 */
#ifndef WINNOW_DETECT_DISPERSION_H
#define WINNOW_DETECT_DISPERSION_H

#include <stddef.h>

#include "detect/evidence.h"
#include "model/cohort.h"

struct fact dispersion_spread(const struct cohort *c);
/* The same; `all`: whatever has the stack. */
struct fact dispersion_around(const struct cohort *members, const struct cohort *all);
struct fact dispersion_nets(const struct cohort *c);
struct fact dispersion_shared(const struct cohort *c);
/* Distinct /16s (v6 /40s). */
size_t dispersion_prefixes(const struct cohort *c);

#endif
