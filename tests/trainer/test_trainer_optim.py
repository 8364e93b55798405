"""Optimizers and learning rates."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.optim import REFERENCE_LR, learning_rate, make_optimizer, peak_lr


def optimizer_of(**keys) -> torch.optim.Optimizer:
    return make_optimizer(TrainConfig(**keys), [nn.Parameter(torch.zeros(3))], torch.device("cpu"))


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


# The optimizers


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0, "nesterov": False}),
        ("momentum", torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999)}),
    ],
)
def test_each_name_gives_its_optimizer(name, kind, options):
    optimizer = optimizer_of(optimizer=name, momentum=0.8, lr=0.1, weight_decay=0.01)

    (group,) = optimizer.param_groups
    assert type(optimizer) is kind
    assert options.items() <= group.items()
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)


def test_nesterov_without_momentum_is_plain_gradient_descent():
    assert optimizer_of(optimizer="nesterov", momentum=0).param_groups[0]["nesterov"] is False


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_each_optimizer_goes_downhill(name):
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer = make_optimizer(TrainConfig(optimizer=name, lr=0.01), [parameter], torch.device("cpu"))
    for _ in range(20):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()

    assert -1 < parameter.item() < 1
