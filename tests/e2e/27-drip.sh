#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# Fault 28: 2,000 connections of 50 sources drip 100,000 one-byte segments of hellos that
# never end; 1,000 others, whose hellos come in two segments meanwhile, are named.
. "$(dirname "$0")/lib.sh"
need jq python3

DRIPPERS=50 EACH=40 BYTES=50 SOURCES=1000 MSS=300

others() {
	for ((n = 0; n < SOURCES; n++)); do
		echo "$((n * 6)) 10.7.$((n / 250)).$((n % 250 + 1)) - 1 100 post"
	done | visits python >"$TMP/visits.jsonl"
}
named() { w source list --jsonl | jq -s '[.[] | select((.src | startswith("10.7.")) and .stack != null)] | length'; }
all_but_ten() { [ "$(named)" -ge $((SOURCES * 99 / 100)) ]; }

net_up
# What the edge tells them to send at most: less than a hello.
ip -n "$EDGE" route add 10.7.0.0/16 via "$GATE4" dev eth0 advmss $MSS
web_up
winnow_up
hello_file "$TMP/hello"
check "a hello is longer than a segment: $(stat -c %s "$TMP/hello") bytes" \
	test "$(stat -c %s "$TMP/hello")" -gt $MSS
start drip "$WORLD" env EDGE4="$EDGE4" PORT="$PORT" \
	python3 "$CLIENTS/drip.py" "$TMP/hello" $DRIPPERS $EACH $BYTES 6
dripping() { [ "$(on "$EDGE" ss -Htn "sport = :$PORT" | wc -l)" -ge $((DRIPPERS * EACH)) ]; }
check "2,000 connections are open" eventually 20 dripping
others
# shellcheck disable=SC2154 # start sets it
wait "$drip_pid"
segments=$(cat "$TMP/drip.log")
note "$segments one-byte segments; $(named) of $SOURCES others named"
check "100,000 one-byte segments were sent" test "$segments" -ge $((DRIPPERS * EACH * BYTES * 99 / 100))
check "99% of the others are named" eventually 5 all_but_ten
check "and none of their requests was lost" jq -se 'length == 1000 and all(.ok == 1 and .failed == 0)' "$TMP/visits.jsonl"
check "nobody who dripped has a name" \
	test "$(w source list --jsonl | jq -s '[.[] | select((.src | startswith("10.28.")) and .stack != null)] | length')" = 0
counted=$(counter hello_result_source_slots)
check "what had no room is counted: $counted" test "$counted" -ge $((DRIPPERS * (EACH - 4)))
finish
