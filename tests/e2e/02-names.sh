#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# JA4, JA3 and TCP signatures of real clients, recorded now, are what other people's
# code prints for the same bytes: read-tls-client-hello, tshark, p0f.
set -u
cd "$(dirname "$0")/../.." || exit
status=0 ran=0
for oracle in "tests/replay/oracle-hellos.py --fresh" tests/replay/oracle-syns.py; do
	$oracle
	case $? in
	0) ran=1 ;;
	77) ;;
	*) ran=1 status=1 ;;
	esac
done
[ $ran = 1 ] || exit 77
exit $status
