#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Nobody can be framed: spoofed frames with a victim's address and a farm's hello move
# no tally, hit, bucket or verdict of the victim; honest hellos in odd company count.
# Decoys that the server does not take name nobody and hide nobody.
# The same with SYN cookies forced. PROOF=socket: where no egress program can run. Faults 15, 24-27, 29, 31, 43.
. "$(dirname "$0")/lib.sh"
need jq python3

FARM=$TMP/farm.hello
OURS=192.0.2	# raw clients: addresses that no kernel here answers for
net_up
web_up
WINNOW_CONF="proof = ${PROOF:-egress}"
winnow_up
hello_file "$FARM"
hello_file "$TMP/decoy" "$(printf decoy%050d 0)"
check "connections are proved by ${PROOF:-egress}" test "$(w status -j | jq -r .proof)" = "${PROOF:-egress}"

# The farm's stack is known, and a rule waits for it.
frames <<<"visit plain $OURS.1 4000 $EDGE4 $PORT $FARM" >/dev/null
check "an honest raw client is tallied" eventually 3 tally_is connections $OURS.1 1
STACK=$(stack_of $OURS.1)
RULE=$(w rule add stack "$STACK" action count for 10m reason story)
LIMIT=$(w rule add src 10.6.0.0/24 stack "$STACK" action limit 1/s for 10m reason story)

# victim N: a connection of the victim that stays open; its port is known to everybody.
victim_opens() {
	printf '0 %s - 40 100 post\n' "$1" | visits node-https >"$TMP/victim.$1" &
	eventually 30 victim_port "$1" >/dev/null
	port=$(victim_port "$1")
}
victim_port() { on "$EDGE" ss -Htn state established "sport = :$PORT" dst "$1" | grep -oE '[0-9]+ *$' | grep .; }
victim_is_well() { jq -se 'length == 1 and .[0].failed == 0' "$TMP/victim.$1"; }

seen_unproved() { # OUTSIDE PROVED, before: the segments were seen, none of them believed
	echo "out_of_window $1, then $(counter out_of_window); proved $2, then $(counter hello_proved)"
	[ "$(counter out_of_window)" -ge $(($1 + 20)) ] && [ "$(counter hello_proved)" -eq "$2" ]
}
everything() { w source list --jsonl | jq -cS --arg s "$1" 'select(.src == $s and .stack == $k)' --arg k "$STACK"; }
hits() { echo "$(rule_field "$RULE" .would_hit.connections) $(rule_field "$LIMIT" '.hits.connections, .would_hit.connections' | xargs)"; }

# attack VICTIM PORT: everything one can send without seeing an answer.
attack() {
	for n in 1 2 3 4 5 6 7 8 9 10; do
		cat <<-EOF
			send $1 $((5000 + n)) $EDGE4 $PORT AP ? ? $FARM
			send $1 $((5100 + n)) $EDGE4 $PORT S 1000 0
			send $1 $((5100 + n)) $EDGE4 $PORT A 1001 ?
			send $1 $((5100 + n)) $EDGE4 $PORT AP 1001 ? $FARM
			send $1 $((5100 + n)) $EDGE4 $PORT AP 1518 ? $FARM
			send $1 $((5200 + n)) $EDGE4 $PORT S 1000 0
			send $1 $((5200 + n)) $EDGE4 $PORT AP 1001 ? $FARM bad
			send $1 $2 $EDGE4 $PORT AP ? ? $FARM
			send $1 $2 $EDGE4 $PORT S 7000 0
			send $1 $2 $EDGE4 $PORT AP 7001 ? $FARM
			send $1 $2 $EDGE4 $PORT RA ? ?
			send $1 $2 $EDGE4 $PORT FA ? ?
		EOF
	done | frames >/dev/null
}

# decoys N TEXT: each kind from a source of its own. What the server took was FARM.
decoys() {
	local kind i=0 src overlaps
	overlaps=$(counter hello_result_overlap)
	for kind in sum ahead rst fin over; do
		i=$((i + 1)) src=192.0.2.$((100 + 10 * $1 + i))
		check "$2: behind a decoy ($kind) the server answers the real hello" \
			frames <<<"visit plain $src 4000 $EDGE4 $PORT $FARM $kind $TMP/decoy"
		check "$2: one connection" eventually 3 tally_is connections $src 1
		if [ $kind = over ]; then
			check "$2: without a name" test -z "$(stack_of $src)"
			check "$2: but with a reason" test "$(counter hello_result_overlap)" -gt "$overlaps"
		else
			check "$2: of the real hello's stack" test "$(stack_of $src)" = "$STACK"
		fi
	done
}

story() {
	local v=10.6.0.$1 before outside proved
	victim_opens "$v"
	before=$(hits)
	check "$2: the victim's port is known" test -n "$port"
	eventually 3 tally_is connections "$v" 1
	outside=$(counter out_of_window) proved=$(counter hello_proved)
	attack "$v" "$port"
	attack $OURS.$((90 + $1)) 6000	# a victim whose host answers nothing: no RST helps
	wait $!
	check "$2: the victim's connection lives" victim_is_well "$v"
	check "$2: no tally of the farm's stack under the victim" test -z "$(everything "$v")"
	check "$2: no hit, no bucket moved" test "$(hits)" = "$before"
	check "$2: the victim's own tally is whole" eventually 3 tally_is connections "$v" 1
	check "$2: and its exchanges" test "$(tally exchanges "$v")" -ge 38
	check "$2: nor under a victim whose host is silent" test -z "$(everything $OURS.$((90 + $1)))"
	check "$2: the segments were seen and not believed" seen_unproved "$outside" "$proved"
	check "$2: the victim visits again" visit node-https "$v"

	frames >/dev/null <<-EOF
		visit piggy $OURS.$((10 + $1)) 4000 $EDGE4 $PORT $FARM
		visit batch $OURS.$((20 + $1)) 4000 $EDGE4 $PORT $FARM
		visit silent $OURS.$((30 + $1)) 4000 $EDGE4 $PORT $FARM
		visit cut:100 $OURS.$((40 + $1)) 4000 $EDGE4 $PORT $FARM
		visit swap:100 $OURS.$((50 + $1)) 4000 $EDGE4 $PORT $FARM
	EOF
	check "$2: a hello that carries the handshake's ACK counts" eventually 3 tally_is connections $OURS.$((10 + $1)) 1
	check "$2: a hello in one batch with the ACK counts" eventually 3 tally_is connections $OURS.$((20 + $1)) 1
	check "$2: a hello whose answer nobody acknowledged does not" tally_is connections $OURS.$((30 + $1)) 0
	check "$2: a hello in six segments counts" eventually 3 tally_is connections $OURS.$((40 + $1)) 1
	check "$2: and in reverse order" eventually 3 tally_is connections $OURS.$((50 + $1)) 1
	check "$2: the segments' stack is the same" test "$(stack_of $OURS.$((50 + $1)))" = "$STACK"
	decoys "$1" "$2"
}

story 1 "plain"
on "$EDGE" sysctl -qw net.ipv4.tcp_syncookies=2
story 2 "SYN cookies"
finish
