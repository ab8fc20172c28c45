#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 3600
# 1,000 hellos of each wreq-js and cycletls profile, one stack each.
HELLOS=1000 exec bash "$(dirname "$0")/../e2e/23-profiles.sh"
