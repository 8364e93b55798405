"""One step: the sums it keeps, the weights it leaves, and that a recorded step is the same step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import TrainConfig
from trainer.devices import make_autocast
from trainer.losses import make_loss
from trainer.models import make_model
from trainer.schedules import REFERENCE_LR
from trainer.steps import Learner, RecordedStep, can_record

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


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available")


def trained(device: torch.device, cuda_graphs: bool, **keys) -> tuple[Tensor, float, int]:
    """The weights after seven steps, the last of them smaller, with the sums of loss and of correct images."""
    config = TrainConfig(**{"batch_size": 8, "cuda_graphs": cuda_graphs, **keys})
    model = network(config.model).to(device)
    learner = learner_of(config, model, device)
    step = RecordedStep(learner, config.batch_size) if can_record(config, device) else learner.step
    for seed, size in enumerate([8, 8, 8, 8, 8, 8, 5]):
        images, labels = batch(size, seed)
        step(images.to(device), labels.to(device), 0.002 * (seed + 1))
    return flat(model), learner.loss_sum.item(), learner.correct.item()


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().cpu() for parameter in model.parameters()])


@needs_cuda
@pytest.mark.parametrize("optimizer", [name for name in REFERENCE_LR if name != "muon"])
@pytest.mark.parametrize("model", ["convnet", "mlp", "lenet"])
def test_a_recorded_step_is_the_step_as_written(optimizer, model):
    device = torch.device("cuda")

    recorded, loss_sum, correct = trained(device, True, optimizer=optimizer, model=model)
    written, expected_sum, expected_correct = trained(device, False, optimizer=optimizer, model=model)

    assert loss_sum == pytest.approx(expected_sum, rel=1e-2)
    assert correct == pytest.approx(expected_correct, abs=2)
    moved = (written - flat(network(model))).norm()
    assert (recorded - written).norm() < 0.05 * moved
