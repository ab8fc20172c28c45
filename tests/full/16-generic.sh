#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The whole corpus over a wire, natively and generically: what prog/wire does with a quarter
# of the layouts. Fault 20.
#
# timeout: 1200
set -u
cd "$(dirname "$0")/../.." || exit
make -s build/tests/prog/test_wire || exit
WIRE_LAYOUTS=100 build/tests/prog/test_wire | tee build/log/wire.out | sed 's/^/# /'
if [ "${PIPESTATUS[0]}" -eq 0 ] && grep -q '^4000 layouts' build/log/wire.out; then
	echo "ok 1 - 4,000 layouts of hellos have one answer natively and generically"
else
	echo "not ok 1 - 4,000 layouts of hellos have one answer natively and generically"
	exit 1
fi
