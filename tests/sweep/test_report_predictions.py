"""Predicted against actual seconds, and how requests fared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_builders import ended, gone, job, running, trial_spec

from sweep.records import JOB_OVERHEAD_SECONDS, JobEnd, JobState, TrialRecord
from sweep.reporting.predictions import predicted_against_actual, prediction_quality


def predicted(number: int, seconds: float, wall: float, state: str = "completed", attempt: int = 1) -> TrialRecord:
    spec = trial_spec(number, predicted_seconds=seconds)
    return ended(number, state, 0.9, wall, spec=spec, wall_seconds=wall, attempt=attempt)


def test_trials_that_trained_all_their_epochs_at_once_are_compared() -> None:
    records = [
        predicted(0, 12.0, 10.0),
        predicted(1, 12.0, 10.0, state="target"),
        predicted(2, 12.0, 10.0, attempt=2),
        ended(3),
        running(4),
    ]
    assert predicted_against_actual(records).to_dict("records") == [
        {"trial": 0, "predicted_seconds": 12.0, "wall_seconds": 10.0}
    ]


def test_errors_are_relative_to_what_was_needed() -> None:
    records = [predicted(number, 10.0 * factor, 10.0) for number, factor in enumerate((0.9, 1.1, 1.5))]
    quality = prediction_quality(records, [job(number, end=gone()) for number in range(3)])
    assert quality is not None
    assert quality.median_error == pytest.approx(0.1)
    assert quality.high_error == pytest.approx(0.42)
    assert quality.over_request == pytest.approx(75.0 / (10.0 + JOB_OVERHEAD_SECONDS))
    assert quality.sufficed == 1.0


def test_a_job_that_overran_did_not_suffice_and_one_that_died_tells_nothing() -> None:
    records = [replace(predicted(0, 10.0, 10.0, attempt=2), attempts=2), predicted(1, 10.0, 10.0)]
    overran = JobEnd(JobState.EXITED, 5.0, overran=(0,))
    jobs = [
        job(0, 1, overran),
        job(0, 2, gone()),
        job(1, 1, gone()),
        job(2, 1, gone()),  # died, and its trial has no result
    ]
    quality = prediction_quality(records, jobs)
    assert quality is not None
    assert (quality.requests, quality.sufficed) == (3, pytest.approx(2 / 3))


def test_there_is_nothing_to_say_before_anything_was_predicted() -> None:
    assert prediction_quality([ended(0), running(1)], [job(0, end=gone())]) is None
