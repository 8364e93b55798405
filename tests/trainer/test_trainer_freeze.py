"""Frozen backbones: only the head trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from trainer_helpers import make_imagefolder

from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.models import make_model
from trainer.training import train
from trainer.weights import WEIGHTS, freeze_backbone, read_weights


def test_a_network_without_a_linear_layer_has_no_head():
    with pytest.raises(ConfigError, match="this network has none"):
        freeze_backbone(nn.Conv2d(3, 10, 32))


def test_a_frozen_backbone_stays_in_evaluation_and_the_head_trains():
    model = make_model("bn_cnn", (3, 32, 32), 10)
    head = model[-1]

    freeze_backbone(model)

    assert [module for module in model.modules() if module.training] == [head]
    assert {id(parameter) for parameter in model.parameters() if parameter.requires_grad} == {
        id(head.weight),
        id(head.bias),
    }


@pytest.mark.parametrize(
    "keys", [{}, {"ema": 0.5}, {"optimizer": "muon"}, {"optimizer": "adamw", "weight_decay": 0.1}]
)
def test_training_a_frozen_network_changes_its_head_only(tmp_path, keys):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=6, shape=(20, 20, 3))}"
    recipe = {"dataset": dataset, "model": "bn_cnn", "validation_fraction": 0.34, "batch_size": 3, "device": "cpu"}
    torch.manual_seed(9)
    start = make_model("bn_cnn", (3, 20, 20), 2)
    for parameter in start.state_dict().values():  # statistics too, as training would leave them
        if parameter.is_floating_point():
            parameter.add_(0.1 * torch.rand_like(parameter))
    file = tmp_path / "start.pt"
    torch.save(start.state_dict(), file)

    run = tmp_path / "run"
    run.mkdir()
    train(
        TrainConfig(**recipe, weights=str(file), freeze="backbone", epochs=2, test_epochs=True, **keys),
        QuietContext(run),
    )

    after, before = read_weights(run / WEIGHTS), start.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"15.weight", "15.bias"}
