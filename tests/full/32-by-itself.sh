#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 700
# apply = by_itself, with caps; nobody says anything after the daemon has started.
# farm: the plan is applied by itself, on 1%, 10%, then all of its sources but the
# holdout, and not taken back for nothing. benign: of the sources of a planted plan
# half are nobody's but their owners'; while it acts on 1%, more of them are met than
# the plan said, and it is taken back.
act=${1:-}
if [ -z "$act" ]; then
	n=0 failed=0
	for act in farm benign; do
		echo "# ---- $act"
		n=$((n + 1))
		if bash "$0" "$act"; then echo "ok $n - $act"; else
			echo "not ok $n - $act"
			failed=$((failed + 1))
		fi
	done
	echo "1..$n"
	[ $failed -eq 0 ]
	exit
fi
. "$(dirname "$0")/../e2e/lab.sh" || exit 1
need jq node python3

audited() { w audit -j | jq --arg v "$1" '[.audit[] | select(.verb == $v)] | length'; }
some() { [ "$(audited "$1")" -ge "$2" ]; }
rules() { w rule list -j | jq "[.rules[] | select(.origin == \"farm:$id\") | $1]"; }
share() { rules .canary | jq -r 'unique | map(tostring) | join(" ")'; }
share_is() { [ "$(share)" = "$1" ] || { share; false; }; }
canary() { w farm show "$id" -j | jq -c '.farms[0].canary'; }

if [ "$act" = benign ]; then
	N=40
	id=f1
	# shellcheck disable=SC2034 # for winnow_up
	WINNOW_CONF='canary_step = 1h
		[detect]
		window = 2s'
	net_up
	web_up
	winnow_up
	people() { for n in $(seq "$1" "$2"); do echo "$((n % 20 * 40)) 10.9.0.$n - 1 0 post"; done | visits python; }
	all_through() { people "$1" "$2" | jq -se 'length > 0 and all(.[]; .failed == 0 and .ok > 0)'; }
	check "people visit" all_through 1 1
	stack=$(stack_of 10.9.0.1)
	winnowd_kill
	key=$(python3 - "$TMP/state/state.db" "$stack" <<'EOF'
import sqlite3, sys
row = sqlite3.connect(sys.argv[1]).execute("SELECT key FROM names WHERE kind = 2 AND name = ?", sys.argv[2:]).fetchone()
print(row[0])
EOF
	)
	check "a plan on $N of them is planted, half of it wrong" "$TOOLS/plant_farm" "$TMP/state" $N "$key"
	winnowd_start
	check "it is applied as a canary" w plan apply --canary --enforce --yes $id
	check "on one source in a hundred" share_is 0.01
	members() { people 1 $((N / 2)) >/dev/null; }
	for _ in 1 2 3 4; do members; sleep 2; done
	check "members may be met as often as they like" test "$(audited canary.rollback)" -eq 0
	note "$(canary)"
	taken_back() { people $((N / 2 + 1)) $N >/dev/null; some canary.rollback 1; }
	check "people who are none are met again and again: it is taken back" eventually 60 taken_back
	note "$(w audit -j | jq -c '[.audit[] | select(.verb == "canary.rollback") | .detail]')"
	check "every rule of the farm only counts" \
		eval '[ "$(rules .only_counts | jq -c unique)" = "[true]" ]'
	check "everybody gets through" all_through 1 $N
	check "the audit is whole" w audit verify
	finish
fi

FARM_AT=45 APPLY_BY=120
lab_up --seed "${SEED:-0}" --seconds 190 --baseline $FARM_AT --scale "${SCALE:-1}"
# Caps that a lab of 500 sources and three minutes can meet.
# shellcheck disable=SC2034 # for winnow_up
WINNOW_CONF=$(printf '%s\n' 'enforce = yes' 'apply = by_itself' 'canary_step = 15s' 'max_rules = 1000'
	cat "$TREE/userspace/share/lab.conf"
	printf '%s\n' 'history_days = 0' 'own_windows = 2' 'precision = 0.95' 'collateral_all = 0.05' \
		'collateral_stack = 0.2')
winnow_up
lab_run

farms() { w farm list -j; }
why_not() { w plan show -j | jq -c '.farms[] | {state, gates: [.gates[] | select(.met | not) | {gate, text}], rules: (.rules | length), spared: ([.spared[].why] | unique | .[:3])}'; }

lab_at $FARM_AT
check "a farm's plan is applied by itself" eventually $((APPLY_BY - FARM_AT)) some plan.by_itself 1 || {
	note "$(why_not)"
	note "$(farms | jq -c '.farms[] | {state, members: (.members | length), bits, gate}')"
	finish
}
applied=$(lab_now)
id=$(w audit -j | jq -r 'first(.audit[] | select(.verb == "plan.by_itself") | .args | if type == "string" then fromjson else . end | .farm)')
note "$id applied by itself $((applied - FARM_AT)) s after its first connection: $(rules .handle | jq length) rules"
check "on one source in a hundred" share_is 0.01
check "two in a hundred are never dropped" eval '[ "$(rules .holdout | jq -c unique)" = "[0.02]" ]'

check "then on one in ten" eventually 40 share_is 0.1
check "then on all" eventually 40 share_is 1
full=$(lab_now)
note "at $full s, $((full - applied)) s after it began; $(canary)"
lab_wait
lab_score <(farms) $((full + 1)) farm >"$TMP/score"
note "$(canary) rules $(rules .handle | jq length)"
note "$(jq -c '{farm: .visits.farm, recall, precision}' "$TMP/score")"
score() { jq -e "$1" "$TMP/score" >/dev/null || { jq -c "{farm: .visits.farm, why}" "$TMP/score"; false; }; }
check "all but the holdout of the farm's connections then fail" \
	score '.visits.farm.after | .visits > 300 and .refused >= 0.93 * .visits and .refused < .visits'
check "most came through while it was one in a hundred" score '.visits.farm.before | .ok > .failed'
check "nothing was rolled back" test "$(audited canary.rollback)" -eq 0
check "each step is in the audit" test "$(audited canary.advance)" -eq 2
lab_score <(farms) $((applied - 1)) farm >"$TMP/score"
note "lost before there was a rule: $(jq -c '[.visits | to_entries[] | select(.key | startswith("farm") | not) | .value.before.failed // 0] | add' "$TMP/score")"
check "no honest request was lost since the first rule" \
	score '[.visits | to_entries[] | select(.key | startswith("farm") | not) | .value.after.failed // 0] | add == 0'
check "the audit is whole" w audit verify
finish
