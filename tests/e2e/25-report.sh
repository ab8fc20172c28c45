#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# The report in a real browser: it draws itself, asks nobody for anything, says nothing on
# the console, and takes a stranger's markup for text; light, dark, on a phone. Fault 98.
. "$(dirname "$0")/lib.sh"
need jq chromium
clients_built

PAGE=$TMP/report.html
DATA=$TREE/tests/data/report/farm.json
MARKUP='</script><script>document.title="owned"</script><img src=http://127.0.0.1:9/x onerror=alert(1)>'

# browse OUT [FLAG...]: the page in a browser of its own; its console in console, what it
# asked the network in net.json.
browse() {
	local out=$1
	shift
	rm -rf "$TMP/profile"
	timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync \
		--disable-default-apps --disable-extensions --user-data-dir="$TMP/profile" \
		--enable-logging=stderr --log-level=0 --log-net-log="$TMP/net.json" "$@" "file://$PAGE" \
		>"$out" 2>"$TMP/console"
}
quiet() { ! grep -aE 'CONSOLE|Uncaught|Content Security Policy' "$TMP/console"; }
# What the markup would have led it to.
asked() { grep -aoF '127.0.0.1:9' "$TMP/net.json" | sort -u; }
drawn() { grep -q 'data-drawn="yes"' "$TMP/dom"; }

check "the page is written" eval '"$TOOLS/report_page" <"$DATA" >"$PAGE"'
check "it names no address to load from" eval '! grep -qE "(src|href)=\"?(https?:)?//" "$PAGE"'
check "it opens" browse "$TMP/dom" --dump-dom
check "and draws itself, plots and all" eval 'drawn && [ "$(grep -o "<canvas" "$TMP/dom" | wc -l)" -eq 3 ]'
check "nothing on the console" quiet
check "the verdict comes first" eval 'grep -o "<h1>[^<]*" "$TMP/dom" | grep -q "1 farm flagged"'
check "its numbers are the document's" eval 'grep -q "$(jq -r ".farms[0].explanation[0].counts" "$DATA")" "$TMP/dom"'

jq --arg m "$MARKUP" '.host = $m | .farms[0].stack = $m | .farms[0].nearest_benign = $m | .farms[0].members[0].src = $m
	| .farms[0].plan.rules[0].match.src = $m | .stacks[0].label = $m | .farms[0].explanation[0].counts = $m' \
	"$DATA" >"$TMP/hostile.json"
check "with markup for names it is written" eval '"$TOOLS/report_page" <"$TMP/hostile.json" >"$PAGE"'
check "the file holds no script of a stranger" not grep -qF '<script>document.title' "$PAGE"
check "it opens" browse "$TMP/dom" --dump-dom
check "it is drawn, and the markup is text" eval 'drawn && grep -qF "&lt;img src=http" "$TMP/dom" && ! grep -qE "<img|<title>owned" "$TMP/dom"'
check "nothing on the console" quiet
check "nobody was asked for anything" test -z "$(asked)"
echo "<!doctype html><img src=http://127.0.0.1:9/x>" >"$PAGE"
check "(a page that asks is noticed)" eval 'browse "$TMP/dom" --dump-dom && [ -n "$(asked)" ]'

printf '%s' '{"schema":"winnow.report/1","time":"2026-01-01T00:00:00Z","host":"h","version":"0","status":{},"stacks":[],"stacks_n":0,"farms":[]}' >"$TMP/empty.json"
check "a site without a farm" eval '"$TOOLS/report_page" <"$TMP/empty.json" >"$PAGE" && browse "$TMP/dom" --dump-dom && drawn && grep -q "No account farm is seen" "$TMP/dom"'
check "nothing on the console" quiet

"$TOOLS/report_page" <"$DATA" >"$PAGE"
shot() { # NAME WIDTH [FLAG...]
	local name=$1 width=$2
	shift 2
	browse /dev/null --hide-scrollbars --window-size="$width,1600" --screenshot="$TMP/$name.png" "$@" && [ -s "$TMP/$name.png" ]
}
check "light" shot light 1200
check "dark" shot dark 1200 --blink-settings=preferredColorScheme=0
check "the two differ" not cmp -s "$TMP/light.png" "$TMP/dark.png"
check "a phone's width" shot phone 500
finish
