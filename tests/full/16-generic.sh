#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 1200
# Fault 20: the whole corpus over a wire; prog/wire sends a quarter of its layouts.
. "$(dirname "$0")/../e2e/lib.sh"

corpus() { WIRE_LAYOUTS=100 "$BUILD/tests/prog/test_wire" >"$TMP/said" 2>&1 || { cat "$TMP/said"; false; }; }
check "every layout has one answer, natively and generically" corpus
note "$(grep -m 1 ' layouts, ' "$TMP/said")"
check "all of them were sent" test "$(grep -c '^4000 layouts' "$TMP/said")" -eq 2
finish
