"""The ledger: GPU-seconds spent and committed against the study's budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sweep.records import Job


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
