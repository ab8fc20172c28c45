#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Connections older than winnow, a HelloRetryRequest, a port used again, fragments, "packet
# too big" from a blocked source, jumbo frames, an MTU raised under way, super-frames.
# Faults 5, 14, 18, 19, 21, 30, 31, 40.
. "$(dirname "$0")/lib.sh"
need jq python3 node ethtool

OLD=10.10.0.1 NEW=10.10.0.2 BLOCKED=10.10.0.3
net_up
wire_super_frames
web_up '' 'ssl_ecdh_curve secp384r1;'	# nobody's first key share: every TLS 1.3 hello is asked again
printf '0 %s - 30 100 post\n' $OLD | visits node-https >"$TMP/old" &
old=$!
older() { [ "$(logged "^$OLD ")" -ge 3 ]; }
eventually 5 older
winnow_up
wait $old
check "a connection that was there before goes on" jq -e '.ok == 30' "$TMP/old"
check "and is not invented" tally_is connections $OLD 0

check "super-frames: a browser's hello in one piece" visit wreq-chrome_142 10.10.1.1 3 post-big
check "is tallied once" eventually 3 tally_is connections 10.10.1.1 1
wire_segments

check "a client is asked for another key share" visit python $NEW 3
check "its two hellos are one connection" eventually 3 tally_is connections $NEW 1
check "the retry was seen" test "$(counter hrr)" -ge 1
hello_file "$TMP/hello"
frames >/dev/null <<-EOF
	visit plain 192.0.2.60 4000 $EDGE4 $PORT $TMP/hello
	visit plain 192.0.2.60 4000 $EDGE4 $PORT $TMP/hello
EOF
check "a port used again is a second connection" eventually 3 tally_is connections 192.0.2.60 2

odd() { on "$WORLD" python3 "$CLIENTS/oddity.py" "$1" "$2" $EDGE4; }
more() { # COUNTER BEFORE
	echo "$1: $2, then $(counter "$1")"
	[ "$(counter "$1")" -gt "$2" ]
}
unreachable() { on "$EDGE" nstat -asz IcmpInDestUnreachs | awk '/^Icmp/ { print $2 + 0 }'; }
fragments=$(counter parse_fragment) syns=$(counter syn)
odd fragment $NEW
odd rest $NEW
check "fragments are counted" more parse_fragment $((fragments + 1))
check "and their ports are not read" test "$(counter syn)" -eq "$syns"
w rule add src $BLOCKED action drop ports any for 5m reason story >/dev/null
drops=$(counter verdict_drop)
odd fragment $BLOCKED
odd rest $BLOCKED
check "a source rule drops its fragments" more verdict_drop $((drops + 1))
told=$(unreachable)
odd too-big $BLOCKED
learned() { [ "$(unreachable)" -gt "$told" ]; }
check "packet too big from a blocked source comes through" eventually 2 learned

ip -n "$EDGE" link set eth0 mtu 9000
ip -n "$WORLD" link set eth0 mtu 9000
check "the MTU can be raised under winnow" visit node-https 10.10.1.2 3 post-big
check "jumbo frames are tallied" eventually 3 tally_is exchanges 10.10.1.2 3
w detach eth0 >/dev/null 2>&1
check "detached" eventually 3 not attached
check "it attaches to a device with jumbo frames" w attach eth0
check "and tallies there" visit python 10.10.1.3 3 post-big
check "what came" eventually 3 tally_is exchanges 10.10.1.3 3
finish
