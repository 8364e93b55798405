"""Learning curves: which cannot reach the target any more, and where a cut one would have ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import epoch, trial_spec

from sweep.curves import SLACK, expected_accuracy, is_hopeless, stop_after_epoch
from trainer.context import EpochReport, StopReason

accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def curve(*values: float, epochs: int = 10, pace: float = 2.0) -> list[EpochReport]:
    return [epoch(number, number * pace, value, epochs) for number, value in enumerate(values, 1)]


def test_a_trial_stops_at_the_first_epoch_at_its_target() -> None:
    spec = trial_spec(stop_at=0.6)
    assert stop_after_epoch(spec, curve(0.3, 0.59)) is None
    assert stop_after_epoch(spec, curve(0.3, 0.6)) == StopReason.TARGET


def test_a_trial_for_accuracy_is_not_stopped_however_it_fares() -> None:
    spec = trial_spec(stop_at=None, stop_hopeless=True)
    assert stop_after_epoch(spec, curve(0.1, 0.1, 0.1, 0.1)) is None


def test_a_flat_curve_far_below_the_target_is_given_up_unless_that_is_switched_off() -> None:
    flat = curve(0.1, 0.1, 0.1)
    assert stop_after_epoch(trial_spec(stop_at=0.6, stop_hopeless=True), flat) == StopReason.PRUNED
    assert stop_after_epoch(trial_spec(stop_at=0.6, stop_hopeless=False), flat) is None


def test_epochs_beyond_the_limit_do_not_count_as_hope() -> None:
    rising = curve(0.1, 0.2, 0.3, epochs=12)  # three more at this pace, and it is there
    hopeful, short = (trial_spec(stop_at=0.6, stop_hopeless=True, limit_seconds=limit) for limit in (60.0, 8.0))
    assert stop_after_epoch(hopeful, rising) is None
    assert stop_after_epoch(short, rising) == StopReason.PRUNED


def test_nothing_is_given_up_in_the_first_quarter_of_its_epochs() -> None:
    spec = trial_spec(stop_at=0.6, stop_hopeless=True, limit_seconds=1000.0)
    assert stop_after_epoch(spec, curve(*[0.1] * 9, epochs=40)) is None
    assert stop_after_epoch(spec, curve(*[0.1] * 10, epochs=40)) == StopReason.PRUNED


@given(accuracies, st.integers(0, 50))
def test_no_curve_is_hopeless_that_a_straight_line_takes_to_the_target(seen: list[float], left: int) -> None:
    best = max(seen)
    assert not is_hopeless(seen, left, target=best + SLACK)
    assert not is_hopeless(seen, 0, target=1.0), "a trial at its end need not be stopped"


@given(accuracies, st.integers(1, 50), st.floats(0, 1), st.floats(0, 1))
def test_what_is_hopeless_is_hopeless_for_every_higher_target(
    seen: list[float], left: int, one: float, other: float
) -> None:
    assert is_hopeless(seen, left, min(one, other)) <= is_hopeless(seen, left, max(one, other))


def test_the_first_epoch_alone_condemns_nothing() -> None:
    assert not is_hopeless([0.0], 1, target=1.0)


@given(accuracies, st.integers(0, 80))
def test_a_cut_curve_ends_between_its_last_accuracy_and_one(seen: list[float], more: int) -> None:
    assert seen[-1] <= expected_accuracy(curve(*seen, epochs=len(seen) + more)) <= 1.0


def test_a_cut_curve_goes_on_over_the_logarithm_of_the_epoch() -> None:
    assert expected_accuracy(curve(0.3, 0.4, epochs=4)) == pytest.approx(0.5)
    assert expected_accuracy(curve(0.3, 0.4, epochs=2)) == pytest.approx(0.4)
