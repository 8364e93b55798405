"""Losses, against each other and against sums made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainer.config import TrainConfig
from trainer.losses import make_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
LABELS = torch.tensor([0, 1])
LOSSES = ["cross_entropy", "nll", "mse"]


def loss(name: str, logits: Tensor = LOGITS, labels: Tensor = LABELS, smoothing: float = 0.0) -> Tensor:
    return make_loss(TrainConfig(loss=name, label_smoothing=smoothing))(logits, labels)


def random_batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 5 * torch.randn(64, 10, generator=generator), torch.randint(10, (64,), generator=generator)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_the_likelihood_is_that_of_the_softmax(name):
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-1)))
    second = -math.log(math.exp(0.5) / (2 * math.exp(0.5) + math.exp(3)))

    assert loss(name).item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_nll_is_cross_entropy_in_two_parts(smoothing):
    logits, labels = random_batch()

    one, two = (loss(name, logits, labels, smoothing) for name in ("cross_entropy", "nll"))

    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_smoothing_mixes_in_the_mean_over_all_classes(name):
    logits, labels = random_batch()
    logs = logits.log_softmax(dim=1)

    expected = -0.8 * logs[torch.arange(64), labels].mean() - 0.2 * logs.mean()

    torch.testing.assert_close(loss(name, logits, labels, smoothing=0.2), expected)


def test_mse_is_the_mean_square_to_the_one_hot_labels():
    first = (2 - 1) ** 2 + 0 + (-1) ** 2
    second = 0.5**2 + (0.5 - 1) ** 2 + 3**2

    assert loss("mse").item() == pytest.approx((first + second) / 6)


def test_smoothed_mse_wants_a_share_of_every_class():
    first = (2 - 0.8) ** 2 + 0.1**2 + 1.1**2
    second = 0.4**2 + (0.5 - 0.8) ** 2 + (3 - 0.1) ** 2

    assert loss("mse", smoothing=0.3).item() == pytest.approx((first + second) / 6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_over_the_batch(name):
    logits, labels = random_batch()

    each = [loss(name, logits[number : number + 1], labels[number : number + 1], 0.1) for number in range(64)]

    torch.testing.assert_close(loss(name, logits, labels, 0.1), torch.stack(each).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_raises_the_right_logit(name):
    logits = torch.zeros(1, 3, requires_grad=True)

    loss(name, logits, torch.tensor([1])).backward()

    assert logits.grad is not None
    assert logits.grad[0, 1] < 0
    assert logits.grad[0, 0] == logits.grad[0, 2] >= 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_logits_of_half_precision_have_a_loss_close_to_that_of_full_ones(name, smoothing):
    logits, labels = random_batch()

    with torch.autocast("cpu", torch.bfloat16):
        half = loss(name, logits.to(torch.bfloat16), labels, smoothing)

    assert half.item() == pytest.approx(loss(name, logits, labels, smoothing).item(), rel=0.02)
