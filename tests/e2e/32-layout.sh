#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# beside
# A daemon meets the pins of one with another layout, and other table sizes: rules, tallies
# and connections go over, no device is without a program, and the same on the way back.
# Fault 60.
. "$(dirname "$0")/lib.sh"
need jq python3

OTHER=$BUILD/other/build/winnowd
[ -x "$OTHER" ] || skip "the daemon of another layout: make tests"
A=10.7.0.1 B=10.7.0.2 C=10.7.0.3 D=10.7.9.4 E=10.7.9.5 F=10.7.0.6
net_up
web_up

# held NAME SRC: a connection that asks once, then again for each file NAME.N, N = 1, 2 ...
# and writes what became of it to NAME.N.is.
cat >"$TMP/held.py" <<'PY'
import os, socket, ssl, sys, time
name, src, ca, dst, port, host = sys.argv[1:]
s = socket.create_connection((dst, int(port)), timeout=2, source_address=(src, 0))
t = ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname=host)
for n in range(9):
    while n and not os.path.exists(f"{name}.{n}"):
        time.sleep(0.02)
    try:
        t.sendall(b"GET /small HTTP/1.1\r\nhost: " + host.encode() + b"\r\nx: " + b"x" * 200 + b"\r\n\r\n")
        said = "answered" if t.recv(65536) else "closed"
    except OSError as e:
        said = "silent" if isinstance(e, TimeoutError) else "closed"
    with open(f"{name}.{n}.is~", "w") as f:
        f.write(said)
    os.rename(f"{name}.{n}.is~", f"{name}.{n}.is")
PY
held() { start "held_$1" "$WORLD" python3 "$TMP/held.py" "$TMP/$1" "$2" "$TMP/ca.pem" "$EDGE4" "$PORT" "$NAME"; }
asks() { touch "$TMP/$1.$2"; eventually 6 eval "[ -e $TMP/$1.$2.is ]"; grep -q "$3" "$TMP/$1.$2.is" || { cat "$TMP/$1.$2.is"; false; }; }
# In the end nginx closes it: it has waited for 75 s.
cut() { asks "$1" "$2" 'silent\|closed'; }
add() { w rule add "$@" for 30m reason "story"; }
program() { on "$EDGE" ip -d link show eth0 | grep -oE 'prog/xdp id [0-9]+'; }
rules() { w rule list -j | jq -c '[.rules[] | {handle, match, action, expires}] | sort_by(.handle)'; }
switched() { grep -q "the tables had another layout or size" "$TMP/winnowd.log"; }
# replace DAEMON: kill -9, and the other one starts.
replace() {
	winnowd_kill
	: >"$TMP/winnowd.log"
	WINNOWD=$1 winnowd_start
}

NEW=$WINNOWD WINNOWD=$OTHER
WINNOW_CONF='enforce = yes'
winnow_up
for s in $A $B $D $E; do visit python $s >/dev/null; done
eventually 5 tally_is connections $B 1 >/dev/null
STACK=$(stack_of $B)
h=$(add src $A stack "$STACK" action drop)
c=$(add src $C action drop)
p=$(add src 10.7.9.0/24 action drop)
w allow add $E reason story 2>/dev/null
held live $B
held dead $F
check "connections are there" eval 'asks live 0 answered && asks dead 0 answered'
f=$(add src $F stack "$STACK" action drop)
check "one of them is cut by a rule" cut dead 1
check "a source and stack is dropped" not visit python $A
was=$(rules) exchanges=$(tally exchanges $B) seen=$(tally last_seen $D) hits=$(rule_field "$h" .hits.connections) loaded=$(program)
check "with hits ($hits)" test "$hits" -ge 1

on "$WORLD" timeout 120 python3 "$CLIENTS/probe.py" $C $EDGE4 $PORT "$TMP/stop" >"$TMP/probes" &
probes=$!
on "$WORLD" timeout 120 python3 "$CLIENTS/probe.py" $D $EDGE4 $PORT "$TMP/stop" >"$TMP/probes2" &
probes2=$!

# ---- the upgrade ---------------------------------------------------------------------
printf '[tables]\nrules = 4096\ntallies = 65536\nflows = 131072\n' >>"$TMP/winnow.conf"
replace "$NEW"
check "the new daemon takes over another layout and other sizes" switched
sed -n 's/^.*\(the tables had\)/# \1/p' "$TMP/winnowd.log"
check "another program is there" test "$(program)" != "$loaded"
same_rules() { [ "$(rules)" = "$was" ] || { rules; false; }; }
check "the rules are the same" same_rules
check "and go on counting" test "$(rule_field "$h" .hits.connections)" -ge "$hits"
seen_then() {
	local now since
	now=$(tally last_seen $D)
	since=$(($(date -d "${now//\"/}" +%s) - $(date -d "${seen//\"/}" +%s)))
	[ ${since#-} -le 1 ] || { echo "$D was last seen $now, not $seen"; false; }
}
check "a source was last seen when it was" seen_then
check "tallies go on" test "$(tally exchanges $B)" -ge "$exchanges" -a "$exchanges" -gt 0
check "a live connection is served" asks live 1 answered
more() { [ "$(tally exchanges $B)" -gt "$exchanges" ]; }
check "and counted where it was" eventually 5 more
check "the one that was cut stays cut" cut dead 2
check "an allowed source is served" visit python $E
check "a source and stack is still dropped" not visit python $A

# ---- and back --------------------------------------------------------------------------
loaded=$(program)
replace "$OTHER"
check "the old daemon takes back what it can read" switched
check "a source was last seen when it was" seen_then
check "with its own program" test "$(program)" != "$loaded"
check "the rules are the same" same_rules
check "the live connection is served" asks live 2 answered
check "the cut one stays cut" cut dead 3

# ---- no gap ------------------------------------------------------------------------------
touch "$TMP/stop"
wait $probes $probes2
read -r sent answered <"$TMP/probes"
check "of $sent probes of a dropped source meanwhile, 0 were answered" test "$answered" -eq 0 -a "$sent" -gt 100
read -r sent answered <"$TMP/probes2"
check "of $sent probes of a dropped network, 0" test "$answered" -eq 0 -a "$sent" -gt 100
check "and the rules counted them" test "$(rule_field "$c" '.hits.packets + .unproved')" -gt 100 -a "$(rule_field "$p" '.hits.packets + .unproved')" -gt 100
check "the flow's rule is the flow's" test "$(rule_field "$f" .hits.packets)" -ge 1
check "the audit is whole" w audit verify
finish
