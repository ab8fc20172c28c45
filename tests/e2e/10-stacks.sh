#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Real TLS stacks visit over IPv4 and IPv6: each is named as other people's code names
# it, tallied once per connection, and a capture of the same traffic says the same.
# Faults 16, 18, 22, 23, 37, 40.
. "$(dirname "$0")/lib.sh"
need tshark jq node java

STACKS=(curl gnutls node-https node-h2 python requests java openssl wreq-chrome_142 wreq-firefox_146)

# The same question to three readers: "source port ja4 ja3" lines, sorted.
others_say() {
	node "$CLIENTS/wire.mjs" "$TMP/story.pcap" |
		jq -r '"\(.src) \(.sport) \(.ja4) \(.ja3)"' | sort >"$TMP/others"
}
tshark_says() {
	tshark -r "$TMP/story.pcap" -Y 'tls.handshake.type == 1' -T fields -E separator=' ' \
		-e ip.src -e ipv6.src -e tcp.srcport -e tls.handshake.ja3 2>/dev/null |
		awk '{ $1 = $1; print }' | sort >"$TMP/tshark"
}
replay_says() {
	"$WINNOW" replay --hellos --jsonl "$TMP/story.pcap" >"$TMP/hellos" 2>"$TMP/replay.log"
	jq -r '"\(.src) \(.sport) \(.ja4) \(.ja3)"' "$TMP/hellos" | sort >"$TMP/replay"
}
same() { diff "$1" "$2" && [ -s "$1" ]; }

live_names() {
	w source list --jsonl | jq -r 'select(.stack) | "\(.src) \(.stack)"' | sort -u
}
replay_names() {
	jq -r 'select(.stack) | "\(.src) \(.stack)"' "$TMP/hellos" |
		sed -E 's/^([0-9a-f:]+)::[0-9a-f]+ /\1::\/64 /' | sort -u
}

net_up
web_up
winnow_up
capture "$TMP/story.pcap"
i=0
clients=()
for stack in "${STACKS[@]}"; do
	i=$((i + 1))
	printf '0 10.1.%d.1 - 2 50 post\n0 2001:db8:1:%x::1 - 2 50 post\n' $i $i | visits "$stack" >>"$TMP/visits" &
	clients+=($!)
done
wait "${clients[@]}"
check "every visit succeeded" jq -se 'map(.failed) | add == 0' "$TMP/visits"
eventually 5 tally_is connections 10.1.1.1 1
capture_end
others_say
tshark_says
replay_says

i=0
for stack in "${STACKS[@]}"; do
	i=$((i + 1))
	check "$stack over IPv4 is tallied once, two exchanges" tally_is connections 10.1.$i.1 1
	check "$stack over IPv6 is tallied once" tally_is connections "2001:db8:1:$(printf %x $i)::1" 1
	stack_name=$(stack_of 10.1.$i.1)
	ja4=$(awk -v s=10.1.$i.1 '$1 == s { print $3 }' "$TMP/others")
	named() { w fp show "$stack_name" -j | jq -se --arg j "$ja4" '[.. | strings] | any(. == $j)'; }
	check "$stack is named live as JA4 $ja4" named
done
check "replay's JA4 and JA3 equal read-tls-client-hello's" same "$TMP/others" "$TMP/replay"
cut -d' ' -f1,2,4 "$TMP/replay" >"$TMP/replay3"
check "replay's JA3 equal tshark's" same "$TMP/tshark" "$TMP/replay3"
live_names >"$TMP/live_names"
replay_names >"$TMP/replay_names"
check "replay names the stacks of each source as the live daemon did" \
	same "$TMP/live_names" "$TMP/replay_names"
check "post-quantum hellos came in more than one segment" \
	jq -se '[.[] | select(.src == "10.1.9.1") | .segments] | min > 1' "$TMP/hellos"
check "no hello is unnamed" jq -se 'all(.[]; .result == "ok")' "$TMP/hellos"
finish
