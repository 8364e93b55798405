"""Optimizers: what each name gives, that it goes downhill, and what it takes over from a checkpoint."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.optim import Optimizer, make_optimizer
from trainer.schedules import REFERENCE_LR

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    """Two hidden matrices, a convolution and a head."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)
    )


def optimizer_of(model: nn.Module | None = None, **keys) -> Optimizer:
    return make_optimizer(TrainConfig(**keys), model or network(), CPU)


def take_a_step(model: nn.Module, optimizer: Optimizer, seed: int) -> None:
    images = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(images).square().mean().backward()
    optimizer.step()


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0, "nesterov": False}),
        ("momentum", torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.999)}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0, "alpha": 0.99}),
        ("adadelta", torch.optim.Adadelta, {"rho": 0.9}),
    ],
)
def test_each_name_gives_its_optimizer(name, kind, options):
    (part,) = optimizer_of(optimizer=name, momentum=0.8, lr=0.1, weight_decay=0.01).parts

    (group,) = part.param_groups
    assert type(part) is kind
    assert options.items() <= group.items()
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)


def test_nesterov_without_momentum_is_plain_gradient_descent():
    (part,) = optimizer_of(optimizer="nesterov", momentum=0).parts

    assert part.param_groups[0]["nesterov"] is False


def test_muon_takes_the_hidden_matrices_and_adamw_all_else():
    model = network()

    others, hidden = optimizer_of(model, optimizer="muon", momentum=0.8, weight_decay=0.01).parts

    assert [type(others), type(hidden)] == [torch.optim.AdamW, torch.optim.Muon]
    assert [id(matrix) for matrix in hidden.param_groups[0]["params"]] == [
        id(model[2].weight),
        id(model[4].weight),
    ]
    taken = [id(parameter) for part in (others, hidden) for parameter in part.param_groups[0]["params"]]
    assert sorted(taken) == sorted(id(parameter) for parameter in model.parameters())
    assert hidden.param_groups[0]["momentum"] == others.param_groups[0]["betas"][0] == 0.8


def test_muon_without_a_hidden_matrix_is_adamw():
    (part,) = optimizer_of(nn.Linear(3, 2), optimizer="muon").parts

    assert type(part) is torch.optim.AdamW


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_frozen_parameters_are_left_alone(name):
    model = network()
    model.requires_grad_(False)[-1].requires_grad_(True)
    before = copy.deepcopy(model)

    take_a_step(model, optimizer_of(model, optimizer=name, weight_decay=0.1), seed=0)

    assert same_weights(model[:-1], before[:-1])
    assert not torch.equal(model[-1].weight, before[-1].weight)


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_the_rate_is_set_in_every_part(name):
    optimizer = optimizer_of(optimizer=name)

    optimizer.set_lr(0.123)

    assert optimizer.lr == 0.123
    assert {group["lr"] for part in optimizer.parts for group in part.param_groups} == {0.123}


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_each_optimizer_goes_downhill(name):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = optimizer_of(model, optimizer=name, lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        model.weight.square().sum().backward()
        optimizer.step()

    assert -1 < model.weight.item() < 1


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_an_optimizer_goes_on_as_if_it_had_never_stopped(name):
    model = network()
    optimizer = optimizer_of(model, optimizer=name)
    for seed in range(3):
        take_a_step(model, optimizer, seed)
    resumed = copy.deepcopy(model)
    later = optimizer_of(resumed, optimizer=name)
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    for seed in range(3, 6):
        take_a_step(model, optimizer, seed)
        take_a_step(resumed, later, seed)

    assert same_weights(model, resumed)


def test_a_rate_set_after_loading_counts():
    model = nn.Linear(1, 1, bias=False)
    optimizer = optimizer_of(model, optimizer="sgd", lr=0.5)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = model.weight.item()

    optimizer.set_lr(0.1)
    (3 * model.weight).sum().backward()
    optimizer.step()

    assert model.weight.item() == pytest.approx(before - 0.3)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adadelta"])
def test_an_optimizer_whose_steps_are_recorded_goes_on_from_before_its_first(name):
    config, model = TrainConfig(optimizer=name), network()
    state = make_optimizer(config, model, CPU, recorded=True).state_dict()
    later = make_optimizer(config, model, CPU, recorded=True)

    later.load_state_dict(state)

    assert [part["state"] for part in later.state_dict()] == [{}]
