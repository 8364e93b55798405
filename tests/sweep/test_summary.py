"""A run in numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_builders import died, ended, epoch, gone, job, running, study, waiting

from sweep.ledger import balance
from sweep.records import TrialRecord
from sweep.summary import Summary, reached, summarize

SPEC = study(limits={"trials": 10, "trial": 60, "gpu_hours": 1})


def summary(*records: TrialRecord, slots: int = 2) -> Summary:
    return summarize(SPEC, dict(enumerate(records)), balance([], 1.0), slots)


def test_a_run_without_trials_has_measured_nothing() -> None:
    empty = summary()
    assert (empty.done, empty.states, empty.trials_wanted) == (0, {}, 10)
    assert (empty.best_accuracy, empty.fastest_seconds, empty.eta_seconds) == (None, None, None)


def test_trials_are_counted_by_state_and_final_ones_are_done() -> None:
    counted = summary(ended(0), ended(1), ended(2, "failed", None), running(3), waiting(4))
    assert counted.states == {"completed": 2, "failed": 1, "running": 1, "queued": 1}
    assert counted.done == 3


def test_the_best_is_the_most_accurate_that_ended() -> None:
    best = summary(
        ended(0, accuracy=0.5), ended(1, "deadline", accuracy=0.8), running(2, epoch(1, 1.0, accuracy=0.99))
    )
    assert (best.best_accuracy, best.best_accuracy_trial) == (0.8, 1)


@pytest.mark.parametrize("state", ["failed", "timeout", "lost"])
def test_a_failure_is_not_the_best(state: str) -> None:
    assert summary(ended(0, accuracy=0.5), ended(1, state, accuracy=0.8)).best_accuracy_trial == 0


@pytest.mark.parametrize("state", ["diverged", "out_of_memory"])
def test_a_recipe_that_cannot_be_trained_is_not_the_best(state: str) -> None:
    assert summary(ended(0, accuracy=0.5), ended(1, state, accuracy=0.8)).best_accuracy_trial == 0


def test_the_fastest_is_the_one_of_fewest_training_seconds_to_the_target() -> None:
    fastest = summary(
        ended(0, accuracy=0.91, train_seconds=30.0),
        ended(1, "target", accuracy=0.9, train_seconds=20.0),
        ended(2, accuracy=0.89, train_seconds=5.0),
    )
    assert (fastest.fastest_seconds, fastest.fastest_trial) == (20.0, 1)


@pytest.mark.parametrize("state", ["completed", "target", "deadline", "pruned"])
def test_a_trial_at_the_target_within_the_limit_counts(state: str) -> None:
    assert reached(SPEC, ended(0, state, accuracy=0.9, train_seconds=60.0))


@pytest.mark.parametrize(
    "record",
    [
        ended(0, accuracy=0.8999),
        ended(0, accuracy=None),
        ended(0, accuracy=0.95, train_seconds=60.1),
        ended(0, "failed", accuracy=0.95),
        ended(0, "timeout", accuracy=0.95),
        ended(0, "lost", accuracy=0.95),
        ended(0, "diverged", accuracy=0.95),
        ended(0, "out_of_memory", accuracy=0.95),
        running(0, epoch(1, 5.0, accuracy=0.95)),
        waiting(0),
    ],
)
def test_any_other_trial_does_not_count(record: TrialRecord) -> None:
    assert not reached(SPEC, record)


@pytest.mark.parametrize(
    ("record", "retries"),
    [
        (waiting(0), 0),
        (ended(0), 0),
        (replace(ended(0), attempts=3, failures=died(2)), 2),
        (replace(running(0), attempts=2, failures=died(1)), 1),
        (replace(waiting(0), attempts=2, failures=died(2)), 1),  # the second is not followed yet
        (replace(ended(0, "lost", None), attempts=3, failures=died(3)), 2),
        (replace(ended(0, "failed", None), failures=died(1)), 0),
        (replace(ended(0), attempts=2), 0),  # the first was cancelled
    ],
)
def test_failures_that_were_followed_by_another_attempt_are_retries(record: TrialRecord, retries: int) -> None:
    assert summary(record).retries == retries


def test_the_retries_of_all_trials_are_added_up() -> None:
    records = [replace(ended(0), attempts=3, failures=died(2)), replace(running(1), attempts=2, failures=died(1))]
    assert summary(*records).retries == 3


def test_hours_are_those_of_the_ledger() -> None:
    ledger = balance([job(0, end=gone(gpu_seconds=1800.0)), job(1, request_seconds=360.0)], 1.0)
    told = summarize(SPEC, {}, ledger, 1)
    assert (told.gpu_hours_spent, told.gpu_hours_in_flight, told.gpu_hours_budget) == (0.5, 0.1, 1)


@pytest.mark.parametrize(("slots", "seconds"), [(1, 96.0), (2, 48.0), (4, 24.0)])
def test_the_time_left_is_that_of_the_mean_trial_for_all_that_are_left(slots: int, seconds: float) -> None:
    records = [ended(0, train_seconds=9.0), ended(1, train_seconds=13.0)]  # walls of 10 and 14
    assert summary(*records, slots=slots).eta_seconds == pytest.approx(seconds)


def test_what_running_trials_have_done_is_not_left() -> None:
    records = [ended(0, train_seconds=9.0), running(1, epoch(1, 4.0)), running(2), running(3, epoch(1, 999.0))]
    assert summary(*records, slots=1).eta_seconds == pytest.approx(9 * 10 - 4 - 10)


def test_no_time_is_left_when_all_are_done() -> None:
    assert summary(*(ended(number) for number in range(10))).eta_seconds is None
