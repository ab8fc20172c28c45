#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
# beside
# Each browser profile of wreq-js and cycletls has one stack name, whatever order its
# extensions come in and whether it resumes; HELLOS of them each (tests/full/23 asks for
# 1,000). Faults 37, 38.
. "$(dirname "$0")/lib.sh" || exit 1
need node openssl unshare

HELLOS=${HELLOS:-20}
certificate

# library NAME: its hellos named, one line a profile in $TMP/profiles:
# PROFILE HELLOS STACKS ORDERS RESUMED
library() {
	unshare -n sh -c 'ip link set lo up
		CERT=$1/chain.pem KEY=$1/key.pem exec node --no-warnings "$2" "$3" "$4"' \
		sh "$TMP" "$CLIENTS/profiles.mjs" "$1" "$HELLOS" >"$TMP/hellos" 2>"$TMP/errors"
	check "$1: every profile made its connections" test $? = 0 || sed 's/^/#   /' "$TMP/errors"
	"$BUILD/tests/replay/hello_names" - <"$TMP/hellos" >"$TMP/names"
	awk -F '\t' '
		$2 != "ok" { print "bad", $1, $2 >"/dev/stderr" }
		{ n[$1]++; resumed[$1] += $8
		  if (!seen[$1, "s", $6]++) stacks[$1]++
		  if (!seen[$1, "o", $7]++) orders[$1]++ }
		END { for (p in n) print p, n[p], stacks[p], orders[p], resumed[p] }' \
		"$TMP/names" >"$TMP/profiles" 2>"$TMP/bad"
	note "$1: $(wc -l <"$TMP/profiles") profiles, $(total 2) hellos, $(total 5) of them resumed;" \
		"$(sort -u -k 6,6 -t $'\t' "$TMP/names" | wc -l) stacks"
	check "$1: at least $2 profiles are there" test "$(wc -l <"$TMP/profiles")" -ge "$2"
	check "$1: $HELLOS hellos of each" \
		awk -v n="$HELLOS" '$2 != n { print; bad = 1 } END { exit bad }' "$TMP/profiles"
	check "$1: all of them are named" test ! -s "$TMP/bad"
	check "$1: each profile has one stack" \
		awk '$3 != 1 { print; bad = 1 } END { exit bad || !NR }' "$TMP/profiles"
}
total() { awk "{ s += \$$1 } END { print s }" "$TMP/profiles"; }

library wreq-js 40
check "also those that resume: some do" awk '$5 > 0 { n++ } END { exit n < 20 }' "$TMP/profiles"
check "and those that send no order twice" awk '$4 == $2 { n++ } END { exit n < 20 }' "$TMP/profiles"
check "while JA4 tells a resumed hello from a full one" \
	awk -F '\t' '{ k = $1; if ($8) r[k] = $3; else f[k] = $3 } END { for (k in r) if (r[k] != f[k]) n++; exit n < 20 }' "$TMP/names"
library cycletls 5
check "cycletls: and no two the same" test "$(cut -f 6 "$TMP/names" | sort -u | wc -l)" -ge 5
finish
