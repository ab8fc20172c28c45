#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Each allocation and each system call of each request, and of what a daemon does by itself,
# fails once: the daemon lives, what it answers is whole or says that it is not, and no
# blocked source gets an answer. Fault 75.
#
# By hand: WHAT=malloc or call for one.
#
# timeout: 5400
. "$(dirname "$0")/every.lib.sh"

every_up
stopped
cp -a "$TMP/state" "$TMP/state.kept"
for what in ${WHAT:-malloc call}; do
	each "each $what of a request" $what ask "$CONTROL" "$TMP/state" "$WINNOWD" -f -c "$TMP/winnow.conf"
done
winnowd_start
every_end
