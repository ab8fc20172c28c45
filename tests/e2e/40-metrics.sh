#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# A real prometheus scrapes a real winnowd: every family is there and true, nobody is
# named, scrapes during a storm of reloads (fault 92) and hostile device names do no harm;
# alert rules and the dashboard know the same metrics.
. "$(dirname "$0")/lib.sh"
need jq promtool prometheus curl python3
SHARE=$TREE/userspace/share
A=10.5.0.1 B=10.5.0.2
URL=http://127.0.0.1:9751/metrics

net_up
web_up
WINNOW_CONF="metrics = 127.0.0.1:9751"
winnow_up
visit node-https $A >/dev/null
visit python $B >/dev/null
eventually 5 tally_is connections $B 1 >/dev/null
w rule add src $A stack "$(stack_of $A)" action reset for 10m reason story >/dev/null
visit node-https $A >/dev/null
w allow add 192.0.2.0/24 reason story 2>/dev/null

scrape() { on "$EDGE" curl -sS --max-time 5 "$@"; }
text() { scrape $URL >"$TMP/metrics" && [ -s "$TMP/metrics" ]; }
value() { text && awk -v n="$1" '$1 == n { print $2; found = 1 } END { exit !found }' "$TMP/metrics"; }
is() { [ "$(value "$1")" = "$2" ] || { echo "$1 is $(value "$1"), not $2"; false; }; }

check "metrics are served on loopback" eventually 3 text
check "promtool finds nothing to complain of" promtool check metrics <"$TMP/metrics"
few() { local n; n=$(grep -vc '^#' "$TMP/metrics"); note "$n series"; [ "$n" -gt 100 ] && [ "$n" -le 500 ]; }
check "at most 500 series" few
check "no address and no fingerprint is in them" not grep -qE "10\.5\.|2001:db8|192\.0\.2|t1[23]d|$(stack_of $B)" "$TMP/metrics"
check "two hellos of one stack and one of another were named" eventually 3 is 'winnow_hellos_total{result="ok"}' 3
check "the reset is in drops, by reason and action" eventually 3 is 'winnow_drops_total{reason="operator",action="reset"}' 1
check "and in packets" is 'winnow_packets_total{interface="eth0",verdict="reset"}' "$(counter verdict_reset)"
check "rules by action and origin" is 'winnow_rules{action="reset",origin="operator"}' 1
check "allowed networks" is winnow_allowed_networks "$(w allow list -j | jq '.allows | length')"
check "the device and its mode" is 'winnow_xdp_info{interface="eth0",mode="native",proof="egress"}' 1
w rule flush --yes >/dev/null 2>&1
check "a rule that goes takes no drop with it" eventually 3 is 'winnow_drops_total{reason="operator",action="reset"}' 1

