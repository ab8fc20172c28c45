#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 420
# A farm that is dropped moves to 300 exits that nobody has seen. Its plan was applied
# once, with --follow: nobody says anything after that. Behind 40 of the new exits are
# people of their own, half of them with the farm's own stack. Fault 44.
# SCALE makes it smaller.
. "$(dirname "$0")/../e2e/lab.sh" || exit 1
need jq node

FARM_AT=45 FLAG_BY=110
lab_up --seed "${SEED:-0}" --seconds 150 --baseline $FARM_AT --scale "${SCALE:-1}" --waves 2
# shellcheck disable=SC2034 # for winnow_up
WINNOW_CONF=$(printf 'enforce = each\n'; cat "$TREE/userspace/share/lab.conf")
winnow_up
lab_run

farms() { w farm list -j; }
proposed() { farms >"$TMP/farms" && jq -e '[.farms[] | select(.state == "propose")] | length == 1' "$TMP/farms" >/dev/null; }
judged_anew() { [ "$(farms | jq -r .detector.judged_at)" != "$1" ]; }
next_window() { eventually 20 judged_anew "$(farms | jq -r .detector.judged_at)"; }
farm_rules() { w rule list -j | jq "[.rules[] | select(.origin == \"farm:$id\" and .in_force and (.only_counts | not))] | length"; }
following() { w audit -j | jq '[.audit[] | select(.verb == "plan.follow")] | length'; }

lab_at $FARM_AT
check "the farm is proposed" eventually $((FLAG_BY - FARM_AT)) proposed || {
	note "$(jq -c '.farms[] | {state, members: (.members | length), bits, gate}' "$TMP/farms")"
	note "$(jq -c .detector "$TMP/farms")"
	lab_score "$TMP/farms" | jq -c "{visits, why}" | sed 's/^/# /'
	finish
}
id=$(jq -r '.farms[] | select(.state == "propose") | .id' "$TMP/farms")
check "its plan is applied, and followed" w plan apply --enforce --follow --yes "$id"
note "proposed $(($(lab_now) - FARM_AT)) s after its first connection, $(farm_rules) rules"
next_window
next_window # members that had not enough handshakes
old=$(farm_rules)
note "$old rules on the old exits"
sleep 2 # rules of that window are in

lab_replace
moved=$(lab_now)
lab_wait
next_window
note "moved at $moved s; $(($(farm_rules) - old)) rules more at $(lab_now) s, $(following) times by itself"
farms >"$TMP/farms"
lab_score "$TMP/farms" >"$TMP/score"
note "$(jq -c .fresh "$TMP/score")"
note "$(jq -c '{recall, precision, same, lookalikes, home: .visits.home, "home-same": .visits."home-same"}' "$TMP/score")"
[ "$(jq -c .why "$TMP/score")" = '{}' ] || note "failures: $(jq -c .why "$TMP/score")"

score() { jq -e "$1" "$TMP/score" >/dev/null || { jq -c .fresh "$TMP/score"; false; }; }
check "at least 95% of the fresh exits are ruled within two connections" \
	score '.fresh | .exits > 0 and .within_two >= 0.95 * .exits'
check "after its rule hardly anything of an exit gets through" \
	score '.visits."farm-replaced".all.visits as $all | .fresh.through_later <= 0.01 * $all'
check "no honest request was lost" \
	score '[.visits | to_entries[] | select(.key | startswith("farm") | not) | .value[].failed // 0] | add == 0'
check "not of the people behind the same addresses, with another stack" \
	score '.visits.home | [.[].ok] | add > 20'
check "nor with the same stack" score '.visits."home-same" | [.[].ok] | add > 20'
w rule list --jsonl | jq -r .match.src | sort -u >"$TMP/ruled"
{ lab_sources farm && lab_sources farm-replaced; } | sort -u >"$TMP/exits"
only_exits() { [ -s "$TMP/ruled" ] && [ -z "$(comm -23 "$TMP/ruled" "$TMP/exits" | tee /dev/stderr)" ]; }
check "every rule is on an exit of the farm" only_exits
narrow() { w rule list -j | jq -e '[.rules[] | select(.reason | test("new since"))] | length > 0 and all(.match.src and .match.stack and .expires and (.state | tostring | test("d1>=.*dstar>=")))' >/dev/null; }
check "rules on fresh exits name source, stack and what waits, with their evidence" narrow
note "$(w rule list -j | jq -c '[.rules[] | select(.reason | test("new since"))][0] | {match, state, reason, expires}')"
w farm show "$id" -j | jq -c '.farms[0].hydra' >"$TMP/hydra"
note "hydra: $(cat "$TMP/hydra")"
check "displacement is told" jq -e '.births > 100 and .displacement_percent > 50 and .connections_before_rule <= 2' "$TMP/hydra"
told() { w farm show "$id" 2>&1 | tee /dev/stderr | grep -qi displace; }
check "also to people" told
check "what was done by itself is in the audit" test "$(following)" -ge 1
check "the audit is whole" w audit verify
finish
