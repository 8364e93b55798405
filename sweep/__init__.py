"""Hyperparameter search under a walltime budget, on Slurm clusters and on one machine.

The Python API mirrors the commands: `launch`, `resume` and `report`.
"""

from sweep.api import launch, report, resume

__all__ = ["launch", "report", "resume"]
