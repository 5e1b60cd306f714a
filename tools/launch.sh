#!/usr/bin/env bash
# launch.sh SCRIPT POSITIONALS ARG... N [options]: run a tool under torchrun with N processes.
# What dist_train.sh and dist_test.sh share; N comes after the script's own POSITIONALS arguments.
set -euo pipefail
here=$(dirname "$0")
script=$1 positionals=$2
shift 2
if [ $# -le "$positionals" ] || ! [[ ${*:positionals+1:1} =~ ^[1-9][0-9]*$ ]]; then
    echo "error: after ${script%.py}'s own arguments give the number of processes; see the head of dist_${script%.py}.sh" >&2
    exit 2
fi
arguments=("${@:1:positionals}") processes=${*:positionals+1:1}
shift $((positionals + 1))

nodes=${NODES:-1}
python=${PYTHON:-python}
rendezvous=(--nnodes="$nodes")
if [ "$nodes" -gt 1 ]; then
    : "${NODE_RANK:?error: set NODE_RANK (0 to NODES-1) when NODES is more than 1}"
    : "${MASTER_ADDR:?error: set MASTER_ADDR (host of node 0) when NODES is more than 1}"
    rendezvous+=(--node_rank="$NODE_RANK" --master_addr="$MASTER_ADDR" --master_port="${PORT:-29500}")
elif [ -n "${PORT:-}" ]; then
    rendezvous+=(--master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$PORT")
else
    rendezvous+=(--standalone) # takes a free port, so that two runs can share a machine
fi
# Processes that share cores must not all start a thread for each core.
threads=$(($(nproc) / processes))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
exec "$python" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node="$processes" \
    "$here/$script" "${arguments[@]}" --launcher pytorch "$@"
