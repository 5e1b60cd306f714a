#!/usr/bin/env bash
# Train on several GPUs (or CPU processes) of one machine or of several:
#     tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines: set NODES, NODE_RANK and MASTER_ADDR on each (and PORT, the same on all).
exec "$(dirname "$0")/launch.sh" train.py 1 "$@"
