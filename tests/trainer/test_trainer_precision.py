"""Precisions: which a device has, and that training in them learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from trainer_helpers import ScriptedContext

from trainer.config import TrainConfig
from trainer.context import Ended, QuietContext
from trainer.devices import make_autocast
from trainer.errors import ConfigError
from trainer.outputs import retest
from trainer.training import train

CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_network_computes_in_the_precision_asked_for(precision, kind):
    layer = nn.Linear(3, 2)
    with make_autocast(precision, CPU)():
        outcome = layer(torch.zeros(1, 3))

    assert (outcome.dtype, layer.weight.dtype) == (kind, torch.float32)


def test_a_maker_of_contexts_serves_more_than_once():
    autocast = make_autocast("bf16", CPU)
    for _ in range(2):
        with autocast():
            assert nn.Linear(3, 2)(torch.zeros(1, 3)).dtype == torch.bfloat16

    assert nn.Linear(3, 2)(torch.zeros(1, 3)).dtype == torch.float32


def test_a_precision_that_the_device_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ConfigError, match=r"precision fp16 is not supported on cpu; supported: fp32, bf16$"):
        train(TrainConfig(precision="fp16", device="cpu"), QuietContext())


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "mse"])
def test_bf16_learns_on_the_processor(loss):
    context = ScriptedContext()

    result = train(TrainConfig(epochs=3, optimizer="adam", precision="bf16", loss=loss, device="cpu"), context)

    assert result.ended == Ended.COMPLETED
    assert result.accuracy is not None
    assert result.accuracy > 0.5
    assert context.reports[-1].train_loss < context.reports[0].train_loss


def test_bf16_trains_to_other_weights_than_fp32():
    losses = []
    for precision in ("fp32", "bf16"):
        train(TrainConfig(epochs=1, precision=precision, device="cpu"), context := ScriptedContext())
        losses.append(context.reports[0].train_loss)

    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_weights_trained_in_bf16_are_tested_in_bf16(tmp_path):
    result = train(TrainConfig(epochs=2, optimizer="adam", precision="bf16", device="cpu"), QuietContext(tmp_path))

    assert retest(tmp_path, device="cpu").evaluation.accuracy == result.accuracy
