#!/bin/bash
# A study on the nodes of a SLURM job:
#
#     sbatch slurm.sh DIR [options of finegrid run]
#
# When the time is over SLURM ends everything. Nothing that has ended is lost: sbatch the same again.
#SBATCH --job-name=finegrid
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=12:00:00
# For GPUs also: #SBATCH --gpus-per-task=4, and `finegrid run DIR --device cuda`.
set -euo pipefail

study=${1:?usage: sbatch slurm.sh DIR [options of finegrid run]}
shift
port=${RAY_PORT:-6379}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) # where this script runs, too
workers=$((SLURM_JOB_NUM_NODES - 1))
export RAY_ADDRESS="$head:$port" RAY_USAGE_STATS_ENABLED=0

stop() { # Ray's nodes end with the job, and after a study that is done
    kill $(jobs -p) 2>/dev/null || true
    wait
}
trap stop EXIT

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
    --include-dashboard=false --block &
until ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; do sleep 1; done

if ((workers > 0)); then
    srun --overlap --nodes="$workers" --ntasks="$workers" --exclude="$head" \
        ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

finegrid run "$study" --on ray "$@" # nodes that are not there yet join late
