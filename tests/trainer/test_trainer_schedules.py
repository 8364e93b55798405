"""Learning rates: the peak, and each schedule against its formula."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from trainer.config import TrainConfig
from trainer.schedules import REFERENCE_LR, learning_rate, peak_lr


def rates(steps: int, **keys) -> list[float]:
    config = TrainConfig(**keys)
    return [learning_rate(config, step, steps) for step in range(steps)]


# The peak


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_the_reference_rate_holds_at_the_reference_batch(name):
    assert peak_lr(TrainConfig(optimizer=name, batch_size=50)) == REFERENCE_LR[name]


@pytest.mark.parametrize(("batch_size", "factor"), [(200, 2), (450, 3), (2, 0.2)])
def test_the_reference_rate_grows_with_the_square_root_of_the_batch(batch_size, factor):
    config = TrainConfig(optimizer="adam", batch_size=batch_size)

    assert peak_lr(config) == pytest.approx(REFERENCE_LR["adam"] * factor)


@pytest.mark.parametrize("batch_size", [1, 50, 800])
def test_an_explicit_rate_does_not_depend_on_the_batch(batch_size):
    assert peak_lr(TrainConfig(lr=0.07, batch_size=batch_size)) == 0.07


@pytest.mark.parametrize(("keys", "unscaled"), [({"lr": 0.5}, 0.5), ({"optimizer": "sgd"}, REFERENCE_LR["sgd"])])
def test_lr_scale_multiplies_the_rate_given_or_reference(keys, unscaled):
    assert peak_lr(TrainConfig(lr_scale=3, **keys)) == pytest.approx(3 * unscaled)


# The schedule


def test_the_constant_schedule_stays_at_the_peak():
    assert rates(100, schedule="constant", lr=0.3) == [0.3] * 100


def test_one_cycle_starts_at_a_25th_of_the_peak():
    assert rates(100, lr=1)[0] == pytest.approx(1 / 25)


def test_one_cycle_climbs_in_equal_strides():
    climb = rates(100, lr=1, warmup=0.25)[:26]

    strides = [after - before for before, after in pairwise(climb)]

    assert strides == pytest.approx([0.96 / 25] * 25)


@pytest.mark.parametrize(("warmup", "peak_step"), [(0.0, 0), (0.25, 50), (0.5, 100), (0.9, 180)])
def test_one_cycle_peaks_when_the_warmup_ends(warmup, peak_step):
    schedule = rates(200, lr=2, warmup=warmup)

    assert schedule[peak_step] == pytest.approx(2)
    assert max(schedule) == schedule[peak_step]


def test_one_cycle_falls_from_the_peak_to_the_end():
    fall = rates(200, lr=1, warmup=0.25)[50:]

    assert all(before > after > 0 for before, after in pairwise(fall))
    assert fall[-1] < 0.001


def test_one_cycle_passes_half_the_peak_in_the_middle_of_its_fall():
    assert learning_rate(TrainConfig(lr=1, warmup=0.2), 60, 100) == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.99])
def test_one_cycle_is_above_zero_and_at_most_the_peak_in_the_shortest_runs(steps, warmup):
    assert all(0 < rate <= 1 for rate in rates(steps, lr=1, warmup=warmup))


def test_one_cycle_scales_with_the_reference_rate():
    small, large = rates(40, batch_size=50), rates(40, batch_size=200)

    assert large == pytest.approx([2 * rate for rate in small])


# The other schedules


def test_step_falls_by_gamma_at_every_epoch():
    schedule = rates(30, schedule="step", lr=1, gamma=0.7, epochs=3)

    assert schedule == pytest.approx([1.0] * 10 + [0.7] * 10 + [0.49] * 10)


def test_step_may_fall_less_often_than_every_epoch():
    schedule = rates(10, schedule="step", lr=2, gamma=0.1, step_epochs=2, epochs=5)

    assert schedule == pytest.approx([2.0] * 4 + [0.2] * 4 + [0.02] * 2)


def test_linear_falls_in_equal_strides_towards_zero():
    assert rates(4, schedule="linear", lr=1) == pytest.approx([1, 0.75, 0.5, 0.25])


def test_cosine_falls_along_half_a_wave():
    expected = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]

    assert rates(8, schedule="cosine", lr=1) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "linear"])
def test_only_one_cycle_climbs_unless_told_to(schedule):
    assert rates(20, schedule=schedule, lr=0.5)[0] == 0.5


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "linear", "one_cycle"])
def test_every_schedule_climbs_from_a_25th_to_the_peak_when_told_to(schedule):
    climbing = rates(20, schedule=schedule, lr=1, warmup=0.5, epochs=1)

    assert climbing[:11] == pytest.approx([0.04 + 0.096 * step for step in range(11)])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]),
    ],
)
def test_what_falls_falls_over_the_steps_after_the_climb(schedule, expected):
    assert rates(8, schedule=schedule, lr=1, warmup=0.5)[4:] == pytest.approx(expected)


def test_cosine_with_the_climb_of_one_cycle_is_one_cycle():
    assert rates(50, schedule="cosine", warmup=0.25) == rates(50, schedule="one_cycle")
