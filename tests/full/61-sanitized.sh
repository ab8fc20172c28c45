#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 2700
# The stories of the small tier once more, with winnow and winnowd under ASan and UBSan:
# they hold, and neither reports anything (fault 100). Unit tests do this in the small tier,
# the guest's service in full/41. Left out: stories about time and memory, which a sanitizer
# spends, and 33-trouble, whose failing malloc() would have to come before ASan's.
# Arguments: only stories with one of them in their name.
set -u
cd "$(dirname "$0")/../.." || exit
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM
mkdir "$TMP/stories"
chmod 1777 "$TMP" "$TMP/stories"
make -s -j2 SAN=1 all >/dev/null || exit 1
export WINNOW=$PWD/build/san/winnow WINNOWD=$PWD/build/san/winnowd
# A daemon with capabilities of its own may not trace itself for its leaks.
export ASAN_OPTIONS=detect_leaks=0:log_path=$TMP/report UBSAN_OPTIONS=print_stacktrace=1:log_path=$TMP/report

wanted() {
	local name
	[ $# -gt 1 ] || return 0
	for name in "${@:2}"; do [[ $1 != *"$name"* ]] || return 0; done
	return 1
}

n=0 failed=0
say() { # STATUS TEXT
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" || { echo "not ok $n - $2"; failed=1; }
}
for story in tests/e2e/[0-9]*.sh; do
	name=$(basename "$story" .sh)
	case $name in 01-* | 14-* | 15-* | 17-* | 20-* | 23-* | 25-* | 26-* | 33-*) continue ;; esac
	wanted "$name" "$@" || continue
	TMPDIR=$TMP/stories KEEP=1 setsid timeout 600 "$story" >"$TMP/out" 2>&1
	status=$?
	# UBSan writes where the program's errors go, whatever log_path says.
	grep -rhaE -A 12 'runtime error: |ERROR: AddressSanitizer' "$TMP/stories" "$TMP/out" >"$TMP/report.$name" ||
		rm "$TMP/report.$name"
	rm -rf --one-file-system "$TMP"/stories/*
	if [ $status = 77 ]; then
		sed "s/^skip -/# $name: not here:/" "$TMP/out"
		continue
	fi
	say $status "$name"
	grep -A 6 '^not ok' "$TMP/out" | sed 's/^/#   /'
done
say "$([ $n -gt 0 ] && ! ls "$TMP"/report* >/dev/null 2>&1; echo $?)" "neither has reported anything (fault 100)"
head -n 40 "$TMP"/report* 2>/dev/null | sed 's/^/#   /'
exit $failed
