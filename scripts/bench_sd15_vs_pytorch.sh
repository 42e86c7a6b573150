#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Stable Diffusion 1.5's networks side by side with diffusers. See scripts/bench_sd15_vs_pytorch.py for usage, or pass --help.
set -eu
exec python3 "$(dirname "$0")/bench_sd15_vs_pytorch.py" "$@"
