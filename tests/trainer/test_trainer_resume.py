"""Going on in the middle of an epoch, with everything that keeps a state of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_helpers import ScriptedContext, save_image

from trainer import Ended
from trainer.checkpoint import load_checkpoint
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.schedules import REFERENCE_LR
from trainer.training import train
from trainer.weights import WEIGHTS, read_weights

AUGMENTED = {"flip": True, "crop": 2, "cutout": 5}


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty small images of noise; three batches in an epoch of 36, the last of four."""
    root, generator = tmp_path_factory.mktemp("data") / "pets", np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(20):
                save_image(root / part / name / f"{number}.png", generator.integers(0, 256, (20, 20), np.uint8))
    return f"imagefolder:{root}"


def trained(folder: Path, stops: list[int], **keys) -> dict[str, torch.Tensor]:
    """All the tensors of a run that was stopped after so many looks, one attempt after the other."""
    config = TrainConfig(**{"epochs": 3, "batch_size": 16, "device": "cpu", **keys})
    folder.mkdir()
    for stop in stops:
        interrupted = train(config, ScriptedContext(folder, checks_before_stop=stop))
        assert interrupted.ended == Ended.INTERRUPTED
    assert train(config, QuietContext(folder)).ended == Ended.COMPLETED
    state = load_checkpoint(folder)
    assert state is not None
    named = {f"left.{name}": tensor for name, tensor in read_weights(folder / WEIGHTS).items()}
    for part in ("model", "average"):
        named |= {f"{part}.{name}": tensor for name, tensor in (state["learner"][part] or {}).items()}
    for number, part in enumerate(state["learner"]["optimizer"]):
        for index, values in part["state"].items():
            named |= {f"{number}.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
    return named


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """The names of tensors that are not the same, bit for bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("optimizer", REFERENCE_LR)
def test_every_optimizer_goes_on_within_an_epoch_with_augmentation_and_averages(tmp_path, pets, optimizer):
    keys = {"dataset": pets, "optimizer": optimizer, "ema": 0.9, **AUGMENTED}

    whole = trained(tmp_path / "whole", [], **keys)
    broken = trained(tmp_path / "broken", [1, 2, 2], **keys)

    assert differing(whole, broken) == []


@pytest.mark.parametrize("model", ["lenet", "bn_cnn", "mlp", "mnist_cnn"])
def test_every_network_goes_on_within_an_epoch(tmp_path, pets, model):
    keys = {"dataset": pets, "model": model, "optimizer": "adam"}

    whole = trained(tmp_path / "whole", [], **keys)
    broken = trained(tmp_path / "broken", [2, 2], **keys)

    assert differing(whole, broken) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"schedule": "step"},
        {"schedule": "cosine", "warmup": 0.3},
        {"loss": "mse", "label_smoothing": 0.1},
        {"precision": "bf16"},
        {"normalization": "imagenet"},
    ],
)
def test_every_kind_of_recipe_goes_on_within_an_epoch(tmp_path, pets, keys):
    whole = trained(tmp_path / "whole", [], dataset=pets, **keys)
    broken = trained(tmp_path / "broken", [2, 3], dataset=pets, **keys)

    assert differing(whole, broken) == []


def test_a_frozen_network_goes_on_within_an_epoch(tmp_path, pets):
    trained(tmp_path / "start", [], dataset=pets, model="bn_cnn", epochs=1)
    keys = {"dataset": pets, "model": "bn_cnn", "weights": str(tmp_path / "start" / WEIGHTS), "freeze": "backbone"}

    whole = trained(tmp_path / "whole", [], **keys)
    broken = trained(tmp_path / "broken", [2, 2], **keys)

    assert differing(whole, broken) == []


def test_augmentation_changes_the_training(tmp_path, pets):
    plain = trained(tmp_path / "plain", [], dataset=pets)
    augmented = trained(tmp_path / "augmented", [], dataset=pets, **AUGMENTED)

    assert differing(plain, augmented)


def test_the_same_seed_augments_the_same(tmp_path, pets):
    one = trained(tmp_path / "one", [], dataset=pets, **AUGMENTED)
    torch.manual_seed(99)

    assert differing(one, trained(tmp_path / "two", [], dataset=pets, **AUGMENTED)) == []


@pytest.mark.parametrize(
    "change",
    [{"ema": 0.5}, {"flip": True}, {"precision": "bf16"}, {"loss": "mse"}, {"model": "mlp"}, {"gamma": 0.5}],
)
def test_every_key_that_changes_the_weights_is_another_recipe(tmp_path, pets, change):
    trained(tmp_path / "run", [], dataset=pets)

    with pytest.raises(ConfigError, match="belongs to another recipe"):
        train(
            TrainConfig(dataset=pets, epochs=3, batch_size=16, device="cpu", **change),
            QuietContext(tmp_path / "run"),
        )
