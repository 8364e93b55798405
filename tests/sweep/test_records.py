"""Trial states and the records that files hold."""

from __future__ import annotations

import json
from itertools import product

import pytest
from sweep_builders import ended, epoch, gone, job, outcome, running, waiting

from sweep.files import to_json
from sweep.records import Bundle, JobEnd, JobState, Outcome, TrialState, as_json, check_transition

OPEN = {TrialState.QUEUED, TrialState.RUNNING}
FINAL = set(TrialState) - OPEN
PAIRS = list(product(TrialState, TrialState))


def is_allowed(old: TrialState, new: TrialState) -> bool:
    return old == new or old in OPEN


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if is_allowed(*pair)])
def test_a_trial_that_is_open_may_go_on_to_any_state(old: TrialState, new: TrialState) -> None:
    check_transition(old, new)


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if not is_allowed(*pair)])
def test_a_final_state_is_never_left(old: TrialState, new: TrialState) -> None:
    with pytest.raises(ValueError, match=f"from {old} to {new}"):
        check_transition(old, new)


@pytest.mark.parametrize("state", TrialState)
def test_all_states_but_queued_and_running_are_final(state: TrialState) -> None:
    assert state.is_final is (state in FINAL)


@pytest.mark.parametrize("state", TrialState)
def test_a_failure_is_a_trial_whose_recipe_may_not_be_to_blame(state: TrialState) -> None:
    by_job = ("timeout", "preempted", "node_failure", "host_out_of_memory", "setup_failed", "cancelled", "lost")
    assert state.is_failure is (state.value in ("failed", *by_job))


@pytest.mark.parametrize("state", TrialState)
def test_a_measured_trial_is_one_whose_accuracy_is_that_of_its_recipe(state: TrialState) -> None:
    assert state.is_measured is (state.value in ("completed", "target", "deadline", "pruned"))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("queued", "queued"),
        ("target", "reached target"),
        ("deadline", "out of time"),
        ("out_of_memory", "out of memory"),
    ],
)
def test_states_are_named_in_words(state: str, words: str) -> None:
    assert TrialState(state).words == words


@pytest.mark.parametrize(
    ("state", "live"), [("pending", True), ("running", True), ("exited", False), ("timeout", False)]
)
def test_a_job_lives_while_it_waits_or_runs(state: str, live: bool) -> None:
    assert JobState(state).is_live is live


def test_an_outcome_is_read_as_it_was_written() -> None:
    written = outcome("diverged", None, test_accuracy=0.5, detail="step 3", metrics={"loss": 2.0})
    assert Outcome.from_json(json.loads(to_json(as_json(written)))) == written


def test_a_bundle_is_read_as_it_was_written() -> None:
    written = job(3, 2).bundle
    assert Bundle.from_json(json.loads(to_json(as_json(written)))) == written


def test_the_end_of_a_job_is_read_as_it_was_written() -> None:
    assert JobEnd.from_json(json.loads(to_json(as_json(gone(3, 4))))) == gone(3, 4)


def test_a_trial_that_runs_is_as_accurate_as_its_last_epoch() -> None:
    record = running(0, epoch(1, 10.0, accuracy=0.3), epoch(2, 20.0, accuracy=0.4))
    assert (record.accuracy, record.train_seconds) == (0.4, pytest.approx(18.0))


def test_a_trial_that_ended_is_as_accurate_as_its_outcome() -> None:
    record = ended(accuracy=0.7, train_seconds=33.0)
    assert (record.accuracy, record.train_seconds) == (0.7, 33.0)


def test_a_trial_that_waits_has_measured_nothing() -> None:
    assert (waiting().accuracy, waiting().train_seconds) == (None, 0.0)
