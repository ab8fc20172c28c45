/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/past.h"

#define ORDER(field)              \
	if (a->field != b->field) \
	return a->field < b->field ? -1 : 1

int past_order(const struct past *a, const struct past *b)
{
	ORDER(src);
	ORDER(family);
	ORDER(stack);
	ORDER(service);
	ORDER(proto);
	return 0;
}
