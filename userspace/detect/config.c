/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/config.h"

#include "base/time.h"

struct detect_config detect_config_default(void)
{
	return (struct detect_config){
		.window = 60 * NSEC_PER_SEC,
		.baseline_windows = 1440,
		.horizon = 1440,
		.min_handshakes = 3,
		.watch_nats = 12,
		.min_members = 12,
		.conceal_bits = 4,
		.coordinate_bits = 3,
		.operator_bits = 8,
		.spread = 0.8,
		.flag_bits = 4,
		.flag_hits = 2,
		.flag_windows = 3,
		.retract_windows = 60,
		.unflag_windows = 4320,
		.unflag_bits = 8,
		.own_sources = 300,
		.own_prefixes = 20,
		.own_windows = 10,
		.propose_bits = 8,
		.posterior = 0.99,
		.precision = 0.99,
		.collateral_all = 1e-4,
		.collateral_stack = 1e-3,
		.history_days = 7,
		.rule_ttl = NSEC_PER_DAY,
	};
}

static uint32_t scaled(uint32_t n, uint64_t from, uint64_t to, uint32_t least)
{
	uint64_t k = n * from / to;

	return k < least ? least : k;
}

void detect_config_window(struct detect_config *c, uint64_t window)
{
	if (window > c->window) {
		c->horizon = scaled(c->horizon, c->window, window, 4);
		c->retract_windows = scaled(c->retract_windows, c->window, window, 3);
		c->unflag_windows = scaled(c->unflag_windows, c->window, window, 3);
		c->own_windows = scaled(c->own_windows, c->window, window, 2);
	}
	c->window = window;
}
