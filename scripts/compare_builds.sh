#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is one build of brume slower than another? See scripts/compare_builds.py for usage, or pass --help.
set -eu
exec python3 "$(dirname "$0")/compare_builds.py" "$@"
