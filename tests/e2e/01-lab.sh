#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The lab is what it says, read off the wire without winnow: distances are kept, every
# visit succeeds, the leg behind each exit is there, nobody but root can read the truth.
. "$(dirname "$0")/lab.sh"
need jq

lab_up --scale 0.1 --baseline 2 --seconds 20 --family "${FAMILY:-both}" --seed "${SEED:-0}"
capture "$TMP/lab.pcap"
lab_run
lab_wait
capture_end
lab_score >"$TMP/score"
node "$CLIENTS/wire.mjs" "$TMP/lab.pcap" >"$TMP/wire"

check "every request of every role succeeded" \
	jq -e '[.visits[][]] | length > 5 and (map(.failed // 0) | add) == 0' "$TMP/score"
check "six stacks at least visited" test "$(jq -r .ja4 "$TMP/wire" | cut -d_ -f1,2 | sort -u | wc -l)" -ge 6

# of ROLE EXPRESSION: a jq expression over [{src, rule, leg, d: [connections]}] of a role.
of() {
	python3 - "$LAB" "$TMP/wire" "$1" <<-'EOF' | jq -e "$2"
		import collections, json, sys
		lab, wire, role = sys.argv[1:]
		def far(name):
		    return {l.split()[0]: 2 * float(l.split()[1]) for l in open(f"{lab}/{name}")}
		rules, legs, seen = far("rules"), far("legs"), collections.defaultdict(list)
		for line in open(wire):
		    seen[json.loads(line)["src"]].append(json.loads(line))
		roles = collections.defaultdict(set)
		for line in open(f"{lab}/truth.tsv"):
		    src, stack, what = line.rstrip("\n").split("\t")
		    roles[src].add(what)
		print(json.dumps([{"src": s, "rtt": rules[s], "leg": legs.get(s, 0), "d": d}
		                  for s, d in seen.items() if roles[s] == {role}]))
	EOF
}
check "round trips to the edge are the planned ones" \
	of honest "map(.rtt as \$rtt | .d | (map(.rtt_ms) | min) - \$rtt) | sort | length > 10 and .[0] > -0.3 and .[length * 9 / 10 | floor] < 5"
median='map(.dstar_ms) | sort | .[length / 2 | floor]'
check "behind every exit the leg shows in D*" \
	of farm "map(.leg as \$leg | .d | ($median) / \$leg) | length > 20 and min > 0.9"
check "and in D1, where exits make the client wait" \
	of farm "map(.leg as \$leg | .d | (map(.d1_ms) | min) / \$leg) | min > 0.9"
# A leg stands in every connection, a busy machine's pause in some: the least tells them apart.
least='map(.d | map(.dstar_ms) | min) | sort'
check "honest sources of the farm's stack show none" \
	of honest-same "$least | length >= 25 and .[length * 9 / 10 | floor] < 10"
note "least D* of each of them, ms: $(of honest-same "$least | map(tostring) | join(\" \")" | tr -d \")"
check "the relay's legs differ within each of its exits" \
	of relay "map(select(.d | length > 4) | .d | (map(.dstar_ms) | max - min)) | length >= 1 and max > 30"
unreadable() { ! setpriv --reuid nobody --regid nogroup --clear-groups cat "$LAB/truth.tsv"; }
check "the truth is root's alone" unreadable
kill "$forwarder_pid"
wait "$forwarder_pid" 2>/dev/null
note "$(tail -n 1 "$TMP/forwarder.log")"
on_time() { awk '/late/ { for (i = 1; i <= NF; i++) if ($i == "of") exit !($(i - 1) < $(i + 1) / 20) }' "$TMP/forwarder.log"; }
check "at most one frame in twenty left a millisecond late" on_time
finish
