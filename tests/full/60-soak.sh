#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 4200
# An hour of visitors, rules that come and go, scrapes, reloads, pages of top and devices
# attached and detached: memory and descriptors stay what they were (fault 99).
# SOAK=SECONDS for a shorter look by hand; what it says then names that time.
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

# 400 addresses in turn, 5 connections a second, by two stacks.
visitors() {
	local n=0 stop=$((SECONDS + SOAK))
	while [ $SECONDS -lt $stop ]; do
		for ((i = 0; i < 250; i++)); do
			n=$(((n + 1) % 400))
			echo "$((i * 200)) 10.$((5 + n % 7)).$((n / 250)).$((n % 250 + 1)) - 2 100 post"
		done | visits python | jq -s 'map({ok, failed}) | {ok: map(.ok) | add, failed: map(.failed) | add}' -c
	done >"$TMP/visits"
}

# What operators and their machines do.
operators() {
	local h n=0 stop=$((SECONDS + SOAK))
	while [ $SECONDS -lt $stop ]; do
		n=$((n + 1))
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
		visit curl 10.9.9.$((n % 250 + 1)) 1
		w allow del 203.0.113.$((n % 250))
		w rule del "$h"
		sleep 3
	done >"$TMP/operators" 2>&1
}

visitors &
PIDS+=($!)
visitors=$!
operators &
PIDS+=($!)
soak_watch "$winnowd_pid" "$SOAK" "$TMP/samples"
wait $visitors
[ "$SOAK" -ge 3600 ] || note "$SOAK s, not the hour of fault 99"
[ -z "${SAMPLES:-}" ] || cp "$TMP/samples" "$SAMPLES"
check "the same process answers after $SOAK s" w status
soak_flat "$TMP/samples" | grep '^#'
check "memory and descriptors are flat (fault 99)" soak_flat "$TMP/samples"
tally=$(jq -s 'map(.ok) | add' "$TMP/visits") lost=$(jq -s 'map(.failed) | add' "$TMP/visits")
note "$tally requests, $lost failed"
check "no visitor failed meanwhile" test "$lost" = 0
check "and there were many" test "$tally" -ge $((SOAK * 3))
finish
