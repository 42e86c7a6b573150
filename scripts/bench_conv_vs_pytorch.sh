#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 3x3 convolutions side by side with oneDNN; see scripts/bench_conv_vs_pytorch.py for usage, or pass --help.
set -eu
exec python3 "$(dirname "$0")/bench_conv_vs_pytorch.py" "$@"
