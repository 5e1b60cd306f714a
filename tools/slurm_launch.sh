#!/usr/bin/env bash
# slurm_launch.sh SCRIPT POSITIONALS PARTITION JOB_NAME ARG... [options]: run a tool under Slurm, one
# task per GPU. slurm_train.sh and slurm_test.sh use it.
set -euo pipefail
here=$(dirname "$0")
script=$1 positionals=$2
shift 2
if [ $# -lt $((positionals + 2)) ]; then
    echo "error: give partition, job name and the arguments of $script; see the head of slurm_${script%.py}.sh" >&2
    exit 2
fi
partition=$1 job=$2
shift 2
arguments=("${@:1:positionals}")
shift "$positionals"
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# shellcheck disable=SC2086  # SRUN_ARGS holds several arguments
exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$here/$script" "${arguments[@]}" --launcher slurm "$@"
