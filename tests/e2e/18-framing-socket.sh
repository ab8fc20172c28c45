#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# The framing story where connections are proved by the server's own sockets.
# Faults 15, 24, 25, 27, 29, 31, 43.
PROOF=socket exec "$(dirname "$0")/13-framing.sh"
