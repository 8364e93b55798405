"""Averaged weights: the formula, and which weights a run evaluates and leaves behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from trainer_helpers import ScriptedContext, make_imagefolder

from trainer.averaging import WeightAverage
from trainer.checkpoint import load_checkpoint
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.data import load_data
from trainer.evaluation import evaluate
from trainer.network import make_network
from trainer.training import train

CPU = torch.device("cpu")


def one_weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def follow(values: list[float], decay: float) -> float:
    """The average of a weight that took these values after steps 0, 1, 2, ..., from 0."""
    model = one_weight(0)
    average = WeightAverage(model, decay)
    for step, value in enumerate(values):
        nn.init.constant_(model.weight, value)
        average.update(step)
    return average.model.weight.item()


@pytest.mark.parametrize("decay", [0.05, 0.2, 0.9, 0.999])
def test_the_average_follows_its_formula(decay):
    values, expected = [1.0, -2.0, 5.0, 3.0, 0.5], 0.0
    for step, value in enumerate(values):
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value

    assert follow(values, decay) == pytest.approx(expected)


def test_the_first_step_is_nearly_taken_over():
    assert follow([1.0], decay=0.999) == pytest.approx(0.9)


def test_late_steps_move_it_by_what_the_decay_leaves():
    model = one_weight(0)
    average = WeightAverage(model, 0.9)
    nn.init.constant_(model.weight, 1)

    average.update(1_000_000)

    assert average.model.weight.item() == pytest.approx(0.1)


def test_the_network_itself_is_left_alone():
    model = one_weight(2)
    average = WeightAverage(model, 0.5)
    nn.init.constant_(average.model.weight, 7)

    average.update(0)

    assert model.weight.item() == 2
    assert model.weight.requires_grad
    assert not average.model.weight.requires_grad


def test_statistics_of_batch_norm_are_averaged_and_its_count_is_copied():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.5)
    for step in range(3):
        model(torch.randn(8, 2) + 4)
        average.update(step)

    assert average.model.num_batches_tracked.item() == 3
    assert (average.model.running_mean > 0).all()
    assert (average.model.running_mean < model.running_mean).all()


def test_tied_weights_move_once_a_step():
    first, second = one_weight(0), one_weight(0)
    second.weight = first.weight
    average = WeightAverage(nn.Sequential(first, second), 0.9)
    nn.init.constant_(first.weight, 1)

    average.update(1_000_000)

    assert [layer.weight.item() for layer in average.model] == pytest.approx([0.1, 0.1])


def test_a_buffer_that_the_network_replaces_is_followed():
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = one_weight(0)
            self.register_buffer("centre", torch.zeros(1))

    model = Centred()
    average = WeightAverage(model, 0.9)
    model.centre = torch.ones(1)

    average.update(1_000_000)

    assert average.model.centre.item() == pytest.approx(0.1)


def test_the_averaged_network_evaluates():
    average = WeightAverage(nn.Sequential(nn.Dropout(0.9), nn.Linear(3, 2)).train(), 0.5)

    assert not any(module.training for module in average.model.modules())


# In a run


def test_a_run_measures_and_leaves_the_average(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=10, shape=(24, 24))}"
    config = TrainConfig(
        dataset=dataset, epochs=2, batch_size=4, model="bn_cnn", ema=0.5, validation_fraction=0.5, device="cpu"
    )
    context = ScriptedContext(tmp_path)

    result = train(config, context)

    state, data = load_checkpoint(tmp_path), load_data(config, CPU)
    assert state is not None
    model = make_network(config, data, CPU)
    model.load_state_dict(state["learner"]["average"])
    measured = evaluate(model, data, data.validation)
    assert (measured.accuracy, measured.loss) == (result.accuracy, context.reports[1].validation_loss)
    left = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(left[name], tensor) for name, tensor in state["learner"]["average"].items())
    assert any(not torch.equal(left[name], tensor) for name, tensor in state["learner"]["model"].items())


def test_averaging_does_not_change_the_training(tmp_path):
    weights = []
    for ema in (0.0, 0.9):
        folder = tmp_path / str(ema)
        folder.mkdir()
        train(TrainConfig(epochs=1, ema=ema, validation_fraction=0.5, device="cpu"), QuietContext(folder))
        state = load_checkpoint(folder)
        assert state is not None
        weights.append(state["learner"]["model"])

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
