#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A million spoofed SYNs lose at most 1% of what is counted of 1,000 active sources.
# Faults 42, 53.
. "$(dirname "$0")/lib.sh"
need jq python3

SYNS=1000000 RATE=100000 SOURCES=1000

# Every source one connection with two requests, within 6 s.
round() {
	for ((n = 0; n < SOURCES; n++)); do
		echo "$((n * 6)) 10.7.$((n / 250)).$((n % 250 + 1)) - 2 100 post"
	done | visits python >"$TMP/round.jsonl"
}
sums() {
	w source list --jsonl | jq -s '[.[] | select(.src | startswith("10.7."))] |
		"\(length) \(map(.connections) | add) \(map(.exchanges) | add)"' -r
}
at_least() { # NAME GOT OF
	echo "$1: $2 of $3"
	[ $((100 * $2)) -ge $((99 * $3)) ] && [ "$2" -le "$3" ]
}

net_up
web_up
winnow_up
round
check "1,000 sources are tallied" eventually 5 at_least sources "$(sums | cut -d' ' -f1)" $SOURCES

# Both at once: the sources stay active while the flood runs.
echo "flood $SYNS $RATE 11.0.0.0/8 $EDGE4 $PORT" | frames >"$TMP/flood" &
flood=$!
round
ok=$(jq -s 'map(select(.ok > 0)) | length' "$TMP/round.jsonl")
requests=$(jq -s 'map(.ok) | add' "$TMP/round.jsonl")
wait $flood
note "$(cat "$TMP/flood"); $ok of $SOURCES visits got through in it"
check "the flood was sent" grep -q "flooded $SYNS" "$TMP/flood"
read -r sources connections exchanges < <(sums)
check "at most 1% of the sources are lost" at_least sources "$sources" $SOURCES
check "at most 1% of their connections" at_least connections "$connections" $((SOURCES + ok))
check "at most 1% of their exchanges" at_least exchanges "$exchanges" $((2 * SOURCES + requests))
check "the flood's own sources are not tallied" \
	test "$(w source list --jsonl | jq -s 'map(select(.src | startswith("11."))) | length')" -eq 0
finish
