"""The ledger: GPU-seconds spent and committed against the study's budget, and what that allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sweep.records import Ending, Job
from sweep.spec import JOB_OVERHEAD_SECONDS

LEAST_SHARE = 0.1  # of the trial limit: a shorter rest of a budget is not worth a trial


@dataclass(frozen=True)
class Ledger:
    """What jobs have cost and may still cost. A job that runs counts with its whole request."""

    budget_seconds: float | None
    spent_seconds: float
    committed_seconds: float

    def admits(self, request_seconds: float) -> bool:
        """Whether a request can be granted without ever exceeding the budget."""
        total = self.spent_seconds + self.committed_seconds + request_seconds
        return self.budget_seconds is None or total <= self.budget_seconds


def balance(jobs: Iterable[Job], gpu_hours: float | None) -> Ledger:
    """The ledger after these jobs."""
    jobs = list(jobs)
    return Ledger(
        budget_seconds=None if gpu_hours is None else gpu_hours * 3600,
        spent_seconds=sum(job.end.gpu_seconds for job in jobs if job.end is not None),
        committed_seconds=sum(job.bundle.request_seconds for job in jobs if job.end is None),
    )


@dataclass(frozen=True)
class Allowance:
    """What the budgets leave to one more trial."""

    seconds: float | None  # its limit; None for no trial, now or at all
    cut_by: Ending | None  # the budget that leaves it less than wanted


def allowance(wanted_seconds: float, ledger: Ledger, walltime_left: float | None) -> Allowance:
    """How much of the wanted limit one more trial may have, its job's start and end paid.

    While jobs are in flight a short budget allows nothing: they may turn out cheaper than their requests.
    """
    seconds, cut_by = wanted_seconds, None
    if not ledger.admits(wanted_seconds + JOB_OVERHEAD_SECONDS):
        if ledger.committed_seconds > 0:
            return Allowance(None, Ending.GPU_HOURS)
        seconds = (ledger.budget_seconds or 0.0) - ledger.spent_seconds - JOB_OVERHEAD_SECONDS
        cut_by = Ending.GPU_HOURS
    if walltime_left is not None and walltime_left - JOB_OVERHEAD_SECONDS < seconds:
        seconds, cut_by = walltime_left - JOB_OVERHEAD_SECONDS, Ending.WALLTIME
    return Allowance(seconds if seconds >= LEAST_SHARE * wanted_seconds else None, cut_by)
