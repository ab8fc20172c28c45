#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 10800
# The whole scoreboard: every design, every look-alike, the rivals. What is done is kept
# in build/scoreboard, so that a second try goes on.
cd "$(dirname "$0")/../.." || exit

if scripts/scoreboard; then
	echo "ok - every goal is met, every farm that must be found is found, no look-alike is proposed"
else
	echo "not ok - every goal is met, every farm that must be found is found, no look-alike is proposed"
	exit 1
fi
