#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# beside
# Of a farm's 605 sources 240 are /64s of 24 homes: the plan names homes beside sources. The
# same sources far apart give no such rule, and an honest client in each home gives none
# either. Made-up traffic. Fault 53.
. "$(dirname "$0")/lib.sh"
need jq python3

build/tests/sim/scenario seed=1000 design=F1 accounts=600 rate=900 sources=4000 history=2h length=4h \
	labels="$TMP/labels" >"$TMP/site.jsonl" || exit 1

# moved HOMES STRANGERS: 240 of the farm's sources are /64s of so many /56s, in some of which
# an honest source of the same stack is, too.
moved() {
	python3 - "$TMP" "$1" "$2" <<-'EOF2'
		import ipaddress, json, sys
		at, homes, strangers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		farm = {line.split()[0] for line in open(f"{at}/labels") if line.split()[2] == "farm"}
		def half(src):
		    return str(ipaddress.ip_network(f"{src}/64", strict=False)) if ":" in src else src

		events = [json.loads(line) for line in open(f"{at}/site.jsonl")]
		hellos = {e["hello"] for e in events if half(e["src"]) in farm}
		honest = sorted({half(e["src"]) for e in events if e["hello"] in hellos} - farm)

		def source(home, inner):
		    return f"2001:{0x4000 + home // 8:x}:{home % 8 * 997 + 1:x}:{0x100 | inner:x}::1"

		to = {s: source(i % homes, i // homes) for i, s in enumerate(sorted(farm)[:240])}
		to.update((s, source(i, 0xf0)) for i, s in enumerate(honest[:strangers]))
		for e in events:
		    print(json.dumps(dict(e, src=to.get(half(e["src"]), e["src"]))))
	EOF2
}
judged() { moved "$@" | "$WINNOW" replay --events - --baseline-until 2026-01-01T02:00:00Z --farms -j >"$TMP/farms"; }
networks() { jq '[.farms[].rules[] | select(.match.src | endswith("/56") or endswith("/48"))]' "$TMP/farms"; }
rules() { jq '[.farms[].rules[]] | length' "$TMP/farms"; }
is() { [ "$1" -eq "$2" ] || { echo "$1, not $2"; false; }; }

check "a farm in 24 homes and elsewhere is judged" judged 24 0
check "its sources get rules" test "$(rules)" -ge 500
check "eight homes are named" is "$(networks | jq length)" 8
check "each with delays that it asks for" eval 'networks | jq -e "all(.state | length == 2)"'
# shellcheck disable=SC2016
check "the plan's precision holds" eval 'jq -e "[.farms[].collateral | .upper95 / 605] | max <= 0.01" "$TMP/farms"'
check "in 240 homes it is judged" judged 240 0
check "no home is named" is "$(networks | jq length)" 0
check "with an honest client in each of 24 homes it is judged" judged 24 24
check "its sources get rules" test "$(rules)" -ge 500
check "no home is named" is "$(networks | jq length)" 0
finish
