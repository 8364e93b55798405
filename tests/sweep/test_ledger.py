"""GPU-seconds spent and committed against the study's budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import gone, job

from sweep.ledger import Allowance, Ledger, allowance, balance
from sweep.records import Ending, Job
from sweep.spec import JOB_OVERHEAD_SECONDS


def test_a_job_that_ended_counts_with_what_it_cost() -> None:
    ledger = balance([job(0, end=gone(gpu_seconds=12.5)), job(1, end=gone(gpu_seconds=7.5))], 1.0)
    assert (ledger.spent_seconds, ledger.committed_seconds) == (20.0, 0)


def test_a_job_that_was_excused_counts_with_what_it_cost() -> None:
    assert balance([job(0, end=gone(excused=True, gpu_seconds=3.0))], 1.0).spent_seconds == 3.0


def test_a_job_in_flight_counts_with_its_whole_request() -> None:
    ledger = balance([job(0, request_seconds=75.0), job(1, request_seconds=25.0)], 1.0)
    assert (ledger.spent_seconds, ledger.committed_seconds) == (0, 100.0)


@pytest.mark.parametrize(("request_seconds", "admitted"), [(3485.0, True), (3485.001, False)])
def test_a_request_is_granted_if_it_fits_what_is_left(request_seconds: float, admitted: bool) -> None:
    ledger = balance([job(0, end=gone(gpu_seconds=40.0)), job(1, request_seconds=75.0)], 1.0)
    assert ledger.admits(request_seconds) is admitted


def test_without_a_budget_every_request_is_granted() -> None:
    assert balance([job(0, request_seconds=1e12)], None).admits(1e12)


requests = st.tuples(st.floats(1, 1e4), st.floats(0, 1), st.booleans())


@given(st.floats(0.01, 10), st.lists(requests, max_size=40))
def test_a_study_that_asks_the_ledger_first_never_exceeds_its_budget(
    gpu_hours: float, asked: list[tuple[float, float, bool]]
) -> None:
    jobs: dict[int, Job] = {}
    for number, (request_seconds, used, ends_now) in enumerate(asked):
        if balance(jobs.values(), gpu_hours).admits(request_seconds):
            jobs[number] = job(number, request_seconds=request_seconds)
        if ends_now and jobs:
            oldest = min(jobs, key=lambda made: (jobs[made].end is not None, made))
            spent = used * jobs[oldest].bundle.request_seconds
            jobs[oldest] = Job(jobs[oldest].bundle, jobs[oldest].end or gone(gpu_seconds=spent))
        ledger = balance(jobs.values(), gpu_hours)
        assert ledger.spent_seconds + ledger.committed_seconds <= gpu_hours * 3600 * (1 + 1e-9)


def short_budget(left: float, committed: float = 0.0) -> Ledger:
    return Ledger(budget_seconds=1000.0, spent_seconds=1000.0 - left - committed, committed_seconds=committed)


def test_a_budget_that_covers_a_trial_allows_its_whole_limit() -> None:
    assert allowance(100.0, short_budget(100.0 + JOB_OVERHEAD_SECONDS), None) == Allowance(100.0, None)


def test_the_rest_of_a_budget_is_a_shorter_trial_once_nothing_is_in_flight() -> None:
    rest = short_budget(50.0 + JOB_OVERHEAD_SECONDS)
    assert allowance(100.0, rest, None) == Allowance(50.0, Ending.GPU_HOURS)


def test_while_jobs_are_in_flight_a_short_budget_allows_nothing() -> None:
    assert allowance(100.0, short_budget(50.0, committed=200.0), None) == Allowance(None, Ending.GPU_HOURS)


def test_a_rest_of_less_than_a_tenth_is_not_worth_a_trial() -> None:
    assert allowance(100.0, short_budget(9.0 + JOB_OVERHEAD_SECONDS), None).seconds is None


def test_the_walltime_cuts_a_trial_short() -> None:
    unlimited = Ledger(None, 0.0, 0.0)
    assert allowance(100.0, unlimited, 30.0 + JOB_OVERHEAD_SECONDS) == Allowance(30.0, Ending.WALLTIME)


@given(wanted=st.floats(1, 1e4), left=st.floats(0, 1e4), walltime=st.none() | st.floats(-1e3, 1e4))
def test_an_allowance_never_exceeds_what_is_left(wanted: float, left: float, walltime: float | None) -> None:
    seconds = allowance(wanted, Ledger(left, 0.0, 0.0), walltime).seconds
    if seconds is not None:
        assert seconds + JOB_OVERHEAD_SECONDS <= left * (1 + 1e-9) + 1e-6
        assert walltime is None or seconds + JOB_OVERHEAD_SECONDS <= walltime + 1e-6
