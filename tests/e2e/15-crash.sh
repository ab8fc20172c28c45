#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of winnowd under load: rules hold, nothing honest fails, counters go on, and it
# is back in under 2 s. Faults 57, 65.
. "$(dirname "$0")/lib.sh"
need jq node python3

net_up
web_up
winnow_up
visit node-https 10.8.0.1 >/dev/null
eventually 5 tally_is connections 10.8.0.1 1
w rule add stack "$(stack_of 10.8.0.1)" action reset for 10m reason story >/dev/null

# Ten seconds: honest visits 20 a second, ruled ones 10 a second.
for ((n = 0; n < 200; n++)); do echo "$((n * 50)) 10.8.1.$((n % 20 + 1)) - 2 100 post"; done |
	visits python >"$TMP/honest" &
honest=$!
for ((n = 0; n < 100; n++)); do echo "$((n * 100)) 10.8.2.$((n % 20 + 1)) - 1 0 post"; done |
	visits node-https >"$TMP/ruled" &
ruled=$!
busy() { [ "$(logged '^10\.8\.1\.')" -ge "$1" ]; }
eventually 5 busy 60
winnowd_kill
check "the daemon is dead" not w status
eventually 5 busy 160
t=${EPOCHREALTIME/./}
winnowd_start
took=$(((${EPOCHREALTIME/./} - t) / 1000))
check "back in under 2 s ($took ms)" test $took -lt 2000
wait $honest $ruled
check "every honest request succeeded" jq -se 'length == 200 and (map(.failed) | add) == 0' "$TMP/honest"
check "no ruled connection came through" jq -se 'length == 100 and (map(.ok) | add) == 0' "$TMP/ruled"
connections() { w source list --jsonl | jq -s '[.[] | select(.src | startswith("10.8.1.")) | .connections] | add'; }
all_counted() { [ "$(connections)" = 200 ] || { echo "$(connections) of 200"; false; }; }
check "connections were counted throughout" eventually 5 all_counted
check "still attached, natively" sh -c "nsenter --net=/run/netns/$EDGE ip -d link show eth0 | grep -q 'xdp '"
finish
