#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# `winnow top`, driven as a person would: in tmux at 80x24 and 200x50, its keys, a storm
# of resizes, a daemon that hangs, a terminal that is unknown, tiny or gone; and as pages
# in a pipe. Fault 85.
. "$(dirname "$0")/lib.sh"
need jq node python3 tmux

net_up
web_up
winnow_up
for ((n = 1; n <= 12; n++)); do visit node-https 10.9.0.$n >/dev/null; done
for ((n = 1; n <= 4; n++)); do visit python 10.9.1.$n >/dev/null; done
eventually 5 tally_is connections 10.9.1.4 1 >/dev/null
NODE=$(stack_of 10.9.0.1) PYTHON=$(stack_of 10.9.1.1)
rule=$(w rule add stack "$NODE" action count for 10m reason "watched by top")

# ---- pages ----------------------------------------------------------------------------
check "top -b -n 2 prints two pages and ends" eval 'w top -b -n 2 -d 0.3 >"$TMP/pages" && [ "$(grep -c "^winnow " "$TMP/pages")" -eq 2 ]'
check "a page in a pipe has the whole name of a stack" grep -q "$PYTHON " "$TMP/pages"
check "and no escape code" not grep -q $'\e' "$TMP/pages"
check "colour only when it is asked for" eval 'w top -b -n 1 --color always | grep -q $'\''\e'\'
check "NO_COLOR is obeyed" eval '! NO_COLOR=1 w top -b -n 1 | grep -q $'\''\e'\'
check "as JSON: one document a page, with rates on the second" \
	eval 'w top -b -n 2 -d 0.3 --jsonl | jq -se "length == 2 and all(.schema == \"winnow.top/1\") and .[0].rates.packets == null and .[1].rates.packets >= 0"'
check "each stack counts its sources" \
	eval 'w top -b -n 1 -j | jq -e --arg s "$PYTHON" ".stacks[] | select(.stack == \$s) | .sources == 4"'
check "without a terminal it says what to do, exit 2" \
	eval 'w top </dev/null >"$TMP/out" 2>&1; [ $? -eq 2 ] && grep -q "top -b" "$TMP/out"'
check "a reader that leaves ends it quietly" eval 'w top -b -d 0.1 2>"$TMP/err" | head -n 1 >/dev/null; [ ! -s "$TMP/err" ]'
check "no daemon: exit 3, and where it looked" \
	eval '"$WINNOW" --socket "$TMP/none" top -b >"$TMP/out" 2>&1; [ $? -eq 3 ] && grep -q "$TMP/none" "$TMP/out"'

# ---- the terminal ----------------------------------------------------------------------
screen() { tmux -L "$RUN" "$@"; }
pane() { screen capture-pane -p -t top; }
press() { screen send-keys -t top "$@"; }
shows() { pane | tee "$TMP/pane" | grep -qE -- "$1" || { cat "$TMP/pane"; false; }; }
top_up() { # COLUMNS ROWS [ENV...]
	local cols=$1 rows=$2
	shift 2
	screen -f /dev/null new-session -d -s top -x "$cols" -y "$rows" \
		"env LC_ALL=C.UTF-8 $* $WINNOW --socket $TMP/run/control.sock top -d 0.5; echo left with \$? | tee $TMP/left; sleep 30"
	PIDS+=("$(screen display -p '#{pid}')")
}
top_down() {
	local pid
	pid=$(screen display -p '#{pid}')
	screen kill-server
	eventually 5 not kill -0 "$pid" 2>/dev/null
	rm -f "$TMP/left"
}
width() { pane | awk '{ if (length > n) n = length } END { print n + 0 }'; }

