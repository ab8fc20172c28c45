#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# What operators say and see beside the facts: networks of an MMDB (fault 86), systems,
# known programs, labels of their own, events as they come, rules in and out (fault 98);
# nothing that names an account is kept or told (fault 93).
. "$(dirname "$0")/lib.sh"
need jq node openssl tcpdump curl
A=10.5.0.1 B=2001:db8:5:1::1
cp "$TREE/tests/data/mmdb/networks.mmdb" "$TMP/n.mmdb"
chmod 644 "$TMP/n.mmdb"
{ echo '[tcp:request]'; echo 'label = s:unix:Linux:here'; echo 'sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0'
	echo 'sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+:0'; echo 'sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws:df,id+:0'
	echo 'sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws:df,id+:0'; } >"$TMP/p0f.fp"

net_up
web_up
WINNOW_CONF="mmdb = $TMP/n.mmdb
p0f = $TMP/p0f.fp
metrics = 127.0.0.1:9751"
winnow_up
monitor_pid='' # set by start
start monitor "$EDGE" "$WINNOW" --socket "$TMP/run/control.sock" monitor --jsonl
visit node-https $A >/dev/null
visit node-https $B >/dev/null
eventually 5 tally_is connections $B 1 >/dev/null
STACK=$(stack_of $A)

row() { w source show "$1" -j | jq -e ".sources[0] | $2" >/dev/null || { w source show "$1" -j | jq -c '.sources[0] | {asn, org, country, os, label, tcp}'; false; }; }
check "a source has its AS, holder and country" row $A '.asn == 64498 and .org == "Lab" and .country == "SE"'
check "an IPv6 source too" row $B '.asn == 64499 and .country == "DE"'
check "and its system, by p0f's list" row $A '.os == "Linux here"'
label() { w fp show "$STACK" -j | jq -e --arg l "$1" '.fingerprints[0].label == $l'; }
w fp label "$STACK" "our <agent>" 2>/dev/null
check "an operator's label is shown with the stack" label "our <agent>"
check "and with the source" row $A '.label == "our <agent>"'
gives() { local want=$1; shift; "$@" >/dev/null 2>&1; local got=$?; [ $got = "$want" ] || { echo "exit $got, not $want"; false; }; }
check "a stack nobody has shown gets none" gives 1 w fp label t13d0000h2_000000000000_000000000000 x
check "nor one of 65 bytes" gives 2 w fp label "$STACK" "$(printf 'x%.0s' {1..65})"

# Fault 86: the file is cut under the running daemon, then wrong at a reload.
truncate -s 700 "$TMP/n.mmdb"
check "a truncated file changes nothing" row $A '.asn == 64498'
w config reload 2>/dev/null
trouble() { w status -j | jq -e '.troubles | any(.about == "mmdb" and (.text | test("n.mmdb")) and (.text | test("stays")))'; }
check "a reload says it is bad" trouble
check "and keeps what it had" row $A '.asn == 64498'
cp "$TREE/tests/data/mmdb/networks.mmdb" "$TMP/n.mmdb"
w config reload 2>/dev/null
check "a good one is taken again" not trouble

winnowd_kill
check "monitor ends with its daemon" eventually 5 not test -d /proc/"$monitor_pid"
winnowd_start
check "labels outlive the daemon" label "our <agent>"
w fp label "$STACK" 2>/dev/null
check "a label can be taken away" not label "our <agent>"
start monitor2 "$EDGE" "$WINNOW" --socket "$TMP/run/control.sock" monitor --jsonl

# Rules out and in.
w rule add src 192.0.2.7 action drop for 1h reason '=cmd|"/C calc"!A1' 2>/dev/null >/dev/null
w rule add src 192.0.2.0/25 action drop reason net 2>/dev/null >/dev/null
w rule add src $A stack "$STACK" state 'seen>=2' action limit 5/s all for 2h reason "narrow, quoted \"x\"" 2>/dev/null >/dev/null
event() { jq -se --arg t "$1" 'any(.[]; .schema == "winnow.event/1" and (.text | contains($t)))' "$TMP/monitor2.log"; }
check "monitor shows a rule as it comes" eventually 5 event "added by uid 0: net"

# Every answer in every format: one document, one object a line, one width of CSV; a list
# is as long in each.
formats() {
	local is=$1 how
	shift
	for how in -j --jsonl --csv; do w "$@" $how >"$TMP/out$how"; done 2>"$TMP/said"
	python3 - "$TMP/out" "$is" <<-'EOF'
		import csv, json, sys
		at, kind = sys.argv[1:]
		def unique(pairs):
		    assert len(dict(pairs)) == len(pairs), pairs
		    return dict(pairs)
		whole = json.load(open(at + "-j"), object_pairs_hook=unique)
		assert whole["schema"].startswith("winnow.") and whole["schema"].endswith("/1"), whole["schema"]
		lines = [json.loads(line) for line in open(at + "--jsonl")]
		assert all(line["schema"].startswith("winnow.") for line in lines)
		rows = list(csv.reader(open(at + "--csv", newline="")))
		assert rows and len({len(row) for row in rows}) == 1, rows
		if kind == "list":
		    assert len(lines) == len(rows) - 1, (len(lines), len(rows))
		else:
		    assert len(lines) == 1, len(lines)
	EOF
}
for list in "source list" "source show $A" "fp list" "fp show $STACK" "farm list" "rule list" "allow list" "plan show" audit "config show" doctor; do
	# shellcheck disable=SC2086
	check "winnow $list: -j, --jsonl and --csv say the same" formats list $list
