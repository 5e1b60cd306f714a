#!/usr/bin/env bash
# Measure a checkpoint on several GPUs (or CPU processes):
#     tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
exec "$(dirname "$0")/launch.sh" test.py 2 "$@"
