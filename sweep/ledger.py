"""The ledger: GPU-seconds spent and committed against the study's budget, and the room that it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sweep.records import Ending, Job

LEAST_SHARE = 0.1  # of the trial limit: a shorter rest of a budget is not worth a trial


@dataclass(frozen=True)
class Ledger:
    """What jobs have cost and may still cost. A job that runs counts with its whole request."""

    budget_seconds: float | None
    spent_seconds: float
    committed_seconds: float


def balance(jobs: Iterable[Job], gpu_hours: float | None) -> Ledger:
    """The ledger after these jobs."""
    jobs = list(jobs)
    return Ledger(
        budget_seconds=None if gpu_hours is None else gpu_hours * 3600,
        spent_seconds=sum(job.end.gpu_seconds for job in jobs if job.end is not None),
        committed_seconds=sum(job.bundle.committed_seconds for job in jobs if job.end is None),
    )


@dataclass(frozen=True)
class Room:
    """The longest request that can be granted without ever exceeding a budget; infinite if there is none."""

    seconds: float
    cut_by: Ending  # the budget that allows no more


def room(ledger: Ledger, walltime_left: float | None, gpus: int = 1) -> Room:
    """What spent and committed GPU-seconds leave for a job of so many GPUs, or the walltime, whichever is less."""
    seconds, cut_by = math.inf, Ending.GPU_HOURS
    if ledger.budget_seconds is not None:
        seconds = (ledger.budget_seconds - ledger.spent_seconds - ledger.committed_seconds) / gpus
    if walltime_left is not None and walltime_left < seconds:
        seconds, cut_by = walltime_left, Ending.WALLTIME
    return Room(seconds, cut_by)
