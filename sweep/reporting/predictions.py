"""How good the walltime model was: predicted against actual seconds. Pure: records in, facts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
import pandas as pd

from sweep.records import JOB_OVERHEAD_SECONDS, Job, JobState, TrialRecord, TrialState


@dataclass(frozen=True)
class PredictionQuality:
    """Errors of the trials that trained all their epochs on the first attempt, and how requests fared."""

    trials: int
    median_error: float  # of |predicted - actual| / actual
    high_error: float  # its 90th percentile
    requests: int
    sufficed: float  # share of the requests within which the trial came to its end
    over_request: float  # mean of requested over needed seconds, a job's start and end included in both

    def __str__(self) -> str:
        return (
            f"off by {self.median_error:.0%} (median), {self.high_error:.0%} (90th percentile) over {self.trials} "
            f"trials; {self.sufficed:.0%} of {self.requests} requests sufficed, "
            f"at {self.over_request:.2f} times the seconds needed"
        )


def predicted_against_actual(trials: Iterable[TrialRecord]) -> pd.DataFrame:
    """Columns trial, predicted_seconds, wall_seconds: trials that can be compared, their calibration left out."""
    rows = [
        (record.number, record.spec.predicted_seconds, record.outcome.wall_seconds - record.calibrating_seconds)
        for record in trials
        if record.outcome is not None
        and record.spec.predicted_seconds is not None
        and record.state == TrialState.COMPLETED
        and record.outcome.attempt == 1
    ]
    return pd.DataFrame(rows, columns=["trial", "predicted_seconds", "wall_seconds"])


def prediction_quality(trials: Iterable[TrialRecord], jobs: Iterable[Job]) -> PredictionQuality | None:
    """None until a trial has been predicted and trained to its end."""
    records = {record.number: record for record in trials}
    compared = predicted_against_actual(records.values())
    if compared.empty:
        return None
    errors = (compared["predicted_seconds"] - compared["wall_seconds"]).abs() / compared["wall_seconds"]
    alone = [job for job in jobs if len(job.bundle.attempts) == 1]  # a shared job asks for more than its trial
    decided = [job for job in alone if _overran(job) or _decided(job, records)]
    asked = {job.bundle.attempts[0].trial: job.bundle.request_seconds for job in decided if not _overran(job)}
    ratios = [
        asked[number] / (seconds + JOB_OVERHEAD_SECONDS)
        for number, seconds in zip(compared["trial"], compared["wall_seconds"], strict=True)
        if number in asked
    ]
    enough = [not _overran(job) for job in decided]
    return PredictionQuality(
        len(compared),
        median(errors),
        float(np.percentile(errors, 90)),
        len(enough),
        mean(enough) if enough else 1.0,
        mean(ratios) if ratios else 1.0,
    )


def _overran(job: Job) -> bool:
    return job.end is not None and (bool(job.end.overran) or job.end.state == JobState.TIMEOUT)


def _decided(job: Job, records: Mapping[int, TrialRecord]) -> bool:
    """Whether the job brought its trial to its end; one whose process died tells nothing of its request."""
    attempt = job.bundle.attempts[0]
    outcome = records[attempt.trial].outcome if attempt.trial in records else None
    return job.end is not None and outcome is not None and outcome.attempt == attempt.number
