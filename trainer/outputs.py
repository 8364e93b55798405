"""What a run leaves for people: its weights loaded and tested again, tables and pictures of the result."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from trainer import figures
from trainer.config import TrainConfig
from trainer.context import EpochReport
from trainer.data import Split, TrainingData, load_data
from trainer.devices import Autocast, choose_device, make_autocast
from trainer.errors import ConfigError
from trainer.evaluation import Evaluation, evaluate, evaluating
from trainer.losses import make_loss
from trainer.network import make_network
from trainer.weights import WEIGHTS, find_weights, read_recipe, read_weights, take_over

PROGRESS = "progress.jsonl"
SHOWN = 40  # images of a last batch, at most


@dataclass(frozen=True)
class Tested:
    """The weights of a folder, measured on one split of their recipe's data."""

    split: str  # test or validation
    evaluation: Evaluation
    classes: tuple[str, ...]
    images: NDArray[np.uint8]  # the last batch [B, C, H, W]
    truths: NDArray[np.int64]
    guesses: NDArray[np.int64]
    first_kernels: NDArray[np.float32] | None  # [K, C, h, w], if the first layer is a convolution


def retest(folder: Path, split: str = "", device: str = "auto", data_dir: str = "") -> Tested:
    """Load folder/weights.pt into a new network and measure it on `split` (test, validation; empty: the recipe's).

    Raises:
        ConfigError: the folder holds no finished run, its weights are of other classes, or the split is empty.
        DataError: the data set cannot be used.
    """
    config = read_recipe(folder)
    weights = find_weights(str(folder / WEIGHTS))
    split = split or ("test" if config.test or config.validation_fraction == 0 else "validation")
    changes = {"weights": "", "freeze": "", "test": split == "test", "device": device}
    config = config.model_copy(update=changes | ({"data_dir": data_dir} if data_dir else {}))
    chosen = choose_device(device)
    data = load_data(config, chosen)
    part = data.test if split == "test" else data.validation
    if len(part) == 0:
        raise ConfigError(f"the recipe in {folder} held out no {split} images; choose another split")
    model = make_network(config, data, chosen)
    take_over(model, read_weights(weights), weights, config.model)
    autocast = make_autocast(config.precision, chosen)
    mixed = torch.randperm(
        len(part), generator=torch.Generator().manual_seed(0)
    )  # image folders lie class by class
    last = mixed[-min(config.batch_size, SHOWN) :].to(chosen)
    return Tested(
        split,
        evaluate(model, data, part, make_loss(config), autocast),
        data.classes,
        part.images[part.rows[last]].cpu().numpy(),
        part.labels[part.rows[last]].cpu().numpy(),
        _guesses(model, data, part, last, autocast),
        _first_kernels(model),
    )


def tested_as_before(config: TrainConfig, folder: Path) -> TrainConfig:
    """The recipe, with the test set measured if the run that ended in `folder` measured it."""
    try:
        return config.model_copy(update={"test": config.test or read_recipe(folder).test})
    except ConfigError:  # no run ended there
        return config


@torch.inference_mode()
def _guesses(
    model: nn.Module, data: TrainingData, part: Split, positions: torch.Tensor, autocast: Autocast
) -> NDArray[np.int64]:
    images, _ = next(data.batches(part, len(positions), positions))
    with evaluating(model), autocast():
        guesses: NDArray[np.int64] = model(images).argmax(dim=1).cpu().numpy()
    return guesses


def _first_kernels(model: nn.Module) -> NDArray[np.float32] | None:
    first = next((weight for weight in model.parameters() if weight.ndim > 1), None)
    return first.detach().cpu().numpy() if first is not None and first.ndim == 4 else None


def read_epochs(folder: Path) -> list[EpochReport]:
    """The epochs told in folder/progress.jsonl, in order; the last word on an epoch counts."""
    known = {field.name for field in fields(EpochReport)}
    found: dict[int, EpochReport] = {}
    lines = (folder / PROGRESS).read_text().splitlines() if (folder / PROGRESS).exists() else []
    for line in lines:
        try:
            data = json.loads(line)
            found[data["epoch"]] = EpochReport(**{key: data[key] for key in known & data.keys()})
        except (ValueError, KeyError, TypeError, AttributeError):  # a torn line, or a note of another kind
            continue
    return [found[epoch] for epoch in sorted(found)]


def save_pictures(folder: Path, tested: Tested) -> list[str]:
    """Write the pictures of a run into its folder and return their names."""
    confusion = tested.evaluation.confusion.numpy()
    made: dict[str, Figure] = {
        "overall_results.png": figures.overall_results(confusion, tested.classes, tested.split),
        "last_batch.png": figures.last_batch(tested.images, tested.truths, tested.guesses, tested.classes),
    }
    if epochs := read_epochs(folder):
        made["curves.png"] = figures.curves(epochs)
    if tested.first_kernels is not None:
        made["first_layer.png"] = figures.first_layer(tested.first_kernels)
    for name, figure in made.items():
        figure.savefig(folder / name, dpi=120)
    return list(made)
