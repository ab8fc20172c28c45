#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 900
# Fault 45: a million random hellos from 50 real sources.
. "$(dirname "$0")/../e2e/lib.sh"

million() { HELLOS=1000000 "$BUILD/tests/prog/test_randomiser" | tee "$TMP/said"; }
check "a million random hellos fill the table and hide no farm" million
note "$(grep '^1000000 random hellos' "$TMP/said")"
check "all of them were sent" grep -q '^1000000 random hellos' "$TMP/said"
finish
