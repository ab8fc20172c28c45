#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# R, D1 and D* of real connections - direct, through proxies, through a relay, with
# jitter - equal a second reading of the same packets. Faults 16, 22, 23.
. "$(dirname "$0")/lab.sh"
need jq

lab_up --scale 0.1 --baseline 2 --seconds 15 --seed "${SEED:-0}"
winnow_up
capture "$TMP/lab.pcap"
lab_run
lab_wait
capture_end
node "$CLIENTS/wire.mjs" "$TMP/lab.pcap" | jq -c '{key: "\(.src) \(.sport)", rtt: .rtt_ms, d1: .d1_ms, dstar: .dstar_ms}' >"$TMP/wire"
"$WINNOW" replay --hellos --jsonl "$TMP/lab.pcap" |
	jq -c '{key: "\(.src) \(.sport)", rtt: .rtt_us, d1: .d1_us, dstar: .dstar_us, proof}' >"$TMP/winnow"

check "both read the same connections" \
	test "$(jq -r .key "$TMP/wire" | sort | md5sum)" = "$(jq -r .key "$TMP/winnow" | sort | md5sum)"
check "more than 150 of them" test "$(wc -l <"$TMP/wire")" -gt 150

# near FIELD SHARE MS: this share of the connections differs by at most so much.
near() {
	jq -ne --slurpfile a "$TMP/wire" --slurpfile b "$TMP/winnow" --arg f "$1" --argjson share "$2" --argjson ms "$3" '
		($b | map({key, value: .[$f]}) | from_entries) as $winnow |
		[$a[] | [.key, .[$f], $winnow[.key]] | select(.[1] != null)] |
		map(select(.[2] == null or (.[1] - .[2] / 1000 | fabs) > $ms)) as $off |
		{of: length, off: ($off | length), some: $off[:3]}, ($off | length) <= length * (1 - $share)'
}
check "round trips agree within 0.1 ms" near rtt 1 0.1
check "D1 agrees within 0.1 ms" near d1 1 0.1
# D3, where it serves, has a running correction that the second reading sets to 1 ms.
check "D* agrees within 0.1 ms in nine of ten" near dstar 0.9 0.1
check "and within 3 ms in all" near dstar 1 3
check "replay proves connections by the server's own numbers" jq -se 'all(.[]; .proof == "egress")' "$TMP/winnow"

live() { w source list --jsonl | jq -s --argjson n "$(wc -l <"$TMP/wire")" 'map(.connections) | add | debug | . == $n' -e; }
check "the live tables counted the same connections" eventually 5 live
finish
