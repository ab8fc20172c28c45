#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# Not one of the small stories (20-farm tells the common one): for its variants.
# The whole story, live: a farm behind 300 exits is found, its plan applied, its visits
# fail, and nobody else's do. SEED, FAMILY (both, 4, 6), TLS (TLSv1.2), REPLACE=1 (the farm
# moves to 300 new exits once it is dropped) choose another story; OUT keeps the capture,
# the truth and the answers. Faults 44, 51.
. "$(dirname "$0")/lab.sh" || exit 1
need jq

# FLAG_BY: by then the farm must be proposed; the rest of the run is after the plan.
FLAG_BY=95 SECONDS_ALL=125
[ -z "${REPLACE:-}" ] || SECONDS_ALL=175	# the new exits need as long to be known as the old
options=(--seed "${SEED:-0}" --family "${FAMILY:-both}" --seconds "$SECONDS_ALL")
[ -z "${REPLACE:-}" ] || options+=(--waves 2)
export LAB_TLS=${TLS:-}
lab_up "${options[@]}"
lab_winnow
w farm list -j >/dev/null 2>&1 || skip "this winnow finds no farms yet"
note "$(jq -c '{seed, family, farm_stack, pods_stack, relay_stack, load_stack, sources}' "$LAB/story.json")"
capture "$TMP/lab.pcap"
lab_run

proposed() { w farm list -j | jq -se '.[0].farms | any(.state == "propose")'; }
left() { echo $((FLAG_BY - $(lab_now))); }
check "the farm is proposed within $FLAG_BY s" eventually "$(left)" proposed ||
	note "$(w farm list -j | jq -c '.farms[] | del(.members, .rules)')"
flagged=$(lab_now)
w farm list -j >"$TMP/farms.json"
check "the plan is applied" w plan apply --yes
applied=$(lab_now)
note "proposed at $flagged s, plan applied at $applied s; $(w rule list -j | jq '.rules | length') rules"
if [ -n "${REPLACE:-}" ]; then
	lab_replace
fi
# The operator looks again after each window: members that were not sure enough yet.
for at in 90 100; do
	[ "$at" -le "$applied" ] && continue
	lab_at $at
	w plan apply --yes >/dev/null 2>&1
	applied=$(lab_now)
done
w farm list -j >"$TMP/farms.json"
note "$(w rule list -j | jq '.rules | length') rules at $applied s"
lab_wait
capture_end
w farm list -j >"$TMP/farms.end.json"
lab_score "$TMP/farms.json" "$((applied + 1))" farm >"$TMP/score"
note "$(jq -c '{recall, precision, lookalikes, farm: .visits.farm.after}' "$TMP/score")"

score() { jq -c '{farms, recall, precision, lookalikes, visits}' "$TMP/score"; jq -se ".[0] | $1" "$TMP/score" >/dev/null; }
check "recall is at least 95%" score '.recall >= 0.95'
check "precision is at least 99% inside the farm's stack" score '.precision >= 0.99'
check "no look-alike is flagged" score '.lookalikes == {}'
check "after the plan at least 99% of the farm's connections fail" \
	score '.visits.farm.after | .visits > 100 and .refused >= 0.99 * .visits'
check "before, during and after every other request succeeds" \
	score '.visits | del(.farm, .["farm-replaced"]) | [.[][] | .failed // 0] | add == 0'
[ "$(jq -c .why "$TMP/score")" = '{}' ] || note "failures: $(jq -c .why "$TMP/score")"

# Who came after the drop is known by his first connections; a capture has no drop.
jq -r '.farms[].members[] | select(.replaces) | .src' "$TMP/farms.end.json" >"$TMP/fresh"
members() { jq -r '.farms[] | .stack as $s | .members[] | "\($s) \(.src)"' "$1" | sort | grep -vwF -f "$TMP/fresh"; }
replayed() {
	"$WINNOW" replay --farms -j -c "$TREE/userspace/share/lab.conf" "$TMP/lab.pcap" >"$TMP/farms.replay.json"
	members "$TMP/farms.end.json" >"$TMP/live"
	members "$TMP/farms.replay.json" >"$TMP/replayed"
	[ -s "$TMP/live" ] && diff "$TMP/live" "$TMP/replayed"
}
check "the capture, replayed, gives the same farms and members" replayed
if [ -n "${REPLACE:-}" ]; then
	lab_score "$TMP/farms.end.json" >"$TMP/score"
	check "the farm's new exits are found, too" score '.recall >= 0.95'
	check "and no look-alike with them" score '.lookalikes == {}'
fi
[ -z "${OUT:-}" ] || { mkdir -p "$OUT" && cp -r "$LAB" "$TMP"/*.json "$TMP/lab.pcap" "$TMP/score" "$OUT"; }
finish
