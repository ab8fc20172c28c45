#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# winnow config: files are checked without a daemon, what is in force is shown with
# where it came from, a reload is all or nothing (fault 80).
. "$(dirname "$0")/lib.sh"
need jq scdoc make

conf=$TMP/c.conf
gives() { local want=$1; shift; "$@"; local got=$?; [ $got = "$want" ] || { echo "exit $got, not $want"; false; }; }
says() { local want=$1; shift; "$@" 2>&1 | tee /dev/stderr | grep -qF -- "$want"; }

printf '[winnow]\nports = 443\n\nintrefaces = eth0\n' >"$conf"
check "a bad file is exit 1, without a daemon" gives 1 "$WINNOW" config check -c "$conf"
check "with file, line and what was meant" says "winnow: $conf:4: unknown key \"intrefaces\"; did you mean \"interfaces\"?" \
	"$WINNOW" config check -c "$conf"
as_json() { "$WINNOW" config check -c "$conf" -j | jq -e '.schema == "winnow.config_check/1" and (.ok | not) and (.error | test(":4: "))'; }
check "the same as JSON" as_json
check "a file that is not there is exit 1" gives 1 "$WINNOW" config check -c "$TMP/none"
printf '[winnow]\nports = 443 8443\n[detect]\nwindow = 10s\n' >"$conf"
check "a good file is exit 0" gives 0 "$WINNOW" config check -c "$conf"
check "its settings are shown" says "ports = 443 8443" "$WINNOW" config show -c "$conf"
check "with where they were set" says "# $conf:4" "$WINNOW" config show --origin -c "$conf"
"$WINNOW" config show -c "$conf" >"$TMP/again.conf"
check "what is shown can be read again" gives 0 "$WINNOW" config check -c "$TMP/again.conf"
same() { diff <("$WINNOW" config show -c "$conf") <("$WINNOW" config show -c "$TMP/again.conf"); }
check "and says the same" same
check "without a daemon nothing is in force: exit 3" gives 3 "$WINNOW" --socket "$TMP/none" config show

# Manuals are made of the programs' own tables; each page is accepted by scdoc.
pages() { make -s -C "$TREE" share && ls "$BUILD"/share/winnow.8 "$BUILD"/share/winnowd.8 "$BUILD"/share/winnow.conf.5 \
	"$BUILD"/share/winnow-{rules.5,metrics.7,detection.7,fingerprints.7}; }
check "scdoc takes every page" pages
no_key_missing() {
	local key bad=0
	for key in $("$WINNOW" config show -c "$conf" -j | jq -r '.settings[].key'); do
		grep -qF -- "$key" <(sed 's/\\\\//g' "$BUILD/share/winnow.conf.5") || { echo "$key is not in winnow.conf(5)"; bad=1; }
	done
	return $bad
}
check "winnow.conf(5) has every key the reader takes" no_key_missing

net_up
WINNOW_CONF="allow = 192.0.2.0/24"
winnow_up
check "what is in force has its origin" says "# $TMP/winnow.conf:" w config show --origin
echo "prots = 1" >>"$TMP/winnow.conf"
check "a bad file is refused by a reload, exit 1" gives 1 w config reload
check "nothing of it is in force" says "allow = 192.0.2.0/24" w config show
sed -i '$d' "$TMP/winnow.conf"
sed -i 's/^allow.*/allow = 192.0.2.0\/24 198.18.0.0\/15/' "$TMP/winnow.conf"
check "a good one is taken" gives 0 w config reload
check "and in force" says "198.18.0.0/15" w config show
finish
