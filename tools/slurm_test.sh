#!/usr/bin/env bash
# Measure a checkpoint under Slurm: one task per GPU.
#     GPUS=8 tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are passed on.
exec "$(dirname "$0")/slurm_launch.sh" test.py 2 "$@"
