#!/usr/bin/env bash
# Train under Slurm: one task per GPU.
#     GPUS=16 GPUS_PER_NODE=8 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
# CPUS_PER_TASK and SRUN_ARGS are passed on.
exec "$(dirname "$0")/slurm_launch.sh" train.py 1 "$@"
