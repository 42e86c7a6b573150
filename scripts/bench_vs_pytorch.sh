#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Speed and memory side by side with PyTorch; see scripts/bench_vs_pytorch.py for usage, or pass --help.
set -eu
exec python3 "$(dirname "$0")/bench_vs_pytorch.py" "$@"
