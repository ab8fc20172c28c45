#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 900
# 1,000 hellos of each wreq-js profile, one stack each.
HELLOS=1000 exec bash "$(dirname "$0")/../e2e/23-profiles.sh"
