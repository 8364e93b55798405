#!/bin/bash

# Parameters
#SBATCH --account=def-someuser
#SBATCH --cpus-per-task=6
#SBATCH --error=/runs/study/jobs/study-00000-1/%j_0_log.err
#SBATCH --gpus-per-node=h100:1
#SBATCH --job-name=study-00000-1-000000
#SBATCH --mem=16384M
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=/runs/study/jobs/study-00000-1/%j_0_log.out
#SBATCH --time=61

# setup
ln -sf bundle.pkl /runs/study/jobs/study-00000-1/${SLURM_JOB_ID}_submitted.pkl
export OMP_NUM_THREADS=6
export MKL_NUM_THREADS=6
rm -f /runs/study/jobs/study-00000-1/setup_failed
set -e
trap 'printf '"'"'%s'"'"' "$BASH_COMMAND" > /runs/study/jobs/study-00000-1/setup_failed' ERR
trap '[ -s /runs/study/jobs/study-00000-1/setup_failed ] || printf '"'"'%s'"'"' "$BASH_COMMAND" > /runs/study/jobs/study-00000-1/setup_failed' EXIT
module load StdEnv/2023 python/3.11
source ~/ENV/bin/activate
from="$HOME/.cache/sweep"
export SWEEP_CACHE_DIR="$SLURM_TMPDIR/sweep-cache"
mkdir -p "$SWEEP_CACHE_DIR"; [ ! -d "$from" ] || cp -r "$from/." "$SWEEP_CACHE_DIR"
trap - ERR EXIT
set +e

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/study/jobs/study-00000-1/%j_%t_log.out --error /runs/study/jobs/study-00000-1/%j_%t_log.err --cpus-per-task=6 --kill-on-bad-exit=0 --wait=0 python -P -u -m submitit.core._submit /runs/study/jobs/study-00000-1
