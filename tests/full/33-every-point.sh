#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Each allocation and each system call of a client and of a replay fails once: it says so, or
# gives the answer that it gives otherwise. The daemon's own: 33-every-point-started.sh and
# 33-every-point-asked.sh. Fault 75; e2e/33 and e2e/35 take samples of the same.
#
# By hand: PARTS="client replay", one of them; WHAT=malloc or call for one.
#
# timeout: 5400
. "$(dirname "$0")/every.lib.sh"

PCAP=$TREE/tests/replay/connect.pcap
parts() { [[ " ${PARTS:-client replay} " == *" $1 "* ]]; }

every_up
for what in ${WHAT:-malloc call}; do
	if parts client; then
		each "each $what of a list" $what end "$WINNOW" --socket "$CONTROL" allow list -j
		each "each $what of a help page" $what end "$WINNOW" help rule add
		each "each $what of a rule's check" $what end "$WINNOW" --socket "$CONTROL" rule check 10.7.0.2
	fi
	! parts replay || each "each $what of a replay" $what end "$WINNOW" replay --hellos --jsonl "$PCAP"
done
check "the daemon has not noticed" w status
every_end
