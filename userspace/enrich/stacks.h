/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stacks.h - programs whose stack is known, and from where: each was recorded here
 * with the version named (tests/data/hellos). A name says what a client looks like,
 * never what it is: whoever can imitate a stack has its name.
 */
#ifndef WINNOW_ENRICH_STACKS_H
#define WINNOW_ENRICH_STACKS_H

struct known_stack {
	const char *stack, *label, *source;
};
extern const struct known_stack known_stacks[]; /* ends with stack NULL */

/* NULL: not known. */
const struct known_stack *stacks_known(const char *stack);

#endif
