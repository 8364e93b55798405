#!/bin/bash

# Parameters
#SBATCH --account=ABC123
#SBATCH --constraint=nvme
#SBATCH --core-spec=8
#SBATCH --cpus-per-task=7
#SBATCH --error=/runs/study/jobs/study-00000-1/%j_0_log.err
#SBATCH --export=NONE
#SBATCH --job-name=study-00000-1-000000
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --open-mode=append
#SBATCH --output=/runs/study/jobs/study-00000-1/%j_0_log.out
#SBATCH --partition=batch
#SBATCH --time=70

# setup
ln -sf bundle.pkl /runs/study/jobs/study-00000-1/${SLURM_JOB_ID}_submitted.pkl
export OMP_NUM_THREADS=7
export MKL_NUM_THREADS=7
export WORK=/lustre/orion/abc123/scratch/CHANGE_ME
export NCCL_SOCKET_IFNAME=hsn0
rm -f /runs/study/jobs/study-00000-1/setup_failed
set -e
trap 'printf '"'"'%s'"'"' "$BASH_COMMAND" > /runs/study/jobs/study-00000-1/setup_failed' ERR
trap '[ -s /runs/study/jobs/study-00000-1/setup_failed ] || printf '"'"'%s'"'"' "$BASH_COMMAND" > /runs/study/jobs/study-00000-1/setup_failed' EXIT
module load PrgEnv-gnu miniforge3 rocm craype-accel-amd-gfx90a
source activate "$WORK/env"
export MIOPEN_USER_DB_PATH="/tmp/miopen-$USER"
export MIOPEN_CUSTOM_CACHE_DIR="$MIOPEN_USER_DB_PATH"
rm -rf "$MIOPEN_USER_DB_PATH"; mkdir -p "$MIOPEN_USER_DB_PATH"
from="$WORK/cache"
export SWEEP_CACHE_DIR="/mnt/bb/$USER/sweep-cache"
mkdir -p "$SWEEP_CACHE_DIR"; [ ! -d "$from" ] || cp -r "$from/." "$SWEEP_CACHE_DIR"
trap - ERR EXIT
set +e

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/study/jobs/study-00000-1/%j_%t_log.out --error /runs/study/jobs/study-00000-1/%j_%t_log.err --cpus-per-task=7 --kill-on-bad-exit=0 --wait=0 --gpus-per-task=1 --gpu-bind=closest --export=ALL python -P -u -m submitit.core._submit /runs/study/jobs/study-00000-1
