#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# QUIC: real clients of a real server are named, proved by the connection ids it gave
# them, tallied once a connection and dropped by a rule; spoofed Initials with a victim's
# address move nothing and drop nothing. Faults 36, 43.
. "$(dirname "$0")/lib.sh"
need jq gtlsclient gtlsserver chromium openssl python3

A=10.9.0.1 B=10.9.0.2 C=10.9.0.3 V=10.9.0.9 SIX=2001:db8:9:1::1
net_up
certificate
mkdir -p "$TMP/www"
head -c 20000 /dev/zero | tr '\0' x >"$TMP/www/index.html"
# Longer than it takes to name a hello: what a rule drops begins with the name.
head -c 8000000 /dev/zero | tr '\0' x >"$TMP/www/long.html"
quic_server() { # NAME PORT OPTIONS...
	local name=$1 port=$2
	shift 2
	start "$name" "$EDGE" gtlsserver -q --no-quic-dump --no-http-dump -d "$TMP/www" "$@" '*' "$port" "$TMP/key.pem" "$TMP/chain.pem"
	eventually 5 udp_listening "$port"
}
udp_listening() { on "$EDGE" ss -Hlun "sport = :$1" | grep -q :"$1"; }
quic_server server $PORT --other-versions=v1,v2draft
quic_server careful 8443 --validate-addr	# sends a Retry first
capture "$TMP/quic.pcap" 'udp port 443 or udp port 8443'
PORT=443,8443 winnow_up native

# from SRC: what the world sends to the edge comes from there.
ip -n "$WORLD" addr add $SIX/128 dev lo nodad
from() {
	case $1 in
	*:*) ip -n "$WORLD" -6 route replace "$EDGE6/128" dev eth0 src "$1" ;;
	*) ip -n "$WORLD" route replace "$EDGE4/32" dev eth0 src "$1" ;;
	esac
}
# fetch SRC [PORT [OPTIONS]]: ngtcp2's client gets the page.
fetch() {
	local src=$1 port=${2:-443} to=$EDGE4
	shift; shift
	from "$src"
	[[ $src != *:* ]] || to=$EDGE6
	rm -f "$TMP/got/index.html"
	mkdir -p "$TMP/got"
	on "$WORLD" timeout 5 gtlsclient -q --no-quic-dump --no-http-dump --exit-on-all-streams-close --handshake-timeout=2s --timeout=2s \
		--sni="$NAME" --download="$TMP/got" "$@" "$to" "$port" "https://$NAME:$port/index.html"
	[ "$(stat -c %s "$TMP/got/index.html" 2>/dev/null)" = 20000 ]
}
browse() { # SRC [SECONDS]: a profile never used, so nothing comes from its cache
	local profile
	profile=$(mktemp -d "$TMP/chromium.XXXXXX")
	from "$1"
	client "$WORLD" timeout "${2:-40}" chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
		--disable-background-networking --user-data-dir="$profile" --origin-to-force-quic-on="$NAME:443" \
		--ignore-certificate-errors-spki-list="$SPKI" --dump-dom "https://$NAME/long.html" 2>"$TMP/chromium.log" | grep -q xxxxx
}
SPKI=$(openssl x509 -in "$TMP/leaf.pem" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)

check "ngtcp2's client gets its page, QUIC v1" fetch $A 443
check "and over QUIC v2, its draft" fetch $B 443 --version=v2draft
check "and where the server asks for a Retry" fetch $C 8443
check "and over IPv6" fetch $SIX 443
check "Chromium gets its page" browse 10.9.0.4
rows() { w source list --jsonl | jq -sc --arg s "$(source_name "$1")" '[.[] | select(.src == $s and .transport == "quic")]'; }
once() { [ "$(rows "$1" | jq 'map(.connections) | add')" = 1 ]; }
named_q() { rows "$1" | jq -e 'length == 1 and (.[0].stack | startswith("q13d"))'; }
for s in $A $B $C $SIX; do
	check "$s is named, proved and tallied once" eventually 5 once $s
	check "$s has a QUIC stack" named_q $s
