"""GPU-seconds spent and committed against the study's budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import gone, job

from sweep.ledger import Ledger, Room, balance, room
from sweep.records import Ending, Job


def test_a_job_that_ended_counts_with_what_it_cost() -> None:
    ledger = balance([job(0, end=gone(gpu_seconds=12.5)), job(1, end=gone(gpu_seconds=7.5))], 1.0)
    assert (ledger.spent_seconds, ledger.committed_seconds) == (20.0, 0)


def test_a_job_that_was_excused_counts_with_what_it_cost() -> None:
    assert balance([job(0, end=gone(gpu_seconds=3.0))], 1.0).spent_seconds == 3.0


def test_a_job_in_flight_counts_with_its_whole_request() -> None:
    ledger = balance([job(0, request_seconds=75.0), job(1, request_seconds=25.0)], 1.0)
    assert (ledger.spent_seconds, ledger.committed_seconds) == (0, 100.0)


@pytest.mark.parametrize(("request_seconds", "admitted"), [(3485.0, True), (3485.001, False)])
def test_a_request_is_granted_if_it_fits_what_is_left(request_seconds: float, admitted: bool) -> None:
    ledger = balance([job(0, end=gone(gpu_seconds=40.0)), job(1, request_seconds=75.0)], 1.0)
    assert (request_seconds <= room(ledger, None).seconds) is admitted


def test_without_a_budget_every_request_is_granted() -> None:
    assert room(balance([job(0, request_seconds=1e12)], None), None).seconds == math.inf


requests = st.tuples(st.floats(1, 1e4), st.floats(0, 1), st.booleans())


@given(st.floats(0.01, 10), st.lists(requests, max_size=40))
def test_a_study_that_asks_the_ledger_first_never_exceeds_its_budget(
    gpu_hours: float, asked: list[tuple[float, float, bool]]
) -> None:
    jobs: dict[int, Job] = {}
    for number, (request_seconds, used, ends_now) in enumerate(asked):
        if request_seconds <= room(balance(jobs.values(), gpu_hours), None).seconds:
            jobs[number] = job(number, request_seconds=request_seconds)
        if ends_now and jobs:
            oldest = min(jobs, key=lambda made: (jobs[made].end is not None, made))
            spent = used * jobs[oldest].bundle.request_seconds
            jobs[oldest] = Job(jobs[oldest].bundle, jobs[oldest].end or gone(gpu_seconds=spent))
        ledger = balance(jobs.values(), gpu_hours)
        assert ledger.spent_seconds + ledger.committed_seconds <= gpu_hours * 3600 * (1 + 1e-9)


def test_the_budget_that_leaves_less_says_how_much() -> None:
    ledger = Ledger(budget_seconds=1000.0, spent_seconds=600.0, committed_seconds=300.0)
    assert room(ledger, None) == room(ledger, 100.5) == Room(100.0, Ending.GPU_HOURS)
    assert room(ledger, 30.0) == Room(30.0, Ending.WALLTIME)
    assert room(Ledger(None, 600.0, 300.0), 30.0) == Room(30.0, Ending.WALLTIME)
