#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Each allocation and each system call of a daemon's start fails once: it is ready or says why
# not, and no blocked source gets an answer. Fault 75.
#
# By hand: WHAT=malloc or call for one.
#
# timeout: 5400
. "$(dirname "$0")/every.lib.sh"

every_up
was=$(rules)
for what in ${WHAT:-malloc call}; do
	stopped
	each "each $what of a start" $what start "$CONTROL" "$WINNOWD" -f -c "$TMP/winnow.conf"
	winnowd_start
	check "afterwards it starts, with the rules there were" test "$(rules)" = "$was"
done
every_end
