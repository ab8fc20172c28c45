/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fidelity.h - does the hello behave as the program it claims to be?
 *
 * order    a stack that permutes its extensions (over 0.9 orders a connection in 20
 *          clean ones or more) never repeats an order: n^2 / (2 * 10^12) expected
 *          pairs for n connections. One order from 5 sources or more is a replayed
 *          hello, worth the whole cap of its family.
 * psk      resumption deficit: the members' share of later connections that offered a
 *          session, less the stack's when clean.
 *
 * Errors: -ENOMEM.
 * Source: detection.md 3.4.
 */
#ifndef WINNOW_DETECT_FIDELITY_H
#define WINNOW_DETECT_FIDELITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "model/snapshot.h"

#define ORDER_SOURCES 5

struct stack_orders {
	uint64_t orders, connections; /* so far */
	uint64_t clean_orders, clean_connections;
	uint64_t shared; /* the order most sources share, since clean */
	double shared_sources;
};

struct fidelity {
	struct table seen;   /* {stack, order} -> connections counted */
	struct table stacks; /* stack -> struct stack_orders */
};

void fidelity_init(struct fidelity *f);
void fidelity_clear(struct fidelity *f);
int fidelity_update(struct fidelity *f, const struct snapshot *s, bool clean);
const struct stack_orders *fidelity_stack(const struct fidelity *f, uint64_t stack);
bool fidelity_permutes(const struct stack_orders *o);

#endif