done
for one in status "audit verify" "config check" "rule check $A"; do
	# shellcheck disable=SC2086
	check "winnow $one: in each format" formats one $one
done
check "rule export -j is one document with every rule" \
	jq -se 'length == 1 and (.[0].rules | length) == 3' <(w rule export -j)
not_there() { local said; said=$(w farm show f77 2>&1); [ $? = 1 ] && [ "$(grep -c . <<<"$said")" = 1 ] && grep -q 'there is no farm f77' <<<"$said"; }
check "a farm that is not there is said once, exit 1" not_there
w rule export --jsonl >"$TMP/rules.jsonl"
w rule export >"$TMP/rules.txt"
w rule export --csv >"$TMP/rules.csv" 2>"$TMP/said"
check "JSON lines have every rule" test "$(wc -l <"$TMP/rules.jsonl")" = 3
check "CSV has those on a source alone" test "$(grep -c ',ban,' "$TMP/rules.csv")" = 2
check "and says what it left out" grep -q "1 rules are narrower" "$TMP/said"
check "with CrowdSec's columns" grep -q '^duration,scope,value,type,reason,origin' "$TMP/rules.csv"
formula() { grep -q ",\"'=cmd|" "$TMP/rules.csv" && ! grep -q ',"\?=cmd' "$TMP/rules.csv"; }
check "a reason cannot become a formula (fault 98)" formula
texts() { w rule list -j | jq -r '.rules[] | [.match.src, .match.stack, .action, .rate, (.state | join(" ")), (.flags | join(" ")), .reason] | @json' | sort; }
before=$(texts)
w rule flush --yes >/dev/null 2>&1
check "a dry import adds nothing" w rule import --dry-run "$TMP/rules.jsonl"
check "really nothing" test -z "$(texts)"
check "what was exported is imported" w rule import "$TMP/rules.jsonl"
same() { diff <(echo "$before") <(texts); }
check "and is the same" same
w rule flush --yes >/dev/null 2>&1
check "so are plain lines" w rule import "$TMP/rules.txt"
check "the same again" same
w rule flush --yes >/dev/null 2>&1
cat >"$TMP/decisions.csv" <<-'EOF'
	id,value,reason,scope,type,duration
	1,192.0.2.9,"crowdsecurity/ssh-bf, ""twice""",Ip,ban,4h
	2,192.0.2.128/25,scan,Range,ban,3600s
	3,192.0.2.10,x,Ip,captcha,4h
	4,not-an-address,x,Ip,ban,4h
	5,0.0.0.0/0,x,Range,ban,4h
EOF
check "CrowdSec's CSV is imported in part: exit 5" gives 5 w rule import "$TMP/decisions.csv"
got() { texts | grep -qF '"192.0.2.9",null,"drop",null,"","","crowdsecurity/ssh-bf, \"twice\""' && [ "$(texts | wc -l)" = 2 ] || { texts; false; }; }
check "the good lines are there, the others are not" got
where() { w rule import "$TMP/decisions.csv" 2>&1 | grep -q "decisions.csv:4: type is not ban"; }
check "what is refused is named with its line" where

# Fault 93: a name and an account that only the wire may know, in a hello, in a request of
# its connection, and in clear text to the protected port.
CANARY=canary$RANDOM$RANDOM
capture "$TMP/wire.pcap"
asks() { printf 'GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' "$CANARY" "$CANARY"; }
(asks; sleep 1) | on "$WORLD" openssl s_client -connect $EDGE4:$PORT -bind 10.5.0.77 -servername $CANARY.winnow.test -quiet >/dev/null 2>&1
on "$WORLD" bash -c "exec 3<>/dev/tcp/$EDGE4/$PORT; cat >&3; timeout 2 cat <&3" < <(asks) >/dev/null
check "it is named and tallied" eventually 5 tally_is connections 10.5.0.77 1
capture_end
check "(the wire had it)" grep -qa "$CANARY.winnow.test" "$TMP/wire.pcap"
mkdir "$TMP/told"
for c in "status -j" "source list --jsonl" "source show 10.5.0.77 -j" "fp list -j" "fp show $(stack_of 10.5.0.77) -j" \
	"farm list -j" "plan show -j" "rule list -j" "audit --jsonl" "top -b -n 1 -j" "config show" "report -o $TMP/told/r.html"; do
	# shellcheck disable=SC2086
	w $c >"$TMP/told/${c%% -*}" 2>&1
done
on "$EDGE" curl -sS http://127.0.0.1:9751/metrics >"$TMP/told/metrics"
winnowd_kill
cp "$TMP"/*.log "$TMP/told"
rm -f "$TMP/told"/nginx* "$TMP/told/access.log" "$TMP/told/tcpdump.log"
kept() { grep -rlaF "$CANARY" "$TMP/state" "$TMP/run" "$TMP/told"; }
check "every document was written" test "$(find "$TMP/told" -type f -size +0 | wc -l)" -ge 14
check "no file, log, document or metric has it (fault 93)" not kept
echo "$CANARY" >>"$TMP/state/state.db"
check "(it would be noticed)" kept
finish