code() { [ "$(scrape -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
check "another path is 404" code 404 http://127.0.0.1:9751/
check "a POST is 405" code 405 -X POST -d x=1 $URL
check "HEAD has no body" code 200 -I $URL

# Fault 92: names of devices are somebody's choice.
on "$EDGE" ip link add 'e"}9\' type veth peer name peer9
on "$EDGE" ip link set 'e"}9\' up
w attach 'e"}9\' >/dev/null 2>&1
said_odd() { text && grep -qF 'winnow_interface_up{interface="e\"}9\\"} 1' "$TMP/metrics"; }
check "a device's name cannot break a label" eventually 3 said_odd
passed() { grep -F "winnow_packets_total{interface=\"$1\",verdict=\"pass\"}" "$TMP/metrics" | awk '{ print $2 }'; }
apart() {
	text
	echo "eth0 $(passed eth0), the other $(passed 'e\"}9\\')"
	[ "$(passed 'e\"}9\\')" -lt 20 ] && [ "$(passed eth0)" -gt 20 ]
}
check "frames are counted apart for each device" eventually 3 apart
check "promtool agrees" promtool check metrics <"$TMP/metrics"

cat >"$TMP/prometheus.yml" <<-EOF
	global: {scrape_interval: 1s, evaluation_interval: 1s}
	rule_files: [$SHARE/prometheus/winnow.rules.yml]
	scrape_configs:
	  - job_name: winnow
	    static_configs: [{targets: ["127.0.0.1:9751"]}]
EOF
start prometheus "$EDGE" prometheus --config.file="$TMP/prometheus.yml" --storage.tsdb.path="$TMP/tsdb" \
	--web.listen-address=127.0.0.1:9090 --log.level=warn
query() { scrape -G --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | jq -re '.data.result[0].value[1]'; }
up() { [ "$(query 'up{job="winnow"}')" = 1 ]; }
check "prometheus scrapes it" eventually 20 up
check "and reads the same count" test "$(query 'winnow_hellos_total{result="ok"}')" = 3

# Fault 92: scrapes go on, whole, during reloads of good and bad settings.
storm() {
	local n bad=0
	cp "$TMP/winnow.conf" "$TMP/good"
	for n in $(seq 40); do
		if [ $((n % 2)) = 0 ]; then cp "$TMP/good" "$TMP/winnow.conf"; else echo "prots = 1" >>"$TMP/winnow.conf"; fi
		kill -HUP "$winnowd_pid"
		text && tail -n 1 "$TMP/metrics" | grep -q '^process_start_time_seconds [0-9]' || bad=$((bad + 1))
	done
	cp "$TMP/good" "$TMP/winnow.conf"
	[ $bad = 0 ] || { echo "$bad scrapes of 40 failed"; false; }
}
check "40 reloads while it is scraped: every scrape is whole" storm
refused() { [ "$(value 'winnow_config_reloads_total{result="refused"}')" -ge 1 ]; }
check "refused reloads are counted" eventually 3 refused
kill -HUP "$winnowd_pid"
check "a good one after them is said to be good" eventually 3 is winnow_config_last_reload_successful 1
never_down() { [ "$(query 'min_over_time(up{job="winnow"}[2m])')" = 1 ]; }
check "prometheus missed none" never_down

# The same list everywhere.
text
families() { sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$TMP/metrics" | sort; }
known() { "$WINNOW" help --metrics | sed -n 's/^\*\([a-z_]*\)\*.*/\1/p' | sort; }
same() { diff <(families) <(known); }
check "every family of winnow-metrics(7) is served and no other" same
used_in() { jq -r '.. | .expr? // empty' "$1" | grep -oE '\b(winnow|process)_[a-z_]+' | sort -u; }
strangers() { comm -23 <("$@") <(families) | grep .; }
check "the dashboard asks for no metric that does not exist" not strangers used_in "$SHARE/grafana/winnow.json"
missed() { comm -13 <(used_in "$SHARE/grafana/winnow.json") <(families) | grep .; }
check "and shows every one" not missed
in_alerts() { sed -n 's/^ *expr: //p' "$SHARE/prometheus/winnow.rules.yml" | grep -oE '\bwinnow_[a-z_]+' | sort -u; }
check "nor do the alert rules" not strangers in_alerts
panels() {
	jq -r '.panels[].targets[].expr' "$SHARE/grafana/winnow.json" | sed 's/\$__rate_interval/1m/g; s/\$instance/.*/g' |
		while IFS= read -r e; do
			[ "$(scrape -G --data-urlencode "query=$e" http://127.0.0.1:9090/api/v1/query | jq -r .status)" = success ] ||
				{ echo "$e"; exit 1; }
		done
}
check "prometheus can answer every panel" panels
check "alerts fire when they should and not before" promtool test rules "$TREE/tests/data/winnow.rules.test.yml"

sed -i "s|^metrics = .*|metrics = $TMP/run/metrics.sock|" "$TMP/winnow.conf"
kill -HUP "$winnowd_pid"
over_unix() { scrape --unix-socket "$TMP/run/metrics.sock" http://x/metrics | grep -q '^winnow_build_info'; }
check "a reload moves it to a unix socket" eventually 5 over_unix
check "and leaves the port" not scrape $URL
finish
