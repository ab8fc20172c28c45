#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 1500
# The farm's story in other shapes: exits replaced after the drop, TLS 1.2 only, IPv6
# only, IPv4 only, and all roles' addresses and stacks shuffled by seeds.
set -u
variant=$(dirname "$0")/../e2e/farm-variant.sh
n=0 failed=0

run() { # TEXT, the environment is the variant
	local text=$1
	n=$((n + 1))
	shift
	echo "# $text"
	if env "$@" bash "$variant"; then
		echo "ok $n - $text"
	else
		echo "not ok $n - $text"
		failed=$((failed + 1))
	fi
}

run "exits replaced after the drop" REPLACE=1
run "TLS 1.2 only" TLS=TLSv1.2
run "IPv6 only" FAMILY=6
run "IPv4 only" FAMILY=4
for seed in $((1 + RANDOM % 1000)) $((1001 + RANDOM % 1000)) $((2001 + RANDOM % 1000)); do
	run "addresses and stacks shuffled by seed $seed" SEED=$seed
done
echo "1..$n"
[ $failed -eq 0 ]
