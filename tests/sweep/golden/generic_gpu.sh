#!/bin/bash

# Parameters
#SBATCH --account=CHANGE_ME
#SBATCH --cpus-per-task=4
#SBATCH --error=/runs/study/jobs/study-00000-1/%j_0_log.err
#SBATCH --gpus-per-node=1
#SBATCH --job-name=study-00000-1-000000
#SBATCH --mem=16384M
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=/runs/study/jobs/study-00000-1/%j_0_log.out
#SBATCH --partition=CHANGE_ME
#SBATCH --time=61

# setup
ln -sf bundle.pkl /runs/study/jobs/study-00000-1/${SLURM_JOB_ID}_submitted.pkl
export OMP_NUM_THREADS=4
export MKL_NUM_THREADS=4

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/study/jobs/study-00000-1/%j_%t_log.out --error /runs/study/jobs/study-00000-1/%j_%t_log.err --cpus-per-task=4 --kill-on-bad-exit=0 --wait=0 /env/bin/python -P -u -m submitit.core._submit /runs/study/jobs/study-00000-1
