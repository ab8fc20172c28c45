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
		.min_members = 20,
		.conceal_bits = 4,
		.coordinate_bits = 3,
		.operator_bits = 8,
		.spread = 0.6,
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
		.rule_ttl = 24 * 3600 * NSEC_PER_SEC,
	};
}
