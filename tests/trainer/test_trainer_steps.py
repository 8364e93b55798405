"""One step: the sums it keeps, the weights it leaves, and that a recorded step is the same step."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from trainer_helpers import ScriptedContext

from trainer import Ended
from trainer.config import TrainConfig
from trainer.devices import make_autocast
from trainer.losses import make_loss
from trainer.models import make_model
from trainer.schedules import REFERENCE_LR
from trainer.steps import Learner, RecordedStep, can_record
from trainer.training import train

CPU = torch.device("cpu")
IMAGE = (1, 16, 16)


def batch(size: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, *IMAGE, generator=generator), torch.randint(3, (size,), generator=generator)


def network(name: str = "convnet") -> nn.Module:
    torch.manual_seed(0)
    return make_model(name, IMAGE, 3)


def learner_of(config: TrainConfig, model: nn.Module, device: torch.device = CPU) -> Learner:
    return Learner(config, model, make_loss(config), device, make_autocast(config.precision, device))


def test_one_step_is_plain_gradient_descent():
    model, by_hand, (images, labels) = network(), network(), batch(8, 0)
    step = learner_of(TrainConfig(optimizer="sgd", device="cpu"), model).step

    step(images, labels, 0.05)

    functional.cross_entropy(by_hand(images), labels).backward()
    for parameter, start in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(parameter, start - 0.05 * start.grad)


def test_gradients_of_earlier_steps_are_forgotten():
    model, by_hand = network(), network()
    step = learner_of(TrainConfig(optimizer="sgd", device="cpu"), model).step
    for seed in range(3):
        step(*batch(8, seed), 0.05)

    for seed in range(3):
        images, labels = batch(8, seed)
        by_hand.zero_grad()
        functional.cross_entropy(by_hand(images), labels).backward()
        with torch.no_grad():
            for parameter in by_hand.parameters():
                parameter.sub_(0.05 * parameter.grad)
    for parameter, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "mse"])
def test_the_sums_are_those_of_every_image(loss):
    config, model = TrainConfig(optimizer="sgd", loss=loss, device="cpu"), network()
    learner = learner_of(config, model)
    loss_sum, correct = 0.0, 0
    for seed, size in enumerate([8, 8, 3]):
        images, labels = batch(size, seed)
        with torch.no_grad():
            logits = model(images)
        loss_sum += size * make_loss(config)(logits, labels).item()
        correct += int((logits.argmax(dim=1) == labels).sum())

        learner.step(images, labels, 0.01)

    assert learner.loss_sum.item() == pytest.approx(loss_sum, rel=1e-5)
    assert learner.correct.item() == correct
    assert 0 < correct < 19


def test_the_rate_is_that_of_the_call():
    model, (images, labels) = network(), batch(8, 0)
    learner = learner_of(TrainConfig(optimizer="sgd", device="cpu"), model)

    learner.step(images, labels, 0.25)

    assert learner.optimizer.lr == 0.25


# Recorded steps


@pytest.mark.parametrize(
    ("keys", "recorded"),
    [
        ({}, True),
        ({"precision": "bf16"}, True),
        ({"cuda_graphs": False}, False),
        ({"optimizer": "muon"}, False),  # what asks the host cannot be recorded
        ({"precision": "fp16"}, False),
        ({"model": "somebody:Network"}, False),
    ],
)
def test_steps_are_recorded_where_nothing_asks_the_host(keys, recorded):
    assert can_record(TrainConfig(**keys), torch.device("cuda")) is recorded
    assert can_record(TrainConfig(**keys), CPU) is False


# Many steps, with a smaller batch among them


SIZES = [8] * 10 + [5] + [8] * 11


@dataclass
class Trained:
    """What steps of those sizes leave: the weights that count, how they were moved, and the sums."""

    weights: Tensor
    moved: Tensor
    counts: list[int]  # of batch norm
    loss_sum: float
    correct: int


def flat(model: nn.Module) -> Tensor:
    """Weights and statistics in a row."""
    values = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
    return torch.cat([value.detach().flatten().cpu() for value in values])


def new_learner(config: TrainConfig, device: torch.device) -> Learner:
    model = network(config.model)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # no two runs would be alike
    return learner_of(config, model.to(device), device)


def has_recorded(step: object) -> bool:
    return isinstance(step, RecordedStep) and step.graph is not None


def trained(device: torch.device, *, recorded: bool = False, stops: tuple[int, ...] = (), **keys) -> Trained:
    """Train, and at each stop go on with a new learner from what the old one would save."""
    config = TrainConfig(**{"batch_size": 8, "cuda_graphs": recorded, **keys})
    learner = new_learner(config, device)
    start = flat(learner.evaluated)
    step = RecordedStep(learner, 8) if recorded else learner.step
    for number, size in enumerate(SIZES):
        if number in stops:
            assert number == 0 or has_recorded(step) == recorded
            saved, sums = io.BytesIO(), (learner.loss_sum, learner.correct)
            torch.save(learner.state_dict(), saved)
            saved.seek(0)
            learner = new_learner(config, device)
            learner.load_state_dict(torch.load(saved, map_location="cpu", weights_only=True))
            learner.loss_sum, learner.correct = sums
            step = RecordedStep(learner, 8) if recorded else learner.step
        images, labels = batch(size, number)
        step(images.to(device), labels.to(device), 0.001 * (1 + number % 3))
        if learner.average is not None:
            learner.average.update(number)
    assert has_recorded(step) == recorded
    weights = flat(learner.evaluated)
    counts = [int(buffer) for buffer in learner.evaluated.buffers() if not buffer.is_floating_point()]
    return Trained(weights, weights - start, counts, learner.loss_sum.item(), learner.correct.item())


@pytest.mark.parametrize("keys", [{"optimizer": "adam"}, {"model": "bn_cnn", "ema": 0.9}, {"precision": "bf16"}])
def test_steps_go_on_from_a_state_as_if_there_had_been_no_stop(keys):
    whole, broken = trained(CPU, **keys), trained(CPU, stops=(0, 7, 15), **keys)

    assert torch.equal(broken.weights, whole.weights)
    assert (broken.counts, broken.loss_sum, broken.correct) == (whole.counts, whole.loss_sum, whole.correct)


# On a GPU

CUDA = torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available")


@needs_cuda
@pytest.mark.parametrize("stops", [(), (0,), (10,)])
@pytest.mark.parametrize(
    "keys",
    [
        *({"optimizer": name} for name in REFERENCE_LR if name != "muon"),
        *({"model": name} for name in ("mlp", "lenet", "bn_cnn")),
        {"precision": "bf16"},
        {"ema": 0.9},
        {"loss": "nll", "label_smoothing": 0.1},
    ],
)
def test_a_recorded_step_is_the_step_as_written(keys, stops):
    recorded, written = trained(CUDA, recorded=True, stops=stops, **keys), trained(CUDA, **keys)

    assert recorded.loss_sum == pytest.approx(written.loss_sum, rel=1e-2)
    assert recorded.correct == pytest.approx(written.correct, abs=4)
    assert recorded.counts == written.counts
    assert (recorded.weights - written.weights).norm() < 0.1 * written.moved.norm()


@needs_cuda
@pytest.mark.parametrize(
    "keys", [{}, {"cuda_graphs": False}, {"model": "bn_cnn", "ema": 0.9, "precision": "bf16"}]
)
@pytest.mark.parametrize("checks_before_stop", [0, 40])
def test_a_run_on_a_gpu_learns_and_goes_on_where_it_was_stopped(tmp_path, keys, checks_before_stop):
    config = TrainConfig(epochs=5, optimizer="adam", device="cuda", **keys)
    stopped = train(config, ScriptedContext(tmp_path, checks_before_stop=checks_before_stop))

    result = train(config, context := ScriptedContext(tmp_path))

    assert (stopped.ended, result.ended) == (Ended.INTERRUPTED, Ended.COMPLETED)
    assert [report.epoch for report in context.reports] == list(range(stopped.epochs + 1, 6))
    assert result.accuracy is not None
    assert result.accuracy > 0.7
