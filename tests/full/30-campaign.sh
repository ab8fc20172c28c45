#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 7200
# The measured campaign - 25,000 accounts, 28.8 million exchanges in 45 days, beside
# 200,000 honest sources - and 2,500 accounts in a stack of 250,000, from events to
# verdicts; the first two days of the former also as packets.
# CAMPAIGN_SCALE=100 tests/full/30-campaign.sh: a rehearsal in seconds.
cd "$(dirname "$0")/../.." || exit

status=0
tests/sim/campaign "measured campaign" 900 events design=F1 seed=1000 sources=200000 accounts=25000 \
	rate=25.6 exits=mixed history=7d length=52d || status=1
tests/sim/campaign "1% of 250,000" 900 events design=F3 seed=1001 sources=750000 top=0.6 accounts=2500 \
	rate=25.6 history=7d length=9d || status=1
tests/sim/campaign "measured campaign, packets" 1800 packets design=F1 seed=1000 sources=200000 \
	accounts=25000 rate=25.6 exits=mixed history=1d length=3d || status=1
exit $status