done
check "Chromium is named, proved and tallied" eventually 5 named_q 10.9.0.4
N=$(rows $A | jq -r '.[0].stack') CHROME=$(rows 10.9.0.4 | jq -r '.[0].stack')
note "ngtcp2 $N, Chromium $CHROME"
check "ngtcp2's client has one stack, in both versions, families and after a Retry" \
	test "$(rows $B | jq -r '.[0].stack') $(rows $C | jq -r '.[0].stack') $(rows $SIX | jq -r '.[0].stack')" = "$N $N $N"
check "Chromium has another" test "$CHROME" != "$N"

# ---- an innocent cannot be framed
check "the victim visits" fetch $V 443
check "the victim is tallied once" eventually 5 once $V
h=$(w rule add stack "$CHROME" action drop for 10m reason story)
# Chromium's first flights with the victim's address: from their own port, and from that
# of a connection the victim holds open.
mkdir -p "$TMP/got"
from $V
start live "$WORLD" gtlsclient -q --no-quic-dump --no-http-dump --exit-on-all-streams-close --delay-stream=3s \
	--sni="$NAME" --download="$TMP/got" "$EDGE4" 443 "https://$NAME/index.html"
live_port() { on "$WORLD" ss -Huanp | grep gtlsclient | awk '{ print $4 }' | grep -o '[0-9]*$' | grep .; }
check "the victim holds a connection open" eventually 5 live_port
twice() { [ "$(rows $V | jq 'map(.connections) | add')" = 2 ]; }
check "it is tallied" eventually 5 twice
rm -f "$TMP/got/index.html"
before=$(rows $V | jq -Sc 'map({stack, connections})')
spoof() {
	on "$WORLD" python3 "$CLIENTS/quic_spoof.py" "$TMP/quic.pcap" 10.9.0.4 $V "$EDGE4" eth0 \
		"$(on "$EDGE" ip -br link show eth0 | awk '{ print $3 }')" "$(live_port)"
}
check "Chromium's Initials come once more, from the victim's address" spoof
sleep 1
check "the victim's tally has not moved" test "$(rows $V | jq -Sc 'map({stack, connections})')" = "$before"
hits() { w rule list -j | jq --arg h "$h" '.rules[] | select(.handle == ($h | tonumber)) | [.hits.connections, .would_hit.connections // 0] | add'; }
check "no rule was hit" test "$(hits)" = 0
got_it() { [ "$(stat -c %s "$TMP/got/index.html" 2>/dev/null)" = 20000 ]; }
check "the victim's live connection goes on" eventually 6 got_it
check "the victim visits as before" fetch $V 443

# ---- a rule
check "the rule drops Chromium" not browse 10.9.0.4 8
check "and counts it" test "$(hits)" -ge 1
check "ngtcp2's client still gets its page from the same address" fetch 10.9.0.4 443
w rule del "$h" >/dev/null
h=$(w rule add src $A stack "$N" action reset for 10m reason story)
check "a rule on (source, stack) drops that source" not fetch $A 443
check "and spares the others of its stack" fetch $B 443
check "an allow entry wins" w allow add $A/32 reason "the story"
check "so the source gets its page again" fetch $A 443
w allow del $A/32 >/dev/null
w rule del "$h" >/dev/null

# ---- the capture gives the same names
capture_end
"$WINNOW" replay --ports 443,8443 --hellos --jsonl "$TMP/quic.pcap" >"$TMP/hellos"
"$WINNOW" replay --ports 443,8443 --sources --jsonl "$TMP/quic.pcap" >"$TMP/sources"
replayed() { jq -sc --arg s "$1" '[.[] | select(.src == $s)] | .[:2] | max_by(.proof) | [.stack, .transport, .proof, .result]' "$TMP/hellos"; }
for s in $A $B $C $SIX; do
	check "replayed, $s has the same name and proof" test "$(replayed $s)" = "[\"$N\",\"quic\",\"egress\",\"ok\"]"
done
check "so has Chromium" test "$(replayed 10.9.0.4)" = "[\"$CHROME\",\"quic\",\"egress\",\"ok\"]"
unproved() { jq -se --arg v $V --arg c "$CHROME" '[.[] | select(.src == $v and .stack == $c)] | length > 0 and all(.proof == null)' "$TMP/hellos"; }
check "the spoofed hellos are shown without proof" unproved
check "and are in no tally" jq -se --arg v $V --arg c "$CHROME" '[.[] | select(.src == $v and .stack == $c)] == []' "$TMP/sources"
finish
