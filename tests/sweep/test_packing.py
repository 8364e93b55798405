"""How trials share a job: GPUs, requests, and when a job should have another trial."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import job

from sweep.packing import Packing, is_hungry, lane_seconds, seconds_for_next
from sweep.records import JOB_OVERHEAD_SECONDS, Attempt, Bundle


def bundle(*needs: float, lanes: int = 1, request_seconds: float = 115.0) -> Bundle:
    """Trials 0, 1, ... of these needs, in one job."""
    attempts = tuple(Attempt(number, 1, seconds) for number, seconds in enumerate(needs))
    return replace(job(0).bundle, attempts=attempts, lanes=lanes, request_seconds=request_seconds)


@pytest.mark.parametrize(
    ("packing", "lanes", "gpus"),
    [
        (Packing(), 1, 1),
        (Packing(lanes=4), 3, 3),
        (Packing(lanes=4, lanes_per_gpu=2), 3, 2),
        (Packing(lanes=8, gpus_charged=8), 1, 8),
    ],
)
def test_a_job_is_charged_for_its_gpus_and_on_whole_nodes_for_all(packing: Packing, lanes: int, gpus: int) -> None:
    assert packing.gpus(lanes) == gpus


def test_a_lane_asks_for_its_trials_and_never_for_less_than_the_longest_of_the_first() -> None:
    assert lane_seconds([10.0, 20.0], 1) == 20.0 + JOB_OVERHEAD_SECONDS
    assert lane_seconds([10.0, 20.0], 4) == 60.0 + JOB_OVERHEAD_SECONDS


def test_the_next_trial_begins_when_the_first_lane_is_free() -> None:
    made = bundle(30.0, 50.0, 20.0, lanes=2)  # 100 s for trials
    assert seconds_for_next(made, {0: 0.0, 1: 0.0}, (), now=10.0) == 100.0 - 50.0, "30, then 20 on the same lane"
    assert seconds_for_next(made, {0: 0.0, 1: 0.0}, {0}, now=35.0) == 100.0 - 50.0, "20 s begin now, 15 s are left"


def test_a_trial_that_takes_longer_than_it_asked_for_is_expected_to_end_at_any_time() -> None:
    assert seconds_for_next(bundle(30.0), {0: 0.0}, (), now=40.0) == 60.0


@pytest.mark.parametrize(
    ("trials", "began", "decided", "hungry"),
    [
        (2, {0, 1}, set(), True),  # both lanes run, none waits
        (3, {0, 1}, set(), False),  # one waits
        (3, {0, 1}, {0}, True),  # one waits, but a lane is about to take it
        (4, {0, 1}, {0}, False),
        (2, {0, 1}, {0, 1}, True),  # both lanes are idle
    ],
)
def test_one_trial_waits_behind_those_that_run(
    trials: int, began: set[int], decided: set[int], hungry: bool
) -> None:
    assert is_hungry(bundle(*[10.0] * trials, lanes=2), began, decided) is hungry


@given(st.lists(st.floats(1, 100), min_size=1, max_size=20), st.integers(1, 8), st.floats(0, 500))
def test_a_job_is_never_promised_more_time_than_it_has(needs: list[float], lanes: int, now: float) -> None:
    made = bundle(*needs, lanes=lanes)
    began = dict.fromkeys(range(min(lanes, len(needs))), 0.0)
    left = seconds_for_next(made, began, (), now)
    assert left <= made.request_seconds - JOB_OVERHEAD_SECONDS - now
