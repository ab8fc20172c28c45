# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# lab.sh - the lab as a library: honest clients, look-alikes, a farm behind 300 exits.
#
#	. tests/e2e/lab.sh		then, in this order:
#	lab_up [PLAN OPTIONS]		plan (lab/plan.py), namespaces, nginx, proxies
#	capture FILE			optional; what replay is checked against
#	lab_winnow			winnowd with lab.conf, as a user who is not root
#	lab_run				everybody begins to visit; returns at once
#	lab_at SECONDS			waits until this second of the run
#	lab_replace			the farm's second set of exits begins (--waves 2)
#	lab_wait			until every visit is over
#	lab_sources ROLE		addresses of farm, farm-replaced, home ..., by the truth
#	lab_score [FARMS.json [APPLIED_S [ROLE]]]	winnow's answer against the truth, JSON
#
# Without --scale: all of it on four processors and more. On fewer 300 exits leave none
# idle, and what a client waits for one is measured as distance: half of it.
# LAB_TLS="TLSv1.2" makes the edge speak nothing else. $LAB holds the plan, results/
# and the truth, which only root can read.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LAB=$TMP/lab

lab_up() {
	need nginx tinyproxy danted haproxy node java curl gnutls-cli
	clients_built
	# Two labs on one machine would measure each other's load as delay.
	exec {LAB_LOCK}>/run/lock/winnow-lab
	flock -n $LAB_LOCK || {
		note "another lab is running: waiting for its end"
		flock $LAB_LOCK
	}
	[[ " $* " == *" --scale "* ]] || [ "$(nproc)" -ge 4 ] || set -- "$@" --scale 0.5
	python3 "$E2E/lab/plan.py" --out "$LAB" "$@" >"$TMP/story" || exit 1
	mkdir -p "$LAB/results"
	net_far "$LAB/rules" "$LAB/legs"
	web_up "${LAB_TLS:-}"

	start_client tinyproxy "$WORLD" tinyproxy -d -c "$LAB/tinyproxy.conf"
	start_client danted "$WORLD" danted -N 4 -f "$LAB/danted.conf"
	start_client haproxy "$WORLD" haproxy -db -f "$LAB/haproxy.cfg"
	for port in 8888 1080 8443; do
		eventually 10 lab_listens $port || {
			cat "$TMP"/{tinyproxy,danted,haproxy}.log
			exit 1
		}
	done
}

lab_winnow() {
	WINNOW_CONF=$(cat "$TREE/userspace/share/lab.conf")
	WINNOW_USER=nobody
	winnow_up "$@"
}

lab_listens() { on "$WORLD" ss -Htln "sport = :$1" | grep -q LISTEN; }

# One process a stack and namespace; each counts its schedule from its own start.
lab_visit() {
	local who=${1##*/} stack ns=$WORLD program
	stack=${who#*.}
	stack=${stack%.wave*}
	read -ra program <<<"$(visitor "$stack")"
	[ "${who%%.*}" = world ] || ns=$OP
	start "visit-$who" "$ns" env EDGE4=$EDGE4 EDGE6=$EDGE6 PORT=$PORT NAME=$NAME CA="$TMP/ca.pem" \
		STEER="$TOOLS/steer.so" unshare -m sh -c \
		'mount --bind "$1" /etc/hosts && exec 0<"$2" 1>"$3" && shift 3 && exec "$@"' sh \
		"$TMP/hosts" "$1" "$LAB/results/$who.jsonl" "${program[@]}" "$stack"
	LAB_VISITORS+=($!)
}

lab_run() {
	local file
	LAB_VISITORS=()
	LAB_T0=${EPOCHREALTIME/./}
	for file in "$LAB"/visits/*; do
		[[ $file == *.wave* ]] || lab_visit "$file"
	done
}

lab_replace() {
	local file
	for file in "$LAB"/visits/*.wave2; do
		lab_visit "$file"
	done
}

# Seconds of the run so far.
lab_now() { echo $(((${EPOCHREALTIME/./} - LAB_T0) / 1000000)); }

lab_at() {
	local left=$((LAB_T0 + $1 * 1000000 - ${EPOCHREALTIME/./}))
	[ $left -le 0 ] || sleep "$((left / 1000000)).$(printf %06d $((left % 1000000)))"
}

# A starved machine makes wrong distances and lost requests: say so.
lab_wait() {
	wait "${LAB_VISITORS[@]}"
	note "load average $(cut -d' ' -f1-3 /proc/loadavg) on $(nproc) processors"
}

# The addresses of ROLE, as winnow writes them.
lab_sources() {
	awk -F'\t' -v role="$1" '$3 == role { print $1 }' "$LAB/truth.tsv" | while read -r src; do source_name "$src"; done | sort -u
}

lab_score() { python3 "$E2E/lab/score.py" "$LAB" "$@"; }
