#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 4200
# An hour of visitors, rules that come and go, scrapes, reloads, pages of top and devices
# attached and detached: memory and descriptors stay what they were (fault 99).
# SOAK=SECONDS for a shorter look by hand; what it says then names that time. Less than
# 2400 is too short: in the first eight windows the allocator still takes 64 kB each.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/soak.lib.sh"
need jq python3 curl
SOAK=${SOAK:-3600}

net_up
web_up
WINNOW_CONF="metrics = 127.0.0.1:9751
tick = 1s"
winnow_up
on "$EDGE" ip link add eth9 type veth peer name peer9
on "$EDGE" ip link set eth9 up

# by_address MILLISECONDS FIRST N: N of 400 addresses, one connection each, by Python.
by_address() {
	local i n
	for ((i = 0; i < $3; i++)); do
		n=$((($2 + i) % 400))
		echo "$((i * $1)) 10.$((5 + n % 7)).$((n / 250)).$((n % 250 + 1)) - 2 100 post"
	done | visits python
}

# What is bounded is filled first: a record for each source that will come, the state
# database's 256 kB of pages, which some 600 rules that come and go fill.
warm_up() {
	local n
	by_address 100 0 400 >/dev/null
	for ((n = 1; n <= 20; n++)); do visit curl 10.9.9.$n 1; done
	for ((n = 0; n < 1000; n++)); do rule_comes_and_goes "warm $n"; done
	operators_round 0
} >/dev/null 2>&1

rule_comes_and_goes() { w rule del "$(w rule add src 192.0.2.$((RANDOM % 250)) action drop for 5m reason "$1")"; }

# 400 addresses in turn, 5 connections a second, by two stacks.
visitors() {
	local first=0 stop=$((SECONDS + SOAK))
	while [ $SECONDS -lt $stop ]; do
		by_address 200 $first 250 | jq -s 'map({ok, failed}) | {ok: map(.ok) | add, failed: map(.failed) | add}' -c
		first=$((first + 250))
	done >"$TMP/visits"
}

# What operators and their machines do, for the N-th time.
operators_round() {
	local n=$1 h
	h=$(w rule add src 192.0.2.$((n % 250)) action drop for 5m reason "soak $n")
	on "$EDGE" curl -sS http://127.0.0.1:9751/metrics
	w status -j
	w source list --jsonl
	w farm list -j
	w fp list -j
	w top -b -n 1
	w allow add 203.0.113.$((n % 250)) reason soak
	[ $((n % 5)) != 0 ] || w config reload
	[ $((n % 7)) != 0 ] || { w attach eth9; w detach eth9; }
	visit curl 10.9.9.$((n % 20 + 1)) 1
	w allow del 203.0.113.$((n % 250))
	w rule del "$h"
}

operators() {
	local n=0 stop=$((SECONDS + SOAK))
	while [ $SECONDS -lt $stop ]; do
		n=$((n + 1))
		operators_round $n
		echo "$n" >"$TMP/rounds"
		sleep 3
	done >"$TMP/operators" 2>&1
}

# Every second a new text is made, so this is how it is, not how it was.
allocated() { on "$EDGE" curl -sS --max-time 5 http://127.0.0.1:9751/metrics | awk '$1 == "winnow_heap_bytes" { print $2; found = 1 } END { exit !found }'; }

warm_up
visitors &
PIDS+=($!)
visitors=$!
operators &
PIDS+=($!)
soak_watch "$winnowd_pid" "$SOAK" "$TMP/samples" allocated
wait $visitors
[ "$SOAK" -ge 3600 ] || note "$SOAK s, not the hour of fault 99"
[ -z "${SAMPLES:-}" ] || cp "$TMP/samples" "$SAMPLES"
check "the same process answers after $SOAK s" w status
soak_flat "$TMP/samples" | grep '^#'
check "memory and descriptors are flat (fault 99)" soak_flat "$TMP/samples"
tally=$(jq -s 'map(.ok) | add' "$TMP/visits") lost=$(jq -s 'map(.failed) | add' "$TMP/visits")
note "$tally requests, $lost failed; $(cat "$TMP/rounds") rounds of operators"
check "no visitor failed meanwhile" test "$lost" = 0
check "and there were many" test "$tally" -ge $((SOAK * 3))
finish