# The pane beside the document: a row for each stack, its sources in their column; $1
# characters of the name have room.
same_rows() {
	pane >"$TMP/pane"
	w top -b -n 1 -j | jq -r '.stacks[] | "\(.stack) \(.sources)"' >"$TMP/rows"
	[ -s "$TMP/rows" ] && while read -r stack n; do
		awk -v s="${stack:0:$1}" -v n="$n" '/ sources / { for (i = 1; i <= NF; i++) if ($i == "sources") at = i }
			index($0, s) == 1 && at { found = $at == n } END { exit !found }' "$TMP/pane" ||
			{ echo "$stack has $n sources"; cat "$TMP/pane"; return 1; }
	done <"$TMP/rows"
}
columns() { pane | grep -m 1 '^ *stack '; }

top_up 80 24
check "80x24: stacks with their sources" eventually 5 shows "^${NODE:0:14}.* 12 "
check "who, in which mode, what was lost" eventually 5 shows "shadow|enforcing"
check "every row is the document's" eventually 5 same_rows 14
columns >"$TMP/columns80"
check "nothing is wider than the screen" test "$(width)" -le 80
check "the keys stand in the last row" shows "q quit"
press 3
check "3: sources" eventually 5 shows "10\.9\.0\.9 "
press /
press -l "10.9.1.3"
press Enter
check "/ filters" eventually 5 eval 'pane | grep -q "10\.9\.1\.3" && ! pane | grep -q "10\.9\.0\.1 "'
press Enter
check "Enter opens a source: its D1 x D* table" eventually 5 shows "D1 .* D\*"
press Escape
press Escape
check "Esc goes back, and takes the filter away" eventually 5 shows "10\.9\.0\.1 "
press 4
check "4: rules" eventually 5 shows "^ *$rule .*count"
press 1
press Enter
check "Enter on a stack: its sources alone" eventually 5 eval 'pane | grep -q "10\.9\.0\.12 " && ! pane | grep -q "10\.9\.1\."'
press h
check "h: every key" eventually 5 shows "upside down"
press h
press Space
check "space pauses" eventually 5 shows "paused"
press Space
for ((n = 0; n < 60; n++)); do screen resize-window -t top -x $((20 + n * 7 % 130)) -y $((3 + n * 5 % 40)); done
screen resize-window -t top -x 20 -y 6
check "20 columns: it goes on" eventually 5 eval '[ "$(width)" -le 20 ] && pane | grep -q winnow'
screen resize-window -t top -x 200 -y 50
check "200x50 after a storm of resizes: the whole name" eventually 5 shows "$NODE"
press 1
check "and columns that 80 had no room for" eventually 5 shows "conn/s"
check "every row is the document's" eventually 5 same_rows 36
wider() {
	local word
	[ -s "$TMP/columns80" ] && for word in $(cat "$TMP/columns80"); do
		grep -qw -- "$word" <(columns) || { echo "$word: $(columns)"; return 1; }
	done
}
check "beside all that 80 had" wider
kill -STOP "$winnowd_pid"
check "a daemon that hangs: stale" eventually 10 shows "stale [0-9]+ s"
press 5
check "and the keys still work" eventually 5 shows "5Losses\*"
kill -CONT "$winnowd_pid"
check "fresh again" eventually 10 not shows "stale"
press q
check "q ends it" eventually 5 eval 'grep -q "left with 0" "$TMP/left"'
check "and gives the terminal back" eventually 5 shows "left with 0"
top_down

top_up 80 24 TERM=no-such-terminal
check "an unknown terminal: a sentence, exit 1" eventually 5 eval 'shows "not known" && grep -q "left with 1" "$TMP/left"'
top_down
top_up 100 30
eventually 5 shows "Stacks"
press C-c
check "Ctrl-C ends it with 130" eventually 5 eval 'grep -q "left with 130" "$TMP/left"'
top_down
top_up 80 24 NO_COLOR=1
eventually 5 shows "Stacks"
check "NO_COLOR: none on the screen" eval '! screen capture-pane -e -p -t top | grep -qE $'\''\e\[[0-9;]*3[0-7]m'\'
pid=$(pgrep -f "^$WINNOW --socket $TMP/run/control.sock top" | head -n 1)
top_down
check "a terminal that is gone ends it" eventually 5 eval '! kill -0 "$pid" 2>/dev/null'
finish
