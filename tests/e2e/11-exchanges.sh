#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Exchanges are within 5% of nginx's access log: HTTP/1.1 keep-alive and HTTP/2, small,
# 2 MB and streamed answers, requests of more than 200 bytes. Faults 16, 31.
. "$(dirname "$0")/lib.sh"
need jq node

net_up
web_up
winnow_up

STACKS=(node-https node-h2 python requests curl curl-h1)
i=0
clients=()
for stack in "${STACKS[@]}"; do
	i=$((i + 1))
	for n in 1 2 3; do
		printf '0 10.2.%d.%d - 12 30 post-small\n0 10.3.%d.%d - 3 50 post-big\n0 10.4.%d.%d - 3 50 post-sse\n' \
			$i $n $i $n $i $n
	done | visits $stack >"$TMP/$stack.jsonl" &
	clients+=($!)
done
wait "${clients[@]}"
cat "$TMP"/*.jsonl >"$TMP/visits"
check "every request succeeded" jq -se 'map(.failed) | add == 0' "$TMP/visits"

said() { w source list --jsonl | jq -s --arg p "$1" '[.[] | select(.src | startswith($p)) | .exchanges] | add // 0'; }
log_of() { logged "^${1//./\\.}"; }

# within PREFIX: winnow's exchanges of these sources against lines of the log.
within() {
	local winnow nginx
	winnow=$(said "$1")
	nginx=$(log_of "$1")
	echo "winnow $winnow, nginx $nginx"
	[ "$nginx" -gt 0 ] &&
		[ $((100 * (winnow > nginx ? winnow - nginx : nginx - winnow))) -le $((5 * nginx)) ]
}
i=0
for stack in "${STACKS[@]}"; do
	i=$((i + 1))
	check "$stack, small answers" eventually 3 within 10.2.$i.
	check "$stack, 2 MB answers" eventually 3 within 10.3.$i.
	check "$stack, server-sent events" eventually 3 within 10.4.$i.
done
check "all together" within 10.
bytes() {
	local said sent
	said=$(w source list --jsonl | jq -s '[.[] | select(.src | startswith("10.3.")) | .bytes_out] | add')
	sent=$(awk '$1 ~ /^10\.3\./ { n += $9 } END { print n }' "$TMP/access.log")
	echo "winnow $said, nginx $sent (without TLS and headers)"
	[ "$said" -ge "$sent" ] && [ "$said" -le $((sent + sent / 20)) ]
}
check "bytes to the client are nginx's and TLS's overhead" bytes
finish
