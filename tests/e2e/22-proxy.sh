#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# Two versions of the PROXY protocol from a real haproxy to a real nginx: the source is
# the header's client, its times are null, rules find its flow; a stranger's header
# moves nothing of the client it names. Faults 36, 43.
. "$(dirname "$0")/lib.sh"
need jq haproxy curl

RELAY=10.30.0.1 VICTIM=10.10.3.1 OTHER=10.10.3.2 STRANGER=10.10.3.9
BEHIND=9443	# nginx expects a header there
net_up
web_up '' "listen $BEHIND ssl proxy_protocol;
	set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol;"
WINNOW_CONF="proxy_from = 10.30.0.0/16"
PORT="$PORT $BEHIND" winnow_up
cat >"$TMP/haproxy.cfg" <<-EOC
	defaults
		mode tcp
		timeout connect 5s
		timeout client 30s
		timeout server 30s
	listen v1
		bind $RELAY:7001
		server edge $EDGE4:$BEHIND source $RELAY send-proxy
	listen v2
		bind $RELAY:7002
		server edge $EDGE4:$BEHIND source $RELAY send-proxy-v2
EOC
start haproxy "$WORLD" haproxy -db -f "$TMP/haproxy.cfg"
relaying() { on "$WORLD" ss -Htln "sport = :7002" | grep -q LISTEN; }
check "haproxy runs" eventually 10 relaying
capture "$TMP/behind.pcap" "port $BEHIND"

fetch() { # SRC PORT
	on "$WORLD" curl -sS -m 10 -o /dev/null --http1.1 --interface "$1" --cacert "$TMP/ca.pem" \
		--resolve "$NAME:$2:$RELAY" "https://$NAME:$2/small"
}
check "a client comes by version 1" fetch $VICTIM 7001
check "and by version 2" fetch $VICTIM 7002
check "the server takes both for the client" eventually 5 test "$(logged "^$VICTIM ")" -eq 2
check "both are the client's connections" eventually 5 tally_is connections $VICTIM 2
check "the proxy is no source" tally_is connections $RELAY 0
timeless() {
	w source list --jsonl | tee "$TMP/rows" |
		jq -se --arg s $VICTIM '[.[] | select(.src == $s)] | length == 1 and
			all(.[]; .rtt_min_us == null and .tcp == null and ([.d1dstar[][]] | add) == 0)'
}
check "the proxy's times and signature are not the client's" timeless

capture_end
"$WINNOW" replay -c "$TMP/winnow.conf" --ports $BEHIND --hellos --jsonl "$TMP/behind.pcap" >"$TMP/hellos"
check "a replay says the same" jq -se --arg s $VICTIM 'length == 2 and all(.[]; .src == $s and
	.result == "ok" and .ja4 and .tcp == null and .rtt_us == null and .d1_us == null and
	.d2_us == null and .dstar_us == null and .piggy == null)' "$TMP/hellos"
"$WINNOW" replay --ports $BEHIND --hellos --jsonl "$TMP/behind.pcap" >"$TMP/hellos"
check "without proxy_from it believes nobody" jq -se --arg s $RELAY 'length == 2 and
	all(.[]; .src == $s and .result == "unexpected_proxy" and .ja4 == null)' "$TMP/hellos"

RULE=$(w rule add src $VICTIM action reset for 5m reason story)
refused() { ! fetch "$@"; }
check "a rule on the client finds it behind the proxy" refused $VICTIM 7002
check "and is hit once" test "$(rule_field "$RULE" .hits.connections)" -eq 1
check "another client behind the same proxy is served" fetch $OTHER 7001

# Nobody believes a stranger but the server, which believes everybody here.
# Its times are said to the millisecond, by a clock read anew: they may differ by one.
row() {
	w source list --jsonl |
		jq -cS --arg s $VICTIM 'select(.src == $s) | del(.first_seen, .last_seen)'
}
before=$(row)
forge() {
	on "$WORLD" python3 - "$STRANGER" "$EDGE4" $BEHIND "$TMP/ca.pem" "$NAME" $VICTIM <<-'EOP'
		import socket, ssl, sys
		me, edge, port, ca, name, victim = sys.argv[1:]
		s = socket.create_connection((edge, int(port)), 5, (me, 0))
		s.sendall(f"PROXY TCP4 {victim} {edge} 40000 {port}\r\n".encode())
		tls = ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname=name)
		tls.sendall(f"GET /small HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
		assert tls.recv(4096).startswith(b"HTTP/1.1 200"), "no answer"
	EOP
}
unexpected=$(counter hello_result_unexpected_proxy)
check "a forged header is served" forge
forged() { [ "$(counter hello_result_unexpected_proxy)" -eq $((unexpected + 1)) ]; }
check "and counted" eventually 3 forged
unmoved() {
	echo "$before, then $(row)"
	[ "$(row)" = "$before" ] &&
		[ "$(rule_field "$RULE" .hits.connections)" -eq 1 ]
}
check "nothing of the victim has moved" unmoved
check "nor is the stranger a source" tally_is connections $STRANGER 0
finish
